"""A display with a meter that stands in: links that break, gaps, answers, a full disk."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.ihd.test_saying import event
from tests.support.ihd import PAIRED, StandIn, live_at, pair_folder, until
from tests.support.small_disk import small_disk

from openami.core.clock import ManualClock
from openami.core.errors import (
    ConfigError,
    SecurityError,
    StoreError,
    StoreFullError,
    TransportError,
)
from openami.dlms.cosem.response import Answer, Said
from openami.ihd import filling, keeper
from openami.ihd.display import Display
from openami.ihd.pairing import Pairing, PairingFile
from openami.ihd.settings import DisplaySettings
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.store import sqlite
from openami.store.home import INTERVALS_S, POINTS_S, HomeStore
from openami.transport.home import HomeTarget, IntervalEnergy
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = 1_790_000_100 // 900 * 900
"""In September 2026, at a boundary of intervals."""
KOREA = tariff_named("kr-residential-low")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits be short: what happens after them is tested."""
    monkeypatch.setattr(keeper, "FIRST_S", 0.01)
    monkeypatch.setattr(filling, "AGAIN_S", 0.01)


def profile(start: int, end: int, wh: int = 100) -> list[tuple[int, int, int]]:
    return [(at, wh, 0) for at in range(start + 900, end + 1, 900)]


@asynccontextmanager
async def running(
    folder: Path, meter: StandIn, clock: ManualClock | None = None, **fields: Any
) -> AsyncIterator[Display]:
    pair_folder(folder)
    settings = DisplaySettings(folder, KOREA, clock=clock or ManualClock(NOW + 100), **fields)
    async with Display(settings, connect=meter.link) as display:
        yield display


async def settled(display: Display) -> dict[str, Any]:
    """Return the state once the meter has pushed and all of its profile was taken."""
    await until(lambda: display.pushed.is_set() and not display.filler.left_s)
    return await display.state()


async def test_history_is_taken_newest_first_and_as_far_as_the_meter_has_it(tmp_path: Path) -> None:
    meter = StandIn(profile(NOW - 20 * 86_400, NOW))
    meter.pushes.put_nowait(live_at(NOW + 100, imported=5000))
    async with running(tmp_path / "home", meter) as display:
        state = await settled(display)
        assert display.history.ledger.since == NOW - 20 * 86_400
        assert [end for _, end in meter.asked] == sorted((e for _, e in meter.asked), reverse=True)
        assert len(meter.asked) == 3 + filling.EMPTY_S // filling.PIECE_S
        assert state["gaps"] == {"filling": False, "left_s": 0}
        assert state["energy"]["yesterday_total_wh"] == 9600
        points = await display.points(NOW - 86_400, NOW)
        assert set(points["w"]) == {400}
        assert points["filled"] == [[NOW - 86_400, NOW]]


async def test_a_gap_is_filled_exactly_and_what_was_pushed_stays(tmp_path: Path) -> None:
    clock = ManualClock(NOW + 100)
    meter = StandIn(profile(NOW - 86_400, NOW))
    async with running(tmp_path / "home", meter, clock) as display:
        for second in range(0, 20, 5):
            meter.pushes.put_nowait(live_at(NOW + 100 + second, watts=700, imported=5000))
        await settled(display)
        await until(meter.pushes.empty)
        before = display.history.ledger.between(0, NOW)[0]
        meter.pushes.put_nowait(TransportError("the line was cut", code="transport.closed"))
        await until(lambda: display.keeper.status.state == "lost")
        state = await display.state()
        assert (state["link"]["reason"], state["link"]["code"]) == (
            "the line was cut",
            "transport.closed",
        )
        assert state["live"]["active_w"] == 700  # the last that is known, and its time

        clock.set(NOW + 3 * 3600 + 100)
        meter.rows += profile(NOW, NOW + 3 * 3600, 250)
        meter.pushes.put_nowait(live_at(NOW + 3 * 3600 + 100, imported=5000 + 3000 + 40))
        await until(
            lambda: display.keeper.status.state == "connected" and not display.filler.left_s
        )
        ledger = display.history.ledger
        assert ledger.between(0, NOW + 3 * 3600)[0] == before + 12 * 250
        points = await display.points(NOW + 90, NOW + 130)
        assert points["w"] == [1000, 1000, 700, 700, 700, 700, 1000, 1000]
        assert points["filled"] == [[NOW + 90, NOW + 100], [NOW + 120, NOW + 130]]


async def test_another_meter_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    first = StandIn(profile(NOW - 86_400, NOW - 900))
    first.pushes.put_nowait(live_at(NOW + 100, imported=70_000))
    async with running(tmp_path / "home", first) as display:
        await settled(display)
    second = StandIn(profile(NOW - 900, NOW, 30))
    second.serial = "OAM00000002"
    second.pushes.put_nowait(live_at(NOW + 100, imported=35, watts=0))
    async with running(tmp_path / "home", second) as display:
        state = await settled(display)
        assert display.history.ledger.between(0, NOW)[0] == 95 * 100 + 30
        assert state["energy"]["total_wh"] == 35


async def test_an_answer_waits_for_the_meter_also_over_a_restart(tmp_path: Path) -> None:
    meter = StandIn()
    meter.now_said = Said(1, (event(start=NOW), event("b", NOW)))
    meter.pushes.put_nowait(live_at(NOW + 100, revision=1))
    async with running(tmp_path / "home", meter) as display:
        await until(lambda: display.told.events)
        meter.unreachable = TransportError("off")
        meter.pushes.put_nowait(meter.unreachable)
        await until(lambda: display.keeper.status.state == "lost")
        await display.answer("dr-1", Answer.ACCEPTED)
        await display.answer("dr-1", Answer.OPTED_OUT)
        assert (await display.state())["events"][0]["answer"] == "opted-out"
    async with running(tmp_path / "home", meter) as display:
        assert (await display.state())["events"][0]["answer"] == "opted-out"
        meter.unreachable = None
        meter.pushes.put_nowait(live_at(NOW + 101, revision=1))
        await until(lambda: meter.answers)
        assert meter.answers == [("dr-1", Answer.OPTED_OUT)]
        # Refused: it is over, say. The meter is asked no more.
        meter.refused = ServiceRefusedError("no", code="dlms.refused")
        await display.answer("b", Answer.ACCEPTED)
        await until(lambda: meter.refused is None)
        await display.answer("dr-1", Answer.ACCEPTED)
        await until(lambda: len(meter.answers) == 2)
        assert meter.answers[1] == ("dr-1", Answer.ACCEPTED)
        assert meter.opened == 2


async def test_what_the_utility_says_anew_is_read_when_the_revision_changes(tmp_path: Path) -> None:
    meter = StandIn()
    meter.pushes.put_nowait(live_at(NOW + 100))
    async with running(tmp_path / "home", meter) as display:
        await until(display.pushed.is_set)
        meter.now_said = Said(7, (event(start=NOW),))
        meter.pushes.put_nowait(live_at(NOW + 101, revision=7))
        await until(lambda: display.told.said.revision == 7)
        assert (await display.state())["events"][0]["state"] == "active"


async def test_a_meter_that_says_nothing_is_shown_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_such_object() -> Said:
        raise ServiceRefusedError("object-undefined", code="dlms.refused")

    meter = StandIn(profile(NOW - 86_400, NOW))
    monkeypatch.setattr(meter, "said", no_such_object)
    meter.pushes.put_nowait(live_at(NOW + 100))
    async with running(tmp_path / "home", meter) as display:
        await settled(display)
        assert display.keeper.status.state == "connected"
        assert meter.opened == 1


async def test_on_a_full_disk_it_goes_on_and_says_so(tmp_path: Path) -> None:
    meter = StandIn(profile(NOW - 86_400, NOW))
    meter.pushes.put_nowait(live_at(NOW + 100, imported=5000))
    async with running(tmp_path / "home", meter) as display:
        await settled(display)
        with small_disk("limit", tmp_path / "unused", 4096) as disk:
            for second in range(1, 200):
                display.saw(live_at(NOW + 100 + 5 * second, watts=second))
            await display.history.flush()
            state = await display.state()
            assert state["storage"]["code"] == "store.full"
            assert state["live"]["active_w"] == 199
            points = await display.points(NOW + 105, NOW + 1100)
            assert points["w"] == list(range(1, 200))
            with pytest.raises(StoreError):
                await display.choose({"theme": "dark"})
            disk.grow()
        await display.history.flush()
        assert (await display.state())["storage"] is None
        assert (await display.points(NOW + 105, NOW + 1100))["w"] == list(range(1, 200))


async def test_what_is_old_goes_and_its_days_stay(tmp_path: Path) -> None:
    old = NOW - INTERVALS_S - 5 * 86_400
    store = HomeStore(tmp_path / "home")
    row = store.meter(PAIRED.serial, 900)
    store.keep_energy(row, [(at, wh, out, 0) for at, wh, out in profile(old, old + 9 * 86_400)])
    store.keep_points([(NOW - POINTS_S - 100, 5), (NOW - 100, 6)], "live", None)
    store.close()
    meter = StandIn()
    async with running(tmp_path / "home", meter) as display:
        meter.pushes.put_nowait(live_at(NOW + 100))
        await until(lambda: len(display.history.ledger.days))
        whole = display.history.ledger.between(0, NOW)[0]
        assert whole == 9 * 9600
        assert display.history.ledger.energy.starts[0] > old
        points = await display.points(NOW - POINTS_S - 200, NOW)
        assert [each for each in points["w"] if each is not None] == [6]
    async with running(tmp_path / "home", meter) as display:
        assert display.history.ledger.between(0, NOW)[0] == whole


async def test_the_meters_clock_counts_and_not_the_machines(tmp_path: Path) -> None:
    meter = StandIn()
    meter.pushes.put_nowait(live_at(NOW + 5000))
    async with running(tmp_path / "home", meter, ManualClock(NOW - 40 * 86_400)) as display:
        await until(display.pushed.is_set)
        assert display.clock.now() == NOW + 5000
        assert (await display.state())["link"]["offset_s"] == 5000 + 40 * 86_400


async def test_choices_are_checked_and_kept(tmp_path: Path) -> None:
    meter = StandIn()
    async with running(tmp_path / "home", meter) as display:
        await display.choose({"language": "ko", "tariff": "gb-price-cap-average"})
        with pytest.raises(ConfigError):
            await display.choose({"theme": "pink"})
    async with running(tmp_path / "home", meter, carbon=Decimal(10)) as display:
        state = await display.state()
        assert state["settings"] == {"language": "ko", "theme": "auto"}
        offered = {each["name"]: (each["title"], each["titles"]) for each in state["tariffs"]}
        titled = {"ko": "한국전력 주택용 저압"}
        assert offered[KOREA.name] == ("KEPCO residential, low voltage", titled)
        assert set(offered) == set(tariff_names())
        assert all(titles.get("ko") for _, titles in offered.values())
        assert state["bill"]["currency"] == "GBP"
        assert state["carbon"]["g_per_kwh"] == 10


async def test_the_tariff_of_a_file_is_among_those_to_choose(tmp_path: Path) -> None:
    pair_folder(tmp_path)
    titles = {"ko": "우리 계약"}
    own = replace(KOREA, name="ours", title="Our own contract", titles=titles)
    async with Display(DisplaySettings(tmp_path, own), connect=StandIn().link) as display:
        state = await display.state()
        mine = {"name": None, "title": "Our own contract", "titles": titles}
        assert state["tariffs"][0] == mine
        await display.choose({"tariff": KOREA.name})
        await display.choose({"tariff": state["tariffs"][0]["name"]})
        assert display.tariff is own


async def test_who_moves_out_leaves_nothing(tmp_path: Path) -> None:
    meter = StandIn(profile(NOW - 86_400, NOW))
    meter.now_said = Said(1, (event(start=NOW),))
    meter.pushes.put_nowait(live_at(NOW + 100, revision=1))
    async with running(tmp_path / "home", meter) as display:
        await settled(display)
        await until(lambda: display.told.events)
        await display.unpair(forget=True)
        await until(lambda: display.keeper.status.state == "unpaired")
        state = await display.state()
        assert (state["serial"], state["live"], state["events"]) == (None, None, [])
        assert not (tmp_path / "home" / "paired.json").exists()
    store = HomeStore(tmp_path / "home")
    assert len(store.energy()) == 0
    assert store.value("told") is None
    store.close()


async def test_a_folder_serves_one_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    async with running(tmp_path / "home", StandIn()):
        with pytest.raises(StoreError) as busy:
            Display(DisplaySettings(tmp_path / "home", KOREA))
        assert busy.value.code == "store.busy"


async def test_what_was_read_with_a_full_disk_is_read_again_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = StoreFullError("no room left")

    def no_room(*_: object, **__: object) -> None:
        raise full

    meter = StandIn(profile(NOW - 86_400, NOW))
    meter.pushes.put_nowait(live_at(NOW + 100, imported=5000))
    with monkeypatch.context() as patch:
        patch.setattr(HomeStore, "keep_energy", no_room)
        async with running(tmp_path / "home", meter) as display:
            await until(lambda: display.history.trouble and len(display.history.ledger.energy))
            assert display.history.ledger.between(0, NOW)[0] == 9600
            state = await display.state()
            assert state["storage"]["code"] == "store.full"
            assert state["energy"]["yesterday_total_wh"] > 0
            patch.undo()
            await until(lambda: not display.filler.left_s and display.history.meter)
            await display.history.flush()
            assert display.history.trouble is None
    async with running(tmp_path / "home", StandIn()) as display:
        assert display.history.ledger.between(0, NOW)[0] == 9600


async def test_intervals_that_never_come_hold_nothing_up(tmp_path: Path) -> None:
    """The meter was off for two hours: it has no rows of that time."""
    rows = [each for each in profile(NOW - 86_400, NOW) if not NOW - 7200 < each[0] <= NOW]
    meter = StandIn(rows)
    meter.pushes.put_nowait(live_at(NOW + 300, imported=5000))
    async with running(tmp_path / "home", meter, ManualClock(NOW + 300)) as display:
        await settled(display)
        await until(lambda: display.history.meter and display.history.meter.until == NOW)
        assert display.history.ledger.between(0, NOW)[0] == (96 - 8) * 100
        assert display.history.ledger.between(NOW - 7200, NOW)[0] == 0


async def test_a_gateway_that_refuses_now_and_then_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "REFUSED_S", 0.01)
    monkeypatch.setattr(filling, "GATEWAY_PAUSE_S", 0.0)
    meter = StandIn(profile(NOW - 5 * 86_400, NOW))
    real, refusals = meter.energy, iter([True, False, True, True])

    async def energy(start: int, end: int) -> IntervalEnergy:
        if next(refusals, False):
            raise ServiceRefusedError("operation-not-possible", code="dlms.refused")
        return await real(start, end)

    monkeypatch.setattr(meter, "energy", energy)
    refused = ServiceRefusedError("operation-not-possible", code="dlms.refused")
    for push in (refused, live_at(NOW + 100), refused, live_at(NOW + 130)):
        meter.pushes.put_nowait(push)
    PairingFile(tmp_path).keep(Pairing(HomeTarget("127.0.0.1", 1, PAIRED.serial), PAIRED))
    settings = DisplaySettings(tmp_path, KOREA, clock=ManualClock(NOW + 130), every_s=0.01)
    async with Display(settings, connect=meter.link) as display:
        await until(meter.pushes.empty)
        state = await settled(display)
        assert state["link"]["way"] == "gateway"
        assert display.history.ledger.between(0, NOW)[0] == 5 * 9600
        assert max(end - start for start, end in meter.asked) < 86_400
        assert meter.opened == 1


async def test_a_machine_whose_clock_is_wrong_at_first_throws_nothing_away(tmp_path: Path) -> None:
    """Its battery is empty: until the meter has pushed, nobody knows what time it is."""
    store = HomeStore(tmp_path / "home")
    row = store.meter(PAIRED.serial, 900)
    kept = replace(row, since=NOW - 86_400, until=NOW - 7200, whole=True)
    store.keep_energy(kept, [(at, wh, 0, 0) for at, wh, _ in profile(NOW - 86_400, NOW - 7200)])
    store.keep_points([(NOW - 100, 6)], "live", None)
    store.close()
    meter = StandIn(profile(NOW - 86_400, NOW))
    clock = ManualClock(NOW + 4 * 365 * 86_400)
    async with running(tmp_path / "home", meter, clock) as display:
        await until(lambda: meter.opened)
        await asyncio.sleep(0.1)  # as long as it would take to spoil it
        assert meter.asked == []
        meter.pushes.put_nowait(live_at(NOW + 100))
        await settled(display)
        await until(lambda: len(display.history.ledger.energy) == 96)
        assert display.history.meter is not None
        assert display.history.meter.until == NOW
        assert (await display.points(NOW - 100, NOW - 95))["w"] == [6]


async def test_a_meters_clock_that_is_set_back_is_followed(tmp_path: Path) -> None:
    """It was a year ahead, and what it had before that was not all taken."""
    store = HomeStore(tmp_path / "home")
    row = store.meter(PAIRED.serial, 900)
    ahead = NOW + 365 * 86_400
    kept = replace(row, since=NOW - 86_400, until=ahead, whole=True)
    rows = profile(NOW - 86_400, NOW - 7200) + profile(ahead - 900, ahead)
    store.keep_energy(kept, [(at, wh, 0, 0) for at, wh, _ in rows])
    store.close()
    meter = StandIn(profile(NOW - 86_400, NOW))
    meter.pushes.put_nowait(live_at(NOW + 100, imported=5000))
    async with running(tmp_path / "home", meter) as display:
        await until(lambda: len(display.history.ledger.energy) == 96 + 1)
        assert display.history.meter is not None
        assert display.history.meter.until == NOW
        meter.pushes.put_nowait(live_at(NOW + 136, imported=5010))
        await until(meter.pushes.empty)
        await until(lambda: display.history.running and display.history.running.imported >= 10)


async def test_a_display_that_its_meter_forgot_is_unpaired_and_says_why(tmp_path: Path) -> None:
    refused = SecurityError("the meter refuses our keys", code="association.authentication-failure")
    meter = StandIn()
    meter.pushes.put_nowait(live_at(NOW + 100))
    async with running(tmp_path / "home", meter) as display:
        await until(lambda: display.keeper.status.state == "connected")
        meter.unreachable = refused
        meter.pushes.put_nowait(TransportError("reset", code="transport.closed"))
        await until(lambda: display.keeper.status.state == "unpaired")
        link = (await display.state())["link"]
        assert link["code"] == "home.forgotten"
        assert "pair it again" in link["reason"]
        # It is not asked again soon: each time its meter would note that it was.
        meter.unreachable = None
        await asyncio.sleep(0.1)
        assert meter.opened == 1
        # And an outage does not make it a display that is only lost.
        meter.unreachable = TransportError("off")
        display.keeper.restart()
        await asyncio.sleep(0.1)
        assert display.keeper.status.code == "home.forgotten"
        meter.unreachable = None
        display.keeper.restart()
        meter.pushes.put_nowait(live_at(NOW + 101))
        await until(lambda: display.keeper.status.state == "connected")
