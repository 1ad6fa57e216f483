"""The engine over days: intervals, billing, tariffs, power cuts and a clock that is set."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.metering import columns, events

from openami.core.errors import StoreError
from openami.metrology.clock import SECOND
from openami.metrology.config import EngineConfig
from openami.metrology.energy import Channel
from openami.metrology.engine import FILL_LIMIT, MeterEngine
from openami.metrology.events import Alarm, Event, Ring, RowStatus
from openami.metrology.self_read import SelfRead
from openami.metrology.sources import ConstantSource, LiveSource, Sample, SeriesSource
from openami.metrology.zone import ZONES

BERLIN = ZONES["Europe/Berlin"]
DAY = 86_400
KILOWATT = ConstantSource(Sample(1_000_000, 250_000))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def meter(start: str = "2026-03-02T00:00", **settings: object) -> tuple[MeterEngine, int]:
    begin = at(start)
    return MeterEngine.create(EngineConfig(**settings), begin), begin  # type: ignore[arg-type]  # any of its fields


def restart(engine: MeterEngine, now: float) -> MeterEngine:
    every = [row for ring in Ring for row in engine.rows[ring].since(0)]
    again = MeterEngine.restore(engine.config, engine.dump(), every)
    again.power_up(now)
    return again


def test_a_day_has_96_intervals_that_add_up() -> None:
    engine, begin = meter()
    engine.advance(begin + DAY, KILOWATT)
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert [row.values for row in rows] == [(250, 0, *q) for q in [(62, 0), (63, 0)] * 48]
    assert [row.time for row in rows] == [begin + 900 * n for n in range(1, 97)]
    assert {row.status for row in rows} == {0}
    assert engine.state.energy.register(Channel.IMPORT) == 24_000
    assert engine.state.energy.register(Channel.REACTIVE_IMPORT) == 6_000


@pytest.mark.parametrize(
    ("start", "intervals"), [("2026-03-28T23:00", 92), ("2026-10-24T22:00", 100)]
)
def test_a_day_of_the_switch_has_92_or_100_intervals(start: str, intervals: int) -> None:
    engine, begin = meter(start, zone=BERLIN)
    engine.advance(begin + 30 * 3600, KILOWATT)
    daily = columns(engine, Ring.DAILY)
    assert [row.time for row in daily] == [begin + intervals * 900]
    assert daily[0].values[0] == intervals * 250
    inside = [row for row in columns(engine, Ring.LOAD_PROFILE) if row.time <= daily[0].time]
    assert len(inside) == intervals
    marked = [bool(row.status & RowStatus.DAYLIGHT_SAVING) for row in inside]
    assert marked == [BERLIN.is_dst(row.time) for row in inside]
    assert len(set(marked)) == 2
    assert events(engine, Ring.CLOCK_LOG) == [Event.DAYLIGHT_SAVING_SWITCHED]


def test_days_and_months_are_kept_at_local_midnight() -> None:
    engine, begin = meter("2026-01-30T12:00", zone=ZONES["Asia/Seoul"])
    engine.advance(begin + 40 * DAY, KILOWATT)
    daily = columns(engine, Ring.DAILY)
    assert len(daily) == 40
    assert {(row.time + 9 * 3600) % DAY for row in daily} == {0}
    billing = columns(engine, Ring.BILLING)
    assert [row.time for row in billing] == [at("2026-01-31T15:00"), at("2026-02-28T15:00")]
    assert [row.values[0] for row in billing] == [27_000, 27_000 + 28 * 24_000]
    assert billing[0].values[8] == 1000
    assert engine.state.counts.billings == 2


def test_rates_share_the_energy_by_local_time() -> None:
    engine, begin = meter("2026-03-02T00:00")  # a Monday
    engine.advance(begin + 6 * DAY, KILOWATT)
    energy = engine.state.energy
    shares = [energy.register(Channel.IMPORT, rate) for rate in (1, 2, 3, 4)]
    assert shares == [60_000, 40_000, 30_000, 14_000]
    assert columns(engine, Ring.DAILY)[-1].values[4:] == tuple(shares)


def test_how_time_is_cut_up_changes_nothing() -> None:
    source = SeriesSource([Sample(1000 * n, -777 * n) for n in range(50, -50, -3)], 77)
    whole, begin = meter(drift_ppb=123_456, phases=3, zone=BERLIN)
    parts, _ = meter(drift_ppb=123_456, phases=3, zone=BERLIN)
    whole.advance(begin + 3 * DAY, source)
    for step in range(1, 3 * DAY // 431 + 1):
        parts.advance(begin + 431 * step, source)
    parts.advance(begin + 3 * DAY, source)
    assert parts.dump() == whole.dump()
    assert parts.rows.pending == whole.rows.pending


def test_export_is_counted_apart() -> None:
    engine, begin = meter()
    engine.advance(begin + 900, ConstantSource(Sample(-2_000_000, -400_000)))
    assert columns(engine, Ring.LOAD_PROFILE)[0].values == (0, 500, 0, 100)
    assert engine.state.energy.register(Channel.ABSOLUTE) == 500
    assert engine.demand_so_far()[1] == 0
    assert engine.state.demand.last[1] == 2000


def test_the_clock_drifts_and_the_intervals_follow_it() -> None:
    engine, begin = meter(drift_ppb=50_000)
    engine.advance(begin + DAY, KILOWATT)
    assert engine.time == (begin + DAY) * SECOND + 4_320_000
    assert len(engine.rows[Ring.LOAD_PROFILE]) == 96
    assert sum(row.values[0] for row in columns(engine, Ring.LOAD_PROFILE)) == 23_998


# The clock is set.


def test_a_small_correction_is_no_mark() -> None:
    engine, begin = meter()
    engine.advance(begin + 1000, KILOWATT)
    engine.set_clock(begin + 1005)
    engine.advance(begin + 1800, KILOWATT)
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert [row.time for row in rows] == [begin + 900, begin + 1800]
    assert [row.status for row in rows] == [0, 0]
    assert events(engine, Ring.CLOCK_LOG) == [Event.CLOCK_OLD, Event.CLOCK_NEW]
    engine.set_clock(engine.time / SECOND + 0.25)
    assert len(events(engine, Ring.CLOCK_LOG)) == 2


def test_set_forward_over_an_end_closes_the_interval() -> None:
    engine, begin = meter()
    engine.advance(begin + 450, KILOWATT)
    engine.set_clock(begin + 2000)
    engine.advance(begin + 450 + 700, KILOWATT)
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert [row.time for row in rows] == [begin + 900, begin + 2700]
    bad = RowStatus.CLOCK_ADJUSTED | RowStatus.DATA_NOT_VALID
    assert [row.status for row in rows] == [bad, bad]
    assert [row.values[0] for row in rows] == [125, 194]
    assert sum(row.values[0] for row in rows) == engine.state.energy.register(Channel.IMPORT)


def test_set_back_over_an_end_lengthens_the_interval() -> None:
    engine, begin = meter()
    engine.advance(begin + 1000, KILOWATT)
    engine.set_clock(begin + 500)
    engine.advance(begin + 1000 + 1300, KILOWATT)
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert [row.time for row in rows] == [begin + 900, begin + 1800]
    assert rows[1].status == RowStatus.CLOCK_ADJUSTED | RowStatus.DATA_NOT_VALID
    assert rows[1].values[0] == 638 - 250
    assert engine.state.demand.last[0] == 1000  # an interval too long makes no peak


def test_set_forward_over_midnight_keeps_the_day_and_the_month() -> None:
    engine, begin = meter("2026-03-31T23:30")
    engine.advance(begin + 600, KILOWATT)
    engine.set_clock(begin + 7200)
    midnight = at("2026-04-01T00:00")
    assert [row.time for row in columns(engine, Ring.DAILY)] == [midnight]
    assert [row.time for row in columns(engine, Ring.BILLING)] == [midnight]
    engine.set_clock(begin + 1200)  # and back: the same midnight comes again, without a row
    engine.advance(begin + 600 + 3600, KILOWATT)
    assert [row.time for row in columns(engine, Ring.DAILY)] == [midnight]
    assert len(columns(engine, Ring.BILLING)) == 1


def test_a_new_zone_moves_midnight_and_the_rate() -> None:
    engine, begin = meter("2026-03-02T07:00")
    engine.advance(begin + 60, KILOWATT)
    assert engine.state.rate == 1
    engine.set_zone(ZONES["Asia/Seoul"])
    assert engine.state.rate == 3
    engine.advance(begin + DAY, KILOWATT)
    assert [row.time for row in columns(engine, Ring.DAILY)] == [at("2026-03-02T15:00")]


def test_the_worlds_clock_set_back_stops_nothing() -> None:
    engine, begin = meter()
    engine.advance(begin + 600, KILOWATT)
    engine.advance(begin - 5000, KILOWATT)
    assert engine.seconds == begin + 600
    engine.advance(begin - 5000 + 300, KILOWATT)
    assert [row.values[0] for row in columns(engine, Ring.LOAD_PROFILE)] == [250]


# The power fails.


def test_an_outage_counts_nothing_and_is_marked() -> None:
    engine, begin = meter()
    engine.advance(begin + 1000, KILOWATT)
    engine = restart(engine, begin + 4000)
    engine.advance(begin + 5400, KILOWATT)
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert [row.time for row in rows] == [begin + 900 * n for n in range(1, 7)]
    assert [row.values[0] for row in rows] == [250, 27, 0, 0, 139, 250]
    down = RowStatus.POWER_DOWN
    assert [row.status for row in rows] == [0, down, down, down, down, 0]
    assert engine.state.energy.register(Channel.IMPORT) == 666
    log = [Event.POWER_UP, Event.POWER_DOWN, Event.POWER_UP]
    assert events(engine, Ring.POWER_LOG) == log
    assert columns(engine, Ring.POWER_FAILURE_LOG, status=False)[0].values == (3000,)
    assert engine.state.counts.last_power_failure == 3000
    assert engine.state.alarms & Alarm.POWER_UP


def test_a_short_outage_is_not_a_long_one() -> None:
    engine, begin = meter()
    engine.advance(begin + 100, KILOWATT)
    engine = restart(engine, begin + 200)
    counts = engine.state.counts
    assert (counts.power_failures, counts.long_power_failures) == (1, 0)
    assert len(engine.rows[Ring.POWER_FAILURE_LOG]) == 0


def test_a_very_long_outage_leaves_room_for_what_was_before() -> None:
    engine, begin = meter()
    engine.advance(begin + 10 * DAY, KILOWATT)
    back = begin + 10 * DAY + 400 * DAY + 100
    engine = restart(engine, back)
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert len(rows) == (10 * DAY + FILL_LIMIT) // 900
    assert engine.seconds == back
    assert columns(engine, Ring.DAILY)[-1].time == begin + 410 * DAY
    engine.set_clock(back + 5)
    engine.advance(back + 1000, KILOWATT)
    late = columns(engine, Ring.LOAD_PROFILE)[-1]
    assert late.time == begin + 410 * DAY + 900
    assert late.status == RowStatus.POWER_DOWN
    assert columns(engine, Ring.DAILY)[-1].time == begin + 410 * DAY


def test_a_clock_that_lost_the_time_says_so_until_it_is_set() -> None:
    engine, begin = meter()
    engine.advance(begin + 1000, KILOWATT)
    engine = restart(engine, begin - 500)
    assert engine.state.alarms & Alarm.CLOCK_INVALID
    assert engine.stamp()[-1] & 1
    engine.advance(begin + 500, KILOWATT)
    assert columns(engine, Ring.LOAD_PROFILE)[-1].status & RowStatus.CLOCK_INVALID
    engine.set_clock(begin + 500)
    assert not engine.state.alarms & Alarm.CLOCK_INVALID
    assert engine.row_status & RowStatus.CLOCK_ADJUSTED


def test_a_meter_with_another_crystal_keeps_the_time_it_had() -> None:
    engine, begin = meter(drift_ppb=50_000)
    engine.advance(begin + DAY, KILOWATT)
    config = EngineConfig(drift_ppb=-50_000)
    again = MeterEngine.restore(config, engine.dump(), ())
    assert again.time == engine.time
    again.power_up(begin + 2 * DAY)
    assert again.time == (begin + 2 * DAY) * SECOND


@pytest.mark.parametrize("damage", [{"version": 2}, {"energy": [1]}, {"clock": None}, {"zone": {}}])
def test_a_damaged_memory_is_refused(damage: dict[str, object]) -> None:
    engine, _ = meter()
    with pytest.raises(StoreError):
        MeterEngine.restore(engine.config, {**engine.dump(), **damage})


# The disconnector, tampering and voltage.


def test_nothing_flows_through_an_open_disconnector() -> None:
    engine, begin = meter()
    engine.advance(begin + 900, KILOWATT)
    engine.disconnect(ready=True)
    engine.disconnect(ready=True)
    engine.advance(begin + 1800, KILOWATT)
    assert engine.instant().active == 0
    assert engine.state.ready
    engine.connect()
    engine.connect()
    engine.advance(begin + 2700, KILOWATT)
    assert [row.values[0] for row in columns(engine, Ring.LOAD_PROFILE)] == [250, 0, 250]
    expected = [Event.REMOTELY_DISCONNECTED, Event.REMOTELY_CONNECTED]
    assert events(engine, Ring.DISCONNECT_LOG) == expected
    assert not engine.state.alarms & Alarm.DISCONNECTED


def test_tampering_is_written_down() -> None:
    engine, _ = meter()
    engine.tamper(Event.TERMINAL_COVER_OPENED)
    engine.tamper(Event.MAGNET_DETECTED)
    log = [Event.TERMINAL_COVER_OPENED, Event.MAGNET_DETECTED]
    assert events(engine, Ring.FRAUD_LOG) == log
    assert engine.state.alarms & Alarm.FRAUD_ATTEMPT
    assert engine.state.counts.tampers == 2


def test_voltages_out_of_bounds_are_counted_as_they_begin() -> None:
    engine, begin = meter()
    source = LiveSource(Sample(voltage=230_000))
    volts = (200_000, 199_000, 230_000, 260_000, 200_000)
    for n, voltage in enumerate(volts):
        source.push((begin + 10 * n + 10) * SECOND, Sample(voltage=voltage))
    engine.advance(begin + 100, source)
    counts = engine.state.counts
    assert (counts.sags[0], counts.swells[0]) == (2, 1)
    under, over = Event.UNDERVOLTAGE_L1, Event.OVERVOLTAGE_L1
    assert events(engine, Ring.QUALITY_LOG) == [under, over, under]


def test_clearing_is_written_down_and_loses_no_energy() -> None:
    engine, begin = meter()
    engine.advance(begin + 1000, KILOWATT)
    engine.clear(Ring.LOAD_PROFILE)
    engine.clear(Ring.FRAUD_LOG)
    engine.advance(begin + 1800, KILOWATT)
    assert [row.values[0] for row in columns(engine, Ring.LOAD_PROFILE)] == [250]
    log = [Event.LOAD_PROFILE_CLEARED, Event.LOG_CLEARED]
    assert events(engine, Ring.STANDARD_LOG) == log


def test_what_a_billing_period_ended_with_is_kept_by_rate() -> None:
    engine, begin = meter("2026-01-30T12:00", zone=ZONES["Asia/Seoul"])
    engine.advance(begin + 40 * DAY, KILOWATT)
    kept = [SelfRead.decode(row) for row in engine.rows[Ring.SELF_READ].entries()]
    billing = columns(engine, Ring.BILLING)
    assert [(read.at, read.resets) for read in kept] == [
        (row.time, n) for n, row in enumerate(billing)
    ]
    for read, row in zip(kept, billing, strict=True):
        imported, exported = read.energy
        assert (imported[0], exported[0], *imported[1:]) == (*row.values[:2], *row.values[4:8])
        assert exported == (0,) * 5
    assert [top.watts for top in kept[0].demand] == [1000, 1000, 0, 1000, 1000]  # no working day
    assert [top.watts for top in kept[1].demand] == [1000] * 5
    assert SelfRead.decode(kept[0].encode()) == kept[0]
    engine.self_read()
    assert len(engine.rows[Ring.SELF_READ]) == 3
    assert len(engine.rows[Ring.BILLING]) == 2


def test_billing_can_be_closed_by_hand_but_not_twice_at_once() -> None:
    engine, begin = meter()
    engine.advance(begin + 2000, KILOWATT)
    engine.close_billing()
    engine.close_billing()
    engine.self_read()
    assert [row.values[8] for row in columns(engine, Ring.BILLING)] == [1000]
    assert engine.state.demand.maximum[0].watts == 0


def test_a_critical_error_marks_the_rows() -> None:
    engine, begin = meter()
    engine.state.errors = 1
    engine.advance(begin + 900, KILOWATT)
    assert columns(engine, Ring.LOAD_PROFILE)[0].status == RowStatus.CRITICAL_ERROR
    assert engine.period_start == begin + 900


@pytest.mark.parametrize("settings", [{"period": 7}, {"period": 7200}, {"phases": 2}])
def test_what_cannot_measure_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"meter|period"):
        EngineConfig(**settings)  # type: ignore[arg-type]  # plain integers
