"""Readable trees of messages and notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.omadm.corpus import MESSAGES, OPAQUE, TREE, server

from openami.core.errors import DecodeError
from openami.core.inspection import Node, to_dict, to_text
from openami.omadm.auth import Hash
from openami.omadm.element import Element, Page
from openami.omadm.inspect import inspect_notification, inspect_syncml, inspect_wbxml
from openami.omadm.messages import MediaType, encode_message
from openami.omadm.messages.model import Add, Cred, Item, Location, Message, Meta, Replace, Results
from openami.omadm.notification import Notification
from openami.omadm.xml import write_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INSPECT: dict[MediaType, Callable[[bytes], Node]] = {
    MediaType.XML: inspect_syncml,
    MediaType.WBXML: inspect_wbxml,
}
SECRET = "b3BlbiBzZXNhbWU="


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def tree(message: Message, media: MediaType = MediaType.XML) -> Node:
    return INSPECT[media](encode_message(message, media))


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize("name", MESSAGES)
def test_every_element_has_its_octets(name: str, media: MediaType) -> None:
    octets = encode_message(MESSAGES[name], media)
    root = INSPECT[media](octets)
    for node in walk(root):
        assert octets[node.offset :].startswith(node.octets)
        for child in node.children:
            assert node.offset < child.offset < node.offset + len(node.octets)
    assert to_text(root).count("\n") == len(list(walk(root))) - 1


def test_a_value_stays_on_its_line() -> None:
    text = to_text(tree(MESSAGES["replace-text"]))
    assert r"Data: line 1\r\nline 2\ttab  two" in text
    assert "전력" in to_text(tree(MESSAGES["replace-wide"]))


def test_codes_are_named() -> None:
    text = to_text(tree(MESSAGES["chunk-accepted"]))
    assert "Data: 213 (chunk accepted)" in text
    assert "Data: 1222 (next message)" in text
    assert "Data: 599\n" in to_text(tree(MESSAGES["status-unknown"])) + "\n"
    assert "Data: 200\n" in to_text(tree(MESSAGES["alert-generic"])) + "\n"  # of an item


def test_a_document_inside_is_shown_in_its_place() -> None:
    inline = tree(MESSAGES["add-tnds"])
    text = Item(
        Location("./Inbox"),
        meta=Meta(type="application/vnd.syncml.dmtnds+XML"),
        data=write_xml(TREE).decode(),
    )
    for root in (inline, tree(OPAQUE["add-tnds"], MediaType.WBXML), tree(server(Add(1, (text,))))):
        names = [node.name for node in walk(root)]
        start = names.index("MgmtTree")
        assert names[start - 1 : start + 5] == [
            "Data",
            "MgmtTree",
            "VerDTD",
            "Node",
            "NodeName",
            "Path",
        ]
        assert [node.value for node in walk(root) if node.name == "NodeName"] == ["Ext"]


def test_octets_are_shown_as_such() -> None:
    message = server(Add(1, (Item(Location("./A"), data=b"\xff\0"),)))
    values = [node.value for node in walk(tree(message, MediaType.WBXML)) if node.name == "Data"]
    assert values == ["FF00"]


def _ddf(name: str, content: str | tuple[Element, ...]) -> Element:
    return Element(Page.DDF, name, content)


ACCOUNT = _ddf(
    "MgmtTree",
    (_ddf("Node", (_ddf("NodeName", "AAuthSecret"), _ddf("Value", SECRET))),),
)
INSIDE = Item(
    Location("./Inbox"),
    meta=Meta(type="application/vnd.syncml.dmtnds+xml"),
    data=write_xml(ACCOUNT).decode(),
)
CUT_OFF = Item(INSIDE.target, meta=INSIDE.meta, data=write_xml(ACCOUNT).decode()[:-5])
INLINE = Item(INSIDE.target, meta=INSIDE.meta, data=ACCOUNT)


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize(
    "message",
    [
        server(cred=Cred(Meta(type="syncml:auth-basic"), SECRET)),
        server(Replace(1, (Item(Location("./DMAcc/x/AppAuth/1/AAuthSecret"), data=SECRET),))),
        server(Results(1, 1, (Item(source=Location("./A/AAuthData?prop=x"), data=SECRET),))),
        server(Add(1, (INSIDE,))),
        server(Add(1, (CUT_OFF,))),
        server(Add(1, (INLINE,))),
        server(Add(1, (Item(INSIDE.target, data=INSIDE.data),), INSIDE.meta)),
        server(Replace(1, (Item(Location("A/AAuth%53ecret"), data=SECRET),))),
        # Parts of an account after the first.
        server(Add(1, (Item(INSIDE.target, data=f"x>{SECRET}<", more_data=True),))),
        server(Add(1, (Item(Location("./DMAcc/x"), data=f"{SECRET}</Value>"),))),
    ],
)
def test_credentials_are_not_shown(message: Message, media: MediaType) -> None:
    assert SECRET.encode() in encode_message(message, media)
    root = tree(message, media)
    for shown in (to_text(root), str(to_dict(root))):
        assert SECRET not in shown
        assert SECRET.encode().hex().upper() not in shown
    assert any(node.note == "hidden" or node.note.startswith("no tree") for node in walk(root))


def test_the_rest_of_an_account_is_shown() -> None:
    meta = Meta(format="chr", type="text/plain")
    item = Item(source=Location("./DMAcc/x/ServerID"), meta=meta, data="head-end")
    values = [node.value for node in walk(tree(server(Results(1, 1, (item,)))))]
    assert "head-end" in values


def test_notification() -> None:
    octets = Notification("dm", 0x2A, vendor=b"\1\2").build("secret", b"", Hash.MD5)
    root = inspect_notification(octets)
    assert [(node.name, node.value, node.note) for node in root.children[1:]] == [
        ("version", 11, "1.1"),
        ("ui-mode", 1, "background"),
        ("server-initiated", True, ""),
        ("session-id", 42, "2A"),
        ("server-id", "dm", ""),
        ("vendor", "0102", ""),
    ]
    for node in root.children:
        assert octets[node.offset :].startswith(node.octets)
    plain = Notification("dm", 1).build("secret", b"", Hash.MD5)
    assert inspect_notification(plain).children[-1].name == "server-id"


@pytest.mark.parametrize("inspect", [inspect_syncml, inspect_wbxml, inspect_notification])
def test_what_is_none_is_refused(inspect: Callable[[bytes], Node]) -> None:
    with pytest.raises(DecodeError):
        inspect(b"\x00\x01")
