"""The data of items as values of the tree, and back (OMA-TS-DM_RepPro 1.2, clause 6: Meta)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.omadm.codes import Status
from openami.omadm.element import Element
from openami.omadm.messages.model import Item, Location, Meta
from openami.omadm.tree.node import Format, Value
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tnds import MEDIA_TYPE
from openami.omadm.wbxml.decode import parse_wbxml
from openami.omadm.wbxml.encode import write_wbxml
from openami.omadm.wbxml.tokens import DocumentKind
from openami.omadm.xml import parse_xml, write_xml

if TYPE_CHECKING:
    from openami.omadm.limits import Limits

_XML: Final = MEDIA_TYPE + "+xml"
_WBXML: Final = MEDIA_TYPE + "+wbxml"


def meta_of(item: Item, command: Meta | None) -> tuple[str | None, str | None]:
    """Return format and type of an item: its own win over the command's."""
    own, outer = item.meta or Meta(), command or Meta()
    return own.format or outer.format, own.type or outer.type


def incoming(item: Item, told: str | None, kind: Format) -> Value:
    """Return the data of an item for a node of a format.

    Args:
        item: with the data.
        told: the format that the message says; None: that of the node.
        kind: the node's.

    Raises:
        TreeRefusedError: 415, the message says another format.
    """
    data = "" if item.data is None else item.data
    if isinstance(data, Element):
        data = write_xml(data).decode()
    if kind is Format.BIN and told == Format.B64:
        return _decoded(data)
    if told not in (None, kind.value):
        raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, f"the node is a {kind.value}")
    return data


def _decoded(data: Value) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, "the value is no base64") from error


def outgoing(address: str, kind: Format, media: str, value: Value, *, octets: bool) -> Item:
    """Return an item with a value; without ``octets``, binary ones travel as base64."""
    form = kind.value
    if isinstance(value, bytes) and not octets:
        form, value = Format.B64.value, base64.b64encode(value).decode()
    return Item(source=Location(address), meta=Meta(format=form, type=media or None), data=value)


def subtree_item(address: str, document: Element, *, octets: bool) -> Item:
    """Return an item with a TNDS document; as data, it may travel in chunks."""
    if octets:
        data: Value = write_wbxml(document, kind=DocumentKind.DDF)
        meta = Meta(format=Format.BIN.value, type=_WBXML)
    else:
        data = write_xml(document).decode()
        meta = Meta(format=Format.XML.value, type=_XML)
    return Item(source=Location(address), meta=meta, data=data)


def is_subtree(media: str | None) -> bool:
    """Say whether an item's type is that of a TNDS document."""
    return media in (_XML, _WBXML)


def subtree_of(item: Item, told: str | None, media: str, limits: Limits) -> Element:
    """Return the TNDS document that an item holds.

    Raises:
        TreeRefusedError: 415, it holds none.
    """
    data = item.data
    if isinstance(data, Element):
        return data
    if data is None:
        raise TreeRefusedError(Status.INCOMPLETE, "there is no document")
    raw = _decoded(data) if told == Format.B64 else data
    raw = raw.encode(errors="replace") if isinstance(raw, str) else raw
    try:
        return parse_wbxml(raw, limits).element if media == _WBXML else parse_xml(raw, limits)
    except DecodeError as error:
        raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, "this is no TNDS document") from error
