"""WBXML 1.0 to 1.3 to elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.omadm.element import Element, Page, is_text
from openami.omadm.limits import DEFAULT_LIMITS, Limits
from openami.omadm.wbxml.header import Cursor, Header, read_header
from openami.omadm.wbxml.tokens import (
    ATTRIBUTES,
    CONTENT,
    FIRST_TAG,
    PAGES,
    TAG,
    TAGS,
    DocumentKind,
    Token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STR_I: Final = Token.STR_I.value
_END: Final = Token.END.value
_SWITCH_PAGE: Final = Token.SWITCH_PAGE.value


@dataclass(frozen=True, slots=True)
class Document:
    """A WBXML document.

    Attributes:
        element: its root.
        kind: what it is.
        public_id: the number in its header; 0 where a string says what it is.
        version: 0x00 for 1.0 to 0x03 for 1.3.
    """

    element: Element
    kind: DocumentKind
    public_id: int
    version: int


class _Open:
    """An element whose END has not come: its content so far, in pieces."""

    __slots__ = ("children", "name", "offset", "opaque", "page", "text")

    def __init__(self, page: Page, name: str, offset: int) -> None:
        self.page = page
        self.name = name
        self.offset = offset
        self.children: list[Element] = []
        self.text: list[bytes] = []
        self.opaque = False


def _close(stack: list[_Open]) -> None:
    """End an element that has no characters of its own, inside of another."""
    closed = stack.pop()
    content = tuple(closed.children)
    stack[-1].children.append(Element(closed.page, closed.name, content, closed.offset))


class _Body:
    """The reading of one document's body (WAP-192-WBXML 5.8)."""

    def __init__(self, cursor: Cursor, header: Header, limits: Limits) -> None:
        self._cursor = cursor
        self._header = header
        self._limits = limits
        self._pages = PAGES[header.kind]
        self._page = self._pages[0]
        self._tags = TAGS[self._page]
        self._stack: list[_Open] = []
        self._elements = limits.elements
        self._text = limits.text_octets
        self._root: Element | None = None

    def read(self) -> Element:
        """Return the root element."""
        cursor = self._cursor
        while self._root is None:
            self._run()
            octet = cursor.u8()
            _GLOBALS.get(octet, _Body.tag)(self, octet)
        while cursor.position < len(cursor.data):  # only instructions may follow (5.3: body)
            octet = cursor.u8()
            if octet != Token.PI:
                raise cursor.error("octets after the end of the document")
            self.instruction(octet)
        return self._root

    def _run(self) -> None:
        """Read ahead what nearly all of a message is; stop before anything else, or a fault.

        That is: changes of the page, tags without attributes, inline strings of printable
        characters that are all of an element, and ENDs. A message has hundreds of them.
        """
        data, position, stack = self._cursor.data, self._cursor.position, self._stack
        page, tags, charset = self._page, self._tags, self._header.charset
        last, depth = len(data) - 1, self._limits.depth
        while stack and position < last:
            octet = data[position]
            name = tags.get(octet ^ CONTENT)
            if name is None:
                if octet == _END and len(stack) > 1 and not stack[-1].text:
                    _close(stack)
                    position += 1
                    continue
                if octet == _SWITCH_PAGE and data[position + 1] in self._pages:
                    page = self._pages[data[position + 1]]
                    tags = TAGS[page]
                    position += 2
                    continue
                break
            if not self._elements or len(stack) == depth:
                break
            if data[position + 1] != _STR_I:
                self._elements -= 1
                stack.append(_Open(page, name, position))
                position += 1
                continue
            end = data.find(0, position + 2)
            size = end - position - 2
            if not 0 < size <= self._text or end == last or data[end + 1] != _END:
                break
            try:
                characters = data[position + 2 : end].decode(charset)
            except UnicodeDecodeError:
                break
            if not characters.isprintable():
                break
            self._elements -= 1
            self._text -= size
            stack[-1].children.append(Element(page, name, characters, position))
            position = end + 2
        self._cursor.position, self._page, self._tags = position, page, tags

    def refuse(self, octet: int) -> None:
        raise self._cursor.error(f"token {octet:02X} has no meaning in SyncML")

    def switch_page(self, _octet: int) -> None:
        number = self._cursor.u8()
        page = self._pages.get(number)
        if page is None:
            raise self._cursor.error(f"unknown code page {number}")
        self._page = page
        self._tags = TAGS[page]

    def tag(self, octet: int) -> None:
        name = self._tags.get(octet & TAG)
        if octet & TAG < FIRST_TAG:
            self.refuse(octet)
        if name is None:
            raise self._cursor.error(f"unknown tag {octet & TAG:02X} of page {self._page}")
        self._element(octet, name)

    def _element(self, octet: int, name: str) -> None:
        cursor = self._cursor
        offset = cursor.position - 1
        self._elements -= 1
        if self._elements < 0:
            raise cursor.error(f"more than {self._limits.elements} elements", "omadm.too-many")
        if len(self._stack) == self._limits.depth:
            raise cursor.error(f"deeper than {self._limits.depth} elements", "omadm.too-deep")
        if octet & ATTRIBUTES:
            self._skip_attributes()
        if octet & CONTENT:
            self._stack.append(_Open(self._page, name, offset))
        else:
            self._add(Element(self._page, name, (), offset))

    def literal(self, octet: int) -> None:
        name = self._table_string().decode("latin-1")
        if name not in self._tags.values():
            raise self._cursor.error(f"unknown literal tag {name[:80]!r} of page {self._page}")
        self._element(octet, name)

    def _add(self, element: Element) -> None:
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self._root = element

    def end(self, _octet: int) -> None:
        if not self._stack:
            raise self._cursor.error("END without a beginning")
        closed = self._stack.pop()
        content = self._content(closed)
        self._add(Element(closed.page, closed.name, content, closed.offset))

    def _content(self, closed: _Open) -> tuple[Element, ...] | str | bytes:
        text = b"".join(closed.text)
        if closed.children:
            if text.strip():
                raise self._cursor.error(f"{closed.name} holds elements and characters")
            return tuple(closed.children)
        try:
            characters = text.decode(self._header.charset)
        except UnicodeDecodeError:
            if closed.opaque:
                return text
            raise self._cursor.error(f"{closed.name}: no {self._header.charset}") from None
        if not is_text(characters):
            if closed.opaque:
                return text
            raise self._cursor.error(f"{closed.name}: no character of XML")
        return characters or ()

    def _append(self, text: bytes) -> _Open:
        if not self._stack:
            raise self._cursor.error("characters outside of the root element")
        self._text -= len(text)
        if self._text < 0:
            raise self._cursor.error(
                f"more than {self._limits.text_octets} octets of text", "omadm.too-large"
            )
        top = self._stack[-1]
        top.text.append(text)
        return top

    def inline(self, _octet: int) -> None:
        self._append(self._cursor.string())

    def opaque(self, _octet: int) -> None:
        self._append(self._cursor.take(self._cursor.multi_byte())).opaque = True

    def _table_string(self) -> bytes:
        index, table = self._cursor.multi_byte(), self._header.table
        end = table.find(0, index)
        if index >= len(table):
            raise self._cursor.error("a string outside of the string table")
        return table[index:] if end < 0 else table[index:end]

    def from_table(self, _octet: int) -> None:
        self._append(self._table_string())

    def _entity_octets(self) -> bytes:
        code = self._cursor.multi_byte()
        try:
            return chr(code).encode(self._header.charset)
        except (ValueError, OverflowError):
            raise self._cursor.error(f"entity {code} is no character") from None

    def entity(self, _octet: int) -> None:
        self._append(self._entity_octets())

    def _skip_attributes(self) -> None:
        """Read an attribute list to its END: SyncML gives attributes no meaning (5.8.3)."""
        cursor = self._cursor
        while (octet := cursor.u8()) != Token.END:
            skip = _SKIPPED.get(octet)
            if skip is not None:
                skip(cursor)
            elif octet & TAG < FIRST_TAG and octet not in _PLAIN:
                self.refuse(octet)

    def instruction(self, _octet: int) -> None:
        self._skip_attributes()


_GLOBALS: Final[Mapping[int, Callable[[_Body, int], None]]] = {
    Token.SWITCH_PAGE: _Body.switch_page,
    Token.END: _Body.end,
    Token.ENTITY: _Body.entity,
    Token.STR_I: _Body.inline,
    Token.STR_T: _Body.from_table,
    Token.OPAQUE: _Body.opaque,
    Token.PI: _Body.instruction,
    Token.LITERAL: _Body.literal,
    Token.LITERAL_A: _Body.literal,
    Token.LITERAL_C: _Body.literal,
    Token.LITERAL_AC: _Body.literal,
}

# What stands in an attribute list: a token, and how its argument is stepped over.
_SKIPPED: Final[Mapping[int, Callable[[Cursor], object]]] = {
    Token.SWITCH_PAGE: Cursor.u8,
    Token.STR_I: Cursor.string,
    Token.EXT_I_0: Cursor.string,
    Token.EXT_I_1: Cursor.string,
    Token.EXT_I_2: Cursor.string,
    Token.ENTITY: Cursor.multi_byte,
    Token.LITERAL: Cursor.multi_byte,
    Token.STR_T: Cursor.multi_byte,
    Token.EXT_T_0: Cursor.multi_byte,
    Token.EXT_T_1: Cursor.multi_byte,
    Token.EXT_T_2: Cursor.multi_byte,
    Token.OPAQUE: lambda cursor: cursor.take(cursor.multi_byte()),
}
_PLAIN: Final = frozenset({Token.EXT_0, Token.EXT_1, Token.EXT_2})


def parse_wbxml(octets: bytes, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Return the document of all of the octets.

    Opaque data that is text is given as characters, so that a message is the same from every
    encoder and from XML.

    Raises:
        DecodeError: cut off, an unknown version, document, charset, code page or tag, octets too
            many; or a bound: ``omadm.too-large``, ``omadm.too-deep``, ``omadm.too-many``.
    """
    if len(octets) > limits.octets:
        raise DecodeError(
            f"more than {limits.octets} octets", offset=limits.octets, code="omadm.too-large"
        )
    cursor = Cursor(octets)
    header = read_header(cursor)
    element = _Body(cursor, header, limits).read()
    return Document(element, header.kind, header.public_id, header.version)
