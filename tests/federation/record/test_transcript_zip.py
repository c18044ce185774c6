"""A transcript in a zip: what cannot be read has one error, and what unpacks to more than it says finds no room."""

import io
import zipfile

import pytest

from hefl_core.errors import IntegrityError, WireError
from hefl_core.federation.record import transcript_zip
from hefl_core.federation.record.transcript import LeftOut, TranscriptLine
from hefl_core.federation.record.transcript_zip import LINES, MAX_LINES, pack, unpack
from hefl_core.federation.record.verify import pin_of, verify_file
from hefl_core.wire.envelope import Position


def zipped(content, says=None, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as folder:
        folder.writestr(LINES, content)
    made = buffer.getvalue()
    return made.replace(len(content).to_bytes(4, "little"), says.to_bytes(4, "little")) if says else made


def test_it_comes_back(small_run):
    assert unpack(pack(small_run.transcript)).to_bytes() == small_run.transcript.to_bytes()


@pytest.mark.parametrize("says", [100, 10_000_001])
def test_a_size_that_is_a_lie_is_refused(says):
    with pytest.raises(WireError):
        unpack(zipped(bytes(10_000_000), says))


def test_a_bomb_is_refused_by_its_size():
    with pytest.raises(WireError, match="at most"):
        unpack(zipped(bytes(257 << 20)))


def test_a_broken_stream_has_one_error_or_does_no_harm(small_run):
    right = small_run.transcript.to_bytes()
    data, refused = zipped(right), 0
    for place in range(40, len(data), len(data) // 60):
        try:
            found = unpack(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        except WireError:
            refused += 1
        else:
            assert found.to_bytes() == right, place  # a time stamp or the like
    assert refused > 50


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_than_our_own_are_not_begun(method, small_run, monkeypatch):
    """A method may ask for memory before its first byte: an LZMA dictionary for 4 GiB."""
    right = small_run.transcript.to_bytes()
    made = zipped(right, method=method)
    with pytest.raises(WireError, match=f"stored or deflated, found method {method}"):
        unpack(made)
    assert unpack(zipped(right, method=zipfile.ZIP_STORED)).to_bytes() == right
    monkeypatch.setattr(transcript_zip, "METHODS", (method,))
    assert unpack(made).to_bytes() == right  # the control: it would have been read


def test_a_dictionary_of_four_gigabytes_is_not_made_room_for():
    made = bytearray(zipped(b"a" * 1000, method=zipfile.ZIP_LZMA))
    place = made.find(b"\x09\x04\x05\x00") + 5  # the properties: a byte, and the size of the dictionary
    made[place : place + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(WireError, match="stored or deflated"):
        unpack(bytes(made))


@pytest.mark.parametrize("packed", [True, False])
def test_more_lines_than_an_upload_can_have_are_not_split(packed, small_run, monkeypatch):
    """900 KiB that unpack to two million lines: each is small, what is made of each is not."""
    note = TranscriptLine(b"", LeftOut("", "", Position(0, 0, 0), "")).to_json() + b"\n"
    many = small_run.transcript.lines[0].to_json() + b"\n" + note * MAX_LINES
    given = zipped(many) if packed else many
    with pytest.raises(WireError, match=f"at most {MAX_LINES:,} lines, found {MAX_LINES + 1:,}"):
        unpack(given)
    with pytest.raises(WireError, match="at most 100,000 lines, found 1,000,000"):
        unpack(zipped(b"\n" * 1_000_000))  # the second fault: lines of nothing
    monkeypatch.setattr(transcript_zip, "MAX_LINES", MAX_LINES + 1)
    few = small_run.transcript.lines[0].to_json() + b"\n" + note * 1000
    assert len(unpack(zipped(few) if packed else few).lines) == 1001  # the control: nothing else refuses such notes


def test_the_download_is_verified_as_it_is(small_run, tmp_path):
    """As the report prints it: `hefl verify transcript.zip`; and a damaged one is a first break, never a traceback."""
    whole = pack(small_run.transcript)
    (tmp_path / "transcript.zip").write_bytes(whole)
    assert verify_file(tmp_path / "transcript.zip", pin_of(small_run.transcript)).authenticated
    cut = unpack(whole).to_bytes().splitlines(keepends=True)
    other = zipped(b"".join(cut[:5] + cut[6:]))
    for broken in (other, whole[: len(whole) // 2], b"PK", zipped(b"no record\n")):
        (tmp_path / "broken.zip").write_bytes(broken)
        with pytest.raises(IntegrityError):
            verify_file(tmp_path / "broken.zip")
