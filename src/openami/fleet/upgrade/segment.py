"""All meters of one line with one order: what the concentrator does next.

The manager only orders the line's time; how a meter is talked to, how its states are kept and
when the line belongs to metering is for whoever asks it:

1. The line's own plan is asked first (``openami.fleet.collection``). What is due there goes
   first; otherwise one turn is taken here, and none is longer than a chunk.
2. ``next`` says what to do, ``begin`` which state to keep before it is done, ``told`` and its
   like which states to keep afterwards.

Meters whose blocks have one size are a group. Groups go one after another, and a meter is told to
begin when its group's turn has come: whoever has not begun takes no blocks of another size.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.fleet.upgrade.answers import (
    Bits,
    Expired,
    Fed,
    Filled,
    Initiate,
    Looked,
    Refused,
    Rest,
    Silent,
    Step,
    Stuck,
    Transfer,
)
from openami.fleet.upgrade.ledger import Place
from openami.fleet.upgrade.machine import advance, begun, next_step
from openami.fleet.upgrade.policy import MeterPolicy
from openami.fleet.upgrade.rounds import Blocks, RoundPolicy, Rounds, Turn
from openami.fleet.upgrade.state import Stage, Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openami.fleet.upgrade.answers import Answer
    from openami.fleet.upgrade.costs import Costs
    from openami.fleet.upgrade.state import Order

_VISITS: Final = 4
"""Visits in a row while blocks are on their way: a hundred meters that verify are no reason for
the others to wait."""
_VAIN: Final = 8
"""Looks in a row that show nothing of the blocks that a meter said it took: without a bound its
gaps would be filled for as long as the order holds. Some are ordinary where a bitmap is read from
the wrong end, and forgotten by whoever is killed, or turns to other meters in between."""
_MUTE: Final = 2
"""Times that a meter was set aside for its silence, and answered when it was looked at: then it is
visited, for nobody may ever learn what it hears of broadcasts."""
_FILLING: Final = frozenset({Stage.PREPARED, Stage.TRANSFERRING})
_BEGINNING: Final = frozenset({Stage.OFFERED, Stage.ASKED, Stage.PREPARING})


@dataclass(frozen=True, slots=True)
class Do:
    """Take a step with one meter."""

    serial: str
    step: Step


Work = Do | Turn | Rest


class Segment:
    """The meters of a line.

    Args:
        order: what they shall run.
        upgrades: how far each is, as kept; none of them is of another order.
        costs: what blocks of a size cost on the line; an infinite broadcast is one that no frame
            can carry.
        deaf: meters that take no broadcasts: without the broadcast key, for one.
        meters: how patient it is with one meter.
        rounds: how groups are filled.
    """

    def __init__(
        self,
        order: Order,
        upgrades: Iterable[Upgrade],
        costs: Callable[[int], Costs],
        *,
        deaf: frozenset[str] = frozenset(),
        meters: MeterPolicy | None = None,
        rounds: RoundPolicy | None = None,
    ) -> None:
        self._order = order
        self._upgrades = {upgrade.serial: upgrade for upgrade in upgrades}
        if any(upgrade.order != order.id for upgrade in self._upgrades.values()):
            raise ValueError("a state of another order")
        self._costs = costs
        self._deaf = deaf
        self._meters = meters or MeterPolicy()
        self._policy = rounds or RoundPolicy()
        self._bits: dict[str, Bits | None] = {}
        self._took: set[str] = set()
        self._vain: Counter[str] = Counter()
        self._mute: Counter[str] = Counter()
        self._rounds: Rounds | None = None
        self._size = 0
        self._begun = False
        self._burst = 0

    # What it tells.

    @property
    def upgrades(self) -> Mapping[str, Upgrade]:
        """How far each meter is."""
        return dict(self._upgrades)

    @property
    def done(self) -> bool:
        """Whether every meter has come to its end."""
        return all(upgrade.stage.final for upgrade in self._upgrades.values())

    def next(self, now: float, room: float = float("inf")) -> Work:
        """Return what to do now; the same until something is told.

        Args:
            now: seconds since 1970-01-01T00:00:00Z.
            room: octets of line time until somebody else needs the line.
        """
        self._choose_group(now)
        steps = self._steps(now)
        visit = self._visit(steps)
        turn = self._rounds.next(room) if self._rounds else None
        beginning = visit is not None and not self._begun and self._begins(visit)
        if visit is not None and (turn is None or beginning or self._burst < _VISITS):
            return visit
        return turn or Rest(_earliest(steps.values()))

    def _steps(self, now: float) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        for serial, upgrade in self._upgrades.items():
            step = next_step(self._order, upgrade, now, self._meters)
            if step is not None and not isinstance(step, Transfer):
                steps[serial] = step
        return steps

    def _visit(self, steps: Mapping[str, Step]) -> Do | None:
        """Return the step that has waited longest, those before the group begins first."""
        due = [
            (self._upgrades[serial].stage not in _BEGINNING, self._upgrades[serial].free_at, serial)
            for serial, step in steps.items()
            if not isinstance(step, Rest) and not self._held(serial, step)
        ]
        if not due:
            return None
        serial = min(due)[2]
        return Do(serial, steps[serial])

    def _held(self, serial: str, step: Step) -> bool:
        return isinstance(step, Initiate) and self._upgrades[serial].block_size != self._size

    def _begins(self, visit: Do) -> bool:
        return self._upgrades[visit.serial].stage in _BEGINNING

    # Groups.

    def _choose_group(self, now: float) -> None:
        """Let the next group have its turn when nothing is left to do in this one."""
        waiting = Counter(
            upgrade.block_size
            for upgrade in self._upgrades.values()
            if upgrade.stage in _FILLING | {Stage.ASKED} and upgrade.free_at <= now
        )
        if self._size in waiting or not waiting or self._unasked(now):
            return
        begun = {u.block_size for u in self._upgrades.values() if u.stage in _FILLING}
        self._size = max(waiting, key=lambda size: (size in begun, waiting[size], size))
        blocks = self._order.blocks(self._size)
        costs = self._costs(self._size)
        self._rounds = Rounds(blocks, self._size, costs, policy=self._policy)
        self._begun = False
        for serial, upgrade in self._upgrades.items():
            if self._fills(upgrade) and not self._join(serial):
                self._keep(replace(upgrade, looked_at=None))  # what it is told then is kept

    def _fills(self, upgrade: Upgrade) -> bool:
        ours = upgrade.stage in _FILLING and upgrade.block_size == self._size
        return ours and upgrade.looked_at is not None

    def _join(self, serial: str) -> bool:
        """Take a meter into its group; False: there is no room for it."""
        assert self._rounds is not None  # whoever fills belongs to the group whose turn it is
        if not self._rounds.has_room(serial):
            return False
        deaf = serial in self._deaf or self._upgrades[serial].deaf
        hears = not deaf and self._mute[serial] < _MUTE
        self._rounds.add(serial, self._bits.get(serial), hears=hears)
        self._note(serial)
        return True

    def _note(self, serial: str) -> None:
        if self._rounds is not None and self._rounds.deaf(serial):
            self._keep(replace(self._upgrades[serial], deaf=True))

    def _unasked(self, now: float) -> bool:
        return any(
            upgrade.looked_at is None and upgrade.free_at <= now and not upgrade.stage.final
            for upgrade in self._upgrades.values()
        )

    # What it is told.

    def begin(self, serial: str, step: Step, now: float) -> Upgrade:
        """Return the state to keep before a step is taken."""
        self._burst += 1
        return self._keep(begun(self._upgrades[serial], step, now))

    def told(self, serial: str, answer: Answer, now: float) -> Upgrade:
        """Return the state to keep after a step was answered, or was not."""
        old = self._upgrades[serial]
        new = self._keep(advance(self._order, old, answer, now, self._meters))
        if isinstance(answer, Looked):
            self._watch(serial, answer.bits)
        elif old.stage is Stage.PREPARING:
            self._bits[serial] = None
        if not self._fills(new):
            self._leave(serial)
        elif self._vain[serial] >= _VAIN:
            return self.told(serial, Stuck(), now)
        elif isinstance(answer, Looked) or old.stage is Stage.PREPARING:
            if self._join(serial):
                return self._settle(serial, now)
            why = f"too many meters with blocks of {new.block_size} octets"
            return self._keep(new.at(Stage.FAILED, now, code="upgrade.block-size", reason=why))
        return new

    def _watch(self, serial: str, bits: Bits | None) -> None:
        """Take note of what a meter shows, and whether that is more where it took blocks."""
        if serial in self._took:
            same = bits == self._bits.get(serial)
            self._vain[serial] = self._vain[serial] + 1 if same else 0
            self._took.discard(serial)
        self._bits[serial] = bits

    def _leave(self, serial: str) -> None:
        if self._rounds is not None:
            self._rounds.drop(serial)

    def sent(self, turn: Blocks, now: float) -> tuple[Upgrade, ...]:
        """Take note that blocks were broadcast; return the states to keep."""
        if self._rounds is None:
            return ()
        self._begun, self._burst = True, 0
        self._rounds.sent(turn.numbers)
        prepared = [u for u in self._upgrades.values() if u.stage is Stage.PREPARED]
        fed = [upgrade.serial for upgrade in prepared if self._fills(upgrade)]
        return tuple(self.told(serial, Fed(), now) for serial in fed)

    def reported(self, serial: str, bits: Bits, now: float) -> Upgrade:
        """Take note of a bitmap; return the state to keep."""
        if self._rounds is None:
            return self._upgrades[serial]
        self._burst = 0
        self._heard(serial)
        del self._mute[serial]
        self._rounds.reported(serial, bits)
        self._note(serial)
        return self._settle(serial, now)

    def delivered(self, serial: str, number: int, now: float) -> Upgrade:
        """Take note that a meter said that it took a block; return the state to keep."""
        if self._rounds is not None:
            self._begun, self._burst = True, 0
            self._rounds.delivered(serial, number)
        self._took.add(serial)
        self._heard(serial)
        return self.told(serial, Fed(), now)

    def _heard(self, serial: str) -> None:
        """Take note that a meter answers while it is filled: silences count in a row."""
        self._keep(replace(self._upgrades[serial], failures=0))

    def refused(self, serial: str, why: str, now: float) -> Upgrade:
        """Take note that a meter would not take a block or give its bitmap."""
        return self.told(serial, Refused(why), now)

    def silent(self, serial: str, now: float) -> Upgrade:
        """Take note that a meter did not answer a block or a question for its bitmap."""
        if self._rounds is None:
            return self._upgrades[serial]
        self._burst = 0
        self._rounds.silent(serial)
        return self._settle(serial, now)

    def _settle(self, serial: str, now: float) -> Upgrade:
        place = self._rounds.place(serial) if self._rounds else None
        answer = None if place is None else _PLACES.get(place)
        if answer is None or self._upgrades[serial].stage not in _FILLING:
            return self._upgrades[serial]
        self._mute[serial] += place is Place.SILENT
        return self.told(serial, answer, now)

    def expire(self, now: float) -> tuple[Upgrade, ...]:
        """Give up what has taken too long; return the states to keep."""
        if now < self._order.until:
            return ()
        before = dict(self._upgrades)
        after = [self.told(serial, Expired(), now) for serial in before]
        return tuple(new for new in after if new != before[new.serial])

    def activate_at(self, when: float | None) -> None:
        """Let verified meters activate from a time on; None: not yet."""
        self._order = replace(self._order, activate_at=when)

    def _keep(self, upgrade: Upgrade) -> Upgrade:
        self._upgrades[upgrade.serial] = upgrade
        return upgrade


_PLACES: Final[Mapping[Place, Answer]] = {
    Place.FULL: Filled(),
    Place.SILENT: Silent(),
    Place.STUCK: Stuck(),
}


def _earliest(steps: Iterable[Step]) -> float | None:
    times = [step.until for step in steps if isinstance(step, Rest) and step.until is not None]
    return min(times, default=None)
