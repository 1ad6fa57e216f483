"""Tokens of WBXML and of SyncML's code pages (WAP-192-WBXML 7.1; OMA-SyncML-RepPro 1.2, 9)."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.omadm.element import Page

if TYPE_CHECKING:
    from collections.abc import Mapping


class Token(IntEnum):
    """A global token: the same on every code page."""

    SWITCH_PAGE = 0x00
    END = 0x01
    ENTITY = 0x02
    STR_I = 0x03
    LITERAL = 0x04
    EXT_I_0 = 0x40
    EXT_I_1 = 0x41
    EXT_I_2 = 0x42
    PI = 0x43
    LITERAL_C = 0x44
    EXT_T_0 = 0x80
    EXT_T_1 = 0x81
    EXT_T_2 = 0x82
    STR_T = 0x83
    LITERAL_A = 0x84
    EXT_0 = 0xC0
    EXT_1 = 0xC1
    EXT_2 = 0xC2
    OPAQUE = 0xC3
    LITERAL_AC = 0xC4


ATTRIBUTES: Final = 0x80
CONTENT: Final = 0x40
TAG: Final = 0x3F
FIRST_TAG: Final = 0x05
VERSION: Final = 0x02
UTF_8: Final = 106
# IANA MIBenum to codec; 0 is "unknown", which everybody means as UTF-8.
CHARSETS: Final[Mapping[int, str]] = MappingProxyType({0: "utf-8", 3: "ascii", UTF_8: "utf-8"})


class DocumentKind(StrEnum):
    """What a document is: which namespace its code page 0 has, and how its header says so."""

    SYNCML = "-//SYNCML//DTD SyncML 1.2//EN"
    DDF = "-//OMA//DTD-DM-DDF 1.2//EN"


SYNCML_1_2: Final = 0x1201
# 1 is "unknown or missing"; older SyncML is read so that its VerDTD can be answered with 505.
PUBLIC_IDS: Final[Mapping[int, DocumentKind]] = MappingProxyType(
    dict.fromkeys((SYNCML_1_2, 0x0FD1, 0x0FD3, 0x01), DocumentKind.SYNCML)
)
FORMAL_IDS: Final[Mapping[str, DocumentKind]] = MappingProxyType(
    {
        **{kind.value.casefold(): kind for kind in DocumentKind},
        "-//syncml//dtd syncml 1.0//en": DocumentKind.SYNCML,
        "-//syncml//dtd syncml 1.1//en": DocumentKind.SYNCML,
    }
)
# A DDF document begins on page 2 in practice; on its own, the page is also the document's first.
PAGES: Final[Mapping[DocumentKind, Mapping[int, Page]]] = MappingProxyType(
    {
        DocumentKind.SYNCML: MappingProxyType({page.value: page for page in Page}),
        DocumentKind.DDF: MappingProxyType(
            {0: Page.DDF, Page.METINF.value: Page.METINF, Page.DDF.value: Page.DDF}
        ),
    }
)

_SYNCML = """Add Alert Archive Atomic Chal Cmd CmdID CmdRef Copy Cred Data Delete Exec Final Get
Item Lang LocName LocURI Map MapItem Meta MsgID MsgRef NoResp NoResults Put Replace RespURI Results
Search Sequence SessionID SftDel Source SourceRef Status Sync SyncBody SyncHdr SyncML Target
TargetRef - VerDTD VerProto NumberOfChanges MoreData Field Filter Record FilterType SourceParent
TargetParent Move Correlator"""
_METINF = """Anchor EMI Format FreeID FreeMem Last Mark MaxMsgSize Mem MetInf Next NextNonce
SharedMem Size Type Version MaxObjSize FieldLevel"""
_DDF = """AccessType ACL Add b64 bin bool chr CaseSense CIS Copy CS date DDFName DefaultValue Delete
Description DFFormat DFProperties DFTitle DFType Dynamic Exec float Format Get int Man MgmtTree MIME
Mod Name Node node NodeName null Occurrence One OneOrMore OneOrN Path Permanent Replace RTProperties
Scope Size time Title TStamp Type Value VerDTD VerNo xml ZeroOrMore ZeroOrN ZeroOrOne"""
_NAMES: Final = {Page.SYNCML: _SYNCML, Page.METINF: _METINF, Page.DDF: _DDF}

TAGS: Final[Mapping[Page, Mapping[int, str]]] = MappingProxyType(
    {
        page: MappingProxyType(
            {
                number: name
                for number, name in enumerate(names.split(), start=FIRST_TAG)
                if name != "-"  # 30 of page 0 is reserved
            }
        )
        for page, names in _NAMES.items()
    }
)
NUMBERS: Final[Mapping[tuple[Page, str], int]] = MappingProxyType(
    {(page, name): number for page, tags in TAGS.items() for number, name in tags.items()}
    # The OMA's own table writes these two with a small letter, its DTD with a capital one.
    | {(Page.DDF, "verDTD"): 0x37, (Page.DDF, "verNo"): 0x38}
)
