"""Bytes to text: encodings, what is no table, paths; identity is the content."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zipfile

import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.tables.reading import read_text
from hefl_core.tables.table import read_table
from tests.tables.helpers import GOOD, read

UMLAUTS = GOOD.replace("age", "größe").replace("well", "gesund é")


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8, by its byte-order mark"),
        ("utf-16", "UTF-16, by its byte-order mark"),
        ("utf-32", "UTF-32, by its byte-order mark"),
        ("cp1252", "CP1252"),
        ("latin-1", "CP1252"),
    ],
)
def test_each_encoding_is_read_and_said(encoding, said):
    found = read(UMLAUTS.encode(encoding))
    assert found.columns[0].name == "größe" and found.classes == ("gesund é", "ill")
    assert said in str(found.decisions[0])
    assert bool(found.warnings) == (said == "CP1252")


def test_big_endian_utf16_with_its_mark():
    assert read(b"\xfe\xff" + GOOD.encode("utf-16-be")).classes == ("ill", "well")


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name in names:
            packed.writestr(name, GOOD)
    return file.getvalue()


OTHERS = {
    "xlsx": (archive("xl/workbook.xml"), "an Excel workbook .*CSV UTF-8"),
    "ods": (archive("mimetype", "content.xml"), "OpenDocument"),
    "zip": (archive("table.csv"), "a zip archive; unpack"),
    "broken zip": (b"PK\x03\x04" + b"\0" * 50, "a broken zip archive or spreadsheet"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "an old Excel"),
    "pdf": (b"%PDF-1.7\n1,2\n", "a PDF document"),
    "gzip": (gzip.compress(GOOD.encode()), "a gzip archive"),
    "html": (b"<!DOCTYPE html><html><body>", "a web page"),
    "json": (b'[{"age": 1}]', "JSON"),
    "empty": (b"", "an empty file"),
    "blank": (b" \n\n;;;\n", "an empty file"),
    "mark only": (b"\xef\xbb\xbf", "an empty file"),
    "zero byte": (GOOD.replace("ill", "i\0l", 1).encode(), "a zero byte in line 3"),
    "utf-16 without mark": (GOOD.encode("utf-16-le"), "UTF-16 text without its byte-order mark"),
    "cut utf-16": (GOOD.encode("utf-16")[:-1], "whole UTF-16 text"),
    "neither": (GOOD.encode() + b"\n1,2,\x81", "UTF-8 or CP1252, found byte 0x81 in line 42"),
    "control": (
        GOOD.replace("well", "w\x1b[31m", 1).encode(),
        "line 2: expected text, found the control character 0x1b",
    ),
    "large": (b"a,b\n" + b"1,2\n" * 2_000_000, "at most 5242880 bytes, found more"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_no_table_is_named(case):
    content, match = OTHERS[case]
    with pytest.raises(DataError, match=match):
        read(content)


def test_the_size_limit_is_the_callers():
    with pytest.raises(DataError, match="at most 100 bytes"):
        read_text(GOOD.encode(), 100)
    assert read_text(GOOD.encode(), len(GOOD)).text == GOOD


def test_paths(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="found nothing; check"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="nothing .no folder .*either"):
        read_table(str(tmp_path / "no" / "none.csv"))
    with pytest.raises(DataError, match="found a folder"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="readable file"):
        read_table("x" * 5000)
    with pytest.raises(DataError, match="readable file|nothing"):
        read_table("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="device or pipe"):
        read_table(tmp_path / "pipe")
    (tmp_path / "ward:3.csv").write_text(GOOD)
    assert len(read_table(tmp_path / "ward:3.csv")) == 40
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read_table("~/ward:3.csv")) == 40
    with pytest.raises(DataError, match=f"a file at {tmp_path}/none.csv, found nothing"):
        read_table("~/none.csv")
    with pytest.raises(DataError, match="readable file|nothing"):
        read_table("~nobody-of-this-name/none.csv")


def test_identity_is_the_content_and_never_the_path(tmp_path):
    one, two = tmp_path / "a secret name.csv", tmp_path / "other.csv"
    one.write_text(GOOD)
    two.write_text(GOOD)
    tables = [read_table(one), read_table(str(two)), read_table(GOOD.encode())]
    assert {table.digest for table in tables} == {hashlib.sha256(GOOD.encode()).hexdigest()}
    assert len({table.name for table in tables}) == 1 and "secret" not in repr(tables[0])
    one.write_text(GOOD.replace("ill", "sick"))
    assert read_table(one).classes == ("sick", "well"), "the same path with new content is the new content"
    one.unlink()
    with pytest.raises(DataError, match="found nothing"):
        read_table(one)
    assert np.array_equal(tables[0].columns[0].numbers, tables[2].columns[0].numbers)
