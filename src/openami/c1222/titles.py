"""ApTitles: the names by which nodes of a network know each other (C12.22, 5.2.2).

An absolute title is an object identifier (tag 06), a relative one the arcs that follow the
network's own identifier (tag 80). Within services a relative one may have the tag 0D as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.wire import oid
from openami.wire.ber import OID, wrap

if TYPE_CHECKING:
    from openami.wire.reader import Reader

RELATIVE: Final = 0x80
_RELATIVE_OID: Final = 0x0D
C1222: Final = oid.encode_absolute((2, 16, 124, 113620, 1, 22))
"""The application context of C12.22."""
MECHANISM: Final = oid.encode_absolute((2, 16, 124, 113620, 1, 22, 2, 1))
"""The security mechanism of C12.22: EAX'."""
BASE: Final = oid.encode_absolute((2, 16, 124, 113620, 1, 22, 0))
"""What relative titles follow."""


@dataclass(frozen=True, order=True)
class ApTitle:
    """One title, as it is written.

    Attributes:
        content: the octets of its arcs.
        relative: they follow those of the network's own identifier.
    """

    content: bytes
    relative: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``2.16.124.113620.1.22.0.123.8437``, or ``.123.8437`` that is relative.

        Raises:
            ValueError: it is none.
        """
        relative = text.startswith(".")
        parts = text.removeprefix(".").split(".")
        if not all(part.isascii() and part.isdecimal() for part in parts):
            raise ValueError(
                f"{text!r} is not an ApTitle (2.16.124.113620.1.22.0.123.4, or .123.4)"
            )
        numbers = [int(part) for part in parts]
        content = oid.encode(numbers) if relative else oid.encode_absolute(numbers)
        if len(content) > oid.MAX_OCTETS:
            raise ValueError(f"an ApTitle has {oid.MAX_OCTETS} octets at most")
        return cls(content, relative)

    def __str__(self) -> str:
        if self.relative:
            return "." + ".".join(map(str, oid.arcs(self.content)))
        return ".".join(map(str, oid.absolute(self.content)))

    def __repr__(self) -> str:
        return f"ApTitle({str(self)!r})"

    @property
    def tag(self) -> int:
        """The tag that it is written with."""
        return RELATIVE if self.relative else OID

    @cached_property
    def name(self) -> bytes:
        """The octets of its arcs as an absolute one: what equal nodes have in common."""
        return BASE + self.content if self.relative else self.content

    @cached_property
    def element(self) -> bytes:
        """The element: tag, length, arcs."""
        return wrap(self.tag, self.content)

    @cached_property
    def canonical(self) -> bytes:
        """The element of the absolute title of the same node."""
        return wrap(OID, self.name)

    def absolute(self) -> ApTitle:
        """Return the absolute title of the same node."""
        return ApTitle(self.name, relative=False)

    def shortest(self) -> ApTitle:
        """Return the relative title of the same node, if it is of this network."""
        if self.relative or not self.content.startswith(BASE) or self.content == BASE:
            return self
        return ApTitle(self.content[len(BASE) :])

    def encode(self) -> bytes:
        """Return the element: tag, length, arcs."""
        return self.element

    @classmethod
    def read(cls, r: Reader) -> ApTitle:
        """Read one element of an envelope."""
        return _read(r, _TAGS)

    @classmethod
    def read_within(cls, r: Reader) -> ApTitle:
        """Read one element of a service."""
        return _read(r, _TAGS_WITHIN)


_TAGS: Final = {OID: False, RELATIVE: True}
_TAGS_WITHIN: Final = {**_TAGS, _RELATIVE_OID: True}


def _read(r: Reader, tags: dict[int, bool]) -> ApTitle:
    at = r.offset
    tag = r.u8()
    if tag not in tags:
        raise DecodeError(f"an ApTitle has no tag {tag:02X}", offset=at)
    content = r.take(r.length())
    try:
        return _checked(content, relative=tags[tag])
    except DecodeError as error:
        raise DecodeError(f"ApTitle: {error.reason}", offset=at) from None


@lru_cache(maxsize=1024)  # a peer's titles come again with each of its messages
def _checked(content: bytes, *, relative: bool) -> ApTitle:
    oid.check(content)
    return ApTitle(content, relative)
