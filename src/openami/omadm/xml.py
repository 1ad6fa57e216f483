"""XML to elements and back (OMA-SyncML-RepPro 1.2, clause 4; XML 1.0; Namespaces in XML 1.0).

What is read is UTF-8 without a DOCTYPE, so that there are no entities but the five of XML itself.
Comments, processing instructions and attributes other than namespaces say nothing and are dropped.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.element import NAMESPACES, Element, Page, is_text
from openami.omadm.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>'
_BOM: Final = b"\xef\xbb\xbf"
_PROLOG: Final = re.compile(rb"(?:[ \t\r\n]+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_SPACE: Final = " \t\r\n"
# A problem stops the handlers at once, but expat goes on to the end of what it was fed.
_SLICE: Final = 8192

# Older SyncML is read, so that its VerDTD can be answered with 505. Real clients write the names
# in any case, and the version of metinf with them.
_PAGES: Final[Mapping[str, Page]] = MappingProxyType(
    {
        **{namespace.casefold(): page for page, namespace in NAMESPACES.items()},
        "syncml:syncml1.0": Page.SYNCML,
        "syncml:syncml1.1": Page.SYNCML,
        "syncml:metinf1.0": Page.METINF,
        "syncml:metinf1.1": Page.METINF,
        "syncml:metinf1.2": Page.METINF,
    }
)


def _refuse_tricks(octets: bytes, limits: Limits) -> None:
    """Refuse what the parser shall never see."""
    if len(octets) > limits.octets:
        raise DecodeError(
            f"more than {limits.octets} octets", offset=limits.octets, code="omadm.too-large"
        )
    # Expat believes a UTF-16 mark more than its caller, and would read a DOCTYPE behind it. Markup
    # in UTF-16 and UTF-32 always has a NUL, and XML has none.
    nul = octets.find(0)
    if nul >= 0:
        raise DecodeError("a NUL: only UTF-8 is read", offset=nul, code="omadm.encoding")
    prolog = _PROLOG.match(octets, len(_BOM) if octets.startswith(_BOM) else 0)
    end = prolog.end() if prolog else 0
    if octets.startswith(b"<!", end):
        raise DecodeError("a DOCTYPE is refused", offset=end, code="omadm.doctype")


def new_parser() -> expat.XMLParserType:
    """Return a parser for ``feed``: it gives names as ``namespace name``, and reads UTF-8 only."""
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            raise DecodeError(
                f"encoding {encoding}: only UTF-8 is read",
                offset=parser.CurrentByteIndex,
                code="omadm.encoding",
            )

    parser.XmlDeclHandler = declared
    return parser


def feed(parser: expat.XMLParserType, octets: bytes, limits: Limits) -> None:
    """Give a whole document to a parser's handlers, which keep to the other limits.

    Raises:
        DecodeError: not well-formed; ``omadm.doctype``, ``omadm.encoding``, ``omadm.too-large``; or
            what a handler raises.
    """
    _refuse_tricks(octets, limits)
    try:
        for start in range(0, len(octets), _SLICE):
            parser.Parse(octets[start : start + _SLICE], False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DecodeError(
            f"not well-formed XML: {expat.ErrorString(error.code)}",
            offset=max(parser.ErrorByteIndex, 0),
        ) from error


class _Open:
    """An element whose end has not come."""

    __slots__ = ("children", "name", "offset", "page", "text")

    def __init__(self, page: Page, name: str, offset: int) -> None:
        self.page = page
        self.name = name
        self.offset = offset
        self.children: list[Element] = []
        self.text: list[str] = []

    def close(self) -> Element:
        text = "".join(self.text)
        if self.children:
            if text.strip(_SPACE):
                raise DecodeError(f"{self.name} holds elements and characters", offset=self.offset)
            return Element(self.page, self.name, tuple(self.children), self.offset)
        return Element(self.page, self.name, text or (), self.offset)


class _Builder:
    """The handlers of one document."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.elements
        self._stack: list[_Open] = []
        self.root: Element | None = None
        self.parser = parser = new_parser()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _error(self, message: str, code: str | None = None) -> DecodeError:
        return DecodeError(message, offset=self.parser.CurrentByteIndex, code=code)

    def _page(self, namespace: str, name: str) -> Page:
        """Return the page of a namespace; without one, the page of what is around."""
        if namespace:
            page = _PAGES.get(namespace.casefold())
            if page is None:
                raise self._error(f"unknown namespace {namespace!r}")
            return page
        if self._stack:
            return self._stack[-1].page
        return Page.DDF if name == "MgmtTree" else Page.SYNCML

    def _start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._error(f"more than {self._limits.elements} elements", "omadm.too-many")
        if len(self._stack) == self._limits.depth:
            raise self._error(f"deeper than {self._limits.depth} elements", "omadm.too-deep")
        namespace, _, name = tag.rpartition(" ")
        self._stack.append(_Open(self._page(namespace, name), name, self.parser.CurrentByteIndex))

    def _characters(self, text: str) -> None:
        self._stack[-1].text.append(text)

    def _end(self, _tag: str) -> None:
        element = self._stack.pop().close()
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self.root = element


def parse_xml(octets: bytes, limits: Limits = DEFAULT_LIMITS) -> Element:
    """Return the document's root element.

    White space around elements is dropped; the white space of an element that holds nothing else
    is its characters.

    Raises:
        DecodeError: not well-formed; ``omadm.doctype``, ``omadm.encoding``, an unknown namespace,
            mixed content; or a bound: ``omadm.too-large``, ``omadm.too-deep``, ``omadm.too-many``.
    """
    builder = _Builder(limits)
    feed(builder.parser, octets, limits)
    if builder.root is None:  # expat has refused a document without one
        raise AssertionError
    return builder.root


def escape(text: str) -> str:
    """Return characters as XML has them; a bare CR would come back as LF (XML 1.0, 2.11).

    Raises:
        LocalProtocolError: a character that XML 1.0 has no form for.
    """
    if not is_text(text):
        raise LocalProtocolError("XML has no form for this character; send it in base64")
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def _write(element: Element, around: Page | None, out: list[str]) -> None:
    name, content, page = element.name, element.content, element.page
    start = name if page is around else f'{name} xmlns="{NAMESPACES[page]}"'
    if not content:
        out.append(f"<{start}/>")
    elif isinstance(content, str):
        out.append(f"<{start}>{escape(content)}</{name}>")
    elif isinstance(content, bytes):
        raise LocalProtocolError(f"{name}: XML has no form for octets; send them in base64")
    else:
        out.append(f"<{start}>")
        for child in content:
            _write(child, page, out)
        out.append(f"</{name}>")


def write_xml(element: Element) -> bytes:
    """Return a document in UTF-8, without white space that nobody asked for.

    Raises:
        LocalProtocolError: it holds octets, or a character that XML 1.0 has no form for.
    """
    out: list[str] = []
    _write(element, None, out)
    return DECLARATION + "".join(out).encode()
