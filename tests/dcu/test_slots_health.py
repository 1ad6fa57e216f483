"""What an agent tells its launcher."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.support.dcu_releases import HARDWARE, MODEL
from tests.support.slots import make_image

from openami.core.errors import StoreError
from openami.dcu.slots import health as told
from openami.dcu.slots.health import BEAT, CONFIRMED, TrialHealth
from openami.dcu.slots.store import RESERVE, TwoSlots
from openami.store.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "BEAT_S", 0.005)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


@pytest.fixture
def slots(tmp_path: Path) -> TwoSlots:
    """Return slots with a trial that has begun."""
    made = TwoSlots(Folder(tmp_path / "slots", reserve=RESERVE), lambda: (MODEL, HARDWARE))
    made.stage(*make_image(tmp_path, "1.0.0"))
    made.arm()
    assert made.begin().on_trial
    return made


async def until_said(reader: int, word: bytes) -> bytes:
    said = b""
    async with asyncio.timeout(60):
        while word not in said:
            await asyncio.sleep(0.002)
            with suppress(BlockingIOError):
                said += os.read(reader, 1000)
    return said


async def test_only_both_confirm_a_trial(slots: TwoSlots, pipe: tuple[int, int]) -> None:
    for first, second in ((0, 1), (1, 0)):
        health = TrialHealth(slots, pipe[1])
        calls = (health.session_held, health.collecting)
        async with health.beating():
            calls[first]()
            said = await until_said(pipe[0], BEAT * 3)
            assert CONFIRMED not in said
            assert slots.running.on_trial
            if first == 0:
                continue  # and another process begins
            calls[second]()
            calls[second]()
            await until_said(pipe[0], CONFIRMED)
    assert not slots.running.on_trial
    assert slots.running.version == "1.0.0"


async def test_a_disk_that_fails_is_tried_again(
    slots: TwoSlots, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = [StoreError("worn out"), StoreError("worn out")]
    confirm = slots.confirm

    def confirm_later() -> None:
        if fails:
            raise fails.pop()
        confirm()

    monkeypatch.setattr(slots, "confirm", confirm_later)
    health = TrialHealth(slots, pipe[1])
    async with health.beating():
        health.session_held()
        health.collecting()
        await until_said(pipe[0], CONFIRMED)
    assert not fails


async def test_what_is_not_on_trial_only_beats(slots: TwoSlots, pipe: tuple[int, int]) -> None:
    slots.confirm()
    health = TrialHealth(slots, pipe[1])
    async with health.beating():
        health.session_held()
        health.collecting()
        assert set(await until_said(pipe[0], BEAT * 3)) == set(BEAT)


async def test_a_pipe_that_nobody_empties_holds_up_nothing(
    slots: TwoSlots, pipe: tuple[int, int]
) -> None:
    os.set_blocking(pipe[1], False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe[1], bytes(4096))
    health = TrialHealth(slots, pipe[1])
    async with health.beating():
        health.session_held()
        health.collecting()
        async with asyncio.timeout(60):
            while slots.running.on_trial:
                await asyncio.sleep(0.002)
        assert slots.running.version == "1.0.0"
        await until_said(pipe[0], BEAT)  # once there is room again


async def test_without_its_launcher_an_agent_ends(slots: TwoSlots, pipe: tuple[int, int]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    try:
        os.close(pipe[0])
        async with TrialHealth(slots, pipe[1]).beating(), asyncio.timeout(60):
            assert await ended.wait()
        assert slots.running.on_trial  # which is the launcher's to end
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
