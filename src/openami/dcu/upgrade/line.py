"""Steps of ``openami.fleet.upgrade`` carried out on the meters of a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.dcu.roster import Station
    from openami.fleet.upgrade import (
        Answer,
        Bits,
        Blocks,
        Busy,
        Costs,
        Order,
        Refused,
        Send,
        Silent,
        Step,
    )


class ImageReader(Protocol):
    """The image of an order, wherever it lies; reading takes no noticeable time."""

    def read(self, offset: int, size: int) -> bytes:
        """Return so many octets from there; fewer at the image's end."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of blocks that were sent to one meter.

    Attributes:
        numbers: the blocks that it says it took: each is ``Segment.delivered``.
        end: why the others were not sent: ``Segment.refused`` or ``Segment.silent``; None: it
            took all.
    """

    numbers: tuple[int, ...]
    end: Silent | Busy | Refused | None = None


class MeterLine(Protocol):
    """The meters of one line, talked to over the modem; one owner at a time.

    What a meter answers, refuses or leaves unanswered is a value. Only what concerns the whole
    line is raised: ``LineLostError`` when the modem is gone, ``StoreError`` when counters cannot
    be kept. Each call takes at most a few seconds of line time, or the turn-around time-outs of
    one meter that is silent. The modem must be open; a cancelled call leaves the line usable.
    """

    def tune(self, stations: Iterable[Station]) -> frozenset[str]:
        """Choose the broadcast key that most of these meters have.

        Call it whenever the stations of an order are known anew, before ``Segment`` is made.

        Returns:
            Serials of those that lack it: ``deaf`` of ``Segment``.
        """
        ...

    def costs(self, block_size: int) -> Costs:
        """Return what blocks of a size cost on this line, from the framing's real sizes."""
        ...

    async def do(self, station: Station, step: Step, order: Order) -> Answer:
        """Take one step with a meter: Look, Initiate, Verify, Poll or Activate.

        Raises:
            LineLostError: the line is gone; nobody knows whether the step was taken.
            LocalProtocolError: a step that is none for a meter (Transfer, Rest).
        """
        ...

    async def bits(self, station: Station, order: Order) -> Bits | Silent | Busy | Refused:
        """Read a meter's bitmap (attribute 3); raises ``LineLostError``."""
        ...

    async def send(self, station: Station, order: Order, turn: Send, image: ImageReader) -> Taken:
        """Send blocks to one meter, each answered; raises ``LineLostError``."""
        ...

    async def broadcast(self, order: Order, turn: Blocks, image: ImageReader) -> None:
        """Send blocks to all stations, unanswered; returns when the line has carried them.

        Raises:
            LineLostError: the line is gone.
            StoreError: the counter of broadcasts cannot be kept.
        """
        ...

    async def release(self, station: Station | None = None) -> None:
        """End the associations that are open, or one meter's, before metering visits it."""
        ...
