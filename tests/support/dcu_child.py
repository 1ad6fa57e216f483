"""DCUs, each in a process of its own, on a clock that a file tells, until it is killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.support.dcu_headend import Certificates
from tests.support.forks import serve

from openami.dcu.agent import Dcu
from openami.dcu.settings import DcuSettings
from openami.transport.signals import stop_signals


class FileClock:
    """Shows the time that stands in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last = 0.0

    def now(self) -> float:
        self._last = float(self._file.read_text() or self._last)
        return self._last


async def main(settings: DcuSettings, clock: FileClock, certificates: Certificates) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def nudge(dcu: Dcu) -> None:
        while True:  # the file's time passes by leaps, which no timer foresees
            await asyncio.sleep(0.02)
            dcu.collector.nudge.set()

    def ready(dcu: Dcu) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        tasks.append(asyncio.ensure_future(nudge(dcu)))

    async with Dcu(settings, clock, connect=certificates.client) as dcu:
        with stop_signals(dcu.stop):
            ready(dcu)
            await dcu.run()


def run(settings: str, clock: str, certificates: str) -> None:
    files = Certificates(*map(Path, json.loads(certificates)))
    asyncio.run(main(DcuSettings(**json.loads(settings)), FileClock(Path(clock)), files))


if __name__ == "__main__":
    serve(run)
