"""A head-end whose devices ask, quarrel and are managed, in a process of its own."""

import asyncio
import signal
import sys
from pathlib import Path

from tests.support.headend import running_headend
from tests.support.office import manage, populate


async def _serve(folder: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_headend(folder) as running:
        await populate(running)
        await manage(running, folder)
        sys.stdout.write(f"\n@{running.url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
