"""Every change of a transcript is found, and the first break is named."""

import random
import shutil
from dataclasses import replace

import pytest

from hefl_core.errors import DataError, HeflError, IntegrityError, WireError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.protocol_table import UNKEPT_KINDS
from hefl_core.federation.record.transcript import Transcript, blob_folder, closing_statement
from hefl_core.federation.record.verify import verify, verify_file
from hefl_core.keys.roster import Roster, RosterPin
from hefl_core.wire.canonical import decode
from tests.conftest import SMALL, finished


@pytest.fixture(scope="module")
def saved(small_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("transcript") / "t.jsonl"
    small_run.transcript.save(path)
    return path


def pin_of(transcript):
    roster = next(decode(sent.inline, Roster) for sent in transcript.sent if sent.inline)
    return RosterPin.of(roster, transcript.opening.kms.signing)


def test_a_good_transcript_verifies(saved, small_run):
    verdict = verify_file(saved, pin_of(small_run.transcript))
    assert verdict.authenticated and verdict.sums == 2 and verdict.rounds == 2
    assert "not authenticated" in str(verify_file(saved))


def test_without_blobs_the_sums_are_not_checked(saved, tmp_path):
    copy = tmp_path / "t.jsonl"
    shutil.copy(saved, copy)
    assert "sums: not checked" in str(verify_file(copy))


def test_another_runs_roster_does_not_authenticate(saved):
    other = finished(SMALL.but(rounds=1)).transcript
    with pytest.raises(IntegrityError, match="experiment|pinned"):
        verify_file(saved, pin_of(other))


def test_any_changed_byte_is_found(saved):
    raw, blobs = saved.read_bytes(), Transcript.load(saved).blobs
    choose = random.Random(5)
    for _ in range(150):
        changed = bytearray(raw)
        position = choose.randrange(len(raw))
        changed[position] ^= 1 << choose.randrange(8)
        with pytest.raises((IntegrityError, WireError)):
            verify(Transcript.from_bytes(bytes(changed), blobs))


def test_changed_bytes_in_the_last_line_are_found(saved):
    raw, blobs = saved.read_bytes(), Transcript.load(saved).blobs
    start = raw[:-1].rindex(b"\n") + 1
    for position in range(start, len(raw), 7):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises((IntegrityError, WireError)):
            verify(Transcript.from_bytes(bytes(changed), blobs))


def lines_of(saved):
    return saved.read_bytes()[:-1].split(b"\n")


@pytest.mark.parametrize("number", [0, 1, 5, 12, -2, -1])
def test_a_dropped_doubled_or_swapped_line_is_found(saved, number):
    lines, blobs = lines_of(saved), Transcript.load(saved).blobs
    dropped = [line for i, line in enumerate(lines) if i != number % len(lines)]
    doubled = lines[: number % len(lines) + 1] + lines[number % len(lines) :]
    swapped = list(lines)
    swapped[number], swapped[number - 1] = swapped[number - 1], swapped[number]
    for changed in (dropped, doubled, swapped):
        with pytest.raises(HeflError):
            verify(Transcript.from_bytes(b"\n".join(changed) + b"\n", blobs))


@pytest.mark.parametrize("kept", [1, 5, 20, -1])
def test_a_cut_off_tail_is_found(saved, kept):
    lines = lines_of(saved)[:kept]
    with pytest.raises(HeflError):
        verify(Transcript.from_bytes(b"\n".join(lines) + b"\n", Transcript.load(saved).blobs))
    with pytest.raises(WireError, match="cut off"):
        Transcript.from_bytes(b"\n".join(lines))


def test_a_replaced_or_missing_blob_is_found(saved, tmp_path, small_run):
    unkept = {sent.body.hex() for sent in small_run.transcript.sent if sent.step in UNKEPT_KINDS}
    for victim in sorted(blob_folder(saved).iterdir()):
        copy = tmp_path / victim.name[:12] / "t.jsonl"
        copy.parent.mkdir()
        shutil.copy(saved, copy)
        shutil.copytree(blob_folder(saved), blob_folder(copy))
        changed = bytearray((blob_folder(copy) / victim.name).read_bytes())
        changed[len(changed) // 2] ^= 1
        (blob_folder(copy) / victim.name).write_bytes(bytes(changed))
        with pytest.raises(IntegrityError, match="blob|line"):
            verify_file(copy)
        (blob_folder(copy) / victim.name).unlink()
        if victim.name in unkept:
            assert verify_file(copy).sums == 2
            continue
        with pytest.raises(IntegrityError, match="missing|line"):
            verify_file(copy)


def test_seats_see_their_own_messages_only(small_run):
    transcript = small_run.transcript
    eavesdropper = {seen.sent.step: seen for seen in transcript.seen_by("eavesdropper")}
    assert eavesdropper["update"].content is None and eavesdropper["share"].content is None
    mine = [seen.sent.sender for seen in transcript.seen_by("client-1") if seen.sent.step == "update"]
    assert mine == ["client-1", "client-1"]
    assert all(seen.sent.step != "share" for seen in transcript.seen_by("coordinator"))
    with pytest.raises(WireError, match="seat"):
        transcript.seen_by("nobody")


def test_heads_tell_an_early_end_from_the_end(tmp_path):
    """Clients that sign a shorter record still remember what they had said by then."""
    run = finished(SMALL.but(clients=4))
    transcript, clients = run.transcript, run.parties.clients
    heads = ClientHeads.of(transcript)
    assert dict(heads.heads) == {client.name: client.head for client in clients}
    heads.save(tmp_path / "heads")
    assert ClientHeads.load(tmp_path / "heads") == heads
    verify(transcript, pin_of(transcript), heads)
    last = max(n for n, line in enumerate(transcript.lines) if getattr(line.entry, "step", "") == "receipt")
    short = Transcript._restore(transcript.lines[:last], transcript.blobs)
    ends = short.ends([client.name for client in clients])
    assert [client.name for client in clients if signs(client, ends)] == ["client-1", "client-2", "client-3"]
    statement = closing_statement(transcript.manifest.id, *short.tail)
    short.close([(client.name, client.identity.sign(statement)) for client in clients])  # four that deviate
    assert verify(short, pin_of(transcript)).signers == (4, 4)
    with pytest.raises(IntegrityError, match="remembers message"):
        verify(short, pin_of(transcript), heads)
    with pytest.raises(IntegrityError, match="expected those of experiment"):
        verify(transcript, None, ClientHeads("another", heads.heads))


def signs(client, ends):
    try:
        return bool(client.sign_closing(ends[client.name]))
    except IntegrityError as error:
        assert f"{client.name}'s last message" in str(error)
        return False


def test_a_client_signs_only_an_end_with_its_own_last_message(small_run):
    transcript, client = small_run.transcript, small_run.parties.clients[0]
    record = Transcript._restore(transcript.lines[:-1], transcript.blobs)
    whole = record.ends([client.name])[client.name]
    assert whole.check(client.name, client.head[1]) == record.tail and client.sign_closing(whole)
    others = [end for end in record.ends(["client-2", "client-3"]).values()]
    torn = replace(whole, lines=(whole.lines[0], *whole.lines[2:]))
    forged = replace(whole, lines=(whole.lines[0], whole.lines[0]))
    for end in (*others, torn, forged, replace(whole, lines=()), replace(whole, lines=whole.lines[1:])):
        with pytest.raises(IntegrityError, match="do not sign"):
            client.sign_closing(end)
    with pytest.raises(WireError):
        client.sign_closing(replace(whole, lines=(whole.lines[0], b"{")))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "hefl/heads/1", "experiment": "x", "heads": {}}', "\x00"])
def test_heads_of_another_form_are_refused(text, tmp_path):
    (tmp_path / "heads").write_text(text)
    with pytest.raises(DataError, match="heads"):
        ClientHeads.load(tmp_path / "heads")


ONE = '{"format":"hefl/heads/1","experiment":"x","heads":{%s}}'
HEAD = f'"client-1":[%s,"{"00" * 32}"]'
NO_HEADS = {
    **{n[:12]: ONE % (HEAD % n) for n in ("1e999", "NaN", "1.9", "true", "-5", '"7"', '"\\u0667"', "9" * 5000)},
    "spaces": ONE % f'"client-1":[1,"{" ".join(["00"] * 32)}"]',
    "a client twice": ONE % (HEAD % 1 + "," + HEAD % 2),
    "a field twice": (ONE % (HEAD % 1))[:-1] + ',"experiment":"y"}',
    "a list": "[]",
}


def test_the_control_is_a_file_of_heads(tmp_path):
    (tmp_path / "heads").write_text(ONE % (HEAD % 1))
    assert ClientHeads.load(tmp_path / "heads").heads == {"client-1": (1, bytes(32))}


@pytest.mark.parametrize("name", NO_HEADS)
def test_heads_are_read_strictly(name, tmp_path):
    (tmp_path / "heads").write_text(NO_HEADS[name])
    with pytest.raises(DataError, match="heads: expected"):
        ClientHeads.load(tmp_path / "heads")


def test_a_pin_of_an_epoch_that_is_not_there_authenticates_nothing(small_run):
    pin = pin_of(small_run.transcript)
    with pytest.raises(IntegrityError, match="pinned one of epoch 2"):
        verify(small_run.transcript, replace(pin, epoch=2))
