"""The gateway protocol of the Green Book: a prefix that names the meter behind a gateway.

::

    E6 network-id address-length address APDU      request, to the gateway
    E7 network-id address-length address APDU      response, from it

The address is the physical device address, here the meter's serial number in ASCII. What is behind
the prefix is the meter's affair: a gateway carries it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms.link import ApduReceived, LinkDown, LinkEvent, LinkUp
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from openami.dlms.link import ClientLink

REQUEST: Final = 0xE6
RESPONSE: Final = 0xE7

MAX_ADDRESS: Final = 32
"""Octets of the longest address that is taken: serial numbers have no more."""

OVERHEAD: Final = 3


@dataclass(frozen=True, slots=True)
class Prefixed:
    """An APDU with the prefix that says which meter it is for or from.

    Args:
        response: it comes from the meter.
        address: the physical device address.
        apdu: not looked at.
        network: which of the gateway's networks the meter is on.
    """

    response: bool
    address: bytes
    apdu: bytes
    network: int = 0

    def encode(self) -> bytes:
        """Return the octets.

        Raises:
            LocalProtocolError: the address or the APDU is empty, or one does not fit.
        """
        if not (1 <= len(self.address) <= MAX_ADDRESS and self.apdu and 0 <= self.network <= 0xFF):
            raise LocalProtocolError("this cannot be sent through a gateway")
        tag = RESPONSE if self.response else REQUEST
        return bytes((tag, self.network, len(self.address))) + self.address + self.apdu

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read exactly one.

        Raises:
            DecodeError: it is none, or its address is empty, too long or cut off, or no APDU
                follows.
        """
        r = Reader(data)
        tag = r.u8()
        if tag not in {REQUEST, RESPONSE}:
            raise DecodeError("a gateway's prefix (E6, E7) wanted", offset=0)
        network, start, length = r.u8(), r.offset, r.u8()
        if not 1 <= length <= MAX_ADDRESS:
            raise DecodeError(f"an address of 1 to {MAX_ADDRESS} octets wanted", offset=start)
        address = r.take(length)
        if not r.remaining:
            raise r.error("an APDU wanted behind the prefix")
        return cls(tag == RESPONSE, address, r.take(r.remaining), network)


class GatewayClientLink:
    """A client's way to a meter behind a gateway; implements ``openami.dlms.link.ClientLink``.

    What it is asked to send gets the prefix, and what comes loses it. An answer without the prefix
    of this meter ends the link (``LinkDown``, ``protocol``).

    Args:
        inner: the link to the gateway.
        address: of the meter, 1 to 32 octets.
        network: which of the gateway's networks the meter is on.
    """

    def __init__(self, inner: ClientLink, address: bytes, *, network: int = 0) -> None:
        self._inner = inner
        self._address = address
        self._network = network
        self._now = 0.0
        self._over = False

    def connect(self, *, now: float) -> None:
        """See ``ClientLink.connect``."""
        self._now, self._over = now, False
        self._inner.connect(now=now)

    def send(self, apdu: bytes, *, now: float) -> None:
        """See ``ClientLink.send``."""
        prefixed = Prefixed(response=False, address=self._address, apdu=apdu, network=self._network)
        self._inner.send(prefixed.encode(), now=now)

    def disconnect(self, *, now: float) -> None:
        """See ``ClientLink.disconnect``."""
        self._inner.disconnect(now=now)

    def receive_data(self, data: bytes, *, now: float) -> None:
        self._now = now
        self._inner.receive_data(data, now=now)

    def receive_eof(self, *, now: float) -> None:
        self._inner.receive_eof(now=now)

    def data_to_send(self) -> tuple[bytes, ...]:
        return self._inner.data_to_send()

    def next_event(self) -> LinkEvent | None:
        while (event := self._inner.next_event()) is not None:
            if not self._over:  # what comes after the end was told is nothing any more
                return self._told(event)
        return None

    def next_timer(self) -> float | None:
        return self._inner.next_timer()

    def handle_timer(self, *, now: float) -> None:
        self._inner.handle_timer(now=now)

    def _told(self, event: LinkEvent) -> LinkEvent:
        match event:
            case ApduReceived(apdu):
                return self._unwrapped(apdu)
            case LinkUp(most) if most:
                return LinkUp(most - OVERHEAD - len(self._address))
        return event

    def _unwrapped(self, apdu: bytes) -> LinkEvent:
        try:
            found = Prefixed.decode(apdu)
        except DecodeError as error:
            return self._lost(str(error))
        if not found.response or found.address != self._address:
            return self._lost("an answer of another meter")
        return ApduReceived(found.apdu)

    def _lost(self, why: str) -> LinkDown:
        self._over = True
        self._inner.disconnect(now=self._now)
        return LinkDown("protocol", why)
