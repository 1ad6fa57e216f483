"""Associations with meters that are kept open from one question to the next.

To be let in costs as much line time as several questions. So whoever answered stays associated, on
a channel that is lent to one after the other; a meter that has forgotten us meanwhile says so, and
is asked anew to let us in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from openami.core.errors import (
    NotFoundError,
    OpenAmiError,
    RemoteProtocolError,
    SecurityError,
    StoreError,
    TransportTimeoutError,
)
from openami.core.identifiers import SystemTitle
from openami.dcu.discovery import greet
from openami.transport.clock import monotonic
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.dcu.headend import Credentials
    from openami.dcu.modem import Modem
    from openami.dcu.roster import Station
    from openami.transport.session import DlmsSession

    Opener = Callable[[Station], tuple[Credentials | None, tuple[str, str]]]

T = TypeVar("T")

_EXCEPTION: Final = "dlms.exception."

log = structlog.get_logger("dcu.upgrade")


class Associations:
    """Who lets us in, and stays open.

    Args:
        modem: the line; it must be open.
        credentials: what opens a station; where nothing does, why (``Roster.credentials``).
    """

    def __init__(self, modem: Modem, credentials: Opener) -> None:
        self._modem = modem
        self._credentials = credentials
        self._open: dict[str, DlmsSession] = {}

    async def ask(
        self,
        station: Station,
        work: Callable[[DlmsSession], Awaitable[T]],
        *,
        again: bool = True,
    ) -> T:
        """Do something in an association with a meter, which stays open.

        Args:
            station: the meter.
            work: what is done.
            again: whether it is done once more if the meter has forgotten us: only what may be
                done twice, for an answer could have been lost before.

        Raises:
            NotFoundError: nothing opens the meter.
            StoreError: invocation counters cannot be kept.
            ServiceRefusedError: the meter will not do it; the association still stands.
            TransportError: no answer.
            SecurityError, RemoteProtocolError: it does not let us in, or breaks the standard.
        """
        await asyncio.to_thread(station.counters.prepare)
        kept = self._open.pop(station.meter.serial, None)
        if kept is not None and kept.ready:
            kept.resume()
            try:
                return await self._within(station, kept, work)
            except OpenAmiError as error:
                if not (again and self._forgotten(error)):
                    raise
                log.debug("associated anew", meter=station.meter.serial, why=error.message)
                self.forget(station.meter.serial)
        return await self._within(station, await self._admitted(station), work)

    def forget(self, serial: str) -> None:
        """End a meter's association, if there is one, without a word."""
        session = self._open.pop(serial, None)
        if session is not None:
            session.drop()

    async def release(self, serial: str) -> None:
        """End a meter's association, if there is one."""
        session = self._open.pop(serial, None)
        if session is None:
            return
        if session.ready:
            session.resume()
            await session.close()
        session.drop()

    async def release_all(self) -> None:
        """End every association."""
        for serial in tuple(self._open):
            await self.release(serial)

    async def _within(
        self, station: Station, session: DlmsSession, work: Callable[[DlmsSession], Awaitable[T]]
    ) -> T:
        channel, began = session.channel, monotonic()
        before = channel.sent_octets + channel.received_octets
        try:
            found = await work(session)
            octets = channel.sent_octets + channel.received_octets - before
            self._modem.learn(octets, monotonic() - began)
            return found
        finally:
            if session.ready:
                session.pause()
                self._open[station.meter.serial] = session
            else:  # it is over, or we were cancelled while an answer was awaited
                session.drop()

    def _forgotten(self, error: OpenAmiError) -> bool:
        """Tell whether the meter said that there is no association, or none as we know it."""
        if isinstance(error, ServiceRefusedError):
            return error.code.startswith(_EXCEPTION)
        return self._modem.up and not isinstance(error, TransportTimeoutError | StoreError)

    async def _admitted(self, station: Station) -> DlmsSession:
        """Return a new association; who refuses us is asked for the counter that it wants."""
        found, (code, why) = self._credentials(station)
        if found is None:
            raise NotFoundError(why, code=code)
        try:
            return await self._associate(station, found)
        except (SecurityError, RemoteProtocolError) as error:
            log.info("refused", meter=station.meter.serial, code=error.code)
        await self._greet(station)
        return await self._associate(station, found)

    async def _associate(self, station: Station, credentials: Credentials) -> DlmsSession:
        title = SystemTitle.parse(station.meter.system_title or "")
        session = self._modem.management(
            station.meter.address, credentials, station.counters, title
        )
        try:
            await session.open()
        except OpenAmiError:
            await session.close()
            raise
        except BaseException:
            session.drop()
            raise
        return session

    async def _greet(self, station: Station) -> None:
        async with self._modem.public(station.meter.address) as session:
            greeting = await greet(session)
        if greeting.serial != station.meter.serial:
            raise RemoteProtocolError(
                f"{greeting.serial} answers in its place", code="meter.replaced"
            )
        if greeting.counter is not None and station.counters.resume(greeting.counter + 1):
            await asyncio.to_thread(station.counters.prepare)
