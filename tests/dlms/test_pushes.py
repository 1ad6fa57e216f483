"""What a server sends unasked: to whom, how it is ciphered, and what a client takes for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.dlms_meter import (
    ENERGY,
    KEYS,
    MANAGER,
    Pair,
    config_of,
    make_meter,
    octets_of,
)

from openami.core.errors import ConfigError, StoreError
from openami.dlms import data as d
from openami.dlms.apdu.ciphered import CipheredApdu, Form
from openami.dlms.apdu.notification import DataNotification
from openami.dlms.client import Answered, Closed, DlmsClient, Failed, GetAttribute, Notified, Opened
from openami.dlms.client.state import State
from openami.dlms.cosem import AssociationLn, ClientKind
from openami.dlms.invocation import MAX_COUNTER
from openami.dlms.link import Peer
from openami.dlms.security import BOTH, ENCRYPTED, NOTHING, Keys, SecurityControl, protect
from openami.dlms.server import ApduRefused, AssociationFailed, AssociationReleased, DlmsServer
from openami.dlms.wrapper import Packet, WrapperClientLink, WrapperParameters, WrapperServerLink

BODY = d.structure(d.u32(1), d.visible("secret"))
PEER = Peer(MANAGER, 1)
TITLE = b"OAM\0\0\0\0\1"


class Pushed(Pair):
    """A client that is pushed to; ``told`` is what it takes for a push."""

    def __init__(self, meter: Any, name: str = "hls-both", **changes: Any) -> None:
        sap, config = config_of(name, pushes=True, **changes)
        super().__init__(meter, sap, config)
        self.told: list[Notified] = []
        link = WrapperClientLink(sap, 1, WrapperParameters(pushes=True))
        self.client = DlmsClient(link, config, random_octets=octets_of(2), notify=self.told.append)
        self.peer = Peer(sap, 1)

    def push(self) -> bool:
        sent = self.server.notify(self.peer, BODY, now=self.now)
        self.run()
        return sent

    def take(self, apdu: bytes) -> None:
        """Give the client an APDU as if it came from the server."""
        self.client.receive_data(Packet(1, self.peer.client, apdu).encode(), now=self.now)
        self.run()


def opened(**changes: Any) -> Pushed:
    pair = Pushed(make_meter(policy=3), **changes)
    assert isinstance(pair.open(), Opened)
    return pair


def last(pair: Pushed) -> bytes:
    return pair.passed[-1][1][8:]


def test_a_push_is_ciphered_in_the_general_form() -> None:
    pair = opened()
    assert pair.push()
    assert [event.control.covers(BOTH) for event in pair.told] == [True]
    assert pair.told[0].notification == DataNotification(1, None, BODY)
    assert last(pair)[0] == 0xDB
    assert b"secret" not in last(pair)
    assert pair.push()
    assert pair.told[1].notification == DataNotification(2, None, BODY)


def test_pushes_and_answers_do_not_mix() -> None:
    pair = opened()
    pair.client.request(GetAttribute(ENERGY), now=0)
    pair.server.notify(pair.peer, BODY, now=0)  # is sent before the request is even heard
    pair.run()
    assert isinstance(pair.client_events[-1], Answered)
    assert len(pair.told) == 1
    assert pair.push()
    assert isinstance(pair.answer(GetAttribute(ENERGY)), Answered)
    assert len(pair.told) == 2


@pytest.mark.parametrize("asking", [False, True])
def test_a_push_that_is_replayed_is_no_push(*, asking: bool) -> None:
    pair = opened()
    pair.push()
    recorded = last(pair)
    if asking:
        pair.client.request(GetAttribute(ENERGY), now=0)
    pair.take(recorded)
    assert len(pair.told) == 1
    assert pair.push()
    assert len(pair.told) == 2
    assert pair.client.state is State.READY
    pair.answer(GetAttribute(ENERGY))


def forged(control: SecurityControl, keys: Keys, counter: int) -> bytes:
    return protect(
        DataNotification(9, None, BODY).encode(),
        keys,
        control=control,
        title=make_meter().security.title.raw,
        counter=counter,
        form=Form.GENERAL_GLOBAL,
    )


@pytest.mark.parametrize(
    "apdu",
    [
        forged(BOTH, Keys(guek=bytes(16), gak=bytes(16)), 1000),
        forged(ENCRYPTED, KEYS, MAX_COUNTER),
        forged(NOTHING, KEYS, MAX_COUNTER),
        forged(BOTH, replace(KEYS, gak=bytes(16)), 1000),
        CipheredApdu(0xDB, BOTH.octet, 1000, b"", TITLE).encode(),
        b"\xdb",
        b"\xdb\x08",
    ],
    ids=["other keys", "no tag", "nothing", "another gak", "empty", "cut", "shorter"],
)
def test_what_is_forged_is_no_push_and_uses_no_counter_up(apdu: bytes) -> None:
    pair = opened()
    pair.take(apdu)
    assert pair.told == []
    assert pair.push()
    assert len(pair.told) == 1
    pair.answer(GetAttribute(ENERGY))


def test_a_plain_push_is_told_with_how_it_came() -> None:
    pair = opened()
    pair.take(DataNotification(1, None, BODY).encode())
    assert [event.control for event in pair.told] == [NOTHING]
    pair.take(b"\x0f\0")
    assert len(pair.told) == 1


def test_before_the_meter_has_proved_itself_nothing_is_a_push() -> None:
    pair = Pushed(make_meter(policy=3))
    pair.client.open(now=0)
    pair.client.data_to_send()
    pair.take(forged(BOTH, KEYS, 5))
    assert pair.told == []
    assert pair.client.state is State.ASSOCIATING


def test_without_a_listener_a_push_is_an_event() -> None:
    meter = make_meter(policy=3)
    sap, config = config_of("hls-both", pushes=True)
    pair = Pair(meter, sap, config)
    link = WrapperClientLink(sap, 1, WrapperParameters(pushes=True))
    pair.client = DlmsClient(link, config, random_octets=octets_of(2))
    assert isinstance(pair.open(), Opened)
    pair.server.notify(PEER, BODY, now=0)
    pair.run()
    assert isinstance(pair.client_events[-1], Notified)


def test_answers_in_the_general_form_and_pushes_could_not_be_told_apart() -> None:
    with pytest.raises(ConfigError):
        config_of("hls-both", pushes=True, general=True)


def test_a_plain_association_is_pushed_to_in_the_clear() -> None:
    pair = Pushed(make_meter(), "lls")
    pair.open()
    assert pair.push()
    assert last(pair)[0] == 0x0F
    assert pair.told[0].notification == DataNotification(1, None, BODY)


def test_who_is_not_associated_is_sent_nothing() -> None:
    pair = Pushed(make_meter(policy=3))
    assert not pair.push()
    pair.client.open(now=0)
    for piece in pair.client.data_to_send():
        pair.server.receive_data(piece, now=0)  # challenged, and not proved yet
    assert not pair.server.notify(pair.peer, BODY, now=0)
    assert pair.server.kind(pair.peer) is None
    pair.run()
    assert pair.server.kind(pair.peer) is ClientKind.MANAGEMENT
    assert pair.push()
    pair.close()
    assert not pair.push()


def test_a_push_longer_than_the_client_takes_is_not_sent() -> None:
    pair = opened(max_pdu=48)
    assert not pair.push()
    assert pair.told == []


def test_without_counters_nothing_is_pushed() -> None:
    pair = opened()
    channel = pair.server._sessions[pair.peer].channel
    assert channel is not None

    def failing() -> int:
        raise StoreError("no room")

    channel._counters.take = failing  # type: ignore[method-assign]
    assert not pair.push()
    assert pair.server_events[-1] == ApduRefused(pair.peer, "store")


def test_keys_that_are_replaced_end_an_association_that_does_not_overlap() -> None:
    pair = opened()
    association = pair.meter.objects["0.0.40.0.3.255"]
    assert isinstance(association, AssociationLn)
    association.overlaps = False
    assert pair.push()
    state = pair.meter.security.state
    pair.meter.security.state = replace(state, keys=Keys(guek=bytes(16), gak=bytes(16)))
    assert not pair.push()
    assert AssociationReleased(pair.peer, "keys") in pair.server_events


def test_a_request_with_keys_that_are_replaced_is_not_done() -> None:
    pair = opened()
    association = pair.meter.objects["0.0.40.0.3.255"]
    assert isinstance(association, AssociationLn)
    association.overlaps = False
    pair.answer(GetAttribute(ENERGY))
    state = pair.meter.security.state
    pair.meter.security.state = replace(state, keys=Keys(guek=bytes(16), gak=bytes(16)))
    assert isinstance(pair.ask(GetAttribute(ENERGY)), Failed | Closed)
    assert AssociationReleased(pair.peer, "keys") in pair.server_events


def test_a_link_is_for_some_kinds_of_clients_alone() -> None:
    meter = make_meter()
    for name, allowed in (("public", True), ("lls", False), ("hls-both", False)):
        pair = Pair(meter, *config_of(name))
        pair.server = DlmsServer(
            meter.device,
            WrapperServerLink(),
            random_octets=octets_of(1),
            kinds=frozenset({ClientKind.PUBLIC}),
        )
        assert isinstance(pair.open(), Opened) is allowed
        failed = [event for event in pair.server_events if isinstance(event, AssociationFailed)]
        assert [event.code for event in failed] == ([] if allowed else ["client"])
