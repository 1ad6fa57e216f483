"""The measuring part of a meter, as a state machine over time.

The world's time and the source are arguments of ``advance``; everything in between is exact
integer arithmetic, so the same calls always give the same meter, however time is cut up.

What holds at any moment: the values of a load profile's column since the meter's birth add up to
the register at its last capture, whatever was done to the clock or to the power in between.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from openami.metrology import capture, rows
from openami.metrology.clock import SECOND, MeterClock, micros
from openami.metrology.demand import averages
from openami.metrology.energy import Energy
from openami.metrology.events import TAMPERS, Alarm, Event, Ring, RowStatus
from openami.metrology.instant import Instant, instant
from openami.metrology.quality import ConverterWatch, VoltageWatch
from openami.metrology.recorder import Recorder
from openami.metrology.self_read import SelfRead
from openami.metrology.sources import NOTHING, Sample, Source
from openami.metrology.state import State, counters
from openami.metrology.zone import STATUS_INVALID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.metrology.adc.disturbances import QualityEvent
    from openami.metrology.config import EngineConfig
    from openami.metrology.energy import Channel
    from openami.metrology.memory import Row
    from openami.metrology.zone import Zone

FILL_LIMIT: Final = 30 * 86_400
"""Seconds of an outage that get rows of their own: half of the load profile, so that what was
measured before it can still be read after it."""

SYNCHRONISED: Final = 10
"""Seconds that a clock may be moved without the interval being marked: it stays valid within
about 1 %, the accuracy that IEC 62053-21 asks of the meter itself."""


class MeterEngine:
    """One meter's measurement. Make one with ``create`` or ``restore``."""

    def __init__(self, config: EngineConfig, state: State, recorder: Recorder) -> None:
        self.config = config
        self.state = state
        self.rows = recorder
        self.sample: Sample = NOTHING
        self._standing = 0
        self._watch = VoltageWatch(config.grid.nominal)
        self._converter = ConverterWatch()
        self._seen: Sample = NOTHING
        self._due = 0
        self._due_meter = 0
        self._schedule()

    @classmethod
    def create(cls, config: EngineConfig, now: float) -> Self:
        """Return a new meter that begins to measure at ``now``, with all counters at zero."""
        world = micros(now)
        clock = MeterClock(world, world + micros(config.offset), config.drift_ppb)
        state = State(world, clock, config.zone, phases=counters(config.phases))
        engine = cls(config, state, Recorder(capacity=config.capacity))
        engine._set_day()
        state.daylight = state.zone.is_dst(engine.seconds)
        engine._set_rate()
        engine.record(Event.POWER_UP)
        return engine

    @classmethod
    def restore(
        cls, config: EngineConfig, state: Mapping[str, Any], kept: Sequence[Row] = ()
    ) -> Self:
        """Return the meter as of its last commit; ``power_up`` comes next.

        Raises:
            StoreError: the state is damaged or of another version.
        """
        loaded = State.load(state, config.phases)
        if loaded.clock.ppb != config.drift_ppb:
            shown = loaded.clock.at(loaded.world)
            loaded.clock = MeterClock(loaded.world, shown, config.drift_ppb)
        return cls(config, loaded, Recorder(loaded.lasts, kept, config.capacity))

    def dump(self) -> dict[str, Any]:
        """Return the state that ``restore`` takes."""
        self.state.lasts = self.rows.lasts
        return self.state.dump()

    # Time.

    @property
    def time(self) -> int:
        """The meter's clock in microseconds."""
        return self.state.clock.at(self.state.world)

    @property
    def seconds(self) -> int:
        """The meter's clock in whole seconds UTC."""
        return self.time // SECOND

    def stamp(self, at: int | None = None) -> bytes:
        """Return a moment of the meter's clock, now if not given, as a COSEM date-time."""
        status = 0 if self.state.clock_valid else STATUS_INVALID
        return self.state.zone.stamp(self.seconds if at is None else at, status)

    def advance(self, now: float, source: Source) -> None:
        """Measure ``source`` up to the world's second ``now``.

        A ``now`` in the past means that the world's clock was set back: no time has passed.
        """
        target = micros(now)
        if target < self.state.world:
            self.rewind(target)
        self._run(target, partial(self._integrate, source))

    def power_up(self, now: float) -> None:
        """Come back at ``now`` after an outage that began when the state was committed.

        No energy is counted for it. Intervals within it get rows of zeros marked ``POWER_DOWN``;
        of an outage over ``FILL_LIMIT``, only its first part.
        """
        state, target = self.state, micros(now)
        self.record(Event.POWER_DOWN)
        began = self.seconds
        if target < state.world:
            self.rewind(target)
            self._invalidate_clock()
        filled = min(target, state.world + FILL_LIMIT * SECOND)
        self.count(filled, standing=RowStatus.POWER_DOWN)
        state.world = target
        self._schedule()
        if state.zone.day(self.seconds) > state.day:
            self._close_day(state.zone.midnight_of(self.seconds))
        self._set_rate()
        state.alarms |= Alarm.POWER_UP
        self._count_outage(self.seconds - began)
        self.record(Event.POWER_UP)

    def set_clock(self, seconds: float) -> None:
        """Set the meter's clock, as of the moment up to which it has been advanced.

        Set forward over the end of an interval, that interval ends now with what was measured.
        Set back over one, the interval goes on until the first end that has no row yet. Either
        way rows are marked, nothing is lost and no two rows have the same time.
        """
        old, new = self.time, micros(seconds)
        if abs(new - old) >= SECOND:
            self.record(Event.CLOCK_OLD)
        marked = abs(new - old) > SYNCHRONISED * SECOND or not self.state.clock_valid
        mark = RowStatus.CLOCK_ADJUSTED if marked else 0
        self.state.flags |= mark
        if new >= self._due_meter:
            self._close_interval(self._due_meter // SECOND)
            self.state.flags |= mark
        if self.state.zone.day(new // SECOND) > self.state.day:
            self._close_day(self.state.zone.midnight_after(old // SECOND))
        self.state.clock = MeterClock(self.state.world, new, self.config.drift_ppb)
        self.state.clock_valid = True
        self.state.alarms &= ~Alarm.CLOCK_INVALID
        self._after_clock_change()
        if abs(new - old) >= SECOND:
            self.state.counts.clock_sets += 1
            self.record(Event.CLOCK_NEW)

    def set_zone(self, zone: Zone) -> None:
        """Set time zone and daylight saving rule; UTC goes on unmoved."""
        self.state.zone = zone
        self._after_clock_change()

    def count(
        self, until: int, energy: Callable[[int], None] | None = None, *, standing: int = 0
    ) -> None:
        """Let time pass up to the world's microsecond ``until``, counting what ``energy`` counts.

        Args:
            until: where to; not before where the engine stands.
            energy: called with each moment up to which it has to count; None: nothing flows.
            standing: status bits that all rows get that are under way meanwhile.
        """
        self._standing = standing
        self.state.flags |= standing
        self._run(until, energy)
        self._standing = 0

    def rewind(self, target: int) -> None:
        """The world's clock was set back: go on from there, with the meter's clock unmoved."""
        self.state.clock = MeterClock(target, self.time, self.config.drift_ppb)
        self.state.world = target
        self._schedule()

    def show(self, sample: Sample) -> None:
        """Let ``sample`` be what flows now, and write down what begins with it."""
        self.sample = sample
        if sample.shown is None:
            for event in self._watch.look(self.instant().phases, self.state.counts):
                self.record(event)

    def observe(self, events: Sequence[QualityEvent]) -> None:
        """Write down what a converter saw."""
        for event in self._converter.look(events, self.state.counts, self.seconds):
            (self.tamper if event in TAMPERS else self.record)(event)

    # Events and the disconnector.

    def record(self, event: Event) -> None:
        """Write ``event`` to its log, now."""
        self.rows.event(event, self.seconds, self.stamp())

    def tamper(self, event: Event) -> None:
        """Write an event of the fraud log and raise the alarm that goes with it."""
        self.state.alarms |= Alarm.FRAUD_ATTEMPT
        self.state.counts.tampers += 1
        self.record(event)

    def connect(self, event: Event = Event.REMOTELY_CONNECTED) -> None:
        """Close the disconnector."""
        if not self.state.connected:
            self.state.connected, self.state.ready = True, False
            self.state.alarms &= ~Alarm.DISCONNECTED
            self.record(event)

    def disconnect(
        self, event: Event = Event.REMOTELY_DISCONNECTED, *, ready: bool = False
    ) -> None:
        """Open the disconnector: nothing flows; ``ready``: a person may close it at the meter."""
        changed = self.state.connected or self.state.ready != ready
        self.state.connected, self.state.ready = False, ready
        self.state.alarms |= Alarm.DISCONNECTED
        if changed:
            self.record(event)

    def clear(self, ring: Ring) -> None:
        """Forget a profile's or log's rows, and write down that it was done."""
        self.rows.clear(ring)
        logged = ring >= Ring.STANDARD_LOG
        self.record(Event.LOG_CLEARED if logged else Event.LOAD_PROFILE_CLEARED)

    # What is shown now.

    def instant(self) -> Instant:
        """Return what flows now."""
        config = self.config
        return self.sample.shown or instant(
            self.sample,
            phases=config.phases,
            grid=config.grid,
            second=self.seconds,
        )

    def register(self, channel: Channel, rate: int = 0) -> int:
        """Return what a register shows: whole watt-hours, with rollover."""
        return self.state.energy.register(channel, rate)

    def demand_so_far(self) -> list[int]:
        """Return the average demand of the period under way, in watts, over its whole length."""
        return averages(self.state.energy, self.state.demand_base, self.config.period * SECOND)

    @property
    def period_start(self) -> int:
        """When the interval under way began, by the meter's clock."""
        return self._due_meter // SECOND - self.config.period

    @property
    def due(self) -> int:
        """The world's microsecond at which the interval under way ends."""
        return self._due

    @property
    def row_status(self) -> int:
        """The status bits that a row captured now would have."""
        state = self.state
        status = state.flags | (0 if state.clock_valid else RowStatus.CLOCK_INVALID)
        status |= RowStatus.CRITICAL_ERROR if state.errors else 0
        return status | (RowStatus.DAYLIGHT_SAVING if state.daylight else 0)

    # Inside.

    def _run(self, target: int, energy: Callable[[int], None] | None) -> None:
        while True:
            stop = min(target, self._due)
            if energy is not None:
                energy(stop)
            self.state.elapsed += max(stop - self.state.world, 0)
            self.state.world = max(stop, self.state.world)
            if stop < self._due:
                return
            self._boundary()

    def _integrate(self, source: Source, stop: int) -> None:
        state, world = self.state, self.state.world
        while world < stop:
            segment = source.at(world)
            if segment.sample is not self._seen:
                self._seen = segment.sample
                self.observe(segment.sample.events)
            sample = segment.sample if state.connected else segment.sample.unloaded
            if sample is not self.sample:
                self.show(sample)
            end = stop if segment.until is None else min(stop, segment.until)
            state.add(sample, end - world)
            world = end

    def _boundary(self) -> None:
        at = self._due_meter // SECOND
        daylight = self.state.zone.is_dst(at)
        if daylight != self.state.daylight:
            self.state.daylight = daylight
            self.record(Event.DAYLIGHT_SAVING_SWITCHED)
        self._close_interval(at)
        if self.state.zone.day(at) > self.state.day:
            self._close_day(at)
        self._set_rate()
        self._schedule()

    def _close_interval(self, at: int) -> None:
        state, ring = self.state, self.rows[Ring.LOAD_PROFILE]
        if at in ring:  # the clock was set back: this interval goes on, its row is taken
            return
        wrong = abs(state.elapsed - self.config.period * SECOND)
        if state.flags & RowStatus.CLOCK_ADJUSTED and wrong > SYNCHRONISED * SECOND:
            state.flags |= RowStatus.DATA_NOT_VALID
        values = capture.interval_values(state.energy, state.base)
        ring.append(at, capture.interval_row(self.stamp(at), self.row_status, values))
        state.demand.close(
            state.energy, state.demand_base, elapsed=state.elapsed, period=self.config.period, at=at
        )
        state.base, state.late = Energy(state.energy.cells), Energy()
        state.elapsed = 0
        state.flags = self._standing

    def _close_day(self, at: int) -> None:
        state, daily = self.state, self.rows[Ring.DAILY]
        month = state.zone.month(at)
        if at not in daily:
            row = capture.register_row(self.stamp(at), self.row_status, state.energy)
            daily.append(at, row)
            if month > state.month:
                self.close_billing(at)
        state.day, state.month = state.zone.day(at), month

    def close_billing(self, at: int | None = None) -> None:
        """End the billing period: capture a row, begin demand anew (``at``: now if not given)."""
        state = self.state
        moment = self.seconds if at is None else at
        if moment in self.rows[Ring.BILLING]:
            return
        top = self.stamp(state.demand.maximum[0].at)
        row = capture.billing_row(
            self.stamp(moment), self.row_status, state.energy, state.demand, top
        )
        self.rows[Ring.BILLING].append(moment, row)
        self.self_read(moment)
        state.demand.reset()
        state.counts.billings += 1

    def self_read(self, at: int | None = None) -> None:
        """Keep what registers and demands of all rates show (``at``: now if not given)."""
        state, ring = self.state, self.rows[Ring.SELF_READ]
        moment = self.seconds if at is None else at
        if moment not in ring:
            read = SelfRead.take(moment, state.counts.billings, state.energy, state.demand)
            ring.append(moment, read.encode())

    def _after_clock_change(self) -> None:
        self._set_day()
        self.state.daylight = self.state.zone.is_dst(self.seconds)
        self._set_rate()
        self._schedule()

    def _set_day(self) -> None:
        self.state.day = self.state.zone.day(self.seconds)
        self.state.month = self.state.zone.month(self.seconds)

    def _set_rate(self) -> None:
        self.state.rate = self.config.tariff.rate(self.state.zone.local(self.seconds))

    def _schedule(self) -> None:
        """Find the next end of an interval, on the grid of local standard time."""
        period = self.config.period
        shift = self.state.zone.minutes * 60
        self._due_meter = (((self.seconds + shift) // period + 1) * period - shift) * SECOND
        self._due = self.state.clock.when(self._due_meter)

    def _invalidate_clock(self) -> None:
        self.state.clock_valid = False
        self.state.alarms |= Alarm.CLOCK_INVALID
        self.record(Event.CLOCK_INVALID)

    def _count_outage(self, seconds: int) -> None:
        if self.state.counts.power_failed(seconds):
            row = rows.structure(rows.clock(self.stamp()), rows.u32(seconds))
            self.rows[Ring.POWER_FAILURE_LOG].append(self.seconds, row)
