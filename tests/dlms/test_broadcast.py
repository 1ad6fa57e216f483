"""What is said to all stations: blocks of an image, by the client that nobody associates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.support.dlms_meter import CLIENT_TITLE, KEYS, SERVER_TITLE, make_meter, octets_of
from tests.support.memory_image import image_in_memory

from openami.core.errors import ConfigError, LocalProtocolError, SecurityError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu import action, get
from openami.dlms.apdu.acse import ApplicationContext
from openami.dlms.apdu.ciphered import Form
from openami.dlms.apdu.common import Block, invoke_octet
from openami.dlms.client import ClientConfig, Closed, DlmsClient, InvokeMethod, broadcast_action
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import (
    AssociationLn,
    ClientKind,
    KeptCounters,
    MethodMode,
    Rights,
    SecuritySetup,
)
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters, HdlcServerLink
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import ActionResult
from openami.dlms.security import AUTHENTICATED, BOTH, Keys, SecurityControl, protect
from openami.dlms.server import ApduRefused, DlmsServer, MethodInvoked

CLIENT = 102
LINE = Keys(gbek=bytes(range(0x20, 0x30)), gak=bytes(range(0x30, 0x40)))
IMAGE = Obis.parse("0.0.44.0.0.255")
BLOCK = MethodRef(18, IMAGE, 2)
SIZE = 1024
WIDE = HdlcParameters(max_info_tx=1100, max_info_rx=1100)
FORMS = [HdlcAddress(1, 0x7F, 2), HdlcAddress(1, 0x3FFF, 4), HdlcAddress(0x3FFF, 0x3FFF, 4)]
TO_ALL = SecurityControl.of(authenticated=True, encrypted=True, broadcast=True)


def block(number: int, octets: bytes = bytes(SIZE)) -> InvokeMethod:
    return InvokeMethod(BLOCK, d.structure(d.u32(number), d.octets(octets)))


class Street:
    """One meter that hears what is said to all, and whoever says it."""

    def __init__(self, to: HdlcAddress = FORMS[1], *, keys: Keys = LINE) -> None:
        self.image = image_in_memory(
            block_size=SIZE,
            access={ClientKind.BROADCAST: Rights(method={2: MethodMode.AUTHENTICATED})},
        )
        self.security = SecuritySetup(
            "0.0.43.0.1.255", keys=keys, title=SERVER_TITLE, policy=3, counters=KeptCounters()
        )
        association = AssociationLn(
            "0.0.40.0.5.255",
            client=CLIENT,
            kind=ClientKind.BROADCAST,
            contexts=(ApplicationContext.LN_CIPHERED,),
            security=self.security,
            conformance=Conformance.ACTION,
            preestablished=True,
        )
        meter = make_meter(extra=(self.image, self.security, association))
        self.server = DlmsServer(
            meter.device, HdlcServerLink(17, (1,), WIDE), random_octets=octets_of(1)
        )
        self.link = HdlcClientLink(CLIENT, to, WIDE)
        self.image.store.begin(b"new", 3 * SIZE)

    def hear(self, apdu: bytes) -> list[Any]:
        """Say it to all; return what the server tells, since it must not answer."""
        self.link.send_unconfirmed(apdu)
        for piece in self.link.data_to_send():
            self.server.receive_data(piece, now=0.0)
        assert self.server.data_to_send() == ()
        events = []
        while (event := self.server.next_event()) is not None:
            events.append(event)
        return events

    def say(self, request: InvokeMethod, counter: int, keys: Keys = LINE) -> list[Any]:
        return self.hear(broadcast_action(request, keys, title=CLIENT_TITLE, counter=counter))

    @property
    def has(self) -> list[int]:
        return [number for number in range(3) if self.image.store.has(number)]


@pytest.mark.parametrize("to", FORMS, ids=lambda to: f"{to.upper:X}-{to.size}")
def test_blocks_are_taken_and_nobody_answers(to: HdlcAddress) -> None:
    street = Street(to)
    (event,) = street.say(block(2), 7)
    assert isinstance(event, MethodInvoked)
    assert event.result is ActionResult.SUCCESS
    street.say(block(0), 8)
    assert street.has == [0, 2]
    assert street.security.counters.last == 8


def test_a_block_of_1024_octets_is_a_frame_of_1095() -> None:
    apdu = broadcast_action(block(255), LINE, title=CLIENT_TITLE, counter=1)
    assert len(apdu) == 1078
    link = HdlcClientLink(CLIENT, FORMS[1], replace(WIDE, max_info_tx=1081))
    link.send_unconfirmed(apdu)
    assert [len(piece) for piece in link.data_to_send()] == [1095]
    short = HdlcClientLink(CLIENT, FORMS[1], replace(WIDE, max_info_tx=1080))
    with pytest.raises(LocalProtocolError):
        short.send_unconfirmed(apdu)


def test_its_octets_by_another_hand() -> None:
    apdu = broadcast_action(block(1, b"octets"), LINE, title=CLIENT_TITLE, counter=0x01020304)
    head, title = apdu[:2], apdu[2:10]
    assert (head, title) == (b"\xdb\x08", CLIENT_TITLE.raw)
    length, control, counter = apdu[10], apdu[11:12], apdu[12:16]
    assert (length, control, counter) == (len(apdu) - 11, b"\x70", b"\x01\x02\x03\x04")
    body, tag = apdu[16:-12], apdu[-12:]
    mode = modes.GCM(title + counter, tag, min_tag_length=12)
    opened = Cipher(algorithms.AES128(LINE.gbek or b""), mode).decryptor()
    opened.authenticate_additional_data(control + (LINE.gak or b""))
    plain = opened.update(body) + opened.finalize()
    assert plain[:3] == b"\xc3\x01\x80"  # action-request-normal, high priority, unconfirmed
    assert plain[3:] == bytes.fromhex("0012 00002C0000FF 02 01 0202 0600000001 0906") + b"octets"


def test_only_blocks_of_the_image_that_was_begun() -> None:
    street = Street()
    (beyond,) = street.say(block(3), 1)
    (short,) = street.say(block(1, b"short"), 2)
    assert {beyond.result, short.result} == {ActionResult.OTHER_REASON}
    verify = InvokeMethod(MethodRef(18, IMAGE, 3), d.i8(0))
    begin = InvokeMethod(MethodRef(18, IMAGE, 1), d.structure(d.octets(b"x"), d.u32(9)))
    for counter, other in enumerate((verify, begin), 3):
        (event,) = street.say(other, counter)
        assert event.result is ActionResult.READ_WRITE_DENIED
    assert street.has == []
    assert street.image.store.size() == 3 * SIZE


def test_what_was_heard_before_is_not_heard_again() -> None:
    street = Street()
    street.say(block(0), 9)
    for counter in (9, 8, 0):
        assert [event.code for event in street.say(block(1), counter)] == ["security.replay"]
    assert street.has == [0]


@pytest.mark.parametrize("what", ["gbek", "gak"])
def test_another_lines_keys_are_nothing_and_use_no_counter_up(what: str) -> None:
    street = Street()
    other: dict[str, Any] = {what: bytes(16)}
    assert isinstance(street.say(block(0), 1000, replace(LINE, **other))[0], ApduRefused)
    street.say(block(1), 1)
    assert street.has == [1]


REQUEST = action.ActionRequestNormal(invoke_octet(0, confirmed=False), BLOCK, block(0).parameter)
READ = AttributeRef(18, IMAGE, 2)


@pytest.mark.parametrize(
    ("request_", "control", "form", "code"),
    [
        (REQUEST, BOTH, Form.GENERAL_GLOBAL, "security.policy"),
        (REQUEST, SecurityControl(AUTHENTICATED.octet | 0x40), Form.GENERAL_GLOBAL,
         "security.policy"),
        (REQUEST, TO_ALL, Form.GLOBAL, "security.title"),
        (replace(REQUEST, invoke_id=invoke_octet(0)), TO_ALL, Form.GENERAL_GLOBAL, "service"),
        (get.GetRequestNormal(invoke_octet(0, confirmed=False), READ), TO_ALL,
         Form.GENERAL_GLOBAL, "service"),
    ],
    ids=["unicast-key", "not-enciphered", "nobodys", "confirmed", "get"],
)  # fmt: skip
def test_what_is_no_broadcast(
    request_: Any, control: SecurityControl, form: Form, code: str
) -> None:
    street = Street()
    keys = replace(LINE, guek=KEYS.guek)
    apdu = protect(
        request_.encode(), keys, control=control, title=CLIENT_TITLE.raw, counter=5, form=form
    )
    assert [event.code for event in street.hear(apdu)] == [code]
    assert street.has == []


def test_plain_and_broken_broadcasts() -> None:
    street = Street()
    assert [event.code for event in street.hear(REQUEST.encode())] == ["security.policy"]
    assert [event.code for event in street.hear(b"\xdb\x08")] == ["protocol.decode"]
    assert street.has == []


def test_a_service_that_was_not_agreed_on() -> None:
    street = Street()
    first = action.ActionRequestFirstBlock(
        invoke_octet(0, confirmed=False), BLOCK, Block(last=False, number=1, octets=b"\x02")
    )
    apdu = protect(
        first.encode(), LINE, control=TO_ALL, title=CLIENT_TITLE.raw, counter=5,
        form=Form.GENERAL_GLOBAL,
    )  # fmt: skip
    assert [event.code for event in street.hear(apdu)] == ["service"]


def test_a_new_broadcast_key_is_used_from_then_on() -> None:
    street = Street()
    street.say(block(0), 3)
    new = replace(LINE, gbek=bytes(range(0x70, 0x80)))
    street.security.state = replace(street.security.state, keys=new)
    street.say(block(1), 4, new)
    assert isinstance(street.say(block(2), 5)[0], ApduRefused)
    assert street.has == [0, 1]


def test_a_frame_for_which_a_station_has_no_room() -> None:
    street = Street()
    street.server = DlmsServer((), link := HdlcServerLink(17), random_octets=octets_of(1))
    street.say(block(0), 1)
    assert link.counters.errors == 1
    assert street.has == []


def test_a_link_for_other_kinds_of_clients_hears_no_broadcast() -> None:
    street = Street()
    device = street.server._devices[1]
    link = HdlcServerLink(17, (1,), WIDE)
    kinds = frozenset({ClientKind.PUBLIC})
    street.server = DlmsServer(device, link, random_octets=octets_of(1), kinds=kinds)
    assert street.say(block(0), 1) == []
    assert street.has == []


def test_nobody_associates_as_the_client_of_broadcasts() -> None:
    street = Street()
    street.link = HdlcClientLink(CLIENT, HdlcAddress(1, 17, 4), WIDE)
    client = DlmsClient(street.link, ClientConfig(), random_octets=octets_of(2))
    client.open(now=0.0)
    for _ in range(8):
        for piece in client.data_to_send():
            street.server.receive_data(piece, now=0.0)
        for piece in street.server.data_to_send():
            client.receive_data(piece, now=0.0)
    event = client.next_event()
    assert isinstance(event, Closed)
    assert event.code.startswith("association.")


def test_keys_are_needed_at_both_ends() -> None:
    with pytest.raises(SecurityError):
        broadcast_action(block(0), replace(LINE, gbek=None), title=CLIENT_TITLE, counter=1)
    for security in (None, SecuritySetup(keys=LINE, title=SERVER_TITLE)):
        with pytest.raises(ConfigError):
            AssociationLn(
                "0.0.40.0.5.255",
                client=CLIENT,
                kind=ClientKind.BROADCAST,
                security=security,
                preestablished=True,
            )
