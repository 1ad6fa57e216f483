"""The server's side of SSMP 1: who may ask what, and in which form.

What is answered, a ``Registrar`` decides; it keeps what was decided, so that a request that comes
twice is answered twice the same. Nothing is kept here: any replica can answer any request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from openami.core.errors import RemoteProtocolError, SecurityError
from openami.crypto.certificates import Purpose, fingerprint, key_fingerprint, uid_of
from openami.crypto.chains import verify
from openami.crypto.requests import read_request
from openami.ssmp.messages import (
    Acknowledge,
    Approved,
    Bootstrap,
    Confirmed,
    Fetch,
    Pending,
    Reason,
    Refused,
    Register,
    Renew,
    Renewed,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.x509 import Certificate

    from openami.crypto.chains import Trust
    from openami.ssmp.messages import Answer

RETRY_S: Final = 3600  # a request that is wrong in itself will be no better soon


class Credential(StrEnum):
    """With which certificate a device has connected."""

    FACTORY = "factory"
    OPERATIONAL = "operational"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who has connected, by its verified certificate.

    ``manufacturer`` is whose trust anchor vouches for a factory certificate, else empty.
    """

    uid: str
    credential: Credential
    serial: int
    fingerprint: bytes
    manufacturer: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A certificate that is asked for: its key, and the key's SHA-256."""

    key: EllipticCurvePublicKey
    fingerprint: bytes


class Registrar(Protocol):
    """Decides, durably: what is returned has been committed."""

    def register(
        self, peer: Peer, message: Register, asked: Asked, *, now: float
    ) -> Approved | Pending | Refused: ...

    def fetch(self, peer: Peer, message: Fetch, *, now: float) -> Bootstrap | Refused: ...

    def acknowledge(
        self, peer: Peer, message: Acknowledge, *, now: float
    ) -> Confirmed | Refused: ...

    def renew(
        self, peer: Peer, message: Renew, asked: Asked, *, now: float
    ) -> Renewed | Refused: ...


def identify(
    leaf: Certificate,
    others: Sequence[Certificate],
    *,
    manufacturers: Mapping[str, Trust],
    operational: Trust,
    now: float,
) -> Peer:
    """Return who shows the certificate ``leaf``.

    Raises:
        SecurityError: nobody trusted vouches for it, it is out of its time, revoked or for another
            purpose, or names no device: the code of ``openami.crypto.chains.verify``.
    """
    problem: SecurityError | None = None
    for name, trust in (("", operational), *manufacturers.items()):
        try:
            verify(leaf, others, trust, purpose=Purpose.CLIENT, now=now)
        except SecurityError as error:
            # The one trust that knows the certificate says what is wrong with it.
            if problem is None or problem.code == "certificate.untrusted":
                problem = error
            continue
        credential = Credential.FACTORY if name else Credential.OPERATIONAL
        serial = leaf.serial_number
        return Peer(uid_of(leaf.subject), credential, serial, fingerprint(leaf), name)
    raise problem or SecurityError("no trust anchor", code="certificate.untrusted")


class Server:
    """Answers requests.

    Args:
        registrar: who decides.
    """

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    def answer(self, octets: bytes, peer: Peer, *, now: float) -> bytes:
        """Return the answer to one request.

        Raises:
            DecodeError: the octets are no message.
            RemoteProtocolError: it is no request (``ssmp.unexpected``).
        """
        message = decode(octets)
        row = _ROWS.get(type(message))
        if row is None:
            raise RemoteProtocolError("an answer is no request", code="ssmp.unexpected")
        credential, handle = row
        if peer.credential is not credential:
            return encode(Refused(message.exchange, Reason.CERTIFICATE, RETRY_S))
        return encode(handle(self, peer, message, now))

    def _register(self, peer: Peer, message: Register, now: float) -> Answer:
        asked = _asked(peer, message)
        if asked is None or message.uid != peer.uid:
            return Refused(message.exchange, Reason.REQUEST, RETRY_S)
        return self._registrar.register(peer, message, asked, now=now)

    def _fetch(self, peer: Peer, message: Fetch, now: float) -> Answer:
        return self._registrar.fetch(peer, message, now=now)

    def _acknowledge(self, peer: Peer, message: Acknowledge, now: float) -> Answer:
        return self._registrar.acknowledge(peer, message, now=now)

    def _renew(self, peer: Peer, message: Renew, now: float) -> Answer:
        asked = _asked(peer, message)
        if asked is None:
            return Refused(message.exchange, Reason.REQUEST, RETRY_S)
        return self._registrar.renew(peer, message, asked, now=now)


# The factory key says who a device is, and nothing but that: with it a device registers. All that
# comes later is proved with the operational key, so a factory key that leaks in a repair shop
# renews nothing.
_ROWS: Final[Mapping[type, tuple[Credential, Callable[[Server, Peer, Any, float], Answer]]]] = {
    Register: (Credential.FACTORY, Server._register),  # noqa: SLF001 -- the class's own table
    Fetch: (Credential.FACTORY, Server._fetch),  # noqa: SLF001 -- the class's own table
    Acknowledge: (Credential.FACTORY, Server._acknowledge),  # noqa: SLF001 -- the class's own table
    Renew: (Credential.OPERATIONAL, Server._renew),  # noqa: SLF001 -- the class's own table
}


def _asked(peer: Peer, message: Register | Renew) -> Asked | None:
    """Return the key that is asked to be certified; None unless the device itself asks."""
    try:
        uid, key = read_request(message.request)
    except SecurityError:
        return None
    return Asked(key, key_fingerprint(key)) if uid == peer.uid else None
