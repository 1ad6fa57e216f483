"""A flash that takes room only for what is written: for streets of simulated meters.

It begins as a factory's flash that all meters of a street share, and has pages of its own for what
was changed since.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from openami.firmware.flash import ERASED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.firmware.flash import Geometry

PAGE: Final = 4096  # octets at most: a journal's entry or a block of an image costs one page


class SparseFlash:
    """Implements ``openami.firmware.flash.Flash``.

    Args:
        geometry: of the flash.
        factory: the pages, by number, that it held when it was new; the rest was erased.
        pages: what has been changed since, by number, as ``keep`` was given it.
    """

    def __init__(
        self,
        geometry: Geometry,
        factory: Mapping[int, bytes] | None = None,
        pages: Mapping[int, bytes] | None = None,
    ) -> None:
        self.geometry = geometry
        self._page = page_size(geometry)
        self._factory = factory or {}
        self._pages = dict(pages or {})

    @property
    def pages(self) -> int:
        """How many pages take room of their own."""
        return sum(map(bool, self._pages.values()))

    def read(self, offset: int, size: int) -> bytes:
        first = offset // self._page
        octets = b"".join(map(self._read, self._numbers(offset, size)))
        start = offset - first * self._page
        return octets[start : start + size]

    def write(self, offset: int, data: bytes) -> None:
        numbers = self._numbers(offset, len(data))
        octets = bytearray(b"".join(map(self._read, numbers)))
        start = offset - numbers.start * self._page
        octets[start : start + len(data)] = data
        self._change(
            {
                number: bytes(octets[place * self._page :][: self._page])
                for place, number in enumerate(numbers)
            }
        )

    def erase(self, offset: int) -> None:
        self._change(dict.fromkeys(self._numbers(offset, self.geometry.erase_block), b""))

    def keep(self, pages: Mapping[int, bytes]) -> None:
        """Keep pages before they take effect, all or none; one that is empty is erased.

        Nothing is done here: a flash that outlives its process does.
        """

    def _change(self, pages: dict[int, bytes]) -> None:
        changed = {number: page for number, page in pages.items() if self._get(number) != page}
        if changed:
            self.keep(changed)
            self._pages.update(changed)

    def _numbers(self, offset: int, size: int) -> range:
        return range(offset // self._page, -(-(offset + size) // self._page))

    def _get(self, number: int) -> bytes:
        found = self._pages.get(number)
        return self._factory.get(number, b"") if found is None else found

    def _read(self, number: int) -> bytes:
        return self._get(number).ljust(self._page, ERASED)


def page_size(geometry: Geometry) -> int:
    """Return the octets of a page of a flash."""
    return math.gcd(PAGE, geometry.erase_block)


def split(octets: bytes, geometry: Geometry) -> dict[int, bytes]:
    """Return the pages, by number, of what a flash holds; those that are erased are left out."""
    size = page_size(geometry)
    pages = (octets[place : place + size] for place in range(0, len(octets), size))
    found = ((number, page.ljust(size, ERASED)) for number, page in enumerate(pages))
    return {number: page for number, page in found if page.strip(ERASED)}
