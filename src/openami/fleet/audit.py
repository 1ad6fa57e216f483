"""The chain of the audit log: each entry's hash covers the one before it, a signed head all.

Entries are numbered without a gap from 1. An entry's hash is SHA-256 over the 32 octets of the
hash before it (32 zeros before the first) and the entry's text: the JSON array
``[number, time, who, what, subject, why]`` in UTF-8, as RFC 8785 writes it. A head says that the
log goes up to an entry and has this hash there; its signature is over SHA-256 of the JSON array
``["openami.audit.head", number, hash, time]``. So whoever keeps a head sees what becomes of
anything up to it, whoever has the database.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from openami.core.clock import parse_utc, utc
from openami.core.errors import SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from openami.fleet.devices import AuditEntry

Chain: TypeAlias = (
    "Callable[[Head | None, Sequence[AuditEntry]], tuple[Sequence[AuditEntry], Head]]"
)
"""What gives entries their places after a head, and the head that then is."""

FIRST: Final = bytes(hashlib.sha256().digest_size)
"""The hash before the first entry."""

MAX_LINE: Final = 2**20
"""Octets of a line of an export; an entry is a line or two of words, the longest some kilobytes."""


class AuditError(SecurityError):
    """The log is not what was signed.

    Codes: ``audit.unreadable``, ``audit.changed``, ``audit.missing``, ``audit.order``,
    ``audit.inserted``, ``audit.cut``, ``audit.head``, ``audit.signature``, ``audit.rewritten``,
    ``audit.broken``.

    Args:
        number: of the first entry that is wrong; 0: it is no entry.
    """

    code = "audit.broken"

    def __init__(self, message: str, *, code: str | None = None, number: int = 0) -> None:
        super().__init__(message, code=code)
        self.number = number


class HeadKey(Protocol):
    """The public key that heads are checked with."""

    @property
    def id(self) -> bytes: ...

    def verifies(self, digest: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log goes, and who says so.

    Args:
        number: of the last entry; 0: there is none.
        hash: of the last entry.
        when: it was signed, in UTC seconds.
        key: the id of the key that signed.
        signature: over ``digest``.
    """

    number: int = 0
    hash: bytes = FIRST
    when: float = 0.0
    key: bytes = b""
    signature: bytes = b""

    def digest(self) -> bytes:
        """Return what is signed."""
        said = ["openami.audit.head", self.number, self.hash.hex(), stamp(self.when)]
        return hashlib.sha256(_canonical(said)).digest()

    def check(self, key: HeadKey) -> None:
        """Return if ``key`` signed it; AuditError, ``audit.signature``."""
        if self.key != key.id:
            raise AuditError(
                f"the head is signed by the key {self.key.hex()[:16]}, not by {key.id.hex()[:16]}",
                code="audit.signature",
            )
        if not key.verifies(self.digest(), self.signature):
            raise AuditError("the head's signature is wrong", code="audit.signature")


def stamp(when: float) -> str:
    """Return a time as the log writes it: to the microsecond, in UTC."""
    return utc(when).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(entry: AuditEntry, number: int, before: bytes) -> bytes:
    """Return the hash of an entry whose place in the chain is ``number``."""
    said = [number, stamp(entry.when), entry.who, entry.what, entry.subject, entry.why]
    return hashlib.sha256(before + _canonical(said)).digest()


def extend(head: Head, entries: Iterable[AuditEntry]) -> Sequence[AuditEntry]:
    """Return the entries with their places and hashes, after a head."""
    laid: list[AuditEntry] = []
    number, last = head.number, head.hash
    for entry in entries:
        number, last = number + 1, link(entry, number + 1, last)
        laid.append(replace(entry, number=number, hash=last))
    return laid


def sign(
    number: int, last: bytes, *, when: float, key: bytes, by: Callable[[bytes], bytes]
) -> Head:
    """Return a signed head; ``by`` gives the signature over a digest."""
    head = Head(number, last, when, key)
    return replace(head, signature=by(head.digest()))


def _canonical(said: Sequence[object]) -> bytes:
    # RFC 8785, for whole numbers and texts: no blanks, no escapes but those that JSON demands.
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def begin_line(after: Head) -> str:
    """Return the first line of an export of what follows an entry; all: after ``Head()``."""
    return _line({"log": "openami-audit", "version": 1, "after": after.number, "hash": after.hash})


def entry_line(entry: AuditEntry) -> str:
    """Return the line of an entry that is in the chain."""
    return _line(
        {
            "number": entry.number,
            "time": stamp(entry.when),
            "who": entry.who,
            "what": entry.what,
            "subject": entry.subject,
            "why": entry.why,
            "hash": entry.hash,
        }
    )


def head_line(head: Head) -> str:
    """Return the last line of an export, which is what who keeps a head keeps."""
    return _line(
        {
            "head": head.number,
            "hash": head.hash,
            "time": stamp(head.when),
            "key": head.key,
            "signature": head.signature,
        }
    )


def _line(said: dict[str, object]) -> str:
    told = {name: one.hex() if isinstance(one, bytes) else one for name, one in said.items()}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_head(line: str) -> Head:
    """Return the head of a line; AuditError, ``audit.unreadable``."""
    try:
        said = json.loads(line)
        octets = (bytes.fromhex(said[name]) for name in ("hash", "key", "signature"))
        last, key, signature = octets
        head = Head(int(said["head"]), last, parse_utc(said["time"]), key, signature)
        if head_line(head) == line:
            return head
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass  # it is refused as what is readable and another is
    raise AuditError("this is no head of an audit log", code="audit.unreadable")
