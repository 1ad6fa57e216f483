"""Invocation counters of a meter's associations.

All associations cipher with the same keys, so their answers share one counter: no nonce is used
twice. What was accepted is counted for each association by itself, since each has its own client.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from openami.dlms.invocation import MAX_COUNTER, CounterAllocator, ReplayGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESERVE: Final = 1024
"""Counters reserved at once: one write to the memory for a thousand answers, and 2**32 counters
last for four million restarts."""

KEYS_REMEMBERED: Final = 32
"""Keys whose counters are remembered: changed once a year, those of a meter's life. Beyond that
the key that was new the longest ago is forgotten."""

OVERLAP: Final = 1 << 16
"""Counters that an association which was open when its key was replaced may still use with it."""


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
    that its keys were used with before, which is then kept. Broadcasts need no association: what
    was heard in the last seconds before a power cut may be heard again, and is a block that the
    meter has, or lacks.

    A key that comes back after another one goes on above what was accepted with it: what was
    recorded under it stays worthless.

    Args:
        own: the meter's own counter.
        key: the global encryption key in force.
        accepted: the highest counter accepted with each key so far, by its ``fingerprint``.
    """

    def __init__(self, own: OwnCounter, key: bytes, accepted: Mapping[str, int]) -> None:
        self._own = own
        self._key = fingerprint(key)
        self._accepted = dict(accepted)
        self._guard = ReplayGuard(self._accepted.get(self._key, -1))

    @property
    def last(self) -> int:
        return self._guard.last

    @property
    def accepted(self) -> dict[str, int]:
        """What the memory must keep."""
        return {**self._accepted, self._key: self._guard.last}

    def take(self) -> int:
        return self._own.take()

    def accept(self, counter: int) -> None:
        self._guard.accept(counter)

    def renew(self, key: bytes) -> None:
        self._accepted = self.accepted
        if self.last >= 0:
            self._accepted[self._key] = min(self.last + OVERLAP, MAX_COUNTER)
        self._key = fingerprint(key)
        last = self._accepted.pop(self._key, -1)
        while len(self._accepted) >= KEYS_REMEMBERED:
            del self._accepted[next(iter(self._accepted))]
        self._guard = ReplayGuard(last)


def fingerprint(key: bytes) -> str:
    """Return what tells a key from others and does not tell the key: 64 bits of its SHA-256."""
    return hashlib.sha256(key).digest()[:8].hex()
