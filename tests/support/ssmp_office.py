"""A security server and its devices in memory: the real machines and decisions, a dict as store."""

from __future__ import annotations

import hashlib
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from openami.crypto import certificates as c
from openami.crypto.chains import Trust
from openami.crypto.hardware import HardwareModule
from openami.crypto.requests import make_request
from openami.fleet import admission
from openami.fleet import registration as r
from openami.ssmp import messages as m
from openami.ssmp.bootstrap import BootstrapBlock
from openami.ssmp.client import Client, ClientState, Moved, Step, begin
from openami.ssmp.server import Asked, Peer, Server, identify

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from openami.fleet.expected import ExpectedDevice

NOW = 1_800_000_000.0
LONG = c.Validity(NOW - 86_400, NOW + 10 * 365 * 86_400)
DAY = 86_400.0


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def chance(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()[:16]


def der(certificate: Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


MAKER = c.make_root("Maker", make_key(), serial=1, validity=LONG)
ROOT = c.make_root("Utility", make_key(), serial=1, validity=LONG)
DEVICES = c.make_authority(ROOT, "Devices", make_key(), serial=2, validity=LONG)
INFO = m.DeviceInfo("Maker", "OA-DCU", "1", "0.2")
RETRY = 60
KEYS: list[ec.EllipticCurvePublicKey] = []  # every key that a device asked to be certified


class ServerKilledError(Exception):
    """The server died."""


class Answering(Protocol):
    """Answers requests."""

    def answer(self, octets: bytes, peer: Peer, *, now: float) -> bytes: ...


class Serving(Protocol):
    """Where devices register."""

    die_before_commit: bool

    @property
    def server(self) -> Answering: ...


class Office:
    """A registrar; each call is one transaction."""

    def __init__(self, *expected: ExpectedDevice, hold: bool = True) -> None:
        self.expected = {device.uid: device for device in expected}
        self.policy = r.RegistrationPolicy(hold_unexpected=hold)
        self.registrations: dict[str, r.Registration] = {}
        self.offers: dict[str, bytes] = {}
        self.chains: dict[int, tuple[bytes, ...]] = {}
        self.accounts: dict[str, BootstrapBlock] = {}
        self.activations = 0
        self.suspended: set[str] = set()
        self.revoked: dict[int, str] = {}
        self.alarms: list[str] = []
        self.die_before_commit = False
        self.numbers = count(1000)
        self.server = Server(self)

    # What a person does.

    def decide(self, ruling: r.Ruling) -> None:
        self._commit(ruling)

    # What devices ask.

    def register(
        self, peer: Peer, message: m.Register, asked: Asked, *, now: float
    ) -> m.Approved | m.Pending | m.Refused:
        info = message.info
        claim = r.Claim(
            message.exchange,
            peer.fingerprint,
            asked.fingerprint,
            peer.manufacturer,
            info.model,
            info.hardware,
            info.firmware,
            now,
        )
        ruling = admission.request(
            self.registrations.get(peer.uid),
            peer.uid,
            claim,
            self.expected.get(peer.uid),
            self.policy,
            grant=chance(next(self.numbers)),
        )
        self._commit(ruling)
        if ruling.verdict is r.Verdict.APPROVED:
            assert ruling.registration is not None
            return m.Approved(message.exchange, ruling.registration.grant)
        if ruling.verdict is r.Verdict.PENDING:
            return m.Pending(message.exchange, RETRY)
        return self._refused(message.exchange, ruling)

    def fetch(self, peer: Peer, message: m.Fetch, *, now: float) -> m.Bootstrap | m.Refused:
        ruling = admission.fetch(
            self.registrations.get(peer.uid),
            exchange=message.exchange,
            factory=peer.fingerprint,
            grant=message.grant,
            now=now,
        )
        if ruling.verdict is r.Verdict.REFUSED:
            return self._refused(message.exchange, ruling)
        if ruling.verdict is r.Verdict.MAKE:
            self._make(peer.uid, message, ruling.registration, now)
        kept = m.decode(self.offers[peer.uid])
        assert isinstance(kept, m.Bootstrap)
        return kept

    def _make(
        self, uid: str, message: m.Fetch, registration: r.Registration | None, now: float
    ) -> None:
        assert registration is not None
        serial = next(self.numbers)
        block = BootstrapBlock(
            "head-end",
            f"server-password-{serial:020}",
            "https://dm.example/dm",
            f"dcu-{uid}",
            f"client-password-{serial:020}",
            int(now),
            int(now + 7 * DAY),
        )
        key = next(asked for asked in KEYS if c.key_fingerprint(asked) == registration.claim.key)
        made = m.Bootstrap(
            message.exchange, message.grant, block, self._issue(uid, key, serial, now)
        )
        octets = m.encode(made)
        offer = r.Offer(
            hashlib.sha256(octets).digest(), now + 7 * DAY, r.Issued(serial, registration.claim.key)
        )
        self._commit(admission.offered(registration, offer), offer=octets)

    def _issue(
        self, uid: str, key: ec.EllipticCurvePublicKey, serial: int, now: float
    ) -> tuple[bytes, ...]:
        leaf = c.issue_ldevid(
            DEVICES,
            uid,
            f"urn:openami:dcu:{uid}",
            key,
            serial=serial,
            validity=c.Validity(now - 60, now + 365 * DAY),
        )
        self.chains[serial] = (der(leaf), der(DEVICES.certificate))
        return self.chains[serial]

    def acknowledge(
        self, peer: Peer, message: m.Acknowledge, *, now: float
    ) -> m.Confirmed | m.Refused:
        ruling = admission.acknowledge(
            self.registrations.get(peer.uid),
            exchange=message.exchange,
            factory=peer.fingerprint,
            grant=message.grant,
            digest=message.digest,
            now=now,
        )
        self._commit(ruling)
        if ruling.verdict is r.Verdict.CONFIRMED:
            return m.Confirmed(message.exchange, message.digest)
        return self._refused(message.exchange, ruling)

    def renew(
        self, peer: Peer, message: m.Renew, asked: Asked, *, now: float
    ) -> m.Renewed | m.Refused:
        ruling = admission.renew(
            self.registrations.get(peer.uid), shown=peer.serial, key=asked.fingerprint, now=now
        )
        self._commit(ruling)
        if ruling.verdict is r.Verdict.REFUSED:
            return self._refused(message.exchange, ruling)
        registration = ruling.registration
        assert registration is not None
        if ruling.verdict is r.Verdict.MAKE:
            serial = next(self.numbers)
            self._issue(peer.uid, asked.key, serial, now)
            made = admission.renewed(
                registration, r.Issued(serial, asked.fingerprint, now, now + 365 * DAY)
            )
            self._commit(made)
            registration = made.registration
            assert registration is not None
        assert registration.certificate is not None
        return m.Renewed(message.exchange, self.chains[registration.certificate.serial])

    def _refused(self, exchange: bytes, ruling: r.Ruling) -> m.Refused:
        assert ruling.reason is not None
        return m.Refused(exchange, m.Reason[ruling.reason.name], RETRY)

    def _commit(self, ruling: r.Ruling, offer: bytes | None = None) -> None:
        if self.die_before_commit:
            raise ServerKilledError
        registration = ruling.registration
        if registration is None:
            return
        uid = registration.uid
        self.registrations[uid] = registration
        if offer is not None:
            self.offers[uid] = offer
        for effect in ruling.effects:
            self._apply(uid, effect)

    def _apply(self, uid: str, effect: r.Effect) -> None:
        match effect:
            case r.Activate():
                kept = m.decode(self.offers.pop(uid))
                assert isinstance(kept, m.Bootstrap)
                assert hashlib.sha256(m.encode(kept)).digest() == effect.digest
                self.accounts[uid] = kept.block
                self.activations += 1
                self.suspended.discard(uid)
            case r.Suspend():
                self.suspended.add(uid)
            case r.Resume():
                self.suspended.discard(uid)
            case r.Revoke():
                assert effect.serial not in self.revoked
                self.revoked[effect.serial] = effect.reason
            case r.Alarm():
                self.alarms.append(effect.code)


class Fault(Enum):
    """What goes wrong in one round."""

    NONE = "none"
    DEVICE_DIES_BEFORE_REQUEST = "device dies before the request"
    REQUEST_LOST = "request lost"
    SERVER_DIES_BEFORE_COMMIT = "server dies before it commits"
    ANSWER_LOST = "answer lost"
    REQUEST_TWICE = "request arrives twice"
    DEVICE_DIES_BEFORE_COMMIT = "device dies before it commits the answer"
    DEVICE_DIES_AFTER_COMMIT = "device dies after it committed the answer"


class Device:
    """A device whose disk survives what its memory does not."""

    def __init__(
        self, uid: str = "D1", number: int = 1, *, factory: c.Identity | None = None
    ) -> None:
        self.uid = uid
        key = make_key()
        hardware = HardwareModule("1.3.6.1.4.1.55555.2.1", uid.encode())
        idevid = c.issue_idevid(
            MAKER, uid, hardware, key.public_key(), serial=100 + number, start=NOW - DAY
        )
        self.factory = factory or c.Identity(idevid, key)
        self.key = make_key()
        KEYS.append(self.key.public_key())
        self.disk = begin(chance(number), make_request(uid, self.key)).encode()
        self.now = NOW
        self.boot()

    def boot(self) -> None:
        self.client = Client(ClientState.decode(self.disk), uid=self.uid, info=INFO)

    @property
    def state(self) -> ClientState:
        return ClientState.decode(self.disk)

    def peer(self) -> Peer:
        """Who the device is at its TLS connection."""
        leaf = self.factory.certificate
        others: tuple[Certificate, ...] = ()
        if self.state.step is Step.RENEWING:
            leaf, *rest = (c.load_certificate(one) for one in self.state.chain)
            others = tuple(rest)
        trust = Trust((ROOT.certificate,))
        return identify(
            leaf,
            others,
            manufacturers={"Maker": Trust((MAKER.certificate,))},
            operational=trust,
            now=self.now,
        )

    def round(self, office: Serving, fault: Fault = Fault.NONE) -> None:
        """Ask once and take the answer, as far as ``fault`` lets it."""
        self.now += RETRY
        if fault is Fault.DEVICE_DIES_BEFORE_REQUEST:
            return self.boot()
        asked = self.client.next_request(self.now)
        if asked is None:
            return None
        answer = self._carry(office, asked, fault)
        if answer is None:
            return self.client.failed(now=self.now - RETRY, jitter=0.0)
        self.client.receive(answer, now=self.now)
        if fault is Fault.DEVICE_DIES_BEFORE_COMMIT:
            return self.boot()
        while (event := self.client.next_event()) is not None:
            if isinstance(event, Moved):
                self.disk = event.state.encode()
        if fault is Fault.DEVICE_DIES_AFTER_COMMIT:
            self.boot()
        return None

    def _carry(self, office: Serving, asked: bytes, fault: Fault) -> bytes | None:
        if fault is Fault.REQUEST_LOST:
            return None
        office.die_before_commit = fault is Fault.SERVER_DIES_BEFORE_COMMIT
        try:
            answer = office.server.answer(asked, self.peer(), now=self.now)
        except ServerKilledError:
            return None
        finally:
            office.die_before_commit = False
        if fault is Fault.REQUEST_TWICE:
            assert office.server.answer(asked, self.peer(), now=self.now) == answer
        return None if fault is Fault.ANSWER_LOST else answer

    def run(self, office: Serving, rounds: int = 12) -> None:
        for _ in range(rounds):
            self.round(office)
