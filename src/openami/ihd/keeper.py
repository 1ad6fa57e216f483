"""Keeps the link to the meter: opens it, follows it, opens it again, and says how it stands."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from openami.core.backoff import backoff
from openami.core.clock import isoformat
from openami.core.errors import OpenAmiError, TransportError
from openami.ihd.pairing import Pairing
from openami.transport.clock import monotonic
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from openami.core.clock import Clock
    from openami.dlms.home import Live
    from openami.ihd.pairing import PairingFile
    from openami.transport.home import HomeLink

    Connect = Callable[[Pairing, Callable[[int], None]], AbstractAsyncContextManager[HomeLink]]

log = structlog.get_logger(__name__)

FIRST_S: Final = 1.0
"""Seconds until the first try after a link was lost."""
MOST_S: Final = 60.0
"""Seconds between two tries at most: a meter that comes back is found within a minute."""

REFUSED: Final = 4
"""Readings refused one after another for which a link is not given up."""

CONNECTED: Final = "connected"
LOST: Final = "lost"
PAIRING: Final = "pairing"
UNPAIRED: Final = "unpaired"
FORGOTTEN: Final = "home.forgotten"
"""Code of why a display is unpaired: its meter refuses the keys that it once gave."""
FORGOTTEN_S: Final = 3600.0
"""Seconds until such a meter is asked again: it notes each time that it was asked with wrong keys,
and who only pretends to be it must not end the pairing for good."""
_REFUSED: Final = "association.authentication-failure"


class Follower(Protocol):
    """What is done with a link."""

    async def connected(self, link: HomeLink) -> None:
        """Begin with a link that has just been opened; OpenAmiError: nothing can be done."""
        ...

    def saw(self, live: Live) -> None:
        """Take a push."""
        ...

    def lost(self) -> None:
        """Take that pushes come no more."""
        ...

    def errands(self, link: HomeLink) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside the pushes as long as the link is open, and ends never."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """How the link stands.

    Attributes:
        state: ``CONNECTED``, ``LOST``, ``PAIRING`` or ``UNPAIRED``.
        since: seconds UTC, by the meter's clock.
        reason: why it is lost, or unpaired without having been told so, and the code of that.
    """

    state: str
    since: float
    reason: str | None = None
    code: str | None = None

    def shown(self, pairing: Pairing | None) -> dict[str, Any]:
        """Return it as the API gives it."""
        direct = pairing is None or pairing.target.direct
        return {
            "state": self.state,
            "since": isoformat(self.since),
            "reason": self.reason,
            "code": self.code,
            "way": "direct" if direct else "gateway",
        }


class Keeper:
    """Keeps one link.

    Args:
        connect: gives the link to a meter, with what keeps its counter.
        file: of the pairing.
        follower: what is done with the link.
        clock: the meter's.
        chance: gives 0 to 1, so that displays do not come back all at once.
        every_s: seconds between two readings through a gateway.

    Raises:
        ConfigError: the file is no pairing.
    """

    def __init__(
        self,
        connect: Connect,
        file: PairingFile,
        follower: Follower,
        *,
        clock: Clock,
        chance: Callable[[], float],
        every_s: float,
    ) -> None:
        self._connect = connect
        self._file = file
        self._follower = follower
        self._clock = clock
        self._chance = chance
        self._every_s = every_s
        self._again = asyncio.Event()
        self._link: HomeLink | None = None
        self._opened = 0.0
        self._task: asyncio.Task[None] | None = None
        self.pairing = file.read()
        state = UNPAIRED if self.pairing is None else LOST
        self.status = Status(state, clock.now())

    @property
    def link(self) -> HomeLink:
        """The link; TransportError ``home.lost``: there is none."""
        if self._link is None:
            reason = self.status.reason
            raise TransportError("the meter is not connected", hint=reason, code="home.lost")
        return self._link

    def keep(self, pairing: Pairing) -> None:
        """Keep a pairing in place of the one before, for the next link; StoreError."""
        self._file.keep(pairing)
        self.pairing = pairing
        self._tell(Status(LOST, self._clock.now()))

    def unpair(self) -> None:
        """Know no meter any more."""
        self._file.forget()
        self.pairing = None
        self.restart()

    @asynccontextmanager
    async def pairing_up(self) -> AsyncIterator[None]:
        """Say that a pairing is under way; afterwards, how the link stands, as before."""
        before = self.status
        self._tell(Status(PAIRING, self._clock.now()))
        try:
            yield
        finally:
            if self.status.state == PAIRING:
                self._tell(before)

    def restart(self) -> None:
        """End the link there is, and try at once."""
        self._again.set()
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Keep the link until cancelled."""
        failures = 0
        while True:
            self._again.clear()
            pairing = self.pairing
            if pairing is None:
                self._tell(Status(UNPAIRED, self._clock.now()))
                await self._again.wait()
                continue
            self._task = asyncio.create_task(self._follow(pairing))
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError:
                self._task.cancel()
                await asyncio.wait([self._task])
                raise
            stood = self.status.state == CONNECTED and monotonic() - self._opened > MOST_S
            failures = 1 if stood else failures + 1
            self._lost(self._task)
            pause = backoff(failures, first=FIRST_S, most=MOST_S, jitter=self._chance())
            if self.status.code == FORGOTTEN:
                pause = FORGOTTEN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._again.wait()

    def _lost(self, task: asyncio.Task[None]) -> None:
        self._link = None
        self._follower.lost()
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, OpenAmiError):
            raise error
        reason = "the meter closed the link" if error is None else error.message
        code = "transport.closed" if error is None else error.code
        if code == _REFUSED:
            self._forgotten()
            return
        if self.status.code in {code, FORGOTTEN} and self.status.state != CONNECTED:
            return  # since then
        since = self._clock.now() if self.status.state != LOST else self.status.since
        log.warning("meter lost", code=code, message=reason)
        self._tell(Status(LOST, since, reason, code))

    def _forgotten(self) -> None:
        log.warning("the meter does not know this display any more", code=FORGOTTEN)
        reason = "the meter does not know this display any more: pair it again"
        self._tell(Status(UNPAIRED, self._clock.now(), reason, FORGOTTEN))

    async def _follow(self, pairing: Pairing) -> None:
        """Follow one link until it is lost.

        Raises:
            OpenAmiError: why.
        """
        async with self._connect(pairing, partial(self._keep_counter, pairing)) as link:
            await self._follower.connected(link)
            self._link, self._opened = link, monotonic()
            tasks = [
                asyncio.ensure_future(each)
                for each in (self._live(link), *self._follower.errands(link))
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._link = None
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, link: HomeLink) -> None:
        refused = 0
        while True:
            try:
                async for live in link.lives(self._every_s):
                    refused = 0
                    self._take(link, live)
            except ServiceRefusedError:
                # A gateway whose line has no time now; the link stands.
                refused += 1
                if refused > REFUSED:
                    raise
                await asyncio.sleep(self._every_s)

    def _take(self, link: HomeLink, live: Live) -> None:
        self._follower.saw(live)
        if self.status.state != CONNECTED:
            log.info("meter connected", serial=link.serial)
            self._tell(Status(CONNECTED, self._clock.now()))

    def _keep_counter(self, pairing: Pairing, counter: int) -> None:
        """Keep the invocation counter that the next link begins with, before those below are used.

        It is a small file, once in some hundred requests: nobody waits for it long.
        """
        now = self.pairing
        if now is not None and now.paired.keys == pairing.paired.keys:  # else it is another's
            self.pairing = Pairing(now.target, now.paired.at(counter))
            self._file.keep(self.pairing)

    def _tell(self, status: Status) -> None:
        if (status.state, status.code) != (self.status.state, self.status.code):
            self.status = status
