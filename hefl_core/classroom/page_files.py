"""Files that phones are served: the modules of web/, read once, with their SHA-256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefl_core.errors import RuntimeUnavailable

FOLDER: Final = Path(__file__).parent / "web"
START: Final = "phone.html"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file. ``digest``: SHA-256 in hex, as ``sha256sum`` prints it."""

    name: str
    kind: str
    content: bytes
    digest: str


def page_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """The files by name. Raises: RuntimeUnavailable where the phone's page is missing."""
    found = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in TYPES:
            content = path.read_bytes()
            found[path.name] = PageFile(path.name, TYPES[path.suffix], content, hashlib.sha256(content).hexdigest())
    if START not in found:
        raise RuntimeUnavailable(
            f"class: expected {START} and its modules in {folder.name}/, found none; reinstall hefl"
        )
    return found


def digests() -> tuple[tuple[str, str], ...]:
    """Name and SHA-256 of each file, in order."""
    return tuple((file.name, file.digest) for file in page_files().values())
