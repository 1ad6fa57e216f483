"""What turns an element into a value and back: records of fields, in the order of the DTD."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import Enum, auto
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import DecodeError
from openami.omadm.element import Element, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.omadm.limits import Limits

# Sizes and identifiers: no object of four gigabytes and no session of as many commands is sent.
_MAX_NUMBER: Final = 2**32 - 1
_MAX_DIGITS: Final = 10
_CODES: Final = range(100, 1000)
_SPACE: Final = " \t\r\n"

Content = tuple[Element, ...] | str | bytes


class Occurs(Enum):
    """How often a child may stand."""

    ONCE = auto()
    AT_MOST_ONCE = auto()
    ANY = auto()
    AT_LEAST_ONCE = auto()
    FLAG = auto()
    """At most once, and empty: its presence says yes."""

    __hash__ = object.__hash__  # an Enum's own is slow, and every element's is looked up


class Problem(Exception):  # noqa: N818 - does not leave this package: becomes a DecodeError
    """What is wrong with an element; the path grows on the way up."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.path: list[str] = []


class Reading:
    """What is left of the bounds of one message."""

    __slots__ = ("_limits", "commands", "items")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.commands = limits.commands
        self.items = limits.items

    def command(self) -> None:
        """Count one command."""
        self.commands -= 1
        if self.commands < 0:
            raise DecodeError(f"more than {self._limits.commands} commands", code="omadm.too-many")

    def item(self) -> None:
        """Count one item."""
        self.items -= 1
        if self.items < 0:
            raise DecodeError(f"more than {self._limits.items} items", code="omadm.too-many")


@dataclass(frozen=True, slots=True)
class Kind:
    """How the content of an element becomes a value, and back."""

    read: Callable[[Element, Reading], Any]
    write: Callable[[Any], Any]


def _text(element: Element, _reading: Reading) -> str:
    content = element.content
    if isinstance(content, str):
        return content
    if content:
        raise Problem("characters wanted", element.offset)
    return ""


def _number(element: Element, reading: Reading) -> int:
    text = element.content
    if not (isinstance(text, str) and text.isdigit()):  # as most are, without space around
        text = _text(element, reading).strip(_SPACE)
    if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        raise Problem("a number wanted", element.offset)
    number = int(text)
    if number > _MAX_NUMBER:
        raise Problem("a number of at most 32 bits wanted", element.offset)
    return number


def _code(element: Element, reading: Reading) -> int:
    """Return a response status code, which has three digits (RepPro 1.2, clause 10)."""
    code = _number(element, reading)
    if code not in _CODES:
        raise Problem("a code of three digits wanted", element.offset)
    return code


def _base64(element: Element, reading: Reading) -> bytes:
    try:
        return b64decode(_text(element, reading).strip(_SPACE), validate=True)
    except ValueError:
        raise Problem("base64 wanted", element.offset) from None


def _base64_or_octets(element: Element, reading: Reading) -> bytes:
    """Return octets from base64, or as they are where WBXML has them opaque."""
    if isinstance(element.content, bytes):
        return element.content
    return _base64(element, reading)


def _flag(element: Element, reading: Reading) -> bool:
    if _text(element, reading).strip(_SPACE):
        raise Problem("nothing inside wanted", element.offset)
    return True


def _write_text(text: str) -> Content:
    return text or ()


def _write_octets(octets: bytes) -> Content:
    return b64encode(octets).decode() or ()


TEXT: Final = Kind(_text, _write_text)
NUMBER: Final = Kind(_number, str)
CODE: Final = Kind(_code, str)
OCTETS: Final = Kind(_base64_or_octets, _write_octets)
FLAG: Final = Kind(_flag, lambda _yes: ())


@dataclass(frozen=True, slots=True)
class Field:
    """One child of a record.

    Attributes:
        attribute: of the value.
        name: of the element.
        kind: of its content.
        occurs: how often.
        page: of its name.
        choice: the names that may stand here; ``kind`` then writes whole elements.
    """

    attribute: str
    name: str
    kind: Kind
    occurs: Occurs = Occurs.AT_MOST_ONCE
    page: Page = Page.SYNCML
    choice: frozenset[str] = frozenset()


def children(element: Element) -> tuple[Element, ...]:
    """Return the elements of a record; white space alone counts as none."""
    content = element.content
    if isinstance(content, tuple):
        return content
    if isinstance(content, bytes) or content.strip(_SPACE):
        raise Problem("elements wanted", element.offset)
    return ()


_MANY: Final = frozenset({Occurs.ANY, Occurs.AT_LEAST_ONCE})
_NEEDED: Final = frozenset({Occurs.ONCE, Occurs.AT_LEAST_ONCE})


def _values_of(attributes: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the attributes of a value, all at once."""
    get = attrgetter(*attributes)
    return get if len(attributes) > 1 else lambda value: (get(value),)


class Record:
    """A value that is a sequence of children.

    Args:
        make: takes the attributes by their names.
        fields: in the order of the DTD, which is kept in writing; read in any order.
        ignored: children that the DTD has and device management does not use.
    """

    __slots__ = (
        "_by_name", "_fields", "_ignored", "_lists", "_make", "_needed", "_values", "_writers",
    )  # fmt: skip

    def __init__(
        self,
        make: Callable[..., Any],
        fields: tuple[Field, ...],
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        self._make = make
        self._fields = fields
        self._ignored = ignored
        # What reading and writing ask of each field, laid out for them: every element passes here.
        self._by_name = {
            name: (one.attribute, one.kind.read, one.occurs in _MANY)
            for one in fields
            for name in one.choice or (one.name,)
        }
        self._needed = frozenset(one.attribute for one in fields if one.occurs in _NEEDED)
        self._lists = tuple(one.attribute for one in fields if one.occurs in _MANY)
        self._values = _values_of(tuple(one.attribute for one in fields))
        self._writers = tuple(
            (one.name, one.page, one.kind.write, one.occurs in _MANY, bool(one.choice))
            for one in fields
        )

    def read(self, element: Element, reading: Reading) -> Any:
        """Return the value of an element.

        Raises:
            Problem: a child is unknown, missing, twice there, or wrong.
        """
        values: dict[str, Any] = {}
        by_name = self._by_name
        content = element.content
        for child in content if type(content) is tuple else children(element):
            known = by_name.get(child.name)
            if known is None:
                if child.name in self._ignored:
                    continue
                raise Problem(f"{child.name} has no place here", child.offset)
            attribute, read, many = known
            try:
                value = read(child, reading)
            except Problem as problem:
                problem.path.append(child.name)
                raise
            if many:
                values.setdefault(attribute, []).append(value)
            elif attribute in values:
                raise Problem(f"{child.name} is there twice", child.offset)
            else:
                values[attribute] = value
        if not self._needed <= values.keys():
            missing = (f.name for f in self._fields if f.attribute in self._needed - values.keys())
            raise Problem(f"{', '.join(missing)} is missing", element.offset)
        for attribute in self._lists:
            if attribute in values:
                values[attribute] = tuple(values[attribute])
        return self._make(**values)

    def write(self, value: Any) -> tuple[Element, ...]:
        """Return the children for a value."""
        out: list[Element] = []
        for part, how in zip(self._values(value), self._writers, strict=True):
            if part is None or part is False:
                continue
            name, page, write, many, choice = how
            if not many:
                out.append(Element(page, name, write(part)))
            elif choice:
                out.extend([write(one) for one in part])
            else:
                out.extend([Element(page, name, write(one)) for one in part])
        return tuple(out)

    @property
    def kind(self) -> Kind:
        """This record as the content of an element."""
        return Kind(self.read, self.write)
