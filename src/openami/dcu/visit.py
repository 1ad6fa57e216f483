"""One visit to one meter: associate once, do everything that is due, release.

The meter is let in only as itself: its serial number is the first thing asked for. What refuses
us is asked as the public client who it is and which invocation counter it wants, and then tried
once more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import (
    DecodeError,
    OpenAmiError,
    RemoteProtocolError,
    SecurityError,
    TransportError,
)
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dcu.buffers import LayoutError
from openami.dcu.discovery import SERIAL, greet, serial_of
from openami.dcu.errand import Errand, RefusedError, ReplacedError, Report, Shown
from openami.dcu.known import Layout
from openami.dcu.layouts import MAX_AGE_S, read_layout
from openami.dcu.ondemand import do_job
from openami.dcu.reading import ProfileReader, Situation
from openami.dcu.schedule import CLOCK
from openami.dlms.client import GetList
from openami.dlms.data import octets
from openami.dlms.datetime import NO_DEVIATION, NO_STATUS, ClockStatus, CosemDateTime
from openami.dlms.references import AttributeRef
from openami.dlms.results import DataAccessResult
from openami.fleet.collection import ClockAction, Known, Outcome, decide, measure
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.dcu.jobs import JobBoard
    from openami.dcu.modem import Modem
    from openami.dcu.schedule import Rules
    from openami.dlms.client import GetAttribute, Item
    from openami.fleet.collection import ClockReading, Window
    from openami.transport.session import DlmsSession

CLOCK_TIME: Final = AttributeRef(8, Obis.parse(CLOCK), 2)

# Refusals that a fresh invocation counter, or another meter at the address, may explain.
_EXCEPTION: Final = "dlms.exception."

log = structlog.get_logger("dcu.visit")


class Visit:
    """Carries one errand out.

    Args:
        modem: the line.
        errand: what for.
        rules: that hold for every visit.
        clock: the DCU's.
        board: where on-demand reads are answered.

    Attributes:
        report: what came of it; good also after ``run`` has raised.
    """

    def __init__(
        self, modem: Modem, errand: Errand, *, rules: Rules, clock: Clock, board: JobBoard
    ) -> None:
        self._modem = modem
        self._errand = errand
        self._rules = rules
        self._clock = clock
        self._board = board
        self._deviation = rules.deviation(clock.now())
        self._dst = False
        self._wall = clock.now()
        self._readers: dict[str, ProfileReader] = {}
        self.report = Report(errand.station.meter)

    async def run(self) -> None:
        """Visit the meter.

        Raises:
            ReplacedError: another one is there.
            RefusedError: it does not let us in.
            TransportError: it does not answer, or the line broke.
            RemoteProtocolError: it breaks the standard.
        """
        if self._errand.station.wary:
            await self._greet_warily()
        try:
            await self._associate()
        except (SecurityError, RemoteProtocolError) as error:
            if self._errand.station.wary or not _refusal(error) or self.report.outcomes:
                raise _named(error) from error
            log.info("refused", meter=self._serial, code=error.code)
            await self._greet()
            await self._again()

    async def _greet_warily(self) -> None:
        """Greet a meter that failed; one that tells strangers nothing may still know us."""
        try:
            await self._greet()
        except (SecurityError, RemoteProtocolError) as error:
            log.info("no greeting", meter=self._serial, code=error.code)

    async def _again(self) -> None:
        try:
            await self._associate()
        except (SecurityError, RemoteProtocolError) as error:
            raise _named(error) from error

    @property
    def _serial(self) -> str:
        return self._errand.station.meter.serial

    async def _greet(self) -> None:
        """Ask who is there, and which invocation counter it wants."""
        async with self._modem.public(self._errand.station.meter.address) as session:
            greeting = await greet(session)
        if greeting.serial != self._serial:
            raise ReplacedError(greeting)
        self.report.meter = greeting.update(self.report.meter)
        counters = self._errand.station.counters
        # The object shows the last counter or the next one, as the maker understood the standard.
        if greeting.counter is not None and counters.resume(greeting.counter + 1):
            log.info("invocation counter taken from the meter", meter=self._serial)
            await asyncio.to_thread(counters.prepare)

    async def _associate(self) -> None:
        errand = self._errand
        title = SystemTitle.parse(self.report.meter.system_title or "")
        session = self._modem.management(
            errand.station.meter.address, errand.credentials, errand.station.counters, title
        )
        async with session:
            reading = await self._look(session)
            await self._carry(session, reading, urgent=True)
            for work in errand.jobs:
                await do_job(session, work, self._board, wall=self._clock.now())
            self._wall = self._clock.now()
            await self._foresee(session, reading)
            for subject in errand.subjects:
                await self._subject(session, subject, reading)
            await self._carry(session, reading, urgent=False)
            await self._set_clock(session, reading)

    async def _carry(self, session: DlmsSession, reading: ClockReading, *, urgent: bool) -> None:
        carrier = self._errand.carrier
        if carrier is not None and carrier.urgent == urgent:
            await carrier.carry(session, Shown(self._deviation, self._dst, reading.offset_s))

    # Who it is, and its clock

    async def _look(self, session: DlmsSession) -> ClockReading:
        """Make sure that it is our meter, and measure its clock."""
        sent = self._clock.now()
        serial, shown = await session.get_list([SERIAL, CLOCK_TIME])
        received = self._clock.now()
        told = serial_of(serial)
        if told is not None and told != self._serial:
            raise ReplacedError(None)
        return self._measure(shown, sent, max(received, sent))

    def _measure(self, item: Item, sent: float, received: float) -> ClockReading:
        middle = (sent + received) / 2
        try:
            shown = item.data.datetime()
            moment = shown.timestamp(self._deviation)
        except (DecodeError, ValueError):
            return measure(sent=sent, received=received, shown=middle, valid=not item.ok)
        if shown.deviation != NO_DEVIATION:
            self._deviation = shown.deviation
        self._dst = shown.dst
        valid = shown.status == NO_STATUS or not shown.status & ClockStatus.INVALID
        reading = measure(sent=sent, received=received, shown=moment, valid=valid)
        self.report.offset_s = round(reading.offset_s, 2)
        return reading

    async def _set_clock(self, session: DlmsSession, reading: ClockReading) -> None:
        """Set the clock if the rule says so; whatever comes of it, the visit went well."""
        if self._rules.clock is None:
            return
        decision = decide(reading, now=self._clock.now(), rule=self._rules.clock)
        match decision.action:
            case ClockAction.DEFER:
                self.report.outcomes[CLOCK] = Outcome(again=decision.again)
            case ClockAction.REFUSE:
                words = f"the clock is {reading.offset_s:.0f} s off: set it by hand"
                self.report.fault = ("meter.clock", words)
            case ClockAction.SET:
                await self._write_clock(session, reading)
            case ClockAction.KEEP:
                self.report.outcomes.setdefault(CLOCK, Outcome())

    async def _write_clock(self, session: DlmsSession, reading: ClockReading) -> None:
        moment = self._clock.now() + reading.round_trip_s / 2  # when the meter will read it
        value = CosemDateTime.from_utc(moment, self._deviation, dst=self._dst)
        try:
            await session.set(CLOCK_TIME, octets(value.encode()))
        except ServiceRefusedError as error:
            self.report.fault = ("meter.clock", f"the clock can not be set: {error.message}")
            return
        log.info("clock set", meter=self._serial, offset_s=round(reading.offset_s, 1))

    # Profiles and logs

    async def _foresee(self, session: DlmsSession, reading: ClockReading) -> None:
        """Ask in one request for what each profile has since its cursor."""
        self._readers.clear()
        windows: dict[str, Window] = {}
        requests: list[GetAttribute] = []
        for subject in self._errand.subjects:
            layout = self._kept_layout(subject)
            if subject == CLOCK or layout is None or not layout.columns:
                continue
            reader = self._readers[subject] = self._reader(session, subject, layout, reading)
            if (first := reader.foresee()) is not None:
                windows[subject] = first[0]
                requests.append(first[1])
        if len(requests) < 2:
            return
        answer = await session.request(GetList(tuple(requests)))
        for (subject, window), item in zip(windows.items(), answer.items, strict=True):
            if item.ok and item.raw is not None:  # else the reader asks, and is told why
                self._readers[subject].supply(window, item.raw)

    async def _subject(self, session: DlmsSession, subject: str, reading: ClockReading) -> None:
        """Read one subject; one that makes no sense costs no other."""
        if subject == CLOCK:
            self.report.outcomes.setdefault(CLOCK, Outcome())
            return
        try:
            self.report.outcomes[subject] = await self._read(session, subject, reading)
        except (ServiceRefusedError, DecodeError) as error:
            log.warning("not read", meter=self._serial, subject=subject, error=error.message)
            self.report.fault = (error.code, f"{subject}: {error.message}")
            self.report.outcomes[subject] = Outcome() if _passes(error) else self._nothing()

    def _nothing(self) -> Outcome:
        """Return the outcome of a subject that has nothing for us until it is due again."""
        return Outcome(cursor=int(self._clock.now()))

    async def _read(self, session: DlmsSession, subject: str, reading: ClockReading) -> Outcome:
        layout = await self._layout(session, subject)
        if layout is None:
            return self._nothing()
        try:
            return await self._read_rows(session, subject, layout, reading)
        except LayoutError:
            fresh = await self._layout(session, subject, fresh=True)
            if fresh is None:
                raise
            return await self._read_rows(session, subject, fresh, reading, fresh=True)

    async def _layout(
        self, session: DlmsSession, subject: str, *, fresh: bool = False
    ) -> Layout | None:
        """Return how a profile is made, as kept or as the meter says; None: it has none."""
        kept = None if fresh else self._kept_layout(subject)
        if kept is not None:
            return kept if kept.columns else None
        now = self._clock.now()
        found = await read_layout(session, subject, now=now)
        layouts = dict(self.report.meter.layouts)
        layouts[subject] = found or Layout(columns=(), read_at=now)
        self.report.meter = self.report.meter.model_copy(update={"layouts": layouts})
        return found

    def _kept_layout(self, subject: str) -> Layout | None:
        """Return a layout that was read lately; without columns: the meter has no such profile."""
        kept = self.report.meter.layouts.get(subject)
        lately = kept is not None and 0 <= self._clock.now() - kept.read_at < MAX_AGE_S
        return kept if lately else None

    async def _read_rows(
        self,
        session: DlmsSession,
        subject: str,
        layout: Layout,
        reading: ClockReading,
        *,
        fresh: bool = False,
    ) -> Outcome:
        reader = self._readers.pop(subject, None)
        if reader is None or reader.layout != layout:
            reader = self._reader(session, subject, layout, reading)
        reader.fresh = fresh
        await reader.read()
        self.report.fault = reader.fault or self.report.fault
        again = self._clock.now() if reader.more else None
        return Outcome(reader.cursor, again)

    def _reader(
        self, session: DlmsSession, subject: str, layout: Layout, reading: ClockReading
    ) -> ProfileReader:
        return ProfileReader(
            session=session,
            meter=self._serial,
            profile=subject,
            layout=layout,
            now=self._situation(layout, reading),
            known=self._errand.station.known.setdefault(subject, Known()),
            harvest=self.report.harvest,
            cursor=self._errand.station.cursors.get(subject),
            highest=self._errand.station.highest.get(subject),
            events=subject in self._rules.logs,
        )

    def _situation(self, layout: Layout, reading: ClockReading) -> Situation:
        rules, wall = self._rules, self._wall
        last = self._errand.station.last_visit
        short = 0 < layout.period <= rules.span
        return Situation(
            wall=wall,
            shown=wall + reading.offset_s,
            elapsed=rules.elapsed if last is None else max(0.0, wall - last),
            deviation=self._deviation,
            span=rules.span if short else _LONG_SPAN,
            rows=rules.rows,
            history=rules.history,
        )


# A daily profile's year, a log's, a month's billing of thirty years: some hundred rows each.
_LONG_SPAN: Final = 400 * 86_400


def _refusal(error: OpenAmiError) -> bool:
    return isinstance(error, SecurityError) or error.code.startswith(_EXCEPTION)


def _named(error: OpenAmiError) -> OpenAmiError:
    """Return the error that a visit ends with; what refuses us says so."""
    if not _refusal(error) or isinstance(error, TransportError):
        return error
    return RefusedError(error.message, code=error.code)


def _passes(error: OpenAmiError) -> bool:
    """Return whether a refusal is only for now, so that it is worth asking again soon."""
    return getattr(error, "result", None) is DataAccessResult.TEMPORARY_FAILURE
