"""Subtrees as documents, both ways, and documents that a peer made to hurt."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dm_tree import ALL, Server, grant, open_tree

from openami.core.errors import DecodeError
from openami.omadm.element import Element, Page
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.acl import Acl
from openami.omadm.tree.node import Format, Node
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tnds import read_tnds, write_tnds
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.uri import PARTS, UriLimits
from openami.omadm.wbxml.decode import parse_wbxml
from openami.omadm.wbxml.encode import write_wbxml
from openami.omadm.wbxml.tokens import DocumentKind
from openami.omadm.xml import parse_xml, write_xml

XML = "application/vnd.syncml.dmtnds+xml"
WBXML = "application/vnd.syncml.dmtnds+wbxml"
LIMITS = UriLimits()


@pytest.fixture
def tree() -> ManagementTree:
    return open_tree()


@pytest.fixture
def server(tree: ManagementTree) -> Server:
    return Server(tree)


def element(name: str, *content: Element | str) -> Element:
    if content and isinstance(content[0], str):
        return Element(Page.DDF, name, content[0] or ())
    return Element(Page.DDF, name, tuple(c for c in content if isinstance(c, Element)))


def leaf(name: str, value: str, form: str = "chr") -> Element:
    properties = element("RTProperties", element("Format", element(form)))
    return element("Node", element("NodeName", name), properties, element("Value", value))


def document(*content: Element) -> Element:
    return element("MgmtTree", element("VerDTD", "1.2"), *content)


def account(name: str, place: str | None = "./DMAcc") -> Element:
    path = [] if place is None else [element("Path", place)]
    urn = element("Type", element("DDFName", "urn:oma:mo:oma-dm-dmacc:1.0"))
    properties = element("RTProperties", element("Format", element("node")), urn)
    node = element(
        "Node", element("NodeName", name), *path, properties,
        leaf("AppID", "w7"), leaf("ServerID", "one"),
    )  # fmt: skip
    return document(node)


@pytest.mark.parametrize("octets", [True, False])
def test_a_subtree_is_read_and_put_elsewhere(tree: ManagementTree, octets: bool) -> None:
    server = Server(tree, octets=octets)
    assert server.add("./SCHED/t1/TaskID", "a & b < c") == 200
    assert server.replace("./SCHED/t1?prop=Title", "First") == 200
    assert server.replace("./SCHED/t1/TaskID?prop=ACL", "Get=*&Replace=srv") == 200
    (item,) = server.get("./SCHED/t1?list=TNDS").items
    assert item.meta is not None
    assert (item.meta.format, item.meta.type) == (("bin", WBXML) if octets else ("xml", XML))
    assert server.delete("./SCHED/t1") == 200
    # what the device alone may set is not added with the rest
    assert server.add("./SCHED/t1", item.data, item.meta.format, item.meta.type) == 405
    assert isinstance(item.data, bytes if octets else str)
    raw = item.data if isinstance(item.data, bytes) else item.data.encode()
    whole = parse_wbxml(raw).element if octets else parse_xml(raw)
    place, name, node = read_tnds(whole, LIMITS)
    assert (place, name, node.title) == (("SCHED",), "t1", "First")
    assert node.children["TaskID"].value == "a & b < c"
    assert str(node.children["TaskID"].acl) == "Get=*&Replace=srv"
    without = node.with_child("State", None)
    again = write_tnds(
        ("SCHED", "t1"), without, parts=PARTS, visible=lambda *_: True, live=lambda _p, n: n.value
    )
    data = write_wbxml(again, kind=DocumentKind.DDF) if octets else write_xml(again).decode()
    assert server.add("./SCHED/t1", data, None, WBXML if octets else XML) == 200
    assert server.data("./SCHED/t1/TaskID") == "a & b < c"
    assert server.data("./SCHED/t1?prop=Title") == "First"
    assert server.data("./SCHED/t1/State") == "10"


def test_parts_of_a_subtree(server: Server) -> None:
    assert server.replace("./AMI/Link/Retries", "5") == 200
    octets = server.data("./AMI/Link/Retries?list=TNDS+Value")
    assert isinstance(octets, bytes)
    (node,) = [
        c
        for c in parse_wbxml(octets).element.content
        if isinstance(c, Element) and c.name == "Node"
    ]
    assert [c.name for c in node.content if isinstance(c, Element)] == ["NodeName", "Path", "Value"]
    octets = server.data("./AMI/Link/Retries?list=TNDS-Value-ACL")
    assert isinstance(octets, bytes)
    text = write_xml(parse_wbxml(octets).element).decode()
    for name in ("Format", "Name", "Size", "TStamp", "Type", "VerNo"):
        assert f"<{name}>" in text
    assert "<Value>" not in text


def test_the_whole_tree_is_a_document(server: Server) -> None:
    octets = server.data(".?list=TNDS")
    assert isinstance(octets, bytes)
    place, name, node = read_tnds(parse_wbxml(octets).element, LIMITS)
    assert (place, name) == (None, ".")
    assert "Inbox" not in node.children
    assert node.children["AMI"].children["Link"].children["Retries"].value == "3"


def test_the_structure_names_every_node(tree: ManagementTree, server: Server) -> None:
    grant(tree, "./AMI/Link/Retries", "Get=other")
    items = server.get("./AMI/Link?list=StructData").items
    told = {i.source.uri: i.data for i in items if i.source is not None}
    assert told["./AMI/Link"] is None
    assert told["./AMI/Link/Window"] == "1"
    assert "./AMI/Link/Retries" not in told
    items = server.get("./AMI/Link?list=Struct").items
    assert [i.data for i in items] == [None] * 9


@pytest.mark.parametrize("kind", ["element", "xml", "wbxml", "b64"])
def test_the_inbox_puts_an_account_in_its_place(
    tree: ManagementTree, server: Server, kind: str
) -> None:
    whole = account("s1")
    octets = write_wbxml(whole, kind=DocumentKind.DDF)
    forms: dict[str, Element | str | bytes] = {
        "element": whole,
        "xml": write_xml(whole).decode(),
        "wbxml": octets,
        "b64": base64.b64encode(octets).decode(),
    }
    data = forms[kind]
    form = "b64" if kind == "b64" else None
    assert server.add("./Inbox", data, form, XML if kind in {"element", "xml"} else WBXML) == 200
    assert tree.get("./DMAcc/s1/ServerID") == "one"
    assert server.add("./Inbox", data, form, XML if kind in {"element", "xml"} else WBXML) == 418


def test_the_inbox_names_what_has_no_name(tree: ManagementTree, server: Server) -> None:
    assert server.add("./Inbox", account("", None), None, XML) == 200
    assert tree.names("./DMAcc") == ("1",)
    assert server.add("./Inbox", account("x", "./FUMO"), None, XML) == 405
    assert server.add("./Inbox", document(leaf("x", "y")), None, XML) == 405
    grant(tree, "./Inbox", "Get=*")
    assert server.add("./Inbox", account("x"), None, XML) == 425


def test_a_document_is_for_the_node_that_it_names(server: Server) -> None:
    assert server.add("./DMAcc/s2", account("s1"), None, XML) == 500
    assert server.add("./DMAcc/s1", account("s1", "./Other"), None, XML) == 500
    assert server.add("./DMAcc/s1", account("s1"), None, XML) == 200
    assert server.add("./DMAcc/s1", account("s1"), None, XML) == 418
    assert server.add("./DMAcc/s2", account("", None), None, XML) == 200


def test_a_document_replaces_an_interior_node(tree: ManagementTree, server: Server) -> None:
    assert server.add("./DMAcc/s1/Name", "old") == 200
    grant(tree, "./DMAcc/s1", ALL)
    assert server.replace("./DMAcc/s1", account("s1"), None, XML) == 200
    assert tree.names("./DMAcc/s1") == ("AppID", "ServerID")
    assert server.data("./DMAcc/s1?prop=ACL") == ALL
    before = tree.root
    wrong = document(element("Node", element("NodeName", "s1"), leaf("AppID", "w5")))
    assert server.replace("./DMAcc/s1", wrong, None, XML) == 500
    assert tree.root is before
    assert server.replace("./AMI/Link", document(leaf("a", "b")), None, XML) == 405


def test_a_document_that_is_refused_in_a_group_changes_nothing(
    tree: ManagementTree, server: Server
) -> None:
    """The node was there before, and is there still; what came before it in the group stays."""
    assert server.add("./DMAcc/s1/Name", "old") == 200
    server.visit.begin()
    assert server.replace("./DMAcc/s1/Name", "new") == 200
    wrong = document(element("Node", element("NodeName", "s1"), leaf("AppID", "w5")))
    assert server.replace("./DMAcc/s1", wrong, None, XML) == 500
    assert server.data("./DMAcc/s1/Name") == "new"
    server.visit.commit()
    assert tree.get("./DMAcc/s1/Name") == "new"


def test_a_document_sets_nothing_that_is_the_devices(tree: ManagementTree, server: Server) -> None:
    """A node that could not be added alone is not, in the place of another either."""
    assert server.add("./SCOMO/Download/p1/Name", "old") == 200
    status = element(
        "Node", element("NodeName", "p1"), leaf("PkgID", "x"), leaf("Status", "40", "int")
    )
    assert server.replace("./SCOMO/Download/p1", document(status), None, XML) == 405
    assert tree.get("./SCOMO/Download/p1/Status") == "10"
    assert tree.get("./SCOMO/Download/p1/Name") == "old"


def test_an_account_that_brings_its_list_keeps_it() -> None:
    """As bootstrap does: the new node is its server's, not that of who brought it."""
    tree = ManagementTree(device_schema())
    acl = element("ACL", "Delete=one&Get=one&Replace=one")
    properties = element("RTProperties", acl, element("Format", element("node")),
                         element("Type", element("DDFName", "urn:oma:mo:oma-dm-dmacc:1.0")))  # fmt: skip
    node = element("Node", element("NodeName", "s1"), properties, leaf("ServerID", "one"))
    assert Server(tree, "other").add("./Inbox", document(node), None, XML) == 200
    assert Server(tree, "other").get("./DMAcc/s1/ServerID").status == 425
    assert Server(tree, "one").data("./DMAcc/s1?prop=ACL") == "Delete=one&Get=one&Replace=one"


NODE = element("Node", element("NodeName", "x"))
BROKEN = [
    element("Node"),
    document(),
    document(NODE, NODE),
    document(element("Node", element("NodeName", "x"), element("NodeName", "y"))),
    document(element("Node", element("NodeName", "x"), element("Value", "v"), NODE)),
    document(element("Node", element("NodeName", "x"), NODE, NODE)),
    document(leaf("x", "v", "colour")),
    document(leaf("x", "no base64!", "bin")),
    document(element("Node", element("RTProperties", element("ACL", "Nonsense")))),
    document(element("Node", element("NodeName", "x"), element("Path", "./a/../b"))),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_document_is_refused(server: Server, broken: Element) -> None:
    with pytest.raises((DecodeError, TreeRefusedError)):
        read_tnds(broken, LIMITS)
    assert server.add("./DevInfo/Ext/x", broken, None, XML) in {404, 415, 500}


def test_octets_in_a_document_stay_octets() -> None:
    raw = Element(Page.DDF, "Value", b"\x00\xff")
    properties = element("RTProperties", element("Format", element("bin")))
    node = document(element("Node", element("NodeName", "x"), properties, raw))
    assert read_tnds(node, LIMITS)[2].value == b"\x00\xff"
    node = document(element("Node", element("NodeName", "x"), properties))
    assert read_tnds(node, LIMITS)[2].interior is False
    assert read_tnds(document(element("Node", element("Value"))), LIMITS)[2] == Node(Format.CHR)


def nested(depth: int) -> Element:
    node = leaf("x", "v")
    for _ in range(depth):
        node = element("Node", element("NodeName", "x"), node)
    return document(node)


def test_a_document_ten_thousand_deep_is_refused(server: Server) -> None:
    assert server.add("./DevInfo/Ext/x", nested(12), None, XML) == 200
    assert server.add("./DevInfo/Ext/y", nested(10_000), None, XML) == 415
    text = "<MgmtTree xmlns='syncml:dmddf1.2'>" + "<Node>" * 10_000
    assert server.add("./DevInfo/Ext/y", text, None, XML) == 415
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><MgmtTree xmlns="syncml:dmddf1.2"/>'
    assert server.add("./DevInfo/Ext/y", bomb, None, XML) == 415
    assert server.add("./DevInfo/Ext/y", None, None, XML) == 412
    assert server.add("./DevInfo/Ext/y", "\ud800", None, XML) == 415


def test_a_document_too_wide_is_refused(tree: ManagementTree, server: Server) -> None:
    before = tree.root
    many = element("Node", element("NodeName", "x"), *(leaf(f"n{n}", "") for n in range(21_000)))
    assert server.add("./DevInfo/Ext/x", document(many), None, XML) == 420
    assert tree.root is before
    long = document(leaf("x", "v" * (2**20 + 1)))
    assert server.add("./DevInfo/Ext/x", long, None, XML) == 413
    title = element("RTProperties", element("Title", "t" * 300))
    wide = document(element("Node", element("NodeName", "x"), title, element("Value", "v")))
    assert server.add("./DevInfo/Ext/x", wide, None, XML) == 413


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=8)
leaves = st.builds(
    Node,
    st.just(Format.CHR),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=20),
    title=names,
    acl=st.sampled_from([Acl(), Acl.parse("Get=*&Replace=a+b")]),
) | st.builds(Node, st.just(Format.BIN), st.binary(max_size=20))
nodes = st.recursive(
    leaves,
    lambda children: st.builds(
        Node, st.just(Format.NODE), children=st.dictionaries(names, children, max_size=4)
    ),
    max_leaves=12,
)


@given(nodes)
def test_any_subtree_comes_back(node: Node) -> None:
    written = write_tnds(
        ("A", "B"), node, parts=PARTS, visible=lambda *_: True, live=lambda _p, n: n.value
    )
    through_xml = parse_xml(write_xml(written))
    through_wbxml = parse_wbxml(write_wbxml(written, kind=DocumentKind.DDF)).element
    for whole in (written, through_xml, through_wbxml):
        assert read_tnds(whole, LIMITS) == (("A",), "B", node)
