"""Elements to WBXML 1.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import LocalProtocolError
from openami.omadm.element import Element, Page, is_text
from openami.omadm.wbxml.tokens import (
    CONTENT,
    NUMBERS,
    SYNCML_1_2,
    UTF_8,
    VERSION,
    DocumentKind,
    Token,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_PAGE: Final = Page.SYNCML
_END: Final = Token.END.value


def multi_byte(number: int) -> bytes:
    """Return a mb_u_int32 (WAP-192-WBXML 5.1)."""
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(0x80 | number & 0x7F)
    return bytes(reversed(octets))


def _header(kind: DocumentKind) -> bytes:
    if kind is DocumentKind.SYNCML:
        return bytes((VERSION, *multi_byte(SYNCML_1_2), UTF_8, 0))
    formal = kind.value.encode() + b"\0"
    return bytes((VERSION, 0, 0, UTF_8, *multi_byte(len(formal)))) + formal


def _characters(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return b"%c%b%b" % (Token.OPAQUE, multi_byte(len(content)), content)
    if not is_text(content):
        raise LocalProtocolError("no character of XML; send it as octets")
    return b"\x03%b\x00" % content.encode()


def _write(elements: Iterable[Element], page: Page, out: bytearray) -> Page:
    """Append elements; return the page that the last one's end leaves on."""
    for element in elements:
        number = NUMBERS.get((element.page, element.name))
        if number is None:
            raise LocalProtocolError(f"{element.name}: WBXML has no token for it")
        if element.page is not page:
            page = element.page
            out += bytes((Token.SWITCH_PAGE, page))
        content = element.content
        if not content:
            out.append(number)
            continue
        out.append(number | CONTENT)
        if isinstance(content, tuple):
            page = _write(content, page, out)
        elif isinstance(content, str) and content.isprintable():  # as nearly all of it is
            out += b"\x03%b\x00" % content.encode()
        else:
            out += _characters(content)
        out.append(_END)
    return page


def write_wbxml(element: Element, *, kind: DocumentKind = DocumentKind.SYNCML) -> bytes:
    """Return a document of version 1.2 in UTF-8, its strings inline.

    Raises:
        LocalProtocolError: a name has no token, or a string holds what is no character of XML.
    """
    out = bytearray(_header(kind))
    _write((element,), _FIRST_PAGE, out)
    return bytes(out)
