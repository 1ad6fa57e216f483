"""One visit to one meter: its clock, its load profile, its registers, its events; as far as due.

What a visit brings is stored before its cursors move on: they are what is stored. A meter that was
visited half is visited again from where the store ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from openami.c1222.tables import Procedure, ProcedureRequest, Result
from openami.core.errors import DecodeError, OpenAmiError
from openami.fleet.collection import ClockAction, decide, measure
from openami.headend.c1222 import harvest
from openami.headend.c1222.errors import LayoutError
from openami.headend.c1222.models import (
    CLOCK,
    KIND_OCTETS,
    NAMEPLATE,
    PROFILE,
    PROFILE_STATUS,
    REGISTERS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.clock import Clock
    from openami.fleet.collection import ClockReading, ClockRule
    from openami.headend.c1222.harvest import Shown
    from openami.headend.c1222.models import Model, Models
    from openami.headend.c1222.talk import Talk

DAY_S: Final = 86_400
PART_OCTETS: Final = 32 * 1024
"""Of one message, so that a slow line's other meters get their turn: a week of four channels."""
PARTS: Final = 64
"""Messages of one visit: a meter whose table turns over meanwhile is left after that."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cursors:
    """How far a meter is stored: seconds UTC of the last interval and registers, and its log."""

    interval: int | None = None
    registers: int | None = None
    events: int | None = None


@dataclass(slots=True)
class Report:
    """What a visit brought, good up to where it ended.

    Attributes:
        model: how the meter is made.
        serial: what it calls itself.
        readings: tables of readings.
        events: tables of events.
        reached: how far the meter is stored once all of this is.
        offset_s: how far ahead its clock is.
        fault: what went wrong with a part of it: code and message.
        again: when it should be visited anew, before its next turn.
    """

    model: Model | None = None
    serial: str = ""
    readings: list[pa.Table] = field(default_factory=list)
    events: list[pa.Table] = field(default_factory=list)
    reached: Cursors = Cursors()
    offset_s: float | None = None
    fault: tuple[str, str] | None = None
    again: float | None = None


class Visit:
    """Visits one meter.

    Args:
        talk: to the meter.
        meter: its serial number.
        models: what is known of kinds of meters.
        clock: the time of meters.
        rule: when clocks are set; None: never.
        cursors: how far the meter is stored.
        history: seconds to go back in a profile of which nothing is stored.
    """

    def __init__(
        self,
        talk: Talk,
        meter: str,
        models: Models,
        *,
        clock: Clock,
        rule: ClockRule | None,
        cursors: Cursors,
        history: int,
    ) -> None:
        self._talk = talk
        self._meter = meter
        self._models = models
        self._clock = clock
        self._rule = rule
        self._cursors = cursors
        self._history = history
        self.report = Report(reached=cursors)

    async def run(self, model: Model | None) -> Report:
        """Visit the meter; ``model``: how it was made last time.

        Raises:
            OpenAmiError: it does not answer, or not as it should; ``report`` has what came before.
        """
        try:
            await self._all(model)
        except (DecodeError, LayoutError):
            if model is None:
                raise
            # It may be made otherwise now: learn it anew, once.
            self.report = Report(reached=self._cursors)
            await self._all(None)
        return self.report

    async def _all(self, known: Model | None) -> None:
        model = known or await self._models.learn(self._talk)
        self.report.model = model
        nameplate, reading, shown = await self._look(model)
        if nameplate[:KIND_OCTETS] != model.kind:
            raise LayoutError("it has another firmware than it had")
        self.report.serial = str(model.tables.decode(NAMEPLATE, nameplate)["MFG_SERIAL_NUMBER"])
        if model.profile is not None:
            await self._profile(model, shown)
        if model.has(REGISTERS):
            await self._registers(model, shown)
        if model.log is not None:
            await self._events(model, shown)
        await self._set_clock(model, reading, shown)

    async def _look(self, model: Model) -> tuple[bytes, ClockReading, Shown]:
        """Ask who it is, and measure its clock."""
        sent = self._clock.now()
        has_clock = model.has(CLOCK)
        nameplate, *clock = await self._talk.read(NAMEPLATE, *((CLOCK,) if has_clock else ()))
        received = max(self._clock.now(), sent)
        middle = (sent + received) / 2
        if not clock:
            nothing = harvest.Shown(middle, 0, valid=True, local=None)
            return nameplate, measure(sent=sent, received=received, shown=middle), nothing
        shown = harvest.shown(model, clock[0], now=middle)
        reading = measure(sent=sent, received=received, shown=shown.moment, valid=shown.valid)
        self.report.offset_s = round(reading.offset_s, 2)
        return nameplate, reading, shown

    def _reach(self, **cursors: int) -> None:
        self.report.reached = replace(self.report.reached, **cursors)

    # Load profile

    async def _profile(self, model: Model, shown: Shown) -> None:
        """Read what has come since the last interval that is stored, the oldest first."""
        after = self._cursors.interval
        if after is None:
            after = int(self._clock.now()) - self._history
        (octets,) = await self._talk.read(PROFILE_STATUS)
        status = self._status(model, octets)
        left = self._blocks_wanted(model, status, shown, after)
        for _ in range(PARTS):
            if not left:
                return
            count = self._portion(model, left)
            found = await self._blocks(model, status, left, count)
            if found is None:  # the meter has gone on meanwhile: look where it is now
                (octets,) = await self._talk.read(PROFILE_STATUS)
                fresh = self._status(model, octets)
                left = min(left + _moved(status, fresh), fresh["NBR_VALID_BLOCKS"])
                status = fresh
                continue
            blocks, own = found
            table = harvest.intervals(model, self._meter, blocks, own, zone=shown.zone, after=after)
            if table.num_rows:
                self.report.readings.append(table)
                self._reach(interval=pc.max(table["time"].cast(pa.int64())).as_py())
            left -= count
        self.report.again = self._clock.now()

    @staticmethod
    def _status(model: Model, octets: bytes) -> Mapping[str, Any]:
        assert model.profile is not None
        status: Mapping[str, Any] = model.tables.decode(PROFILE_STATUS, octets)["SET1"]
        valid, last = status["NBR_VALID_BLOCKS"], status["LAST_BLOCK_ELEMENT"]
        if valid > model.profile.blocks or (valid and last >= model.profile.blocks):
            raise DecodeError(f"block {last} of {model.profile.blocks}")
        return status

    def _blocks_wanted(
        self, model: Model, status: Mapping[str, Any], shown: Shown, after: int
    ) -> int:
        """Return how many of the newest blocks may have what is not stored."""
        assert model.profile is not None
        valid: int = status["NBR_VALID_BLOCKS"]
        now = max(self._clock.now(), shown.moment)
        behind = max(0, int(now - after)) // max(model.period, 1)
        if not valid or not behind:
            return 0
        # The newest block may have a few intervals only; one more for what is on its way.
        return min(valid, behind // max(model.profile.intervals, 1) + 2)

    @staticmethod
    def _portion(model: Model, left: int) -> int:
        assert model.profile is not None
        return min(left, max(1, PART_OCTETS // max(model.profile.block_size, 1)))

    async def _blocks(
        self, model: Model, status: Mapping[str, Any], left: int, count: int
    ) -> tuple[bytes, Mapping[str, Any]] | None:
        """Return ``count`` blocks of the newest ``left``, the oldest first, and their status.

        None: the meter has begun a block, or ended an interval of these, while they were read.
        """
        profile = model.profile
        assert profile is not None
        last, size = status["LAST_BLOCK_ELEMENT"], profile.block_size
        newest = left == count
        elements = _ring(last, left, count, profile.blocks, down=status["FLAGS"]["ORDER"])
        parts = [(first * size, length * size) for first, length in elements]
        *cut, octets = await self._talk.parts(PROFILE, parts, PROFILE_STATUS)
        for part, (_, length) in zip(cut, parts, strict=True):
            if len(part) != length:
                raise DecodeError(f"{PROFILE}: {length} octets wanted, {len(part)} found")
        fresh = self._status(model, octets)
        moved = _moved(status, fresh)
        if moved or (newest and fresh["NBR_VALID_INT"] != status["NBR_VALID_INT"]):
            return None
        whole = [part[at : at + size] for part in cut for at in range(0, len(part), size)]
        if status["FLAGS"]["ORDER"]:
            whole.reverse()
        own = {
            **status,
            "FLAGS": {**status["FLAGS"], "ORDER": False},
            "NBR_VALID_BLOCKS": count,
            "LAST_BLOCK_ELEMENT": count - 1,
            "NBR_VALID_INT": status["NBR_VALID_INT"] if newest else profile.intervals,
        }
        return b"".join(whole), own

    # Registers and events

    async def _registers(self, model: Model, shown: Shown) -> None:
        last = self._cursors.registers
        if last is not None and int(shown.moment) // DAY_S <= last // DAY_S:
            return
        (octets,) = await self._talk.read(REGISTERS)
        table, _ = harvest.registers(model, self._meter, octets, at=int(shown.moment))
        if table.num_rows:
            self.report.readings.append(table)
            self._reach(registers=int(shown.moment))

    async def _events(self, model: Model, shown: Shown) -> None:
        """Read what has come since the last entry that is stored."""
        made = model.log
        assert made is not None
        known = self._cursors.events
        (octets,) = await self._talk.parts(made.table, [(0, made.head.size)])
        for _ in range(PARTS):
            head = harvest.log_head(made, octets)
            size, start = made.entry.size, made.head.size
            most = max(1, PART_OCTETS // max(size, 1))
            wanted, last = harvest.entries_wanted(made, head, known=known, most=most)
            if not wanted:
                return
            parts = [(start + first * size, count * size) for first, count in wanted]
            *entries, octets = await self._talk.parts(made.table, [*parts, (0, start)])
            if harvest.log_head(made, octets)["LAST_ENTRY_SEQ_NBR"] != head["LAST_ENTRY_SEQ_NBR"]:
                continue  # one more was written meanwhile, perhaps over what was to be read
            found = harvest.events(model, self._meter, entries, zone=shown.zone)
            self.report.events.append(found)
            self._reach(events=last)
            known = last

    # Clock

    async def _set_clock(self, model: Model, reading: ClockReading, shown: Shown) -> None:
        """Set the clock if the rule says so; whatever comes of it, the visit went well."""
        if self._rule is None or not model.has(CLOCK):
            return
        decision = decide(reading, now=self._clock.now(), rule=self._rule)
        match decision.action:
            case ClockAction.DEFER:
                self.report.again = decision.again
            case ClockAction.REFUSE:
                words = f"the clock is {reading.offset_s:.0f} s off: set it by hand"
                self.report.fault = ("meter.clock", words)
            case ClockAction.SET:
                await self._write_clock(model, reading, shown)
            case ClockAction.KEEP:
                pass

    async def _write_clock(self, model: Model, reading: ClockReading, shown: Shown) -> None:
        if not model.does(Procedure.SET_DATE_TIME):
            self.report.fault = ("meter.clock", "the clock is off, and it has no procedure 10")
            return
        moment = self._clock.now() + reading.round_trip_s / 2 + shown.zone
        request = set_clock(moment, utc=shown.zone == 0)
        try:
            answer = await self._talk.do(model.tables, request)
        except OpenAmiError as error:
            self.report.fault = ("meter.clock", f"the clock can not be set: {error.message}")
            return
        if answer.result not in {Result.DONE, Result.ACCEPTED}:
            self.report.fault = ("meter.clock", f"the clock can not be set: {answer.meaning}")
            return
        log.info("clock set", meter=self._meter, offset_s=round(reading.offset_s, 1))


def set_clock(moment: float, *, utc: bool) -> ProcedureRequest:
    """Return the procedure that sets a clock to what ``moment`` shows."""
    local = harvest.local(moment)
    qualifier = {
        "DAY_OF_WEEK": (local.weekday() + 1) % 7,
        "DST": False,
        "GMT": utc,
        "TM_ZN_APPLIED": not utc,
        "DST_APPLIED": False,
        "DST_SUPPORTED": False,
    }
    mask = {"SET_TIME": True, "SET_DATE": True, "SET_TIME_DATE_QUAL": False}
    return ProcedureRequest(
        Procedure.SET_DATE_TIME,
        0,
        {"SET_MASK": mask, "DATE_TIME": local, "TIME_DATE_QUAL": qualifier},
    )


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """Return how many blocks a meter has begun since."""
    moved: int = after["LAST_BLOCK_SEQ_NBR"] - before["LAST_BLOCK_SEQ_NBR"]
    return max(0, moved) or (before["LAST_BLOCK_ELEMENT"] != after["LAST_BLOCK_ELEMENT"])


def _ring(last: int, left: int, count: int, size: int, *, down: bool) -> list[tuple[int, int]]:
    """Return the elements of ``count`` blocks, as first and length, in the order of the table.

    They are the oldest of the newest ``left``, of a ring whose newest is ``last``. Where blocks
    stand newest first, the oldest of these is the highest.
    """
    if down:
        first = (last + left - count) % size
        head = min(count, size - first)
        return [(first, head)] + ([(0, count - head)] if count > head else [])
    return harvest.runs((last - (left - count)) % size, count, size)
