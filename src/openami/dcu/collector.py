"""The line's task: one conversation after another with the meters on one shared line.

What to do next is decided by ``openami.fleet.collection.Line``; what comes of it goes through the
``Gatherer`` into the spool. Nothing here needs the head-end: while it is away the line is read on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import OpenAmiError, SecurityError, StoreFullError, TransportError
from openami.dcu.discovery import greet
from openami.dcu.errand import Errand, ReplacedError
from openami.dcu.modem import LineLostError
from openami.dcu.rounds import Rounds
from openami.dcu.schedule import addresses, make_rules
from openami.dcu.visit import Visit
from openami.fleet.collection import Moment, Probe, Rest
from openami.fleet.collection import Visit as Turn
from openami.transport.clock import speed_of

if TYPE_CHECKING:
    from openami.dcu.discovery import Greeting
    from openami.dcu.headend import Credentials
    from openami.dcu.roster import Station
    from openami.dcu.rounds import Ended
    from openami.dcu.settings import DcuSettings
    from openami.dcu.surroundings import Surroundings
    from openami.fleet.collection import Step

# Visits in a row without an answer, before the line itself is opened anew: a modem that lost its
# power leaves a connection that looks alive.
SILENT_MOST: Final = 5

# How soon a full spool is looked at again, in real seconds: an upload empties it.
ROOM_S: Final = 1.0

# Of the line's time, between two addresses: as long as a turn takes at most.
AFTER_PROBE_S: Final = 5.0

# How soon a meter is looked at again that is away for a while, unless it is said to be back.
AWAY_LOOK_S: Final = 15.0

# A rest ends after this long at the latest, since the DCU's clock may be set meanwhile.
REST_MOST_S: Final = 60.0

log = structlog.get_logger("dcu.line")


class Collector:
    """Visits the meters of a line, and looks for new ones."""

    def __init__(self, settings: DcuSettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._rules = make_rules(settings)
        self._silent = 0
        self.rounds = Rounds(around.line, addresses(settings))
        self.nudge = asyncio.Event()
        """Set it when there is something new to do."""
        self.paused = False
        """Nothing is read, because there is no room for it."""

    def accept(self, job: str) -> None:
        """Take a new on-demand read from the board."""
        board = self._around.board
        work = board.get(job)
        if work is None:
            return
        if work.kind != "read":
            board.failed(job, "job.kind", f"no job of the kind {work.kind[:40]}")
        elif self._around.line.demand(job, work.meter):
            self.nudge.set()
        else:
            board.failed(job, "meter.unknown", "no such meter is on this line")

    def collect(self) -> Ended:
        """Read every meter now, not only what is due; over when all that came is in the spool."""
        self.nudge.set()
        return self.rounds.sweep(self._moment())

    def discover(self) -> Ended:
        """Search the line for meters now."""
        self.nudge.set()
        return self.rounds.search()

    async def run(self) -> None:
        """Work until the DCU ends; the visit in hand is finished, and what it brought is kept."""
        around = self._around
        try:
            while not around.stop:
                if await self._ready():
                    self.nudge.clear()
                    await around.let_displays_in()
                    if (step := self._next()) is None:
                        await around.stop.sleep(ROOM_S)
                    else:
                        await self._do(step)
                over = self.rounds.over
                if await around.gatherer.flush(ripe_only=not over) and over:
                    self.rounds.end()
            await self._take_back()
            await around.gatherer.flush()
        finally:
            around.modem.close()

    def _next(self) -> Step | None:
        """Return what to do now: without room for readings what is urgent alone, if anything is."""
        line, moment = self._around.line, self._moment()
        return line.urgent(moment) if self.paused else line.next(moment)

    def _moment(self) -> Moment:
        return Moment(self._around.clock.now(), self._around.tick())

    async def _ready(self) -> bool:
        """Tell whether there is a line; wait a while if not."""
        around = self._around
        self._drop_overdue_jobs()
        paused = around.gatherer.full and not await self._make_room()
        if paused != self.paused:
            self.paused = paused
            log.warning("no room: nothing is read" if paused else "there is room again")
            around.news()
        try:
            await around.modem.open()
        except TransportError as error:
            wait = around.patience.failed()
            log.warning("no line", error=error.message, code=error.code, wait_s=round(wait, 1))
            await around.stop.sleep(wait)
            return False
        return True

    async def _make_room(self) -> bool:
        await self._around.gatherer.flush()
        return not self._around.gatherer.full

    def _drop_overdue_jobs(self) -> None:
        for job in self._around.board.overdue():
            self._fail_job(job, "line.down", "the line was not free in time")

    def _fail_job(self, job: str, code: str, message: str) -> None:
        self._around.line.withdraw(job)
        self._around.board.failed(job, code, message)

    async def _do(self, step: Step) -> None:
        match step:
            case Turn():
                await self._visit(step)
            case Probe(address):
                await self._probe(address)
                await self._lend(AFTER_PROBE_S)  # where addresses are probed without a rest
            case Rest():
                await self._rest(step)

    async def _rest(self, rest: Rest) -> None:
        """Do nothing until something is due, or is told."""
        around = self._around
        now = self._moment()
        waits = [REST_MOST_S]
        if rest.wall is not None:
            waits.append((rest.wall - now.wall) / speed_of(around.clock))
        if rest.tick is not None:
            waits.append(rest.tick - now.tick)
        again = await self._lend(max(min(waits), 0.0))
        if (ripe_at := around.gatherer.ripe_at) is not None:
            again = min(again, max(ripe_at - around.tick(), 0.0))
        await around.stop.sleep(again, self.nudge)

    async def _lend(self, seconds: float) -> float:
        """Let the line be used until it is needed; return how long there is nothing to do then."""
        guest = self._around.guest
        if guest is None or self.nudge.is_set() or not self._around.modem.up:
            return seconds
        try:
            return min(seconds, await guest.use(seconds))
        except LineLostError:
            await self._lost()
            return 0.0

    async def _take_back(self, serial: str | None = None) -> None:
        """Have the line for metering; that it is lost shows with what is done next."""
        guest = self._around.guest
        if guest is not None and self._around.modem.up:
            with suppress(LineLostError):
                await guest.leave(serial)

    async def _lost(self) -> None:
        """Wait before the line is opened anew: that it broke is no meter's fault."""
        around = self._around
        around.modem.close()
        wait = around.patience.failed()
        log.warning("the line is lost", wait_s=round(wait, 1))
        await around.stop.sleep(wait)

    # Looking for meters

    async def _probe(self, address: int) -> None:
        around = self._around
        greeting = await self._greet(address)
        if greeting is not None:
            await self._found(address, greeting)
        if around.modem.up:
            around.line.probed(address, self._moment())
            self.rounds.probed(address)
        else:
            await self._lost()

    async def _greet(self, address: int) -> Greeting | None:
        """Return who answers at an address; None if nobody does, or nobody can be understood."""
        modem = self._around.modem
        try:
            return await self._ask(address, probe=True)
        except OpenAmiError as error:
            if not modem.heard:
                self._around.roster.conflicts.pop(address, None)
                return None
            log.debug("something was heard", address=address, error=error.message)
        try:
            return await self._ask(address, probe=False)
        except OpenAmiError as error:
            if modem.up and modem.heard:
                log.warning("not understood", address=address, code=error.code, error=error.message)
                self._around.roster.conflicts[address] = error.message
            return None

    async def _ask(self, address: int, *, probe: bool) -> Greeting:
        async with self._around.modem.public(address, probe=probe) as session:
            return await greet(session)

    async def _found(self, address: int, greeting: Greeting) -> None:
        around = self._around
        if not around.roster.belongs(greeting.serial):
            log.debug("not a meter of ours", meter=greeting.serial, address=address)
            return
        known = around.roster.get(greeting.serial)
        if known is not None and known.meter.address != address and await self._still_there(known):
            log.warning("a serial number at two addresses", meter=greeting.serial,
                        addresses=[known.meter.address, address])  # fmt: skip
            around.roster.conflicts[address] = f"{greeting.serial} is elsewhere too"
            return
        around.roster.conflicts.pop(address, None)
        free_at = around.tick() + self._settings.introduction_s
        await around.roster.enrol(address, greeting, free_at=free_at)
        log.info("meter found", meter=greeting.serial, address=address, model=greeting.model)
        around.news()

    async def _still_there(self, station: Station) -> bool:
        try:
            greeting = await self._ask(station.meter.address, probe=False)
        except OpenAmiError:
            return False
        return greeting.serial == station.meter.serial

    # Visiting them

    async def _visit(self, turn: Turn) -> None:
        around = self._around
        self.rounds.begin()
        station = around.roster.get(turn.serial)
        if station is None:
            around.line.forget(turn.serial)
            return
        if around.guest is not None and around.guest.away(turn.serial) and not turn.jobs:
            around.line.spare(turn.serial, until=around.tick() + AWAY_LOOK_S)
            return
        await self._take_back(turn.serial)
        credentials, why = around.roster.credentials(station)
        if credentials is None:
            self._refused(turn, station, *why)
            return
        try:
            await asyncio.to_thread(station.counters.prepare)
        except StoreFullError:
            around.gatherer.refuse()
            await around.stop.sleep(ROOM_S)
            return
        await self._associate(turn, station, credentials)
        self.rounds.after(self._moment())

    async def _associate(self, turn: Turn, station: Station, credentials: Credentials) -> None:
        around = self._around
        jobs = [work for job in turn.jobs if (work := around.board.get(job)) is not None]
        carrier = around.carrier(station)
        visit = Visit(
            around.modem,
            Errand(station, credentials, turn.subjects, jobs, carrier),
            rules=self._rules,
            clock=around.clock,
            board=around.board,
        )
        began = self._moment()
        error: OpenAmiError | None = None
        try:
            async with asyncio.timeout(self._settings.visit_timeout_s):
                await visit.run()
        except TimeoutError:
            error = TransportError("the visit took too long", code="meter.too-slow")
        except OpenAmiError as problem:
            error = problem
        self._take(station, visit)
        await self._conclude(turn, station, visit, began, error)
        around.settle(turn.serial, carrier)
        if visit.report.meter != station.meter:
            station.meter = visit.report.meter
            await around.roster.keep(station)

    def _take(self, station: Station, visit: Visit) -> None:
        """Take what a visit brought, however it ended."""
        report = visit.report
        self._around.gatherer.add(report.harvest)
        serial = station.meter.serial
        station.moved_on({p: t for (m, p), t in report.harvest.cursors.items() if m == serial})
        if report.harvest.cursors:
            station.last_read = self._around.clock.now()
        if report.offset_s is not None:
            station.clock_offset_s = report.offset_s

    async def _conclude(
        self,
        turn: Turn,
        station: Station,
        visit: Visit,
        began: Moment,
        error: OpenAmiError | None,
    ) -> None:
        around = self._around
        if error is None:
            self._went_well(turn, station, visit, began)
        elif not around.modem.up:
            await self._lost()
        elif isinstance(error, StoreFullError):
            around.gatherer.refuse()
        elif isinstance(error, ReplacedError):
            await self._replaced(turn, station, error)
        elif isinstance(error, SecurityError):
            self._refused(turn, station, error.code, error.message)
        else:
            self._failed(turn, station, error, outcomes=visit.report.outcomes)

    def _went_well(self, turn: Turn, station: Station, visit: Visit, began: Moment) -> None:
        around = self._around
        self._silent = 0
        around.patience.succeeded()
        station.last_visit = self._around.clock.now()
        station.wary = False
        station.fault = visit.report.fault
        around.roster.wanting.discard(turn.serial)
        # An entry that was made while the visit went on may not have come: it is due at once.
        around.line.visited(turn, began, visit.report.outcomes)
        self.rounds.visited(turn.serial, good=True)
        for job in turn.jobs:
            around.line.withdraw(job)

    def _failed(
        self,
        turn: Turn,
        station: Station,
        error: OpenAmiError,
        *,
        refused: bool = False,
        outcomes: Any = None,
    ) -> None:
        around = self._around
        self.rounds.visited(turn.serial, good=False)
        station.wary = True
        station.fault = (error.code, error.message)
        wait = around.line.failed(
            turn.serial, self._moment(), jitter=around.chance(), refused=refused, outcomes=outcomes
        )
        log.warning("visit failed", meter=turn.serial, address=turn.address, code=error.code,
                    error=error.message, wait_s=round(wait, 1))  # fmt: skip
        for job in turn.jobs:
            self._fail_job(job, error.code, error.message)
        if isinstance(error, TransportError):
            self._count_silence()

    def _count_silence(self) -> None:
        self._silent += 1
        if self._silent >= SILENT_MOST:
            log.warning("nobody answers: the line is opened anew")
            self._silent = 0
            self._around.modem.close()

    def _refused(self, turn: Turn, station: Station, code: str, message: str) -> None:
        """Ask the head-end for other credentials, and try the meter again meanwhile."""
        around = self._around
        self._failed(turn, station, SecurityError(message, code=code), refused=True)
        if turn.serial not in around.roster.wanting:
            around.roster.wanting.add(turn.serial)
            around.news()

    async def _replaced(self, turn: Turn, station: Station, error: ReplacedError) -> None:
        around = self._around
        log.warning("meter replaced", address=turn.address, before=turn.serial,
                    now=error.greeting.serial if error.greeting else None)  # fmt: skip
        for job in turn.jobs:
            self._fail_job(job, error.code, error.message)
        await around.roster.drop(station.meter.serial)
        if error.greeting is not None:
            await self._found(turn.address, error.greeting)
