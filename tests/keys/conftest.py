from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile

from .world import World, make_world


@pytest.fixture
def world() -> World:
    made = make_world()
    made.kms.open_epoch(1, 10)
    return made


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile.create(tmp_path / "store.key")


@pytest.fixture
def store(tmp_path: Path, key_file: KeyFile) -> Iterator[KeyStore]:
    with KeyStore(tmp_path / "keys.db", key_file) as opened:
        yield opened
