"""Simulated appliances: energy adds up, comfort holds, and chance is of the seed alone."""

import itertools

import pytest

from openami.core.clock import ManualClock
from openami.ihd.appliance_rules import Kind, Mode
from openami.ihd.simulated.physics import (
    DAY_S,
    HOUR_S,
    AirConditioner,
    Appliance,
    Charger,
    Command,
    WaterHeater,
)
from openami.ihd.simulated.run import Home, HomeSettings
from openami.metrology.sources import ConstantSource, Sample

MIDNIGHT = 19_905 * DAY_S  # local
STEP = 10.0
OFF, GENTLE = Command(Mode.OFF), Command(Mode.REDUCE)


def run(model: Appliance, begins: float, hours: float, command: Command | None = None) -> float:
    joules, at = 0.0, begins
    while at < begins + hours * HOUR_S:
        joules += model.step(at, STEP, command or Command())
        at += STEP
    return joules


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_rooms_energy_adds_up_and_it_stays_cool(seed: int) -> None:
    room = AirConditioner(seed)
    before, seen = room.temperature, []
    for hour in range(24):
        run(room, MIDNIGHT + hour * HOUR_S, 1)
        seen.append(room.temperature)
    assert room.CAPACITY * (room.temperature - before) == pytest.approx(
        room.gained_j - room.removed_j, abs=1.0
    )
    assert room.removed_j == pytest.approx(room.COP * room.used_j)
    assert 25.0 <= min(seen) <= max(seen) <= 27.0
    assert 2 < room.used_j / 3.6e6 < 15  # kWh of a summer day


def test_set_back_and_off_save_and_have_bounds() -> None:
    noon = MIDNIGHT + 13 * HOUR_S
    used = {}
    for name, command in (("normal", Command()), ("gentle", GENTLE), ("off", OFF)):
        room = AirConditioner()
        used[name] = run(room, noon, 2, command)
        assert room.temperature < 30.0
    assert used["normal"] > used["gentle"] > used["off"] == 0.0


def test_a_limit_is_kept_and_less_than_the_least_is_nothing() -> None:
    room = AirConditioner(temperature=29.0)
    assert room.step(MIDNIGHT, STEP, Command(limit_w=900)) == 900 * STEP
    assert room.step(MIDNIGHT, STEP, Command(limit_w=room.least_w - 1)) == 0.0


@pytest.mark.parametrize("seed", [0, 3])
def test_a_tanks_energy_adds_up_and_the_shower_is_warm(seed: int) -> None:
    tank = WaterHeater(seed)
    before, coldest = tank.temperature, 99.0
    for minute in range(24 * 60):
        run(tank, MIDNIGHT + minute * 60, 1 / 60)
        coldest = min(coldest, tank.temperature)
    assert tank.capacity * (tank.temperature - before) == pytest.approx(
        tank.used_j - tank.lost_j - tank.drawn_j, abs=1.0
    )
    assert 100 < tank.litres < 200
    assert coldest > 40
    assert tank.temperature <= tank.TARGET + 1


def test_heat_is_stored_before_it_is_off_and_little_is_kept_when_reduced() -> None:
    afternoon = MIDNIGHT + 14.5 * HOUR_S
    tank = WaterHeater()
    run(tank, afternoon, 1.5, Command(prepare=True))
    assert 70 < tank.temperature <= 73
    assert run(tank, afternoon + 1.5 * HOUR_S, 2, OFF) == 0.0
    assert tank.temperature > 65
    cold = WaterHeater(temperature=50.0)
    assert run(cold, afternoon, 1, GENTLE) == 0.0
    assert run(cold, afternoon, 1) > 0.0


@pytest.mark.parametrize("seed", [0, 5])
def test_a_battery_takes_what_the_wall_gives_but_its_losses(seed: int) -> None:
    car = Charger(seed)
    before = car.charge_j
    joules = run(car, MIDNIGHT + 17 * HOUR_S, 72)
    assert joules == pytest.approx(car.used_j)
    assert car.stored_j == pytest.approx(car.EFFICIENCY * car.used_j)
    assert car.charge_j - before == pytest.approx(car.stored_j - car.driven_j, rel=1e-9)
    assert 0.1 <= car.share <= car.FULL + 1e-9
    assert car.driven_j > 0


def test_a_car_that_waits_through_an_event_is_full_in_the_morning() -> None:
    car, evening = Charger(charge_j=0.5 * Charger.CAPACITY), MIDNIGHT + 19.5 * HOUR_S
    assert run(car, evening, 2, OFF) == 0.0
    assert "waiting" in car.words()
    run(car, evening + 2 * HOUR_S, 9)
    assert car.share == pytest.approx(car.FULL)
    assert "full" in car.words()
    run(car, MIDNIGHT + DAY_S + 9 * HOUR_S, 1)
    assert car.words() == "car away"


KINDS = (Kind.AIR_CONDITIONER, Kind.WATER_HEATER, Kind.CHARGER, Kind.CHARGER)


def lines(seed: int, seconds: float, count: int) -> list[tuple[float, float]]:
    clock = ManualClock(MIDNIGHT)
    home = Home(HomeSettings(KINDS, clock, seed=seed))
    found = []
    for _ in range(count):
        clock.advance(seconds)
        found.append(home.advance())
    return found


def test_a_home_is_what_its_seed_says() -> None:
    assert lines(4, 60, 300) == lines(4, 60, 300)
    assert lines(4, 60, 300) != lines(5, 60, 300)


def test_a_fast_clock_loses_no_energy() -> None:
    slow = sum(active * 60 for active, _ in lines(4, 60, 600))
    fast = sum(active * 600 for active, _ in lines(4, 600, 60))
    assert fast == pytest.approx(slow, rel=1e-6)


def test_the_rest_of_the_home_is_added_and_names_are_told_apart() -> None:
    clock = ManualClock(MIDNIGHT)
    settings = HomeSettings(KINDS, clock, base=ConstantSource(Sample(250_000, 40_000)))
    home = Home(settings)
    assert [device.name for device in home.devices][2:] == ["charger", "charger-2"]
    assert home.advance() == (0.0, 0.0)
    bare = Home(HomeSettings(KINDS, ManualClock(MIDNIGHT)))
    for _ in itertools.repeat(None, 3):
        clock.advance(1)
        bare.settings.clock.advance(1)  # type: ignore[attr-defined] # a clock that is told
        active, reactive = home.advance()
        plain, turned = bare.advance()
        assert (active - plain, reactive - turned) == pytest.approx((250.0, 40.0))
    clock.advance(30 * DAY_S)  # a clock that jumps is made up for a day at most
    assert home.advance()[0] > 250.0
    clock.set(MIDNIGHT)
    assert home.advance() == (0.0, 0.0)
