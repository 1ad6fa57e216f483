"""The server's machine: who may ask what."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ssmp_office import (
    DEVICES,
    INFO,
    LONG,
    MAKER,
    NOW,
    ROOT,
    Device,
    Office,
    chance,
    make_key,
)

from openami.core.errors import DecodeError, RemoteProtocolError, SecurityError
from openami.crypto import certificates as c
from openami.crypto.chains import Trust
from openami.crypto.requests import make_request
from openami.crypto.revocation import ReadList, Revoked, make_crl
from openami.fleet.expected import ExpectedDevice
from openami.ssmp import messages as m
from openami.ssmp.server import Credential, Peer, identify

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

DEVICE = Device()
PEER = DEVICE.peer()
E = chance(1)
KEY = make_key()
REGISTER = m.Register(E, "D1", INFO, make_request("D1", KEY))
MAKERS = {
    "Other": Trust((c.make_root("Other", make_key(), serial=1, validity=LONG).certificate,)),
    "Maker": Trust((MAKER.certificate,)),
}
LDEVID = c.issue_ldevid(
    DEVICES, "D1", "urn:x", KEY.public_key(), serial=9, validity=c.Validity(NOW - 9, NOW + 9)
)


def ask(message: m.Message, peer: Peer = PEER) -> m.Message:
    return m.decode(Office(ExpectedDevice("D1")).server.answer(m.encode(message), peer, now=NOW))


def who(
    certificate: Certificate = LDEVID, operational: Trust | None = None, now: float = NOW
) -> Peer:
    trust = operational or Trust((ROOT.certificate,))
    return identify(
        certificate, (DEVICES.certificate,), manufacturers=MAKERS, operational=trust, now=now
    )


def test_a_factory_certificate_names_its_manufacturer() -> None:
    assert (PEER.uid, PEER.credential, PEER.manufacturer, PEER.serial) == (
        "D1",
        Credential.FACTORY,
        "Maker",
        101,
    )
    assert who(DEVICE.factory.certificate) == PEER


def test_an_operational_certificate() -> None:
    assert who() == Peer("D1", Credential.OPERATIONAL, 9, c.fingerprint(LDEVID))


def test_certificates_refused_say_why() -> None:
    stranger = c.make_root("Maker", make_key(), serial=1, validity=LONG)
    forged = c.issue_ldevid(stranger, "D1", "urn:x", KEY.public_key(), serial=9, validity=LONG)
    nameless = c.issue_operator(DEVICES, "anna", KEY.public_key(), serial=9, validity=LONG)
    crl = make_crl(DEVICES, [Revoked(9, NOW)], number=1, validity=LONG)
    revoked = Trust((ROOT.certificate,), (ReadList.of(crl, DEVICES.certificate),))
    trust = Trust((ROOT.certificate,))
    for leaf, operational, now, code in (
        (forged, trust, NOW, "certificate.untrusted"),
        (nameless, trust, NOW, "certificate.name"),
        (LDEVID, trust, NOW + 10, "certificate.expired"),
        (LDEVID, trust, NOW - 10, "certificate.not-yet-valid"),
        (LDEVID, revoked, NOW, "certificate.revoked"),
    ):
        with pytest.raises(SecurityError) as caught:
            who(leaf, operational, now)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "message", [REGISTER, m.Fetch(E, E), m.Acknowledge(E, E, bytes(32)), m.Renew(E, b"csr")]
)
def test_each_request_wants_its_certificate(message: m.Message) -> None:
    wrong = Credential.FACTORY if isinstance(message, m.Renew) else Credential.OPERATIONAL
    answer = ask(message, replace(PEER, credential=wrong))
    assert isinstance(answer, m.Refused)
    assert answer.reason is m.Reason.CERTIFICATE


@pytest.mark.parametrize(
    "message",
    [
        replace(REGISTER, uid="D2"),
        replace(REGISTER, request=make_request("D2", KEY)),
        replace(REGISTER, request=REGISTER.request[:-1] + bytes([REGISTER.request[-1] ^ 1])),
        m.Renew(E, make_request("D2", KEY)),
    ],
)
def test_nobody_asks_for_another(message: m.Message) -> None:
    credential = Credential.OPERATIONAL if isinstance(message, m.Renew) else Credential.FACTORY
    answer = ask(message, replace(PEER, credential=credential))
    assert isinstance(answer, m.Refused)
    assert answer.reason is m.Reason.REQUEST


def test_an_answer_is_no_request_and_noise_is_no_message() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        ask(m.Approved(E, E))
    assert caught.value.code == "ssmp.unexpected"
    for octets in (b"", b"SSMP", bytes(m.MAX_MESSAGE + 1)):
        with pytest.raises(DecodeError):
            Office().server.answer(octets, PEER, now=NOW)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_tampered_request_gets_nothing_for_another_device(at: int, flip: int) -> None:
    office = Office(ExpectedDevice("D1"))
    octets = bytearray(m.encode(REGISTER))
    octets[at % len(octets)] ^= flip
    with contextlib.suppress(RemoteProtocolError):
        office.server.answer(bytes(octets), PEER, now=NOW)
    assert set(office.registrations) <= {"D1"}


def test_another_device_gets_nothing_with_a_request_it_saw() -> None:
    office, first = Office(ExpectedDevice("D1")), DEVICE
    first.run(office, 1)
    fetch = first.client.next_request(first.now + 60)
    assert fetch is not None
    other = Device("D2", 2).peer()
    answer = m.decode(office.server.answer(fetch, other, now=NOW))
    assert isinstance(answer, m.Refused)
    assert answer.reason is m.Reason.UNKNOWN
