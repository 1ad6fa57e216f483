"""Runs what serves until it is told to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from openami.transport.signals import stop_signals

if TYPE_CHECKING:
    from collections.abc import Callable


class Runner(Protocol):
    """What serves while its block lasts."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def failed(self) -> None:
        """Return never, unless it can not serve on: then raise why."""


R = TypeVar("R", bound=Runner)


async def serve_until_stopped(runner: R, ready: Callable[[R], Any] | None) -> None:
    """Run until SIGTERM or SIGINT, also one that comes while it starts.

    Args:
        runner: what serves.
        ready: called once it can be reached.
    """
    stop = asyncio.Event()
    with stop_signals(stop.set):
        async with runner:
            if ready is not None:
                ready(runner)
            waits = {asyncio.ensure_future(stop.wait()), asyncio.ensure_future(runner.failed())}
            try:
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in waits:
                    task.cancel()
