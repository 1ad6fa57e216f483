"""The one form between octets and messages: a tree of elements, in XML and in WBXML the same.

A SyncML element holds either elements or characters, never both, so mixed content has no place
here (OMA-SyncML-RepPro 1.2, clause 5: the DTD).
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.quick import quick

if TYPE_CHECKING:
    from collections.abc import Mapping


class Page(IntEnum):
    """A WBXML code page, each with one XML namespace."""

    SYNCML = 0
    METINF = 1
    DDF = 2

    __hash__ = int.__hash__  # an Enum's own is slow, and every element's page is looked up


NAMESPACES: Final[Mapping[Page, str]] = MappingProxyType(
    {Page.SYNCML: "SYNCML:SYNCML1.2", Page.METINF: "syncml:metinf", Page.DDF: "syncml:dmddf1.2"}
)
FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, escaped or not (XML 1.0, clause 2.2)."""


def is_text(characters: str) -> bool:
    """Whether XML 1.0 has a form for all of them; what is printable needs no search."""
    return characters.isprintable() or not FORBIDDEN.search(characters)


@quick
class Element:
    """One element.

    Attributes:
        page: the namespace of its name.
        name: as in the DTD, for instance ``SyncHdr``.
        content: its elements; or its characters, never ``""``, which is ``()``; or, in WBXML
            only, opaque octets that are no characters of XML.
        offset: where it began in the octets it was read from; does not count in comparisons.
    """

    page: Page
    name: str
    content: tuple[Element, ...] | str | bytes = ()
    offset: int = field(default=0, compare=False, repr=False)
