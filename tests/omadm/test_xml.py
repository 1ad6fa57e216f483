"""XML to elements and back: what is refused, and what is kept."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.element import Element, Page, is_text
from openami.omadm.limits import Limits
from openami.omadm.xml import parse_xml, write_xml

NS = 'xmlns="SYNCML:SYNCML1.2"'


def data(content: str) -> Element:
    return parse_xml(f"<Data {NS}>{content}</Data>".encode())


def code(octets: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(DecodeError) as caught:
        parse_xml(octets, limits or Limits())
    return caught.value.code


@pytest.mark.parametrize(
    "prolog",
    [
        "",
        "\n ",
        '<?xml version="1.0"?>',
        '<?xml version="1.0" encoding="utf-8"?>\n<!-- a <!DOCTYPE b> -->\n<?pi <!DOCTYPE?>',
        "\ufeff",
        '\ufeff<?xml version="1.0" encoding="UTF-8"?>',
    ],
)
def test_prologs_that_are_read(prolog: str) -> None:
    assert parse_xml(f"{prolog}<Data {NS}/>".encode()) == Element(Page.SYNCML, "Data")


@pytest.mark.parametrize(
    "prolog",
    [
        "<!DOCTYPE Data>",
        '<?xml version="1.0"?><!DOCTYPE Data SYSTEM "http://example.org/x.dtd">',
        '\ufeff <!-- x --> <?pi?><!DOCTYPE Data [<!ENTITY a "b">]>',
        "<!ELEMENT Data ANY>",
    ],
)
def test_a_doctype_never_reaches_the_parser(prolog: str) -> None:
    assert code(f"{prolog}<Data {NS}/>".encode()) == "omadm.doctype"


def test_entity_bomb() -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(20))
    bomb = f'<!DOCTYPE Data [<!ENTITY e0 "x">{entities}]><Data {NS}>&e20;</Data>'
    assert code(bomb.encode()) == "omadm.doctype"
    assert code(f"<Data {NS}>&e20;</Data>".encode()) == "protocol.decode"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "latin-1", "utf-32"])
def test_only_utf_8_is_declared(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><Data {NS}/>'
    assert code(text.encode()) == "omadm.encoding"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_doctype_in_another_encoding(encoding: str) -> None:
    for prolog in ("", "<!DOCTYPE Data [<!ENTITY a 'b'>]>", "\ufeff<!DOCTYPE Data>"):
        assert code(f"{prolog}<Data {NS}/>".encode(encoding)) == "omadm.encoding"
    assert code(b"<Data>\0</Data>") == "omadm.encoding"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b" ",
        b"x",
        b"<Data>",
        b"<Data/><Data/>",
        b"<Data/>x",
        b"<Data></data>",
        b"<Data>\xff</Data>",
        b"<Data>&#0;</Data>",
        b"<a:Data/>",
        b'<Data xmlns="urn:x"/>',
        b"<Item><Data/>x</Item>",
        b"<Item>x<Data/></Item>",
        b"<Data/><!DOCTYPE Data>",
    ],
)
def test_what_is_no_document(octets: bytes) -> None:
    assert code(octets) == "protocol.decode"


def test_bounds() -> None:
    assert code(b"<Data/>" + b" " * 20, Limits(octets=26)) == "omadm.too-large"
    deep = b"<a>" * 10_000 + b"</a>" * 10_000
    assert code(deep) == "omadm.too-deep"
    wide = b"<a>" + b"<b/>" * 100_000 + b"</a>"
    assert code(wide) == "omadm.too-many"
    just = Limits(octets=13, depth=2, elements=2)
    assert parse_xml(b"<a><bcd/></a>", just).content == (Element(Page.SYNCML, "bcd", ()),)


def test_namespaces_are_those_of_the_pages_in_any_spelling() -> None:
    text = b"""<s:Item xmlns:s="syncml:SyncML1.1"><s:Meta><Format xmlns="SYNCML:MetInf1.2"
        /></s:Meta><x:MgmtTree xmlns:x="syncml:dmddf1.2"/></s:Item>"""
    assert parse_xml(text) == Element(
        Page.SYNCML,
        "Item",
        (
            Element(Page.SYNCML, "Meta", (Element(Page.METINF, "Format"),)),
            Element(Page.DDF, "MgmtTree"),
        ),
    )
    assert parse_xml(b"<MgmtTree><Node/></MgmtTree>").content == (Element(Page.DDF, "Node"),)


def test_characters_are_kept_as_they_are() -> None:
    assert data("<![CDATA[a<&b]]>&lt;&#x20AC;").content == "a<&b<€"
    assert data(" \n ").content == " \n "
    assert data("a<!-- b --><?c d?>e").content == "ae"
    assert data("\r\na&#13;").content == "\na\r"


@given(st.text().filter(is_text))
def test_any_text_comes_back(text: str) -> None:
    element = Element(Page.SYNCML, "Data", text or ())
    assert parse_xml(write_xml(element)) == element


@pytest.mark.parametrize("content", ["\0", "\x1b", "\ud800", "\ufffe", b"abc"])
def test_what_xml_has_no_form_for_is_not_written(content: str | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        write_xml(Element(Page.SYNCML, "Data", content))


def test_offsets_are_those_of_the_octets() -> None:
    root = parse_xml("<Item><Target/><Data>é</Data><Meta/></Item>".encode())
    assert isinstance(root.content, tuple)
    assert [child.offset for child in root.content] == [6, 15, 30]


@given(st.binary(max_size=200))
def test_any_octets_give_an_element_or_the_one_error(octets: bytes) -> None:
    for document in (octets, b"<Data>" + octets + b"</Data>"):
        with suppress(DecodeError):
            parse_xml(document)
