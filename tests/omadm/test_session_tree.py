"""A device from its bootstrap message to its first session, with the real tree behind both."""

from __future__ import annotations

from tests.support.dm_tree import Server
from tests.support.dm_wire import DEVICE, NOW, Wire, order

from openami.omadm.bootstrap.profile import Profile, build, names
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Atomic, Get, Item, Location, Replace
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.dmacc import AppAuth, DmAcc, Level, accounts
from openami.omadm.session.events import Order
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.visit import Visit

ACCOUNT = DmAcc(
    "head-end",
    "https://head-end.example/dm",
    "Utility",
    "HMAC",
    (
        AppAuth(Level.CLIENT, "HMAC", "DCU-0001", "client secret", b"c0"),
        AppAuth(Level.SERVER, "HMAC", "head-end", "server secret", b"s0"),
    ),
)


def bootstrapped() -> ManagementTree:
    tree = ManagementTree(device_schema())
    Profile.parse(build(names([ACCOUNT]), device=DEVICE)).apply(Visit(tree, "head-end", NOW))
    return tree


def replaced(uri: str, value: str) -> Replace:
    return Replace(0, (Item(Location(uri), data=value),))


def test_bootstrap_into_the_tree() -> None:
    """The account is its own server's alone (Bootstrap 1.2, 5.4: Get, Replace, Delete)."""
    tree = bootstrapped()
    assert accounts(tree.root) == {"1": ACCOUNT}
    own, other = Server(tree, "head-end"), Server(tree, "other")
    assert own.data("./DMAcc/1?prop=ACL") == "Delete=head-end&Get=head-end&Replace=head-end"
    assert other.get("./DMAcc/1/ServerID").status == 425
    assert other.replace("./DMAcc/1/ServerID", "other") == 425
    assert other.delete("./DMAcc/1") == 425
    assert own.replace("./DMAcc/1/Name", "Other") == 200
    assert own.delete("./DMAcc/1") == 200


def test_a_session_over_the_real_tree() -> None:
    long = "https://head-end.example/" + "x" * 3_000
    orders = [
        order("server", Get, "./DMAcc/1/ServerID"),
        order("secret", Get, "./DMAcc/1/AppAuth/1/AAuthSecret"),
        order("names", Get, "./DMAcc/1"),
        order("struct", Get, "./DMAcc/1?list=StructData"),
        order("tnds", Get, "./DMAcc/1?list=TNDS"),
        Order(
            "all",
            Atomic(0, (replaced("./DMAcc/1/Name", "lost"), replaced("./DMAcc/1/AppID", "w9"))),
        ),
        order("name", Get, "./DMAcc/1/Name"),
        order("address", Replace, "./DMAcc/1/AppAddr/1/Addr", long),
    ]
    for media in MediaType:
        tree = bootstrapped()
        octets = media is MediaType.WBXML
        visit = Visit(tree, "head-end", NOW, octets=octets)
        wire = Wire(orders=orders, media=media, client_size=2_000, server_size=2_000, instead=visit)
        wire.run()
        done = {name: end.status for name, end in wire.done.items()}
        assert done == {
            "server": 200,
            "secret": 405,
            "names": 200,
            "struct": 200,
            "tnds": 200,
            "all": 507,
            "name": 200,
            "address": 200,
        }
        assert [item.data for item in wire.done["server"].items] == ["head-end"]
        assert [item.data for item in wire.done["name"].items] == ["Utility"]
        assert len(wire.done["struct"].items) > 10
        assert accounts(tree.root)["1"].address == long
