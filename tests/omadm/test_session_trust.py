"""Who is believed, and what for: every way to prove oneself, to fall back, and to be refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.dm_wire import (
    DEV_INFO,
    DEVICE,
    NOW,
    SERVER,
    DictGate,
    Script,
    Wire,
    account,
    client_of,
    events,
    nonces,
    order,
    read,
    scripted_client,
    scripted_server,
    server_of,
    statuses,
)

from openami.core.errors import RemoteProtocolError
from openami.omadm.auth import RESYNC_NONCE, AuthType, Hash, Scheme, basic, digest, sign
from openami.omadm.codes import AlertCode, Status
from openami.omadm.messages.codec import encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Chal,
    Cred,
    Get,
    Header,
    Item,
    Location,
    Message,
    Meta,
    StatusReport,
)
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import (
    AuthenticationFailed,
    End,
    NonceChanged,
    Outgoing,
    SessionEnded,
)
from openami.omadm.session.server import ServerConfig, ServerSession

OPEN = Alert(1, AlertCode.CLIENT_INITIATED)
ADD = Add(1, (Item(Location("./A"), data="x"),))
GET = order("get", Get, "./A")
NONCE = b"0123456789abcdef"


def cred(kind: AuthType, data: str) -> Cred:
    return Cred(Meta(format="b64", type=kind), data)


def end_of(client: ClientSession) -> SessionEnded:
    (end,) = [event for event in events(client) if isinstance(event, SessionEnded)]
    return end


def first_chal(outgoing: Outgoing | None) -> Chal | None:
    told = read(outgoing).commands[0]
    assert isinstance(told, StatusReport)
    return told.chal


# The server, asked by a device.


def test_a_server_proves_itself_as_the_device_has() -> None:
    """It does not try what the device may not know first (a digest, though a MAC is preferred)."""
    ours, theirs = (Scheme.DIGEST_SHA256,), (Scheme.MAC_SHA256, Scheme.DIGEST_SHA256)
    wire = Wire(account(*ours), account(*theirs), [GET])
    wire.run()
    assert [end.end for end in wire.ends] == [End.DONE, End.DONE]
    assert len(wire.requests) == 2
    assert wire.answers[0].hmac is None
    sent = read(wire.answers[0]).header.cred
    assert sent is not None
    assert sent.meta.type == AuthType.DIGEST_SHA256


def test_a_mac_in_every_message() -> None:
    """A device that has proved itself by a MAC goes on with one (Security 1.2, 5.3.2.3)."""
    wire = Wire(account(Scheme.MAC_SHA256), account(Scheme.MAC_SHA256, Scheme.BASIC), [GET])
    first = wire.client.start(NOW)
    answer = wire.server.receive(first.body, first.content_type, first.hmac, NOW)
    wire.client.receive(answer.body, answer.content_type, answer.hmac, NOW)
    second = wire.client.next_outgoing()
    assert second is not None
    with pytest.raises(RemoteProtocolError) as caught:
        wire.server.receive(second.body, second.content_type, None, NOW)
    assert caught.value.code == "omadm.auth.downgrade"
    assert wire.server.closed


def test_every_challenge_has_a_nonce_of_its_own() -> None:
    server = server_of(who=account(Scheme.MAC_SHA256, client=NONCE))
    device = replace(scripted_client(), cred=None)
    given = []
    for number in range(2):
        body = device.message(OPEN, answers=number or None)
        chal = first_chal(server.receive(body, MediaType.WBXML, "nonsense", NOW))
        assert chal is not None
        assert (chal.meta.type, chal.meta.format) == (AuthType.MAC, "b64")
        given.append(chal.meta.next_nonce)
        device.chal, device.status = Chal(Meta("b64", AuthType.MAC, next_nonce=b"next")), 200
    assert len({NONCE, *given}) == 3


def test_a_challenge_is_met_with_its_own_nonce_only() -> None:
    """What answers a failed proof counts once; the account's own nonce no more in this session."""
    who = account(Scheme.DIGEST_SHA256, client=NONCE)
    server = server_of(who=who)
    device = replace(scripted_client(), cred=cred(AuthType.DIGEST_SHA256, "wrong"))
    chal = first_chal(server.receive(device.message(OPEN), MediaType.WBXML, None, NOW))
    assert chal is not None
    assert chal.meta.next_nonce is not None
    device.cred = cred(AuthType.DIGEST_SHA256, digest(who.client, NONCE))
    answer = server.receive(device.message(OPEN, answers=1), MediaType.WBXML, None, NOW)
    assert statuses(read(answer))[0] == ("SyncHdr", 401)
    chal = first_chal(answer)
    assert chal is not None
    device.cred = cred(AuthType.DIGEST_SHA256, digest(who.client, chal.meta.next_nonce or b""))
    answer = server.receive(device.message(OPEN, answers=2), MediaType.WBXML, None, NOW)
    assert statuses(read(answer))[0] == ("SyncHdr", 212)


def test_a_mac_has_no_place_in_cred() -> None:
    who = account(Scheme.MAC_SHA256, client=NONCE)
    device = replace(scripted_client(), cred=cred(AuthType.MAC, digest(who.client, NONCE)))
    answer = server_of(who=who).receive(device.message(OPEN), MediaType.WBXML, None, NOW)
    assert statuses(read(answer))[0] == ("SyncHdr", 401)


def test_a_mac_of_another_hash_is_none_for_the_account() -> None:
    """MD5 with the right password and nonce, to an account that says SHA-256."""
    who = account(Scheme.MAC_SHA256, client=NONCE)
    body = replace(scripted_client(), cred=None).message(OPEN)
    for how, status in ((Hash.MD5, 401), (Hash.SHA256, 200)):
        header = str(sign(who.client, NONCE, body, how))
        answer = server_of(who=who).receive(body, MediaType.WBXML, header, NOW)
        assert statuses(read(answer))[0] == ("SyncHdr", status)


def test_three_wrong_proofs_are_the_last() -> None:
    server = server_of(who=account(Scheme.DIGEST_SHA256))
    device = replace(scripted_client(), cred=cred(AuthType.DIGEST_SHA256, "wrong"))
    for number in range(3):
        assert not server.closed
        body = device.message(OPEN, answers=number or None)
        answer = server.receive(body, MediaType.WBXML, None, NOW)
        assert (first_chal(answer) is None) is (number == 2)
    assert server.closed


def test_the_resynchronisation_nonce_holds_for_an_account_that_was_told_to() -> None:
    """A proof with ``AAAAAA==`` is one in the session that a notification with it asks for only."""
    who = account(Scheme.DIGEST_SHA256, client=NONCE)
    proof = cred(AuthType.DIGEST_SHA256, digest(who.client, RESYNC_NONCE))
    body = replace(scripted_client(), cred=proof).message(OPEN)
    for held, status in ((who, 401), (who.resynchronised(), 212)):
        server = server_of(who=held)
        answer = server.receive(body, MediaType.WBXML, None, NOW)
        assert statuses(read(answer))[0] == ("SyncHdr", status)
        changed = [e.account for e in events(server) if isinstance(e, NonceChanged)]
        if status == 212:
            assert changed[-1].client_nonce not in {RESYNC_NONCE, NONCE}


def test_a_session_that_was_asked_for() -> None:
    """A server that has named a session in a notification takes no other."""
    for name, taken in (("2A", True), ("2B", False)):
        server = ServerSession(
            account(Scheme.BASIC), ServerConfig(SERVER), nonces=nonces("c"), session_id=name
        )
        body = scripted_client().message(OPEN)
        if taken:
            server.receive(body, MediaType.WBXML, None, NOW)
            continue
        with pytest.raises(RemoteProtocolError) as caught:
            server.receive(body, MediaType.WBXML, None, NOW)
        assert caught.value.code == "omadm.session.id"


# The client, answered by a server.


def started(*schemes: Scheme, client: bytes = NONCE, server: bytes = NONCE) -> ClientSession:
    """Return a client whose package 1 is out."""
    session = client_of(DictGate(), account(*schemes, client=client, server=server))
    session.start(NOW)
    return session


def give(client: ClientSession, server: Script, *commands: Add | Get, answers: int) -> None:
    body = server.message(*commands, answers=answers)
    client.receive(body, MediaType.WBXML, None, NOW)


def test_a_digest_that_is_good_for_one_message() -> None:
    """200 asks for credentials again with the next nonce; 212 was for the session."""
    who = account(Scheme.DIGEST_SHA256, client=NONCE, server=NONCE)
    client = started(Scheme.DIGEST_SHA256)
    server = scripted_server()
    server.cred = cred(AuthType.DIGEST_SHA256, digest(who.server, NONCE))
    server.status = 200
    server.chal = Chal(Meta("b64", AuthType.DIGEST_SHA256, next_nonce=b"another"))
    give(client, server, ADD, answers=1)
    sent = read(client.next_outgoing()).header.cred
    assert sent is not None
    assert sent.data == digest(who.client, b"another")
    server.status, server.chal = 212, None
    give(client, server, ADD, answers=2)
    assert read(client.next_outgoing()).header.cred is None
    server.status = 200  # said of a message without credentials: the session stays proved
    give(client, server, ADD, answers=3)
    assert read(client.next_outgoing()).header.cred is None


def test_nobody_unproved_gives_the_device_a_nonce() -> None:
    """The account's nonce is changed by the server only, by a message that is its own."""
    client = started(Scheme.DIGEST_SHA256)
    server = replace(scripted_server(), cred=None)
    server.chal = Chal(Meta("b64", AuthType.DIGEST_SHA256, next_nonce=b"forged"))
    give(client, server, ADD, answers=1)
    assert statuses(read(client.next_outgoing()))[0] == ("SyncHdr", 407)
    assert not [event for event in events(client) if isinstance(event, NonceChanged)]


def test_nothing_is_told_to_a_server_that_is_unproved() -> None:
    client = started(Scheme.BASIC)
    client.say(Alert(0, AlertCode.GENERIC, correlator="c"))
    server = scripted_server()
    proof, server.cred = server.cred, None
    give(client, server, ADD, answers=1)
    assert {type(c) for c in read(client.next_outgoing()).commands} == {StatusReport}
    server.cred = proof
    give(client, server, ADD, answers=2)
    told = [c for c in read(client.next_outgoing()).commands if isinstance(c, Alert)]
    assert [alert.correlator for alert in told] == ["c"]


@pytest.mark.parametrize("kind", [AuthType.DIGEST_SHA256, AuthType.MAC])
def test_a_challenge_without_a_nonce(kind: AuthType) -> None:
    client = started(Scheme.DIGEST_SHA256, Scheme.MAC_SHA256)
    server = scripted_server()
    server.status, server.chal = 401, Chal(Meta("b64", kind))
    give(client, server, answers=1)
    assert end_of(client).code == "omadm.auth.challenge"


def test_a_server_that_proves_itself_no_more() -> None:
    """A MAC that is wrong after one that was right ends it: no second try."""
    gate = DictGate()
    forged: list[Outgoing] = []

    def back(answer: Outgoing) -> Outgoing:
        if wire.answers:
            answer = replace(answer, hmac=str(sign(account().server, b"x", b"", Hash.SHA256)))
            forged.append(answer)
        return answer

    orders = [order(str(n), Add, f"./{n}", "x" * 500) for n in range(4)]
    wire = Wire(orders=orders, gate=gate, client_size=900, back=back)
    first: Outgoing | None = wire.client.start(NOW)
    while first is not None:
        wire._exchange(first)
        first = wire.client.next_outgoing()
    assert len(forged) == 1
    (end,) = [event for event in wire.client_events if isinstance(event, SessionEnded)]
    assert (end.end, end.code) == (End.REFUSED, "omadm.auth.failed")
    assert AuthenticationFailed(401) in wire.client_events


def test_a_copy_of_the_last_answer_that_comes_late() -> None:
    """It is on the way while the next message is out: nothing is done again."""
    gate = DictGate()
    client = client_of(gate)
    client.start(NOW)
    server = scripted_server()
    body = server.message(ADD, answers=1)
    client.receive(body, MediaType.WBXML, None, NOW)
    assert client.next_outgoing() is not None
    client.receive(body, MediaType.WBXML, None, NOW)
    assert client.next_outgoing() is None
    assert not client.closed
    assert gate.performed == [("Add", "./A")]


@pytest.mark.parametrize(("proto", "dtd"), [("DM/1.1", "1.2"), ("DM/1.2", "1.1")])
def test_a_server_of_another_version(proto: str, dtd: str) -> None:
    client = started(Scheme.BASIC)
    header = Header("2A", 1, Location(DEVICE), Location(SERVER), ver_proto=proto, ver_dtd=dtd)
    client.receive(encode_message(Message(header), MediaType.XML), MediaType.XML, None, NOW)
    assert end_of(client).code == "omadm.session.version"


@pytest.mark.parametrize(
    ("proto", "dtd", "status"),
    [("DM/1.1", "1.2", 513), ("DM/1.2", "1.1", 505), ("DM/1.3", "1.3", 513)],
)
def test_a_device_of_another_version(proto: str, dtd: str, status: int) -> None:
    """It is told so, and nothing is ordered; in the middle of a session it is nobody's message."""
    server = server_of(GET)
    who = cred(AuthType.BASIC, basic(account().client))
    header = Header(
        "2A", 1, Location(SERVER), Location(DEVICE), cred=who, ver_proto=proto, ver_dtd=dtd
    )
    body = encode_message(Message(header, (OPEN,), final=True), MediaType.WBXML)
    answer = read(server.receive(body, MediaType.WBXML, None, NOW))
    assert statuses(answer) == [("SyncHdr", status), ("Alert", status)]
    assert len(answer.commands) == 2
    assert (answer.header.ver_proto, answer.header.ver_dtd) == ("DM/1.2", "1.2")
    (end,) = [event for event in events(server) if isinstance(event, SessionEnded)]
    assert (end.end, end.code) == (End.BROKEN, "omadm.session.version")
    server = server_of(GET)
    server.receive(scripted_client().message(OPEN), MediaType.WBXML, None, NOW)
    body = encode_message(Message(replace(header, msg_id=2), (), final=True), MediaType.WBXML)
    with pytest.raises(RemoteProtocolError) as caught:
        server.receive(body, MediaType.WBXML, None, NOW)
    assert caught.value.code == "omadm.session.version"
    assert not server.closed


def test_the_opening_says_who_has_asked() -> None:
    for notified, code in ((True, 1200), (False, 1201)):
        client = ClientSession(
            account(),
            ClientConfig(DEVICE, SERVER, DEV_INFO),
            DictGate(),
            session_id=0xAB,
            nonces=nonces("s"),
            notified=notified,
        )
        message = read(client.start(NOW))
        opening = message.commands[0]
        assert isinstance(opening, Alert)
        assert opening.data == code
        assert message.header.session_id == "AB"


def test_status_of_a_header_that_is_refused_for_good() -> None:
    client = started(Scheme.BASIC)
    server = replace(scripted_server(), status=Status.FORBIDDEN)
    give(client, server, answers=1)
    assert end_of(client).end is End.REFUSED
