"""The launcher and the agents that it starts: real processes that crash, hang and are killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.dcu_releases import HARDWARE, MODEL
from tests.support.slot_agents import AGENTS, Bench, make_bench
from tests.support.slots import make_image, runnable

from openami.dcu.slots import launcher as launching
from openami.dcu.slots.store import MOST_TRIES, RESERVE, TwoSlots
from openami.store.folder import Folder

FACTORY = "0.0.1"


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the factory's software, which its launcher runs too."""
    folder = tmp_path_factory.mktemp("factory")
    return make_image(folder, FACTORY, 0, files=runnable(AGENTS["good"]))[0]


@pytest.fixture
def bench(tmp_path: Path, factory: Path) -> Bench:
    return make_bench(tmp_path, factory)


async def test_good_software_is_tried_and_runs_from_then_on(bench: Bench) -> None:
    bench.offer("1.0.0", "good")
    async with bench.launched() as launcher:
        await bench.runs(FACTORY)
        await bench.install()
        await bench.runs("1.0.0")
        outcome = bench.two().outcome
        assert outcome is not None
        assert outcome.confirmed
        bench.offer("2.0.0", "good")
        await bench.install()
        await bench.runs("2.0.0")
        launcher.send_signal(signal.SIGTERM)
        assert await launcher.wait() == 0
    assert bench.last()[:2] == ("2.0.0", "ends")
    async with bench.launched() as launcher:
        agent = await bench.runs("2.0.0")
        os.kill(agent, signal.SIGTERM)  # the agent alone: it ends in good order
        assert await launcher.wait() == 0
    assert [line.split()[0] for line in bench.diary if "begins" in line] == [
        FACTORY, "1.0.0", "2.0.0", "2.0.0",
    ]  # fmt: skip


BAD = {
    "raises": ((), "slots.crashed", "status 1"),
    "ends": ((), "slots.crashed", "status 0"),
    "has no settings": ((), "slots.crashed", "status 2"),
    "hangs": (("--watchdog", "8"), "slots.hung", "8 s"),
    "holds no session": (("--trial", "4"), "slots.health", "4 s"),
    "starts anew for ever": ((), "slots.interrupted", "3 trials"),
}


@pytest.mark.fums("DES-5", "UC7-before")
@pytest.mark.parametrize("agent", BAD)
async def test_bad_software_makes_way_for_the_one_before(bench: Bench, agent: str) -> None:
    options, code, words = BAD[agent]
    bench.offer("2.0.0", agent, counter=2)
    async with bench.launched(*options) as launcher:
        before = await bench.runs(FACTORY)
        await bench.install()
        await bench.until(
            lambda: bench.last()[:2] == (FACTORY, "runs") and bench.last()[2] != before
        )
        two = bench.two()
        outcome = two.outcome
        assert outcome is not None
        assert (outcome.confirmed, outcome.code) == (False, code)
        assert words in outcome.words
        assert two.running.counter == 0
        assert launcher.returncode is None


async def test_software_that_is_confirmed_is_started_again_whatever_ends_it(bench: Bench) -> None:
    bench.offer("1.0.0", "good")
    async with bench.launched():
        await bench.runs(FACTORY)
        await bench.install()
        before = await bench.runs("1.0.0")
        os.kill(before, signal.SIGKILL)
        await bench.until(
            lambda: bench.last()[:2] == ("1.0.0", "runs") and bench.last()[2] != before
        )
    assert bench.two().running.version == "1.0.0"


async def test_an_agent_does_not_outlive_its_launcher(bench: Bench) -> None:
    async with bench.launched() as launcher:
        agent = await bench.runs(FACTORY)
        async with bench.launched() as second:
            assert await second.wait() == 6  # there is one already
        launcher.kill()
        await launcher.wait()
        await bench.until(lambda: not alive(agent))


async def test_no_process_is_no_fault_of_the_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "FIRST_REST_S", 0.001)
    monkeypatch.setattr(launching, "MOST_REST_S", 0.001)
    folder = Folder(tmp_path / "slots", reserve=RESERVE)
    slots = TwoSlots(folder, lambda: (MODEL, HARDWARE))
    slots.stage(*make_image(tmp_path, "1.0.0"))
    slots.arm()
    nothing = (str(tmp_path / "not-there"),)
    launcher = launching.Launcher(slots, nothing, launching.Limits(), folder.lock(0.0))
    with capture_logs() as logs:
        running = asyncio.ensure_future(launcher.run())
        async with asyncio.timeout(60):
            while [log["event"] for log in logs].count("not started") <= 2 * MOST_TRIES:
                await asyncio.sleep(0.001)
        signal.raise_signal(signal.SIGTERM)
        assert await running == 0
    assert slots.waiting
    assert slots.outcome is None


async def test_a_mistake_in_the_settings_ends_the_launcher(bench: Bench) -> None:
    async with bench.launched("--set", "ponies=1") as launcher:
        assert await launcher.wait() == 2


async def test_a_bit_that_flipped_in_a_slot(bench: Bench) -> None:
    for version in ("1.0.0", "2.0.0"):
        bench.offer(version, "good")
        async with bench.launched():
            await bench.until(lambda: bench.last()[1] == "runs" and alive(bench.last()[2]))
            await bench.install()
            await bench.runs(version)
    image = bench.two().running.image
    assert image is not None
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 4
    image.write_bytes(data)
    async with bench.launched():
        await bench.runs("1.0.0")


async def test_whatever_is_killed_whenever_good_software_ends_up_running(bench: Bench) -> None:
    chance = random.Random(11)
    bench.offer("1.0.0", "good")
    for _ in range(6):
        async with bench.launched() as launcher:
            with suppress(AssertionError):
                await bench.until(lambda: alive(bench.last()[2]), chance.uniform(0.0, 4.0))
            version, _, agent = bench.last()
            victims = [launcher.pid]
            if alive(agent):
                victims.append(agent)
                if version == FACTORY:
                    await bench.install()
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            with suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
            await asyncio.sleep(chance.uniform(0.0, 0.6))
    async with bench.launched():
        await bench.until(lambda: bench.last()[1] == "runs" and alive(bench.last()[2]))
        if bench.last()[0] == FACTORY:
            await bench.install()
        await bench.runs("1.0.0")
    assert bench.two().running.version == "1.0.0"
    assert not bench.two().waiting


def alive(process: int) -> bool:
    """Tell whether a process runs; one that ended and waits for its parent does not."""
    if process <= 0:
        return False
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
