"""Which devices differ from what is wanted of them: the database finds just what the rules say."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, insert, update
from tests.support.dossiers import saw, settle

from openami.core.errors import ConflictError
from openami.fleet.desired import MAX_GROUPS, Group, KnownNode, Scope, Setting, difference
from openami.fleet.devices import DeviceKind, Sighting
from openami.fleet.management import Outcome, Standing
from openami.fleet.ports import DeviceFilter
from openami.store.relational import management_differences
from openami.store.relational.management_models import AccountRow, DesiredRow, GroupRow
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from openami.fleet.management import DifferentDevice
    from openami.store.relational import RelationalStore

WINDOW = "./AMI/Link/Window"
RATE = "./AMI/Link/BitRate"
ALL = Group("all", DeviceFilter(DeviceKind.DCU))
NORTH = Group("north", DeviceFilter(DeviceKind.DCU, region="north"), 10)


def setting(uri: str = WINDOW, value: str = "3", form: str = "int") -> Setting:
    return Setting(uri, form, value)


def device(name: str) -> Scope:
    return Scope.parse(f"device:{name}")


def fill(store: RelationalStore, count: int) -> list[str]:
    """Make DCUs with accounts, every other one in the north."""
    uids = [f"D{n:03}" for n in range(count)]
    store.devices.sight([Sighting(DeviceKind.DCU, uid) for uid in uids], now=1.0)
    rows = [
        {"uid": uid, "digest": "", "suspended": False, "created": 1.0, "client_nonce": b"",
         "server_nonce": b"", "wake_failures": 0, "wake_session": 0}
        for uid in uids
    ]  # fmt: skip
    with store.trees._transactions.writing() as session:
        session.execute(insert(AccountRow), rows)
        north = DeviceRow.serial.in_(uids[::2])
        session.execute(update(DeviceRow).where(north).values(region="north"))
    for group in (ALL, NORTH):
        store.trees.put_group(group, who="a", now=1.0)
    return uids


def see(store: RelationalStore, uid: str, *nodes: KnownNode) -> None:
    saw(store, uid, ["./AMI"], list(nodes), now=5.0, whole=True)


def found(store: RelationalStore, group: Group = ALL) -> dict[str, DifferentDevice]:
    return {each.uid: each for each in store.trees.differences(group.which).items}


def test_the_members_that_differ_are_named_with_their_nodes(store: RelationalStore) -> None:
    uids = fill(store, 5)
    store.trees.want(ALL.scope, [setting()], who="a", now=2.0)
    store.trees.want(NORTH.scope, [setting(value="7")], who="a", now=2.0)
    store.trees.want(device(uids[2]), [setting(value="9")], who="a", now=2.0)
    see(store, uids[0], KnownNode(WINDOW, "int", "3"))  # its stronger group wants 7
    see(store, uids[1], KnownNode(WINDOW, "int", "3"))
    see(store, uids[2], KnownNode(WINDOW, "int", "9"))  # as it is wanted itself
    see(store, uids[3], KnownNode("./AMI", "node"))
    differing = found(store)
    assert list(differing) == [uids[0], uids[3], uids[4]]
    (node,) = differing[uids[0]].nodes
    assert (node.wish.setting.value, str(node.wish.scope)) == ("7", "group:north")
    assert node.known == KnownNode(WINDOW, "int", "3", at=5.0)
    assert not node.refused
    assert differing[uids[0]].known_at == 5.0
    assert [each.known for each in differing[uids[3]].nodes] == [None]
    assert store.trees.standing(ALL.which) == Standing(5, different=2, unseen=1)
    assert list(found(store, NORTH)) == [uids[0], uids[4]]
    assert store.trees.standing(NORTH.which) == Standing(3, different=1, unseen=1)


def test_who_was_never_seen_is_not_as_wanted(store: RelationalStore) -> None:
    uids = fill(store, 2)
    assert found(store) == {}  # nothing is wanted of it
    assert store.trees.standing(ALL.which) == Standing(2)
    absent = Setting("./AMI/Meters/7")
    store.trees.want(ALL.scope, [absent], who="a", now=2.0)
    differing = found(store)
    assert [(each.known_at, each.nodes) for each in differing.values()] == [(None, ())] * 2
    assert store.trees.standing(ALL.which) == Standing(2, unseen=2)
    see(store, uids[0], KnownNode("./AMI", "node"))
    see(store, uids[1], KnownNode("./AMI/Meters/7", "node"))
    (one,) = found(store).values()
    assert [node.wish.setting for node in one.nodes] == [absent]
    assert store.trees.standing(ALL.which) == Standing(2, different=1)
    store.trees.doubt(uids[0])
    assert found(store)[uids[0]].known_at is None
    assert store.trees.standing(ALL.which) == Standing(2, different=1, unseen=1)
    # One that was enrolled by hand has no account, and nobody knows its tree either.
    store.devices.sight([Sighting(DeviceKind.DCU, "E1")], now=1.0)
    assert found(store)["E1"].known_at is None
    assert store.trees.standing(ALL.which) == Standing(3, different=1, unseen=2)


def test_what_a_device_refused_is_said(store: RelationalStore) -> None:
    uids = fill(store, 1)
    store.trees.want(ALL.scope, [setting(), setting(RATE, "17")], who="a", now=2.0)
    see(store, uids[0], KnownNode(WINDOW, "int", "1"), KnownNode(RATE, "int", "9600"))
    refusal = Outcome(setting(RATE, "17"), 416, "group:all", pushed=True, words="no such rate")
    settle(store, uids[0], [refusal], now=6.0)
    rate, window = found(store)[uids[0]].nodes
    assert (rate.refused, window.refused) == (True, False)
    assert rate.known is not None
    assert (rate.known.status, rate.known.words) == (416, "no such rate")
    assert store.trees.standing(ALL.which) == Standing(1, different=1, refused=1)


def test_another_form_of_a_value_does_not_differ(store: RelationalStore) -> None:
    uids = fill(store, 3)
    nodes = [setting("./AMI/A", "1", "bool"), setting("./AMI/B", "16", "int")]
    store.trees.want(ALL.scope, nodes, who="a", now=2.0)
    for uid, second in zip(uids, ("0x10", "16", "0x11"), strict=True):
        see(store, uid, KnownNode("./AMI/A", "bool", "true"), KnownNode("./AMI/B", "int", second))
    differing = found(store)
    assert list(differing) == [uids[2]]
    assert [node.wish.setting.uri for node in differing[uids[2]].nodes] == ["./AMI/B"]
    assert store.trees.standing(ALL.which) == Standing(3, different=1)


def test_many_come_in_pages_and_few_nodes_of_each(
    store: RelationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_differences, "SLICE", 3)
    uids = fill(store, 8)
    wanted = [setting(f"./AMI/N{n:02}", "1") for n in range(management_differences.NODES + 2)]
    store.trees.want(ALL.scope, wanted, who="a", now=2.0)
    for uid in (uids[0], uids[7]):
        see(store, uid, *(KnownNode(each.uri, "int", "1") for each in wanted))
    listed: list[DifferentDevice] = []
    after = None
    while True:
        page = store.trees.differences(ALL.which, after=after, limit=2)
        listed += page.items
        after = page.next
        if after is None:
            break
        assert len(page.items) == 2
    assert [each.uid for each in listed] == uids[1:7]
    assert {(len(each.nodes), each.more) for each in listed} == {(management_differences.NODES, 2)}
    with pytest.raises(ConflictError) as raised:
        store.trees.differences(ALL.which, after="no cursor")
    assert raised.value.code == "store.cursor"


URIS = ("./A", "./A/B", "./A/B/C", "./A/BB", "./A_", "./A_/C", "./AXC/C")
VALUES = {"int": ("1", "0x1", "2"), "chr": ("1", "", "two"), "bool": ("true", "1", "0")}


def some_setting(chance: random.Random) -> Setting:
    uri = chance.choice(URIS)
    if chance.random() < 0.4:
        return Setting(uri)
    form = chance.choice(sorted(VALUES))
    return Setting(uri, form, chance.choice(VALUES[form]))


@pytest.mark.parametrize("seed", range(8))
def test_the_database_finds_what_the_rules_say(store: RelationalStore, seed: int) -> None:
    """Random wishes of many scopes against random trees: the same as device by device."""
    chance = random.Random(seed)
    uids = fill(store, 8)
    some = DeviceFilter(DeviceKind.DCU, search="D00")
    for name, which in (("b", some), ("c", NORTH.which), ("a", ALL.which)):
        group = Group(name, which, chance.choice((0, 10, 20)))
        store.trees.put_group(group, who="a", now=1.0)
    scopes = [group.scope for group in store.trees.groups()] + [device(uid) for uid in uids[:4]]
    for scope in scopes:
        if chance.random() < 0.8:
            wishes = {each.uri: each for each in (some_setting(chance) for _ in range(3))}
            store.trees.want(scope, list(wishes.values()), who="a", now=2.0)
    for uid in uids[1:]:
        wanted = {uri: wish.setting for uri, wish in store.trees.wanted(uid).items()}
        nodes = {each.uri: each for each in (some_setting(chance) for _ in range(3))}
        nodes |= {uri: each for uri, each in wanted.items() if chance.random() < 0.7}
        seen = [KnownNode(u, s.format, s.value) for u, s in nodes.items() if not s.absent]
        saw(store, uid, ["./A", "./A_", "./AXC"], seen, now=5.0, whole=True)
        for step in difference(store.trees.wanted(uid), store.trees.known(uid)).steps:
            if chance.random() < 0.3:
                refusal = Outcome(step.wish.setting, 416, "x", pushed=True)
                settle(store, uid, [refusal], now=6.0)
    store.trees.doubt(uids[7])

    for group in store.trees.groups():
        members = {one.serial for one in store.devices.list(group.which).items}
        differing, refusing = {}, set()
        for uid in sorted(members):
            what = difference(store.trees.wanted(uid), store.trees.known(uid))
            apart = {step.uri for step in what.steps} | {each.step.uri for each in what.refused}
            refused = {each.step.uri for each in what.refused}
            if apart or (store.trees.wanted(uid) and store.trees.known_at(uid) is None):
                differing[uid] = (apart, refused)
            if refused:
                refusing.add(uid)
        told = {
            each.uid: (
                {node.wish.setting.uri for node in each.nodes},
                {node.wish.setting.uri for node in each.nodes if node.refused},
            )
            for each in store.trees.differences(group.which).items
        }
        assert told == differing
        unseen = {uid for uid in differing if store.trees.known_at(uid) is None}
        standing = Standing(len(members), len(differing) - len(unseen), len(unseen), len(refusing))
        assert store.trees.standing(group.which) == standing


def test_there_may_be_as_many_groups_as_there_may_be(store: RelationalStore) -> None:
    uids = fill(store, 2)
    names = [(number, f"g{number:03}") for number in range(MAX_GROUPS - 2)]
    groups = [
        {"name": name, "priority": number, "filter": {}, "created": 1.0, "who": "a"}
        for number, name in names
    ]
    wishes = [
        {"scope": f"group:{name}", "uri": WINDOW, "format": "int", "value": str(number),
         "at": 1.0, "who": "a"}
        for number, name in names
    ]  # fmt: skip
    with store.trees._transactions.writing() as session:
        session.execute(insert(GroupRow), groups)
        session.execute(insert(DesiredRow), wishes)
    see(store, uids[0], KnownNode(WINDOW, "int", str(MAX_GROUPS - 3)))
    see(store, uids[1], KnownNode(WINDOW, "int", "7"))
    (one,) = found(store).values()
    assert [str(node.wish.scope) for node in one.nodes] == [f"group:g{MAX_GROUPS - 3}"]
    assert store.trees.standing(ALL.which) == Standing(2, different=1)


def test_a_page_takes_few_statements(store: RelationalStore) -> None:
    uids = fill(store, 8)
    store.trees.want(ALL.scope, [setting(f"./AMI/N{n}") for n in range(20)], who="a", now=2.0)
    see(store, uids[0], KnownNode("./AMI", "node"))
    statements: list[str] = []
    engine = store._engine
    event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    assert len(store.trees.differences(ALL.which).items) == 8
    # The groups, which of them want, where the slice ends, and what differs.
    assert len([each for each in statements if each.startswith(("SELECT", "WITH"))]) == 4
