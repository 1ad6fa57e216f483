"""What a WBXML document begins with, and the cursor that reads it and all after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from openami.core.errors import DecodeError
from openami.omadm.wbxml.tokens import CHARSETS, FORMAL_IDS, PUBLIC_IDS, UTF_8, DocumentKind

_LAST_VERSION: Final = 0x03
_WBXML_1_0: Final = 0x00
_MULTI_BYTE_OCTETS: Final = 5


class Cursor:
    """Octets read forward; each read succeeds or raises ``DecodeError``."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def error(self, message: str, code: str | None = None) -> DecodeError:
        """Return the error that happens here."""
        return DecodeError(message, offset=self.position, code=code)

    def u8(self) -> int:
        """Return the next octet."""
        position = self.position
        if position >= len(self.data):
            raise self.error("the document is cut off")
        self.position = position + 1
        return self.data[position]

    def take(self, size: int) -> bytes:
        """Return so many octets."""
        start = self.position
        if size > len(self.data) - start:
            raise self.error(f"{size} octets wanted, {len(self.data) - start} left")
        self.position = start + size
        return self.data[start : self.position]

    def multi_byte(self) -> int:
        """Return a number of 32 bits in groups of seven (WAP-192-WBXML 5.1)."""
        number = 0
        for _ in range(_MULTI_BYTE_OCTETS):
            octet = self.u8()
            number = number << 7 | octet & 0x7F
            if not octet & 0x80:
                break
        else:
            raise self.error("a number of more than five octets")
        if number >> 32:
            raise self.error("a number of more than 32 bits")
        return number

    def string(self) -> bytes:
        """Return a terminated string; the terminator of all charsets that are read is one NUL."""
        end = self.data.find(0, self.position)
        if end < 0:
            raise self.error("a string without an end")
        text = self.data[self.position : end]
        self.position = end + 1
        return text


def _formal_kind(cursor: Cursor, table: bytes, index: int) -> DocumentKind:
    if index >= len(table):
        raise cursor.error("the public identifier is outside of the string table")
    name = table[index:].partition(b"\0")[0].decode("latin-1")
    kind = FORMAL_IDS.get(name.casefold())
    if kind is None:
        raise cursor.error(f"unknown public identifier {name[:80]!r}")
    return kind


@dataclass(frozen=True, slots=True)
class Header:
    """What a document begins with; of its kinds and numbers as in ``Document``.

    Attributes:
        charset: as Python names it.
        table: the string table.
    """

    version: int
    public_id: int
    kind: DocumentKind
    charset: str
    table: bytes


def read_header(cursor: Cursor) -> Header:
    """Read version, public identifier, charset and string table (WAP-192-WBXML 5.3)."""
    version = cursor.u8()
    if version > _LAST_VERSION:
        raise cursor.error(f"WBXML version {version:02X} is unknown")
    public_id = cursor.multi_byte()
    index = cursor.multi_byte() if public_id == 0 else 0
    number = UTF_8 if version == _WBXML_1_0 else cursor.multi_byte()
    charset = CHARSETS.get(number)
    if charset is None:
        raise cursor.error(f"charset {number}: only UTF-8 is read", "omadm.encoding")
    table = cursor.take(cursor.multi_byte())
    kind = PUBLIC_IDS.get(public_id) if public_id else _formal_kind(cursor, table, index)
    if kind is None:
        raise cursor.error(f"unknown public identifier {public_id:#x}")
    return Header(version, public_id, kind, charset, table)
