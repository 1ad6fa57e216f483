"""The meters of one order that take one image, with the plan for them."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.dcu.upgrade.tasks import identifier_of
from openami.fleet.upgrade import MeterPolicy, Order, RoundPolicy, Segment, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from openami.dcu.upgrade.tasks import Row, Task
    from openami.firmware.manifest import Attachment
    from openami.fleet.upgrade import Costs, Upgrade

PATIENCE: Final = 3
"""Silences after which a meter does not keep the line from another image."""
CHUNK: Final = 2048.0
"""Octets of a turn: three seconds of a line of 5.4 kbit/s."""

SETTLING: Final = frozenset(
    {Stage.VERIFYING, Stage.VERIFIED, Stage.ACTIVATING, Stage.ACTIVATED, Stage.ON_TRIAL}
)
"""Stages in which a meter needs no blocks."""
HOLDING: Final = frozenset({Stage.PREPARING, Stage.PREPARED, Stage.TRANSFERRING, Stage.COMPLETE})
"""Stages in which a meter takes blocks, of whatever image they are."""
_FILLING: Final = frozenset({Stage.PREPARED, Stage.TRANSFERRING})

Key = tuple[str, str]
"""Campaign and name of the image."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How meters are dealt with."""

    meters: MeterPolicy = field(default_factory=MeterPolicy)
    rounds: RoundPolicy = field(default_factory=lambda: RoundPolicy(chunk=CHUNK))


class Image:
    """An image in memory."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def read(self, offset: int, size: int) -> bytes:
        """See ``openami.dcu.upgrade.line.ImageReader``."""
        return self._octets[offset : offset + size]


@dataclass(frozen=True, slots=True)
class Part:
    """One image's meters.

    Attributes:
        order: as a meter's upgrade takes it.
        going: anything new may be begun.
        scope: the meters, and the tries with them.
        segment: what to do next with them.
        reader: the image; None: it is not here, and what needs no blocks goes on.
        version: finds the image's version at the end of what a meter shows, ``openami-1.2.3``.
    """

    campaign: str
    image: str
    order: Order
    going: bool
    scope: frozenset[tuple[str, int]]
    segment: Segment
    reader: Image | None
    version: re.Pattern[str]

    @property
    def key(self) -> Key:
        return self.campaign, self.image

    @property
    def holds(self) -> bool:
        """Whether meters are being filled, and answer."""
        return any(
            upgrade.stage in HOLDING and upgrade.failures < PATIENCE
            for upgrade in self.segment.upgrades.values()
        )

    def serves(self, task: Task, image: Attachment, rows: Sequence[Row], *, whole: bool) -> bool:
        """Tell whether this is the part of these meters still."""
        upgrades = self.segment.upgrades
        live = {one for one in self.scope if not upgrades[one[0]].stage.final}
        same = (self.going, self.reader is not None) == (task.going, whole)
        return same and live == scope_of(rows) and self.order == order_of(task, image)


def belongs(task: Task, row: Row, image: Attachment, *, whole: bool) -> bool:
    """Tell whether there may be something to do with a meter; ``whole``: the image is here."""
    stage = row.upgrade.stage
    if row.image != image.name or stage.final:
        return False
    return stage in SETTLING or (task.going and whole)


def owners_of(tasks: Iterable[Task]) -> dict[str, str]:
    """Return by meter the campaign whose image it takes, holds or switches to.

    A meter has room for one image: another campaign's would take the place of it.
    """
    owners: dict[str, str] = {}
    for task in tasks:
        for serial, row in task.rows.items():
            stage = row.upgrade.stage
            if stage in SETTLING or (task.going and stage in HOLDING):
                owners.setdefault(serial, task.campaign)
    return owners


def scope_of(rows: Sequence[Row]) -> frozenset[tuple[str, int]]:
    """Return meters, and which tries with them these are."""
    return frozenset((row.upgrade.serial, row.attempt) for row in rows)


def order_of(task: Task, image: Attachment) -> Order:
    """Return what an image's meters shall run; nothing is said of when they may activate.

    Where an order is void, what switches has the time that a switch takes, and no more.
    """
    if task.manifest is None:
        raise ValueError("a task whose images are known wanted")
    until = math.inf if task.order.until is None else task.order.until
    return Order(
        task.campaign,
        identifier_of(task.manifest, image),
        image.size,
        str(task.manifest.version),
        until if task.void is None else min(until, task.void),
    )


def make_part(
    task: Task,
    image: Attachment,
    rows: Sequence[Row],
    *,
    costs: Callable[[int], Costs],
    deaf: frozenset[str],
    patience: Patience,
    reader: Image | None,
) -> Part:
    """Return the part of these meters."""
    order = order_of(task, image)
    segment = Segment(
        order,
        [_resumed(row.upgrade) for row in rows],
        costs,
        deaf=deaf,
        meters=patience.meters,
        rounds=patience.rounds,
    )
    version = re.compile(rf"(?<![0-9.+]){re.escape(order.version)}$", re.ASCII)
    return Part(
        task.campaign, image.name, order, task.going, scope_of(rows), segment, reader, version
    )


def _resumed(upgrade: Upgrade) -> Upgrade:
    """Return a state as a new segment takes it: what blocks a meter holds, it is asked."""
    return replace(upgrade, looked_at=None) if upgrade.stage in _FILLING else upgrade


def read_image(file: Path, image: Attachment) -> Image | None:
    """Return an image from the disk; None: it is not there, or is another."""
    try:
        octets = file.read_bytes()
    except OSError:
        return None
    return Image(octets) if hashlib.sha256(octets).hexdigest() == image.sha256 else None
