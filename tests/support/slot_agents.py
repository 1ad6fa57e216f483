"""Agents that are started out of slots: real processes, with real slots, that read no meters.

An agent notes in ``diary``, in the folder of its state, which version runs. On SIGUSR1 it does
what a server would have it do: it stages the image that stands in ``next``, arms it, and wants to
be started anew.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.dcu_releases import HARDWARE, MODEL
from tests.support.slots import make_image, runnable

from openami.dcu.slots.store import RESERVE, TwoSlots
from openami.firmware import manifest_codec
from openami.store.folder import Folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

_BEGIN = """
import asyncio, os, signal, time
from pathlib import Path
from openami import __version__
from openami.firmware import manifest_codec
from openami.transport.signals import stop_signals

async def run_managed(installation, clock, *, slots=None, health=None):
    state = installation.state
    loop, again = asyncio.get_running_loop(), asyncio.Event()
    stop = asyncio.Event()

    def note(what):
        with (state / "diary").open("a") as diary:
            diary.write(f"{__version__} {what} {os.getpid()}\\n")

    def install():
        image = Path((state / "next").read_text())
        slots.stage(image, manifest_codec.decode(image.with_suffix(".json").read_bytes()))
        slots.arm()
        again.set()
        stop.set()

    loop.add_signal_handler(signal.SIGUSR1, install)
    with stop_signals(stop.set):
        note("begins")
"""
_GOOD = """
        health.session_held()
        health.collecting()
        while slots.running.on_trial and not stop.is_set():
            await asyncio.sleep(0.01)
        note("runs")
        await stop.wait()
        note("ends")
        return again.is_set()
"""
AGENTS = {
    "good": _BEGIN + _GOOD,
    "raises": "raise RuntimeError('a bug')\n",
    "ends": _BEGIN + "        return False\n",
    "has no settings": _BEGIN.replace("    state =", "    raise SystemExit(2)\n    state ="),
    "hangs": _BEGIN + "        time.sleep(3600)\n",
    "holds no session": _BEGIN + "        health.collecting()\n        await stop.wait()\n",
    "starts anew for ever": _BEGIN + "        return True\n",
}


@dataclass
class Bench:
    """A folder in which a launcher runs, and what it needs."""

    folder: Path
    factory: Path

    @property
    def slots(self) -> Folder:
        return Folder(self.folder / "slots", reserve=RESERVE)

    def two(self) -> TwoSlots:
        return TwoSlots(self.slots, lambda: (MODEL, HARDWARE))

    @property
    def diary(self) -> list[str]:
        file = self.folder / "diary"
        return file.read_text().splitlines() if file.exists() else []

    def last(self) -> tuple[str, str, int]:
        """Return version, word and process of the last line."""
        version, word, pid = (self.diary or ["none none 0"])[-1].split()
        return version, word, int(pid)

    def offer(self, version: str, agent: str, counter: int = 1) -> None:
        """Let the agent find a version when it is asked to install one."""
        image, manifest = make_image(self.folder, version, counter, files=runnable(AGENTS[agent]))
        image.with_suffix(".json").write_bytes(manifest_codec.encode(manifest))
        (self.folder / "next").write_text(str(image))

    def command(self, *options: str) -> tuple[str, ...]:
        run = (sys.executable, "-P", "-m", "openami", "dcu", "boot")
        folders = ("--slots", "slots", "--factory", ".", "--state", ".")
        return (*run, *folders, "--modem", "hdlc+tcp://127.0.0.1:1", *options)

    @asynccontextmanager
    async def launched(self, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a launcher, and kill it at the end of the block."""
        with (self.folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.command(*options),
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(self.factory), "NO_COLOR": "1"},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def until(self, reached: Callable[[], bool], timeout: float = 90.0) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not reached():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            log = (self.folder / "log").read_text()
            raise AssertionError("\n".join([log, *self.diary])) from None

    async def runs(self, version: str) -> int:
        """Return the process of an agent once a version runs."""
        await self.until(lambda: self.last()[:2] == (version, "runs"))
        return self.last()[2]

    async def install(self) -> None:
        """Ask the agent to install what is offered."""
        os.kill(self.last()[2], signal.SIGUSR1)


def make_bench(folder: Path, factory: Path) -> Bench:
    lines = {"uid": "D1", "security_url": "https://x", "maker": "M", "model": MODEL,
             "hardware": HARDWARE}  # fmt: skip
    text = "".join(f'{name} = "{value}"\n' for name, value in lines.items())
    (folder / "device.toml").write_text(text)
    return Bench(folder, factory)
