"""The addresses of nodes: ``./A/B?prop=ACL`` and ``./A/B?list=TNDS`` (OMA-TS-DM_TND 1.2).

A path is the tuple of its segments, decoded; the root's is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from openami.omadm.codes import Status
from openami.omadm.tree.refusal import TreeRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str, ...]

ROOT: Final[Path] = ()
_DOTS: Final = frozenset({".", ".."})
# What stands in a segment as it is (RFC 2396, clause 3.3: pchar); all else as UTF-8 in %XX.
PLAIN: Final = "-_.!~*'():@&=+$,"


class Property(StrEnum):
    """A node's run-time property (TND 1.2, clause 7.7)."""

    ACL = "ACL"
    FORMAT = "Format"
    NAME = "Name"
    SIZE = "Size"
    TITLE = "Title"
    TSTAMP = "TStamp"
    TYPE = "Type"
    VERNO = "VerNo"


class Listing(StrEnum):
    """How a Get of a whole subtree answers (TND 1.2, clause 6.4)."""

    STRUCT = "Struct"
    STRUCT_DATA = "StructData"
    TNDS = "TNDS"


VALUE: Final = "Value"
# What a TNDS document can hold of a node.
PARTS: Final = frozenset({*(prop.value for prop in Property), VALUE})


@dataclass(frozen=True, slots=True)
class UriLimits:
    """What DevDetail/URI tells servers, 0 nowhere: every address has an end.

    Attributes:
        depth: segments of a path; the deepest standard object (DMAcc's port) has 7.
        total: octets of a path; room for every segment of such an object.
        segment: octets of one segment; server identifiers and URNs serve as names.
    """

    depth: int = 16
    total: int = 1023
    segment: int = 127


@dataclass(frozen=True, slots=True)
class Uri:
    """A node, one of its properties, or a listing of its subtree.

    Attributes:
        path: the node.
        prop: with ``?prop=``.
        listing: with ``?list=``.
        parts: with ``?list=TNDS``, what is asked of every node.
    """

    path: Path
    prop: Property | None = None
    listing: Listing | None = None
    parts: frozenset[str] = PARTS

    @property
    def plain(self) -> bool:
        """Whether the node itself is meant."""
        return self.prop is None and self.listing is None


def parse_uri(text: str, limits: UriLimits) -> Uri:
    """Read an address of the tree.

    Raises:
        TreeRefusedError: 414, it is longer than the limits; 404, it names no node of any tree;
            406, its query is none that we know.
    """
    where, mark, query = text.partition("?")
    path = parse_path(where, limits)
    if not mark:
        return Uri(path)
    key, _, value = query.partition("=")
    if key == "prop" and value in _PROPERTIES:
        return Uri(path, prop=_PROPERTIES[value])
    if key == "list":
        return _listing(path, value)
    raise TreeRefusedError(Status.OPTIONAL_NOT_SUPPORTED, "no such property or listing")


_PROPERTIES: Final[Mapping[str, Property]] = MappingProxyType({p.value: p for p in Property})


def _listing(path: Path, value: str) -> Uri:
    if value in (Listing.STRUCT, Listing.STRUCT_DATA):
        return Uri(path, listing=Listing(value))
    if value == Listing.TNDS:
        return Uri(path, listing=Listing.TNDS)
    for sign in "+-":
        # TND 1.2, clause 6.4.3: parts are taken in with "+" or left out with "-", not both.
        kind, *names = value.split(sign)
        if kind == Listing.TNDS and PARTS.issuperset(names):
            parts = frozenset(names) if sign == "+" else PARTS.difference(names)
            return Uri(path, listing=Listing.TNDS, parts=parts)
    raise TreeRefusedError(Status.OPTIONAL_NOT_SUPPORTED, "no such listing")


def parse_path(text: str, limits: UriLimits) -> Path:
    """Read ``./A/B``, or ``A/B``, which is the same (TND 1.2, clause 6.2).

    Raises:
        TreeRefusedError: 414 or 404, as ``parse_uri`` says.
    """
    if len(text) > limits.total or len(text.encode(errors="replace")) > limits.total:
        raise TreeRefusedError(Status.URI_TOO_LONG, f"an address has up to {limits.total} octets")
    raw = text.removeprefix("./")
    if raw in (".", ""):
        return ROOT
    segments = raw.split("/")
    if len(segments) > limits.depth:
        raise TreeRefusedError(Status.URI_TOO_LONG, f"the tree is up to {limits.depth} deep")
    return tuple(_segment(segment, limits) for segment in segments)


def _segment(raw: str, limits: UriLimits) -> str:
    try:
        name = unquote_to_bytes(raw).decode("utf-8")
    except ValueError as error:
        raise TreeRefusedError(Status.NOT_FOUND, "an address is UTF-8") from error
    check_name(name, limits)
    return name


def check_name(name: str, limits: UriLimits) -> None:
    """Refuse what can't name a node.

    Raises:
        TreeRefusedError: 404, no name at all; 414, too long.
    """
    # TND 1.2, clause 6.2: no "." or ".." but at the start, no empty segment, no trailing "/".
    if not name or name in _DOTS or not name.isprintable():
        raise TreeRefusedError(Status.NOT_FOUND, "an address has a segment that names nothing")
    if len(quote(name, safe=PLAIN)) > limits.segment:
        raise TreeRefusedError(Status.URI_TOO_LONG, f"a name has up to {limits.segment} octets")


def format_path(path: Path) -> str:
    """Return the address of a node as it travels: ``./A/B``, and ``.`` for the root."""
    return "/".join((".", *(quote(segment, safe=PLAIN) for segment in path)))


def check_path(path: Path, limits: UriLimits) -> None:
    """Refuse a path that no address could reach.

    Raises:
        TreeRefusedError: 414 or 404.
    """
    if len(path) > limits.depth:
        raise TreeRefusedError(Status.URI_TOO_LONG, f"the tree is up to {limits.depth} deep")
    for name in path:
        check_name(name, limits)
    if len(format_path(path)) > limits.total:
        raise TreeRefusedError(Status.URI_TOO_LONG, f"an address has up to {limits.total} octets")
