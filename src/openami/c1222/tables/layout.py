"""A table laid out: every element with its offset and length, once the dimensions are known.

A layout is a tree of three kinds of nodes. A leaf is one element, an array repeats one node, a
record has members by name, of which those that a condition leaves out have no octets and no value.
Values are dicts for records and bit fields, lists for arrays, and what the codecs give.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openami.c1222.tables.codecs import Codec, SecretOctets
from openami.core.errors import DecodeError, LocalProtocolError

MAX_SIZE: Final = 1 << 24
"""Octets of a table: an offset in a request has three."""
MAX_EMPTY: Final = 1 << 16
"""Elements without octets, of which a table's size is no bound: more are dimensions gone mad."""
_CODEC_ERRORS: Final = (ValueError, OverflowError, struct.error)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One element."""

    codec: Codec

    @property
    def size(self) -> int:
        return self.codec.size

    @property
    def minimum(self) -> int:
        """Octets that must be there."""
        return 0 if self.codec.VARIABLE else self.size

    @property
    def empties(self) -> int:
        """Elements without octets."""
        return 0 if self.size else 1


@dataclass(frozen=True, slots=True)
class Array:
    """``count`` times the same."""

    count: int
    of: Node

    @property
    def size(self) -> int:
        return self.count * self.of.size

    @property
    def minimum(self) -> int:
        return self.count * self.of.minimum

    @property
    def empties(self) -> int:
        return self.count * self.of.empties if self.count else 1


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a record; ``node`` is None where it is left out."""

    name: str
    offset: int
    node: Node | None


@dataclass(frozen=True, slots=True)
class Record:
    """Members one after another."""

    members: tuple[Member, ...]
    size: int

    @property
    def present(self) -> tuple[tuple[Member, Node], ...]:
        """The members that are there."""
        return tuple((each, each.node) for each in self.members if each.node is not None)

    @property
    def minimum(self) -> int:
        return sum(node.minimum for _, node in self.present)

    @property
    def empties(self) -> int:
        return sum(node.empties for _, node in self.present) or (0 if self.size else 1)


Node = Leaf | Array | Record


@dataclass(frozen=True, slots=True)
class Span:
    """Octets of a table."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def decode(node: Node, octets: bytes) -> Any:
    """Return the value of all of ``octets``.

    Raises:
        DecodeError: there are too few or too many, or one element is none.
    """
    if not node.minimum <= len(octets) <= node.size:
        raise DecodeError(
            f"{node.size} octets wanted, {len(octets)} found", offset=min(node.size, len(octets))
        )
    return _decode(node, octets, 0, "")


def _decode(node: Node, octets: bytes, at: int, path: str) -> Any:
    if isinstance(node, Record):
        return {
            each.name: _decode(inner, octets, at + each.offset, f"{path}.{each.name}")
            for each, inner in node.present
        }
    if isinstance(node, Array):
        step = node.of.size
        return [
            _decode(node.of, octets, at + step * place, f"{path}[{place}]")
            for place in range(node.count)
        ]
    try:
        return node.codec.decode(octets[at : at + node.size])
    except _CODEC_ERRORS as error:
        raise DecodeError(f"{path.lstrip('.')}: {error}", offset=at) from None


def encode(node: Node, value: Any) -> bytes:
    """Return the octets of a value.

    Raises:
        LocalProtocolError: ``c1219.value``, it does not fit; the message says where.
    """
    octets = bytearray()
    _encode(node, value, octets, "")
    return bytes(octets)


def _encode(node: Node, value: Any, octets: bytearray, path: str) -> None:
    for inner, part, where in _parts(node, value, path):
        _encode(inner, part, octets, where)
    if isinstance(node, Leaf):
        try:
            octets += node.codec.encode(value)
        except _CODEC_ERRORS as error:
            raise _unfit(path, str(error)) from None


def _unfit(path: str, message: str) -> LocalProtocolError:
    return LocalProtocolError(f"{path.lstrip('.') or 'table'}: {message}", code="c1219.value")


def _parts(node: Node, value: Any, path: str) -> Iterator[tuple[Node, Any, str]]:
    """Give the nodes below a node, each with its part of the value."""
    if isinstance(node, Record):
        if not isinstance(value, Mapping):
            raise _unfit(path, "a record wanted")
        names = [each.name for each, _ in node.present]
        if set(value) != set(names):
            odd = ", ".join(sorted(map(str, set(value) ^ set(names))))
            raise _unfit(path, f"missing, or not wanted: {odd}")
        for each, inner in node.present:
            yield inner, value[each.name], f"{path}.{each.name}"
    elif isinstance(node, Array):
        if not isinstance(value, list) or len(value) != node.count:
            raise _unfit(path, f"a list of {node.count} wanted")
        for place, part in enumerate(value):
            yield node.of, part, f"{path}[{place}]"


def to_json(node: Node, value: Any) -> Any:
    """Return a value as JSON has it: times as text, octets as hex, sets as lists, decimals as text.

    Raises:
        LocalProtocolError: ``c1219.value``, it is no value of this layout.
    """
    return _converted(node, value, "", outwards=True)


def from_json(node: Node, value: Any) -> Any:
    """Return the value that JSON has.

    Raises:
        LocalProtocolError: ``c1219.value``, it is no value of this layout.
    """
    return _converted(node, value, "", outwards=False)


def _converted(node: Node, value: Any, path: str, *, outwards: bool) -> Any:
    if isinstance(node, Leaf):
        try:
            return node.codec.to_json(value) if outwards else node.codec.from_json(value)
        except _CODEC_ERRORS as error:
            raise _unfit(path, str(error)) from None
    parts = [
        _converted(inner, part, where, outwards=outwards)
        for inner, part, where in _parts(node, value, path)
    ]
    if isinstance(node, Array):
        return parts
    return {each.name: part for (each, _), part in zip(node.present, parts, strict=True)}


def span(node: Node, indexes: tuple[int, ...], count: int = 1) -> Span:
    """Return the octets of ``count`` elements from the one that ``indexes`` lead to.

    Indexes count from 0, members in the order in which the table is written down: a member that is
    left out keeps its number and has no octets (C12.19, 8.1: index and element count). A bit field
    is one element.

    Raises:
        LocalProtocolError: ``c1219.index``, there are no such elements.
    """
    at = 0
    for index in indexes[:-1]:
        offset, inner = _child(node, index)
        if inner is None:
            raise _no_element(indexes, count)
        at, node = at + offset, inner
    if not indexes or count < 1 or not isinstance(node, Record | Array):
        raise _no_element(indexes, count)
    first, _ = _child(node, indexes[-1])
    offset, last = _child(node, indexes[-1] + count - 1)
    return Span(at + first, offset + (0 if last is None else last.size) - first)


def _no_element(indexes: tuple[int, ...], count: int) -> LocalProtocolError:
    path = ".".join(map(str, indexes))
    return LocalProtocolError(f"no {count} elements at {path or 'nothing'}", code="c1219.index")


def _child(node: Node, index: int) -> tuple[int, Node | None]:
    if isinstance(node, Array) and 0 <= index < node.count:
        return node.of.size * index, node.of
    if isinstance(node, Record) and 0 <= index < len(node.members):
        return node.members[index].offset, node.members[index].node
    raise _no_element((index,), 1)


def element_at(node: Node, offset: int) -> tuple[str, Span]:
    """Return the name and the octets of the element that the octet at ``offset`` belongs to.

    Raises:
        LocalProtocolError: ``c1219.index``, the table has no such octet.
    """
    if not 0 <= offset < node.size:
        raise _no_element((offset,), 1)
    at, path = 0, ""
    while not isinstance(node, Leaf):
        if isinstance(node, Array):
            place = (offset - at) // node.of.size
            at, path, node = at + place * node.of.size, f"{path}[{place}]", node.of
            continue
        each, inner = next(
            (each, inner)
            for each, inner in reversed(node.present)
            if inner.size and at + each.offset <= offset
        )
        at, path, node = at + each.offset, f"{path}.{each.name}", inner
    return path.lstrip("."), Span(at, node.size)


def locate(node: Node, path: str) -> Span:
    """Return the octets of an element by its name, ``TIER[1].SUMMATIONS[0]``.

    Raises:
        LocalProtocolError: ``c1219.index``, there is none of this name.
    """
    at = 0
    for part in path.replace("[", ".[").split("."):
        offset, inner = _child(node, _place(node, part))
        if inner is None:
            raise _no_element((), 1)
        at, node = at + offset, inner
    return Span(at, node.size)


def _place(node: Node, part: str) -> int:
    if part.startswith("[") and part.endswith("]") and part[1:-1].isdecimal():
        return int(part[1:-1]) if isinstance(node, Array) else -1
    names = [each.name for each in node.members] if isinstance(node, Record) else []
    return names.index(part) if part in names else -1


def elements(node: Node, value: Any) -> Iterator[tuple[str, Any]]:
    """Give the name and the value of every element, in their order."""
    yield from _elements(node, value, "")


def _elements(node: Node, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Leaf):
        yield path.lstrip("."), value
    for inner, part, where in _parts(node, value, path):
        yield from _elements(inner, part, where)


def to_text(node: Node, value: Any) -> str:
    """Return a line for each element."""
    return "\n".join(f"{name}: {shown(part)}" for name, part in elements(node, value))


def shown(value: Any) -> str:
    """Return one element's value as people read it, on one line."""
    if isinstance(value, dict):
        named = (name if part is True else f"{name}={part}" for name, part in value.items() if part)
        return " ".join(named) or "none"
    if isinstance(value, frozenset):
        return " ".join(str(bit) for bit in sorted(value)) or "none"
    plain = isinstance(value, bytes) and not isinstance(value, SecretOctets)
    text = value.hex(" ") if plain else str(value)
    # A device's line breaks and terminal controls shall not look like lines of ours.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
