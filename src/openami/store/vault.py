"""Secrets that rest only encrypted, under a key-encryption key in a file of its own.

The KEK file has one line for each key, ``<name> <64 hexadecimal digits>``; the first is the one
that seals. There is a second only while the KEK is being changed. A backup of the vault is of no
use without that file, and the file has no place in the backup of the vault.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError, NotFoundError, SecurityError
from openami.crypto.envelope import NONCE_SIZE, seal, unseal
from openami.store.durable import sync, told
from openami.store.sqlite import Database, store_error

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

_KEK_OCTETS: Final = 32
_LINE: Final = re.compile(r"([0-9a-f]{16}) ([0-9a-f]{64})")
# A KEK file has two lines at most; what is larger is some other file.
_MAX_KEK_FILE: Final = 1024

_MIGRATIONS: Final = (
    (
        """CREATE TABLE secret (
            kind TEXT NOT NULL,
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            kek TEXT NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (kind, owner, name)
        ) WITHOUT ROWID""",
    ),
)


class FileVault:
    """Implements ``Vault`` on a SQLite file.

    Args:
        path: the file of sealed secrets.
        kek: the file of the key-encryption key; made with the vault, readable by its owner alone.

    Raises:
        ConfigError: ``vault.kek``, the KEK file is readable by others, is none, or is not there
            though the vault is.
        StoreError: the vault cannot be used.
    """

    def __init__(self, path: Path, *, kek: Path) -> None:
        self._kek_file = kek
        self._lock = threading.RLock()
        self._keks = _read(kek) if kek.exists() or path.exists() else _create(kek)
        self._database = Database(path, _MIGRATIONS, exclusive=False)

    def __repr__(self) -> str:
        return f"FileVault({str(self._database.path)!r})"

    def put(self, kind: str, owner: str, name: str, secret: bytes) -> None:
        with self._lock, self._database.transaction() as cursor:
            # Another process may have changed the KEK; inside the transaction it can not.
            self._keks = _read(self._kek_file)
            kek, sealed = self._seal(_context(kind, owner, name), secret)
            cursor.execute(
                "INSERT OR REPLACE INTO secret VALUES (?, ?, ?, ?, ?)",
                (kind, owner, name, kek, sealed),
            )

    def get(self, kind: str, owner: str, name: str) -> bytes:
        with self._lock, self._database.reading() as cursor:
            cursor.execute(
                "SELECT kek, sealed FROM secret WHERE kind = ? AND owner = ? AND name = ?",
                (kind, owner, name),
            )
            row = cursor.fetchone()
            if row is None:
                raise NotFoundError(f"no secret {name} of {kind} {owner}")
            return self._open(row[0], row[1], _context(kind, owner, name))

    def find(self, kind: str, owner: str) -> Mapping[str, bytes]:
        with self._lock, self._database.reading() as cursor:
            cursor.execute(
                "SELECT name, kek, sealed FROM secret WHERE kind = ? AND owner = ? ORDER BY name",
                (kind, owner),
            )
            return {
                name: self._open(kek, sealed, _context(kind, owner, name))
                for name, kek, sealed in cursor.fetchall()
            }

    def delete(self, kind: str, owner: str, name: str) -> None:
        with self._database.transaction() as cursor:
            cursor.execute(
                "DELETE FROM secret WHERE kind = ? AND owner = ? AND name = ?", (kind, owner, name)
            )

    def rotate(self) -> int:
        """Change the key-encryption key and return how many secrets were sealed anew.

        Whatever is interrupted leaves a KEK file that opens every secret, and may be repeated.
        """
        with self._lock:
            with self._database.transaction() as cursor:
                self._keks = {**_new_kek(), **_read(self._kek_file)}
                _write(self._kek_file, self._keks)
                rows = cursor.execute("SELECT kind, owner, name, kek, sealed FROM secret")
                anew = [self._resealed(*row) for row in rows.fetchall()]
                cursor.executemany(
                    "UPDATE secret SET kek = ?, sealed = ?"
                    " WHERE kind = ? AND owner = ? AND name = ?",
                    anew,
                )
            with self._database.transaction() as cursor:
                self._drop_unused(cursor)
            return len(anew)

    def _drop_unused(self, cursor: sqlite3.Cursor) -> None:
        used = {row[0] for row in cursor.execute("SELECT DISTINCT kek FROM secret")}
        keks = _read(self._kek_file)
        used.add(next(iter(keks)))
        self._keks = {name: kek for name, kek in keks.items() if name in used}
        _write(self._kek_file, self._keks)

    def close(self) -> None:
        self._database.close()

    def _resealed(
        self, kind: str, owner: str, name: str, kek: str, sealed: bytes
    ) -> tuple[str, bytes, str, str, str]:
        context = _context(kind, owner, name)
        return (*self._seal(context, self._open(kek, sealed, context)), kind, owner, name)

    def _seal(self, context: bytes, secret: bytes) -> tuple[str, bytes]:
        name, kek = next(iter(self._keks.items()))
        return name, seal(kek, secret, context, nonce=secrets.token_bytes(NONCE_SIZE))

    def _open(self, kek: str, sealed: bytes, context: bytes) -> bytes:
        if kek not in self._keks:
            self._keks = _read(self._kek_file)
        key = self._keks.get(kek)
        if key is None:
            raise SecurityError(
                f"the key-encryption key {kek} is not in {self._kek_file.name}",
                code="vault.kek",
                hint="restore the file that belongs to this vault",
            )
        return unseal(key, sealed, context)


def _context(kind: str, owner: str, name: str) -> bytes:
    """Return octets that differ whenever kind, owner or name do."""
    parts = [part.encode() for part in (kind, owner, name)]
    return b"openami vault" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _new_kek() -> dict[str, bytes]:
    return {secrets.token_hex(8): secrets.token_bytes(_KEK_OCTETS)}


def _create(file: Path) -> dict[str, bytes]:
    """Make the file, unless another process just has: its key may have sealed something."""
    fresh = _written(file, _new_kek())
    try:
        file.hardlink_to(fresh)
    except FileExistsError:
        return _read(file)
    except OSError as error:
        raise store_error(error, file.name) from error
    finally:
        fresh.unlink()
    with told(file.name):
        sync(file.parent)
    return _read(file)


def _write(file: Path, keks: Mapping[str, bytes]) -> None:
    """Replace the file in one step: a reader sees the old keys or the new ones."""
    fresh = _written(file, keks)
    with told(file.name):
        fresh.replace(file)
        sync(file.parent)


def _written(file: Path, keks: Mapping[str, bytes]) -> Path:
    """Return a new, durable file of keys beside ``file``."""
    text = "".join(f"{name} {kek.hex()}\n" for name, kek in keks.items())
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, 0o600), "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise store_error(error, file.name) from error
    return fresh


def _read(file: Path) -> dict[str, bytes]:
    try:
        with file.open("rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            text = source.read(_MAX_KEK_FILE + 1).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", code="vault.kek") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{file} can be read by others than its owner",
            code="vault.kek",
            hint=f"chmod 600 {file}",
        )
    lines = [_LINE.fullmatch(line) for line in text.splitlines()]
    keks = {line[1]: bytes.fromhex(line[2]) for line in lines if line}
    if not keks or not all(lines):
        raise ConfigError(f"{file} is not a file of key-encryption keys", code="vault.kek")
    return keks
