"""Whatever is done to clock and power: intervals add up to the register, and nothing is invented."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.metering import line

from openami.metrology.capture import INTERVAL_CHANNELS
from openami.metrology.clock import SECOND, micros
from openami.metrology.config import EngineConfig
from openami.metrology.energy import Channel
from openami.metrology.engine import MeterEngine
from openami.metrology.events import Ring
from openami.metrology.memory import MeterCommit, Row, VolatileMemory
from openami.metrology.sources import Sample, SeriesSource
from openami.metrology.zone import ZONES

START: Final = 1_774_742_400.25  # the evening before daylight saving begins
DAY: Final = 86_400
SOURCE: Final = SeriesSource(
    [Sample(active * 1000 + 1, active * 300 - 7) for active in range(-3_000, 5_000, 333)], 611
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.floats(0, 5000)),
        st.tuples(st.just("run"), st.floats(0, 2 * DAY)),
        st.tuples(st.just("set"), st.integers(-4000, 4000)),
        st.tuples(st.just("set"), st.integers(-3 * DAY, 3 * DAY)),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("kill"), st.floats(0, 9000)),
        st.tuples(st.just("kill"), st.floats(0, 2 * DAY)),
        st.tuples(st.just("stop"), st.floats(0, 9000)),
        st.tuples(st.just("switch"), st.just(0)),
        st.tuples(st.just("world"), st.floats(0, 9000)),
    ),
    max_size=25,
)


class Bench:
    """One meter, its memory, and what the world knows of it."""

    def __init__(self, ppb: int) -> None:
        self.now = START
        self.config = EngineConfig(zone=ZONES["Europe/Berlin"], drift_ppb=ppb, phases=3)
        self.engine = MeterEngine.create(self.config, self.now)
        self.memory = VolatileMemory()
        self.kept: dict[int, Row] = {}
        self.state = self.engine.dump()
        self.active = 0
        self.committed = 0
        self.commit()

    def run(self, seconds: float) -> None:
        world, end = self.engine.state.world, micros(self.now + seconds)
        self.now += seconds
        before = self.engine.state.energy
        imported = before.exact(Channel.IMPORT) - before.exact(Channel.EXPORT)
        assert imported == self.active
        self.active += self._flow(world, end)
        self.engine.advance(self.now, SOURCE)

    def _flow(self, world: int, end: int) -> int:
        total = 0
        while self.engine.state.connected and world < end:
            segment = SOURCE.at(world)
            assert segment.until is not None
            stop = min(end, segment.until)
            total += segment.sample.active * (stop - world)
            world = stop
        return total

    def set(self, seconds: float) -> None:
        self.engine.set_clock(self.engine.time / SECOND + seconds)

    def commit(self, _: float = 0) -> None:
        self.state = self.engine.dump()
        rows = self.engine.rows
        self.memory.commit([MeterCommit("m", b"", rows.pending, rows.firsts)])
        self.kept.update({r.sequence: r for r in rows.pending if r.ring == Ring.LOAD_PROFILE})
        rows.committed()
        self.committed = self.active

    def kill(self, seconds: float) -> None:
        self.now += seconds
        self.active = self.committed
        image = self.memory.load("m")
        assert image is not None
        self.engine = MeterEngine.restore(self.config, self.state, image.rows)
        self.engine.power_up(self.now)

    def stop(self, seconds: float) -> None:
        self.commit()
        self.kill(seconds)

    def switch(self, _: float) -> None:
        if self.engine.state.connected:
            self.engine.disconnect()
        else:
            self.engine.connect()

    def world(self, seconds: float) -> None:
        self.now -= seconds
        self.engine.advance(self.now, SOURCE)

    def check(self) -> None:
        engine = self.engine
        pending = {r.sequence: r for r in engine.rows.pending if r.ring == Ring.LOAD_PROFILE}
        every = {**self.kept, **pending}
        assert sorted(every) == list(range(1, len(every) + 1))
        lines = [line(row.data) for row in every.values()]
        assert len({row.time for row in lines}) == len(lines)
        for place, channel in enumerate(INTERVAL_CHANNELS):
            metered = sum(row.values[place] for row in lines)
            assert metered == engine.state.base.whole(channel)
            assert metered <= engine.state.energy.whole(channel)
        energy = engine.state.energy
        for channel in INTERVAL_CHANNELS:
            phases = [phase.exact(channel) for phase in engine.state.phases]
            assert len(phases) == 3
            assert sum(phases) == energy.exact(channel)
        for rate in (1, 2, 3, 4):
            rates = [phase.exact(Channel.IMPORT, rate) for phase in engine.state.phases]
            assert sum(rates) == energy.exact(Channel.IMPORT, rate)
        assert energy.exact(Channel.IMPORT) - energy.exact(Channel.EXPORT) == self.active


@given(STEPS, st.integers(-200_000, 200_000))
@settings(max_examples=150, deadline=None)
def test_intervals_add_up_whatever_happens(steps: list[tuple[str, float]], ppb: int) -> None:
    bench = Bench(ppb)
    for name, amount in steps:
        getattr(bench, name)(amount)
        bench.check()
    bench.run(1800)
    bench.commit()
    bench.check()


@given(st.lists(st.floats(0, 4000), min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_only_what_was_committed_comes_back(moves: list[float], data: st.DataObject) -> None:
    """A meter killed at any point is the meter of its last commit, to the octet."""
    bench = Bench(0)
    for move in moves:
        bench.run(move)
        if data.draw(st.booleans()):
            bench.commit()
    image = bench.memory.load("m")
    assert image is not None
    again = MeterEngine.restore(bench.config, bench.state, image.rows)
    assert again.dump() == bench.state
    assert {str(ring): last for ring, last in again.rows.lasts.items()} == bench.state["lasts"]
    assert not again.rows.dirty
