"""What the line's task works with, and who else may use the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.core.clock import Clock
    from openami.dcu.batches import Gatherer
    from openami.dcu.demand.desk import Carrier, Desk
    from openami.dcu.flow import Patience, Stop
    from openami.dcu.gateway.gateway import Gateway
    from openami.dcu.jobs import JobBoard
    from openami.dcu.modem import Modem
    from openami.dcu.roster import Roster, Station
    from openami.fleet.collection import Line


class Guest(Protocol):
    """Takes turns of at most a few seconds of line time; metering is asked before each."""

    async def use(self, seconds: float) -> float:
        """Take one turn of the line, if there is one to take.

        Args:
            seconds: until metering needs the line; both in real seconds.

        Returns:
            After how many seconds another turn is wanted; 0: at once.

        Raises:
            LineLostError: the line is gone.
        """
        ...

    async def leave(self, serial: str | None = None) -> None:
        """Let go of a meter that metering is about to visit; None: of the whole line.

        Raises:
            LineLostError: the line is gone.
        """
        ...

    def away(self, serial: str) -> bool:
        """Tell whether a meter is known to be away for a short while, and not lost."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the collector works with.

    Attributes:
        line: what to do next.
        roster: the meters.
        modem: the line itself.
        gatherer: where what was read goes.
        board: on-demand reads.
        clock: the DCU's.
        tick: a clock that only goes on, in real seconds.
        chance: returns a number from 0 to 1.
        patience: between tries to open the line.
        stop: ends the task.
        news: called when there is something that the head-end should hear of soon.
        guest: who uses the line while it is free.
        gateway: carries what displays ask between two turns of metering.
        desk: what is to be carried to meters in visits.
    """

    line: Line
    roster: Roster
    modem: Modem
    gatherer: Gatherer
    board: JobBoard
    clock: Clock
    tick: Callable[[], float]
    chance: Callable[[], float]
    patience: Patience
    stop: Stop
    news: Callable[[], None]
    guest: Guest | None = None
    gateway: Gateway | None = None
    desk: Desk | None = None

    async def let_displays_in(self) -> None:
        """Let displays ask their meters what they wait for."""
        if self.gateway is not None and self.gateway.waiting:
            await self.gateway.use(self.modem, self.roster.get)

    def carrier(self, station: Station) -> Carrier | None:
        """Return what is to be carried to a meter that is visited now."""
        if self.desk is None:
            return None
        return self.desk.carrier(station.meter.serial, station.meter.firmware)

    def settle(self, serial: str, carrier: Carrier | None) -> None:
        """Take that the visit is over, however it ended."""
        if self.desk is not None:
            self.desk.settle(serial, carrier)
