"""What one client can do to the end of a round and to the record of the others: nothing that is not named."""

import hashlib
from dataclasses import replace
from functools import partial

import msgspec
import pytest

from hefl_core.checks.claims.ledger import check_claims
from hefl_core.checks.lying_clients import Honest, _stage
from hefl_core.errors import HeflError, IntegrityError, RoundError, RuntimeUnavailable, WireError
from hefl_core.federation.outside import MAX_TEXT, Whereabouts, reason
from hefl_core.federation.post import Post
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.grammar import Conversation
from hefl_core.federation.record.proceedings import Proceedings
from hefl_core.federation.record.protocol_table import ProtocolRow
from hefl_core.federation.record.transcript import MAX_LINE_BYTES, LeftOut, Transcript, Unsent, closing_statement
from hefl_core.federation.record.verify import pin_of, verify, verify_file
from hefl_core.keys.sealing import SealedBody
from hefl_core.ops.metrics import OTHER, Metrics
from hefl_core.runtime.calls import Refusal, error_of
from hefl_core.runtime.result import ClaimVerdict
from hefl_core.runtime.run import Run
from hefl_core.terms import messages as m
from hefl_core.terms.admission import Links
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.letter import Letter, Work
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position, SignedHeader
from tests.conftest import finished
from tests.security.forging import Record
from tests.security.hostile import World, names

ALONE = Experiment(
    dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=4, rounds=2, epoch_rounds=2
)
TOGETHER = ALONE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
FIRST = Position(1, 1)
ALL = names(1, 2, 3, 4)


def play(kind, experiment):
    """A run with this class in client 1's place, and the error that ended it, if one did."""
    run = Run(experiment, stage=partial(_stage, kind))
    try:
        for _ in run.steps():
            pass
    except HeflError as error:
        return run, error
    return run, None


def done(run):
    return {party.name: party.rounds_done for party in (run.parties.coordinator, run.parties.auditor)}


def invented(client, position, **changes):
    """A receipt that nobody had to decrypt for: sum, state and headers are public."""
    message = client.message(position, m.SUM, "coordinator", m.EncryptedSum)
    total = client.envelope(position, m.SUM, "coordinator").header.digest
    updates = tuple(item.header.digest for item in message.updates)
    said = replace(m.Receipt(total, m.next_state(client.state, client._plan, updates, total)), **changes)
    return client.compose(m.RECEIPT, position, ("coordinator", "auditor"), encode(said))


# -- receipts ------------------------------------------------------------------------------------------------------


class DamagedPart(Honest):
    """In the last round its part is damaged, and it says that it applied the sum."""

    def partial_decryption(self, position):
        if position.round < 2:
            return super().partial_decryption(position)
        real = self.scheme.partial_decrypt

        def damaged(*arguments, **more):
            part = real(*arguments, **more)
            blocks = tuple(block[:-64] + bytes(byte ^ 1 for byte in block[-64:]) for block in part.blocks)
            return replace(part, blocks=blocks)

        object.__setattr__(self.scheme, "partial_decrypt", damaged)
        try:
            return super().partial_decryption(position)
        finally:
            object.__delattr__(self.scheme, "partial_decrypt")

    def apply(self, position):
        if position.round < 2:
            return super().apply(position)
        return self.answer(position, m.RECEIPT, lambda: invented(self, position))


class NoPart(DamagedPart):
    """It gives no part at all."""

    def partial_decryption(self, position):
        return None if position.round == 2 else super().partial_decryption(position)


class NoPartOnce(NoPart):
    """It gives none in the first attempt, and then keeps to the protocol: for the others a holder that was away."""

    def partial_decryption(self, position):
        if (position.round, position.attempt) == (2, 1):
            raise RuntimeUnavailable("client-1: away")
        return Honest.partial_decryption(self, position)

    def apply(self, position):
        return super().apply(position) if position.attempt == 1 else Honest.apply(self, position)


@pytest.mark.parametrize("custody", ["2-of-4", "3-of-4"])
def test_an_invented_receipt_after_a_damaged_part_ends_no_round(custody):
    run, error = play(DamagedPart, TOGETHER.but(custody=custody))
    assert isinstance(error, IntegrityError) and "a partial decryption is missing" in str(error)
    assert done(run) == {"coordinator": 1, "auditor": 1} and len(run.result().rounds) == 1
    assert [client.rounds_done for client in run.parties.clients] == [1, 1, 1, 1]
    said = {note.party for note in run.transcript.left_out if note.step == "apply"}
    assert said == {"client-2", "client-3", "client-4"}


def test_without_the_number_of_receipts_it_did(monkeypatch):
    """The control: while one receipt was enough, the run ended as if all had been well."""

    def one_is_enough(found, need, number):
        if not found:
            raise RoundError("nobody applied it")

    monkeypatch.setattr("hefl_core.federation.party.check_receipts", one_is_enough)
    monkeypatch.setattr("hefl_core.federation.post.check_receipts", one_is_enough)
    run, error = play(DamagedPart, TOGETHER)
    assert error is None and len(run.rounds) == 2
    assert [client.rounds_done for client in run.parties.clients] == [1, 1, 1, 1]


def test_an_invented_receipt_without_a_part_is_refused_before_it_is_recorded(monkeypatch):
    """Nobody is asked for a receipt when a part is missing; a coordinator that asks all the same records none."""
    monkeypatch.setattr(Post, "check_parts", lambda *_: None)
    run, error = play(NoPart, TOGETHER)
    notes = " ".join(note.reason for note in run.transcript.left_out)
    assert error is not None and "expected the partial of client-1 before it" in notes
    assert done(run) == {"coordinator": 1, "auditor": 1}
    assert not [sent for sent in run.transcript.of_round(2) if sent.step == m.RECEIPT]


def test_a_holder_that_is_away_costs_an_attempt_and_no_round():
    run, error = play(NoPartOnce, TOGETHER)
    assert error is None and len(run.rounds) == 2 and run.transcript.sent[-1].position.attempt == 2
    assert verify(run.transcript, pin_of(run.transcript), ClientHeads.of(run.transcript)).receipts == (4, 4)


class AwayAtTheEnd:
    """Clients 3 and 4 get the sum and give no answer ``times`` times: two receipts are fewer than min_cohort."""

    def __init__(self, run, times):
        self.left = {client.name: times for client in run.parties.clients[2:]}
        for client in run.parties.clients[2:]:
            client.apply = partial(self.apply, client, client.apply)

    def apply(self, client, answer, position):
        if position.round == 1 and self.left[client.name]:
            self.left[client.name] -= 1
            raise RuntimeUnavailable(f"{client.name}: away")
        return answer(position)


@pytest.mark.parametrize("experiment", [ALONE, TOGETHER], ids=["alone", "together"])
def test_those_who_were_away_are_asked_again_and_no_second_sum_is_made(experiment):
    """Another attempt would be a second sum beside one that two clients applied: their models would part."""
    run = Run(experiment)
    steps = run.steps()
    next(steps)
    AwayAtTheEnd(run, 1)
    for _ in steps:
        pass
    transcript = run.transcript
    assert {sent.position.attempt for sent in transcript.sent} == {1} and len(run.rounds) == 2
    assert verify(transcript, pin_of(transcript), ClientHeads.of(transcript)).receipts == (4, 4)
    assert len({client.state for client in run.parties.clients}) == 1


def test_those_who_stay_away_end_the_run_by_name():
    run = Run(ALONE)
    steps = run.steps()
    next(steps)
    AwayAtTheEnd(run, 3)
    with pytest.raises(RuntimeUnavailable, match="client-3: away"):
        list(steps)
    assert done(run) == {"coordinator": 0, "auditor": 0}


def confirmed(kind=ALONE):
    """Four clients and a confirmed sum, and nobody's receipt yet."""
    world = World(kind)
    world.sum_of(FIRST, ALL)
    return world


LIES = {
    "another sum": ({"sum": bytes(32)}, "for a sum that was not sent"),
    "another state": ({"state": bytes(32)}, "followed another history"),
}


@pytest.mark.parametrize("party", ["coordinator", "auditor"])
@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_receipt_is_refused_where_it_arrives(lie, party):
    world = confirmed()
    changes, message = LIES[lie]
    with pytest.raises((RoundError, IntegrityError), match=message):
        world.deliver(invented(world.clients["client-1"], FIRST, **changes), party)
    assert getattr(world, party).rounds_done == 0 and not getattr(world, party).received(FIRST, m.RECEIPT)


@pytest.mark.parametrize("party", ["coordinator", "auditor"])
@pytest.mark.parametrize("lie", LIES)
def test_without_its_check_it_was_kept(lie, party, monkeypatch):
    """The control: one check of one party is off, and this party keeps what it refuses above."""
    monkeypatch.setattr(f"hefl_core.federation.{party}.check_receipt", lambda *_: None)
    world = confirmed()
    world.deliver(invented(world.clients["client-1"], FIRST, **LIES[lie][0]), party)
    assert list(getattr(world, party).received(FIRST, m.RECEIPT)) == ["client-1"]


@pytest.mark.parametrize("party", ["coordinator", "auditor"])
def test_a_receipt_before_the_confirmation_is_refused(party):
    world = World(ALONE)
    world.deliver(world.list_of(FIRST, ALL), "auditor", *ALL)
    world.uploads(FIRST, ALL)
    world.deliver(world.coordinator.aggregate(FIRST).envelope, "auditor", *ALL)
    early = invented(world.clients["client-1"], FIRST)
    with pytest.raises(RoundError, match="could not be opened yet"):
        world.deliver(early, party)
    world.deliver(world.auditor.confirm(FIRST).envelope, "coordinator", *ALL)
    world.deliver(early, party)  # the control: it was its time alone that was wrong


@pytest.mark.parametrize("party", ["coordinator", "auditor"])
def test_as_many_receipts_as_min_cohort_close_a_round(party):
    world = confirmed()
    closing = getattr(world, party)
    for count, name in enumerate(names(1, 2, 3)):
        with pytest.raises(RoundError, match="no client applied" if not count else f"expected receipts.*found {count}"):
            closing.close(FIRST)
        assert closing.rounds_done == 0
        world.applied(FIRST, name)
    closing.close(FIRST)
    assert closing.rounds_done == 1 and closing.state == world.clients["client-1"].state


# -- a record that stays whole -------------------------------------------------------------------------------------


class SignsAnyEnd(Honest):
    """Whatever the record leaves out of its own, it signs the end."""

    def sign_closing(self, end):
        last = msgspec.json.decode(end.lines[0])["entry"]["head"]["header"]["sequence"]
        digest = next(one.header.digest for one in self.told if one.header.sequence == last)
        return self.identity.sign(closing_statement(self.manifest.id, *end.check(self.name, digest)))


def quiet(kind, /, only=2, body=None, work=(), **changes):
    """A client whose message of one kind has a properly signed header that says something else."""

    class Quiet(SignsAnyEnd):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.told, compose = [], self._outbox.compose
            self._outbox.compose = lambda *a, **k: self.otherwise(compose(*a, **k))

        def otherwise(self, envelope):
            header, box = envelope.header, self._outbox
            if header.kind == kind and header.position.round == only:
                header = replace(header, **{name: change(header) for name, change in changes.items()})
                content = envelope.body if body is None else body(envelope.body) if callable(body) else body
                if body is not None:
                    header = replace(header, content_nbytes=len(content), content_digest=sha256(content))
                envelope = Envelope(header, self.identity.sign(encode(header)), content)
                box._previous, box._sequence = header.digest, header.sequence + 1
                box.unrecorded = (*box.unrecorded[:-1], envelope.signed_header)
            self.told.append(envelope.signed_header)
            return envelope

        def reported(self, position, step):
            super().reported(position, step)
            return work if (step, position.round) == (kind, only) else ()

    return Quiet


def sha256(raw):
    return hashlib.sha256(raw).digest()


def commits_to(**changes):
    """The same commitment with other fields: no form of the message is broken."""
    return lambda told: encode(replace(decode(told, m.Commitment), **changes))


class LostNumber(SignsAnyEnd):
    """Before its commitment it made a receipt that "was lost": signed, chained, and of as many bytes as it has examples."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.told, compose = [], self._outbox.compose

        def lost_before(kind, position, *more, **fields):
            envelope, box = compose(kind, position, *more, **fields), self._outbox
            if (kind, position.round) == (m.COMMITMENT, 2):
                receipt = next(one.header for one in self.told if one.header.kind == m.RECEIPT)
                lost = replace(
                    *(receipt,),
                    sequence=envelope.header.sequence,
                    previous=envelope.header.previous,
                    content_nbytes=113,
                )
                header = replace(envelope.header, sequence=lost.sequence + 1, previous=lost.digest)
                envelope = Envelope(header, self.identity.sign(encode(header)), envelope.body)
                box._previous, box._sequence = header.digest, header.sequence + 1
                signed = SignedHeader(lost, self.identity.sign(encode(lost)))
                box.unrecorded = (*box.unrecorded[:-1], signed, envelope.signed_header)
                self.told.append(signed)
            self.told.append(envelope.signed_header)
            return envelope

        self._outbox.compose = lost_before


EXAMPLES = (113).to_bytes(32, "big")
COUNTED = {"blocks": lambda header: header.blocks + 113}
WEIGHED = {"content_nbytes": lambda header: 113}
ANOTHER = {"length": lambda header: header.length + 1}
LISTED = {"commitments": lambda header: b"x" * 32}
UNCHAINED = {"previous": lambda header: bytes(32)}
QUIET = {
    "no lie": (ALONE, quiet("none")),
    "a commitment of d + 1": (ALONE, quiet(m.COMMITMENT, **ANOTHER)),
    "a commitment that names a list": (ALONE, quiet(m.COMMITMENT, **LISTED)),
    "a commitment that forks its chain": (ALONE, quiet(m.COMMITMENT, **UNCHAINED)),
    "a receipt of d + 1": (ALONE, quiet(m.RECEIPT, **ANOTHER)),
    "a receipt that names a list": (ALONE, quiet(m.RECEIPT, **LISTED)),
    "a receipt with a number left out": (ALONE, quiet(m.RECEIPT, sequence=lambda header: header.sequence + 7)),
    "a holder ready for d + 1": (TOGETHER, quiet(m.READY, **ANOTHER)),
    "a kind that it may not say": (ALONE, quiet(m.COMMITMENT, kind=lambda header: "roster")),
    "a kind that there is not": (ALONE, quiet(m.COMMITMENT, kind=lambda header: "gossip")),
    "another receiver": (ALONE, quiet(m.COMMITMENT, recipients=lambda header: ("coordinator", "auditor"))),
    "a key id of 5 MiB": (ALONE, quiet(m.COMMITMENT, key_id=lambda header: "k" * (5 << 20))),
    "a commitment of no form": (ALONE, quiet(m.COMMITMENT, body=b"\xc1")),
    "a receipt of another state": (ALONE, quiet(m.RECEIPT, body=encode(m.Receipt(bytes(32), bytes(32))))),
    "ready for another sum": (TOGETHER, quiet(m.READY, body=encode(m.Ready(bytes(32), bytes(32))))),
    "a digest of another length": (ALONE, quiet(m.RECEIPT, content_digest=lambda header: b"y")),
    "a commitment that counts ciphertexts": (ALONE, quiet(m.COMMITMENT, **COUNTED)),
    "a receipt that counts ciphertexts": (ALONE, quiet(m.RECEIPT, **COUNTED)),
    "an upload of more ciphertexts": (ALONE, quiet(m.UPDATE, **COUNTED)),
    "a part that counts ciphertexts": (TOGETHER, quiet(m.PARTIAL, **COUNTED)),
    "a commitment of another size": (ALONE, quiet(m.COMMITMENT, **WEIGHED)),
    "a receipt of another size": (ALONE, quiet(m.RECEIPT, **WEIGHED)),
    "a receipt of one byte more": (ALONE, quiet(m.RECEIPT, content_nbytes=lambda header: header.content_nbytes + 1)),
    "an upload of another size": (ALONE, quiet(m.UPDATE, **WEIGHED)),
    "a part of another size": (TOGETHER, quiet(m.PARTIAL, **WEIGHED)),
    "a part of one byte more": (TOGETHER, quiet(m.PARTIAL, content_nbytes=lambda header: header.content_nbytes + 1)),
    "a part whose digest is a number": (TOGETHER, quiet(m.PARTIAL, content_digest=lambda header: EXAMPLES)),
    "a commitment to so many bytes": (ALONE, quiet(m.COMMITMENT, body=commits_to(nbytes=113))),
    "a commitment to a number": (ALONE, quiet(m.COMMITMENT, body=commits_to(ciphertext_digest=EXAMPLES))),
    "a spare that is a number": (TOGETHER, quiet(m.COMMITMENT, body=commits_to(spares=(EXAMPLES,) * 2))),
    "a lost receipt of another size": (ALONE, LostNumber),
    "its costs with it": (ALONE, quiet(m.COMMITMENT, work=(Work("train", 1.5, 1.5),))),
}


@pytest.mark.parametrize("lie", QUIET)
def test_the_record_of_the_others_stays_whole(lie):
    """What has no place is a note of bounded length; the run goes on without this client, and its record verifies."""
    run, error = play(QUIET[lie][1], QUIET[lie][0])
    assert error is None and len(run.rounds) == 2, error
    transcript = run.transcript
    heads = {name: head for name, head in ClientHeads.of(transcript).heads.items() if name != "client-1"}
    assert verify(transcript, pin_of(transcript), ClientHeads(transcript.manifest.id, heads)).authenticated
    (inputs,) = (one for one in check_claims(run.result()).claims if one.id == "inputs-allowed")
    # one client cannot turn the row red: what it would say is refused before it is on record
    assert inputs.verdict is not ClaimVerdict.FAILS, inputs.evidence
    refused = [note for note in transcript.left_out if note.party == "coordinator" and "client-1" in note.step]
    assert bool(refused) == (lie != "no lie") and max(map(len, (line.to_json() for line in transcript.lines))) < 1 << 16


class Unreadable(Honest):
    """In the second round its upload opens for nobody; the header is as it must be."""

    def _make_upload(self, position):
        made = super()._make_upload(position)
        return made if position.round < 2 else Envelope(made.header, made.signature, made.body[:-40] + bytes(40))


def test_an_upload_that_nobody_can_open_turns_no_row_red():
    """It is on record and nobody can compare it: once that was a failure of the row, now it is said that it was not checked."""
    run, error = play(Unreadable, ALONE)
    assert error is None and verify(run.transcript, pin_of(run.transcript)).authenticated
    result = check_claims(run.result())
    assert not result.failed
    (missing,) = (one for one in result.claims if one.holds is None)
    assert missing.id == "inputs-allowed" and "update of client-1, round 2" in missing.evidence


@pytest.mark.parametrize("lie", [lie for lie in QUIET if lie != "no lie"])
def test_without_the_ruling_of_the_post_it_broke(lie, monkeypatch):
    """The control: recorded as they came, as they were, each of these made the record unverifiable, or the run end."""
    monkeypatch.setattr(Post, "_judge", lambda self, entry: None)
    monkeypatch.setattr(ProtocolRow, "check", lambda *_: None)
    monkeypatch.setattr(Links, "check", lambda *_: None)
    run, error = play(QUIET[lie][1], QUIET[lie][0])
    monkeypatch.undo()
    if error is None:
        with pytest.raises(IntegrityError, match="line "):
            verify(run.transcript, pin_of(run.transcript))


def test_parties_ask_the_same_row():
    """Without a post: the coordinator takes no commitment of another form, and none beside its sender's chain."""
    for changes, message in ((ANOTHER, "expected d ="), (LISTED, "it names a list"), (UNCHAINED, "does not follow")):
        world = World(ALONE, {1: quiet(m.COMMITMENT, **changes)})
        round_of(world, FIRST)
        second = replace(FIRST, round=2)
        world.deliver(world.coordinator.plan(second).envelope, "auditor", *ALL)
        with pytest.raises(IntegrityError, match=message):
            world.deliver(world.said("client-1", "commit", second), "coordinator")
        world.deliver(world.said("client-2", "commit", second), "coordinator")


def round_of(world, position):
    world.sum_of(position, ALL)
    world.applied(position, *ALL)
    for party in (world.coordinator, world.auditor):
        party.close(position)


# -- length --------------------------------------------------------------------------------------------------------


CHOSEN = (
    "attempt 1 attempt 1 attempt 3",
    "\u00b9\u00b9\u00b3 examples",
    "round 999 of client-113",
    "no\x1b[2J\n",
    "round 1",
)


@pytest.mark.parametrize("text", CHOSEN)
def test_a_refusal_turns_no_row_red_and_puts_no_number_on_record(text):
    """Whatever it says in its refusal of round 2: the post lets through what the row allows."""

    class Refuses(Honest):
        def commit(self, position):
            if position.round == 2:
                raise RoundError(text)
            return super().commit(position)

    run, error = play(Refuses, ALONE)
    assert error is None and verify(run.transcript, pin_of(run.transcript)).notes
    (said,) = {note.reason for note in run.transcript.left_out if note.step == "commit"}
    assert text not in said and not {"113", "999", "3"} & set(said.split())
    (inputs,) = (one for one in check_claims(run.result()).claims if one.id == "inputs-allowed")
    assert inputs.verdict is ClaimVerdict.HOLDS, inputs.evidence


def letters_of(change):
    """A client that answers in round 2 with a letter whose header it changed, and signed."""

    class Letters(Honest):
        def commit(self, position):
            letter = super().commit(position)
            if position.round == 1:
                return letter
            header = change(letter.envelope.header)
            return Letter.of(Envelope(header, self.identity.sign(encode(header)), letter.envelope.body))

    return Letters


WORDS = {
    "its kind": lambda header: replace(header, kind="cxiii examples"),
    "its sender": lambda header: replace(header, sender="cxiii"),
    "its receivers": lambda header: replace(header, recipients=("coordinator", "cxiii")),
    "its place": lambda header: replace(header, position=replace(header.position, round=113, attempt=3)),
    "its key": lambda header: replace(header, key_id="cxiii"),
    "its digests": lambda header: replace(header, plan=bytes.fromhex("deadbeeffade") + bytes(26)),
}


@pytest.mark.parametrize("where", WORDS)
def test_a_refusal_of_an_answer_repeats_no_word_of_its_sender(where):
    run, error = play(letters_of(WORDS[where]), ALONE)
    assert error is None
    said = [note.reason for note in run.transcript.left_out]
    assert said and not any(word in one for one in said for word in ("cxiii", "113", "attempt 3", "dead")), said
    (inputs,) = (one for one in check_claims(run.result()).claims if one.id == "inputs-allowed")
    assert inputs.verdict is not ClaimVerdict.FAILS, inputs.evidence


class LongRefusal(Honest):
    def commit(self, position):
        if position.round == 2:
            raise RoundError("no " * (2 << 20))
        return super().commit(position)


def test_a_long_refusal_breaks_no_record(tmp_path):
    run, error = play(LongRefusal, ALONE)
    assert error is None
    run.transcript.save(tmp_path / "t.jsonl")
    assert Transcript.load(tmp_path / "t.jsonl").closed and verify_file(tmp_path / "t.jsonl").notes
    assert max(len(note.reason) for note in run.transcript.left_out) < MAX_TEXT + 20


def test_what_is_told_from_elsewhere_is_cut_where_it_arrives():
    told = error_of(Refusal("RoundError", "no " * (2 << 20)))
    assert type(told) is RoundError and len(str(told)) == MAX_TEXT
    assert len(reason(WireError("x" * (5 << 20)), Whereabouts("client-1", "commit", FIRST, 4))) < MAX_TEXT + 20
    metrics = Metrics("coordinator")
    for kind in ("RoundError", "K" * 3_000_000, "J" * 3_000_000, "Any"):
        metrics.refusal(kind)
    said = metrics.exposition().decode()
    assert 'reason="RoundError"} 1.0' in said and f'reason="{OTHER}"}} 3.0' in said and len(said) < 1 << 16


def test_no_line_is_longer_than_readers_read(small_run):
    record = Transcript._restore(small_run.transcript.lines[:-1], small_run.transcript.blobs)
    before = record.tail
    with pytest.raises(WireError, match=f"at most {MAX_LINE_BYTES} bytes"):
        record.note(LeftOut("client-1", "commit", FIRST, "x" * (5 << 20)))
    assert record.tail == before


# -- what the verifier took ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone():
    return finished(ALONE)


def changed(kind, sender=None, **fields):
    def forge(record):
        at = record.at(kind, sender, 1)
        fresh = {name: change(record.entries[at]) for name, change in fields.items()}
        record.entries[at] = msgspec.structs.replace(record.entries[at], **fresh)

    return forge


def noted(party, position):
    return lambda record: record.entries.insert(
        20, LeftOut(party, "receive plan", position, "IntegrityError: invented")
    )


def one_receipt(record):
    for at, entry in enumerate(record.entries):
        if getattr(entry, "step", "") == m.RECEIPT and entry.sender != "client-1":
            record.entries[at] = Unsent(entry.head)


def sealed_to_another(record):
    """A wrap of client 1's upload is for somebody whom nobody knows; every size stays."""
    at = record.at(m.UPDATE, "client-1", 1)
    entry = record.entries[at]
    old = decode(record.blobs[entry.body], SealedBody)
    wraps = tuple(replace(one, recipient=one.recipient.replace("auditor", "mallory")) for one in old.wraps)
    body = encode(replace(old, wraps=wraps))
    record.blobs[sha256(body)] = body
    record.entries[at] = msgspec.structs.replace(entry, body=sha256(body))


def as_they_arrived(record):
    first, last = record.at(m.COMMITMENT, "client-1", 2), record.at(m.COMMITMENT, "client-4", 2)
    record.entries[first], record.entries[last] = record.entries[last], record.entries[first]


def said_in_a_note(step, text):
    return lambda record: record.entries.append(LeftOut("client-2", step, FIRST, f"RoundError: {text}"))


FORGERIES = {
    "commitments in another order": (as_they_arrived, "expected commitments in the roster's order, found it after"),
    "an upload sealed to another": (sealed_to_another, "expected it sealed to the receivers that its header names"),
    "a note of two lines": (said_in_a_note("commit", "no\nline 9: all well"), "text of one printable line"),
    "a note that clears the screen": (said_in_a_note("commit\x1b[2J", "no"), "step of one printable line"),
    "a note of 300 kB": (said_in_a_note("commit", "x" * 300_000), "text of one printable line"),
    "a client's training time": (
        changed(m.COMMITMENT, "client-1", work=lambda entry: (Work("train", 1.2, 1.2),)),
        "expected no cost of a client",
    ),
    "a cost below nothing": (
        changed(m.SUM, work=lambda entry: (Work("aggregate", -1e308, 1.0),)),
        "expected costs in seconds",
    ),
    "a step's name of 100,000 letters": (
        changed(m.SUM, work=lambda entry: (Work("a" * 100_000, 1.0, 1.0),)),
        "expected costs in seconds",
    ),
    "a note at round 99": (noted("client-2", Position(1, 99)), "note: expected a place"),
    "a note at position -5": (noted("client-2", Position(-5, 1)), "note: expected a place"),
    "a note of a look-alike": (noted("Ｃlient-2", FIRST), "note: expected a party"),
    "a note of a digit that looks alike": (noted("client-２", FIRST), "note: expected a party"),
    "all receipts but one that nobody got": (one_receipt, "expected receipts of at least 3 clients"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_was_accepted_without_a_word_is_named(name, alone):
    forge, message = FORGERIES[name]
    record = Record(alone)
    forge(record)
    with pytest.raises(IntegrityError, match=message):
        record.verify(record.closed_honestly())


CHECKS = {
    "commitments in another order": (Conversation, "_check_order"),
    "an upload sealed to another": (
        "hefl_core.federation.record.proceedings.readers_of",
        lambda body: ("coordinator", "auditor"),
    ),
    "a note that clears the screen": (Proceedings, "noted"),
    "a client's training time": ("hefl_core.federation.record.proceedings._check_work", lambda *_: None),
    "a note at round 99": (Proceedings, "noted"),
    "a note of a look-alike": (Proceedings, "noted"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_without_its_check_it_is_accepted_again(name, alone, monkeypatch):
    owner, rule = CHECKS[name]
    monkeypatch.setattr(owner, rule) if isinstance(owner, str) else monkeypatch.setattr(owner, rule, lambda *_: None)
    record = Record(alone)
    FORGERIES[name][0](record)
    assert record.verify(record.closed_honestly()).authenticated


def test_the_verdict_names_the_receipts(alone):
    record = Record(alone)
    verdict = record.verify(record.closed_honestly())
    assert verdict.receipts == (4, 4) and "receipts of 4 clients in rounds 1 to 2" in str(verdict)


class Frames(Honest):
    """Leaves a number out, and names another party as the author of what it never sent."""

    victim = "auditor"

    def unrecorded(self, after):
        heads = super().unrecorded(after)
        return tuple(replace(head, header=replace(head.header, sender=self.victim)) for head in heads)

    def commit(self, position):
        if position.round == 2:
            self._outbox.compose(m.READY, position, ALL, b"nobody gets this", key_id="k", plan=b"", state=b"", length=0)
        return super().commit(position)


@pytest.mark.parametrize("victim", ["auditor", "client-3", "kms"])
def test_nobody_speaks_for_another_party(victim):
    run, error = play(type("Framer", (Frames,), {"victim": victim}), ALONE)
    notes = [line.entry for line in run.transcript.lines if isinstance(line.entry, LeftOut)]
    assert error is None and any("expected headers of client-1" in one.reason for one in notes), (error, notes)
    heads = {name: head for name, head in ClientHeads.of(run.transcript).heads.items() if name != "client-1"}
    assert verify(run.transcript, pin_of(run.transcript), ClientHeads(run.transcript.manifest.id, heads)).authenticated
