"""Records for the evidence tests, honest and forged, and the JavaScript that checks them in Node."""

import hashlib
import json
import subprocess
from dataclasses import replace

import msgspec
import pytest

from benchmarks.evidence_tampers import NODE, RUNS, Checkers, finished, place
from hefl_core.checks.damage import transcripts as damage
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import Sent, TranscriptLine, read_line
from hefl_core.federation.record.verify import pin_of
from hefl_core.terms.messages import EncryptedSum
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import SignedHeader

needs_node = pytest.mark.skipif(NODE is None, reason="no node on this machine")


def run_in_node(folder, body, given):
    """What ``body`` returns, the end of an async function with ``given``; it imports modules from this folder."""
    (folder / "one.mjs").write_text(
        'import { readFileSync } from "node:fs";\nconst given = JSON.parse(readFileSync(0, "utf8"));\n'
        f"const work = async () => {{ {body} }};\nprocess.stdout.write(JSON.stringify(await work()));"
    )
    command = [NODE, "one.mjs"]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def parts(name):
    """(lines, blobs, transcript) of an honest run."""
    transcript = finished(name).transcript
    return transcript.to_bytes(), dict(transcript.blobs), transcript


def trusted(transcript):
    return pin_of(transcript), ClientHeads.of(transcript)


def chained(lines, run=None):
    """Lines chained anew, and closed under every client's key where ``run`` is given."""
    lines = list(lines)
    if run is None:
        damage._chain(lines)
    else:
        damage._chain(kept := lines[:-1])
        lines = damage._close(run, kept)
    return b"\n".join(lines) + b"\n"


def signed_by_another(name):
    """client-2's first message under client-1's signature; the end is signed by all."""
    run, lines = finished(name), parts(name)[0][:-1].split(b"\n")
    at, line = next(
        (n, x)
        for n, x in enumerate(map(read_line, lines))
        if isinstance(x.entry, Sent) and x.entry.sender == "client-2"
    )
    head, forger = line.entry.head, run.parties.clients[0].identity
    forged = msgspec.structs.replace(line.entry, head=SignedHeader(head.header, forger.sign(encode(head.header))))
    lines[at] = TranscriptLine(line.previous, forged).to_json()
    return chained(lines, run), parts(name)[1]


def ends_early(name):
    """A record without its last receipt, with a closing that every client signed: only heads can tell."""
    run, lines = finished(name), parts(name)[0][:-1].split(b"\n")
    last = max(
        n
        for n, line in enumerate(map(read_line, lines))
        if isinstance(line.entry, Sent) and line.entry.step == "receipt"
    )
    del lines[last]
    return chained(lines, run), parts(name)[1]


def said_twice(name):
    """The messages of the first attempt again, after its end; the end is signed by all."""
    run, lines = finished(name), parts(name)[0][:-1].split(b"\n")
    read = [read_line(line).entry for line in lines]
    attempt = [n for n, one in enumerate(read) if isinstance(one, Sent) and one.position.round == 1]
    lines[attempt[-1] + 1 : attempt[-1] + 1] = [lines[n] for n in attempt]
    return chained(lines, run), parts(name)[1]


def another_run(name):
    """A whole other record of the same kind, under the first one's pin: a substituted roster."""
    transcript = finished(name, 1).transcript
    return transcript.to_bytes(), dict(transcript.blobs)


def spelled_otherwise(old, new):
    """One value of a line in another encoding of the same value."""

    def forge(name):
        raw, blobs, _ = parts(name)
        assert old in raw
        return raw.replace(old, new, 1), blobs

    return forge


def replaced_sum(name):
    """Another body under the sum's name."""
    raw, blobs, transcript = parts(name)
    sent = next(one for one in transcript.sent if one.step == "sum")
    body = bytearray(blobs[sent.body])
    body[len(body) // 3] ^= 1
    return raw, blobs | {sent.body: bytes(body)}


def false_sum(name):
    """One number of the sum's ciphertext is another, and the coordinator signed it; the end is signed by all."""
    run, lines = finished(name), parts(name)[0][:-1].split(b"\n")
    blobs = dict(parts(name)[1])
    at, line = next(
        (n, x) for n, x in enumerate(map(read_line, lines)) if isinstance(x.entry, Sent) and x.entry.step == "sum"
    )
    told = decode(blobs[line.entry.body], EncryptedSum)
    block = bytearray(told.total.blocks[0])
    least = len(block) - (1 if name == "paillier" else 8)  # the lowest byte of the last number
    block[least] += 1 if block[least] == 0 else -1
    body = encode(replace(told, total=replace(told.total, blocks=(bytes(block), *told.total.blocks[1:]))))
    digest = hashlib.sha256(body).digest()
    header = replace(line.entry.head.header, content_digest=digest)
    head = SignedHeader(header, run.parties.coordinator.identity.sign(encode(header)))
    lines[at] = TranscriptLine(line.previous, msgspec.structs.replace(line.entry, head=head, body=digest)).to_json()
    return chained(lines, run), blobs | {digest: body}


FORGERIES = {
    "signed by another client": signed_by_another,
    "ends early, signed by all": ends_early,
    "an attempt said twice": said_twice,
    "a substituted roster": another_run,
    "a false sum": false_sum,
    "a replaced sum": replaced_sum,
    "a number as a float": spelled_otherwise(b'"attempt":1', b'"attempt":1.0'),
    "a number with a zero before it": spelled_otherwise(b'"sequence":1,', b'"sequence":01,'),
    "a letter escaped": spelled_otherwise(b'"step":"plan"', b'"step":"pl\\u0061n"'),
    "a space": spelled_otherwise(b'"step":"plan"', b'"step": "plan"'),
    "base64 without its end": spelled_otherwise(b'=","sealed"', b'","sealed"'),
    "base64 with spare bits": spelled_otherwise(b'A=="', b'B=="'),
    "a field twice": spelled_otherwise(b'"step":"plan"', b'"step":"plan","step":"plan"'),
    "a field that is unknown": spelled_otherwise(b'"step":"plan"', b'"step":"plan","more":1'),
    "a true as a number": spelled_otherwise(b'"sealed":false', b'"sealed":0'),
    "another line end": spelled_otherwise(b"}\n{", b"}\r\n{"),
}
__all__ = ["FORGERIES", "RUNS", "Checkers", "finished", "needs_node", "parts", "place", "run_in_node", "trusted"]
