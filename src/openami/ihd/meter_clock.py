"""The meter's clock, as far as a display knows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from openami.transport.clock import speed_of

if TYPE_CHECKING:
    from openami.core.clock import Clock

_JUMP_S: Final = 2.0
"""Real seconds of difference from which on a clock was set; less is the line's delay."""
_WEIGHT: Final = 0.1


class MeterClock:
    """The machine's clock, moved to where the meter's is: readings and events are by that.

    Args:
        world: the machine's, or a simulated one.

    Attributes:
        known: is set as long as the meter pushes. Else the machine's clock may have been set since,
            as that of a machine without a battery is: nothing is done then that can not be undone.
    """

    def __init__(self, world: Clock) -> None:
        self.offset = 0.0
        self._world = world
        self.known = asyncio.Event()

    @property
    def speed(self) -> float:
        """How many of its seconds pass in a real one."""
        return speed_of(self._world)

    def now(self) -> float:
        return self._world.now() + self.offset

    def saw(self, at: int) -> None:
        """Take the time of a push, which has just come."""
        off = at - self._world.now() - self.offset
        jump = not self.known.is_set() or abs(off) > _JUMP_S * self.speed
        self.offset += off if jump else off * _WEIGHT
        self.known.set()

    def lost(self) -> None:
        """Take that pushes come no more."""
        self.known.clear()
