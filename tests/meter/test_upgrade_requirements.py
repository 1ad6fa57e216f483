"""What is asked of a meter that is upgraded (docs/reference/fums-requirements.md), as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.meter_bench import READER, START
from tests.support.metering import columns, line
from tests.support.upgrades import (
    BLOCK,
    FAULTS,
    GOOD,
    IMAGE,
    UpgradeBench,
    activate,
    begin,
    blocks,
    image,
    transfer,
)

from openami.dlms import data as d
from openami.dlms.datetime import CosemDateTime
from openami.metrology.energy import Channel
from openami.metrology.events import Event, Ring

if TYPE_CHECKING:
    from collections.abc import Mapping

ENERGY = "3/1.0.1.8.0.255"
PROFILE = "7/1.0.99.1.0.255"
EVENTS = "7/0.0.99.98.0.255"
DISCONNECT = "70/0.0.96.3.10.255"


def logged(bench: UpgradeBench) -> Mapping[Event, float]:
    """Return when what was logged happened, as a reader reads it."""
    rows = bench.client(READER).opened().data(EVENTS).items()
    pairs = [row.items() for row in rows]
    return {
        Event(code.integer()): CosemDateTime.decode(at.octets()).timestamp() for at, code in pairs
    }


@pytest.mark.fums("SM-8", "MET-1", "UC1-reading")
def test_a_meter_measures_stores_and_is_read_between_the_blocks() -> None:
    """A block each fifteen minutes: no interval is missing, none is short, and each can be read."""
    bench = UpgradeBench()
    new = image(padding=8000)
    manager = bench.manager()
    begin(manager, new)
    reader = bench.client(READER).opened()
    given = list(blocks(new))
    for number, block in given:
        assert manager.invoke(IMAGE, BLOCK, block).ok
        bench.run(900)
        assert reader.data(ENERGY).integer() == 250 * (number + 1)
    rows = [line(row.encode()) for row in reader.data(PROFILE).items()]
    assert [row.time for row in rows] == [START + 900 * n for n in range(1, len(given) + 1)]
    assert {row.values[0] for row in rows} == {250}
    assert len(given) >= 10


@pytest.mark.fums("UC1-version", "UC4-log", "UC5-log")
def test_verification_and_installation_are_logged_with_their_times() -> None:
    bench = UpgradeBench()
    bench.run(1000)
    began = bench.clock.now()
    transfer(bench, image())
    verified = bench.clock.now()
    bench.run(3600)
    assert logged(bench)[Event.FIRMWARE_READY] == pytest.approx(verified, abs=1.0)
    activate(bench, image("2.1.0"))
    told = bench.clock.now()
    bench.live(30)
    when = logged(bench)
    assert when[Event.FIRMWARE_TRANSFER_BEGAN] > began
    assert told <= when[Event.FIRMWARE_ACTIVATED] <= when[Event.FIRMWARE_CONFIRMED]
    assert when[Event.FIRMWARE_CONFIRMED] <= told + 30
    assert bench.firmware == "openami-2.1.0"


@pytest.mark.fums("SM-5", "UC5-log")
def test_disposal_is_logged_with_its_time() -> None:
    bench = UpgradeBench()
    activate(bench, image(behind=FAULTS["says-no"]))
    told = bench.clock.now()
    bench.live(60)
    when = logged(bench)
    for event in (Event.FIRMWARE_DISCARDED, Event.FAILED_UPGRADE_PROCESS):
        assert told < when[event] <= told + 60


@pytest.mark.fums("UC1-state")
@pytest.mark.parametrize("fault", ["", "says-no"])
def test_the_supply_stays_as_it_was(fault: str) -> None:
    """A meter that was disconnected is so before, during and after, whatever the image does."""
    bench = UpgradeBench()
    bench.run(3600)
    assert bench.manager().invoke(DISCONNECT, 1, d.i8(0)).ok
    shown = bench.manager().data(ENERGY).integer()
    activate(bench, image(behind=FAULTS.get(fault, "")))
    for _ in range(60):
        bench.run(1)
        assert not bench.meter.engine.state.connected
    bench.restart()
    assert bench.manager().data(DISCONNECT, 2).value is False
    assert bench.manager().data(ENERGY).integer() == shown
    assert bench.manager().invoke(DISCONNECT, 2, d.i8(0)).ok


@pytest.mark.fums("MET-2", "MET-3")
def test_what_measures_is_not_what_is_upgraded() -> None:
    """The same engine counts on, in the same unit and to the watt-hour."""
    bench = UpgradeBench()
    bench.run(1800)
    engine, application = bench.meter.engine, bench.meter.management
    scale = [item.integer() for item in bench.manager().data(ENERGY, 3).items()]
    activate(bench, image())
    bench.live(60)
    assert bench.log == GOOD
    assert bench.meter.engine is engine
    assert application.restarts > 0
    bench.run(1800)
    passed = int((bench.clock.now() - START) * 1000) // 3600
    assert engine.state.energy.register(Channel.IMPORT) == passed
    assert [item.integer() for item in bench.manager().data(ENERGY, 3).items()] == scale
    assert sum(row.values[0] for row in columns(engine, Ring.LOAD_PROFILE)) == (
        bench.meter.captured(Channel.IMPORT)
    )
