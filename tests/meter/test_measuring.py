"""A measuring part as it is run: its line, its memory, and what becomes of it when these fail."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import ConfigError, DecodeError, TransportError
from openami.meter import measuring
from openami.meter.apart import Apart
from openami.meter.line import ApartLine, LineSpec
from openami.meter.measuring import MEMORY_FILE, MeasuringRunner, MeasuringSettings
from openami.meter.sources import parse_source
from openami.metrology.adc.frontend import PAPER_100A, SIGMA_DELTA
from openami.metrology.link.ends import ManagementEnd
from openami.metrology.link.messages import Report
from openami.metrology.part import PartRecord
from openami.store import measuring as store
from openami.store.measuring import PartMemory
from openami.store.sqlite import Database
from openami.transport.serial import FdChannel, open_pty

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "TICK_S", 0.1)


def settings(state: Path, line: str = "tcp:127.0.0.1:0", phases: int = 1) -> MeasuringSettings:
    source = parse_source("constant:3600")
    return MeasuringSettings(state, source, SIGMA_DELTA, LineSpec.parse(line, pty=True), phases)


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await asyncio.sleep(0.02)


def newest(apart: Apart) -> Report:
    assert apart.newest is not None
    return apart.newest


async def told(channel: FdChannel) -> Report:
    """Return the next report of a line."""
    end = ManagementEnd()
    while True:
        end.receive_data(await channel.read())
        while (message := end.next_message()) is not None:
            if isinstance(message, Report):
                return message


async def test_a_part_goes_on_with_what_it_kept(tmp_path: Path) -> None:
    runs: list[Report] = []
    for _ in range(2):
        async with MeasuringRunner(settings(tmp_path)) as runner:
            apart = Apart()
            async with ApartLine(LineSpec.parse(runner.listening), apart) as line:
                await line.first(30)
                line.send()
            assert apart.told
            runs.append(newest(apart))
    first, second = runs
    assert (first.part, first.life, second.life) == (second.part, 1, 2)
    assert second.totals[0][0] > first.totals[0][0]
    assert second.ran > first.ran


async def test_a_serial_line_that_goes_and_comes_is_served_again(tmp_path: Path) -> None:
    device = tmp_path / "device"
    first, path = open_pty()
    device.symlink_to(path)
    async with MeasuringRunner(settings(tmp_path, f"serial:{device},9600", phases=3)) as runner:
        assert runner.listening == f"serial:{device}"
        before = await told(first)
        assert len(before.phases) == 3
        second, path = open_pty()
        device.unlink()
        device.symlink_to(path)
        first.close()
        after = await told(second)
        assert (after.life, after.part) == (before.life, before.part)
        assert after.totals[0][0] > before.totals[0][0]
        second.close()


async def test_what_nobody_takes_does_not_wait(tmp_path: Path) -> None:
    async with MeasuringRunner(settings(tmp_path, "pty")) as runner:
        await asyncio.sleep(1.5)
        line = LineSpec.parse(runner.listening)
        apart = Apart()
        async with ApartLine(line, apart) as management:
            await management.first(30)
            assert 0 <= runner.part.record.ran - newest(apart).ran <= 1000


@pytest.mark.parametrize("kind", kinds())
async def test_what_cannot_be_kept_is_told_later(tmp_path: Path, kind: str) -> None:
    with small_disk(kind, tmp_path / "small", 96 * 1024) as disk:
        async with MeasuringRunner(settings(disk.path)) as runner:
            apart = Apart()
            async with ApartLine(LineSpec.parse(runner.listening), apart) as line:
                await line.first(30)
                await until(lambda: runner.full)
                told_then = newest(apart)
                await asyncio.sleep(0.5)
                assert newest(apart) == told_then
                disk.grow()
                await until(lambda: newest(apart) != told_then)
                assert newest(apart).totals[0][0] > told_then.totals[0][0]


async def test_a_memory_of_another_front_end_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with closing(PartMemory(tmp_path / MEMORY_FILE)) as memory:
        assert memory.load() is None
        memory.keep(PAPER_100A.name, b"x" * 80, "220/60")
        assert memory.load() == (PAPER_100A.name, b"x" * 80, "220/60")
    runner = MeasuringRunner(settings(tmp_path))
    with pytest.raises(ConfigError, match="paper-100a"):
        await runner.__aenter__()
    with closing(PartMemory(tmp_path / MEMORY_FILE)) as memory:
        memory.keep(SIGMA_DELTA.name, b"x" * 80, "220/60")
    with pytest.raises(DecodeError):
        await MeasuringRunner(settings(tmp_path)).__aenter__()


def test_a_memory_of_before_grids_were_kept_is_of_230_volts(tmp_path: Path) -> None:
    old = Database(tmp_path / MEMORY_FILE, store._MIGRATIONS[:1])
    with old.transaction() as cursor:
        cursor.execute("INSERT INTO part VALUES (1, 'paper', x'00')")
    old.close()
    with closing(PartMemory(tmp_path / MEMORY_FILE)) as memory:
        assert memory.load() == ("paper", b"\0", "230/50")


async def test_a_device_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TransportError):
        await MeasuringRunner(settings(tmp_path, f"serial:{tmp_path}/none")).__aenter__()
    with closing(PartMemory(tmp_path / MEMORY_FILE)) as memory:
        found = memory.load()
    assert found is not None
    assert PartRecord.decode(found.record).life == 1
    assert found.grid == "220/60"  # its front end's


async def test_management_waits_for_a_line_that_is_not_there_yet(tmp_path: Path) -> None:
    device = tmp_path / "device"
    apart = Apart()
    async with ApartLine(LineSpec.parse(f"serial:{device}"), apart) as line:
        await line.first(0.1)
        line.send()
        assert not apart.told
        async with MeasuringRunner(settings(tmp_path, "pty")) as runner:
            device.symlink_to(runner.listening.removeprefix("serial:"))
            await line.first(30)
            assert apart.told


def test_lines_have_names() -> None:
    for text in ("tcp:127.0.0.1:4065", "tcp:::1:5", "serial:/dev/ttyS0:115200", "pty"):
        parsed = LineSpec.parse(text.replace("S0:", "S0,"), pty=True)
        assert str(parsed) == text
