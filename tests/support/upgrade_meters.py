"""Meters that take an image, each with the faults of some maker, and a line to upgrade them on."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from openami.fleet.upgrade import (
    Accepted,
    Activate,
    Answer,
    Ask,
    Bits,
    Blocks,
    Busy,
    Costs,
    Do,
    Info,
    Initiate,
    Look,
    Looked,
    MeterPolicy,
    Order,
    Poll,
    Polled,
    Refused,
    Rest,
    RoundPolicy,
    Segment,
    Send,
    Silent,
    Stage,
    Status,
    Step,
    Upgrade,
    Verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

OLD, NEW = "1.0.0", "1.1.0"
ORDER = Order("order-1", b"openami-1.1.0", 5000, NEW, until=200_000.0, activate_at=0.0)
COSTS = Costs(1100.0, 1150.0, 150.0)


def serial_of(number: int) -> str:
    return f"OAM{number:013}"


@dataclass
class SimMeter:
    """A meter with class 18; ``faults`` says what it does otherwise than the standard.

    Attributes:
        begun: how often it was told to begin while it held blocks of this very image.
        tried: how often it booted the new image.
        wrongs: what it was told and should not have been.
    """

    serial: str
    block_size: int = 100
    faults: frozenset[str] = frozenset()
    order: Order = ORDER
    version: str = OLD
    status: int = Status.NOT_INITIATED
    identifier: bytes = b""
    has: set[int] = field(default_factory=set)
    enabled: bool = True
    busy: int = 3
    trial: int = 2
    begun: int = 0
    tried: int = 0
    wrongs: list[str] = field(default_factory=list)
    once: set[str] = field(default_factory=set)

    @property
    def blocks(self) -> int:
        return self.order.blocks(self.block_size)

    @property
    def full(self) -> bool:
        return len(self.has) == self.blocks

    def _first(self, fault: str) -> bool:
        """Tell whether a fault that shows once shows now."""
        if fault not in self.faults or fault in self.once:
            return False
        self.once.add(fault)
        return True

    # What it answers.

    def step(self, step: Step) -> Answer:
        answers: Mapping[type, Callable[[], Answer]] = {
            Look: self.look,
            Verify: self.verify,
            Poll: self.poll,
            Activate: self.activate,
        }
        if "silent" in self.faults or ("lost" in self.faults and self.tried):
            return Silent()
        if isinstance(step, Initiate):
            return self.initiate(step)
        return answers[type(step)]()

    def look(self) -> Looked:
        self._go_on()
        if "no-infos" in self.faults or self.status < Status.VERIFIED:
            infos: tuple[Info, ...] = ()
        else:
            infos = (Info(self.order.size, self.identifier),)
        missing = set(range(self.blocks)) - self.has
        gap = min(missing, default=self.blocks)
        if "gap" in self.faults:
            gap = max(self.has, default=-1) + 1
        reason = "no pulse from metrology" if self.status == Status.ACTIVATION_FAILED else ""
        status = self.status
        return Looked(
            self.version, self.block_size, status, self.bits(), gap, self.enabled, infos, reason
        )

    def bits(self) -> Bits:
        shown = self.has - {1} if "hides" in self.faults else self.has
        there = np.array([n in shown for n in range(self.blocks)], dtype=np.bool_)
        if "short" in self.faults:
            there = there[: max(shown, default=-1) + 1]
        order = "little" if "lsb" in self.faults else "big"
        octets = np.packbits(there, bitorder=order).tobytes()  # type: ignore[call-overload]
        if "long" in self.faults:
            return Bits(octets + b"\xff", len(octets) * 8 + 8)
        return Bits(octets, len(there))

    def initiate(self, step: Initiate) -> Answer:
        self.enabled = self.enabled or step.enable
        if not self.enabled or "refuses" in self.faults:
            return Refused("read-write-denied")
        if self._first("busy-begin"):
            return Busy()
        if self.identifier == step.identifier and self.has and self.status:
            self.begun += 1
        self.identifier, self.status = step.identifier, Status.INITIATED
        self.has.clear()
        return Accepted()

    def take(self, number: int, size: int) -> bool:
        """Take a block, if it is one; tell so."""
        if self.status != Status.INITIATED or size != self.block_size:
            return False
        self.has.add(number)
        if len(self.has) == self.blocks // 2:
            if self._first("reset"):
                self.status = Status.NOT_INITIATED
            if self._first("forgets"):
                self.status, self.identifier = Status.NOT_INITIATED, b""
                self.has.clear()
        return True

    def verify(self) -> Answer:
        if self.status == Status.NOT_INITIATED or not self.full:
            return Refused("not complete")
        if "bad" in self.faults:
            self.status = Status.VERIFICATION_FAILED
            return Refused("signature")
        if "slow" in self.faults and self.busy > 0:
            self.status = Status.VERIFYING
            return Busy()
        self.status = Status.VERIFIED
        return Accepted()

    def poll(self) -> Answer:
        self._go_on()
        return Polled(self.status)

    def _go_on(self) -> None:
        if self.status == Status.VERIFYING:
            self.busy -= 1
            if self.busy <= 0:
                self.status = Status.VERIFIED
        elif self.status == Status.ACTIVATING:
            self.trial -= 1
            if self.trial <= 0:
                self._decide()

    def _decide(self) -> None:
        if "reverts" in self.faults:
            self.version, self.status = OLD, Status.ACTIVATION_FAILED
        else:
            forgets = "no-status" in self.faults
            self.status = Status.NOT_INITIATED if forgets else Status.ACTIVATED

    def activate(self) -> Answer:
        if self.status != Status.VERIFIED or not self.full or "bad" in self.faults:
            self.wrongs.append(f"activated in {self.status}")
            return Refused("not verified")
        self.status, self.version = Status.ACTIVATING, NEW
        self.tried += 1
        if "reverts-silently" in self.faults:
            self.version, self.status = OLD, Status.NOT_INITIATED
        return Busy() if "busy-activate" in self.faults else Accepted()


class Killed(Exception):  # noqa: N818 - not an error
    """The concentrator's process is gone."""


@dataclass
class Street:
    """Meters on one line, and a concentrator that is killed now and then.

    Attributes:
        kept: the states on the concentrator's disk.
        claims: what each meter has shown in its bitmap since it last lost anything.
    """

    meters: list[SimMeter]
    loss: float = 0.0
    kills: float = 0.0
    seed: int = 0
    order: Order = ORDER
    costs: Costs = COSTS
    deaf: frozenset[str] = frozenset()
    policy: RoundPolicy = field(default_factory=lambda: RoundPolicy(sample=2))
    patience: MeterPolicy = field(default_factory=MeterPolicy)
    now: float = 1000.0
    steps: int = 0
    log: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.by_serial = {meter.serial: meter for meter in self.meters}
        offers = [Upgrade.offer(m.serial, self.order, self.now) for m in self.meters]
        self.kept = {offer.serial: offer.encode() for offer in offers}
        self.shown: dict[str, set[int]] = {meter.serial: set() for meter in self.meters}
        self.boot()

    def boot(self) -> None:
        """Begin with what is on the disk."""
        self.segment = Segment(
            self.order,
            [Upgrade.decode(octets) for octets in self.kept.values()],
            lambda _: self.costs,
            deaf=self.deaf,
            meters=self.patience,
            rounds=self.policy,
        )

    def state(self, number: int) -> Upgrade:
        return Upgrade.decode(self.kept[self.meters[number].serial])

    def run(self, most: int = 20_000) -> None:
        """Go on until every meter has come to its end, or nothing is left but to wait."""
        while not self.segment.done and self.steps < most:
            self.steps += 1
            try:
                if not self._step():
                    return
            except Killed:
                self.boot()
        assert self.segment.done, [u.stage for u in self.segment.upgrades.values()]

    def _step(self) -> bool:
        self._keep(self.segment.expire(self.now))
        work = self.segment.next(self.now)
        assert self.segment.next(self.now) == work
        self.log.append(work)
        self.now += 1.0
        if isinstance(work, Rest):
            if work.until is None:
                return False
            self.now = max(self.now, work.until)
            return True
        self._do(work)
        return True

    def _do(self, work: Do | Blocks | Ask | Send) -> None:
        match work:
            case Do(serial, step):
                self._keep([self.segment.begin(serial, step, self.now)])
                self._maybe_killed()
                if isinstance(step, Initiate):
                    self.shown[serial].clear()
                answer = self._lossy(self.by_serial[serial].step(step))
                self._maybe_killed()
                self._keep([self.segment.told(serial, answer, self.now)])
                if isinstance(answer, Looked):
                    self._show(serial)
            case Blocks(size, numbers):
                self._check_wanted(size, numbers)
                self._broadcast(size, numbers)
                self._maybe_killed()
                self._keep(self.segment.sent(work, self.now))
            case Ask(serial):
                self._ask(serial)
            case Send():
                self._send(work)

    def _ask(self, serial: str) -> None:
        if "silent-bitmap" in self.by_serial[serial].faults or self._lost():
            self._keep([self.segment.silent(serial, self.now)])
        else:
            bits = self.by_serial[serial].bits()
            self._keep([self.segment.reported(serial, bits, self.now)])
            self._show(serial)

    def _send(self, send: Send) -> None:
        meter = self.by_serial[send.serial]
        for number in send.numbers:
            assert self._may_lack(send.serial, number), number
            if self._lost():
                self._keep([self.segment.silent(send.serial, self.now)])
            elif meter.take(number, send.block_size) or number in meter.has:
                self._keep([self.segment.delivered(send.serial, number, self.now)])
            else:
                self._keep([self.segment.refused(send.serial, "object undefined", self.now)])
                return
            self._maybe_killed()

    def _broadcast(self, size: int, numbers: tuple[int, ...]) -> None:
        for meter in self.meters:
            for number in numbers:
                hears = "deaf" not in meter.faults and not self._lost()
                if hears and number < meter.blocks:
                    meter.take(number, size)

    def _check_wanted(self, size: int, numbers: tuple[int, ...]) -> None:
        """Whatever is sent, some meter of the group has not shown that it has it."""
        filling = {
            serial
            for serial, upgrade in self.segment.upgrades.items()
            if upgrade.stage in {Stage.PREPARED, Stage.TRANSFERRING} and upgrade.block_size == size
        }
        assert numbers
        for number in numbers:
            assert any(self._may_lack(serial, number) for serial in filling), number

    def _may_lack(self, serial: str, number: int) -> bool:
        """Whether a meter has not shown a block, by either way of reading its bitmap."""
        return not {number, number ^ 7} <= self.shown[serial]

    def _show(self, serial: str) -> None:
        meter = self.by_serial[serial]
        suspect = meter.faults & {"lsb", "long", "short"}
        self.shown[serial] = set() if suspect else meter.has - {1}

    def _lost(self) -> bool:
        return self.chance.random() < self.loss

    def _lossy(self, answer: Answer) -> Answer:
        return Silent() if self.chance.random() < self.loss / 4 else answer

    def _maybe_killed(self) -> None:
        if self.chance.random() < self.kills:
            raise Killed

    def _keep(self, upgrades: Iterable[Upgrade]) -> None:
        for upgrade in upgrades:
            octets = upgrade.encode()
            assert Upgrade.decode(octets).encode() == octets
            self.kept[upgrade.serial] = octets
