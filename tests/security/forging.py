"""A record taken apart and put together again by somebody who should not: with no key, one client's, or the coordinator's."""

import hashlib
from dataclasses import replace

import msgspec

from hefl_core.errors import IntegrityError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import Closing, Sent, Transcript, TranscriptLine, Unsent, closing_statement
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import SignedHeader

COORDINATOR = "coordinator"


class Record:
    """The entries of a run's record without its end, its blobs, and the keys of its parties."""

    def __init__(self, run):
        self.run = run
        transcript = run.transcript
        self.entries = [line.entry for line in transcript.lines[:-1]]
        self.old_end = transcript.lines[-1].entry
        self.blobs = dict(transcript.blobs)
        self.pin, self.heads = pin_of(transcript), ClientHeads.of(transcript)
        self.identities = {
            party.name: party.identity for party in (run.parties.coordinator, run.parties.auditor, *run.parties.clients)
        }

    # -- looking -----------------------------------------------------------------------------------------------

    def at(self, step, sender=None, round_=None, which=0):
        """Index of a message; its line has this number plus one."""
        return [
            n
            for n, entry in enumerate(self.entries)
            if isinstance(entry, Sent)
            and entry.step == step
            and sender in (None, entry.sender)
            and round_ in (None, entry.position.round)
        ][which]

    def header(self, index):
        return self.entries[index].head.header

    def body(self, index, type_):
        return decode(self.blobs[self.entries[index].body], type_)

    # -- changing ----------------------------------------------------------------------------------------------

    def signed(self, index, signer, body=None, **changes):
        """A message like the one at ``index``, with changes in its header or another body, under a signer's key."""
        old = self.entries[index]
        header = replace(old.head.header, **changes)
        if body is not None:
            raw = encode(body)
            self.blobs[hashlib.sha256(raw).digest()] = raw
            header = replace(header, content_digest=hashlib.sha256(raw).digest(), content_nbytes=len(raw))
        head = SignedHeader(header, self.identities[signer].sign(encode(header)))
        digest = old.body if body is None else header.content_digest
        nbytes = len(encode(header)) + len(head.signature) + len(self.blobs.get(digest, b""))
        step, receivers = header.kind, header.recipients
        return Sent(step=step, head=head, receivers=receivers, nbytes=nbytes, body=digest, work=old.work)

    def next_of(self, name, before):
        """Number and previous digest of a party's next message, if it comes at this place of the record."""
        said = [e.head.header for e in self.entries[:before] if isinstance(e, Sent | Unsent) and e.sender == name]
        last = said[-1] if said else None
        return {"sequence": last.sequence + 1 if last else 0, "previous": last.digest if last else b""}

    def renumber(self, name):
        """Whoever has this party's key numbers and chains its messages anew."""
        number, previous = 0, b""
        for index, entry in enumerate(self.entries):
            if isinstance(entry, Unsent) and entry.sender == name:
                header = replace(entry.head.header, sequence=number, previous=previous)
                self.entries[index] = Unsent(SignedHeader(header, self.identities[name].sign(encode(header))))
                number, previous = number + 1, header.digest
            elif isinstance(entry, Sent) and entry.sender == name:
                if (entry.head.header.sequence, entry.head.header.previous) != (number, previous):
                    inline = entry.inline
                    entry = self.signed(index, name, sequence=number, previous=previous)
                    self.entries[index] = msgspec.structs.replace(entry, inline=inline)
                number, previous = number + 1, entry.head.header.digest

    # -- putting together --------------------------------------------------------------------------------------

    def lines(self):
        lines, head = [], b""
        for entry in self.entries:
            lines.append(TranscriptLine(head, entry))
            head = hashlib.sha256(lines[-1].to_json()).digest()
        return lines

    def transcript(self, end=None):
        """The record chained anew; ``end`` None: without a closing line."""
        lines = self.lines()
        if end is not None:
            lines.append(TranscriptLine(hashlib.sha256(lines[-1].to_json()).digest(), end))
        return Transcript._restore(lines, self.blobs)

    def under_old_signatures(self):
        """What somebody without a key can do: chain it anew, and count the end right."""
        open_ = self.transcript()
        return self.transcript(Closing(*open_.tail, self.old_end.signatures))

    def closed_honestly(self):
        """Every honest client signs, if it signs: it looks for its own last message first."""
        open_, signatures = self.transcript(), []
        ends = open_.ends([client.name for client in self.run.parties.clients])
        for client in self.run.parties.clients:
            try:
                signatures.append((client.name, client.sign_closing(ends[client.name])))
            except IntegrityError:
                pass
        return self.transcript(Closing(*open_.tail, tuple(signatures)))

    def closed_by(self, *names):
        """These clients sign whatever it is: they deviate."""
        open_ = self.transcript()
        statement = closing_statement(open_.manifest.id, *open_.tail)
        return self.transcript(Closing(*open_.tail, tuple((n, self.identities[n].sign(statement)) for n in names)))

    def verify(self, transcript):
        return verify(transcript, self.pin, self.heads)
