"""The upgrade manager: takes turns on the line while metering does not need it.

What to do next with the meters of an image is decided by ``openami.fleet.upgrade.Segment``; here
it is decided which image has the line. A block says neither whose it is nor of which image, so all
meters that take blocks must take them of the same one: as long as meters are being filled with an
image, no meter is told to begin with another. A meter that is silent does not hold the line for
ever; once another image has had it, that meter begins anew.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import StoreError
from openami.dcu.modem import LineLostError
from openami.dcu.upgrade.parts import (
    HOLDING,
    Patience,
    belongs,
    make_part,
    owners_of,
    read_image,
)
from openami.fleet.upgrade import (
    Ask,
    Bits,
    Blocks,
    Busy,
    Do,
    Initiate,
    Looked,
    Refused,
    Rest,
    Send,
    Silent,
    Stage,
)
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.dcu.roster import Roster
    from openami.dcu.upgrade.book import Book
    from openami.dcu.upgrade.line import MeterLine
    from openami.dcu.upgrade.parts import Image, Key, Part
    from openami.dcu.upgrade.tasks import Row, Task
    from openami.firmware.manifest import Attachment
    from openami.fleet.upgrade import Answer, Upgrade
    from openami.fleet.upgrade.segment import Work

AWAY_S: Final = 300.0
"""How long metering leaves a meter alone that restarts for its new image: real seconds."""
STORE_REST_S: Final = 60.0
"""Before anything is tried again after the disk would not keep it."""
LEAST_S: Final = 0.05
"""Less time than this before metering needs the line is not worth a question."""
STARVED_S: Final = 60.0
"""After so long without blocks a turn is taken even where metering leaves less time than it takes:
where meters are read every few seconds, a read waits for three seconds once in a minute."""
_WEIGHT: Final = 0.2
"""Of the latest turn in what the line is taken to carry: one lucky turn says little."""

_RESTARTS: Final = frozenset({Stage.ACTIVATING, Stage.ACTIVATED})

log = structlog.get_logger("dcu.upgrade")


class Manager:
    """Upgrades the meters of a line; see ``openami.dcu.collector.Guest``.

    Args:
        book: the orders.
        line: the meters.
        roster: who they are.
        clock: the true time.
        back: called with the serial of a meter that answers after its restart.
        patience: how meters are dealt with.
    """

    def __init__(
        self,
        book: Book,
        line: MeterLine,
        roster: Roster,
        *,
        clock: Clock,
        back: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        self._book = book
        self._line = line
        self._roster = roster
        self._clock = clock
        self._back = back
        self._patience = patience or Patience()
        self._parts: dict[Key, Part] = {}
        self._generation = -1
        self._current: Key | None = None
        self._pace: float | None = None
        self._served = monotonic()
        self._away: dict[str, float] = {}

    # What the collector asks.

    async def use(self, seconds: float) -> float:
        """Take one turn of the line, if there is one to take.

        Args:
            seconds: until metering needs the line.

        Returns:
            After how many seconds another is wanted; 0: at once.

        Raises:
            LineLostError: the line is gone.
        """
        if seconds < LEAST_S:
            return math.inf
        async with self._book.lock:
            try:
                return await self._turn(seconds)
            except StoreError as error:
                log.warning("no upgrades for now", code=error.code, error=error.message)
                self._forget_parts()  # they are ahead of what was kept
                return STORE_REST_S

    async def leave(self, serial: str | None = None) -> None:
        """Let go of a meter that is to be read, or of all."""
        if serial is None:
            await self._line.release()
        elif (station := self._roster.get(serial)) is not None:
            await self._line.release(station)

    def away(self, serial: str) -> bool:
        """Tell whether a meter restarts for its new image."""
        return self._away.get(serial, -math.inf) > monotonic()

    # Turns.

    async def _turn(self, seconds: float) -> float:
        await self._book.tend(self._model)
        if self._generation != self._book.generation:
            self._generation = self._book.generation
            await self._rebuild()
        now = self._clock.now()
        room = self._room(seconds)
        rests = [math.inf]
        for part in self._in_turn():
            part.segment.activate_at(self._book.task(part.campaign).order.activate_at(now))
            for upgrade in await self._keep(part, part.segment.expire(now)):
                self._follow_restart(upgrade)
            work = part.segment.next(now, room)
            if isinstance(work, Rest):
                rests.append(math.inf if work.until is None else work.until - now)
            elif self._may(part, work):
                await self._carry(part, work)
                return 0.0
            elif not part.going or part.reader is None:
                self._generation = -1  # a meter that needs blocks now is not of this part any more
                return 0.0
            elif not self._taken():
                await self._give_line(part)
                return 0.0
        return max(min(rests), 0.0)

    def _room(self, seconds: float) -> float:
        """Return how many octets there is time for."""
        if self._pace is None or monotonic() - self._served >= STARVED_S:
            return math.inf
        return seconds * self._pace

    def _model(self, serial: str) -> str | None:
        station = self._roster.get(serial)
        return None if station is None else station.meter.model

    def _in_turn(self) -> list[Part]:
        """Return the parts, the one that has the line first."""
        return sorted(self._parts.values(), key=lambda part: part.key != self._current)

    def _may(self, part: Part, work: Work) -> bool:
        """Tell whether a part may do this now: blocks only who has the line, and the image."""
        if isinstance(work, Do) and not isinstance(work.step, Initiate):
            return True
        return part.going and part.reader is not None and part.key == self._current

    def _taken(self) -> bool:
        """Tell whether somebody has the line who does not wait for silent meters only."""
        current = self._parts.get(self._current) if self._current else None
        return current is not None and current.holds

    async def _give_line(self, part: Part) -> None:
        """Let a part have the line: whoever is half full of another image begins anew."""
        now = self._clock.now()
        for task in self._book.tasks:
            half = [
                row.upgrade
                for row in task.rows.values()
                if row.upgrade.stage in HOLDING and (task.campaign, row.image) != part.key
            ]
            anew = [replace(one.at(Stage.OFFERED, now), looked_at=None) for one in half]
            await self._book.keep(task.campaign, anew)
        self._current = part.key
        self._forget_parts()

    def _forget_parts(self) -> None:
        self._parts = {}
        self._generation = -1

    # Parts.

    async def _rebuild(self) -> None:
        """Make a part for each image, unless it is there and its meters are the same."""
        owners = owners_of(self._book.tasks)
        wanted = {
            (task.campaign, image.name): (task, image, rows)
            for task in self._book.tasks
            for image in (task.manifest.images if task.manifest else ())
            if (rows := self._rows(task, image, owners))
        }
        if self._current is None:  # after a restart, whoever was being filled goes on
            holds = (key for key, (_, _, rows) in wanted.items() if any(map(_held, rows)))
            self._current = next(holds, None)
        self._parts = {key: await self._part(key, *parts) for key, parts in wanted.items()}

    def _whole(self, image: Attachment) -> bool:
        return image.sha256 in self._book.images

    def _rows(self, task: Task, image: Attachment, owners: Mapping[str, str]) -> list[Row]:
        whole, ours = self._whole(image), task.campaign
        return [
            row
            for serial, row in task.rows.items()
            if owners.get(serial, ours) == ours and belongs(task, row, image, whole=whole)
        ]

    async def _part(self, key: Key, task: Task, image: Attachment, rows: list[Row]) -> Part:
        old = self._parts.get(key)
        if old is not None and old.serves(task, image, rows, whole=self._whole(image)):
            return old
        return make_part(
            task,
            image,
            rows,
            costs=self._line.costs,
            deaf=self._deaf(key, rows),
            patience=self._patience,
            reader=await self._read(image) if self._whole(image) else None,
        )

    def _deaf(self, key: Key, rows: list[Row]) -> frozenset[str]:
        """Return who takes no broadcasts: the line is tuned to one image's meters at a time.

        A meter that is not on the line yet takes none, for nobody knows which keys it has.
        """
        serials = frozenset(row.upgrade.serial for row in rows)
        if key != self._current:
            return serials
        found = (self._roster.get(serial) for serial in serials)
        stations = [station for station in found if station is not None]
        there = {station.meter.serial for station in stations}
        return self._line.tune(stations) | (serials - there)

    async def _read(self, image: Attachment) -> Image | None:
        found = await asyncio.to_thread(read_image, self._book.images[image.sha256], image)
        if found is None:
            log.warning("an image is not what it was", image=image.name)
            await self._book.lack(image.sha256)
        return found

    # What is done.

    async def _keep(
        self, part: Part, upgrades: Iterable[Upgrade], *, tested: bool = False
    ) -> Sequence[Upgrade]:
        """Keep how far meters are; whoever is through is there for another campaign."""
        kept = tuple(upgrades)
        await self._book.keep(part.campaign, kept, tested=tested)
        if any(upgrade.stage.final for upgrade in kept):
            self._generation = -1
        return kept

    async def _carry(self, part: Part, work: Work) -> None:
        if not isinstance(work, Do):
            self._served = monotonic()
        match work:
            case Do():
                await self._do(part, work)
            case Blocks():
                await self._broadcast(part, work)
            case Ask(serial):
                await self._ask(part, serial)
            case Send():
                await self._send(part, work)

    async def _do(self, part: Part, work: Do) -> None:
        serial, segment = work.serial, part.segment
        station = self._roster.get(serial)
        answer: Answer = Silent()
        if station is not None:
            before = segment.begin(serial, work.step, self._clock.now())
            await self._keep(part, [before])
            try:
                answer = await self._line.do(station, work.step, part.order)
            except LineLostError:  # nobody knows whether the step was taken
                unheard = segment.told(serial, Silent(), self._clock.now())
                await self._keep(part, [unheard])
                raise
        tested = isinstance(answer, Looked) and answer.tested is True
        if isinstance(answer, Looked) and station is not None:
            await self._roster.runs(station, answer.version)
            if part.version.search(answer.version):
                answer = replace(answer, version=part.order.version)
        after = segment.told(serial, answer, self._clock.now())
        await self._keep(part, [after], tested=tested)
        self._follow_restart(after)

    def _follow_restart(self, upgrade: Upgrade) -> None:
        """Take note of a meter that goes away for its new image, and that it is back."""
        serial, heard = upgrade.serial, upgrade.looked_at
        if upgrade.stage in _RESTARTS and (heard is None or heard <= upgrade.since):
            self._away.setdefault(serial, monotonic() + AWAY_S)
        elif self._away.pop(serial, None) is not None:
            self._back(serial)

    async def _broadcast(self, part: Part, turn: Blocks) -> None:
        if part.reader is None:
            return
        began = monotonic()
        await self._line.broadcast(part.order, turn, part.reader)
        self._measure(len(turn.numbers) * self._line.costs(turn.block_size).broadcast, began)
        await self._keep(part, part.segment.sent(turn, self._clock.now()))

    async def _ask(self, part: Part, serial: str) -> None:
        station = self._roster.get(serial)
        answer = Silent() if station is None else await self._line.bits(station, part.order)
        if isinstance(answer, Bits):
            after = part.segment.reported(serial, answer, self._clock.now())
        else:
            after = self._ended(part, serial, answer)
        await self._keep(part, [after])

    async def _send(self, part: Part, turn: Send) -> None:
        station = self._roster.get(turn.serial)
        if part.reader is None or station is None:
            await self._keep(part, [self._ended(part, turn.serial, Silent())])
            return
        began = monotonic()
        taken = await self._line.send(station, part.order, turn, part.reader)
        after = part.segment.upgrades[turn.serial]
        for number in taken.numbers:
            after = part.segment.delivered(turn.serial, number, self._clock.now())
        if taken.end is None:
            self._measure(len(taken.numbers) * self._line.costs(turn.block_size).unicast, began)
        else:
            after = self._ended(part, turn.serial, taken.end)
        await self._keep(part, [after])

    def _ended(self, part: Part, serial: str, answer: Silent | Busy | Refused) -> Upgrade:
        now = self._clock.now()
        match answer:
            case Silent():
                return part.segment.silent(serial, now)
            case Busy():
                return part.segment.told(serial, answer, now)
            case Refused(why):
                return part.segment.refused(serial, why, now)

    def _measure(self, octets: float, began: float) -> None:
        """Learn how many octets the line carries in a second."""
        seen = octets / max(monotonic() - began, 1e-3)
        self._pace = seen if self._pace is None else (1 - _WEIGHT) * self._pace + _WEIGHT * seen


def _held(row: Row) -> bool:
    return row.upgrade.stage in HOLDING
