"""The objects: their documents, the checks of their values, and what their views say."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dm_tree import NOW, Server, grant, open_tree

from openami.core.errors import DecodeError
from openami.omadm.objects import ami, dmacc, sched
from openami.omadm.objects.ami import AmiConfig, AmiListener, MeterEntry, stations
from openami.omadm.objects.catalog import OBJECTS, ddf, device_schema, rule_of
from openami.omadm.objects.device import DeviceFacts, bind_facts, device_info
from openami.omadm.objects.dmacc import AppAuth, DmAcc, Level, accounts, put_account
from openami.omadm.objects.sched import SchedTask, tasks
from openami.omadm.objects.values import camel, native, text
from openami.omadm.tree.acl import Verb
from openami.omadm.tree.node import Format, Node, check_value, find
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.schema import Rule, read_ddf
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.wbxml.decode import parse_wbxml
from openami.omadm.wbxml.encode import write_wbxml
from openami.omadm.wbxml.tokens import DocumentKind
from openami.omadm.xml import parse_xml


@pytest.fixture
def tree() -> ManagementTree:
    return open_tree()


@pytest.fixture
def server(tree: ManagementTree) -> Server:
    return Server(tree)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_ddf_is_the_same_in_wbxml(name: str) -> None:
    document = parse_xml(ddf(name))
    there = parse_wbxml(write_wbxml(document, kind=DocumentKind.DDF)).element
    assert read_ddf(there) == read_ddf(document)


def test_every_rule_is_sound() -> None:
    for path, rule in device_schema().rules():
        assert rule.description or not path, path
        assert not (rule.permanent and rule.name is None), path
        assert not (rule.children and rule.format is not Format.NODE), path
        if rule.default:
            assert check_value(rule.format, rule.default) == rule.default, path
            if rule.check is not None:
                rule.check(rule.default)


@pytest.mark.parametrize("name", OBJECTS)
def test_every_check_has_its_leaf(name: str) -> None:
    checks = {"ami": ami.CHECKS, "dmacc": dmacc.CHECKS, "sched": sched.CHECKS}.get(name, {})
    found = 0
    stack: list[Rule] = [rule_of(name)]
    while stack:
        rule = stack.pop()
        found += rule.check is not None
        stack.extend(rule.children)
    assert found == len(checks)


HEAD = '<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD>'
NODE = "<Node><NodeName>x</NodeName><DFProperties>{}</DFProperties></Node>"


@pytest.mark.parametrize(
    "body",
    [
        "",
        NODE.format("") * 2,
        "<Node><NodeName>x</NodeName></Node>",
        NODE.format("<DFFormat><Add/></DFFormat>"),
        NODE.format("<AccessType><chr/></AccessType>"),
        NODE.format("<Occurrence><Get/></Occurrence>"),
        NODE.format("<Occurrence><ZeroOrN>x</ZeroOrN></Occurrence>"),
    ],
)
def test_what_is_no_ddf_is_refused(body: str) -> None:
    with pytest.raises(DecodeError):
        read_ddf(parse_xml(f"{HEAD}{body}</MgmtTree>".encode()))


def test_a_ddf_may_leave_things_out() -> None:
    rule = read_ddf(
        parse_xml(f"{HEAD}{NODE.format('<DFFormat><chr/></DFFormat>')}</MgmtTree>".encode())
    )
    assert (rule.least, rule.most, rule.permanent, rule.type) == (1, 1, False, "text/plain")
    occurrence = "<Occurrence><OneOrN>4</OneOrN></Occurrence>"
    rule = read_ddf(parse_xml(f"{HEAD}{NODE.format(occurrence)}</MgmtTree>".encode()))
    assert (rule.least, rule.most) == (1, 4)


# Objects in a fixed place, and those of which a server makes any number below one.
FIXED = {
    "DevInfo": "urn:oma:mo:oma-dm-devinfo:1.0",
    "DevDetail": "urn:oma:mo:oma-dm-devdetail:1.0",
    "Inbox": "urn:oma:mo:oma-dm-inbox:1.0",
    "SCOMO": "urn:oma:mo:oma-scomo:1.0",
    "AMI": "urn:openami:mo:ami:1.0",
}
MANY = {
    "DMAcc": "urn:oma:mo:oma-dm-dmacc:1.0",
    "FUMO": "urn:oma:mo:oma-fumo:1.0",
    "SCHED": "urn:openami:mo:sched:1.0",
}


def test_objects_carry_their_names() -> None:
    assert {*FIXED, *MANY} == {child.name for child in device_schema().root.children}
    for name, urn in FIXED.items():
        rule = device_schema().rule((name,))
        assert rule is not None
        assert rule.type == urn
    for name, urn in MANY.items():
        assert device_schema().place_of(urn) == (name,)
    assert (MANY["DMAcc"], MANY["SCHED"], FIXED["AMI"]) == (dmacc.URN, sched.URN, ami.URN)


def test_access_is_the_standards() -> None:
    def access(*path: str) -> set[Verb]:
        rule = device_schema().rule(path)
        assert rule is not None
        return set(rule.access)

    assert access("Inbox") == {Verb.ADD}
    for leaf in ("DevId", "Man", "Mod", "DmV", "Lang"):
        assert access("DevInfo", leaf) == {Verb.GET}
    for operation in ("Download", "Update", "DownloadAndUpdate"):
        assert {Verb.EXEC, Verb.GET} <= access("FUMO", "x", operation)
    assert access("FUMO", "x", "State") == {Verb.GET}
    assert Verb.GET not in access("FUMO", "x", "Update", "PkgData")
    assert Verb.GET not in access("DMAcc", "x", "AppAuth", "1", "AAuthSecret")
    assert Verb.GET not in access("DMAcc", "x", "AppAuth", "1", "AAuthData")


FACTS = DeviceFacts("urn:openami:dcu:D1", "openami", "DCU", "dcu", "openami", "1", "2", "3")


def test_a_device_tells_what_it_is(tree: ManagementTree, server: Server) -> None:
    bind_facts(tree, FACTS)
    told = {i.source.uri: i.data for i in device_info(tree) if i.source is not None}
    assert told == {
        "./DevInfo/DevId": "urn:openami:dcu:D1",
        "./DevInfo/DmV": "1.2",
        "./DevInfo/Lang": "en",
        "./DevInfo/Man": "openami",
        "./DevInfo/Mod": "DCU",
    }
    assert server.data("./DevDetail/SwV") == "2"
    assert server.data("./DevDetail/URI/MaxDepth") == str(tree.limits.uri.depth)
    assert server.data("./DevDetail/LrgObj") == "true"


ACCOUNT = DmAcc(
    "head-end",
    "https://headend.example/dm",
    "Head-end",
    "HMAC",
    (
        AppAuth(Level.CLIENT, "HMAC", "D1", "client secret", b"\x00\x01"),
        AppAuth(Level.SERVER, "HMAC", "head-end", "server secret"),
    ),
)


def test_an_account_comes_back_and_its_server_owns_it() -> None:
    tree = ManagementTree(device_schema())
    assert accounts(tree.root) == {}
    for _ in range(2):
        draft = tree.draft(NOW)
        put_account(draft, "h", ACCOUNT)
        tree.commit(draft)
    assert accounts(tree.root) == {"h": ACCOUNT}
    assert "secret" not in repr(ACCOUNT).replace("AAuthSecret", "")
    own, other = Server(tree, "head-end"), Server(tree, "other")
    assert own.replace("./DMAcc/h/Name", "New") == 200
    assert own.data("./DMAcc/h?prop=ACL") == "Delete=head-end&Get=head-end&Replace=head-end"
    assert other.get("./DMAcc/h/Name").status == 425
    assert own.get("./DMAcc/h/AppAuth/1/AAuthSecret").status == 405
    assert own.delete("./DMAcc/h") == 200
    tree = ManagementTree(device_schema())
    draft = tree.draft(NOW)
    put_account(draft, "m", DmAcc("m", "https://m"))
    tree.commit(draft)
    assert accounts(tree.root) == {"m": DmAcc("m", "https://m")}


def test_an_account_that_a_server_began_can_be_read(tree: ManagementTree, server: Server) -> None:
    assert server.add("./DMAcc/n/AppAuth/1/AAuthType", "HMAC") == 200
    assert accounts(tree.root) == {"n": DmAcc("", "", auth=(AppAuth(Level.CLIENT, "HMAC"),))}


@pytest.mark.parametrize(
    ("address", "good", "bad"),
    [
        ("./DMAcc/x/AppID", "w7", "w5"),
        ("./DMAcc/x/AppAddr/1/AddrType", "IPv6", "DNS"),
        ("./DMAcc/x/AppAddr/1/Port/1/PortNbr", "443", "0"),
        ("./DMAcc/x/AppAddr/1/Port/1/PortNbr", "443", "many"),
        ("./DMAcc/x/AppAuth/1/AAuthLevel", "SRVCRED", "ROOT"),
        ("./DMAcc/x/AppAuth/1/AAuthType", "HMAC", "NONE"),
        ("./SCHED/x/Operation", "./AMI/Operations/Collect", "AMI"),
        ("./SCHED/x/Start", "20260101T000000Z", "20261301T000000Z"),
        ("./SCHED/x/Until", "20260101T000000Z", "tomorrow"),
        ("./SCHED/x/Spread", "86400", "86401"),
        ("./AMI/Meters/x/Serial", "A1", ""),
        ("./AMI/Meters/x/Serial", "A1", "x" * 65),
        ("./AMI/Meters/x/SystemTitle", "4F414D0000000001", "4F414D"),
        ("./AMI/Meters/x/Address", "16", "15"),
    ],
)
def test_a_value_is_checked_when_it_is_added(
    server: Server, address: str, good: str, bad: str
) -> None:
    assert server.add(address, bad) == 500
    assert server.add(address, good) == 200


def test_how_often_a_task_may_be(server: Server) -> None:
    assert server.add("./SCHED/x") == 200
    assert [server.replace("./SCHED/x/Interval", v) for v in ("0", "10", "9", "-1")] == [
        200,
        200,
        500,
        500,
    ]


@pytest.mark.parametrize(
    ("address", "good", "bad"),
    [
        ("Collection/LoadProfile", "", "1.2.3"),
        ("Collection/EventLogs", "0.0.99.98.0.255, 0.0.99.98.1.255", "0.0.99.98.0.255,x"),
        ("Collection/EventLogs", "", "," * 33),
        ("Collection/LoadPeriod", "1800", "59"),
        ("Collection/Timezone", "Asia/Seoul", "Mars/Olympus"),
        ("Collection/Timezone", "UTC", "../etc/passwd"),
        ("Segment/Addresses", "", "1-5"),
        ("Segment/Addresses", "16-125,200", "16-"),
        ("Segment/Addresses", "16,16381", "16-9999"),
        ("Link/Window", "7", "8"),
        ("Segment/AddressOctets", "2", "3"),
        ("Management/PollEvery", "10", "9"),
        ("Time/Source", "system", "ntp://x"),
        ("Time/Source", "https://time.example", "https://"),
        ("Upload/Target", "", "http://headend.example"),
        ("Upload/Target", "https://headend.example:8443", "https://a:b@headend.example"),
        ("Upload/Target", "https://headend.example", "https://[broken"),
    ],
)  # fmt: skip
def test_a_setting_is_checked(server: Server, address: str, good: str, bad: str) -> None:
    before = server.data(f"./AMI/{address}")
    assert server.replace(f"./AMI/{address}", bad) == 500
    assert server.visit.words
    assert server.data(f"./AMI/{address}") == before
    assert server.replace(f"./AMI/{address}", good) == 200


def test_stations() -> None:
    assert stations("16-18, 20") == (16, 17, 18, 20)
    assert stations("") == ()


@given(st.sets(st.integers(16, 600), max_size=40))
def test_stations_are_read_in_any_writing(wanted: set[int]) -> None:
    text = ", ".join(f"{a}-{a + 1}" if a + 1 in wanted else f"{a}" for a in wanted)
    assert stations(text) == tuple(sorted(wanted))


def test_the_views_name_the_leaves_of_the_ddf() -> None:
    parts: dict[str, Any] = {
        "Collection": ami.Collection, "Segment": ami.Segment, "Link": ami.LinkSettings,
        "Time": ami.TimeSource, "Upload": ami.Upload, "Management": ami.Management,
    }  # fmt: skip
    for name, view in parts.items():
        rule = device_schema().rule(("AMI", name))
        assert rule is not None
        assert {camel(f.name) for f in fields(view)} == {child.name for child in rule.children}


def test_the_factory_settings_are_whole(tree: ManagementTree) -> None:
    config = AmiConfig.read(tree.root)
    assert config.collection.load_period == 900
    assert config.collection.enabled is True
    assert config.segment.probe_rest == 30.0
    assert config.link.retries == 3
    assert config.upload.target == ""
    assert config.meters == ()
    with pytest.raises(ValueError, match="missing"):
        AmiConfig.read(Node(Format.NODE))


def test_a_replace_takes_effect_at_once_and_a_bad_one_does_not(
    tree: ManagementTree, server: Server
) -> None:
    applied: list[AmiConfig] = []
    tree.watch("./AMI", AmiListener(applied.append))
    assert server.replace("./AMI/Collection/LoadPeriod", "300") == 200
    assert applied[-1].collection.load_period == 300
    assert server.replace("./AMI/Collection/LoadPeriod", "60") == 500
    assert "Margin" in server.visit.words
    assert server.data("./AMI/Collection/LoadPeriod") == "300"
    assert len(applied) == 1
    # both at once are fine
    server.visit.begin()
    assert server.replace("./AMI/Collection/LoadPeriod", "60") == 200
    assert server.replace("./AMI/Time/Margin", "5") == 200
    server.visit.commit()
    assert (applied[-1].collection.load_period, applied[-1].time.margin) == (60, 5.0)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("Time/Threshold", "4000"), ("Segment/BackoffFirst", "4000"), ("Upload/RetryFirst", "301"),
        ("Link/ReconnectFirst", "61"),
    ],
)  # fmt: skip
def test_values_go_together(tree: ManagementTree, server: Server, address: str, value: str) -> None:
    tree.watch("./AMI", AmiListener(lambda _config: None))
    assert server.replace(f"./AMI/{address}", value) == 500
    assert address in server.visit.words


def test_meters_are_listed(tree: ManagementTree, server: Server) -> None:
    applied: list[AmiConfig] = []
    tree.watch("./AMI", AmiListener(applied.append))
    assert server.add("./AMI/Meters/m1/Address", "16") == 200
    assert list(applied[-1].meters) == []  # its serial is still to come
    assert server.add("./AMI/Meters/m1/Serial", "A1") == 200
    assert list(applied[-1].meters) == [MeterEntry("A1", address=16)]
    assert server.add("./AMI/Meters/m2/Serial", "A1") == 500
    assert server.add("./AMI/Meters/m2/Serial", "A2") == 200
    assert server.replace("./AMI/Meters/m2/Enabled", "false") == 200
    assert applied[-1].meters[1] == MeterEntry("A2", enabled=False)


def test_a_device_may_refuse_what_it_can_not_do(tree: ManagementTree, server: Server) -> None:
    def refuse(config: AmiConfig) -> None:
        if config.link.window > 1:
            raise ValueError("this modem has a window of 1")

    listener = AmiListener(lambda _config: None, refuse)
    tree.watch("./AMI", listener)
    assert server.replace("./AMI/Link/Window", "2") == 500
    assert server.visit.words == "this modem has a window of 1"
    listener.changed(())  # nothing was agreed to, nothing is applied


def test_tasks_are_read_when_they_are_complete(tree: ManagementTree, server: Server) -> None:
    assert tasks(Node(Format.NODE)) == ()
    assert server.add("./SCHED/t1/TaskID", "daily") == 200
    assert tasks(tree.root) == ()
    assert server.add("./SCHED/t1/Operation", "./AMI/Operations/Collect") == 200
    assert server.add("./SCHED/t1/Start", "20010711T163817Z") == 200
    assert server.replace("./SCHED/t1/Interval", "86400") == 200
    task = SchedTask("t1", "daily", "./AMI/Operations/Collect", int(NOW), 86_400)
    assert tasks(tree.root) == (task,)
    assert server.add("./SCHED/t1/Until", "20010712T163817Z") == 200
    assert tasks(tree.root)[0].until == int(NOW) + 86_400


def test_when_a_task_is_due() -> None:
    once = SchedTask("t", "t", "./x", 1000)
    assert once.next_run(0) == 1000
    assert once.next_run(1000) is None
    often = SchedTask("t", "t", "./x", 1000, 60, spread=10, until=1130)
    assert often.next_run(999, jitter=0.5) == 1005
    assert often.next_run(1005, jitter=0.5) == 1065
    assert often.next_run(1064.9, jitter=0.5) == 1065
    assert often.next_run(1125, jitter=0.5) is None
    assert SchedTask("t", "t", "./x", 1000, enabled=False).next_run(0) is None


def test_values_travel_as_text() -> None:
    assert [text(v) for v in (True, 5, 1.5, "x")] == ["true", "5", "1.5", "x"]
    assert native(Node(Format.BIN, b"x")) == b"x"


def test_the_tree_gives_an_application_what_it_asks(tree: ManagementTree) -> None:
    assert tree.get("./AMI") is None
    assert tree.get("./Nothing/at/all") is None
    assert tree.text("./Nothing", "default") == "default"
    assert tree.names("./Nothing") == ()
    assert find(tree.root, ("AMI", "Link", "Retries", "x", "y")) is None
    assert tree.schema.rule(("Nothing", "at", "all")) is None
    draft = tree.draft(NOW)
    with pytest.raises(TreeRefusedError, match="no value"):
        draft.set_value(("AMI",), "x")
    with pytest.raises(TreeRefusedError, match="permanent"):
        draft.remove(("AMI",))
    with pytest.raises(TreeRefusedError, match="is a int"):
        draft.add(("SCHED", "t", "State"), Node(Format.CHR, "10"))
    tree.commit(draft)
    grant(tree, "./AMI", "Get=*")
