"""What services are made of: each kind of field, read, written and shown in one place.

A service is a row of fields. Whoever encodes, decodes or dissects it walks the same row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.codes import Connection, NodeType
from openami.c1222.limits import MAX_NATIVE, MAX_TITLES
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.wire.reader import Reader
    from openami.wire.writer import Writer

CHUNK: Final = 0xFFFF
"""A count of so many says that another chunk follows."""
_PAD: Final = b" "


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a service.

    Attributes:
        name: the attribute that holds it.
        read: reads it.
        write: writes it; OverflowError if it does not fit.
        secret: it is never shown.
        optional: it is None, and nothing is written, where nothing is left.
    """

    name: str
    read: Callable[[Reader], Any]
    write: Callable[[Writer, Any], object]
    secret: bool = False
    optional: bool = False

    def take(self, r: Reader) -> Any:
        """Return its value."""
        return None if self.optional and not r.remaining else self.read(r)

    def put(self, w: Writer, value: Any) -> None:
        """Write its value.

        Raises:
            LocalProtocolError: there is no room for it, or nothing that must be there.
        """
        if value is None and self.optional:
            return
        try:
            self.write(w, value)
        except OverflowError:
            raise LocalProtocolError(f"{self.name}: {value!r} does not fit its field") from None


def number(name: str, size: int, kind: Callable[[int], Any] = int, **options: bool) -> Field:
    """Return a number of ``size`` octets; ``kind`` gives it a type."""
    return Field(name, lambda r: kind(r.uint(size)), lambda w, v: w.uint(v, size), **options)


def octets(name: str, size: int, *, secret: bool = False) -> Field:
    """Return exactly ``size`` octets."""

    def write(w: Writer, value: bytes) -> None:
        if len(value) != size:
            raise LocalProtocolError(f"{name}: {size} octets wanted, not {len(value)}")
        w.raw(value)

    return Field(name, lambda r: r.take(size), write, secret)


def padded(value: bytes, size: int, what: str) -> bytes:
    """Return ``value`` with spaces up to ``size`` octets.

    Raises:
        LocalProtocolError: it is longer.
    """
    if len(value) > size:
        raise LocalProtocolError(f"{what}: {size} octets at most, not {len(value)}")
    return value.ljust(size, _PAD)


def counted(name: str, most: int = 0xFF, **options: bool) -> Field:
    """Return octets behind their count of one octet."""

    def read(r: Reader) -> bytes:
        at = r.offset
        size = r.u8()
        if size > most:
            raise DecodeError(f"{name}: {most} octets at most", offset=at)
        return r.take(size)

    def write(w: Writer, value: bytes) -> None:
        if len(value) > most:
            raise LocalProtocolError(f"{name}: {most} octets at most, not {len(value)}")
        w.uint(len(value), 1).raw(value)

    return Field(name, read, write, **options)


def title(name: str, **options: bool) -> Field:
    """Return an ApTitle, or a universal identifier, which is written in the same way."""
    return Field(name, ApTitle.read_within, lambda w, v: w.raw(v.encode()), **options)


def _read_titles(r: Reader) -> tuple[ApTitle, ...]:
    found: list[ApTitle] = []
    while r.remaining:
        if len(found) == MAX_TITLES:
            raise r.error(f"more than {MAX_TITLES} ApTitles")
        found.append(ApTitle.read_within(r))
    return tuple(found)


def _write_titles(w: Writer, titles: tuple[ApTitle, ...]) -> None:
    if len(titles) > MAX_TITLES:
        raise LocalProtocolError(f"{MAX_TITLES} ApTitles at most, not {len(titles)}")
    for each in titles:
        w.raw(each.encode())


def titles(name: str) -> Field:
    """Return all ApTitles that are left."""
    return Field(name, _read_titles, _write_titles)


def rest(name: str) -> Field:
    """Return all octets that are left."""
    return Field(name, lambda r: r.rest(), lambda w, v: w.raw(v))


def checksum(data: bytes) -> int:
    """Return the two's complement of the sum of ``data`` (C12.22, 5.3.2.4.2, cksum)."""
    return -sum(data) & 0xFF


def _read_table(r: Reader) -> bytes:
    whole = bytearray()
    while True:
        size = r.u16()
        data = r.take(size)
        at = r.offset
        if r.u8() != checksum(data):
            raise DecodeError("the checksum is not right", offset=at, code="c1222.checksum")
        whole += data
        if size != CHUNK:
            return bytes(whole)


def _write_table(w: Writer, data: bytes) -> None:
    for at in range(0, len(data) + 1, CHUNK):  # after chunks that are all full comes an empty one
        chunk = data[at : at + CHUNK]
        w.u16(len(chunk)).raw(chunk).u8(checksum(chunk))


def indexes(count: int) -> Field:
    """Return the ``count`` indexes of a path into a table."""

    def write(w: Writer, path: tuple[int, ...]) -> None:
        for index in path:
            w.u16(index)

    return Field("path", lambda r: tuple([r.u16() for _ in range(count)]), write)


TABLE: Final = number("table", 2)
COUNT: Final = number("count", 2)
OFFSET: Final = number("offset", 3)
DATA: Final = Field("data", _read_table, _write_table)
NATIVE: Final = counted("native", MAX_NATIVE)
NODE_TYPE: Final = number("node_type", 1, NodeType)
CONNECTION: Final = number("connection", 1, Connection)


def read_fields(r: Reader, fields: tuple[Field, ...]) -> list[Any]:
    """Return the values of a row of fields that fill what is left.

    Raises:
        DecodeError: they do not.
    """
    values = [field.take(r) for field in fields]
    r.finish()
    return values


def write_fields(w: Writer, fields: tuple[Field, ...], of: object) -> bytes:
    """Return all that was written, and the attributes of ``of`` that ``fields`` name.

    Raises:
        LocalProtocolError: one does not fit.
    """
    for field in fields:
        field.put(w, getattr(of, field.name))
    return w.bytes()
