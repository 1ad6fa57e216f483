"""The demo's processes: started as a user would start them, watched, and stopped cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import TransportError

if TYPE_CHECKING:
    from pathlib import Path

START_S: Final = 60.0  # a cold start on a slow machine imports pyarrow and duckdb in some seconds
STOP_S: Final = 20.0
TAIL: Final = 12  # lines of a log that say why a process failed


class Processes:
    """The processes of a demo; as a context manager it stops them in the reverse order."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in reversed(list(self._running)):
            await self.stop(name)

    async def start(self, name: str, *arguments: str) -> None:
        """Start ``openami`` with arguments; its log is NAME.log."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "openami",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the demo, which stops the others in their order.
                start_new_session=True,
            )

    async def ready(self, name: str) -> dict[str, Any]:
        """Return the line of JSON by which a process says that it can be reached.

        Raises:
            TransportError: ``demo.process``, it ended or said nothing in time.
        """
        process = self._running[name]
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
            facts: dict[str, Any] = json.loads(line)
        except (TimeoutError, ValueError):
            raise self._failure(name, "did not start") from None
        return facts

    def check(self) -> None:
        """Return if all of them run.

        Raises:
            TransportError: ``demo.process``, one has ended.
        """
        for name, process in self._running.items():
            if process.returncode is not None:
                raise self._failure(name, f"ended with status {process.returncode}")

    async def stop(self, name: str) -> None:
        """Ask a process to end, and see that it does."""
        process = self._running.pop(name)
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _failure(self, name: str, what: str) -> TransportError:
        path = self._logs / f"{name}.log"
        try:
            tail = path.read_text("utf-8", errors="replace").splitlines()[-TAIL:]
        except OSError:
            tail = []
        return TransportError(
            "\n".join([f"the process {name} {what}", *tail]),
            hint="--state DIR keeps its whole log, in DIR/logs",
            code="demo.process",
        )
