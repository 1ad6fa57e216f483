"""Addresses and access control lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.omadm.tree.acl import MAX_OCTETS, Acl, Verb
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.uri import (
    PARTS,
    Listing,
    Property,
    Uri,
    UriLimits,
    check_path,
    format_path,
    parse_path,
    parse_uri,
)

LIMITS = UriLimits()


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (".", Uri(())),
        ("./", Uri(())),
        ("./DevInfo/DevId", Uri(("DevInfo", "DevId"))),
        ("DevInfo/DevId", Uri(("DevInfo", "DevId"))),
        ("./A/B%2FC", Uri(("A", "B/C"))),
        ("./A?prop=ACL", Uri(("A",), Property.ACL)),
        ("./A?list=Struct", Uri(("A",), listing=Listing.STRUCT)),
        ("./A?list=StructData", Uri(("A",), listing=Listing.STRUCT_DATA)),
        ("./A?list=TNDS", Uri(("A",), listing=Listing.TNDS)),
        (
            "./A?list=TNDS+Value+ACL",
            Uri(("A",), listing=Listing.TNDS, parts=frozenset({"Value", "ACL"})),
        ),
        ("./A?list=TNDS-Format", Uri(("A",), listing=Listing.TNDS, parts=PARTS - {"Format"})),
    ],
)
def test_an_address_is_read(text: str, uri: Uri) -> None:
    assert parse_uri(text, LIMITS) == uri


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", None),
        ("./A/", 404),
        ("./A//B", 404),
        ("/A", 404),
        ("./A/../B", 404),
        ("./A/./B", 404),
        ("./A/%00", 404),
        ("./A/%ff", 404),
        ("./\ud800", 404),
        ("./A?prop=acl", 406),
        ("./A?prop=", 406),
        ("./A?", 406),
        ("./A?x=ACL", 406),
        ("./A?list=TNDS+Value-ACL", 406),
        ("./A?list=TNDS+Colour", 406),
        ("./A?list=All", 406),
        ("./" + "/".join("a" * 17), 414),
        ("./" + "/".join("a" * 10_000), 414),
        ("./" + "a" * 128, 414),
        ("./" + "é" * 43, 414),
        ("./" + "/".join(["a" * 127] * 9), 414),
    ],
)
def test_an_address_is_refused(text: str, status: int | None) -> None:
    if status is None:
        assert parse_uri(text, LIMITS) == Uri(())
        return
    with pytest.raises(TreeRefusedError) as caught:
        parse_uri(text, LIMITS)
    assert caught.value.status == status


def test_a_path_made_here_has_the_same_bounds() -> None:
    for path in (("a",) * 17, ("a" * 127,) * 9, ("a" * 128,), ("",)):
        with pytest.raises(TreeRefusedError):
            check_path(path, LIMITS)
    check_path(("a", "b/c"), LIMITS)


@given(st.lists(st.text(min_size=1, max_size=10), max_size=5))
def test_an_address_comes_back(names: list[str]) -> None:
    path = tuple(names)
    try:
        check_path(path, LIMITS)
    except TreeRefusedError:
        return
    assert parse_path(format_path(path), LIMITS) == path


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        uri = parse_uri(text, LIMITS)
    except TreeRefusedError:
        return
    assert parse_path(format_path(uri.path), LIMITS) == uri.path


def test_an_acl_is_read_and_written() -> None:
    acl = Acl.parse("Replace=b+a&Get=*&Add=a")
    assert str(acl) == "Add=a&Get=*&Replace=a+b"
    assert acl.allows(Verb.REPLACE, "b")
    assert acl.allows(Verb.GET, "anyone")
    assert not acl.allows(Verb.ADD, "b")
    assert not acl.allows(Verb.DELETE, "a")
    assert not Acl.parse("")
    assert str(acl.grant("c", Verb.ADD, Verb.GET)) == "Add=a+c&Get=*&Replace=a+b"


@pytest.mark.parametrize(
    "text",
    [
        "Get", "Get=", "Get=a&", "Copy=a", "get=a", "Get=a&Get=b", "Get=*+a", "Get=a b", "Get=a\n",
        "Get=\ufffe", "Get=" + "+".join(f"s{n}" for n in range(65)), "Get=" + "a" * 128,
        "Get=" + "a" * MAX_OCTETS,
    ],
)  # fmt: skip
def test_an_acl_is_refused(text: str) -> None:
    with pytest.raises(TreeRefusedError):
        Acl.parse(text)
