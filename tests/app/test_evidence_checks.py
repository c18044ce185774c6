"""The evidence file's JavaScript: bytes as Python writes them, and a first break where ``hefl verify`` has it."""

import struct
from random import Random

import msgspec
import pytest

from benchmarks.evidence_tampers import measure
from hefl_core.errors import WireError
from hefl_core.federation.record.verify import verify
from hefl_core.keys.roster import Roster
from hefl_core.wire.canonical import decode, encode
from tests.app.evidence_runs import FORGERIES, RUNS, Checkers, needs_node, parts, place, run_in_node, trusted

pytestmark = needs_node


@pytest.fixture(scope="module")
def checkers(tmp_path_factory):
    return Checkers(tmp_path_factory.mktemp("evidence"))


WHOLE = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63, 2**64 - 1]
WHOLE += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**53), -(2**63)]


def floats():
    rng = Random(22)
    drawn = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(300)]
    edges = [0.0, -0.0, 1.0, 0.1, 1e-5, 9.99e-6, 1e-6, 1e15, 1e16, 123456789.125, 5e-324, 1.7976931348623157e308, -2.5]
    return [x for x in (*drawn, *edges, *(rng.random() for _ in range(50))) if x == x and abs(x) != float("inf")]


def test_messagepack_is_pythons(checkers):
    values = {
        "int": [(str(n), encode(n).hex()) for n in WHOLE],
        "float": [(repr(x), encode(x).hex()) for x in floats()],
        "text": [(t, encode(t).hex()) for t in ("", "a" * 31, "a" * 32, "é" * 200, "\u2028😀", "a" * 70_000)],
        "bytes": [("00" * n, encode(bytes(n)).hex()) for n in (0, 1, 255, 256, 65535, 65536)],
        "list": [("0" * n, encode((0,) * n).hex()) for n in (0, 15, 16, 65535, 65536)],
    }
    found = run_in_node(
        checkers.folder,
        """const s = await import("./shapes.js"), { hex, unhex } = await import("./hash.js");
        const shape = { ...s, list: s.list(s.int) };
        const value = { int: (t) => { const b = BigInt(t); return Number.isSafeInteger(Number(b)) ? Number(b) : b; }, float: Number,
          text: (t) => t, bytes: unhex, list: (t) => Array(t.length).fill(0) };
        return Object.entries(given).map(([name, all]) => all.filter(([said, raw]) =>
          hex(s.pack(shape[name], value[name](said))) !== raw || hex(s.pack(shape[name], s.unpack(shape[name], unhex(raw)))) !== raw
        ).map(([said]) => `${name} ${said.slice(0, 40)}`)).flat();""",
        values,
    )
    assert found == []


def test_only_one_encoding_of_a_value_is_read(checkers):
    """Each of these says a value that Python's decoder reads, in a form that it does not write."""
    others = {
        "int": ["cc05", "cd00ff", "ce0000ffff", "d005", "d0e0", "d1ffff", "cf0000000000000001", "05ff"],
        "text": ["d90161", "da000161", "a2c328", "db0000000161"],
        "bytes": ["c5000100", "c60000000100", "a100"],
        "list": ["dc000100", "dd0000000100"],
        "float": ["ca3f800000", "01"],
        "bool": ["00", "01"],
    }
    types = {"int": int, "text": str, "bytes": bytes, "list": tuple[int, ...], "float": float, "bool": bool}
    for name, all_ in others.items():
        for raw in all_:
            with pytest.raises(WireError):
                decode(bytes.fromhex(raw), types[name])
    read = run_in_node(
        checkers.folder,
        """const s = await import("./shapes.js"), { unhex } = await import("./hash.js");
        const shape = { ...s, list: s.list(s.int) };
        const reads = (name, raw) => { try { s.unpack(shape[name], unhex(raw)); return true; } catch { return false; } };
        return Object.entries(given).flatMap(([name, all]) => all.filter((raw) => reads(name, raw)));""",
        others,
    )
    assert read == []


def test_floats_of_a_line_are_spelled_as_python_spells_them(checkers):
    found = run_in_node(
        checkers.folder,
        """const s = await import("./shapes.js"), raw = (t) => new TextEncoder().encode(t);
        const reads = (t) => { try { return s.readLine(s.float, raw(t)); } catch { return null; } };
        return [given.map(reads),
          ["1", "1e0", "0.10", "+1.0", ".5", "1.", "1E5", "1e+16", "00.5", "NaN", "null", " 1.0"].map(reads)];""",
        [msgspec.json.encode(x).decode() for x in floats()],
    )
    assert list(map(float, found[0])) == floats() and set(found[1]) == {None}


@pytest.mark.parametrize("name", RUNS)
def test_an_honest_run_holds_with_the_counts_of_verify(checkers, name):
    lines, blobs, transcript = parts(name)
    (found,) = checkers.javascript([(name, lines, blobs, transcript)])
    verdict = verify(transcript, *trusted(transcript))
    assert found["broken"] is None and found["authenticated"] and found["left"] == 0
    counts = (verdict.lines, verdict.messages, verdict.rounds, verdict.sums, list(verdict.receipts), verdict.heads)
    assert counts == (
        *(found["lines"], found["messages"], found["rounds"], len(found["added"])),
        *(found["receipts"], found["heads"]),
    )
    assert tuple(found["signers"]) == verdict.signers
    first = next(sent.inline for sent in transcript.sent if sent.inline)
    roster = decode(first, Roster)
    assert found["rosters"][0] == {"epoch": 1, "digest": roster.digest.hex(), "fingerprint": roster.fingerprint}


def test_without_bodies_contents_are_not_checked_and_the_verdict_says_so(checkers):
    lines, _, transcript = parts("individual")
    (found,) = checkers.javascript([("individual", lines, None, transcript)])
    assert found["broken"] is None and not found["contents"] and found["added"] == []


@pytest.mark.parametrize("name", RUNS)
def test_a_forgery_breaks_where_verify_breaks(checkers, name):
    made = {kind: forge(name) for kind, forge in FORGERIES.items()}
    transcript = parts(name)[2]
    python = {kind: checkers.python(lines, blobs, *trusted(transcript)) for kind, (lines, blobs) in made.items()}
    found = checkers.javascript([(name, lines, blobs, transcript) for lines, blobs in made.values()])
    javascript = {kind: verdict["broken"] for kind, verdict in zip(made, found, strict=True)}
    assert all(python.values()) and all(javascript.values())
    assert {k: place(v) for k, v in javascript.items()} == {k: place(v) for k, v in python.items()}
    assert "adding the recorded updates again" in python["a false sum"]
    assert "adding the recorded updates again" in javascript["a false sum"]
    assert place(javascript["ends early, signed by all"]) in (
        "heads",
        f"line {len(made['ends early, signed by all'][0].splitlines())}",
    )


@pytest.mark.slow
def test_sixty_seeded_tampers_break_where_verify_breaks():
    """benchmarks/evidence_tampers.py does the same with 1,000."""
    found = list(measure(60, seed=22))
    assert len(found) == 60 and {one.run for one in found} == set(RUNS)
    assert [one for one in found if not one.same_place] == []
