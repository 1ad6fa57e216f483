"""The DCU as a process that is killed without warning."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from dataclasses import astuple
from typing import TYPE_CHECKING

from tests.support.dcu_chain import HOUR, chain, identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dcu_chain import Chain
    from tests.support.dcu_headend import Certificates

ALL = (0, 1, 2)


async def start(made: Chain, clock: Path) -> asyncio.subprocess.Process:
    settings = made.settings().model_dump_json()
    files = json.dumps([str(file) for file in astuple(made.certificates)])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dcu_child", settings, str(clock), files,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    first = await process.stdout.readline()
    assert first == b"ready\n", first
    return process


def show(made: Chain, file: Path) -> None:
    part = file.with_suffix(".part")
    part.write_text(repr(made.clock.now()))
    part.replace(file)


async def drained(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.read()


async def test_a_process_that_is_killed_again_and_again_loses_and_repeats_nothing(
    tmp_path: Path, certificates: Certificates
) -> None:
    chance = random.Random(3)
    clock = tmp_path / "clock"
    async with chain(tmp_path, certificates) as made:
        show(made, clock)
        for _ in range(5):
            process = await start(made, clock)
            output = asyncio.ensure_future(drained(process))
            for _ in range(chance.randrange(1, 4)):
                made.advance(HOUR / 2)
                show(made, clock)
                await asyncio.sleep(0.1 + chance.random() * 0.3)
            process.kill()
            await process.wait()
            await output
        process = await start(made, clock)
        output = asyncio.ensure_future(drained(process))
        await made.until(lambda: made.complete(*ALL))
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)
        text = (await output).decode()
        assert process.returncode == 0, text
        assert set(made.states()) == {identity(n).serial for n in ALL}
        assert json.loads(json.dumps(made.headend.reports[-1]))["dcu"]["spool_batches"] == 0
        for number in ALL:
            keys = identity(number).keys
            assert keys.guek.hex() not in text.lower()
            assert keys.gak.hex() not in text.lower()
