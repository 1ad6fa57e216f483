"""Every command, with its rights, its bounds and its status."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from tests.support.dm_tree import ALL, NOW, Server, grant, open_tree

from openami.core.errors import StoreError, StoreFullError
from openami.omadm.codes import Status
from openami.omadm.element import Element, Page
from openami.omadm.messages.model import Get, Item, Meta, Replace
from openami.omadm.messages.model import Location as At
from openami.omadm.objects.catalog import device_schema
from openami.omadm.session.events import Outcome
from openami.omadm.tree.acl import Verb
from openami.omadm.tree.draft import TreeLimits
from openami.omadm.tree.node import Format, find
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.schema import Rule, Schema
from openami.omadm.tree.tree import Execution, ManagementTree, MemoryStore, StoredNode
from openami.omadm.tree.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.omadm.session.perform import Gate
    from openami.omadm.tree.draft import Change
    from openami.omadm.tree.node import Node


@pytest.fixture
def tree() -> ManagementTree:
    return open_tree()


@pytest.fixture
def server(tree: ManagementTree) -> Server:
    return Server(tree)


def test_a_visit_is_the_sessions_gate(tree: ManagementTree) -> None:
    gate: Gate = Visit(tree, "srv", NOW)
    assert gate.rollback()


def test_a_leaf_is_read_with_format_and_type(server: Server) -> None:
    assert server.get("./DevInfo/DmV").items == (
        Item(source=At("./DevInfo/DmV"), meta=Meta(format="chr", type="text/plain"), data="1.2"),
    )


def test_an_interior_node_gives_names(server: Server) -> None:
    (item,) = server.get("./DevInfo").items
    assert item.data == "DevId/DmV/Ext/Lang/Man/Mod"
    assert item.meta == Meta(format="node", type="urn:oma:mo:oma-dm-devinfo:1.0")
    assert server.data("./SCHED") == ""
    assert server.data(".") == "AMI/DMAcc/DevDetail/DevInfo/FUMO/Inbox/SCHED/SCOMO"


def test_names_with_a_slash_stay_apart(server: Server) -> None:
    assert server.add("./DevInfo/Ext/a%2Fb", "x", "chr") == 200
    assert server.data("./DevInfo/Ext") == "a%2Fb"
    assert server.data("./DevInfo/Ext/a%2Fb") == "x"


@pytest.mark.parametrize(
    ("prop", "text"),
    [
        ("ACL", ""), ("Format", "int"), ("Name", "Retries"), ("Size", "1"), ("Title", ""),
        ("TStamp", "20010711T163817Z"), ("Type", "text/plain"), ("VerNo", "1"),
    ],
)  # fmt: skip
def test_a_property_is_read(server: Server, prop: str, text: str) -> None:
    assert server.replace("./AMI/Link/Retries", "5") == 200
    address = f"./AMI/Link/Retries?prop={prop}"
    (item,) = server.get(address).items
    assert (item.data, item.source) == (text, At(address))


def test_the_root_and_interior_nodes_have_properties_but_no_size(server: Server) -> None:
    assert server.data(".?prop=Name") == "."
    assert server.data(".?prop=ACL") == ALL
    assert server.get("./AMI?prop=Size").status == 406


def test_a_version_begins_anew(tree: ManagementTree, server: Server) -> None:
    for n in range(3):
        assert server.replace("./AMI/Link/Retries", str(n)) == 200
    assert server.data("./AMI/Link/Retries?prop=VerNo") == "3"
    node = find(tree.root, ("AMI", "Link", "Retries"))
    assert node is not None
    for _ in range(65_533):
        node = node.touched(0)
    assert node.version == 0


def test_add_makes_parents_and_defaults(server: Server) -> None:
    assert server.add("./FUMO/p1/Download/PkgURL", "https://a/b") == 200
    assert server.data("./FUMO/p1") == "Download/State"
    assert server.data("./FUMO/p1/State") == "10"
    assert server.data("./FUMO/p1?prop=Type") == "urn:oma:mo:oma-fumo:1.0"
    assert server.add("./FUMO/p1/Download/PkgURL", "x") == 418
    assert server.add("./FUMO/p1", form="node") == 418


def test_add_of_an_interior_node(server: Server) -> None:
    assert server.add("./SCHED/t1", form="node", kind="urn:openami:mo:sched:1.0") == 200
    assert server.add("./SCHED/t2") == 200
    assert server.add("./SCHED/t3", "data", "node") == 415
    assert server.data("./SCHED/t2") == "Enabled/Interval/Spread/State"


@pytest.mark.parametrize(
    ("address", "data", "form", "status"),
    [
        ("./Nothing", "x", "chr", 405),
        ("./Nothing/below", "x", "chr", 405),
        ("./DevInfo/DevId/below", "x", "chr", 405),
        ("./SCHED/t/Enabled/below", "x", "chr", 405),
        ("./SCHED/t/State", "20", "int", 405),
        ("./SCOMO/Inventory/Deployed/x", None, "node", 405),
        ("./SCHED/t/Interval", "60", "chr", 415),
        ("./SCHED/t/Interval", "x", "int", 415),
        ("./SCHED/t/Interval", "1", "int", 500),
        ("./SCHED/t/Interval", "60", "int", 200),
        ("./SCHED/t/Interval", "60", None, 200),
        ("./DevInfo/Ext/x", "x", "colour", 415),
        ("./DevInfo/Ext/x", "x", None, 200),
        ("./DevInfo/Ext/x/y/z", "x", "chr", 200),
        ("./SCHED/t?prop=Title", "x", "chr", 405),
        ("./" + "/".join("x" * 10_000), "x", "chr", 414),
    ],
)
def test_add_answers(server: Server, address: str, data: str, form: str, status: int) -> None:
    assert server.add(address, data, form) == status


def test_a_permanent_place_takes_so_many(server: Server) -> None:
    for n in range(8):
        assert server.add(f"./DMAcc/a{n}") == 200
    assert server.add("./DMAcc/a8") == 420
    assert server.delete("./DMAcc/a3") == 200
    assert server.add("./DMAcc/a8") == 200


def test_replace_never_creates(server: Server) -> None:
    assert server.replace("./SCHED/t/Interval", "60") == 404
    assert server.replace("./AMI/Link/Retries", "7", "int") == 200
    assert server.data("./AMI/Link/Retries") == "7"


@pytest.mark.parametrize(
    ("address", "data", "form", "status"),
    [
        ("./DevInfo/DevId", "x", "chr", 405),
        ("./AMI", "x", "chr", 405),
        ("./AMI/Link/Retries", "21", "int", 500),
        ("./AMI/Link/Retries", "7", "chr", 415),
        ("./AMI/Link/Retries", "7.5", "int", 415),
        ("./AMI/Link/Retries", b"\xff", "int", 415),
        ("./AMI/Link/Retries", "99999999999", "int", 415),
        ("./AMI/Link/Retries", None, "int", 415),
        ("./AMI/Collection/Enabled", "True", "bool", 415),
        ("./AMI/Collection/Settle", "nan", "float", 415),
        ("./AMI/Collection/Settle", "12.5", "float", 200),
        ("./AMI/Segment/Addresses", "16-99\0", "chr", 415),
        ("./AMI/Link/Retries?list=TNDS", "7", "int", 405),
        ("./AMI/Link/Retries?prop=VerNo", "7", None, 405),
        ("./AMI/Link/Retries?prop=Title", "How often", None, 200),
        ("./AMI/Link/Retries?prop=Title", "x" * 256, None, 413),
        ("./AMI/Link/Retries?prop=Name", "Other", None, 405),
        ("./AMI/Link/Retries?prop=ACL", "Get=a", None, 200),
        ("./AMI/Link/Retries?prop=ACL", "Nonsense", None, 500),
        ("./AMI/Link/Retries?prop=ACL", "Get=" + "+".join("x" * 127 for _ in range(65)), None, 413),
        (".?prop=ACL", "", None, 405),
        (".?prop=Name", "x", None, 405),
    ],
)
def test_replace_answers(
    tree: ManagementTree, server: Server, address: str, data: str, form: str, status: int
) -> None:
    before = tree.root
    assert server.replace(address, data, form) == status
    assert (tree.root == before) is (status != 200)
    assert bool(server.visit.words) is (status != 200)


def test_the_status_of_an_item_without_address_is_incomplete(tree: ManagementTree) -> None:
    item = Item(data="x")
    outcome = Visit(tree, "srv", NOW).perform(Replace(1, (item,)), item)
    assert outcome == Outcome(412, (Item(data="the item has no address"),))


def test_a_value_may_be_that_large(tree: ManagementTree) -> None:
    small = ManagementTree(device_schema(), limits=TreeLimits(octets=20_000, value=5_000))
    grant(small, ".", ALL)
    server = Server(small)
    assert server.add("./DevInfo/Ext/a", "x" * 5_001, "chr") == 413
    assert [server.add(f"./DevInfo/Ext/a{n}", "x" * 5_000, "chr") for n in range(4)][-1] == 420
    crowded = ManagementTree(device_schema(), limits=TreeLimits(nodes=tree.root.nodes + 1))
    grant(crowded, ".", ALL)
    server = Server(crowded)
    assert server.add("./DevInfo/Ext/a", "x", "chr") == 200
    assert server.add("./DevInfo/Ext/b", "x", "chr") == 420


def test_the_meta_of_an_item_wins(tree: ManagementTree) -> None:
    item = Item(At("./AMI/Link/Retries"), meta=Meta(format="int"), data="4")
    command = Replace(1, (item,), Meta(format="chr"))
    assert Visit(tree, "srv", NOW).perform(command, item).status == 200


def test_a_dynamic_node_is_renamed(server: Server) -> None:
    assert server.add("./SCHED/t1") == 200
    assert server.add("./SCHED/t2") == 200
    assert server.replace("./SCHED/t1?prop=Name", "t2") == 418
    assert server.replace("./SCHED/t1?prop=Name", "..") == 404
    assert server.replace("./SCHED/t1?prop=Name", "t9") == 200
    assert server.data("./SCHED") == "t2/t9"
    assert server.data("./SCHED/t9?prop=Name") == "t9"
    assert server.replace("./SCHED/t9/State?prop=Name", "x") == 405
    assert server.add("./DevInfo/Ext/" + "/".join("x" * 14)) == 200
    assert server.replace("./DevInfo/Ext/x?prop=Name", "y" * 127) == 200


def test_a_name_that_makes_an_address_below_too_long(server: Server) -> None:
    """Nobody could reach it any more (414)."""
    long = "y" * 127
    assert server.add("./DevInfo/Ext/a/" + "/".join([long] * 7), "v", "chr") == 200
    assert server.replace("./DevInfo/Ext/a?prop=Name", "b" * 127) == 414
    assert server.replace("./DevInfo/Ext/a?prop=Name", "b") == 200


def test_a_name_that_belongs_to_another_kind_of_node() -> None:
    leaf = Rule("fixed", Format.CHR, frozenset({Verb.ADD, Verb.GET}), least=0)
    free = Rule(None, Format.CHR, frozenset(Verb), least=0, most=None)
    top = Rule("Top", Format.NODE, frozenset({Verb.GET}), permanent=True, children=(leaf, free))
    tree = ManagementTree(Schema.of(top))
    grant(tree, ".", ALL)
    server = Server(tree)
    assert server.add("./Top/a", "x") == 200
    assert server.replace("./Top/a?prop=Name", "fixed") == 405
    assert server.replace("./Top/a?prop=Name", "b") == 200


def test_delete_takes_all_below(server: Server) -> None:
    assert server.add("./SCHED/t1/TaskID", "x") == 200
    assert server.delete("./SCHED/t1/State") == 405
    assert server.delete("./SCHED/t1") == 200
    assert server.delete("./SCHED/t1") == 404
    assert server.get("./SCHED/t1/TaskID").status == 404
    for address in (".", "./SCHED", "./AMI/Link/Retries"):
        assert server.delete(address) == 405


def test_copy_is_for_leaves(server: Server) -> None:
    assert server.copy("./DevInfo/DmV", "./DevInfo/Ext/DmV") == 200
    assert server.data("./DevInfo/Ext/DmV") == "1.2"
    assert server.copy("./DevInfo/Lang", "./DevInfo/Ext/DmV") == 200
    assert server.data("./DevInfo/Ext/DmV") == "en"
    assert server.copy("./DevInfo", "./DevInfo/Ext/All") == 406
    assert server.copy("./DevInfo/DmV", "./AMI/Link/Retries") == 415
    assert server.copy("./DevInfo/DmV", "./DevInfo/Lang") == 405
    assert server.copy("./Nothing", "./DevInfo/Ext/x") == 404


def test_exec_calls_the_nearest(tree: ManagementTree, server: Server) -> None:
    seen: list[Execution] = []

    def accept(execution: Execution) -> int:
        seen.append(execution)
        return Status.ACCEPTED_FOR_PROCESSING

    assert server.execute("./AMI/Operations/Collect") == 406
    tree.on_exec("./AMI", lambda _execution: Status.NOT_IMPLEMENTED)
    tree.on_exec("./AMI/Operations/Collect", accept)
    assert server.execute("./AMI/Operations/Collect", "now", "c1") == 202
    assert seen == [Execution(("AMI", "Operations", "Collect"), "now", "c1", "srv")]
    assert server.execute("./AMI/Operations/Report") == 501
    assert server.execute("./AMI/Link/Retries") == 405
    assert server.execute("./AMI/Nothing") == 404
    grant(tree, "./AMI", "Get=*")
    assert server.execute("./AMI/Operations/Collect") == 425


def test_the_inbox_can_not_be_read(server: Server) -> None:
    assert server.get("./Inbox").status == 405


def test_rights_are_inherited_until_a_list_is_not_empty(tree: ManagementTree) -> None:
    grant(tree, "./AMI", "Get=a+b&Replace=a")
    grant(tree, "./AMI/Link/Retries", "Get=b&Replace=b")
    a, b, c = (Server(tree, name) for name in "abc")
    assert a.get("./AMI/Link/Window").status == 200
    assert a.replace("./AMI/Link/Window", "2") == 200
    assert b.replace("./AMI/Link/Window", "3") == 425
    assert a.replace("./AMI/Link/Retries", "4") == 425
    assert a.get("./AMI/Link/Retries").status == 425
    assert b.replace("./AMI/Link/Retries", "4") == 200
    assert c.get("./AMI/Link").status == 425
    # a leaf's list is in the hands of those who may replace its parent
    assert b.replace("./AMI/Link/Retries?prop=ACL", "") == 425
    assert a.replace("./AMI/Link/Retries?prop=ACL", "") == 200
    assert a.replace("./AMI/Link/Retries", "5") == 200
    # an interior node's in those of its own
    assert b.replace("./AMI?prop=ACL", ALL) == 425
    assert a.replace("./AMI?prop=ACL", ALL) == 200


def test_the_creator_gets_rights_where_the_parent_gives_none() -> None:
    tree = ManagementTree(device_schema())  # the factory's Add=*&Get=*
    one, other = Server(tree, "one"), Server(tree, "other")
    assert one.replace("./AMI/Link/Retries", "4") == 425
    assert one.add("./SCHED/t1/Interval", "60", "int") == 200
    assert one.data("./SCHED/t1?prop=ACL") == "Add=*&Delete=one&Get=*&Replace=one"
    assert one.replace("./SCHED/t1/Interval", "120") == 200
    assert other.replace("./SCHED/t1/Interval", "180") == 425
    assert other.delete("./SCHED/t1") == 425
    assert other.data("./SCHED/t1/Interval") == "120"
    assert one.delete("./SCHED/t1") == 200


def test_a_creator_who_owns_the_parent_gets_no_list_of_its_own(server: Server) -> None:
    assert server.add("./SCHED/t1/Interval", "60", "int") == 200
    assert server.data("./SCHED/t1?prop=ACL") == ""


def test_a_list_at_the_root_closes_the_tree(tree: ManagementTree) -> None:
    grant(tree, ".", "Get=a")
    assert Server(tree, "b").add("./SCHED/t1") == 425
    assert Server(tree, "b").get(".").status == 425
    assert Server(tree, "a").get(".").status == 200


def test_a_secret_is_written_and_never_read(tree: ManagementTree, server: Server) -> None:
    secret = "./DMAcc/s/AppAuth/1/AAuthSecret"
    assert server.add(secret, "hush") == 200
    assert server.get(secret).status == 405
    assert server.get(f"{secret}?prop=Size").status == 405
    assert server.copy(secret, "./DevInfo/Ext/stolen") == 405
    assert tree.get(secret) == "hush"
    for listing in ("Struct", "StructData", "TNDS"):
        outcome = server.get(f"./DMAcc?list={listing}")
        assert outcome.status == 200
        assert "Secret" not in str([(i.source, i.data) for i in outcome.items])
    assert "hush" not in repr(tree.root)


def test_octets_travel_as_the_encoding_can(tree: ManagementTree) -> None:
    raw, xml = Server(tree), Server(tree, octets=False)
    address = "./DMAcc/s/AppAuth/1/AAuthData"
    assert raw.add(address, b"\x00\xff", "bin") == 200
    assert tree.get(address) == b"\x00\xff"
    assert xml.replace(address, base64.b64encode(b"\x01").decode(), "b64") == 200
    assert tree.get(address) == b"\x01"
    assert xml.replace(address, "no base64!", "b64") == 415
    assert raw.add("./DevInfo/Ext/o", b"\x02\xff", "bin") == 200
    assert raw.data("./DevInfo/Ext/o") == b"\x02\xff"
    (item,) = xml.get("./DevInfo/Ext/o").items
    assert item.data == "Av8="
    assert item.meta is not None
    assert item.meta.format == "b64"
    assert raw.add("./DevInfo/Ext/e", Element(Page.DDF, "MgmtTree"), "xml") == 200
    assert "MgmtTree" in str(raw.data("./DevInfo/Ext/e"))
    assert raw.add("./DevInfo/Ext/text", "plain", "bin") == 200
    assert tree.get("./DevInfo/Ext/text") == b"plain"


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("bool", "true", "1"), ("date", "20260101", "20261301"), ("date", "2026-01-01", "26"),
        ("time", "120000Z", "250000"), ("time", "12:00:00", "12"), ("float", "-1.5e3", "1,5"),
        ("null", "", "x"), ("b64", "Av8=", "A"), ("xml", "<a/>", "\x01"), ("int", "-5", "--5"),
        ("time", "120000", "\uff11\uff12\uff10\uff10\uff10\uff10"), ("chr", "한", "\ufffe"),
    ],
)  # fmt: skip
def test_a_value_has_its_format(server: Server, form: str, good: str, bad: str) -> None:
    assert server.add("./DevInfo/Ext/v", bad, form) == 415
    assert server.add("./DevInfo/Ext/v", good, form) == 200
    assert server.data("./DevInfo/Ext/v") == good
    assert server.replace("./DevInfo/Ext/v", bad) == 415
    assert server.data("./DevInfo/Ext/v") == good


def test_atomic_shows_nothing_before_its_end(tree: ManagementTree, server: Server) -> None:
    other = Server(tree, "other")
    before = tree.root
    server.visit.begin()
    assert server.add("./SCHED/t1/Interval", "60") == 200
    assert server.replace("./AMI/Link/Retries", "9") == 200
    assert server.data("./SCHED/t1/Interval") == "60"
    assert other.data("./AMI/Link/Retries") == "3"
    assert server.visit.rollback() is True
    assert tree.root is before
    server.visit.begin()
    assert server.replace("./AMI/Link/Retries", "9") == 200
    server.visit.commit()
    assert other.data("./AMI/Link/Retries") == "9"
    server.visit.commit()  # without a begin there is nothing to commit


def test_what_was_executed_can_not_be_rolled_back(tree: ManagementTree, server: Server) -> None:
    tree.on_exec("./AMI/Operations", lambda _execution: 200)
    server.visit.begin()
    assert server.execute("./AMI/Operations/Collect") == 200
    assert server.visit.rollback() is False
    server.visit.begin()
    assert server.visit.rollback() is True


def test_an_atomic_ends_badly_where_the_tree_changed_meanwhile(
    tree: ManagementTree, server: Server
) -> None:
    server.visit.begin()
    assert server.replace("./AMI/Link/Retries", "9") == 200
    assert Server(tree, "other").replace("./AMI/Link/Window", "2") == 200
    with pytest.raises(TreeRefusedError):
        server.visit.commit()
    assert server.data("./AMI/Link/Retries") == "3"


class Keeper:
    """Refuses 13, and writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def check(self, tree: Node, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.after is not None and change.after.value == "13":
                raise TreeRefusedError(Status.SIZE_NOT_SATISFIED, "not thirteen")

    def changed(self, changes: Sequence[Change]) -> None:
        self.seen += [change.path for change in changes]


def test_a_listener_refuses_and_is_told(tree: ManagementTree, server: Server) -> None:
    keeper = Keeper()
    tree.watch("./AMI/Link", keeper)
    assert server.replace("./AMI/Link/Retries", "13") == 416
    assert server.visit.words == "not thirteen"
    assert server.data("./AMI/Link/Retries") == "3"
    assert keeper.seen == []
    assert server.replace("./AMI/Link/Retries", "12") == 200
    assert server.replace("./AMI/Upload/BatchRows", "13") == 200
    assert keeper.seen == [("AMI", "Link", "Retries")]


def test_a_listener_sees_what_goes_with_its_parent(tree: ManagementTree, server: Server) -> None:
    assert server.add("./SCHED/t1/TaskID", "x") == 200
    keeper = Keeper()
    tree.watch("./SCHED/t1/TaskID", keeper)
    assert server.delete("./SCHED/t1") == 200
    assert keeper.seen == [("SCHED", "t1", "TaskID")]


def test_a_live_value_is_the_devices(tree: ManagementTree, server: Server) -> None:
    tree.bind("./DevDetail/SwV", lambda: "7.1")
    tree.bind("./AMI/Link/Retries", lambda: "8")
    assert server.data("./DevDetail/SwV") == "7.1"
    assert server.data("./DevDetail/SwV?prop=Size") == "3"
    assert server.replace("./AMI/Link/Retries", "2") == 405
    assert server.copy("./DevDetail/SwV", "./DevInfo/Ext/SwV") == 200
    assert server.data("./DevInfo/Ext/SwV") == "7.1"


class BrokenStore(MemoryStore):
    """Keeps nothing any more once it is given an error."""

    error: StoreError | None = None

    def commit(self, removed: Sequence[str], kept: Sequence[StoredNode]) -> None:
        if self.error is not None:
            raise self.error
        super().commit(removed, kept)


@pytest.mark.parametrize(
    ("error", "status"), [(StoreFullError("no room"), 420), (StoreError("no disk"), 510)]
)
def test_what_can_not_be_kept_does_not_hold(error: StoreError, status: int) -> None:
    store = BrokenStore()
    tree = ManagementTree(device_schema(), store)
    grant(tree, ".", ALL)
    store.error = error
    server = Server(tree)
    assert server.replace("./AMI/Link/Retries", "9") == status
    assert server.data("./AMI/Link/Retries") == "3"
    assert server.get("./AMI?list=Struct").status == 200
    assert Visit(tree, "srv", NOW).perform(Get(1, ()), Item(At("./AMI"))).status == 200
