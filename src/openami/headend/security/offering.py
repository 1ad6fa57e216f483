"""What a device is offered: accounts and a certificate, in one message (``docs/ssmp.md``)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from openami.core.errors import ConfigError, StoreError
from openami.fleet.devices import DeviceKind, device_id
from openami.fleet.registration import Issued, Offer
from openami.ssmp import messages as m
from openami.ssmp.bootstrap import BootstrapBlock, address_in

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from openami.fleet.registration import Registration, RegistrationPolicy
    from openami.headend.security.offers import Offers

PASSWORD_OCTETS: Final = 32  # of chance, which are 43 characters


class IssuedDevice(Protocol):
    """A certificate that was just issued."""

    @property
    def serial(self) -> int: ...

    @property
    def chain(self) -> tuple[bytes, ...]: ...


class Issuer(Protocol):
    """Issues devices' certificates, and keeps them."""

    def issue_device(
        self, uid: str, key: ec.EllipticCurvePublicKey, *, now: float
    ) -> IssuedDevice: ...

    def chain(self, serial: int) -> tuple[bytes, ...]: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What devices are offered, and how long they wait.

    Args:
        server_id: who the device management server is.
        offer_s: how long an offer may be acknowledged.
        pending_s: how long a device waits for a person.
        refused_s: how long a refused device waits.
        policy: what becomes of who is not expected.
    """

    server_id: str
    offer_s: float
    pending_s: int
    refused_s: int
    policy: RegistrationPolicy


class Offering:
    """Makes offers, and keeps them to be sent again as they were."""

    def __init__(self, offers: Offers, issuer: Issuer, *, terms: Terms) -> None:
        self._offers = offers
        self._issuer = issuer
        self._terms = terms
        self._dm_url = ""

    def manage_at(self, url: str) -> None:
        """Offer this address of device management from now on.

        Raises:
            ConfigError: ``config.dm-url``, no device could use it.
        """
        try:
            self._block(url, "device", 1.0)
        except ValueError as error:
            raise ConfigError(f"{url} can not be offered: {error}", code="config.dm-url") from error
        self._dm_url = url

    def kept(self, registration: Registration) -> m.Bootstrap | None:
        """Return the message that was offered; None where a vault was restored without it."""
        offer = registration.offer
        return None if offer is None else self._find(registration.uid, offer.digest)

    def make(
        self, registration: Registration, message: m.Fetch, *, now: float
    ) -> tuple[m.Bootstrap, Offer]:
        """Return a new message, kept before anything says that it was offered."""
        uid = registration.uid
        issued = self._issuer.issue_device(uid, _key(registration), now=now)
        block = self._block(self._dm_url, uid, now)
        made = m.Bootstrap(message.exchange, message.grant, block, issued.chain)
        octets = m.encode(made)
        digest = hashlib.sha256(octets).digest()
        self._offers.keep(uid, digest, octets)
        certificate = Issued(issued.serial, registration.claim.key)
        return made, Offer(digest, block.not_after, certificate)

    def keep_account(self, uid: str, digest: bytes) -> bool:
        """Keep the account of an offer; False where the offer is not there."""
        offered = self._find(uid, digest)
        if offered is None:
            return False
        self._offers.keep_account(uid, digest, offered.block)
        return True

    def _find(self, uid: str, digest: bytes) -> m.Bootstrap | None:
        octets = self._offers.find(uid, digest)
        return None if octets is None else cast("m.Bootstrap", m.decode(octets))

    def _block(self, url: str, uid: str, now: float) -> BootstrapBlock:
        address, port = address_in(url)
        return BootstrapBlock(
            server_id=self._terms.server_id,
            server_password=secrets.token_urlsafe(PASSWORD_OCTETS),
            server_url=url,
            client_id=device_id(DeviceKind.DCU, uid),
            client_password=secrets.token_urlsafe(PASSWORD_OCTETS),
            not_before=int(now),
            not_after=int(now + self._terms.offer_s),
            address=address,
            port=port,
        )


def _key(registration: Registration) -> ec.EllipticCurvePublicKey:
    """Return the key that the registration's claim asked to be certified."""
    try:
        key = load_der_public_key(registration.claim.public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise StoreError(f"the registration of {registration.uid} has no key") from error
    return cast("ec.EllipticCurvePublicKey", key)
