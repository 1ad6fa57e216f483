"""What does not fit one message: commands, objects, the response to an Atomic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.dm_wire import (
    DEVICE,
    NOW,
    SERVER,
    DictGate,
    Wire,
    client_of,
    events,
    order,
    read,
    scripted_client,
    scripted_server,
    server_of,
    statuses,
)

from openami.omadm.codes import AlertCode, Status
from openami.omadm.element import Element, Page
from openami.omadm.messages.codec import decode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Command,
    Exec,
    Get,
    Header,
    Item,
    Location,
    Meta,
    Replace,
    Results,
    Sequence,
    StatusReport,
)
from openami.omadm.session.events import End, Order, SessionEnded
from openami.omadm.session.numbering import header_status
from openami.omadm.session.outbox import MAX_ANSWERS, Outbox


def at(uri: str, data: str | None = None) -> Item:
    return Item(Location(uri), data=data)


def test_the_size_is_in_the_first_chunk_only() -> None:
    wire = Wire(orders=[order("large", Add, "./A", "x" * 3_000)], client_size=900)
    wire.run()
    adds = [c for answer in wire.answers for c in read(answer).commands if isinstance(c, Add)]
    assert len(adds) > 3
    sizes = [add.items[0].meta.size if add.items[0].meta else None for add in adds]
    assert sizes == [3_000] + [None] * (len(adds) - 1)
    assert [add.items[0].more_data for add in adds] == [True] * (len(adds) - 1) + [False]
    assert wire.gate.performed == [("Add", "./A")]


def test_results_come_after_the_last_status() -> None:
    """However small the messages are (DM Protocol 1.2, 8.4)."""
    client = client_of(DictGate({"./A": "x"}))
    client.start(NOW)
    server = scripted_server()
    long = "./" + "x" * 100  # so that the Results would fit where no Status does
    commands: list[Command] = [Get(1, (at("./A"),))]
    commands += [Add(n, (at(f"{long}{n}", "x"),)) for n in range(2, 40)]
    told: list[Command] = []
    body = server.message(*commands, answers=1, meta=Meta(max_msg_size=800))
    final, number = False, 1
    while not final:
        client.receive(body, MediaType.WBXML, None, NOW)
        message = read(client.next_outgoing())
        told += [c for c in message.commands if isinstance(c, Results) or c.cmd_id > 1]
        final, number = message.final, message.header.msg_id
        body = server.message(Alert(1, AlertCode.NEXT_MESSAGE), answers=number, final=False)
    kinds = [type(c) for c in told if isinstance(c, Results) or c.cmd == "Add"]  # type: ignore[union-attr]  # statuses else
    assert kinds.index(Results) == 38


def test_results_that_the_server_breaks_off() -> None:
    client = client_of(DictGate({"./A": "x" * 3_000}))
    client.start(NOW)
    server = scripted_server()
    body = server.message(Get(1, (at("./A"),)), answers=1, meta=Meta(max_msg_size=900))
    client.receive(body, MediaType.WBXML, None, NOW)
    assert not read(client.next_outgoing()).final
    stop = Alert(1, AlertCode.NO_END_OF_DATA)
    go_on = Alert(2, AlertCode.NEXT_MESSAGE)
    client.receive(server.message(stop, go_on, answers=2, final=False), MediaType.WBXML, None, NOW)
    message = read(client.next_outgoing())
    assert statuses(message)[1:] == [("Alert", 200), ("Alert", 200)]
    assert not any(isinstance(command, Results) for command in message.commands)


def test_an_object_of_just_the_announced_size() -> None:
    """Both ways, with and without parts."""
    for size, code in ((600, 200), (601, 413)):
        orders = [order("add", Add, "./N", "n" * size), order("get", Get, "./A")]
        gate = DictGate({"./A": "a" * size})
        for room in (65_536, 850):
            wire = Wire(orders=orders, gate=DictGate(dict(gate.nodes)), object_size=600,
                        client_size=room, server_size=room)  # fmt: skip
            wire.run()
            assert {name: done.status for name, done in wire.done.items()} == {
                "add": code,
                "get": code,
            }


def test_an_object_in_a_group_that_the_device_cannot_take() -> None:
    group = Atomic(
        0, (Add(0, (at("./A", "1"),)), Sequence(0, (Add(0, (at("./B", "123456789"),)),)))
    )
    wire = Wire(orders=[Order("group", group)], object_size=8)
    wire.run()
    assert wire.done["group"].status == 413
    assert wire.gate.performed == []


def test_an_abort_says_nothing_else() -> None:
    client = client_of(DictGate())
    client.say(Alert(0, AlertCode.GENERIC, correlator="c"))
    client.start(NOW)
    client.say(Alert(0, AlertCode.GENERIC, correlator="d"))
    client.abort()
    body = scripted_server().message(Add(1, (at("./A", "x"),)), answers=1)
    client.receive(body, MediaType.WBXML, None, NOW)
    told = [c for c in read(client.next_outgoing()).commands if isinstance(c, Alert)]
    assert [alert.data for alert in told] == [AlertCode.SESSION_ABORT]


def test_a_device_that_fetches_no_answers() -> None:
    """It takes hardly anything in a message and goes on with alerts: that has an end."""
    server, device = server_of(), scripted_client()
    meta = Meta(max_msg_size=500)
    news = [Alert(n, AlertCode.CLIENT_EVENT) for n in range(1, 1_500)]
    count = 0
    while not server.closed:
        body = device.message(*news, answers=device.msg_id or None, final=False, meta=meta)
        answer = server.receive(body, MediaType.WBXML, None, NOW)
        assert len(server._outbox.answers) <= MAX_ANSWERS
        count += 1
    assert count == MAX_ANSWERS // len(news) + 1
    assert [c.data for c in read(answer).commands if isinstance(c, Alert)] == [1223]
    (end,) = [event for event in events(server) if isinstance(event, SessionEnded)]
    assert (end.end, end.code) == (End.BROKEN, "omadm.session.answers")


# The response to an Atomic is whole.


def atomic(count: int) -> Atomic:
    return Atomic(1, tuple(Add(n, (at(f"./{n}", "x"),)) for n in range(2, count + 2)))


def test_the_response_to_an_atomic_goes_into_one_message() -> None:
    """It waits for the next message where this one has no room for all of it."""
    client = client_of(DictGate())
    client.start(NOW)
    server = scripted_server()
    alerts = [Alert(n, AlertCode.DISPLAY) for n in range(100, 115)]
    body = server.message(*alerts, atomic(10), answers=1, meta=Meta(max_msg_size=1_000))
    client.receive(body, MediaType.WBXML, None, NOW)
    first = read(client.next_outgoing())
    assert {name for name, _ in statuses(first)} == {"SyncHdr", "Alert"}
    client.receive(
        server.message(Alert(1, AlertCode.NEXT_MESSAGE), answers=2, final=False),
        MediaType.WBXML, None, NOW,
    )  # fmt: skip
    told = statuses(read(client.next_outgoing()))
    assert ("Atomic", 200) in told
    assert told.count(("Add", 200)) == 10


def test_an_atomic_whose_response_is_too_large_is_undone() -> None:
    gate = DictGate()
    client = client_of(gate)
    client.start(NOW)
    server = scripted_server()
    body = server.message(atomic(40), answers=1, meta=Meta(max_msg_size=1_000))
    client.receive(body, MediaType.WBXML, None, NOW)
    told, final = [], False
    while not final:
        message = read(client.next_outgoing())
        told += statuses(message)
        final, number = message.final, message.header.msg_id
        go_on = Alert(1, AlertCode.NEXT_MESSAGE)
        body = server.message(go_on, answers=number, final=False)
        client.receive(body, MediaType.WBXML, None, NOW)
    assert told[1] == ("Atomic", Status.ATOMIC_TOO_LARGE)
    assert told.count(("Add", Status.ATOMIC_ROLLED_BACK)) == 40
    assert gate.nodes == {}


def test_answers_that_belong_together_go_out_apart_where_nothing_else_is_possible() -> None:
    """A peer may leave less room than it did when they were given."""
    box = Outbox(MediaType.WBXML)
    box.room = 300
    box.answer(*(StatusReport(0, 1, n, "Add", 200, target_refs=("./A",)) for n in range(1, 9)))
    header = Header("2A", 1, Location(DEVICE), Location(SERVER))
    told: list[int] = []
    final = False
    while not final:
        packed = box.pack(header, header_status(header, 200, None), own=True)
        message = decode_message(packed.body, MediaType.WBXML)
        told += [c.cmd_ref for c in message.commands[1:] if isinstance(c, StatusReport)]
        assert len(packed.body) <= 300
        final = packed.final
    assert told == list(range(1, 9))


def test_a_part_that_the_peer_has_not_looked_at_waits_whole_again() -> None:
    box = Outbox(MediaType.WBXML)
    box.room = 600
    header = Header("2A", 1, Location(DEVICE), Location(SERVER))
    large = Add(0, (at("./A", "x" * 2_000),))
    box.add(large, "large")
    for _ in range(2):
        sent = box.pack(header, header_status(header, 200, None), own=True).sent
        assert [entry.chunk for entry in sent] == [True]
        box.put_back(sent)
        assert [(entry.command, entry.begun) for entry in box.commands] == [(large, False)]


def test_an_inline_document_of_any_kind_goes_out_in_parts() -> None:
    text = Element(Page.SYNCML, "Data", "x" * 2_000)
    document = Element(Page.SYNCML, "Item", (text,))
    for media in MediaType:
        wire = Wire(
            orders=[Order("add", Add(0, (Item(Location("./A"), data=document),)))],
            media=media,
            client_size=1_500,
        )
        wire.run()
        assert wire.done["add"].status == 200
        assert len(wire.gate.nodes["./A"]) > 2_000


def test_an_atomic_in_a_sequence_is_whole_too() -> None:
    client = client_of(DictGate())
    client.start(NOW)
    inner = replace(atomic(3), cmd_id=50)
    group = Sequence(60, (Exec(61, at("./Run")), inner, Exec(62, at("./Run"))))
    body = scripted_server().message(group, answers=1)
    client.receive(body, MediaType.WBXML, None, NOW)
    names = [name for name, _ in statuses(read(client.next_outgoing()))[1:]]
    assert names == ["Sequence", "Exec", "Atomic", *["Add"] * 3, "Exec"]


def test_why_an_atomic_was_not_kept() -> None:
    gate = DictGate(commits=False)
    client = client_of(gate)
    client.start(NOW)
    client.receive(scripted_server().message(atomic(1), answers=1), MediaType.WBXML, None, NOW)
    told = read(client.next_outgoing()).commands[1]
    assert isinstance(told, StatusReport)
    assert [item.data for item in told.items] == ["the disk is full"]


@pytest.mark.parametrize("media", MediaType)
def test_no_message_is_larger_than_the_peer_takes(media: MediaType) -> None:
    """To the octet: whatever the room, what is packed fits it, and in the end all has gone out."""
    header = Header("2A", 1, Location(DEVICE), Location(SERVER))
    status = header_status(header, 200, None)
    least = 2_500 if media is MediaType.XML else 900
    for room in range(least, least + 40):
        box = Outbox(media)
        box.room = room
        for n in range(12):
            box.answer(StatusReport(0, 1, n + 1, "Alert", 200))
        for n in range(30):
            meta = Meta(format="chr") if n % 3 else None
            box.add(Replace(0, (Item(Location(f"./{n}"), meta=meta, data="x" * (n * 7)),)), str(n))
        seen: list[str] = []
        final = False
        while not final:
            packed = box.pack(header, status, own=True)
            assert len(packed.body) <= room
            assert packed.dropped == ()
            seen += [entry.pending.order for entry in packed.sent if not entry.chunk]
            final = packed.final
        assert seen == [str(n) for n in range(30)]
