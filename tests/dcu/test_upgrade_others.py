"""Meters of other makers take an image over a real line, whatever they do wrong."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.upgrade_line import Image
from tests.support.upgrade_other import (
    NEW,
    FromTheRight,
    LastBlock,
    OtherStore,
    SaysNothing,
    line_of,
    meter_of,
    without_lists,
)

from openami.dlms.cosem import ImageTransfer
from openami.fleet.upgrade import Initiate, Order, Poll, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.upgrade_line import Bench

    from openami.fleet.upgrade import Upgrade

IMAGE = Image(random.Random(7).randbytes(2010))


def order() -> Order:
    return Order("o", b"other", 2010, NEW.decode(), time.time() + 300, activate_at=0.0)


async def upgraded(bench: Bench) -> Upgrade:
    segment = await bench.upgrade(order(), IMAGE)
    (upgrade,) = segment.upgrades.values()
    return upgrade


@pytest.mark.parametrize("size", [37, 100, 128, 2010, 4096])
async def test_odd_blocks(tmp_path: Path, size: int) -> None:
    store = OtherStore(IMAGE, size)
    async with line_of(tmp_path, meter_of(ImageTransfer(store=store))) as bench:
        assert (await upgraded(bench)).stage is Stage.CONFIRMED
    assert len(store.blocks) == -(-2010 // size)
    assert (store.begun, store.activated) == (1, 1)


@pytest.mark.parametrize(
    ("image", "code"),
    [(LastBlock, "upgrade.first-gap"), (FromTheRight, "upgrade.first-gap"), (SaysNothing, "")],
)
async def test_gaps_and_bitmaps_that_are_wrong(
    tmp_path: Path, image: type[ImageTransfer], code: str
) -> None:
    store = OtherStore(IMAGE, forgets=11)
    async with line_of(tmp_path, meter_of(image(store=store))) as bench:
        upgrade = await upgraded(bench)
    assert upgrade.stage is Stage.CONFIRMED
    assert upgrade.code in {"", code}
    assert store.activated == 1


async def test_it_verifies_for_a_long_time(tmp_path: Path) -> None:
    store = OtherStore(IMAGE, busy=3)
    async with line_of(tmp_path, meter_of(ImageTransfer(store=store))) as bench:
        assert (await upgraded(bench)).stage is Stage.CONFIRMED
        polls = [work for work in bench.done if isinstance(getattr(work, "step", None), Poll)]
    assert len(polls) >= 3


async def test_a_reboot_resets_its_status_half_way(tmp_path: Path) -> None:
    store = OtherStore(IMAGE, forgets=5)
    async with line_of(tmp_path, meter_of(ImageTransfer(store=store))) as bench:
        assert (await upgraded(bench)).stage is Stage.CONFIRMED
    assert store.activated == 1


async def test_image_transfer_has_to_be_enabled(tmp_path: Path) -> None:
    store = OtherStore(IMAGE)
    image = ImageTransfer(store=store, enabled=False)
    async with line_of(tmp_path, meter_of(image)) as bench:
        assert (await upgraded(bench)).stage is Stage.CONFIRMED
        steps: list[Any] = [getattr(work, "step", None) for work in bench.done]
    assert [step.enable for step in steps if isinstance(step, Initiate)] == [True]
    assert image.enabled


async def test_attributes_are_read_one_by_one(tmp_path: Path) -> None:
    store = OtherStore(IMAGE)
    meter = without_lists(meter_of(ImageTransfer(store=store)))
    async with line_of(tmp_path, meter) as bench:
        assert (await upgraded(bench)).stage is Stage.CONFIRMED


async def test_a_bad_image_and_one_that_is_given_up(tmp_path: Path) -> None:
    async with line_of(
        tmp_path,
        meter_of(ImageTransfer(store=OtherStore(IMAGE, bad=True))),
        meter_of(ImageTransfer(store=OtherStore(IMAGE, reverts=True))),
    ) as bench:
        segment = await bench.upgrade(order(), IMAGE)
    bad, reverts = segment.upgrades.values()
    assert (bad.stage, bad.code) == (Stage.DISCARDED, "upgrade.verification")
    assert (reverts.stage, reverts.code) == (Stage.REVERTED, "upgrade.reverted")
    assert reverts.reason == "Failed Upgrade Process"
