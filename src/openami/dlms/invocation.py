"""Invocation counters: what may not come twice, and what may not be sent twice.

Counters belong to a key and to who sends with it (Green Book 9.2.3.3.7.3).
"""

from __future__ import annotations

from typing import Final

from openami.core.errors import LocalProtocolError, SecurityError

MAX_COUNTER: Final = 0xFFFF_FFFF


class ReplayGuard:
    """Refuses an invocation counter that is not above all that its key and sender have used.

    Counters belong to a key: give each pair of key and sender its own guard.

    Args:
        last: the highest counter accepted so far; -1 if none. Persist ``last`` before the APDU
            that moved it takes effect.
    """

    __slots__ = ("last",)

    def __init__(self, last: int = -1) -> None:
        self.last = last

    def accept(self, counter: int) -> None:
        """Take note of the counter of an APDU whose tag was right.

        Raises:
            SecurityError: it was used before (``security.replay``).
        """
        if counter <= self.last:
            raise SecurityError(
                f"invocation counter {counter} is not above {self.last}", code="security.replay"
            )
        self.last = counter


class CounterAllocator:
    """Gives out own invocation counters, none twice, also when the power fails.

    Counters are reserved in batches: persist ``reserved`` whenever ``reserve`` has moved it, before
    the next ``take``; after a restart begin at the persisted value.

    Args:
        start: the first counter to give out.
    """

    __slots__ = ("next", "reserved")

    def __init__(self, start: int = 0) -> None:
        self.next = start
        self.reserved = start

    def reserve(self, count: int) -> int:
        """Reserve up to ``count`` counters from ``next`` on; return the limit to persist."""
        self.reserved = max(self.reserved, min(self.next + count, MAX_COUNTER + 1))
        return self.reserved

    def take(self) -> int:
        """Return a counter that was never returned before.

        Raises:
            SecurityError: the key has no counters left and must be changed (``security.counter``).
            LocalProtocolError: nothing is reserved.
        """
        counter = self.next
        if counter > MAX_COUNTER:
            raise SecurityError("no invocation counters are left", code="security.counter")
        if counter >= self.reserved:
            raise LocalProtocolError("an invocation counter that was not reserved")
        self.next = counter + 1
        return counter
