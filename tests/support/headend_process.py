"""A head-end in a process of its own, which a test can kill."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.headend import START, settings_in

from openami.core.clock import ManualClock
from openami.headend.server import Running, run


class Process:
    """A head-end that runs as a child."""

    def __init__(self, child: asyncio.subprocess.Process, facts: dict[str, Any]) -> None:
        self._child = child
        self.url: str = facts["url"]
        self.device_url: str = facts["device_url"]
        self.security_url: str = facts["security_url"]
        self.authority = Path(facts["authority"])

    async def kill(self) -> None:
        """Kill it without any warning."""
        self._child.kill()
        await self._child.wait()

    async def terminate(self) -> int:
        """Ask it to stop, and return its exit status."""
        self._child.send_signal(signal.SIGTERM)
        return await self._child.wait()

    async def close(self) -> None:
        if self._child.returncode is None:
            await self.kill()


@asynccontextmanager
async def process(folder: Path, **options: Any) -> AsyncIterator[Process]:
    """Start a head-end over ``folder`` and wait until it answers."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.headend_process",
        str(folder),
        json.dumps(options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    line = await child.stdout.readline()
    running = Process(child, json.loads(line))
    try:
        yield running
    finally:
        await running.close()


def _announce(running: Running) -> None:
    facts = {
        "url": running.url,
        "device_url": running.device_url,
        "security_url": running.security_url,
        "authority": str(running.home.authority),
    }
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _main() -> None:
    folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    settings = settings_in(folder, **options)
    asyncio.run(run(settings, clock=ManualClock(START + 86_400.0), announce=_announce))


if __name__ == "__main__":
    _main()
