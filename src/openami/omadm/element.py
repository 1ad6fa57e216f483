"""The one form between octets and messages: a tree of elements, in XML and in WBXML the same.

A SyncML element holds either elements or characters, never both, so mixed content has no place
here (OMA-SyncML-RepPro 1.2, clause 5: the DTD).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Page(IntEnum):
    """A WBXML code page, each with one XML namespace."""

    SYNCML = 0
    METINF = 1
    DDF = 2


NAMESPACES: Final[Mapping[Page, str]] = MappingProxyType(
    {Page.SYNCML: "SYNCML:SYNCML1.2", Page.METINF: "syncml:metinf", Page.DDF: "syncml:dmddf1.2"}
)


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Attributes:
        page: the namespace of its name.
        name: as in the DTD, for instance ``SyncHdr``.
        content: its elements; or its characters; or, in WBXML only, opaque octets that are no
            UTF-8.
    """

    page: Page
    name: str
    content: tuple[Element, ...] | str | bytes = ()
