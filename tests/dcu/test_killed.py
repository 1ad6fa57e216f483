"""The DCU as a process that is killed without warning."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from dataclasses import astuple
from typing import TYPE_CHECKING

from tests.support.dcu_chain import HOUR, chain, identity
from tests.support.forks import forks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dcu_chain import Chain
    from tests.support.dcu_headend import Certificates
    from tests.support.forks import Fork, Forks

ALL = (0, 1, 2)


async def start(dcus: Forks, made: Chain, clock: Path) -> tuple[Fork, int]:
    settings = made.settings().model_dump_json()
    files = json.dumps([str(file) for file in astuple(made.certificates)])
    process, pid = await dcus.start(settings, str(clock), files)
    await process.until("ready")
    return process, pid


def show(made: Chain, file: Path) -> None:
    part = file.with_suffix(".part")
    part.write_text(repr(made.clock.now()))
    part.replace(file)


async def test_a_process_that_is_killed_again_and_again_loses_and_repeats_nothing(
    tmp_path: Path, certificates: Certificates
) -> None:
    chance = random.Random(3)
    clock = tmp_path / "clock"
    async with chain(tmp_path, certificates) as made, forks("tests.support.dcu_child") as dcus:
        show(made, clock)
        for _ in range(5):
            process, pid = await start(dcus, made, clock)
            for _ in range(chance.randrange(1, 4)):
                made.advance(HOUR / 2)
                show(made, clock)
                await asyncio.sleep(0.1 + chance.random() * 0.3)
            os.kill(pid, signal.SIGKILL)
            assert await process.ended() == -signal.SIGKILL
        process, pid = await start(dcus, made, clock)
        await made.until(lambda: made.complete(*ALL))
        os.kill(pid, signal.SIGTERM)
        ended = await asyncio.wait_for(process.ended(), 30)
        text = "".join(process.output)
        assert ended == 0, text
        assert set(made.states()) == {identity(n).serial for n in ALL}
        assert json.loads(json.dumps(made.headend.reports[-1]))["dcu"]["spool_batches"] == 0
        for number in ALL:
            keys = identity(number).keys
            assert keys.guek.hex() not in text.lower()
            assert keys.gak.hex() not in text.lower()
