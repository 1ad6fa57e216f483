"""The client, against a server by hand: what it does, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.dm_wire import (
    DEVICE,
    NOW,
    SERVER,
    TOLD,
    DictGate,
    Script,
    account,
    client_of,
    events,
    read,
    scripted_server,
    statuses,
)

from openami.core.errors import LocalProtocolError
from openami.omadm.auth import AuthType, Scheme
from openami.omadm.codes import AlertCode, Status
from openami.omadm.element import Element, Page
from openami.omadm.messages.codec import encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Chal,
    Command,
    Copy,
    Exec,
    Get,
    Header,
    Item,
    Location,
    Message,
    Meta,
    Replace,
    Results,
    Sequence,
    StatusReport,
    Unsupported,
)
from openami.omadm.session.client import MAX_MESSAGES
from openami.omadm.session.events import CommandPerformed, End, SessionEnded


class Device:
    """A client under test, its package 1 sent."""

    def __init__(self, max_obj_size: int = 2**20) -> None:
        self.gate = DictGate()
        self.client = client_of(self.gate, max_obj_size=max_obj_size)
        self.server = scripted_server()
        self.sent = read(self.client.start(NOW))

    def give(
        self, *commands: Command, final: bool = True, meta: Meta | None = None
    ) -> Message | None:
        """Let the server answer; return what the client says to it."""
        body = self.server.message(
            *commands, answers=self.sent.header.msg_id, final=final, meta=meta
        )
        self.client.receive(body, MediaType.WBXML, None, NOW)
        outgoing = self.client.next_outgoing()
        if outgoing is None:
            return None
        self.sent = read(outgoing)
        return self.sent

    def answer(self, *commands: Command, final: bool = True) -> Message:
        message = self.give(*commands, final=final)
        assert message is not None
        return message

    def end(self) -> SessionEnded:
        assert self.client.closed
        (end,) = [event for event in events(self.client) if isinstance(event, SessionEnded)]
        return end


def at(
    uri: str, data: str | Element | None = None, *, more: bool = False, size: int | None = None
) -> Item:
    meta = Meta(size=size) if size is not None else None
    return Item(Location(uri), meta=meta, data=data, more_data=more)


def test_package_1() -> None:
    device = Device()
    alert, info = device.sent.commands
    assert isinstance(alert, Alert)
    assert alert.data == AlertCode.CLIENT_INITIATED
    assert isinstance(info, Replace)
    assert [item.source.uri for item in info.items if item.source] == [uri for uri, _ in TOLD]
    assert [item.data for item in info.items] == [value for _, value in TOLD]
    for item in info.items:  # as the standard's example has it
        assert item.target is None
        assert item.meta == Meta(format="chr", type="text/plain")
    assert device.sent.final
    assert device.sent.header.session_id == "2A"
    assert device.sent.header.source == Location(DEVICE, "DCU-0001")


def test_nothing_but_the_header_is_not_answered() -> None:
    device = Device()
    assert device.give() is None
    assert device.end().end is End.DONE
    device.client.receive(b"late", MediaType.WBXML, None, NOW)  # nobody listens any more
    device.client.handle_timer(NOW + 1e9)
    assert events(device.client) == []


def test_large_object() -> None:
    device = Device()
    first = Add(1, (at("./L", "abc", more=True, size=9),))
    answer = device.answer(first, final=False)
    assert statuses(answer) == [("SyncHdr", 212), ("Add", 213)]
    assert [c.data for c in answer.commands if isinstance(c, Alert)] == [AlertCode.NEXT_MESSAGE]
    assert not answer.final
    answer = device.answer(Add(1, (at("./L", "def", more=True),)), final=False)
    assert statuses(answer)[-1] == ("Add", 213)
    assert device.gate.nodes == {}
    answer = device.answer(Add(1, (at("./L", "ghi"),)))
    assert statuses(answer)[-1] == ("Add", 200)
    assert answer.final
    assert device.gate.nodes == {"./L": "abcdefghi"}


def test_large_object_of_another_size() -> None:
    device = Device()
    device.answer(Add(1, (at("./L", "abc", more=True, size=9),)), final=False)
    assert statuses(device.answer(Add(1, (at("./L", "def"),))))[-1] == ("Add", 424)
    assert device.gate.nodes == {}


def test_interrupted_object() -> None:
    """Alert 1225 names it, the interrupting command is carried out, nothing of it is kept."""
    device = Device()
    device.answer(Add(1, (at("./L", "abc", more=True, size=6),)), final=False)
    answer = device.answer(Add(1, (at("./M", "x"),)))
    assert statuses(answer)[-1] == ("Add", 200)
    (alert,) = [command for command in answer.commands if isinstance(command, Alert)]
    assert alert.data == AlertCode.NO_END_OF_DATA
    assert alert.items == (at("./L"),)
    answer = device.answer(Add(1, (at("./L", "whole"),)))
    assert device.gate.nodes == {"./M": "x", "./L": "whole"}


def test_object_over_the_announced_size() -> None:
    device = Device(max_obj_size=8)
    assert device.sent.header.meta is not None
    assert device.sent.header.meta.max_obj_size == 8
    too_large = [
        Add(1, (at("./A", "123456789"),)),  # at once
        Add(2, (at("./B", "1", more=True, size=9),)),  # as announced
        Add(3, (at("./B", "9"),)),  # the rest of it is none of its own
    ]
    for command in too_large:
        assert statuses(device.answer(command, final=False))[-1] == ("Add", 413)
    device.answer(Add(4, (at("./C", "12345", more=True),)), final=False)  # without a size
    assert (
        statuses(device.answer(Add(5, (at("./C", "6789", more=True),)), final=False))[-1][1] == 413
    )
    assert statuses(device.answer(Add(6, (at("./C", "0", more=True),)), final=False))[-1][1] == 413
    assert statuses(device.answer(Add(7, (at("./C", "0"),))))[-1][1] == 413
    assert device.gate.nodes == {}
    device.answer(Add(8, (at("./C", "12345678"),)))
    assert device.gate.nodes == {"./C": "12345678"}


def test_a_document_in_parts_is_none() -> None:
    device = Device()
    document = Element(Page.DDF, "MgmtTree")
    answer = device.answer(Add(1, (at("./A", document, more=True),)))
    assert statuses(answer)[-1] == ("Add", 400)


def test_a_character_cut_in_two() -> None:
    device = Device()
    octets = "é".encode()
    for data, more in ((b"a" + octets[:1], True), (octets[1:], False)):
        device.answer(Add(1, (Item(Location("./A"), data=data, more_data=more),)), final=not more)
    assert device.gate.nodes == {"./A": "aé".encode()}
    device.answer(Add(1, (at("./B", "a", more=True),)), final=False)
    device.answer(Add(1, (Item(Location("./B"), data=b"\xff"),)))
    assert device.gate.nodes["./B"] == b"a\xff"


def test_groups_hold_no_part_of_an_object() -> None:
    device = Device()
    answer = device.answer(Atomic(1, (Add(2, (at("./A", "x", more=True),)),)))
    assert statuses(answer)[1:] == [("Atomic", 507), ("Add", 406)]


def test_several_items_and_meta_of_the_command() -> None:
    device = Device()
    add = Add(1, (at("./A", "x"), at("./B", "y")), meta=Meta(format="chr"))
    answer = device.answer(add, Get(2, (at("./A"), at("./C"), at("./B"))))
    told = [c for c in answer.commands if isinstance(c, StatusReport) and c.cmd_ref == 2]
    assert [(status.data, status.target_refs) for status in told] == [
        (200, ("./A",)),
        (404, ("./C",)),
        (200, ("./B",)),
    ]
    results = [c for c in answer.commands if isinstance(c, Results)]
    assert [result.items[0].data for result in results] == ["x", "y"]
    # Results follow the Status of their command.
    assert answer.commands.index(results[0]) > answer.commands.index(told[-1])


def test_copy_and_exec() -> None:
    device = Device()
    device.gate.nodes["./A"] = "x"
    copy = Copy(1, (Item(Location("./B"), source=Location("./A")),))
    answer = device.answer(copy, Exec(2, at("./Run")))
    assert statuses(answer)[1:] == [("Copy", 200), ("Exec", 202)]
    assert device.gate.nodes["./B"] == "x"


def test_an_object_that_the_server_cannot_take() -> None:
    device = Device()
    device.gate.nodes["./A"] = "123456789"
    answer = device.give(Get(1, (at("./A"),)), meta=Meta(max_obj_size=8))
    assert answer is not None
    assert statuses(answer)[1:] == [("Get", 413)]


def test_what_is_none_of_a_server() -> None:
    device = Device()
    answer = device.answer(
        Unsupported("Put", 1),
        Results(2, 1, (at("./A"),)),
        Alert(3, AlertCode.GENERIC),
        Alert(4, AlertCode.NO_END_OF_DATA),
    )
    assert statuses(answer)[1:] == [("Put", 406), ("Results", 405), ("Alert", 406), ("Alert", 200)]


@pytest.mark.parametrize(
    ("alert", "options", "status", "answers"),
    [
        (AlertCode.DISPLAY, None, 200, []),
        (AlertCode.CONFIRM, None, 406, []),
        (AlertCode.CONFIRM, "MINDT=10&DR=1", 200, []),
        (AlertCode.CONFIRM, "dr=0&x", 304, []),
        (AlertCode.TEXT_INPUT, "DR=yes", 200, ["yes"]),
        (AlertCode.SINGLE_CHOICE, "DR=2", 200, ["2"]),
        (AlertCode.MULTIPLE_CHOICE, "DR=1-3", 200, ["1", "3"]),
        (AlertCode.MULTIPLE_CHOICE, "", 406, []),
    ],
)
def test_where_no_user_is(
    alert: AlertCode, options: str | None, status: int, answers: list[str]
) -> None:
    device = Device()
    items = () if options is None else (Item(data=options), Item(data="Really?"))
    answer = device.answer(Alert(1, alert, items))
    told = answer.commands[1]
    assert isinstance(told, StatusReport)
    assert told.data == status
    assert [item.data for item in told.items] == answers


def test_a_sequence_ends_with_a_no() -> None:
    device = Device()
    add = Add(3, (at("./A", "x"),))
    sequence = Sequence(1, (Alert(2, AlertCode.CONFIRM, (Item(data="DR=0"),)), add))
    assert statuses(device.answer(sequence))[1:] == [
        ("Sequence", 200),
        ("Alert", 304),
        ("Add", 215),
    ]
    assert device.gate.nodes == {}


def test_an_atomic_with_a_sequence_in_it() -> None:
    device = Device()
    inner = Sequence(2, (Add(3, (at("./A", "x"),)), Add(4, (at("./A", "y"),))))
    answer = device.answer(Atomic(1, (inner, Sequence(5, (Add(6, (at("./B", "x"),)),)))))
    assert statuses(answer)[1:] == [
        ("Atomic", 507),
        ("Sequence", 216),
        ("Add", 216),
        ("Add", 418),
        ("Sequence", 215),
        ("Add", 215),
    ]
    assert device.gate.nodes == {}


def test_an_atomic_fails_with_any_item_of_its_commands() -> None:
    device = Device()
    device.gate.nodes["./A"] = "old"
    answer = device.answer(Atomic(1, (Add(2, (at("./A", "x"), at("./B", "x"))),)))
    assert statuses(answer)[1:] == [("Atomic", 507), ("Add", 418), ("Add", 216)]
    assert device.gate.nodes == {"./A": "old"}


def test_an_atomic_in_an_atomic() -> None:
    device = Device()
    answer = device.answer(Atomic(1, (Add(2, (at("./A"),)), Atomic(3, (Add(4, (at("./B"),)),)))))
    assert [code for _, code in statuses(answer)[1:]] == [500, 215, 500, 215]
    assert device.gate.performed == []


def test_an_atomic_that_is_not_kept() -> None:
    device = Device()
    device.gate.commits = False
    answer = device.answer(Atomic(1, (Add(2, (at("./A", "x"),)),)))
    assert statuses(answer)[1:] == [("Atomic", 507), ("Add", 216)]
    assert device.gate.nodes == {}
    why = CommandPerformed("Atomic", None, 507, "the disk is full")
    assert why in events(device.client)


def test_an_atomic_that_cannot_be_undone() -> None:
    device = Device()
    device.gate.undoes = False
    answer = device.answer(Atomic(1, (Add(2, (at("./A", "x"),)), Add(3, (at("./A", "y"),)))))
    assert statuses(answer)[1:] == [("Atomic", 507), ("Add", 516), ("Add", 418)]


def test_small_messages_of_a_server() -> None:
    """An answer without room loses its items, never its status; and a Status always fits or ends it."""
    device = Device()
    text = Item(data="DR=" + "x" * 2_000)
    answer = device.give(Alert(1, AlertCode.TEXT_INPUT, (text,)), meta=Meta(max_msg_size=700))
    assert answer is not None
    assert statuses(answer)[1:] == [("Alert", 200)]
    told = answer.commands[1]
    assert isinstance(told, StatusReport)
    assert told.items == ()
    assert device.give(Alert(1, AlertCode.DISPLAY), meta=Meta(max_msg_size=50)) is None
    assert device.end().code == "omadm.session.max-msg-size"


@pytest.mark.parametrize("name", ["Add", "Alert"])
def test_many_statuses_over_small_messages(name: str) -> None:
    device = Device()
    commands: list[Command] = [Add(n, (at(f"./{n}", "x"),)) for n in range(1, 60)]
    if name == "Alert":
        commands = [Alert(n, AlertCode.DISPLAY) for n in range(1, 60)]
    answer = device.give(*commands, meta=Meta(max_msg_size=700))
    assert answer is not None
    told = statuses(answer)[1:]
    assert len(told) > 1
    while not answer.final:
        answer = device.answer(Alert(1, AlertCode.NEXT_MESSAGE), final=False)
        told += statuses(answer)[1:]
    assert told.count((name, 200)) >= 59


def test_results_that_the_server_refuses_to_go_on_with() -> None:
    device = Device()
    device.gate.nodes.update({"./A": "x" * 3_000})
    answer = device.give(Get(1, (at("./A"),)), meta=Meta(max_msg_size=900))
    assert answer is not None
    assert not answer.final
    (chunk,) = [c for c in answer.commands if isinstance(c, Results)]
    assert chunk.items[0].more_data
    refused = StatusReport(1, answer.header.msg_id, chunk.cmd_id, "Results", 413)
    answer = device.answer(refused, Alert(2, AlertCode.NEXT_MESSAGE), final=False)
    assert not any(isinstance(command, Results) for command in answer.commands)
    assert answer.final


def test_abort_by_the_server() -> None:
    device = Device()
    assert device.give(Alert(1, AlertCode.SESSION_ABORT)) is None
    assert device.end().end is End.ABORTED


def test_abort_by_the_device() -> None:
    device = Device()
    device.client.abort()
    answer = device.answer(Add(1, (at("./A", "x"),)))
    assert [c.data for c in answer.commands if isinstance(c, Alert)] == [AlertCode.SESSION_ABORT]
    assert device.give() is None
    assert device.end().end is End.ABORTED
    assert device.gate.nodes == {}


def test_alerts_during_a_session() -> None:
    device = Device()
    device.client.say(Alert(0, AlertCode.GENERIC, correlator="c"))
    answer = device.answer(Exec(1, at("./Run")))
    assert [c.correlator for c in answer.commands if isinstance(c, Alert)] == ["c"]


def test_the_address_that_the_server_names() -> None:
    device = Device()
    header = Header(
        "2A", 1, Location(DEVICE), Location(SERVER), "https://other/", cred=device.server.cred
    )
    commands = (StatusReport(1, 1, 0, "SyncHdr", 212), Get(2, (at("./A"),)))
    body = encode_message(Message(header, commands, final=True), MediaType.XML)
    device.client.receive(body, MediaType.XML, None, NOW)
    assert device.client.address == "https://other/"
    assert read(device.client.next_outgoing()).header.target.uri == "https://other/"


def broken(script: Script, answers: int | None = 1, *commands: Command) -> SessionEnded:
    """Return how a session ends with this answer to its first message."""
    device = Device()
    device.client.receive(script.message(*commands, answers=answers), MediaType.WBXML, None, NOW)
    assert device.client.next_outgoing() is None
    assert device.gate.performed == []
    return device.end()


def test_answers_that_end_a_session() -> None:
    add = Add(1, (at("./A", "x"),))
    server = scripted_server()
    assert broken(replace(server, session_id="2B"), 1, add).code == "omadm.session.id"
    assert broken(replace(server, msg_id=1), 1, add).code == "omadm.session.order"
    assert broken(replace(server), 2, add).code == "omadm.session.order"
    assert broken(replace(server), None, add).code == "omadm.session.status"
    assert broken(replace(server, status=403), 1, add).code == "omadm.auth.refused"
    assert broken(replace(server, status=401), 1, add).code == "omadm.auth.refused"
    assert broken(replace(server, cred=None)).code == "omadm.auth.failed"
    for kind in (AuthType.DIGEST, "nonsense", None):
        chal = Chal(Meta(type=kind, next_nonce=b"x"))
        assert broken(replace(server, status=407, chal=chal)).code == "omadm.auth.challenge"
    endless = Chal(Meta(type=AuthType.BASIC, next_nonce=b"x" * 129))
    assert broken(replace(server, chal=endless)).code == "omadm.auth.challenge"


def test_octets_that_are_no_answer() -> None:
    for body, kind in ((b"", MediaType.WBXML), (b"x" * 70_000, MediaType.XML), (b"", "text/html")):
        device = Device()
        device.client.receive(body, kind, None, NOW)
        assert device.end().end is End.BROKEN


def test_another_version() -> None:
    device = Device()
    header = Header("2A", 1, Location(DEVICE), Location(SERVER), ver_proto="DM/1.1")
    body = encode_message(Message(header), MediaType.WBXML)
    device.client.receive(body, MediaType.WBXML, None, NOW)
    assert device.end().code == "omadm.session.version"


def test_a_session_without_an_end() -> None:
    device = Device()
    device.client._peer_msg_id = device.server.msg_id = MAX_MESSAGES
    assert device.give(Add(1, (at("./A"),))) is None
    assert device.end().code == "omadm.session.endless"


def test_an_unproved_server_is_asked_and_obeyed_only_then() -> None:
    device = Device()
    cred, device.server.cred = device.server.cred, None
    answer = device.answer(Atomic(1, (Add(2, (at("./A", "x"),)),)))
    assert statuses(answer) == [("SyncHdr", 407), ("Atomic", 407), ("Add", 407)]
    assert answer.final
    assert device.gate.performed == []
    device.server.cred = cred
    assert statuses(device.answer(Add(1, (at("./A", "x"),))))[-1] == ("Add", 200)


def test_a_server_that_never_proves_itself() -> None:
    device = Device()
    device.server.cred = None
    add = Add(1, (at("./A", "x"),))
    device.answer(add)
    device.answer(add)
    assert device.give(add) is None
    assert device.end().code == "omadm.auth.failed"
    assert device.gate.performed == []


def test_both_refuse_each_other_for_good() -> None:
    device = Device()
    device.server.cred, device.server.status = None, 401
    device.server.chal = Chal(Meta(type=AuthType.BASIC))
    device.answer()
    device.answer()
    assert device.give() is None
    assert device.end().end is End.REFUSED


def test_refused_in_the_middle() -> None:
    device = Device()
    device.answer(Add(1, (at("./A", "x"),)))
    device.server.status = 401
    device.server.chal = Chal(Meta(type=AuthType.BASIC))
    assert device.give(Add(1, (at("./B", "x"),))) is None
    assert device.end().code == "omadm.auth.refused"


def test_a_mac_goes_on_with_a_mac_only() -> None:
    """A 200 without a next nonce ends it (OMA-TS-DM_Security 1.2, 5.3.2.3)."""
    who = account(Scheme.MAC_SHA256, Scheme.BASIC)
    client = client_of(DictGate(), who)
    client.start(NOW)
    server = scripted_server()
    server.status = Status.OK
    client.receive(server.message(answers=1), MediaType.WBXML, None, NOW)
    end = events(client)[-1]
    assert isinstance(end, SessionEnded)
    assert end.code == "omadm.auth.challenge"


def test_misuse() -> None:
    device = Device()
    with pytest.raises(LocalProtocolError):
        device.client.start(NOW)
    fresh = client_of(DictGate())
    assert fresh.next_outgoing() is None
    with pytest.raises(LocalProtocolError):
        fresh.receive(b"", MediaType.WBXML, None, NOW)
    fresh.handle_timer(NOW)
    assert events(fresh) == []


def test_a_late_answer() -> None:
    """It comes while the message waits to be sent again, and once more after."""
    device = Device()
    timer = device.client.next_timer()
    assert timer is not None
    device.client.handle_timer(timer - 1)
    assert device.client.next_outgoing() is None
    device.client.handle_timer(timer)
    body = device.server.message(Add(1, (at("./A", "x"),)), answers=1)
    device.client.receive(body, MediaType.WBXML, None, timer)
    answer = read(device.client.next_outgoing())
    assert statuses(answer)[-1] == ("Add", 200)
    device.client.receive(body, MediaType.WBXML, None, timer)
    assert device.client.next_outgoing() is None
    assert device.gate.performed == [("Add", "./A")]


def test_a_timer_that_fires_again_before_the_message_is_sent() -> None:
    device = Device()
    timer = device.client.next_timer()
    assert timer is not None
    for late in (0, 30):
        device.client.handle_timer(timer + late)
    assert device.client.next_outgoing() is not None
    assert device.client.next_outgoing() is None


def test_any_room_of_a_server() -> None:
    """However little it leaves, the client answers within it or ends the session."""
    ended = set()
    for room in range(100, 500, 9):
        device = Device()
        device.gate.nodes["./A"] = "x" * 900
        question = Alert(1, AlertCode.TEXT_INPUT, (Item(data="DR=" + "y" * 300),))
        message = device.give(question, Get(2, (at("./A"),)), meta=Meta(max_msg_size=room))
        while message is not None and not device.client.closed:
            assert len(encode_message(message, MediaType.WBXML)) <= room
            message = device.give(*[] if message.final else [Alert(1, AlertCode.NEXT_MESSAGE)])
        ended.add(device.end().code)
    assert ended == {"omadm.session.max-msg-size", None}
