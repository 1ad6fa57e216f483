"""What goes on in the demo beside what it always does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    Facts = dict[str, Any]


class Story:
    """Something that begins when it is told to, and has an outcome.

    Args:
        tell: does it.
    """

    def __init__(self, tell: Callable[[], Coroutine[Any, Any, Facts]]) -> None:
        self._tell = tell
        self._task: asyncio.Task[Facts] | None = None

    def go(self) -> None:
        """Begin, at the first call."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._tell())

    def check(self) -> None:
        """Return if nothing has gone wrong.

        Raises:
            OpenAmiError: what the story raised.
        """
        if self._task is not None and self._task.done():
            self._task.result()

    @property
    def came(self) -> Facts | None:
        """What came of it; None: it is not over."""
        done = self._task is not None and self._task.done() and not self._task.cancelled()
        return self._task.result() if self._task is not None and done else None

    async def end(self) -> None:
        """Give it up, if it is not over."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])


@asynccontextmanager
async def telling(*stories: Story) -> AsyncIterator[None]:
    """End the stories with the block."""
    try:
        yield
    finally:
        for story in stories:
            await story.end()
