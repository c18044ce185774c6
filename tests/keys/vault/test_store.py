"""At rest there is no plaintext; a wrong key, a changed, moved, removed or old row is refused, never garbage."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from hefl_core.errors import IntegrityError, KeyUseError, ParameterError, RuntimeUnavailable
from hefl_core.keys.vault import store as store_module
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile, Passphrase

SECRET = b"a secret that must not be found " * 3


def raw(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in path.parent.iterdir() if p.name.startswith(path.name))


def edit(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


def test_rows_come_back(store: KeyStore) -> None:
    store.put("t", "a", SECRET)
    store.put("t", "b", b"")
    store.put("u", "a", b"other")
    store.put("t", "a", b"newer")
    assert (store.get("t", "a"), store.get("t", "b"), store.get("u", "a")) == (b"newer", b"", b"other")
    assert (store.list("t"), store.list("none")) == (("a", "b"), ())
    store.delete("t", "a")
    store.delete("t", "a")
    assert store.find("t", "a") is None
    with pytest.raises(KeyUseError):
        store.get("t", "a")


def test_it_survives_a_restart_and_holds_no_plaintext(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET)
        assert SECRET[:32] not in raw(path)
    with KeyStore(path, KeyFile(tmp_path / "store.key")) as store:
        assert store.get("t", "a") == SECRET
        store.delete("t", "a")
    assert SECRET[:32] not in raw(path)
    assert (tmp_path / "store.key").read_bytes() not in raw(path)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_files_are_for_the_owner_only(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET)
        for file in (path, tmp_path / "keys.db-wal", tmp_path / "store.key"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(KeyUseError, match="chmod 600"):
        KeyStore(path, key_file)
    (tmp_path / "store.key").chmod(0o640)
    with pytest.raises(KeyUseError, match="chmod 600"):
        KeyFile(tmp_path / "store.key")


def test_key_files_of_another_form_are_refused(tmp_path: Path, key_file: KeyFile) -> None:
    with pytest.raises(KeyUseError):
        KeyFile.create(tmp_path / "store.key")
    with pytest.raises(KeyUseError):
        KeyFile(tmp_path / "missing")
    short = tmp_path / "short"
    short.touch(0o600)
    with pytest.raises(KeyUseError):
        KeyFile(short)
    with pytest.raises(ParameterError):
        KeyStore(tmp_path / "keys.db")


def test_passphrases(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, Passphrase("right", cost_bits=4)) as store:
        store.put("t", "a", SECRET)
    with KeyStore(path, Passphrase("right")) as store:  # the cost is read from the store
        assert store.get("t", "a") == SECRET
    for wrong in (Passphrase("Right"), KeyFile.create(tmp_path / "k")):
        with pytest.raises(KeyUseError):
            KeyStore(path, wrong)
    for text, cost in (("", 4), ("x", 0), ("x", 31)):
        with pytest.raises(ParameterError):
            Passphrase(text, cost_bits=cost)


def test_another_key_file_does_not_open(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    KeyStore(path, key_file).close()
    with pytest.raises(KeyUseError):
        KeyStore(path, KeyFile.create(tmp_path / "other.key"))
    with pytest.raises(KeyUseError):
        KeyStore(path, Passphrase("x", cost_bits=4))


TAMPERINGS = {
    "changed": "UPDATE rows SET body = zeroblob(length(body)) WHERE name = 'a'",
    "shortened": "UPDATE rows SET body = x'' WHERE name = 'a'",
    "nonce": "UPDATE rows SET nonce = zeroblob(12) WHERE name = 'a'",
    "moved to another table": "UPDATE rows SET place = 'u' WHERE name = 'a'",
    "renamed": "UPDATE rows SET name = 'c' WHERE name = 'a'",
    "version": "UPDATE rows SET version = version + 1 WHERE name = 'a'",
    "removed": "DELETE FROM rows WHERE name = 'a'",
    "census": "UPDATE meta SET value = zeroblob(60) WHERE name = 'census'",
    "census removed": "DELETE FROM meta WHERE name = 'census'",
    "key removed": "DELETE FROM meta WHERE name = 'data key'",
    "format": "UPDATE meta SET value = x'00' WHERE name = 'format'",
    "added": "INSERT INTO rows SELECT 't', 'z', version, nonce, body FROM rows WHERE name = 'a'",
    "body as text": "UPDATE rows SET body = 'text' WHERE name = 'a'",
}


@pytest.mark.parametrize("statement", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_tampering_is_refused(tmp_path: Path, key_file: KeyFile, statement: str) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET)
        store.put("t", "b", b"other")
    edit(path, statement)
    with pytest.raises((IntegrityError, KeyUseError)), KeyStore(path, key_file) as store:
        for name in store.list("t"):
            store.get("t", name)


def test_swapped_rows_are_refused(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET)
        store.put("t", "b", b"other")
    edit(path, "UPDATE rows SET name = CASE name WHEN 'a' THEN 'x' ELSE 'a' END")
    edit(path, "UPDATE rows SET name = 'b' WHERE name = 'x'")
    with pytest.raises(IntegrityError):
        KeyStore(path, key_file)


def test_an_old_row_put_back_is_refused(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", b"old")
    database = sqlite3.connect(path)
    old = database.execute("SELECT * FROM rows").fetchone()
    database.close()
    with KeyStore(path, key_file) as store:
        store.put("t", "a", b"new")
    edit(path, "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", *old)
    with pytest.raises(IntegrityError):
        KeyStore(path, key_file)


def test_a_damaged_file_is_refused(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    path.write_bytes(b"this is not a database, " * 100)
    path.chmod(0o600)
    with pytest.raises(IntegrityError):
        KeyStore(path, key_file)


def test_a_transaction_is_all_or_nothing(store: KeyStore) -> None:
    store.put("t", "a", b"before")
    with pytest.raises(RuntimeError), store.transaction():
        store.put("t", "a", b"after")
        with store.transaction():
            store.put("t", "b", b"inner")
        raise RuntimeError("power cut")
    assert (store.get("t", "a"), store.list("t")) == (b"before", ("a",))
    store.put("t", "c", b"still works")


def test_threads_and_processes_share_it(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as one, KeyStore(path, key_file) as two:

        def write(store: KeyStore, name: str) -> None:
            for number in range(10):
                store.put("t", f"{name}{number}", b"x")

        threads = [threading.Thread(target=write, args=(s, n)) for s, n in ((one, "a"), (one, "b"), (two, "c"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with KeyStore(path, key_file) as store:
        assert len(store.list("t")) == 30


def body_of(path: Path, name: str) -> bytes:
    """The encrypted row as it stands in the file."""
    database = sqlite3.connect(path)
    (body,) = database.execute("SELECT body FROM rows WHERE name = ?", (name,)).fetchone()
    database.close()
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize("nbytes", [40, 700, 200_000])
@pytest.mark.parametrize("scrubbed", [True, False], ids=["", "control"])
def test_a_deleted_row_stands_nowhere(
    tmp_path: Path,
    key_file: KeyFile,
    monkeypatch: pytest.MonkeyPatch,
    nbytes: int,
    scrubbed: bool,
) -> None:
    """Pages, log and index are searched while the store is open: a stolen disk has no process to close it.

    The control is the store as it was: the row is deleted, and the log still has it, for the key file to open.
    """
    path = tmp_path / "keys.db"
    if not scrubbed:
        monkeypatch.setattr(KeyStore, "_scrub", lambda self: None)
    with KeyStore(path, key_file) as store:
        store.put("t", "b", b"stays")
        store.put("t", "a", os.urandom(nbytes))
        body = body_of(path, "a")
        with store.transaction():
            store.delete("t", "a")
            store.put("t", "c", b"written along")
        left = raw(path)
        assert (body[-32:] not in left and body[:32] not in left) == scrubbed
        assert (store.get("t", "b"), store.get("t", "c")) == (b"stays", b"written along")
    with KeyStore(path, key_file) as store:
        assert store.get("t", "b") == b"stays"


def test_a_replaced_row_goes_with_the_next_deletion_or_at_the_end(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        bodies = []
        for end in (lambda: store.delete("t", "b"), store.close):
            store.put("t", "a", SECRET)
            store.put("t", "b", b"")
            bodies.append(body_of(path, "a"))
            store.put("t", "a", b"newer")
            assert bodies[-1] in raw(path)
            end()
            assert not any(body in raw(path) for body in bodies)


def test_the_log_is_zeroed_before_it_is_cut_off(
    tmp_path: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is only cut off leaves its blocks on the disk: when the cut comes, there are zeros in it."""
    path, found = tmp_path / "keys.db", []
    honest = store_module._write_zeros

    def watched(log: Path, nbytes: int) -> None:
        before = log.read_bytes()
        honest(log, nbytes)
        found.append((body in before, set(log.read_bytes()), len(before) == nbytes))

    monkeypatch.setattr(store_module, "_write_zeros", watched)
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET * 90)
        body = body_of(path, "a")[:32]
        store.delete("t", "a")
        assert found == [(True, {0}, True)]
        assert raw(path).count(body) == 0


def test_a_death_between_zeros_and_cut_loses_nothing(
    tmp_path: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy = tmp_path / "keys.db", tmp_path / "copy.db"

    def die(log: Path, nbytes: int) -> None:
        honest(log, nbytes)
        for end in ("", "-wal"):  # what a new process finds: the shared index went with the old one
            (tmp_path / f"copy.db{end}").write_bytes((tmp_path / f"keys.db{end}").read_bytes())
        copy.chmod(0o600)

    honest = store_module._write_zeros
    with KeyStore(path, key_file) as store, monkeypatch.context() as dying:
        dying.setattr(store_module, "_write_zeros", die)
        store.put("t", "a", SECRET)
        store.put("t", "b", b"stays")
        store.delete("t", "a")
        assert (tmp_path / "copy.db-wal").stat().st_size > 0
    with KeyStore(copy, key_file) as store:
        assert (store.get("t", "b"), store.find("t", "a")) == (b"stays", None)


def test_a_log_that_an_earlier_process_left_is_emptied_at_the_next_commit(
    tmp_path: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died after the deletion and before the scrubbing; the row is missing now, so nothing is deleted again."""
    path = tmp_path / "keys.db"
    with monkeypatch.context() as dying:
        dying.setattr(KeyStore, "_scrub", lambda self: None)
        dead = KeyStore(path, key_file)
        dead.put("t", "a", SECRET)
        body = body_of(path, "a")
        dead.delete("t", "a")
    with KeyStore(path, key_file) as store:
        assert body in raw(path)
        store.delete("t", "a")
        assert body not in raw(path)
    dead.close()


def test_a_log_in_use_elsewhere_is_said(tmp_path: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process reads from the log: the deletion is not reported as done, and asking again finishes it."""
    monkeypatch.setattr("hefl_core.keys.vault.store.BUSY_SECONDS", 0.01)
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET)
        body = body_of(path, "a")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchone()
        with pytest.raises(RuntimeUnavailable, match="empty log"):
            store.delete("t", "a")
        assert store.find("t", "a") is None and body in raw(path)
        reader.execute("COMMIT")
        store.delete("t", "a")
        assert body not in raw(path)
        reader.close()


def test_memory_is_the_embedded_default() -> None:
    store = KeyStore()
    store.put("t", "a", SECRET)
    assert store.get("t", "a") == SECRET
    store.close()


def test_what_cannot_be_used_says_so(tmp_path: Path, key_file: KeyFile) -> None:
    with pytest.raises(KeyUseError):
        KeyStore(tmp_path / "nowhere" / "keys.db", key_file)
    store = KeyStore()
    store.close()
    for use in (lambda: store.put("t", "a", b""), lambda: store.find("t", "a"), lambda: store.list("t")):
        with pytest.raises(RuntimeUnavailable):
            use()


def test_a_busy_store_says_so(tmp_path: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hefl_core.keys.vault.store.BUSY_SECONDS", 0.01)
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as one, KeyStore(path, key_file) as two, one.transaction():
        with pytest.raises(RuntimeUnavailable):
            two.put("t", "a", b"x")


def test_an_emptied_file_is_no_new_store(tmp_path: Path, key_file: KeyFile) -> None:
    """Cut to nothing it would look like a store in which nothing was ever answered."""
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        store.put("t", "a", SECRET)
    path.write_bytes(b"")
    with pytest.raises(IntegrityError, match="empty file"):
        KeyStore(path, key_file)


def test_a_row_that_the_index_lost_is_noticed(tmp_path: Path, key_file: KeyFile) -> None:
    """The census counts rows; a search goes by the index, and would find nothing, as if it was never written."""
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        for number in range(40):
            store.put("answers", f"round-{number:04d}", b"given")
    data = path.read_bytes()
    name = b"answersround-0020"
    places = [at for at in range(len(data)) if data.startswith(name, at)]
    assert len(places) == 2, "one in the table, one in the index"
    found = 0
    for at in places:
        path.write_bytes(data[:at] + b"answersround-9920" + data[at + len(name) :])
        with pytest.raises(IntegrityError) as refusal:
            KeyStore(path, key_file)
        found += "damaged" in str(refusal.value)
    assert found
