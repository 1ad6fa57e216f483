"""Images come once, when they may, and are cut short when they may not any more."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_upgrades import Bench, Shop, bench, meters_of, order_body
from tests.support.upgrade_meters import serial_of

from openami.core.errors import DecodeError, RemoteProtocolError, StoreError, TransportError
from openami.firmware.manifest import ReleaseKind
from openami.fleet.upgrade.state import MAX_IMAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def step(now: float, **more: Any) -> dict[str, Any]:
    given = {"attempt": 1, "begin": now - 10, "end": now + 3600, "until": now + 7200, "rate": 0}
    return {**given, **more}


@asynccontextmanager
async def fetching(made: Bench) -> AsyncIterator[None]:
    """Let the fetcher run as a task."""
    task = asyncio.ensure_future(made.fetcher.run())
    try:
        yield
    finally:
        made.stop.set()
        await asyncio.wait_for(task, 60)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():
            await asyncio.sleep(0.005)


async def known(made: Bench) -> None:
    """Let the meters have their images, as a turn of the manager does."""
    await until(lambda: made.book.task("c1").manifest is not None)
    await made.manager.use(0.1)


async def test_it_begins_when_the_window_opens(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made, fetching(made):
        now = made.clock.now()
        await made.order(download=step(now, begin=now + 60))
        await asyncio.sleep(0.02)
        assert made.book.task("c1").manifest is None
        made.clock.advance(61)
        made.book.changed.set()
        await known(made)
        await until(lambda: bool(made.book.images))
        assert made.shop.asked == [("one.img", None)]
        assert (await made.report())["counts"] == {"downloaded": 2}


async def test_it_does_not_begin_after_the_window_or_in_a_pause(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        now = made.clock.now()
        for more in (
            {"download": step(now, end=now)},
            {"download": None},
            {"directive": "hold"},
        ):
            await made.order(**more)
            assert made.fetcher._next() is None
        await made.order()
        assert made.fetcher._next() is not None
        made.clock.advance(7200.0)
        await made.order(until=made.clock.now())  # every meter is given up
        await made.manager.use(0.1)
        assert made.fetcher._next() is None


async def test_a_pause_cuts_it_short_and_it_goes_on(tmp_path: Path) -> None:
    shop = Shop(gate=asyncio.Event())
    async with bench(tmp_path, meters_of(), shop=shop) as made, fetching(made):
        await made.order()
        await known(made)
        await until(lambda: len(shop.asked) == 1)
        await made.order(directive="hold")
        await until(lambda: made.fetcher._next() is None)
        assert shop.gate is not None
        shop.gate.set()
        await asyncio.sleep(0.02)
        assert made.book.images == {}
        await made.order()
        await until(lambda: bool(made.book.images))
        assert len(shop.asked) == 2
        assert (await made.report())["failed"] is None


async def test_a_dcu_that_ends_leaves_it_as_it_is(tmp_path: Path) -> None:
    shop = Shop(gate=asyncio.Event())
    async with bench(tmp_path, meters_of(), shop=shop) as made:
        async with fetching(made):
            await made.order()
            await known(made)
            await until(lambda: len(shop.asked) == 1)
        assert made.book.images == {}
        assert (await made.report())["failed"] is None


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ([TransportError("away")] * 8, "download.network"),
        ([RemoteProtocolError("odd")], "download.server"),
        ([DecodeError("odd", code="firmware.manifest.malformed")], "firmware.manifest.malformed"),
        ([StoreError("broken")], "download.aborted"),
    ],
)
async def test_why_a_release_cannot_be_had(
    tmp_path: Path, faults: list[Exception], code: str
) -> None:
    async with bench(tmp_path, meters_of(), shop=Shop(faults=faults)) as made:
        await made.order()
        await made.fetch()
        assert (await made.report())["failed"]["code"] == code


async def test_a_release_that_is_not_there_or_not_for_meters(tmp_path: Path) -> None:
    other = Shop(more={"kind": ReleaseKind.DCU_FIRMWARE})
    async with bench(tmp_path, meters_of(), shop=other) as made:
        await made.order()
        await made.fetch()
        assert (await made.report())["failed"]["code"] == "download.missing"
        await made.order(release="dcu-firmware/openami/1.1.0", campaign="c2")
        await made.fetch()
        assert (await made.report("c2"))["failed"]["code"] == "download.type"


async def test_an_image_that_is_too_large_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_IMAGE > 1000
    monkeypatch.setattr("openami.dcu.upgrade.fetching.MAX_IMAGE", 400)
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        await made.fetch()
        assert (await made.report())["failed"]["code"] == "download.type"
        assert made.shop.asked == []


async def test_a_disk_that_fails_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.dcu.upgrade.fetching.LOOK_S", 0.01)
    async with bench(tmp_path, meters_of()) as made:
        real, failures = made.store.forget_image, []

        def fails(sha256: str) -> None:
            failures.append(sha256)
            if len(failures) < 3:
                raise StoreError("broken")
            real(sha256)

        monkeypatch.setattr(made.store, "forget_image", fails)
        await made.book.have("0" * 64, tmp_path / "gone")
        async with fetching(made):
            await until(lambda: len(failures) >= 1)
        assert made.stop


async def test_an_image_is_taken_up_though_its_arrival_could_not_be_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        await made.manager.use(0.1)
        await made.fetcher._attempt(made.book.task("c1"))
        await made.manager.use(0.1)

        def full(*_: object) -> None:
            raise StoreError("no room")

        with monkeypatch.context() as patch:
            patch.setattr(made.store, "keep", full)
            with pytest.raises(StoreError):
                await made.fetcher._attempt(made.book.task("c1"))
        assert made.book.images
        await made.run()
        assert (await made.report())["counts"] == {"confirmed": 2}


async def test_two_campaigns_with_one_image_fetch_it_once(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        now = made.clock.now()
        await made.take(
            order_body([serial_of(100)], now), order_body([serial_of(101)], now, campaign="c2")
        )
        await made.fetch()
        await made.run()
        assert len(made.shop.asked) == 1
        for campaign in ("c1", "c2"):
            assert (await made.report(campaign))["counts"] == {"confirmed": 1}
