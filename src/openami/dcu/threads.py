"""How management waits for the disk, and collection does not.

Management commits little and often, and on slow flash a commit takes a while. So it works on
threads of its own, one thing after another on each. The tree may be read anywhere, since a root of
it never changes; a file only there, since who reads it waits while a commit has its lock.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class WorkThread:
    """A thread that does one thing after another.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)

    async def do(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Return what ``work`` returns; it begins when all that was asked for before is over.

        Who is cancelled waits no longer. What has begun then comes to its end all the same, what
        has not is not done.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, work, *arguments)

    def close(self) -> None:
        """Return when what has begun is over; nothing else is done any more."""
        self._executor.shutdown(cancel_futures=True)


def on_loop(call: Callable[[*Ts], object]) -> Callable[[*Ts], None]:
    """Return ``call`` for other threads: it happens soon, in the event loop that runs now."""
    loop = asyncio.get_running_loop()

    def soon(*arguments: *Ts) -> None:
        loop.call_soon_threadsafe(call, *arguments)

    return soon
