"""A transcript in a zip: what cannot be read has one error, and what unpacks to more than it says finds no room."""

import io
import zipfile

import pytest

from hefl_core.errors import WireError
from hefl_core.runtime.transcript_file import LINES, pack, unpack


def zipped(content, says=None):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as folder:
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
