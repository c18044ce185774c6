"""Secrets at rest: SQLite rows, each encrypted and bound to its place, its number and the set of all rows.

* A row is AES-256-GCM under a random data key, with (table, name, version) as associated data; the data key is wrapped
  by a passphrase, a key file or a token (keys/vault/unlock.py).
* Versions come from one counter of the whole store. A census (the XOR of a keyed hash of every row's place and version,
  itself encrypted) makes a deleted, swapped or rolled-back row visible when the store is opened.
* A deleted row is gone when the call returns: SQLite overwrites it in the pages (secure_delete), and the write-ahead log,
  which still holds the row as it was written, is zeroed and truncated. A replaced row goes with the next deletion, or when
  the store is closed.

What it does not do: it does not detect an *older copy of the whole file*. For keys the clients' epoch ledger refuses the
rollback; for the answered set, restoring a backup must end the epoch (docs/sharp_edges.md).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hefl_core.errors import IntegrityError, KeyUseError, ParameterError, RuntimeUnavailable, WireError
from hefl_core.keys.secret import Hidden
from hefl_core.keys.vault.unlock import (
    KEY_BYTES,
    NONCE_BYTES,
    KeyEncryptionKey,
    ProcessKey,
    check_owner_only,
    create_owner_only,
)
from hefl_core.wire.canonical import decode, encode

MEMORY: Final = ":memory:"
FORMAT: Final = b"hefl/key-store/1"
BUSY_SECONDS: Final = 10.0
SCRUB_TRIES: Final = 20
ZEROS_NBYTES: Final = 1 << 20
NOTHING: Final = (0, 0, bytes(32))
"""The census of an empty store: last version, number of rows, XOR of their hashes."""

Census = tuple[int, int, bytes]


class KeyStore(Hidden):
    """An encrypted table of named secrets. ``:memory:`` (the default) ends with the process.

    Leaks: to a reader of the file: the tables' and rows' names, sizes, the order of writing; no value.
    Raises: KeyUseError for a wrong passphrase, file or token, or a file that others may read; IntegrityError for a file
        that was changed.
    """

    __slots__ = ("__data_key", "__database", "__depth", "__lock", "__stale", "path")

    def __init__(self, path: str | Path = MEMORY, unlock: KeyEncryptionKey | None = None) -> None:
        self.path = str(path)
        if unlock is None and self.path != MEMORY:
            raise ParameterError(
                "key store: a file needs a passphrase or a key file", "pass Passphrase(…) or KeyFile(…)"
            )
        self.__lock = threading.RLock()
        self.__depth = 0
        self.__stale = self._log_nbytes() > 0  # an earlier process died before it scrubbed its log
        fresh = self.path == MEMORY or not Path(path).exists()
        if self.path != MEMORY:
            if fresh:
                create_owner_only(Path(path), b"", "key store")
            check_owner_only(Path(path), "key store")
        with self._refusing_damage():
            self.__database = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._refusing_damage():
                self.__data_key = self._open(unlock or ProcessKey(), fresh)
        except BaseException:
            self.__database.close()
            raise

    def _label(self) -> str:
        return Path(self.path).name

    def _open(self, unlock: KeyEncryptionKey, fresh: bool) -> bytes:
        database = self.__database
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA secure_delete=ON")
        database.execute("PRAGMA temp_store=MEMORY")
        database.execute("BEGIN IMMEDIATE")
        try:
            data_key = self._key(unlock, fresh)
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
        return data_key

    def _key(self, unlock: KeyEncryptionKey, fresh: bool) -> bytes:
        database = self.__database
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            if not fresh:
                raise IntegrityError(
                    "key store: expected its tables, found an empty file; restore it, and end the epoch (delete it only "
                    "if nothing was ever kept in it)"
                )
            database.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
            database.execute(
                "CREATE TABLE rows (place TEXT, name TEXT, version INTEGER, nonce BLOB, body BLOB,"
                " PRIMARY KEY (place, name))"
            )
            self.__data_key = os.urandom(KEY_BYTES)
            self._set_meta("format", FORMAT)
            self._set_meta("data key", unlock.wrap(self.__data_key))
            self._set_census(NOTHING)
            return self.__data_key
        if self._meta("format") != FORMAT:
            raise IntegrityError(f"key store: expected format {FORMAT.decode()}; this is another kind of file")
        self._check_pages()
        self.__data_key = unlock.unwrap(self._meta("data key"))
        self._check_census()
        return self.__data_key

    @contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise RuntimeUnavailable(f"key store: {error}; expected a free and writable file, try again") from error
        except sqlite3.ProgrammingError as error:
            raise RuntimeUnavailable("key store: expected an open one, found it closed; open it again") from error
        except sqlite3.DatabaseError as error:
            raise _damaged(error) from error
        except UnicodeError as error:
            raise _damaged("a name that is no text") from error

    def _meta(self, name: str) -> bytes:
        row = self.__database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise IntegrityError(f"key store: its {name!r} is missing; restore the file, and end the epoch")
        return row[0]

    def _set_meta(self, name: str, value: bytes) -> None:
        self.__database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _census(self) -> Census:
        sealed = self._meta("census")
        try:
            plain = AESGCM(self.__data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], b"census")
            return decode(plain, tuple[int, int, bytes])
        except (InvalidTag, ValueError, WireError) as error:
            raise IntegrityError("key store: its census was changed; restore the file, and end the epoch") from error

    def _set_census(self, census: Census) -> None:
        nonce = os.urandom(NONCE_BYTES)
        self._set_meta("census", nonce + AESGCM(self.__data_key).encrypt(nonce, encode(census), b"census"))

    def _mark(self, place: str, name: str, version: int) -> int:
        return int.from_bytes(
            hmac.digest(self.__data_key, encode(("census", place, name, version)), hashlib.sha256), "big"
        )

    def _check_pages(self) -> None:
        """A row that the index does not lead to would read as never written, though the census counts it."""
        found = self.__database.execute("PRAGMA integrity_check(1)").fetchone()
        if found != ("ok",):
            raise _damaged(str(found[0])[:80] if found else "no answer")

    def _check_census(self) -> None:
        _, count, marks = self._census()
        found, total = 0, 0
        for place, name, version in self.__database.execute("SELECT place, name, version FROM rows"):
            found += 1
            # XOR is enough: the marks are keyed, so nobody can choose rows that cancel out, and versions never repeat.
            total ^= self._mark(place, name, version)
        if (found, total.to_bytes(32, "big")) != (count, marks):
            raise IntegrityError(
                f"key store: expected the {count} rows it was left with, found {found}, or others; "
                "somebody removed or put back rows: restore the file, and end the epoch"
            )

    def _count(self, place: str, name: str, old: int | None, new: int | None, census: Census) -> None:
        last, count, marks = census
        total = int.from_bytes(marks, "big")
        if old is not None:
            total ^= self._mark(place, name, old)
            count -= 1
        if new is not None:
            total ^= self._mark(place, name, new)
            count += 1
            last = new
        self._set_census((last, count, total.to_bytes(32, "big")))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together, durably, or not at all. May be nested."""
        with self.__lock, self._refusing_damage():
            if self.__depth == 0:
                # The write lock at once: a read that turned into a write could find the file changed since, and fail.
                self.__database.execute("BEGIN IMMEDIATE")
            self.__depth += 1
            try:
                yield
            except BaseException:
                self.__depth -= 1
                if self.__depth == 0:
                    self.__database.execute("ROLLBACK")
                raise
            self.__depth -= 1
            if self.__depth == 0:
                self._commit()
                self._scrub()

    def _commit(self) -> None:
        try:
            self.__database.execute("COMMIT")
        except sqlite3.Error:
            if self.__database.in_transaction:  # after some errors SQLite has rolled back already
                self.__database.execute("ROLLBACK")
            raise

    # -- nothing deleted stands in the log ----------------------------------------------------------------------

    def _log_nbytes(self) -> int:
        log = Path(f"{self.path}-wal")
        return log.stat().st_size if self.path != MEMORY and log.exists() else 0

    def _scrub(self) -> None:
        """After a deletion: empty the write-ahead log; on failure the next commit retries.

        Raises: RuntimeUnavailable while another process keeps reading: the row is deleted, its bytes are not yet gone.
        """
        if not self.__stale or self.path == MEMORY:
            return
        if not any(self._empty_log() for _ in range(SCRUB_TRIES)):
            raise RuntimeUnavailable(
                "key store: expected an empty log after a deletion, found it in use by another process; ask again"
            )
        self.__stale = False

    def _empty_log(self) -> bool:
        """Move the log into the pages, overwrite it with zeros, truncate it; False when another process interfered.

        The zeros are written while nobody can write and nobody reads the log: all of it is in the pages, and no other
        connection has committed since (data_version). A process that dies in between leaves a log without a header,
        which SQLite takes for an empty one.
        """
        database = self.__database
        before = database.execute("PRAGMA data_version").fetchone()
        if database.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]:
            return False
        database.execute("BEGIN IMMEDIATE")
        try:
            if database.execute("PRAGMA data_version").fetchone() != before:
                return False
            _write_zeros(Path(f"{self.path}-wal"), self._log_nbytes())
        finally:
            database.execute("ROLLBACK")
        cut = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        return cut and self._log_nbytes() == 0

    # -- rows ---------------------------------------------------------------------------------------------------

    def _version(self, place: str, name: str) -> int | None:
        row = self.__database.execute("SELECT version FROM rows WHERE place = ? AND name = ?", (place, name)).fetchone()
        return None if row is None else int(row[0])

    def put(self, table: str, name: str, value: bytes) -> None:
        """Write or replace one row. The bytes that it replaces may stand in the log until the next deletion."""
        with self.transaction():
            census, old = self._census(), self._version(table, name)
            version, nonce = census[0] + 1, os.urandom(NONCE_BYTES)
            body = AESGCM(self.__data_key).encrypt(nonce, value, encode((table, name, version)))
            self.__database.execute(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", (table, name, version, nonce, body)
            )
            self._count(table, name, old, version, census)

    def find(self, table: str, name: str) -> bytes | None:
        """The row's value, or None. Raises: IntegrityError when the row was changed or moved."""
        with self.__lock, self._refusing_damage():
            row = self.__database.execute(
                "SELECT version, nonce, body FROM rows WHERE place = ? AND name = ?", (table, name)
            ).fetchone()
        if row is None:
            return None
        version, nonce, body = row
        try:
            return AESGCM(self.__data_key).decrypt(nonce, body, encode((table, name, version)))
        except (InvalidTag, ValueError, TypeError) as error:
            raise IntegrityError(
                f"key store: row {table}/{name} was changed or moved; restore the file, and end the epoch"
            ) from error

    def get(self, table: str, name: str) -> bytes:
        """The row's value. Raises: KeyUseError when there is none; IntegrityError when it was changed or moved."""
        value = self.find(table, name)
        if value is None:
            raise KeyUseError(f"key store: expected a row {table}/{name}, found none; it was never kept, or destroyed")
        return value

    def delete(self, table: str, name: str) -> None:
        """Remove a row; when the outermost transaction ends its bytes are gone. A missing one is no error."""
        with self.transaction():
            old = self._version(table, name)
            if old is not None:
                self.__database.execute("DELETE FROM rows WHERE place = ? AND name = ?", (table, name))
                self._count(table, name, old, None, self._census())
                self.__stale = True

    def list(self, table: str) -> tuple[str, ...]:
        """Names of the rows of one table, sorted."""
        with self.__lock, self._refusing_damage():
            rows = self.__database.execute("SELECT name FROM rows WHERE place = ? ORDER BY name", (table,)).fetchall()
        return tuple(str(name) for (name,) in rows)

    def close(self) -> None:
        """Release the file. Its log is emptied first: SQLite would unlink it unzeroed."""
        with self.__lock:
            if self.__depth == 0 and self._log_nbytes():
                with suppress(sqlite3.Error, RuntimeUnavailable):  # in use elsewhere, or damaged: the next to open it
                    self._empty_log()
            self.__database.close()

    def __enter__(self) -> KeyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_zeros(path: Path, nbytes: int) -> None:
    """Overwrite a file's bytes where they lie; on return the zeros are on disk. Raises: RuntimeUnavailable."""
    try:
        with path.open("r+b") as file:
            for start in range(0, nbytes, ZEROS_NBYTES):
                file.write(bytes(min(ZEROS_NBYTES, nbytes - start)))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RuntimeUnavailable(f"key store: its log cannot be overwritten ({error.strerror}); ask again") from error


def _damaged(what: object) -> IntegrityError:
    return IntegrityError(f"key store: the file is damaged ({what}); restore it, and end the epoch")
