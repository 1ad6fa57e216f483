"""Every status and every alert of the reference: who sends it, when, and that it is so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.omadm.corpus import TREE
from tests.support.dm_tree import NOW, open_tree
from tests.support.dm_wire import (
    DEV_INFO,
    DEVICE,
    SERVER,
    DictGate,
    Wire,
    account,
    events,
    nonces,
    order,
    read,
    scripted_client,
    scripted_server,
    server_of,
    statuses,
)

from openami.core.errors import StoreError
from openami.omadm.auth import Scheme
from openami.omadm.codes import AlertCode, Status
from openami.omadm.messages.codec import encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Cred,
    Delete,
    Exec,
    Get,
    Header,
    Item,
    Location,
    Message,
    Meta,
    Replace,
    Results,
    StatusReport,
)
from openami.omadm.objects.catalog import device_schema
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import AlertReceived, Order, Outcome, SessionEnded
from openami.omadm.session.perform import unattended
from openami.omadm.tree.acl import Acl
from openami.omadm.tree.tree import ManagementTree, MemoryStore
from openami.omadm.tree.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.omadm.messages.model import Command
    from openami.omadm.session.perform import Gate, User
    from openami.omadm.tree.tree import StoredNode

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "oma-dm.md"
ROW = re.compile(r"^\| (\d{3,4}) \| ([a-z ,]+) \| (.+) \|$", re.MULTILINE)
EXT = "./DevInfo/Ext/x"
RUN = "./AMI/Operations/Collect"
CHOICE = Alert(1, AlertCode.CONFIRM, (Item(data="DR=0"), Item(data="Go on?")))


def at(uri: str, data: str | None = None, form: str | None = None, *, more: bool = False) -> Item:
    return Item(Location(uri), meta=Meta(format=form) if form else None, data=data, more_data=more)


def device(
    *commands: Command, gate: Gate | None = None, user: User | None = None, room: int = 65_536
) -> set[int]:
    """Return what a device answers to commands that its tree, as a rule open to all, is given."""
    client = ClientSession(
        account(Scheme.BASIC),
        ClientConfig(DEVICE, SERVER, DEV_INFO, max_obj_size=1_000),
        gate or Visit(open_tree(), "head-end", NOW),
        session_id=0x2A,
        nonces=nonces("s"),
        user=user or unattended,
    )
    client.start(NOW)
    body = scripted_server().message(*commands, answers=1, meta=Meta(max_msg_size=room))
    client.receive(body, MediaType.WBXML, None, NOW)
    return {code for _, code in statuses(read(client.next_outgoing()))[1:]}


PROOF = scripted_client().cred


def head_end(*commands: Command, cred: Cred | None = PROOF) -> set[int]:
    """Return what a head-end answers to the first message of a device."""
    body = replace(scripted_client(), cred=cred).message(*commands)
    answer = server_of().receive(body, MediaType.WBXML, None, NOW)
    return {code for _, code in statuses(read(answer))}


def of_version(proto: str, dtd: str) -> set[int]:
    header = Header("2A", 1, Location(SERVER), Location(DEVICE), ver_proto=proto, ver_dtd=dtd)
    body = encode_message(Message(header, final=True), MediaType.WBXML)
    return {c for _, c in statuses(read(server_of().receive(body, MediaType.WBXML, None, NOW)))}


def executing(status: int) -> Gate:
    tree = open_tree()
    tree.on_exec("./AMI", lambda _execution: status)
    return Visit(tree, "head-end", NOW)


def closed() -> Gate:
    tree = open_tree()
    draft = tree.draft(NOW)
    draft.set_acl((), Acl.parse("Get=*"))
    tree.commit(draft)
    return Visit(tree, "head-end", NOW)


class LostStore(MemoryStore):
    lost = False

    def commit(self, removed: Sequence[str], kept: Sequence[StoredNode]) -> None:
        if self.lost:
            raise StoreError("no disk")
        super().commit(removed, kept)


def broken_store() -> Gate:
    store = LostStore()
    tree = ManagementTree(device_schema(), store)
    store.lost = True
    return Visit(tree, "head-end", NOW)


def refused_header() -> set[int]:
    """Return the status of a header with which a device's session ends."""
    wire = Wire(account(Scheme.BASIC), account(Scheme.BASIC))
    wire.client.start(NOW)
    body = replace(scripted_server(), status=Status.FORBIDDEN).message(answers=1)
    wire.client.receive(body, MediaType.WBXML, None, NOW)
    (end,) = [event for event in events(wire.client) if isinstance(event, SessionEnded)]
    assert end.code == "omadm.auth.refused"
    return {int(found) for found in re.findall(r"\d{3}", end.message)}


def protocol_broken() -> set[int]:
    server, client = server_of(order("get", Get, "./A")), scripted_client()
    server.receive(client.message(Alert(1, 1201)), MediaType.WBXML, None, NOW)
    body = client.message(answers=7)
    return {c for _, c in statuses(read(server.receive(body, MediaType.WBXML, None, NOW)))}


def group(*commands: Add | Exec | Delete) -> Atomic:
    return Atomic(1, commands)


ADD = Add(2, (at(EXT, "x", "chr"),))
WRONG = Delete(3, (at("./Nothing"),))
STATUSES: dict[Status, Callable[[], set[int]]] = {
    Status.OK: lambda: device(ADD) & head_end(Alert(1, 1201)),
    Status.ACCEPTED_FOR_PROCESSING: lambda: device(Exec(1, at(RUN)), gate=executing(202)),
    Status.AUTHENTICATED: lambda: head_end(Alert(1, 1201)),
    Status.CHUNK_ACCEPTED: lambda: device(Add(1, (at(EXT, "x", "chr", more=True),))),
    Status.CANCELLED: lambda: device(CHOICE, user=lambda _: Outcome(214)),
    Status.NOT_EXECUTED: lambda: device(group(WRONG, ADD)),
    Status.ATOMIC_ROLLED_BACK: lambda: device(group(ADD, WRONG)),
    Status.NOT_MODIFIED: lambda: device(CHOICE),
    Status.BAD_REQUEST: lambda: device(
        Add(1, (replace(at(EXT, more=True), data=TREE),)), gate=DictGate()
    ),
    Status.INVALID_CREDENTIALS: lambda: head_end(cred=Cred(Meta(type="syncml:auth-md5"), "x")),
    Status.FORBIDDEN: refused_header,
    Status.NOT_FOUND: lambda: device(Get(1, (at("./Nothing"),))),
    Status.NOT_ALLOWED: lambda: device(Delete(1, (at("./AMI"),))) & head_end(ADD),
    Status.OPTIONAL_NOT_SUPPORTED: lambda: (
        device(Get(1, (at("./AMI?prop=Colour"),))) & head_end(Alert(1, AlertCode.DISPLAY))
    ),
    Status.MISSING_CREDENTIALS: lambda: head_end(cred=None),
    Status.REQUEST_TIMEOUT: lambda: device(CHOICE, user=lambda _: Outcome(408)),
    Status.INCOMPLETE: lambda: device(Get(1, (Item(),))) & head_end(Alert(1, AlertCode.GENERIC)),
    Status.ENTITY_TOO_LARGE: lambda: device(Add(1, (at(EXT, "x" * 1_001),))),
    Status.URI_TOO_LONG: lambda: device(Get(1, (at("./" + "x" * 2_000),))),
    Status.UNSUPPORTED_FORMAT: lambda: (
        device(Replace(1, (at("./AMI/Link/Retries", "x", "int"),)))
        & head_end(Alert(1, AlertCode.GENERIC, (Item(meta=Meta("colour", "t")),)))
    ),
    Status.SIZE_NOT_SATISFIED: lambda: device(Exec(1, at(RUN)), gate=executing(416)),
    Status.RETRY_LATER: lambda: device(Exec(1, at(RUN)), gate=executing(417)),
    Status.ALREADY_EXISTS: lambda: device(Add(1, (at("./AMI/Link/Retries", "1"),))),
    Status.DEVICE_FULL: lambda: device(*(Add(n, (at(f"./DMAcc/a{n}"),)) for n in range(1, 10))),
    Status.SIZE_MISMATCH: lambda: device(
        Add(1, (replace(at(EXT, "x", more=True), meta=Meta(size=9)),)), Add(2, (at(EXT, "y"),))
    ),
    Status.PERMISSION_DENIED: lambda: device(ADD, gate=closed()),
    Status.COMMAND_FAILED: lambda: (
        device(Replace(1, (at("./AMI/Link/Retries", "21", "int"),))) & protocol_broken()
    ),
    Status.NOT_IMPLEMENTED: lambda: device(Exec(1, at(RUN)), gate=executing(501)),
    Status.DTD_NOT_SUPPORTED: lambda: of_version("DM/1.2", "1.1"),
    Status.ATOMIC_FAILED: lambda: device(group(ADD, WRONG)),
    Status.DATA_STORE_FAILURE: lambda: device(Add(1, (at("./SCHED/t"),)), gate=broken_store()),
    Status.PROTOCOL_NOT_SUPPORTED: lambda: of_version("DM/1.1", "1.2"),
    Status.ROLLBACK_FAILED: lambda: device(group(Exec(2, at(RUN)), WRONG), gate=executing(200)),
    Status.ATOMIC_TOO_LARGE: lambda: device(
        Atomic(1, tuple(Add(n, (at(f"{EXT}{n}", "x"),)) for n in range(2, 40))), room=1_000
    ),
}


def alerts(wire: Wire) -> set[int]:
    """Return every alert of a session, of either end."""
    sent = [read(outgoing) for outgoing in (*wire.requests, *wire.answers)]
    return {c.data for message in sent for c in message.commands if isinstance(c, Alert)}


def ran(*commands: Command, **more: int) -> Wire:
    wire = Wire(orders=[Order(str(n), c) for n, c in enumerate(commands)], **more)  # type: ignore[arg-type]  # sizes
    wire.run()
    return wire


def to_user(code: AlertCode) -> set[int]:
    question = Alert(1, code, (Item(data="DR=1"), Item(data="Which?"), Item(data="this")))
    wire = ran(question)
    assert wire.done["0"].status == Status.OK
    return alerts(wire)


def to_server(code: AlertCode) -> set[int]:
    item = Item(source=Location("./A"), meta=Meta("chr", "urn:x"), data="x")
    wire = Wire()
    wire.client.say(Alert(0, code, (item,), "job"))
    wire.run()
    told = [event for event in wire.server_events if isinstance(event, AlertReceived)]
    assert [(e.alert.data, e.alert.correlator) for e in told] == [(code, "job")]
    return alerts(wire)


def opened(*, notified: bool) -> set[int]:
    client = ClientSession(
        account(),
        ClientConfig(DEVICE, SERVER, DEV_INFO),
        DictGate(),
        session_id=1,
        nonces=nonces("s"),
        notified=notified,
    )
    return {c.data for c in read(client.start(NOW)).commands if isinstance(c, Alert)}


def aborted() -> set[int]:
    wires = []
    for who in ("client", "server"):
        wire = Wire(orders=[order("get", Get, "./A")])
        getattr(wire, who).abort()
        wire.run()
        wires.append(alerts(wire))
    return wires[0] & wires[1]


def interrupted() -> set[int]:
    server, client = server_of(order("get", Get, "./A")), scripted_client()
    server.receive(client.message(Alert(1, 1201)), MediaType.WBXML, None, NOW)
    part = Results(2, 3, (Item(source=Location("./A"), data="x", more_data=True),), msg_ref=1)
    found = client.message(StatusReport(1, 1, 3, "Get", 200), part, answers=1, final=False)
    server.receive(found, MediaType.WBXML, None, NOW)
    body = client.message(Alert(1, AlertCode.CLIENT_EVENT), answers=2)
    answer = read(server.receive(body, MediaType.WBXML, None, NOW))
    return {c.data for c in answer.commands if isinstance(c, Alert)}


ALERTS: dict[AlertCode, Callable[[], set[int]]] = {
    AlertCode.DISPLAY: lambda: to_user(AlertCode.DISPLAY),
    AlertCode.CONFIRM: lambda: to_user(AlertCode.CONFIRM),
    AlertCode.TEXT_INPUT: lambda: to_user(AlertCode.TEXT_INPUT),
    AlertCode.SINGLE_CHOICE: lambda: to_user(AlertCode.SINGLE_CHOICE),
    AlertCode.MULTIPLE_CHOICE: lambda: to_user(AlertCode.MULTIPLE_CHOICE),
    AlertCode.SERVER_INITIATED: lambda: opened(notified=True),
    AlertCode.CLIENT_INITIATED: lambda: opened(notified=False),
    AlertCode.NEXT_MESSAGE: lambda: alerts(ran(Add(0, (at("./A", "x" * 3_000),)), client_size=900)),
    AlertCode.SESSION_ABORT: aborted,
    AlertCode.CLIENT_EVENT: lambda: to_server(AlertCode.CLIENT_EVENT),
    AlertCode.NO_END_OF_DATA: interrupted,
    AlertCode.GENERIC: lambda: to_server(AlertCode.GENERIC),
}


@pytest.mark.parametrize("code", [*Status, *AlertCode], ids=str)
def test_a_code_is_sent_where_the_reference_says(code: Status | AlertCode) -> None:
    seen = STATUSES[code]() if isinstance(code, Status) else ALERTS[code]()
    assert code in seen


def test_the_reference_has_every_code() -> None:
    rows = ROW.findall(PAGE.read_text("utf-8"))
    assert [int(code) for code, _, _ in rows] == [*Status, *AlertCode]
    assert {who for _, who, _ in rows} <= {"device", "server", "either", "neither", "application"}
