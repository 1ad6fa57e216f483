"""Asks a device on an optical port, a serial line or a modem: C12.18 and C12.21."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from openami.c1222.psem import (
    LinkParameters,
    Negotiate,
    Negotiated,
    PsemAnswered,
    PsemClient,
    PsemEvent,
    PsemServer,
)
from openami.c1222.services import (
    Done,
    Failure,
    Identified,
    Identify,
    Logon,
    Response,
    Security,
    Terminate,
)
from openami.core.errors import TransportError, TransportTimeoutError
from openami.transport.c1222.reader import expect
from openami.transport.driver import Driver
from openami.transport.serial import open_serial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.c1222.psem.services import PsemRequest
    from openami.core.clock import Clock
    from openami.transport.c1222.url import NodeUrl
    from openami.transport.channel import Channel

PACKET: Final = 1024
PACKETS: Final = 64
"""What is asked for: 64 KiB in a message, as every table of ours has fewer."""
USER: Final = b"openami"


class OpticalClient:
    """Asks one device; made by ``open_optical``.

    Args:
        driver: runs the machine on the line.
    """

    def __init__(self, driver: Driver[PsemEvent]) -> None:
        self._driver = driver

    async def ask(self, *requests: PsemRequest) -> tuple[Response, ...]:
        """Send requests one after another; return one response for each, in their order.

        Raises:
            TransportTimeoutError: ``c1222.unanswered``: the device does not answer.
            TransportError: the line is gone; or it damages what is sent: ``c1222.psem-nak``, ….
            LocalProtocolError: ``c1222.psem-size``: a request is too long for the line.
        """
        return tuple([await self._one(request) for request in requests])

    async def _one(self, request: PsemRequest) -> Response:
        machine = self._driver.machine
        assert isinstance(machine, PsemClient)
        machine.ask(request, now=self._driver.now())
        self._driver.pump()
        event = await self._driver.next_event()
        if isinstance(event, PsemAnswered):
            return event.response
        if event.code == "c1222.psem-silence":
            raise TransportTimeoutError(
                "the device does not answer",
                hint="wrong line, speed, or no device at the port",
                code="c1222.unanswered",
            )
        raise TransportError("the line damages what is sent", code=event.code)


@asynccontextmanager
async def optical_session(
    channel: Channel,
    *,
    user: int = 2,
    password: bytes | None = None,
    answer_s: float = 6.0,
    parameters: LinkParameters | None = None,
) -> AsyncIterator[OpticalClient]:
    """Give a session with the device at the other end of a line; it ends with the block.

    Raises:
        TransportError: see ``OpticalClient.ask``.
        SecurityError: ``c1222.isc``: the password is wrong.
        RemoteProtocolError: the device refuses the session.
    """
    machine = PsemClient(parameters, answer_s=answer_s)
    async with Driver[PsemEvent](machine, channel) as driver:
        client = OpticalClient(driver)
        try:
            await _begin(client, user, password)
            yield client
        finally:
            if not isinstance(sys.exception(), TransportError):  # else nobody hears it
                with suppress(TransportError):
                    await client.ask(Terminate())


async def _begin(client: OpticalClient, user: int, password: bytes | None) -> None:
    (named,) = await client.ask(Identify())
    expect(named, Identified, "Identify")
    (agreed,) = await client.ask(Negotiate(PACKET, PACKETS))
    if not isinstance(agreed, Failure):  # without it, messages are short
        expect(agreed, Negotiated, "Negotiate")
    (logged,) = await client.ask(Logon.of(user, USER, 0))
    expect(logged, Done, "Logon")
    if password is not None:
        (shown,) = await client.ask(Security.of(password))
        expect(shown, Done, f"the password of user {user}")


@asynccontextmanager
async def open_optical(
    url: NodeUrl, *, password: bytes | None = None, answer_s: float = 6.0
) -> AsyncIterator[OpticalClient]:
    """Give a session with the device at the serial line of a URL; see ``optical_session``.

    Raises:
        TransportError: the line can not be opened: ``transport.missing``, ….
    """
    mode = url.serial
    channel = open_serial(
        url.device,
        baud=mode.baud,
        parity=mode.parity,
        data_bits=mode.data_bits,
        stop_bits=mode.stop_bits,
    )
    try:
        async with optical_session(
            channel,
            user=url.user,
            password=password,
            answer_s=answer_s,
            parameters=LinkParameters(identity=url.identity),
        ) as client:
            yield client
    finally:
        channel.close()


async def serve_optical(channel: Channel, server: PsemServer, *, clock: Clock) -> None:
    """Serve a device on a line until it is closed."""
    await Driver(server, channel, now=clock.now).run()
