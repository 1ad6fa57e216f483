"""Client and server sessions back to back."""

from __future__ import annotations

from itertools import count

import pytest
from tests.support import dm_wire
from tests.support.dm_wire import NOW, TOLD, DictGate, Wire, account, order, read, statuses

from openami.omadm.auth import Scheme
from openami.omadm.codes import Status
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Atomic,
    Delete,
    Exec,
    Get,
    Item,
    Location,
    Replace,
    Sequence,
    StatusReport,
)
from openami.omadm.session.events import AuthenticationFailed, DeviceInfoReceived, End, Order

ORDERS = (
    order("add", Add, "./A", "one"),
    order("again", Add, "./A", "two"),
    order("replace", Replace, "./A", "three"),
    order("get", Get, "./A"),
    order("none", Get, "./B"),
    Order("exec", Exec(0, Item(Location("./Run")))),
    order("binary", Add, "./C", bytes(range(256))),
    order("read", Get, "./C"),
    order("delete", Delete, "./A"),
)


def well(wire: Wire) -> None:
    """Both ends ended as they should, and have the same account."""
    client, server = wire.ends
    assert (client.end, server.end) == (End.DONE, End.DONE), (client, server)
    assert wire.client_account == wire.server_account


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize("scheme", Scheme)
def test_a_session_with_every_scheme(scheme: Scheme, media: MediaType) -> None:
    wire = Wire(account(scheme), account(scheme), ORDERS, media=media)
    wire.run()
    well(wire)
    assert {name: done.status for name, done in wire.done.items()} == {
        "add": 200,
        "again": 418,
        "replace": 200,
        "get": 200,
        "none": 404,
        "exec": 202,
        "binary": 200,
        "read": 200,
        "delete": 200,
    }
    assert [item.data for item in wire.done["get"].items] == ["three"]
    assert DeviceInfoReceived(TOLD) in wire.server_events
    assert len(wire.requests) == 2
    if scheme is not Scheme.BASIC:
        assert wire.client_account != account(scheme)


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme is not Scheme.BASIC])
def test_stale_nonces_on_both_sides(scheme: Scheme) -> None:
    """Each end asks once for another proof, then all is as ever."""
    stale = account(scheme, client=b"old", server=b"older")
    wire = Wire(stale, account(scheme), ORDERS)
    wire.run()
    well(wire)
    failed = AuthenticationFailed(Status.INVALID_CREDENTIALS)
    assert wire.client_events.count(failed) == 1
    assert wire.server_events.count(failed) == 1
    assert wire.done["delete"].status == 200


def test_small_messages_and_large_objects() -> None:
    text = "<é&>" * 2_000
    orders = (*ORDERS, order("large", Add, "./L", text), order("back", Get, "./L"))
    for media in MediaType:
        wire = Wire(orders=orders, media=media, client_size=1500, server_size=1500)
        wire.run()
        well(wire)
        assert wire.done["large"].status == 200
        assert [item.data for item in wire.done["back"].items] == [text]
        assert wire.gate.nodes["./L"] == text
        assert max(len(out.body) for out in [*wire.requests[1:], *wire.answers]) <= 1500


def test_groups() -> None:
    def add(uri: str) -> Add:
        return Add(0, (Item(Location(uri), data="x"),))

    orders = (
        Order("good", Atomic(0, (add("./A"), add("./B")))),
        Order("bad", Atomic(0, (add("./C"), add("./A"), add("./D")))),
        Order("get", Atomic(0, (add("./C"), Get(0, (Item(Location("./A")),))))),
        Order("sequence", Sequence(0, (add("./E"), Get(0, (Item(Location("./E")),))))),
    )
    wire = Wire(orders=orders, gate=DictGate())
    wire.run()
    well(wire)
    assert wire.done["good"].status == 200
    assert wire.done["bad"].status == 507
    assert [part.status for part in wire.done["bad"].parts] == [216, 418, 215]
    assert wire.done["get"].status == 500
    assert wire.done["sequence"].status == 200
    assert [item.data for item in wire.done["sequence"].items] == ["x"]
    assert set(wire.gate.nodes) == {"./A", "./B", "./E"}


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme is not Scheme.BASIC])
def test_a_chain_of_nonces(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    """Session after session each end is believed at once, with a nonce that was never used."""
    numbers = count()
    monkeypatch.setattr(dm_wire, "nonces", lambda _: lambda: b"%016d" % next(numbers))
    ours = theirs = account(scheme)
    used: list[bytes] = []
    for _ in range(4):
        wire = Wire(ours, theirs, ORDERS)
        used += [ours.client_nonce, ours.server_nonce]
        wire.run()
        well(wire)
        told = (*wire.client_events, *wire.server_events)
        assert not any(isinstance(event, AuthenticationFailed) for event in told)
        ours, theirs = wire.client_account, wire.server_account
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme is not Scheme.BASIC])
def test_a_session_played_again_opens_nothing(scheme: Scheme) -> None:
    """Whoever has recorded all of a session gets no order out of the next one."""
    wire = Wire(account(scheme), account(scheme), ORDERS)
    wire.run()
    later = Wire(server_account=wire.server_account, orders=ORDERS).server
    first = wire.requests[0]
    answer = read(later.receive(first.body, first.content_type, first.hmac, NOW))
    assert statuses(answer) == [("SyncHdr", 401), ("Alert", 401), ("Replace", 401)]
    assert {type(command) for command in answer.commands} == {StatusReport}
