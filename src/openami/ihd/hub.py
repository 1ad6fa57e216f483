"""Gives what is new to everybody who watches, each as fast as they take it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from openami.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 32
"""Who watches at a time: the tablets and phones of a home, with the pages they forgot to close."""


class Watcher:
    """One who watches. Of each kind of news only the newest waits, however slow they are."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        self._some = asyncio.Event()
        self._over = False

    def give(self, kind: str, text: str) -> None:
        """Put news in place of what waits of its kind."""
        self._waiting[kind] = text
        self._some.set()

    def end(self) -> None:
        """Let the watcher go."""
        self._over = True
        self._some.set()

    async def take(self, seconds: float) -> list[tuple[str, str]] | None:
        """Return what is new, kind and text; nothing after so many seconds; None: it is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._some.wait()
        except TimeoutError:
            return []
        if self._over:
            return None
        self._some.clear()
        found, self._waiting = list(self._waiting.items()), {}
        return found


class Hub:
    """Everybody who watches."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def check(self) -> None:
        """Raise TransportError ``home.watchers`` if there is no place for one more."""
        if len(self._watchers) >= MOST:
            raise TransportError(
                f"{MOST} pages are open", hint="close one of them", code="home.watchers"
            )

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Watch; TransportError ``home.watchers``: there are too many."""
        self.check()
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def give(self, kind: str, text: str) -> None:
        """Give news to everybody."""
        for watcher in self._watchers:
            watcher.give(kind, text)

    def close(self) -> None:
        """Let everybody go."""
        for watcher in self._watchers:
            watcher.end()
