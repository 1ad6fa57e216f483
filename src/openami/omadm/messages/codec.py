"""Octets to messages and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.omadm.element import Element, Page
from openami.omadm.limits import DEFAULT_LIMITS, Limits
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.records import read_message, write_message
from openami.omadm.messages.schema import Problem, Reading
from openami.omadm.wbxml import parse_wbxml, write_wbxml
from openami.omadm.xml import parse_xml, write_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.omadm.messages.model import Message

_PARSERS: Final[Mapping[MediaType, Callable[[bytes, Limits], Element]]] = {
    MediaType.XML: parse_xml,
    MediaType.WBXML: lambda octets, limits: parse_wbxml(octets, limits).element,
}
_WRITERS: Final[Mapping[MediaType, Callable[[Element], bytes]]] = {
    MediaType.XML: write_xml,
    MediaType.WBXML: write_wbxml,
}


def message_of(element: Element, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Return the message that an element is.

    Raises:
        DecodeError: as for ``decode_message``.
    """
    if (element.page, element.name) != (Page.SYNCML, "SyncML"):
        raise DecodeError(f"SyncML wanted, {element.name} found", offset=element.offset)
    try:
        return read_message(element, Reading(limits))
    except Problem as problem:
        path = "/".join(("SyncML", *reversed(problem.path)))
        raise DecodeError(
            f"{path}: {problem.message}", offset=problem.offset, code="omadm.message"
        ) from None


def decode_message(octets: bytes, content_type: str, *, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Return the message.

    Opaque octets that are characters are given as characters: a ``bin`` value of WBXML is
    ``bytes`` only if it cannot be text.

    Args:
        octets: all of one message.
        content_type: a ``MediaType``, or the Content-Type header as it came.
        limits: what a peer may make us hold.

    Raises:
        RemoteProtocolError: ``omadm.media-type``, no SyncML by its media type.
        DecodeError: the octets are no message, the message names the element's path; or they are
            over a bound: ``omadm.too-large``, ``omadm.too-deep``, ``omadm.too-many``.
    """
    return message_of(_PARSERS[MediaType.of(content_type)](octets, limits), limits)


def encode_message(message: Message, content_type: str) -> bytes:
    """Return the octets of a message, its elements in the order of the DTD.

    Raises:
        RemoteProtocolError: ``omadm.media-type``, no SyncML by its media type.
        LocalProtocolError: a value has octets and the encoding is XML, or has a character that
            neither encoding has a form for.
    """
    return _WRITERS[MediaType.of(content_type)](write_message(message))
