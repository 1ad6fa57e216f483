"""Runs the applications of a DCU, each in a process of its own, and again whenever it ends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import OpenAmiError, SecurityError, StoreError
from openami.dcu.flow import Patience
from openami.dcu.updates.confined import CONFINED
from openami.firmware.component import MAX_IMAGE, Component
from openami.store.whole import read_whole
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from openami.dcu.threads import WorkThread

BEGUN_S: Final = 2.0
"""How long an application has to live to count as begun: one that lacks something ends before."""
AGAIN_FIRST_S: Final = 1.0
AGAIN_MOST_S: Final = 300.0
STEADY_S: Final = 60.0
"""One that has lived so long is begun anew at once, as if it were the first time."""
STOP_S: Final = 5.0

_COMMAND: Final = (sys.executable, "-P", "-m", "openami.dcu.updates.confined")
_KEPT: Final = ("PATH", "LANG", "PYTHONPATH", "PYTHONSAFEPATH", "TZ")

log = structlog.get_logger("dcu.updates")


class Programs:
    """The applications that are on. All of it is for the event loop.

    Args:
        folder: each application has a folder of its own in it, to write in.
        disk: where files are waited for.
        chance: returns a number from 0 to 1.
    """

    def __init__(self, folder: Path, disk: WorkThread, chance: Callable[[], float]) -> None:
        self._folder = folder
        self._disk = disk
        self._chance = chance
        self._libraries: Mapping[Path, str] = {}
        self._runs: dict[str, _Run] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def want(self, apps: Mapping[str, tuple[Path, str]], libraries: Mapping[Path, str]) -> None:
        """Let exactly these run, with these libraries.

        Args:
            apps: image and its SHA-256 by the name of the application.
            libraries: the SHA-256 of an image by its file.
        """
        others = libraries != self._libraries
        self._libraries = libraries
        for name in [*self._runs]:
            run = self._runs[name]
            if others or apps.get(name) != run.app.image:
                del self._runs[name]
                self._end(run)
        for name, image in apps.items():
            if name not in self._runs:
                self._runs[name] = self._begin(name, image)

    async def begun(self, name: str) -> str:
        """Return once an application lives; why it does not, or nothing."""
        run = self._runs.get(name)
        return "scomo.program it is not on" if run is None else await asyncio.shield(run.first)

    async def close(self) -> None:
        """Return when none runs any more."""
        for run in self._runs.values():
            self._end(run)
        self._runs.clear()
        if self._ending:
            await asyncio.wait(self._ending)

    def _begin(self, name: str, image: tuple[Path, str]) -> _Run:
        app = _App(name, image, self._libraries, self._folder / name)
        run = _Run(app, self._disk, Patience(AGAIN_FIRST_S, AGAIN_MOST_S, self._chance))
        run.begin(frozenset(self._ending))
        return run

    def _end(self, run: _Run) -> None:
        run.task.cancel()
        self._ending.add(run.task)
        run.task.add_done_callback(self._ending.discard)


@dataclass(frozen=True, slots=True)
class _App:
    """An application: image and its digest, libraries and theirs, and its own folder."""

    name: str
    image: tuple[Path, str]
    libraries: Mapping[Path, str]
    folder: Path


class _Run:
    """One application, over its processes."""

    def __init__(self, app: _App, disk: WorkThread, patience: Patience) -> None:
        self.app = app
        self.first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None]
        self._disk = disk
        self._patience = patience

    def begin(self, before: frozenset[asyncio.Task[None]]) -> None:
        """Run it once those before it have ended."""
        self.task = asyncio.ensure_future(self._live(before))

    async def _live(self, before: frozenset[asyncio.Task[None]]) -> None:
        try:
            if before:
                await asyncio.wait(before)
            while True:
                began = monotonic()
                words = await self._once()
                self._tell(words)
                if monotonic() - began >= STEADY_S:
                    self._patience.succeeded()
                wait = self._patience.failed()
                log.warning("application ended", name=self.app.name, why=words, wait_s=round(wait))
                await asyncio.sleep(wait)
        finally:
            self._tell("scomo.program it was switched off")

    def _tell(self, words: str) -> None:
        if not self.first.done():
            self.first.set_result(words)

    async def _once(self) -> str:
        """Run one process to its end; return how it ended, or nothing if that was well."""
        try:
            process = await self._begun(await self._disk.do(self._checked))
        except OpenAmiError as error:
            return f"{error.code} {error.message}"
        except OSError as error:  # no memory, or too many processes: later, perhaps
            return f"scomo.program {error.strerror}"
        log.info("application begins", name=self.app.name, pid=process.pid)
        alive = asyncio.get_running_loop().call_later(BEGUN_S, self._tell, "")
        try:
            status = await process.wait()
        finally:
            alive.cancel()
            await _ended(process)
        if status == CONFINED:
            return "scomo.environment nothing here keeps it from the DCU's keys"
        return "" if status == 0 else f"scomo.program it ended with status {status}"

    async def _begun(self, main: str) -> asyncio.subprocess.Process:
        images = [self.app.image[0], *self.app.libraries]
        return await asyncio.create_subprocess_exec(
            *_COMMAND,
            *map(str, (self.app.folder.absolute(), main, *(image.absolute() for image in images))),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            start_new_session=True,
        )

    def _checked(self) -> str:
        """Return the module to run, once every image is what it is to be."""
        try:
            self.app.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.app.folder}: {error.strerror}") from error
        data = _verified(*self.app.image)
        for library, sha256 in self.app.libraries.items():
            _verified(library, sha256)
        return Component.decode(data).main


def _verified(file: Path, sha256: str) -> bytes:
    data = read_whole(file, most=MAX_IMAGE + 1)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SecurityError(f"{file.name} is not what was fetched", code="firmware.package.image")
    return data


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Let a process end, in good order if it does so soon."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
