"""Invocation ids of what a meter sends: none is used twice, whatever the power and the clock do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.meter.kept import C1222Record

RESERVE: Final = 1024
"""Ids reserved at once: one write to the memory for a thousand messages."""
ENOUGH: Final = 64
"""Ids that one call of a node takes at most: an answer, a registration, and what it tells."""
_MASK: Final = 0xFFFF_FFFF


class InvocationIds:
    """The ids of one meter. They have 32 bits; what is kept counts on.

    Args:
        record: what is kept: from there on it goes.
        persist: called when more have been reserved, before they are used; may raise
            ``StoreError``, and then none is.
    """

    def __init__(self, record: C1222Record, persist: Callable[[], None]) -> None:
        self._record = record
        self._persist = persist
        self._next = record.ids

    def reserve(self) -> None:
        """Have enough for what comes next.

        Raises:
            StoreError: they could not be kept: nothing may be sent now.
        """
        if self._record.ids - self._next >= ENOUGH:
            return
        before, self._record.ids = self._record.ids, self._next + RESERVE
        try:
            self._persist()
        except StoreError:
            self._record.ids = before
            raise

    def take(self) -> int:
        """Return the next one."""
        self._next += 1
        return (self._next - 1) & _MASK

    def give_back(self) -> None:
        """Give back what was reserved and not used: the next snapshot goes on without a gap."""
        self._record.ids = self._next
