"""Nodes: values that never change, so that an older tree stays whole while a newer one is made."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.omadm.codes import Status
from openami.omadm.element import is_text
from openami.omadm.tree.acl import NO_ACL, Acl
from openami.omadm.tree.refusal import TreeRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openami.omadm.tree.uri import Path

Value = str | bytes

# VerNo is 16 bits and begins anew (TND 1.2, clause 7.7.8).
VERSIONS: Final = 1 << 16
PLAIN_TEXT: Final = "text/plain"


class Format(StrEnum):
    """What a node holds (TND 1.2, clause 7.7.2)."""

    B64 = "b64"
    BIN = "bin"
    BOOL = "bool"
    CHR = "chr"
    INT = "int"
    NODE = "node"
    NULL = "null"
    XML = "xml"
    DATE = "date"
    TIME = "time"
    FLOAT = "float"


@dataclass(frozen=True, slots=True)
class Node:
    """One node with all that is below it; its name is its parent's to know.

    Attributes:
        format: ``node``: an interior node.
        value: of a leaf: octets where the format is ``bin``, characters elsewhere.
        type: a leaf's media type; the URN of a management object at its interior node.
        title: for a person.
        acl: its own; empty: the parent's holds.
        changed: UTC seconds of the last change (TStamp).
        version: how often it changed (VerNo).
        children: by name, of an interior node.
        nodes: itself and all below.
        octets: of all values here and below, an interior node's names among them.
    """

    format: Format
    value: Value = field(default="", repr=False)
    type: str = ""
    title: str = ""
    acl: Acl = NO_ACL
    changed: int = 0
    version: int = 0
    children: Mapping[str, Node] = field(default_factory=dict)
    nodes: int = field(init=False, compare=False)
    octets: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        below = self.children.values()
        names = sum(map(len, self.children))
        object.__setattr__(self, "nodes", 1 + sum(child.nodes for child in below))
        object.__setattr__(
            self, "octets", size(self.value) + names + sum(child.octets for child in below)
        )

    @property
    def interior(self) -> bool:
        """Whether it has children instead of a value."""
        return self.format is Format.NODE

    @property
    def own(self) -> tuple[object, ...]:
        """What is of this node alone: equal, and only nodes below may differ."""
        return (
            self.format, self.value, self.type, self.title, self.acl, self.changed, self.version,
        )  # fmt: skip

    def touched(self, now: float) -> Node:
        """Return it with TStamp and VerNo moved on."""
        return replace(self, changed=int(now), version=(self.version + 1) % VERSIONS)

    def with_child(self, name: str, child: Node | None) -> Node:
        """Return it with one child replaced, added, or (None) without it."""
        children = {**self.children}
        if child is None:
            del children[name]
        else:
            children[name] = child
        return replace(self, children=children)

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """Yield this node and all below, parents first."""
        yield path, self
        for name, child in self.children.items():
            yield from child.walk((*path, name))


def find(root: Node, path: Path) -> Node | None:
    """Return the node at ``path``."""
    node: Node | None = root
    for name in path:
        if node is None:
            return None
        node = node.children.get(name)
    return node


def size(value: Value) -> int:
    """Return the octets of a value (property Size)."""
    return len(value) if isinstance(value, bytes) else len(value.encode(errors="surrogatepass"))


def timestamp(changed: int) -> str:
    """Return TStamp as it travels: ``20010711T163817Z`` (TND 1.2, clause 7.7.6)."""
    return f"{datetime.fromtimestamp(changed, UTC):%Y%m%dT%H%M%SZ}"


# DDF 1.2: an int has 32 bits and a sign.
_INT_MOST: Final = 2**31 - 1
_INT: Final = re.compile(r"[+-]?[0-9]{1,10}")
_FLOAT: Final = re.compile(r"[+-]?[0-9]{1,32}(\.[0-9]{1,32})?([eE][+-]?[0-9]{1,4})?")


def _is_int(text: str) -> bool:
    return bool(_INT.fullmatch(text)) and -_INT_MOST - 1 <= int(text) <= _INT_MOST


def _is_date(text: str) -> bool:
    return _is_moment(text, "%Y%m%d", 8) or _is_moment(text, "%Y-%m-%d", 10)


def _is_time(text: str) -> bool:
    text = text.removesuffix("Z")
    return _is_moment(text, "%H%M%S", 6) or _is_moment(text, "%H:%M:%S", 8)


def _is_moment(text: str, form: str, length: int) -> bool:
    if len(text) != length or not text.isascii():
        return False
    try:
        datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


_FORMS: Final[Mapping[Format, Callable[[str], bool]]] = MappingProxyType(
    {
        Format.B64: _is_base64,
        Format.BOOL: frozenset({"true", "false"}).__contains__,
        Format.CHR: is_text,
        Format.INT: _is_int,
        Format.NULL: frozenset({""}).__contains__,
        Format.XML: is_text,
        Format.DATE: _is_date,
        Format.TIME: _is_time,
        Format.FLOAT: lambda text: bool(_FLOAT.fullmatch(text)),
    }
)


def check_value(kind: Format, value: Value) -> Value:
    """Return a value in the form that a node of this format keeps.

    Raises:
        TreeRefusedError: 415, it is none of the format.
    """
    if kind is Format.BIN:
        return value if isinstance(value, bytes) else value.encode(errors="replace")
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        text = "\0"
    if not _FORMS[kind](text):
        raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, f"the value is no {kind.value}")
    return text
