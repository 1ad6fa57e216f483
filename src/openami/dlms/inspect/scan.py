"""Reading forward while a tree grows: what every dissector is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from openami.core.inspection import Node
from openami.core.obis import Obis
from openami.dlms.data import Data, DataType, type_name
from openami.dlms.datetime import CosemDateTime
from openami.dlms.obis_names import describe
from openami.wire.reader import Reader

_LONGEST_TEXT: Final = 64


Words = Callable[[Any], str]


class Scan:
    """A reader over ``octets`` that knows what it has read.

    Args:
        octets: what is dissected.
        base: the offset of ``octets`` in the message.
    """

    def __init__(self, octets: bytes, base: int = 0) -> None:
        self.r = Reader(octets, base=base)
        self._octets = octets
        self._base = base

    def since(self, start: int) -> bytes:
        """Return the octets from offset ``start`` up to here."""
        return self._octets[start - self._base : self.r.offset - self._base]

    def leaf(self, name: str, read: Callable[[Reader], Any], note: Words | None = None) -> Node:
        """Return what ``read`` reads as an element; ``note`` turns its value into words."""
        start = self.r.offset
        value = read(self.r)
        words = note(value) if note else ""
        shown = value.hex().upper() if isinstance(value, bytes) else value
        return Node(name, shown, start, self.since(start), (), words)

    def group(self, name: str, parts: Iterable[Part], note: str = "") -> Node:
        """Return an element that holds what ``parts`` read, one after another."""
        start = self.r.offset
        children = tuple([part(self) for part in parts])
        return Node(name, None, start, self.since(start), children, note)


Part = Callable[[Scan], Node]


def field(name: str, read: Callable[[Reader], Any], note: Words | None = None) -> Part:
    """Return a part that is one leaf."""
    return lambda scan: scan.leaf(name, read, note)


def u8(name: str, note: Words | None = None) -> Part:
    """Return a part that is one octet."""
    return field(name, Reader.u8, note)


def u16(name: str, note: Words | None = None) -> Part:
    """Return a part that is a number of two octets."""
    return field(name, Reader.u16, note)


def u32(name: str, note: Words | None = None) -> Part:
    """Return a part that is a number of four octets."""
    return field(name, Reader.u32, note)


def octet_string(name: str, note: Words | None = None) -> Part:
    """Return a part that is a length and its octets."""
    return field(name, lambda r: r.take(r.length()), note)


def flag(name: str) -> Part:
    """Return a part that is a boolean of one octet."""
    return field(name, lambda r: r.u8() != 0)


def sequence_of(name: str, part: Part) -> Part:
    """Return a part that is a count and as many elements."""

    def scan_all(scan: Scan) -> Node:
        start = scan.r.offset
        count = scan.r.length()
        children = tuple([part(scan) for _ in range(count)])
        return Node(name, None, start, scan.since(start), children, f"{count} elements")

    return scan_all


def optional(name: str, part: Part) -> Part:
    """Return a part behind a presence flag."""

    def scan_optional(scan: Scan) -> Node:
        start = scan.r.offset
        if not scan.r.u8():
            return Node(name, "absent", start, scan.since(start))
        inner = part(scan)
        return Node(name, None, start, scan.since(start), (inner,))

    return scan_optional


def obis_words(raw: bytes) -> str:
    """Return a logical name and its meaning."""
    obis = Obis(raw)
    return f"{obis} {describe(obis)}".rstrip()


def _octets_words(octets: bytes) -> str:
    """Guess what an octet-string holds: a text, a logical name, a date and time."""
    if len(octets) == 12:
        moment = CosemDateTime.decode(octets)
        if moment.encode() == octets and _plausible(moment):
            return str(moment)
    if octets and all(0x20 <= octet < 0x7F for octet in octets[:_LONGEST_TEXT]):
        return '"' + octets[:_LONGEST_TEXT].decode("ascii") + '"'
    if len(octets) == 6 and (octets[5] == 0xFF or describe(Obis(octets))):
        return obis_words(octets)
    return ""


def _plausible(moment: CosemDateTime) -> bool:
    try:
        moment.local()
    except ValueError:
        return False
    return 1970 <= moment.year < 2200


def _shown(data: Data) -> int | float | str | bool | None:
    value = data.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return data.jsonable()  # type: ignore[no-any-return]  # a leaf's value is one of these


def data(scan: Scan) -> Node:
    """Dissect one Data."""
    start = scan.r.offset
    if scan.r.peek() in (DataType.ARRAY, DataType.STRUCTURE):
        name = type_name(DataType(scan.r.u8()))
        count = scan.r.length()
        children = tuple([data(scan) for _ in range(count)])
        return Node(name, None, start, scan.since(start), children, f"{count} elements")
    found = Data.decode(scan.r)
    words = _octets_words(found.value) if found.type is DataType.OCTETS else ""
    shown = _shown(found)
    return Node(
        type_name(found.type),
        shown.upper() if found.type is DataType.OCTETS and isinstance(shown, str) else shown,
        start,
        scan.since(start),
        (),
        words,
    )
