"""Invocation counters of a meter's associations.

All associations cipher with the same keys, so their answers share one counter: no nonce is used
twice. What was accepted is counted for each association by itself, since each has its own client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.dlms.invocation import CounterAllocator, ReplayGuard

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVE: Final = 1024
"""Counters reserved at once: one write to the memory for a thousand answers, and 2**32 counters
last for four million restarts."""


class OwnCounter:
    """The counter of what the meter sends.

    Args:
        start: the first one to give out.
        persist: called when more have been reserved, before they are used; may raise
            ``StoreError``, and then none is.
    """

    def __init__(self, start: int, persist: Callable[[], None]) -> None:
        self._allocator = CounterAllocator(start)
        self._persist = persist

    @property
    def limit(self) -> int:
        """From where to go on after the power failed: above all that may have been used."""
        return self._allocator.reserved

    def give_back(self) -> None:
        """Give back what was reserved and not used: the next snapshot goes on without a gap."""
        self._allocator.reserved = self._allocator.next

    def take(self) -> int:
        """Return a counter never returned before.

        Raises:
            SecurityError: none are left.
            StoreError: no more could be reserved.
        """
        allocator = self._allocator
        if allocator.next >= allocator.reserved:
            before = allocator.reserved
            allocator.reserve(RESERVE)
            try:
                self._persist()
            except Exception:
                allocator.reserved = before
                raise
        return allocator.take()


class AssociationCounters:
    """Counters of one association: the port ``InvocationCounters`` of its security setup.

    What was accepted is kept with the meter's next commit, and at once where an association is
    opened (``Meter`` sees to that). That is enough: an APDU recorded before a power cut can only
    be replayed within an open association, and whoever opens one has shown a counter above all
    that its keys were used with before, which is then kept.

    Args:
        own: the meter's own counter.
        last: the highest counter accepted; -1 if none.
    """

    def __init__(self, own: OwnCounter, last: int = -1) -> None:
        self._own = own
        self._guard = ReplayGuard(last)

    @property
    def last(self) -> int:
        return self._guard.last

    def take(self) -> int:
        return self._own.take()

    def accept(self, counter: int) -> None:
        self._guard.accept(counter)

    def renew(self) -> None:
        self._guard = ReplayGuard()
