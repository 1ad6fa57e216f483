"""What listeners have in common: one handler for each peer, bounded, and no failure unseen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

from openami.core.errors import TransportError
from openami.transport.channel import Channel

Handler = Callable[[Channel], Awaitable[None]]


class Server:
    """A listener; as a context manager it closes on leaving.

    Args:
        handler: run for each peer; its return closes the peer's channel.
        max_peers: how many are served at a time.

    Attributes:
        host: where it listens.
        port: as bound: never 0 once it listens.
        refused: how many peers found no room.
    """

    def __init__(self, handler: Handler, *, max_peers: int) -> None:
        self._handler = handler
        self._max = max_peers
        self._tasks: dict[asyncio.Task[None], Channel] = {}
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self.refused = 0
        self.host = ""
        self.port = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connections(self) -> int:
        """How many peers are being served."""
        return len(self._tasks)

    async def close(self) -> None:
        """Stop listening, close every channel, cancel the handlers and wait for them.

        Raises:
            Exception: what a handler raised that is no ``TransportError``: a bug of ours.
        """
        self._stop_listening()
        tasks = dict(self._tasks)
        for task, channel in tasks.items():
            channel.close()
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def failed(self) -> BaseException:
        """Return what a handler raised, when one does: a bug of ours that must not stay unseen."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    def _stop_listening(self) -> None:
        """Take no more peers."""

    def _serve(self, channel: Channel) -> bool:
        """Run the handler for a new peer; False when there is no room for it."""
        if len(self._tasks) >= self._max:
            self.refused += 1
            return False
        task = asyncio.ensure_future(self._handle(channel))
        self._tasks[task] = channel
        task.add_done_callback(self._done)
        return True

    async def _handle(self, channel: Channel) -> None:
        try:
            with contextlib.suppress(TransportError):  # the peer has gone; the channel tells why
                await self._handler(channel)
        finally:
            channel.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and self._failure is None:
            self._failure = failure
            self._failed.set()
