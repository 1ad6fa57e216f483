"""One client's way to one meter over the line: APDUs there and back, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from openami.core.errors import TransportError
from openami.dlms.link import ApduReceived, LinkDown, LinkUp
from openami.dlms.wrapper.packet import NOTIFICATIONS
from openami.transport.driver import Driver

if TYPE_CHECKING:
    from openami.dcu.modem import Modem
    from openami.dlms.link import LinkEvent

E = TypeVar("E", LinkUp, ApduReceived)

_UNASKED: Final = frozenset(bytes([tag]) for tag in NOTIFICATIONS)


class Passage:
    """A data link of its own, which stays between exchanges while others use the line.

    Args:
        modem: the line.
        address: the meter's station.
        client: the client's SAP.

    Raises:
        LineLostError: the line is gone.
    """

    def __init__(self, modem: Modem, address: int, client: int) -> None:
        self.modem = modem
        self.address = address
        self._link, channel = modem.link(address, client)
        self._driver: Driver[LinkEvent] = Driver(self._link, channel)
        self._up = False

    async def exchange(self, apdu: bytes) -> bytes:
        """Return what the meter answers; nothing else may use the line meanwhile.

        Raises:
            TransportError: it does not answer, or the line broke: this passage is over.
        """
        self._driver.start()
        try:
            if not self._up:
                self._link.connect(now=self._driver.now())
                await self._wait(LinkUp)
                self._up = True
            self._link.send(apdu, now=self._driver.now())
            while True:
                answer = await self._wait(ApduReceived)
                if answer.apdu[:1] not in _UNASKED:
                    return answer.apdu
        finally:
            self._driver.pause()

    def drop(self) -> None:
        """End without a word: the meter forgets the client in time, or when it comes again."""
        self._driver.stop()
        self._link.receive_eof(now=self._driver.now())

    async def _wait(self, kind: type[E]) -> E:
        self._driver.pump()
        while True:
            event = await self._driver.next_event()
            if isinstance(event, kind):
                return event
            if isinstance(event, LinkDown):
                raise TransportError(f"the link to the meter: {event.code}", code="gateway.link")
