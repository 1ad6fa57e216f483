"""The tree that an inspection gives, as text and as JSON-able dicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_SHOWN_OCTETS: Final = 8


@dataclass(frozen=True, slots=True)
class Node:
    """One element of a message.

    Attributes:
        name: the standard's name of the element.
        value: what it says: None for an element that only holds others.
        offset: where it begins, in octets from the start of the message; in what was deciphered,
            from the start of that.
        octets: all its octets; empty for a secret. Those of its parents hold it still.
        children: the elements inside.
        note: the value in words.
    """

    name: str
    value: int | float | str | bool | None
    offset: int
    octets: bytes
    children: tuple[Node, ...] = ()
    note: str = ""


def _headline(node: Node) -> str:
    text = node.name if node.value is None else f"{node.name}: {node.value}"
    text = f"{text} ({node.note})" if node.note else text
    if text.isprintable():
        return text
    # A peer's line breaks and terminal controls shall not look like lines of ours.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shown(node: Node) -> str:
    if node.children:
        return ""
    text = node.octets[:_SHOWN_OCTETS].hex(" ").upper()
    return text + "…" if len(node.octets) > _SHOWN_OCTETS else text


def _list(node: Node, depth: int, rows: list[tuple[int, str, str]]) -> None:
    rows.append((node.offset, _shown(node), "  " * depth + _headline(node)))
    for child in node.children:
        _list(child, depth + 1, rows)


def to_text(node: Node) -> str:
    """Return one line for each element: offset, first octets, and the indented name and value."""
    rows: list[tuple[int, str, str]] = []
    _list(node, 0, rows)
    digits = max(4, len(str(max(offset for offset, _, _ in rows))))
    width = max(len(shown) for _, shown, _ in rows)
    return "\n".join(
        f"{offset:{digits}d}  {shown:<{width}}  {text}".rstrip() for offset, shown, text in rows
    )


def to_dict(node: Node) -> dict[str, Any]:
    """Return what JSON can have.

    ``note`` is there if there is one; an element has either ``octets`` or ``children``, so that a
    secret is not in the octets of what holds it.
    """
    result: dict[str, Any] = {"name": node.name, "value": node.value, "offset": node.offset}
    if node.note:
        result["note"] = node.note
    if node.children:
        result["children"] = [to_dict(child) for child in node.children]
    else:
        result["octets"] = node.octets.hex().upper()
    return result
