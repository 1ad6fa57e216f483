"""Which of many has something to do next, without asking all of them."""

from __future__ import annotations

import heapq
from typing import Final

_SLACK: Final = 64


class Due:
    """When to look at whom, by name."""

    def __init__(self) -> None:
        self._at: dict[bytes, float] = {}
        self._heap: list[tuple[float, bytes]] = []

    def note(self, name: bytes, at: float | None) -> None:
        """Take note of when to look at one; None: not at all. What was noted before is over."""
        if at is None:
            self._at.pop(name, None)
        elif self._at.get(name) != at:
            self._at[name] = at
            heapq.heappush(self._heap, (at, name))
        if len(self._heap) > 2 * len(self._at) + _SLACK:  # what is over is the most of it
            self._heap = [(when, each) for each, when in self._at.items()]
            heapq.heapify(self._heap)

    def next_timer(self) -> float | None:
        """Return when to look next."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> list[bytes]:
        """Return whom to look at now, the earliest first; they have to be noted anew."""
        found = []
        while (at := self.next_timer()) is not None and at <= now:
            name = heapq.heappop(self._heap)[1]
            del self._at[name]
            found.append(name)
        return found
