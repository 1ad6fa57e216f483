"""The line: one channel to the modem, and associations with one meter after another on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import TransportError
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters
from openami.dlms.hdlc.turns import State
from openami.dlms.security import Keys
from openami.transport.connect import open_channel
from openami.transport.session import DlmsSession
from openami.transport.url import Carrier, MeterUrl

if TYPE_CHECKING:
    from openami.core.identifiers import SystemTitle
    from openami.dcu.headend import Credentials
    from openami.dcu.settings import DcuSettings
    from openami.dlms.cosem.security import InvocationCounters
    from openami.dlms.hdlc import LinkCounters
    from openami.transport.channel import Channel


# Octets of an exchange that tells how fast a line is: turning round takes little of it.
_ENOUGH: Final = 200
# Of what a faster exchange has shown, with each one since: a line may become slower.
_FORGETTING: Final = 0.98


class LineLostError(TransportError):
    """The way to the modem is gone: no meter's fault."""

    code = "line.lost"


@dataclass(slots=True)
class LineFigures:
    """What the line has carried since the start."""

    frames: int = 0
    errors: int = 0
    repeats: int = 0
    sessions: int = 0
    opened: int = 0


class Modem:
    """Opens the line and associations on it.

    Args:
        settings: of the DCU.
        title: the DCU's own system title.
    """

    def __init__(self, settings: DcuSettings, title: SystemTitle) -> None:
        self._settings = settings
        self.title = title
        self._url = MeterUrl.parse(settings.modem)
        self._channel: Channel | None = None
        self._links: dict[HdlcClientLink, LinkCounters] = {}
        self._link: HdlcClientLink | None = None
        self._learned = 0.0
        self.figures = LineFigures()

    @property
    def up(self) -> bool:
        """Whether the channel to the modem stands."""
        return self._channel is not None and not self._channel.closed

    @property
    def heard(self) -> bool:
        """Whether anything came, good or not, since the last session was made."""
        link = self._link
        return link is not None and bool(link.counters.received or link.counters.errors)

    @property
    def octet_rate(self) -> float:
        """Octets a second that the line carries, in real time; 0: nobody knows yet."""
        if self._settings.line_rate:
            return float(self._settings.line_rate)
        known = [rate for rate in (self._learned, self._serial_rate) if rate]
        return min(known, default=0.0)

    @property
    def _serial_rate(self) -> float:
        """Octets a second of a serial device, behind which the line may be slower."""
        mode = self._url.mode
        if self._url.carrier is not Carrier.SERIAL:
            return 0.0
        return mode.baud / (1 + mode.data_bits + (mode.parity != "N") + mode.stop_bits)

    def learn(self, octets: int, seconds: float) -> None:
        """Take note of an exchange without a fault: the line is as fast as that at least.

        An exchange that had to wait for a meter, or was repeated, shows less than the line can.
        """
        if octets >= _ENOUGH and seconds > 0:
            self._learned = max(octets / seconds, self._learned * _FORGETTING)

    async def open(self) -> None:
        """Open the channel unless it stands; raises ``TransportError``."""
        if not self.up:
            self._channel = await open_channel(self._url)
            self.figures.opened += 1

    def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def public(self, address: int, *, probe: bool = False) -> DlmsSession:
        """Return a session of the client that needs no credentials, not yet open.

        ``probe``: ask once and wait shortly for whether anybody is there.
        """
        settings = self._settings
        config = ClientConfig(
            max_pdu=settings.pdu_octets, timeout=settings.visit_timeout_s, release=False
        )
        parameters = self._parameters()
        if probe:
            parameters = replace(parameters, response_timeout=settings.probe_timeout_s, retries=0)
        return self._session(address, settings.public_client, config, parameters)

    def management(
        self,
        address: int,
        credentials: Credentials,
        counters: InvocationCounters,
        meter: SystemTitle,
    ) -> DlmsSession:
        """Return a session of the client that may do everything, not yet open."""
        config = ClientConfig(
            mechanism=Mechanism.HLS_GMAC,
            keys=Keys(guek=credentials.guek, gak=credentials.gak),
            title=self.title,
            security=SecurityLevel.BOTH,
            server_title=meter,
            max_pdu=self._settings.pdu_octets,
            timeout=self._settings.visit_timeout_s,
            release=False,  # disconnecting the link ends the association too, a round trip sooner
        )
        return self._session(address, credentials.client, config, self._parameters(), counters)

    def link(
        self, address: int, client: int, parameters: HdlcParameters | None = None
    ) -> tuple[HdlcClientLink, Channel]:
        """Return a data link of a client to a meter, not yet up, and the channel to run it on.

        Raises:
            LineLostError: the line is gone.
        """
        if self._channel is None or self._channel.closed:
            raise LineLostError("the line to the modem is down")
        server = HdlcAddress(self._settings.logical_device, address, self._settings.address_octets)
        link = HdlcClientLink(client, server, parameters or self._parameters())
        self._count(link)
        return link, self._channel

    async def say(self, frame: bytes) -> None:
        """Put a frame on the line that nobody answers; return when the line has carried it.

        Raises:
            LineLostError: the line is gone.
        """
        channel = self._channel
        if channel is None or channel.closed:
            raise LineLostError("the line to the modem is down")
        channel.write(frame)
        self.figures.frames += 1
        await channel.drain()
        if self.octet_rate:
            await asyncio.sleep(len(frame) / self.octet_rate)

    def _parameters(self) -> HdlcParameters:
        settings = self._settings
        return HdlcParameters(
            max_info_tx=settings.frame_octets,
            max_info_rx=settings.frame_octets,
            window_tx=settings.window,
            window_rx=settings.window,
            response_timeout=settings.response_timeout_s,
            retries=settings.retries,
        )

    def _session(
        self,
        address: int,
        client: int,
        config: ClientConfig,
        parameters: HdlcParameters,
        counters: InvocationCounters | None = None,
    ) -> DlmsSession:
        link, channel = self.link(address, client, parameters)
        return DlmsSession(channel, link, config, counters=counters)

    def _count(self, link: HdlcClientLink) -> None:
        """Add up what links have seen since the last time; the one in use comes with the next."""
        figures = self.figures
        for old, before in self._links.items():
            now = old.counters
            figures.frames += now.received - before.received + now.sent - before.sent
            figures.errors += now.errors - before.errors
            figures.repeats += now.repeats - before.repeats
        # A link that stands may be one of those that others keep.
        kept = {old: old.counters for old in self._links if old.state is not State.DOWN}
        self._links = kept | {link: link.counters}
        self._link = link
        figures.sessions += 1
