"""Runs a DCU in a process of its own, on a clock that a file tells, until it is killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from openami.dcu.agent import Dcu, run_dcu
from openami.dcu.settings import DcuSettings


class FileClock:
    """Shows the time that stands in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last = 0.0

    def now(self) -> float:
        self._last = float(self._file.read_text() or self._last)
        return self._last


async def main(settings: DcuSettings, clock: FileClock) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def nudge(dcu: Dcu) -> None:
        while True:  # the file's time passes by leaps, which no timer foresees
            await asyncio.sleep(0.02)
            dcu.collector.nudge.set()

    def ready(dcu: Dcu) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        tasks.append(asyncio.ensure_future(nudge(dcu)))

    await run_dcu(settings, clock, ready=ready)


if __name__ == "__main__":
    asyncio.run(
        main(DcuSettings.load(None, **json.loads(sys.argv[1])), FileClock(Path(sys.argv[2])))
    )
