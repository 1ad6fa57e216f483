"""Readable trees of messages and notifications; credentials are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from openami.core.errors import DecodeError
from openami.core.inspection import Node
from openami.omadm.codes import AlertCode, Status
from openami.omadm.notification import DIGEST, VERSION, Notification
from openami.omadm.wbxml import parse_wbxml
from openami.omadm.xml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import IntEnum

    from openami.omadm.element import Element

# Nodes of DMAcc that hold passwords, keys and nonces (OMA-TS-DM_StdObj 1.2, 5.3).
_SECRETS: Final = frozenset({"AAuthSecret", "AAuthData"})
_ACCOUNTS: Final = frozenset({"DMAcc", "Inbox"})
_TNDS: Final = "application/vnd.syncml.dmtnds"
_CODES: Final[Mapping[str, type[IntEnum]]] = {"Status": Status, "Alert": AlertCode}
_HIDDEN: Final = "hidden"


def _children(element: Element) -> tuple[Element, ...]:
    return element.content if isinstance(element.content, tuple) else ()


def _text(element: Element, *path: str) -> str:
    """Return the characters of the first element down a path."""
    for name in path:
        inside = (child for child in _children(element) if child.name == name)
        found = next(inside, None)
        if found is None:
            return ""
        element = found
    return element.content if isinstance(element.content, str) else ""


def _is_secret(element: Element, around: Element | None, meta: str) -> bool:
    """Whether this element's characters are a credential, or may be a part of one."""
    if around is None:
        return False
    if element.name == "Value":
        return _text(around, "NodeName") in _SECRETS
    if element.name != "Data":
        return False
    places = (_text(around, name, "LocURI") for name in ("Target", "Source"))
    return around.name == "Cred" or any(_is_private(place, meta) for place in places)


def _is_private(place: str, meta: str) -> bool:
    # An address may write any character as %XX, and means the same node.
    path = unquote(place.partition("?")[0]).removeprefix("./")
    if path.rpartition("/")[2] in _SECRETS:
        return True
    # An account travels as a document; in parts, only the first of them says that it is one.
    return path.partition("/")[0] in _ACCOUNTS and not meta


def _note(element: Element, around: Element | None) -> str:
    codes = _CODES.get(around.name) if around is not None and element.name == "Data" else None
    if codes is None or not isinstance(element.content, str):
        return ""
    names = {str(code.value): code.name.replace("_", " ").lower() for code in codes}
    return names.get(element.content, "")


class _Inspection:
    """The nodes of one document."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def node(self, element: Element, end: int, around: Element | None, meta: str) -> Node:
        """Return the node of an element that ends before ``end``; ``meta`` is its data's type."""
        start, content = element.offset, element.content
        octets = self._octets[start:end]
        if _is_secret(element, around, meta):
            return Node(element.name, None, start, b"", note=_HIDDEN)
        if (
            element.name == "Data"
            and meta.lower().startswith(_TNDS)
            and not isinstance(content, tuple)
        ):
            return _document(element, meta, octets)
        if not isinstance(content, tuple):
            value = content.hex().upper() if isinstance(content, bytes) else content
            return Node(element.name, value, start, octets, note=_note(element, around))
        kind = _text(element, "Meta", "Type") or meta
        ends = (*(child.offset for child in content[1:]), end)
        children = tuple(
            self.node(child, stop, element, kind)
            for child, stop in zip(content, ends, strict=False)
        )
        return Node(element.name, None, start, octets, children)


def _document(element: Element, meta: str, octets: bytes) -> Node:
    """Return the node of Data with a tree inside; one that cannot be read may hold secrets too."""
    content = element.content
    try:
        if isinstance(content, bytes):
            inner = inspect_wbxml(content)
        else:
            inner = inspect_syncml(str(content).encode())
    except DecodeError as error:
        return Node(element.name, None, element.offset, b"", note=f"no tree: {error.message}")
    return Node(element.name, None, element.offset, octets, (inner,), note=meta)


def inspect_syncml(octets: bytes) -> Node:
    """Return the tree of an XML document: SyncML or TNDS. Offsets are those of its elements.

    Raises:
        DecodeError: it is none.
    """
    return _Inspection(octets).node(parse_xml(octets), len(octets), None, "")


def inspect_wbxml(octets: bytes) -> Node:
    """Return the tree of a WBXML document: SyncML or TNDS. Offsets are those of its elements.

    Raises:
        DecodeError: it is none.
    """
    return _Inspection(octets).node(parse_wbxml(octets).element, len(octets), None, "")


def _field(name: str, value: int | str, octets: bytes, where: slice, note: str = "") -> Node:
    return Node(name, value, where.start, octets[where], note=note)


def inspect_notification(octets: bytes) -> Node:
    """Return the fields of a notification; its digest is not checked.

    Raises:
        DecodeError: it is none.
    """
    parsed = Notification.parse(octets)
    size = len(parsed.server_id.encode())
    mode = parsed.ui_mode
    head, server = slice(DIGEST, DIGEST + 2), DIGEST + 7
    flags, vendor = slice(DIGEST + 1, DIGEST + 2), server + 1 + size
    digest = octets[:DIGEST].hex().upper()
    fields = [
        _field("digest", digest, octets, slice(0, DIGEST), "not checked"),
        _field("version", VERSION, octets, head, "1.1"),
        _field("ui-mode", mode.value, octets, flags, mode.name.lower()),
        _field("server-initiated", parsed.server_initiated, octets, flags),
        _field("session-id", parsed.session_id, octets, slice(DIGEST + 5, server), parsed.session),
        _field("server-id", parsed.server_id, octets, slice(server, vendor)),
    ]
    if parsed.vendor:
        rest = slice(vendor, len(octets))
        fields.append(_field("vendor", parsed.vendor.hex().upper(), octets, rest))
    return Node("Notification", None, 0, octets, tuple(fields))
