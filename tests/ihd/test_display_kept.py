"""What a display keeps: how often it writes, a file that is damaged, a household that goes."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.ihd.test_display import NOW, profile, running, settled
from tests.ihd.test_saying import event
from tests.support.ihd import PAIRED, StandIn, live_at, until

from openami.core.errors import StoreError, TransportError
from openami.dlms.cosem.response import Said
from openami.dlms.security import Keys
from openami.ihd import filling, keeper
from openami.ihd.display import FLUSH_S
from openami.ihd.pairing import PairingFile
from openami.store import home
from openami.store.home import DAMAGED, Energy, HomeStore

if TYPE_CHECKING:
    from pathlib import Path

    from openami.transport.home import HomeTarget, Paired


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits be short: what happens after them is tested."""
    monkeypatch.setattr(keeper, "FIRST_S", 0.01)
    monkeypatch.setattr(filling, "AGAIN_S", 0.01)


@pytest.mark.parametrize("harm", ["no-database", "page", "cut"])
async def test_a_damaged_file_is_put_aside_and_filled_again(tmp_path: Path, harm: str) -> None:
    """A worn memory card: the display starts all the same, and reads the profile again."""
    rows = profile(NOW - 20 * 86_400, NOW)
    meter, folder = StandIn(rows), tmp_path / "home"
    meter.pushes.put_nowait(live_at(NOW + 100))
    async with running(folder, meter) as display:
        await settled(display)
    file = folder / "home.sqlite"
    whole = file.read_bytes()
    file.write_bytes(
        {
            "no-database": b"\xff" * len(whole),
            "page": whole[:8192] + b"\xa5" * (len(whole) - 12_288) + whole[-4096:],
            "cut": whole[: len(whole) // 2 // 4096 * 4096],
        }[harm]
    )
    harmed = file.read_bytes()
    meter.pushes.put_nowait(live_at(NOW + 100))
    with capture_logs() as logs:
        async with running(folder, meter) as display:
            state = await settled(display)
            assert display.history.ledger.between(0, NOW)[0] == sum(row[1] for row in rows)
            assert state["storage"] is None
            assert state["serial"] == PAIRED.serial, "it need not be paired again"
            aside = (folder / DAMAGED).read_bytes()
            assert aside[4096:] == harmed[4096:], "but for the counter on the first page"
            await display.unpair(forget=True)
            assert not (folder / DAMAGED).exists()
    assert "the history was damaged and begins anew" in [each["event"] for each in logs]


def test_the_log_of_a_damaged_file_is_put_into_no_other(tmp_path: Path) -> None:
    file, log = tmp_path / "home.sqlite", tmp_path / "home.sqlite-wal"
    file.write_bytes(b"damaged")
    log.write_bytes(b"of the same")
    home._put_aside(file, tmp_path / DAMAGED)
    assert [each.name for each in tmp_path.iterdir()] == [DAMAGED]


async def test_what_is_damaged_while_it_runs_stops_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = StandIn(profile(NOW - 86_400, NOW))
    async with running(tmp_path / "home", meter) as display:

        def damaged(_store: HomeStore) -> Energy:
            raise StoreError("database disk image is malformed", code="store.damaged")

        with monkeypatch.context() as patched:
            patched.setattr(HomeStore, "energy", damaged)
            meter.pushes.put_nowait(live_at(NOW + 100, watts=700))
            await until(lambda: display.history.trouble)
            await until(lambda: len(display.history.ledger.energy))
            state = await display.state()
        assert state["link"]["state"] == "connected"
        assert state["storage"]["code"] == "store.damaged"
        assert state["live"]["active_w"] == 700
        assert display.history.ledger.between(0, NOW)[0] == 96 * 100
        await until(lambda: display.history.trouble is None)


async def test_a_minute_of_points_is_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory cards wear out by writes: a display that runs makes one a minute, and one at its end."""
    writes: list[int] = []
    keep = HomeStore.keep_points

    def counted(store: HomeStore, points: list[tuple[int, int]], *kept: Any) -> None:
        writes.append(len(points))
        keep(store, points, *kept)

    monkeypatch.setattr(HomeStore, "keep_points", counted)
    assert FLUSH_S == 60
    meter = StandIn(profile(NOW - 86_400, NOW))
    meter.pushes.put_nowait(live_at(NOW + 100))
    async with running(tmp_path / "home", meter) as display:
        await settled(display)
        await until(lambda: writes)
        for second in range(1, 61):
            display.saw(live_at(NOW + 100 + second, watts=second))
            await asyncio.sleep(0)
        assert writes == [0]
        shown = await display.points(NOW + 105, NOW + 160)
        assert None not in shown["w"], "what is not written yet is shown"
    assert writes == [0, 12]


async def test_two_who_pair_at_once_do_so_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys that the meter gave last are those that are kept."""
    given: list[Paired] = []
    under_way: list[str] = []

    async def pairing(_target: HomeTarget, code: str, **_: Any) -> Paired:
        under_way.append(code)
        assert len(under_way) == 1
        await asyncio.sleep(0.02 if code == "11111111" else 0)
        under_way.remove(code)
        given.append(replace(PAIRED, keys=Keys(guek=code.encode() * 2, gak=bytes(16))))
        return given[-1]

    monkeypatch.setattr("openami.ihd.display.pair", pairing)
    async with running(tmp_path / "home", StandIn()) as display:
        await asyncio.gather(display.pair("11111111"), display.pair("22222222"))
        assert display.keeper.pairing is not None
        assert display.keeper.pairing.paired.keys == given[-1].keys
    kept = PairingFile(tmp_path / "home").read()
    assert kept is not None
    assert kept.paired.keys == given[-1].keys


async def test_what_the_utility_says_stays_with_its_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paired anew with the same meter, messages stay; with another one, they are the old one's."""
    serials = iter((PAIRED.serial, "OAM00000099"))

    async def pairing(*_: Any, **__: Any) -> Paired:
        return replace(PAIRED, serial=next(serials))

    monkeypatch.setattr("openami.ihd.display.pair", pairing)
    meter = StandIn()
    meter.now_said = Said(1, (event(start=NOW),))
    meter.pushes.put_nowait(live_at(NOW + 100, revision=1))
    async with running(tmp_path / "home", meter) as display:
        await until(lambda: display.told.events)
        meter.unreachable = TransportError("nobody there", code="transport.refused")
        await display.pair("12345678")
        assert display.told.events
        await display.pair("12345678")
        assert not display.told.events
        assert (await display.state())["serial"] == "OAM00000099"


async def test_what_is_being_written_while_a_household_is_forgotten_is_forgotten_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, begun = HomeStore.keep_points, threading.Event()

    def slowly(store: HomeStore, points: list[tuple[int, int]], *kept: Any) -> None:
        begun.set()
        time.sleep(0.2)
        keep(store, points, *kept)

    meter = StandIn()
    meter.pushes.put_nowait(live_at(NOW + 100))
    async with running(tmp_path / "home", meter) as display:
        await until(display.pushed.is_set)
        for second in range(1, 30):
            display.saw(live_at(NOW + 100 + second))
        monkeypatch.setattr(HomeStore, "keep_points", slowly)
        flushing = asyncio.create_task(display.history.flush())
        await until(begun.is_set)
        await display.unpair(forget=True)
        await flushing
        assert (await display.points(NOW, NOW + 200))["w"] == [None] * 40
    store = HomeStore(tmp_path / "home")
    assert store.value("live") is None
    store.close()


async def test_a_meters_clock_that_leaps_a_month_and_back_costs_no_energy(tmp_path: Path) -> None:
    """Somebody sets the meter's clock to the wrong month for a while."""
    rows = profile(NOW - 3 * 86_400, NOW)
    meter, month = StandIn(rows), 31 * 86_400
    meter.pushes.put_nowait(live_at(NOW + 100, imported=50_000))
    async with running(tmp_path / "home", meter) as display:
        await settled(display)
        meter.pushes.put_nowait(live_at(NOW + month + 300, imported=50_001))
        await until(lambda: display.clock.now() > NOW + month)
        ahead = await settled(display)
        assert ahead["energy"]["today_wh"] == 500 * 300 // 3600, "of this interval, and no more"
        meter.rows += profile(NOW, NOW + 1800)
        meter.pushes.put_nowait(live_at(NOW + 1900, imported=50_210))
        await until(lambda: display.clock.now() < NOW + 86_400)
        await until(lambda: display.history.ledger.between(NOW, NOW + 1800)[0] == 200)
        state = await settled(display)
        assert display.history.ledger.between(0, NOW + 1800)[0] == 3 * 9600 + 200
        assert state["energy"]["month_wh"] >= 200
        points = await display.points(NOW + 3600, NOW + 7200)
        assert set(points["w"]) == {None}, "power is held over no leap"
