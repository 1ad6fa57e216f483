"""Leaves as Python's values, and the checks that DDF has no words for."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.omadm.tree.node import Format, Node, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.omadm.tree.schema import Check

T = TypeVar("T")
_MOMENT: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_READERS: Final[dict[Format, Callable[[str], Any]]] = {
    Format.INT: int,
    Format.FLOAT: float,
    Format.BOOL: "true".__eq__,
}


def native(node: Node) -> Any:
    """Return a leaf's value: an int, a float, a bool, octets or characters."""
    if isinstance(node.value, bytes):
        return node.value
    return _READERS.get(node.format, str)(node.value)


def text(value: object) -> str:
    """Return a value as a leaf has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def camel(name: str) -> str:
    """Return the node that stands for a field: ``load_period``: ``LoadPeriod``."""
    return "".join(part.capitalize() for part in name.split("_"))


def leaves(kind: type[T], node: Node | None) -> T:
    """Return a dataclass whose fields are the leaves of an interior node.

    A leaf that is not there leaves the field's default.

    Raises:
        ValueError: a field without a default has no leaf.
    """
    children = {} if node is None else node.children
    names = {field.name: camel(field.name) for field in fields(kind)}  # type: ignore[arg-type]  # T is a dataclass
    found = {field: native(children[leaf]) for field, leaf in names.items() if leaf in children}
    try:
        return kind(**found)
    except TypeError as error:
        raise ValueError("a leaf is missing") from error


def characters(node: Node | None, *path: str, default: str = "") -> str:
    """Return the characters of a leaf below a node; ``default``: there is none."""
    leaf = None if node is None else find(node, path)
    return leaf.value if leaf is not None and isinstance(leaf.value, str) else default


def between(least: float, most: float) -> Check:
    """Return a check for numbers."""

    def check(value: str) -> None:
        if not least <= float(value) <= most:
            raise ValueError(f"the value is {least:g} to {most:g}")

    return check


def one_of(*choices: str) -> Check:
    """Return a check for words."""

    def check(value: str) -> None:
        if value not in choices:
            raise ValueError(f"the value is one of {', '.join(choices)}")

    return check


def moment(value: str) -> int:
    """Return UTC seconds of ``20260101T000000Z``.

    Raises:
        ValueError: it is no such moment.
    """
    if not _MOMENT.fullmatch(value):
        raise ValueError("a moment reads 20260101T000000Z")
    return int(datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())


def is_moment(value: str) -> None:
    """Refuse what is no moment."""
    moment(value)
