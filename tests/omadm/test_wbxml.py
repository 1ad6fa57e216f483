"""WBXML to elements and back, token by token."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.element import Element, Page
from openami.omadm.limits import Limits
from openami.omadm.wbxml import Document, DocumentKind, parse_wbxml, write_wbxml
from openami.omadm.wbxml.encode import multi_byte
from openami.omadm.wbxml.tokens import NUMBERS, TAGS

HEAD = "02 A401 6A 00"
DDF_FPI = b"-//OMA//DTD-DM-DDF 1.2//EN\0".hex()
DATA = "4F"  # <Data> with content


def element(body: str, head: str = HEAD) -> Element:
    return parse_wbxml(bytes.fromhex(head + body)).element


def data(content: str | bytes = "") -> Element:
    return Element(Page.SYNCML, "Data", content or ())


def code(octets: str | bytes, limits: Limits | None = None) -> str:
    raw = bytes.fromhex(octets) if isinstance(octets, str) else octets
    with pytest.raises(DecodeError) as caught:
        parse_wbxml(raw, limits or Limits())
    assert 0 <= caught.value.offset <= len(raw)
    return caught.value.code


def test_pages_have_the_numbers_of_the_standard() -> None:
    syncml, metinf, ddf = (TAGS[page] for page in Page)
    assert {n: syncml[n] for n in (0x05, 0x0F, 0x14, 0x17, 0x1A, 0x20, 0x25, 0x27, 0x29)} == {
        0x05: "Add", 0x0F: "Data", 0x14: "Item", 0x17: "LocURI", 0x1A: "Meta", 0x20: "Replace",
        0x25: "SessionID", 0x27: "Source", 0x29: "Status",
    }  # fmt: skip
    assert {n: syncml.get(n) for n in (0x2B, 0x2D, 0x2F, 0x30, 0x31, 0x34, 0x3C, 0x3D)} == {
        0x2B: "SyncBody", 0x2D: "SyncML", 0x2F: "TargetRef", 0x30: None, 0x31: "VerDTD",
        0x34: "MoreData", 0x3C: "Correlator", 0x3D: None,
    }  # fmt: skip
    assert {n: metinf.get(n) for n in (0x07, 0x0B, 0x0E, 0x10, 0x12, 0x13, 0x15, 0x16, 0x17)} == {
        0x07: "Format", 0x0B: "Mark", 0x0E: "MetInf", 0x10: "NextNonce", 0x12: "Size", 0x13: "Type",
        0x15: "MaxObjSize", 0x16: "FieldLevel", 0x17: None,
    }  # fmt: skip
    assert {n: ddf.get(n) for n in (0x10, 0x1C, 0x20, 0x24, 0x25, 0x2F, 0x35, 0x3C, 0x3D)} == {
        0x10: "date", 0x1C: "Format", 0x20: "MgmtTree", 0x24: "Node", 0x25: "node",
        0x2F: "RTProperties", 0x35: "Type", 0x3C: "ZeroOrOne", 0x3D: None,
    }  # fmt: skip
    assert NUMBERS[Page.DDF, "verDTD"] == NUMBERS[Page.DDF, "VerDTD"]
    assert NUMBERS[Page.DDF, "verNo"] == NUMBERS[Page.DDF, "VerNo"]


@pytest.mark.parametrize(
    ("head", "public_id", "version"),
    [
        ("00 A401 00", 0x1201, 0),  # 1.0 has no charset (WAP-192-WBXML appendix)
        ("01 A401 6A 00", 0x1201, 1),
        ("02 A401 6A 00", 0x1201, 2),
        ("03 A401 6A 00", 0x1201, 3),
        ("02 9F51 6A 00", 0x0FD1, 2),
        ("02 9F53 6A 00", 0x0FD3, 2),
        ("02 01 6A 00", 1, 2),
        ("02 A401 03 00", 0x1201, 2),
        ("02 A401 00 00", 0x1201, 2),
        ("02 00 02 6A 1F 4141" + b"-//SYNCML//DTD SyncML 1.2//EN".hex(), 0, 2),
    ],
)
def test_headers(head: str, public_id: int, version: int) -> None:
    octets = bytes.fromhex(head + DATA + "03 61 00 01")
    assert parse_wbxml(octets) == Document(data("a"), DocumentKind.SYNCML, public_id, version)


@pytest.mark.parametrize(
    "head",
    [
        "04 A401 6A 00",  # version 1.4
        "02 A402 6A 00",  # MetInf
        "02 00 00 6A 02 4100",  # a public identifier that nobody knows
        "02 00 05 6A 02 4100",  # outside of the string table
        "02 FFFFFFFFFF00 6A 00",  # six octets
        "02 9080808000 6A 00",  # 33 bits
        "02 A401 6A 7F",  # a string table that is not there
    ],
)
def test_headers_that_are_refused(head: str) -> None:
    assert code(head + "0F") == "protocol.decode"


def test_charsets_that_are_refused() -> None:
    assert code("02 A401 04 00 0F") == "omadm.encoding"
    assert code("02 A401 03 00" + DATA + "03 C3A9 00 01") == "protocol.decode"


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("4F 01", ""),
        ("4F 03 00 01", ""),
        ("4F 03 61 00 03 62 00 01", "ab"),
        ("4F 02 8220 02 41 01", "ĠA"),
        ("4F C3 02 C3A9 01", "é"),
        ("4F C3 02 FFFE 01", b"\xff\xfe"),
        ("4F C3 01 00 01", b"\0"),
        ("4F C3 01 C3 03 A9 00 01", "é"),
        ("4F 43 85 03 78 00 01 03 61 00 01", "a"),  # an instruction between
        (
            "CF 05 85 03 78 00 C3 01 00 02 41 83 00 00 00 C0 04 00 40 61 00 80 00 01 03 61 00 01",
            "a",
        ),
        ("8F 05 01", ""),  # attributes and no content
    ],
)
def test_content(body: str, content: str | bytes) -> None:
    assert element(body) == data(content)


def test_string_table() -> None:
    head = "02 A401 6A 09 6162 00 44617461 00 63"  # ab, Data, and c without an end
    assert element("4F 83 00 83 01 83 08 01", head) == data("abbc")
    assert element("44 03 03 78 00 01", head) == data("x")
    assert element("04 03", head) == data()
    assert element("84 03 05 01", head) == data()
    assert element("C4 03 05 01 03 78 00 01", head) == data("x")
    assert code(head + "44 00 01") == "protocol.decode"  # no tag of this name
    assert code(head + "4F 83 09 01") == "protocol.decode"


def test_pages_are_switched_and_stay_switched() -> None:
    meta = Element(
        Page.SYNCML, "Meta", (Element(Page.METINF, "Format"), Element(Page.METINF, "Type"))
    )
    assert element("54 5A 00 01 07 13 01 00 00 0F 01") == Element(
        Page.SYNCML, "Item", (meta, Element(Page.SYNCML, "Data"))
    )
    tree = Element(Page.DDF, "MgmtTree", (Element(Page.DDF, "Node"),))
    head = "02 00 00 6A 1B" + DDF_FPI
    assert element("60 24 01", head) == tree
    assert element("00 02 60 24 01", head) == tree
    assert element("00 01 07", head) == Element(Page.METINF, "Format")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "01",  # END first
        "03 61 00",  # characters outside
        "C3 00",
        "3D",  # unknown tags
        "30",
        "00 03 05",  # unknown page
        "4F",  # cut off
        "4F 03 61",
        "4F C3 05 61 01",
        "4F C3 FFFFFFFF7F",
        "0F 0F",  # two roots
        "0F 01",
        "4F 40 61 00 01",  # extensions
        "4F 80 00 01",
        "4F C0 01",
        "4F 03 FF 00 01",  # no UTF-8
        "4F 03 01 00 01",  # no character of XML
        "4F 02 00 01",
        "4F 02 83B000 01",  # a surrogate
        "4F 02 8FFFFFFF7F 01",  # no character at all
        "54 03 61 00 0F 01",  # characters and elements
        "8F 43 01",  # an instruction among attributes
        "43 05",
    ],
)
def test_what_is_no_document(body: str) -> None:
    assert code(HEAD + body) == "protocol.decode"


def test_instructions_may_stand_around_the_root() -> None:
    assert element("43 05 01 0F 43 05 03 61 00 01") == data()


def test_white_space_around_elements_is_dropped() -> None:
    assert element("54 03 200A 00 0F 03 20 00 01") == Element(Page.SYNCML, "Item", (data(),))


def test_bounds() -> None:
    head = bytes.fromhex(HEAD)
    assert code(head + b"\x0f", Limits(octets=5)) == "omadm.too-large"
    assert code(head + b"\x54" * 10_000 + b"\x01" * 10_000) == "omadm.too-deep"
    assert code(head + b"\x54" + b"\x14" * 100_000 + b"\x01") == "omadm.too-many"
    table = b"\x02\xa4\x01\x6a" + multi_byte(50_000) + b"x" * 50_000
    bomb = table + b"\x54" + b"\x4f\x83\x00\x01" * 20_000 + b"\x01"  # 130 kB that mean a gigabyte
    assert code(bomb) == "omadm.too-large"


def test_documents_of_ddf() -> None:
    tree = Element(Page.DDF, "MgmtTree", (Element(Page.DDF, "VerDTD", "1.2"),))
    octets = write_wbxml(tree, kind=DocumentKind.DDF)
    assert octets == bytes.fromhex("02 00 00 6A 1B" + DDF_FPI + "00 02 60 77 03 312E32 00 01 01")
    assert parse_wbxml(octets) == Document(tree, DocumentKind.DDF, 0, 2)


def test_what_has_no_form_is_not_written() -> None:
    for wrong in (Element(Page.SYNCML, "Nothing"), data("\0"), data("\ud800")):
        with pytest.raises(LocalProtocolError):
            write_wbxml(wrong)


names = st.sampled_from(sorted(NUMBERS.keys() - {(Page.DDF, "verDTD"), (Page.DDF, "verNo")}))
texts = st.one_of(
    st.text(st.characters(exclude_categories=["C"])),
    st.binary().map(lambda octets: b"\xff" + octets),
)
elements = st.recursive(
    st.builds(lambda name, text: Element(name[0], name[1], text or ()), names, texts),
    lambda inner: st.builds(
        lambda name, content: Element(name[0], name[1], tuple(content)),
        names,
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@given(elements)
def test_any_tree_comes_back(tree: Element) -> None:
    octets = write_wbxml(tree)
    assert parse_wbxml(octets).element == tree
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            parse_wbxml(octets[:size])


@given(st.binary(max_size=100))
def test_any_octets_give_a_document_or_the_one_error(octets: bytes) -> None:
    for head in (b"", bytes.fromhex(HEAD), bytes.fromhex(HEAD) + b"\x4f"):
        with suppress(DecodeError):
            parse_wbxml(head + octets)


@given(st.integers(0, 2**32 - 1))
def test_numbers_of_many_octets(number: int) -> None:
    document = b"\x02" + multi_byte(number) + b"\x6a\x00\x0f"
    known = number in {1, 0x0FD1, 0x0FD3, 0x1201}
    if not known:
        with pytest.raises(DecodeError):
            parse_wbxml(document)
