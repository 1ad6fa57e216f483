"""What the agent tells the launcher that watches it: that it lives, and that its trial is over.

A beat is one octet in a pipe, sent by the event loop: an agent whose loop stands still sends none.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.dcu.slots.store import TwoSlots

BEAT: Final = b"."
CONFIRMED: Final = b"c"
BEAT_S: Final = 2.0

log = structlog.get_logger("dcu.slots")


class TrialHealth:
    """Implements ``openami.dcu.ports.Health``: its two methods are called in the event loop.

    When both were called, what is on trial is confirmed, durably, and then the launcher is told.

    Args:
        slots: what runs.
        beat: the descriptor of the pipe.
    """

    def __init__(self, slots: TwoSlots, beat: int) -> None:
        self._slots = slots
        self._beat = beat
        self._held = self._collecting = False
        self._news = asyncio.Event()
        os.set_blocking(beat, False)

    def session_held(self) -> None:
        """Take that a session with the server went well."""
        self._held = True
        self._news.set()

    def collecting(self) -> None:
        """Take that collection is up."""
        self._collecting = True
        self._news.set()

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat as long as the block lasts."""
        task = asyncio.ensure_future(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _run(self) -> None:
        while True:
            self._say(BEAT)
            self._news.clear()
            if self._held and self._collecting and self._slots.running.on_trial:
                await self._confirm()
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _confirm(self) -> None:
        try:
            await asyncio.to_thread(self._slots.confirm)
        except StoreError as error:  # the next beat tries again, as long as the trial lasts
            log.error("not confirmed", code=error.code, error=error.message)  # noqa: TRY400 -- not a bug of ours
            return
        log.info("confirmed", version=self._slots.running.version)
        self._say(CONFIRMED)

    def _say(self, word: bytes) -> None:
        try:
            os.write(self._beat, word)
        except BlockingIOError:
            return  # the launcher does not read, and has many beats
        except BrokenPipeError:
            log.warning("the launcher has ended")
            os.kill(os.getpid(), signal.SIGTERM)  # as it would have us end, in good order
