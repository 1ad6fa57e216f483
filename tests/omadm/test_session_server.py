"""The server, against a device by hand: what it answers, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.dm_wire import (
    DEV_INFO,
    NOW,
    SERVER,
    TOLD,
    Wire,
    account,
    events,
    order,
    read,
    scripted_client,
    server_of,
    statuses,
)

from openami.core.errors import DecodeError, LocalProtocolError, RemoteProtocolError
from openami.omadm.auth import RESYNC_NONCE, AuthType, Scheme
from openami.omadm.codes import AlertCode, Status
from openami.omadm.element import Element, Page
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Chal,
    Command,
    Exec,
    Get,
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
from openami.omadm.session.events import (
    NO_ANSWER,
    AlertReceived,
    Authenticated,
    AuthenticationFailed,
    DeviceInfoReceived,
    End,
    NonceChanged,
    Order,
    OrderDone,
    Outgoing,
    Part,
    SessionEnded,
)
from openami.omadm.session.numbering import digest_of
from openami.omadm.session.server import MAX_MESSAGES
from openami.omadm.session.states import CLIENT, ClientState, ClientStep

OPEN = Alert(1, AlertCode.CLIENT_INITIATED)
INFO = Replace(2, DEV_INFO)


class HeadEnd:
    """A server under test."""

    def __init__(self, *orders: Order, max_obj_size: int = 2**20) -> None:
        self.server = server_of(*orders, max_obj_size=max_obj_size)
        self.device = scripted_client()

    def give(self, *commands: Command, final: bool = True, meta: Meta | None = None) -> Message:
        """Let the device send its next message; return the answer."""
        answers = self.device.msg_id or None
        body = self.device.message(*commands, answers=answers, final=final, meta=meta)
        return read(self.server.receive(body, MediaType.WBXML, None, NOW))

    def refused(self, body: bytes, content_type: str = MediaType.WBXML) -> str:
        with pytest.raises(RemoteProtocolError) as caught:
            self.server.receive(body, content_type, None, NOW)
        return caught.value.code

    def end(self) -> SessionEnded:
        assert self.server.closed
        (end,) = [event for event in events(self.server) if isinstance(event, SessionEnded)]
        return end

    def done(self) -> list[OrderDone]:
        return [event for event in events(self.server) if isinstance(event, OrderDone)]


def kinds(message: Message) -> list[type]:
    return [type(command) for command in message.commands]


def test_package_2() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    answer = head_end.give(OPEN, INFO)
    assert statuses(answer) == [("SyncHdr", 212), ("Alert", 200), ("Replace", 200)]
    assert kinds(answer)[3:] == [Get]
    assert answer.final
    assert DeviceInfoReceived(TOLD) in events(head_end.server)


def test_package_1_with_targets() -> None:
    """The standard says Source; real clients write Target, and leave Meta out."""
    head_end = HeadEnd()
    told = Replace(2, tuple(Item(Location(uri), data=value) for uri, value in TOLD))
    assert statuses(head_end.give(OPEN, told))[-1] == ("Replace", 200)
    assert DeviceInfoReceived(TOLD) in events(head_end.server)


def test_a_package_in_parts() -> None:
    """No order goes out before the device's package is complete."""
    head_end = HeadEnd(order("get", Get, "./A"))
    answer = head_end.give(OPEN, final=False)
    assert kinds(answer) == [StatusReport, StatusReport, Alert]
    assert not answer.final
    answer = head_end.give(replace(INFO, cmd_id=1))
    assert kinds(answer) == [StatusReport, StatusReport, Get]


def test_the_same_message_again_and_others_of_old() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    first = head_end.device.message(OPEN, INFO)
    answer = head_end.server.receive(first, MediaType.WBXML, None, NOW)
    told = len(events(head_end.server))
    assert told
    assert head_end.server.receive(first, MediaType.WBXML, None, NOW) == answer
    assert events(head_end.server) == []
    second = head_end.device.message(answers=1)
    last = head_end.server.receive(second, MediaType.WBXML, None, NOW)
    assert head_end.server.closed
    assert head_end.server.receive(second, MediaType.WBXML, None, NOW) == last
    assert head_end.refused(first) == "omadm.session.closed"


def test_messages_that_are_none_of_the_session() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    device = head_end.device
    first = device.message(OPEN, INFO)
    assert head_end.refused(replace(device, msg_id=1).message(OPEN)) == "omadm.session.order"
    head_end.server.receive(first, MediaType.WBXML, None, NOW)
    another = replace(device, msg_id=0).message(OPEN)
    assert head_end.refused(another) == "omadm.session.replay"
    assert head_end.refused(replace(device, msg_id=5).message(OPEN)) == "omadm.session.order"
    assert head_end.refused(replace(device, session_id="2B").message()) == "omadm.session.id"
    other = replace(device, sender=("urn:other", SERVER))
    assert head_end.refused(other.message()) == "omadm.session.device"
    assert head_end.refused(b"x" * 70_000) == "omadm.too-large"
    assert head_end.refused(b"", "text/html") == "omadm.media-type"
    with pytest.raises(DecodeError):
        head_end.server.receive(b"", MediaType.WBXML, None, NOW)
    # None of them has done any harm.
    answer = head_end.give(StatusReport(9, 1, 4, "Get", 404))
    assert answer.final
    assert head_end.end().end is End.DONE


def test_a_session_without_an_end() -> None:
    head_end = HeadEnd()
    head_end.server._peer_msg_id = head_end.device.msg_id = MAX_MESSAGES
    assert head_end.refused(head_end.device.message(OPEN)) == "omadm.session.order"


def test_a_message_that_is_decoded_already() -> None:
    head_end = HeadEnd()
    body = head_end.device.message(OPEN, INFO)
    answer = head_end.server.receive(body, MediaType.WBXML, None, NOW)
    decoded = read(Outgoing(body, MediaType.WBXML))
    other = HeadEnd().server
    assert other.take(body, MediaType.WBXML, None, NOW, message=decoded)
    assert other.answer() == answer


def test_what_is_ordered_on_an_answer_goes_out_with_the_next() -> None:
    head_end = HeadEnd()
    server, device = head_end.server, head_end.device
    first = device.message(OPEN, INFO)
    assert server.take(first, MediaType.WBXML, None, NOW)
    assert Authenticated() in events(server)
    server.order(order("first", Get, "./A"))
    said = read(server.answer())
    get = next(command for command in said.commands if isinstance(command, Get))
    assert not server.take(first, MediaType.WBXML, None, NOW)
    assert read(server.answer()) == said
    done = StatusReport(1, 1, get.cmd_id, "Get", Status.NOT_FOUND)
    assert server.take(device.message(done, answers=1), MediaType.WBXML, None, NOW)
    assert [event.id for event in events(server) if isinstance(event, OrderDone)] == ["first"]
    server.order(order("second", Get, "./B"))
    assert Get in kinds(read(server.answer()))
    assert not server.closed


def test_a_message_taken_again_before_it_is_answered() -> None:
    head_end = HeadEnd()
    first = head_end.device.message(OPEN, INFO)
    assert head_end.server.take(first, MediaType.WBXML, None, NOW)
    assert not head_end.server.take(first, MediaType.WBXML, None, NOW)
    head_end.server.order(order("get", Get, "./A"))
    assert Get in kinds(read(head_end.server.answer()))


def test_a_session_that_ends_before_its_message_is_answered() -> None:
    """The answer goes out all the same, and the end is told once."""
    head_end = HeadEnd()
    server = head_end.server
    assert server.take(head_end.device.message(OPEN, INFO), MediaType.WBXML, None, NOW)
    server.handle_timer(NOW + 1e9)
    assert statuses(read(server.answer()))[0] == ("SyncHdr", 212)
    assert head_end.end().end is End.TIMEOUT


def test_nothing_is_answered_before_it_is_taken() -> None:
    with pytest.raises(LocalProtocolError):
        HeadEnd().server.answer()


def test_no_order_before_the_device_has_proved_itself() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    cred, head_end.device.cred = head_end.device.cred, None
    answer = head_end.give(OPEN, INFO)
    assert statuses(answer) == [("SyncHdr", 407), ("Alert", 407), ("Replace", 407)]
    assert kinds(answer) == [StatusReport] * 3
    assert answer.final
    challenge = answer.commands[0]
    assert isinstance(challenge, StatusReport)
    assert challenge.chal == Chal(Meta(format="b64", type=AuthType.BASIC))
    assert cred is not None
    head_end.device.cred = replace(cred, data="wrong")
    assert statuses(head_end.give(OPEN, INFO))[0] == ("SyncHdr", 401)
    head_end.device.cred = cred
    assert Get in kinds(head_end.give(OPEN, INFO))
    failed = [e for e in events(head_end.server) if isinstance(e, AuthenticationFailed)]
    assert failed == [AuthenticationFailed(407), AuthenticationFailed(401)]


def test_a_device_that_never_proves_itself() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    head_end.device.cred = None
    for _ in range(2):
        head_end.give(OPEN)
    answer = head_end.give(OPEN)
    told = answer.commands[0]
    assert isinstance(told, StatusReport)
    assert (told.data, told.chal) == (407, None)
    (done, end) = events(head_end.server)[-2:]
    assert done == OrderDone("get", NO_ANSWER, sent=False)
    assert isinstance(end, SessionEnded)
    assert end.end is End.REFUSED


def test_nobody_without_the_password_changes_a_nonce() -> None:
    who = account(Scheme.DIGEST_SHA256)
    server = server_of(who=who)
    device = replace(scripted_client(), cred=None)
    server.receive(device.message(OPEN), MediaType.WBXML, None, NOW)
    server.receive(device.message(OPEN, answers=1), MediaType.WBXML, None, NOW)
    assert not any(isinstance(event, NonceChanged) for event in events(server))


def test_a_mac_is_not_answered_with_less() -> None:
    """OMA-TS-DM_Security 1.2, 5.3.2.3: another type ends the session."""
    server = server_of(who=account(Scheme.MAC_SHA256, Scheme.BASIC))
    device = replace(scripted_client(), cred=None)
    server.receive(device.message(OPEN), MediaType.WBXML, None, NOW)
    device = replace(scripted_client(), msg_id=1)
    with pytest.raises(RemoteProtocolError) as caught:
        server.receive(device.message(OPEN, answers=1), MediaType.WBXML, None, NOW)
    assert caught.value.code == "omadm.auth.downgrade"
    assert server.closed


@pytest.mark.parametrize(
    "hmac",
    ["", "nonsense", 'algorithm=MD5, username="DCU-0001", mac=AAAA', 'username="x", mac=AAAA'],
)
def test_macs_that_are_none(hmac: str) -> None:
    server = server_of(who=account(Scheme.MAC_SHA256))
    body = replace(scripted_client(), cred=None).message(OPEN)
    answer = server.receive(body, MediaType.WBXML, hmac, NOW)
    assert statuses(read(answer)) == [("SyncHdr", 401), ("Alert", 401)]


def test_a_policy_decides_what_is_accepted() -> None:
    """Basic is no proof to an account that says digest, right as the password is."""
    server = server_of(who=account(Scheme.DIGEST_SHA256, Scheme.DIGEST_MD5))
    answer = server.receive(scripted_client().message(OPEN), MediaType.WBXML, None, NOW)
    assert statuses(read(answer))[0] == ("SyncHdr", 401)


@pytest.mark.parametrize("kind", [AuthType.MAC, AuthType.DIGEST])
def test_the_account_may_allow_less(kind: AuthType) -> None:
    """Where one end knows MD5 only, an account that allows it goes down to it, and not below."""
    new, old = (Scheme.MAC_SHA256, Scheme.MAC_MD5)
    if kind is AuthType.DIGEST:
        new, old = (Scheme.DIGEST_SHA256, Scheme.DIGEST_MD5)
    for ours, theirs in (((old,), (new, old)), ((new, old), (old,))):
        wire = Wire(account(*ours), account(*theirs), [order("get", Get, "./A")])
        wire.run()
        assert wire.done["get"].status == 404
        assert [end.end for end in wire.ends] == [End.DONE, End.DONE]
    wire = Wire(account(old), account(new), [order("get", Get, "./A")])
    wire.run()
    assert wire.client.closed
    assert wire.gate.performed == []


def test_what_is_none_of_a_client() -> None:
    head_end = HeadEnd()
    answer = head_end.give(
        Get(1, (Item(Location("./A")),)),
        Sequence(2, (Add(3, (Item(Location("./A")),)),)),
        Unsupported("Put", 4),
        Replace(5, (Item(Location("./Other"), data="x"),)),
        Replace(6, (Item(data="x"),)),
    )
    assert statuses(answer)[1:] == [
        ("Get", 405),
        ("Add", 405),
        ("Sequence", 405),
        ("Put", 406),
        ("Replace", 405),
        ("Replace", 405),
    ]


def test_alerts() -> None:
    generic = Alert(3, AlertCode.GENERIC, (Item(meta=Meta(type="t", format="int"), data="1"),), "c")
    head_end = HeadEnd()
    answer = head_end.give(OPEN, INFO, generic)
    assert statuses(answer)[-1] == ("Alert", 200)
    assert [e for e in events(head_end.server) if isinstance(e, AlertReceived)] == [
        AlertReceived(generic)
    ]


@pytest.mark.parametrize(
    ("meta", "status"),
    [
        (Meta(type="t", format="int"), 200),
        (Meta(type="t"), 412),
        (Meta(format="int"), 412),
        (None, 412),
        (Meta(type="t", format="colour"), 415),
    ],
)
def test_a_generic_alert_says_what_it_is(meta: Meta | None, status: int) -> None:
    """Type and Format are required in every item (OMA-TS-DM_Protocol 1.2, 8.7)."""
    good = Item(meta=Meta(type="t", format="chr"), data="1")
    head_end = HeadEnd()
    answer = head_end.give(OPEN, INFO, Alert(3, AlertCode.GENERIC, (good, Item(meta=meta))))
    assert statuses(answer)[-1] == ("Alert", status)
    told = [e for e in events(head_end.server) if isinstance(e, AlertReceived)]
    assert bool(told) is (status == 200)


def test_orders_that_come_later() -> None:
    head_end = HeadEnd(order("one", Get, "./A"))
    head_end.give(OPEN, INFO)
    head_end.server.order(order("two", Get, "./B"))
    answer = head_end.give(StatusReport(1, 1, 4, "Get", 404))
    assert kinds(answer) == [StatusReport, Get]
    assert [done.id for done in head_end.done()] == ["one"]
    head_end.give(StatusReport(1, 2, 2, "Get", 200), Results(2, 2, (Item(data="x"),), msg_ref=2))
    assert head_end.done() == [OrderDone("two", 200, (Item(data="x"),), (Part("Get", None, 200),))]
    with pytest.raises(LocalProtocolError):
        head_end.server.order(order("late", Get, "./A"))


def test_results_in_parts_and_without_a_reference() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    head_end.give(OPEN, INFO)
    source = Location("./A")
    first = Results(2, 4, (Item(source=source, meta=Meta(size=6), data="abc", more_data=True),))
    answer = head_end.give(StatusReport(1, 1, 4, "Get", 200), first, final=False)
    assert statuses(answer)[1:] == [("Results", 213)]
    assert kinds(answer)[-1] is Alert
    answer = head_end.give(Results(1, 4, (Item(source=source, data="def"),), msg_ref=1))
    assert statuses(answer) == [("SyncHdr", 212)]
    (done,) = head_end.done()
    assert [item.data for item in done.items] == ["abcdef"]


def test_interrupted_results() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    head_end.give(OPEN, INFO)
    part = Results(2, 4, (Item(source=Location("./A"), data="abc", more_data=True),), msg_ref=1)
    head_end.give(StatusReport(1, 1, 4, "Get", 200), part, final=False)
    answer = head_end.give(Alert(1, AlertCode.GENERIC))
    assert [c.data for c in answer.commands if isinstance(c, Alert)] == [AlertCode.NO_END_OF_DATA]


def test_an_object_that_the_device_cannot_take() -> None:
    document = Element(Page.DDF, "MgmtTree")
    head_end = HeadEnd(
        order("large", Add, "./A", "123456789"),
        order("small", Add, "./B", "1"),
        Order("inline", Add(0, (Item(Location("./C"), data=document),))),
    )
    answer = head_end.give(OPEN, INFO, meta=Meta(max_obj_size=8))
    assert kinds(answer)[3:] == [Add, Add]
    assert head_end.done() == [OrderDone("large", Status.ENTITY_TOO_LARGE)]


def test_a_command_that_fits_no_message() -> None:
    run = Exec(0, Item(Location("./Run"), data="x" * 2_000))
    wire = Wire(orders=[Order("run", run), order("get", Get, "./A")], client_size=900)
    wire.run()
    assert wire.done["run"].status == Status.ENTITY_TOO_LARGE
    assert wire.done["get"].status == 404
    assert max(len(answer.body) for answer in wire.answers) <= 900


def test_a_command_of_many_items_and_an_inline_document() -> None:
    adds = Add(0, tuple(Item(Location(f"./{n}"), data="x" * 50) for n in range(40)))
    nodes = tuple(Element(Page.DDF, "NodeName", "n" * 40) for _ in range(60))
    document = Element(Page.DDF, "MgmtTree", (Element(Page.DDF, "VerDTD", "1.2"), *nodes))
    tree = Add(0, (Item(Location("./Inbox"), data=document),))
    for media in MediaType:
        wire = Wire(
            orders=[Order("adds", adds), Order("tree", tree)], media=media, client_size=2400
        )
        wire.run()
        assert wire.done["adds"].status == 200
        assert len(wire.done["adds"].parts) == 40
        assert wire.done["tree"].status == 200
        assert len(wire.gate.nodes) == 41
        assert len(wire.gate.nodes["./Inbox"]) > 2_400


def test_a_chunk_that_the_device_refuses() -> None:
    """The rest of the object is not sent."""
    wire = Wire(
        orders=[order("large", Add, "./A", "x" * 5_000), order("get", Get, "./A")], client_size=900
    )
    wire.client._assembly._largest = 10
    wire.run()
    assert wire.done["large"].status == 413
    assert wire.done["get"].status == 404
    assert wire.gate.nodes == {}


def test_no_end_of_data_from_the_device() -> None:
    head_end = HeadEnd(order("large", Add, "./A", "x" * 5_000))
    answer = head_end.give(OPEN, INFO, meta=Meta(max_msg_size=900))
    assert not answer.final
    answer = head_end.give(
        Alert(1, AlertCode.NO_END_OF_DATA), Alert(2, AlertCode.NEXT_MESSAGE), final=False
    )
    assert Add not in kinds(answer)


def test_abort_by_the_device() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    head_end.give(OPEN, INFO)
    answer = head_end.give(Alert(1, AlertCode.SESSION_ABORT))
    assert kinds(answer) == [StatusReport, StatusReport]
    assert head_end.end().end is End.ABORTED


def test_abort_by_the_server() -> None:
    wire = Wire(orders=[order("get", Get, "./A")])
    wire.server.abort()
    wire.run()
    assert [end.end for end in wire.ends] == [End.ABORTED, End.ABORTED]
    assert wire.done["get"].status == NO_ANSWER
    assert wire.gate.performed == []


def test_a_device_that_leaves_no_room() -> None:
    head_end = HeadEnd(order("get", Get, "./A"))
    answer = head_end.give(OPEN, INFO, meta=Meta(max_msg_size=20))
    assert [c.data for c in answer.commands if isinstance(c, Alert)] == [AlertCode.SESSION_ABORT]
    assert answer.header.msg_id == 1
    end = head_end.end()
    assert (end.end, end.code) == (End.BROKEN, "omadm.session.max-msg-size")


def test_a_device_that_answers_another_message_or_none() -> None:
    for answers in (7, None):
        head_end = HeadEnd(order("get", Get, "./A"))
        head_end.give(OPEN, INFO)
        body = head_end.device.message(StatusReport(1, 1, 4, "Get", 200), answers=answers)
        answer = read(head_end.server.receive(body, MediaType.WBXML, None, NOW))
        assert statuses(answer) == [("SyncHdr", 500)]
        assert head_end.end().end is End.BROKEN


def test_a_device_that_refuses_the_server() -> None:
    """It is asked with another proof, as often as it may, and then no more."""
    head_end = HeadEnd(order("get", Get, "./A"))
    head_end.give(OPEN, INFO)
    head_end.device.status = Status.INVALID_CREDENTIALS
    head_end.device.chal = Chal(Meta(type=AuthType.BASIC))
    refused = StatusReport(1, 1, 4, "Get", 401)
    assert Get in kinds(head_end.give(refused))
    assert Get in kinds(head_end.give(refused))
    head_end.give(refused)
    end = head_end.end()
    assert (end.end, end.code) == (End.REFUSED, "omadm.auth.refused")


def test_what_the_device_says_of_others() -> None:
    """A Status or Results of nothing that was sent is not believed."""
    head_end = HeadEnd(order("get", Get, "./A"))
    head_end.give(OPEN, INFO)
    head_end.give(StatusReport(1, 1, 77, "Get", 200), Results(2, 77, (Item(data="x"),)))
    assert head_end.done() == [OrderDone("get", NO_ANSWER)]


def test_resynchronised_accounts() -> None:
    """Both ends have lost their nonces; each is believed at once, and gives new ones."""
    there = account(client=b"x", server=b"y").resynchronised()
    wire = Wire(account().resynchronised(), there, [order("get", Get, "./A")])
    wire.run()
    assert [end.end for end in wire.ends] == [End.DONE, End.DONE]
    told = (*wire.client_events, *wire.server_events)
    assert not any(isinstance(event, AuthenticationFailed) for event in told)
    given = {wire.client_account.client_nonce, wire.client_account.server_nonce}
    assert RESYNC_NONCE not in given
    assert wire.client_account == wire.server_account


def test_a_resynchronised_session_without_orders_asks_for_a_nonce() -> None:
    """The answer to a command brings it (OMA-TS-DM_Security 1.2, 5.3.2); nobody ordered this."""
    wire = Wire(account().resynchronised(), account().resynchronised())
    wire.run()
    assert wire.gate.performed == [("Get", "./DevInfo/DevId")]
    assert wire.done == {}
    assert [end.end for end in wire.ends] == [End.DONE, End.DONE]
    for held in (wire.client_account, wire.server_account):
        assert RESYNC_NONCE not in {held.client_nonce, held.server_nonce}
    assert wire.client_account.server_nonce == wire.server_account.server_nonce


def test_a_nonce_is_asked_for_once_and_only_if_nothing_else_brings_it() -> None:
    office = HeadEnd()
    office.server = server_of(who=account(Scheme.BASIC).resynchronised())
    asked = office.give(OPEN, INFO)
    assert [type(command) for command in asked.commands][-1] is Get
    last = office.give(StatusReport(2, 1, 4, "Get", Status.NOT_FOUND))
    assert not any(isinstance(command, Get) for command in last.commands)
    assert office.server.closed
    told = events(office.server)
    assert not [event for event in told if isinstance(event, OrderDone)]
    assert SessionEnded(End.DONE) in told

    wire = Wire(account().resynchronised(), account().resynchronised(), [order("get", Get, "./A")])
    wire.run()
    assert wire.gate.performed == [("Get", "./A")]


def test_a_session_that_ends_before_its_nonce_has_come() -> None:
    """What nobody ordered ends for nobody."""
    office = HeadEnd()
    office.server = server_of(who=account(Scheme.BASIC).resynchronised())
    office.give(OPEN, INFO)
    timer = office.server.next_timer()
    assert timer is not None
    office.server.handle_timer(timer)
    told = events(office.server)
    assert not [event for event in told if isinstance(event, OrderDone)]


def test_a_message_is_told_by_its_digest() -> None:
    """Who knows the digest already need not have it made again."""
    device = scripted_client()
    server = server_of()
    body = device.message(OPEN, INFO)
    digest = digest_of(body, None)
    assert server.take(body, MediaType.WBXML, None, NOW, digest=digest)
    assert not server.take(body, MediaType.WBXML, None, NOW)
    assert digest_of(body, "") == digest != digest_of(body, "mac=x")


def test_an_order_ends_once() -> None:
    """Sent in part, and then the device goes silent: unknown, and said once."""
    head_end = HeadEnd(order("large", Add, "./A", "x" * 5_000), order("get", Get, "./A"))
    head_end.give(OPEN, INFO, meta=Meta(max_msg_size=900))
    head_end.server.handle_timer(NOW + 1e6)
    never = OrderDone("get", NO_ANSWER, sent=False)
    assert head_end.done() == [OrderDone("large", NO_ANSWER), never]


def test_an_order_of_which_a_part_fits_no_message() -> None:
    items = tuple(Item(Location(uri)) for uri in ("./A", "./" + "x" * 2_000, "./B"))
    wire = Wire(orders=[Order("adds", Add(0, items))], client_size=900)
    wire.run()
    assert list(wire.gate.nodes) == ["./A", "./B"]
    ends = [event for event in wire.server_events if isinstance(event, OrderDone)]
    assert [end.status for end in ends] == [413]


def test_a_large_object_to_a_device_that_asks_for_a_proof_first() -> None:
    text = "x" * 5_000
    wire = Wire(
        account(server=b"stale"), orders=[order("large", Add, "./A", text)], client_size=900
    )
    wire.run()
    assert wire.done["large"].status == 200
    assert wire.gate.nodes == {"./A": text}
    assert AuthenticationFailed(401) in wire.client_events


def test_results_with_meta_of_their_own_and_of_their_items() -> None:
    """What an item says itself wins; the rest is its command's."""
    own = Meta(type="text/plain", format="int", mark="a", size=1, version="1")
    outer = Meta(type="other", format="chr", mark="b", size=2, version="2")
    for item, command, whole in (
        (Meta(type="text/plain"), Meta(type="other", format="chr"), Meta("chr", "text/plain")),
        (own, outer, own),
        (Meta(), outer, outer),
        (None, outer, outer),
        (own, None, own),
    ):
        head_end = HeadEnd(order("get", Get, "./A"))
        head_end.give(OPEN, INFO)
        found = Item(source=Location("./A"), meta=item, data="x")
        results = Results(2, 4, (found,), msg_ref=1, meta=command)
        head_end.give(StatusReport(1, 1, 4, "Get", 200), results)
        (done,) = head_end.done()
        assert done.items == (replace(found, meta=whole),)


def test_steps_that_are_not_legal() -> None:
    with pytest.raises(LocalProtocolError):
        CLIENT.after(ClientState.CLOSED, ClientStep.SENT)
