"""Processes that are forked from one which has imported everything, and may be killed.

Starting Python and importing costs a second of processor time each; a fork costs none of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOT = Path(__file__).resolve().parents[2]


def serve(work: Callable[..., None]) -> None:
    """Call ``work`` in a process of its own for each list of arguments, one after another."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(*json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001 -- whatever it is, it is the process's end
                traceback.print_exc(file=sys.stdout)
            finally:
                sys.stdout.flush()
                os._exit(code)
        _say(f"pid {pid}")
        _say(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


def _say(text: str) -> None:
    os.write(1, f"\n{text}\n".encode())  # on a line of its own, whatever the process wrote


class Fork:
    """One process; ``output`` is what it has written so far."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.output: list[str] = []

    async def until(self, word: str) -> str:
        """Return what follows a word that begins a line."""
        while True:
            line = (await self._reader.readline()).decode()
            assert line, "".join(self.output)
            if line.startswith(word):
                return line.removeprefix(word).strip()
            self.output.append(line)

    async def ended(self) -> int:
        """Return how it ended."""
        return int(await self.until("ended "))


class Forks:
    """Starts processes, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._writer, self._reader = process.stdin, process.stdout

    async def start(self, *arguments: str) -> tuple[Fork, int]:
        """Return a process and its number."""
        self._writer.write(json.dumps(arguments).encode() + b"\n")
        fork = Fork(self._reader)
        return fork, int(await fork.until("pid "))


@asynccontextmanager
async def forks(module: str) -> AsyncIterator[Forks]:
    """Import a module that calls ``serve``, once."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    try:
        yield Forks(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
