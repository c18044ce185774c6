"""A record is a folder from somebody else: nothing in it makes ``verify`` wait, run out of memory or break with a traceback."""

import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from hefl_core.cli.main import main
from hefl_core.errors import DataError, HeflError, IntegrityError, WireError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import MAX_BLOBS, MAX_LINE_BYTES, Opening, Transcript, blob_folder
from hefl_core.federation.record.transcript_zip import pack, unpack
from hefl_core.federation.record.verify import CutOff, pin_of, verify, verify_file
from hefl_core.keys.roster import Member, Roster, RosterPin
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire import files
from hefl_core.wire.canonical import decode, encode
from tests.conftest import finished
from tests.security.forging import Record

SMALL = Experiment(dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=3, rounds=1)
SECONDS = 60


@pytest.fixture(scope="module")
def run():
    return finished(SMALL)


@pytest.fixture
def saved(run, tmp_path):
    path = tmp_path / "t.jsonl"
    run.transcript.save(path)
    return path


# -- what is no file -----------------------------------------------------------------------------------------------


def a_pipe(path):
    os.mkfifo(path)


def a_directory(path):
    path.mkdir()


def a_device(path):
    path.symlink_to("/dev/zero")


def a_socket(path):
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as end:
        end.bind(f"{short}/s")
        os.rename(f"{short}/s", path)


def a_loop(path):
    path.symlink_to(path)


THINGS = [a_pipe, a_directory, a_device, a_socket, a_loop]


@pytest.mark.parametrize("make", THINGS)
def test_a_record_that_is_no_file(make, tmp_path):
    make(tmp_path / "t.jsonl")
    with pytest.raises((DataError, OSError)):
        verify_file(tmp_path / "t.jsonl")
    with pytest.raises((DataError, OSError)):
        Transcript.load(tmp_path / "t.jsonl")


@pytest.mark.parametrize("make", THINGS)
def test_a_blob_that_is_no_file(make, saved, run):
    victim = blob_folder(saved) / run.transcript.sent[0].body.hex()
    victim.unlink()
    make(victim)
    with pytest.raises(IntegrityError, match="line 2: roster of kms: expected a regular file"):
        verify_file(saved)
    with pytest.raises(DataError, match="expected a regular file"):
        Transcript.load(saved)


@pytest.mark.parametrize("make", [*THINGS[:1], *THINGS[2:], lambda path: path.write_bytes(b"")])
def test_a_folder_of_blobs_that_is_none(make, saved):
    shutil.rmtree(blob_folder(saved))
    make(blob_folder(saved))
    with pytest.raises(IntegrityError, match="blobs: .*expected a folder"):
        verify_file(saved)


def test_no_link_leads_out_of_the_folder(saved, run, tmp_path):
    """The right bytes, but elsewhere: whoever unpacks a record has only what is in it."""
    victim = blob_folder(saved) / run.transcript.sent[0].body.hex()
    victim.rename(tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="line 2: .*regular file"):
        verify_file(saved)
    victim.unlink()
    shutil.copy(tmp_path / "elsewhere", victim)
    assert verify_file(saved).sums == 1
    blob_folder(saved).rename(tmp_path / "other")
    blob_folder(saved).symlink_to(tmp_path / "other")
    with pytest.raises(IntegrityError, match="expected a folder"):
        verify_file(saved)


def test_a_pipe_would_hang_where_a_file_is_simply_read(tmp_path):
    """The control: reading a pipe as files are read does not end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", f"open({str(tmp_path / 'pipe')!r}).read()"], timeout=2)


@pytest.mark.parametrize("option", ["--roster", "--heads"])
@pytest.mark.parametrize("make", THINGS)
def test_pin_and_heads_that_are_no_files(option, make, saved, tmp_path):
    make(tmp_path / "other")
    load = RosterPin.load if option == "--roster" else ClientHeads.load
    with pytest.raises(DataError):
        load(tmp_path / "other")


def test_what_cannot_be_read_is_named(saved, run, monkeypatch):
    """As for somebody who may not read a blob; the tests may run as root, who may."""
    victim = run.transcript.sent[0].body.hex()
    opened = os.open

    def forbidden(path, *arguments, **options):
        if path == victim:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(files.os, "open", forbidden)
    with pytest.raises(IntegrityError, match="line 2: .*Permission denied"):
        verify_file(saved)


# -- what is too much ----------------------------------------------------------------------------------------------


def test_sizes_are_known_before_anything_is_read(saved, run):
    blob = blob_folder(saved) / run.transcript.sent[0].body.hex()
    os.truncate(blob, 1 << 40)  # sparse: it takes no room, and all memory once it is read
    with pytest.raises(IntegrityError, match="line 2: roster of kms: expected at most .* bytes, found 1099511627776"):
        verify_file(saved)
    with pytest.raises(DataError, match="expected at most"):
        Transcript.load(saved)
    os.truncate(saved, 1 << 40)
    with pytest.raises(DataError, match="expected at most"):
        verify_file(saved)


def test_a_line_without_end_is_not_read(saved):
    with saved.open("ab") as file:
        file.truncate(1 << 30)
    started = time.monotonic()
    with pytest.raises(IntegrityError, match="a longer one"):
        verify_file(saved)
    assert time.monotonic() - started < SECONDS


def test_a_million_files_are_not_looked_at(saved, monkeypatch):
    """Only blobs that a line names are opened; where all are taken in, their number is bounded."""
    for number in range(2000):
        (blob_folder(saved) / f"{number:064x}").write_bytes(b"x")
    listed = []
    monkeypatch.setattr(files.os, "listdir", listed.append)
    monkeypatch.setattr(files.os, "scandir", listed.append)
    assert verify_file(saved).sums == 1 and listed == []
    monkeypatch.undo()
    monkeypatch.setattr("hefl_core.federation.record.transcript.MAX_BLOBS", 100)
    with pytest.raises(DataError, match="expected at most 100 files"):
        Transcript.load(saved)
    assert MAX_BLOBS >= 100_000


def test_one_large_body_is_not_read_for_every_line(run, monkeypatch):
    """A record of many lines over one blob would be read for days."""
    monkeypatch.setattr("hefl_core.federation.record.proceedings.SMALL_BODY_BYTES", 8)
    with pytest.raises(IntegrityError, match="line .*: receipt of client-2: its body is that of an earlier message"):
        verify(run.transcript)


def test_all_bodies_together_are_bounded(run, monkeypatch):
    monkeypatch.setattr("hefl_core.federation.record.proceedings.MAX_BLOBS_BYTES", 100_000)
    with pytest.raises(IntegrityError, match="or all of them than 100000"):
        verify(run.transcript)


# -- what is no line -----------------------------------------------------------------------------------------------

DEEP = "[" * 200_000
FILES = {
    "empty": b"",
    "one newline": b"\n",
    "no newline": b"{}",
    "zeros": bytes(100_000) + b"\n",
    "not UTF-8": b'{"previous":"\xff\xfe"}\n',
    "deep": DEEP.encode() + b"\n",
    "deep inside": b'{"previous":"","entry":' + DEEP.encode() + b"\n",
    "a huge number": b'{"previous":"","entry":{"type":"closing","count":' + b"9" * 100_000 + b"}}\n",
    "NaN": b'{"previous":NaN}\n',
    "a key twice": b'{"previous":"","previous":"","entry":{}}\n',
    "another type": b'{"previous":"","entry":{"type":"pickle"}}\n',
    "only an end": b'{"previous":"","entry":{"type":"closing","count":0,"head":"","signatures":[]}}\n',
    "a byte order mark": b"\xef\xbb\xbf{}\n",
    "two at once": b"{}{}\n",
    "null": b"null\n",
}


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_line_is_the_first_break(name, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(FILES[name])
    with pytest.raises(IntegrityError, match="line 1: "):
        verify_file(path)
    with pytest.raises(HeflError):
        verify(unpack(FILES[name]))


@pytest.mark.parametrize("at", [1, 5, -1])
@pytest.mark.parametrize("line", [b"{}", b"\xff", b"[" * 10_000, b"", b" " * (MAX_LINE_BYTES + 10)])
def test_a_malformed_line_in_the_middle_is_named(at, line, saved):
    lines = saved.read_bytes()[:-1].split(b"\n")
    number = at % len(lines) + 1
    lines[number - 1] = line
    saved.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(IntegrityError, match=f"line {number}: "):
        verify_file(saved)


MANIFESTS = {
    "d of 2^60": {"parameters": 1 << 60},
    "no parameters": {"parameters": 0},
    "a negative number of examples": {"examples_max": -5},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_absurd_terms_are_refused_before_anything_is_made_of_them(name, run):
    opening = run.transcript.opening
    transcript = Transcript(replace(opening.manifest, **MANIFESTS[name]), opening.kms)
    with pytest.raises(IntegrityError, match="line 1: opening: expected 1 to 16777216 parameters"):
        verify(transcript)


def opening_with(run, **changes):
    """The opening line with other values in its experiment, as bytes."""
    line = json.loads(run.transcript.lines[0].to_json())
    line["entry"]["manifest"]["experiment"] |= changes
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "no-such-preset"},
        {"scheme": "../../etc/passwd"},
        {"clients": 1 << 60},
        {"rounds": 10**30},
        {"custody": "9999-of-9999"},
        {"custody": "9" * 5000 + "-of-3"},
        {"seed": -1},
        {"dp_noise": 1e300, "clip_norm": 1e300},
        {"learning_rate": 1e999},
        {"min_cohort": 1 << 62},
        {"model": "\ud800"},
    ],
)
def test_absurd_experiments_are_refused(changes, run):
    with pytest.raises(HeflError):
        verify(unpack(opening_with(run, **changes).replace(b"Infinity", b"1e999")))


def test_an_opening_alone_is_cut_off(run):
    with pytest.raises(CutOff, match="line 1: .*cut off"):
        verify(Transcript.from_bytes(run.transcript.lines[0].to_json() + b"\n"))


# -- keys and rosters ----------------------------------------------------------------------------------------------


def with_roster(run, change):
    """A record whose own KMS signs a roster of this kind: nothing is pinned, so it may be anybody."""
    record = Record(run)
    record.identities["kms"] = run.parties.kms._identity
    at = record.at("roster")
    raw = change(decode(record.entries[at].inline, Roster))
    record.blobs[hashlib.sha256(raw).digest()] = raw
    header = replace(record.header(at), content_digest=hashlib.sha256(raw).digest(), content_nbytes=len(raw))
    entry = record.signed(at, "kms", content_digest=header.content_digest, content_nbytes=len(raw))
    nbytes = len(encode(entry.head.header)) + len(entry.head.signature) + len(raw)
    record.entries[at] = msgspec.structs.replace(entry, inline=raw, body=header.content_digest, nbytes=nbytes)
    return verify(record.under_old_signatures())


def raw_roster(roster, **changes):
    """Canonical bytes of a roster that its own class would refuse to be."""
    fields = msgspec.to_builtins(roster, builtin_types=(bytes,)) | changes
    return msgspec.msgpack.encode(fields)


def members(roster, change):
    listed = [msgspec.to_builtins(member, builtin_types=(bytes,)) for member in roster.members]
    change(listed)
    return raw_roster(roster, members=listed)


def rename(listed):
    listed[3]["name"] = listed[4]["name"]


def shorten(listed):
    listed[3]["signing"] = b"short"


def promote(listed):
    listed[3] |= {"role": "auditor", "voucher": b""}


def path_like(listed):
    listed[3]["name"] = "../../etc"


ROSTERS = {
    "two of one name": (lambda roster: members(roster, rename), "line 2: .*different names"),
    "a key of another length": (lambda roster: members(roster, shorten), "line 2: .*expected a signing key"),
    "two auditors": (lambda roster: members(roster, promote), "line 2: .*one auditor"),
    "a name like a path": (lambda roster: members(roster, path_like), "line 2: .*no '/'"),
    "nobody": (lambda roster: raw_roster(roster, members=[]), "line 2: "),
    "no roster": (lambda roster: b"\xc1", "line 2: "),
    "another epoch": (
        lambda roster: raw_roster(roster, epoch=1 << 62),
        "line 2: .*its own signature under its sealing key of epoch 46116",
    ),
    "zeros for keys": (
        lambda roster: encode(
            replace(
                roster,
                members=(
                    *roster.members[:3],
                    Member("client-1", "client", bytes(32), bytes(32), bytes(64)),
                    *roster.members[4:],
                ),
            )
        ),
        "line .*: ",
    ),
}


@pytest.mark.parametrize("name", ROSTERS)
def test_a_roster_of_another_kind_is_the_first_break(name, run):
    change, message = ROSTERS[name]
    with pytest.raises(IntegrityError, match=message):
        with_roster(run, change)


def test_the_harness_of_rosters_is_fair(run):
    """The control: the honest roster, taken apart, put together and signed once more, is accepted."""
    assert with_roster(run, lambda roster: members(roster, lambda listed: None)).signers == (3, 3)


# -- ciphertexts ---------------------------------------------------------------------------------------------------


def bomb(block):
    """A block whose compressed body would unpack to half a gigabyte."""
    header = bytearray(block[:16])
    header[5] = 2  # zstd
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for _ in range(512):
            stream.write(bytes(1 << 20))
    body = sink.getvalue().to_pybytes()
    size = 16 + len(body)
    header[8:16] = size.to_bytes(8, "little")
    return bytes(header) + body


def cut_short(block):
    return block[:20]


def of_the_wrong_kind(block):
    return np.random.default_rng(7).bytes(len(block))


@pytest.mark.parametrize("damage", [bomb, cut_short, of_the_wrong_kind, lambda block: b""])
def test_a_ciphertext_is_checked_before_a_library_parses_it(damage, run):
    """The client that made it signs it, so that nothing but the ciphertext itself is wrong."""
    record = Record(run)
    total_at = record.at("sum")
    message = record.body(total_at, m.EncryptedSum)
    total = replace(message.total, blocks=tuple(damage(block) for block in message.total.blocks))
    record.entries[total_at] = record.signed(
        total_at, "coordinator", replace(message, total=total), blocks=len(total.blocks)
    )
    record.renumber("coordinator")
    with pytest.raises(IntegrityError, match=f"line {total_at + 1}: ") as found:
        verify(record.closed_by("client-1", "client-2", "client-3"))
    assert "cannot be read" not in str(found.value)  # the scheme's own check says it


# -- the command and the application -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["the record", "a blob"])
def test_the_command_waits_for_no_pipe(what, saved, run):
    """In a process of its own, which may neither hang nor take much memory."""

    def little_room():
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))

    victim = saved if what == "the record" else blob_folder(saved) / run.transcript.sent[0].body.hex()
    victim.unlink()
    os.mkfifo(victim)
    command = [sys.executable, "-m", "hefl_core", "verify", str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * 3, preexec_fn=little_room)
    assert done.returncode == (2 if what == "the record" else 1) and "a pipe" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def command(capsys, monkeypatch, *arguments):
    """The command in this process: exit code, and what it said."""
    monkeypatch.setattr(sys, "argv", ["hefl_core", "verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return end.value.code or 0, said.out + said.err


@pytest.mark.parametrize("what", ["directory", "deep", "empty", "roster", "heads", "no such file"])
def test_the_command_says_one_line(what, saved, capsys, monkeypatch):
    pipe, arguments = saved.parent / "pipe", [saved]
    os.mkfifo(pipe)
    if what in FILES:
        saved.write_bytes(FILES[what])
    elif what == "directory":
        arguments = [saved.parent]
    elif what == "no such file":
        arguments = [saved.parent / "none"]
    else:
        arguments += [f"--{what}", pipe]
    code, said = command(capsys, monkeypatch, *arguments)
    assert code == (1 if what in FILES else 2) and said.count("\n") == 1, said


def test_the_command_takes_one_file_of_heads_for_each_client(saved, run, capsys, monkeypatch):
    pin_of(run.transcript).save(saved.parent / "pin")
    parts = []
    for client in run.parties.clients:
        part = saved.parent / f"{client.name}.head"
        ClientHeads(run.transcript.manifest.id, {client.name: client.head}).save(part)
        parts += ["--heads", part]
    code, said = command(capsys, monkeypatch, saved, "--roster", saved.parent / "pin", *parts)
    assert code == 0 and "authenticated" in said and "ends: as 3 clients remember them" in said
    other = saved.parent / "another"
    ClientHeads(run.transcript.manifest.id, {"client-2": (9, bytes(32))}).save(other)
    code, said = command(capsys, monkeypatch, saved, "--heads", other)
    assert code == 1 and "heads: client-2 remembers message 9" in said
    code, said = command(capsys, monkeypatch, saved, *parts, "--heads", other)
    assert code == 1 and "contradict each other about client-2" in said


def test_an_upload_has_one_error(run):
    """What the application does with a file: unpack, verify."""
    good = pack(run.transcript)
    assert verify(unpack(good)).sums == 1
    for raw in (b"", b"PK", b"PK\x03\x04" + bytes(100), good[: len(good) // 2], *FILES.values()):
        with pytest.raises((WireError, IntegrityError)):
            verify(unpack(raw))


def test_whatever_a_library_raises_is_a_break(run, monkeypatch):
    """The last line of defence, for what nobody thought of."""

    def surprise(*_):
        raise MemoryError("of a library")

    monkeypatch.setattr("hefl_core.federation.record.statements.Statements._sum", surprise)
    with pytest.raises(IntegrityError, match=r"line \d+: it cannot be read \(MemoryError\)"):
        verify(run.transcript)


def test_an_opening_of_another_party_is_refused(run):
    opening = run.transcript.opening
    line = msgspec.structs.replace(
        run.transcript.lines[0], entry=Opening(opening.manifest, replace(opening.kms, name="x"))
    )
    with pytest.raises(IntegrityError, match="line 1: opening: expected the KMS's keys"):
        verify(Transcript._restore([line], {}))
