"""One image to 200 meters of one line: broadcast with gap fill, against one meter after another.

Time is virtual: the line has a rate, a turn-around and losses, and the concentrator's manager of
upgrades (``openami.fleet.upgrade``) is asked what to do next until every meter has confirmed. What
each thing costs in octets is what our client and a meter's server really exchange, with HLS-5
GMAC, authenticated and ciphered, over HDLC; a broadcast is the general-glo-ciphering APDU of one
block in one UI frame. Every frame may be lost, at each receiver by itself, short ones less often.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from tests.support.dlms_meter import CLIENT_TITLE, CONFIGS, KEYS, Pair, make_meter
from tests.support.memory_image import image_in_memory

from openami.core.obis import Obis
from openami.dcu.upgrade.class18 import LOOKED_AT
from openami.dlms import data as d
from openami.dlms.apdu.action import ActionRequestNormal
from openami.dlms.apdu.ciphered import Form
from openami.dlms.client import GetAttribute, GetList, InvokeMethod
from openami.dlms.cosem import DataObject
from openami.dlms.cosem.image import ImageInfo
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters, HdlcServerLink
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.security import SecurityControl, protect
from openami.fleet.upgrade import (
    Accepted,
    Activate,
    Ask,
    Bits,
    Blocks,
    Costs,
    Do,
    Info,
    Initiate,
    Look,
    Looked,
    Order,
    Rest,
    Segment,
    Send,
    Stage,
    Status,
    Upgrade,
    Verify,
    transmissions,
)

METERS = 200
IMAGE = 256 << 10
RATE = 5400.0
"""bit/s: PRIME 1.4 in its robust mode, which is what a broadcast that all stations shall hear has."""
TURN_S = 0.02
"""From the end of a question to the beginning of its answer, and from there to the next one."""
TIMEOUT_S = 0.5
"""After which the concentrator takes an answer for lost."""
BLOCK = 1024
LOSSES = (0.01, 0.10)
RUNS = 5
OLD, NEW = "1.0.0", "1.1.0"
IDENTIFIER = b"openami-meter-1.1.0"
IMAGE_OBIS = Obis.parse("0.0.44.0.0.255")
DESCRIPTOR = 600
"""Octets of a download descriptor and of the HTTP around it and the image."""


# What things cost: exchanged by our client and server.


class _Installer:
    def verify(self, store: Any) -> tuple[ImageInfo, ...]:
        return (ImageInfo(store.size(), store.identifier()),)

    def activate(self, store: Any) -> None:
        """It is the exchange that counts."""


class _LinePair(Pair):
    """With frames as long as they may be."""

    def _links(self, sap: int) -> tuple[Any, Any]:
        wide = HdlcParameters(max_info_tx=2030, max_info_rx=2030)
        return (
            HdlcClientLink(sap, HdlcAddress(1, 17, 4), wide),
            HdlcServerLink(17, (1,), wide),
        )


@dataclass(frozen=True)
class Exchange:
    """Frames to and fro, of so many octets each."""

    frames: tuple[int, ...]

    @property
    def octets(self) -> int:
        return sum(self.frames)

    @property
    def seconds(self) -> float:
        return self.octets * 8 / RATE + TURN_S * len(self.frames)


def _method(number: int, parameter: d.Data) -> InvokeMethod:
    return InvokeMethod(MethodRef(18, IMAGE_OBIS, number), parameter)


def _attribute(number: int) -> GetAttribute:
    return GetAttribute(AttributeRef(18, IMAGE_OBIS, number))


@cache
def exchanges(block: int) -> dict[str, Exchange]:
    """Return what each step exchanges with blocks of a size."""
    image = image_in_memory(_Installer(), block_size=block)
    plain = [DataObject(ref.obis, d.octets(IDENTIFIER)) for ref in LOOKED_AT if ref.class_id == 1]
    meter = make_meter(rows=0, max_pdu=0, extra=(image, *plain))
    pair = _LinePair(meter, *CONFIGS["hls-both"])
    found: dict[str, Exchange] = {}

    def note(name: str) -> None:
        found[name] = Exchange(tuple(len(octets) for _, octets in pair.passed))
        pair.passed.clear()

    def ask(name: str, request: Any) -> None:
        pair.answer(request)
        note(name)

    pair.open()
    note("open")
    begin = d.structure(d.octets(IDENTIFIER), d.u32(IMAGE))
    ask("initiate", _method(1, begin))
    for number in range(-(-IMAGE // block)):
        ask("unicast", _method(2, d.structure(d.u32(number), d.octets(bytes(block)))))
    ask("ask", _attribute(3))
    ask("verify", _method(3, d.i8(0)))
    ask("look", GetList(tuple(map(GetAttribute, LOOKED_AT))))
    ask("activate", _method(4, d.i8(0)))
    found["broadcast"] = Exchange((len(broadcast(block)),))
    return found


def broadcast(block: int) -> bytes:
    """Return one block as every station of the line hears it."""
    parameter = d.structure(d.u32(255), d.octets(bytes(block)))
    action = ActionRequestNormal(0x01, MethodRef(18, IMAGE_OBIS, 2), parameter)
    control = SecurityControl.of(authenticated=True, encrypted=True, broadcast=True)
    keys = replace(KEYS, gbek=bytes(range(0x20, 0x30)))
    apdu = protect(
        action.encode(),
        keys,
        control=control,
        title=CLIENT_TITLE.raw,
        counter=1,
        form=Form.GENERAL_GLOBAL,
    )
    link = HdlcClientLink(1, HdlcAddress(0x3FFF, 0x3FFF, 4), HdlcParameters(max_info_tx=2030))
    link.send_unconfirmed(apdu)
    return b"".join(link.data_to_send())


def costs(block: int, *, keeps: bool) -> Costs:
    """Return what the manager is told that things cost, in octets that the line could carry."""
    found = exchanges(block)
    octets = {name: exchange.seconds * RATE / 8 for name, exchange in found.items()}
    return Costs(
        found["broadcast"].octets,
        octets["unicast"],
        octets["ask"],
        0.0 if keeps else octets["open"],
    )


# A line with its meters.


@dataclass
class Spent:
    """Seconds and octets of one kind."""

    seconds: float = 0.0
    octets: float = 0.0
    times: int = 0


@dataclass
class Line:
    """Meters, losses and the time that it takes."""

    loss: float
    block: int
    seed: int = 0
    alone: bool = False
    keeps: bool = True
    now: float = 0.0
    spent: dict[str, Spent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        blocks = -(-IMAGE // self.block)
        self.chance = random.Random(self.seed)
        self.noise = np.random.default_rng(self.seed)
        self.serials = [f"OAM{number:013}" for number in range(METERS)]
        self.rows = {serial: row for row, serial in enumerate(self.serials)}
        self.has = np.zeros((METERS, blocks), dtype=np.bool_)
        self.status = [Status.NOT_INITIATED] * METERS
        self.version = [OLD] * METERS
        self.order = Order("bench", IDENTIFIER, IMAGE, NEW, until=1e9, activate_at=0.0)
        self.segment = Segment(
            self.order,
            [Upgrade.offer(serial, self.order, 0.0) for serial in self.serials],
            lambda block: costs(block, keeps=self.keeps),
            deaf=frozenset(self.serials) if self.alone else frozenset(),
        )
        self.let_in: set[str] = set()
        self.visited = ""

    def run(self) -> None:
        """Go on until every meter has come to its end."""
        while not self.segment.done:
            work = self.segment.next(self.now)
            match work:
                case Blocks(_, numbers):
                    self._broadcast(numbers)
                    self.segment.sent(work, self.now)
                case Ask(serial):
                    self._exchange(serial, "ask")
                    self.segment.reported(serial, self._bits(serial), self.now)
                case Send(serial, _, numbers):
                    for number in numbers:
                        self._exchange(serial, "unicast")
                        self.has[self.rows[serial], number] = True
                        self.segment.delivered(serial, number, self.now)
                case Do(serial, step):
                    self.segment.begin(serial, step, self.now)
                    self.segment.told(serial, self._step(serial, step), self.now)
                case Rest(until):
                    assert until is not None
                    self.now = until

    def _step(self, serial: str, step: Any) -> Any:
        index = self.rows[serial]
        self._exchange(serial, type(step).__name__.lower())
        match step:
            case Look():
                return self._look(serial, index)
            case Initiate():
                self.status[index] = Status.INITIATED
            case Verify():
                assert self.has[index].all()
                self.status[index] = Status.VERIFIED
            case Activate():
                self.status[index], self.version[index] = Status.ACTIVATED, NEW
        return Accepted()

    def _look(self, serial: str, index: int) -> Looked:
        known = self.status[index] >= Status.VERIFIED
        return Looked(
            self.version[index],
            self.block,
            self.status[index],
            self._bits(serial),
            infos=(Info(IMAGE, IDENTIFIER),) if known else (),
        )

    def _bits(self, serial: str) -> Bits:
        has = self.has[self.rows[serial]]
        return Bits(np.packbits(has).tobytes(), len(has))

    def _broadcast(self, numbers: tuple[int, ...]) -> None:
        frame = exchanges(self.block)["broadcast"].octets * len(numbers)
        self._spend("broadcast", frame * 8 / RATE, frame, len(numbers))
        heard = self.noise.random((METERS, len(numbers))) >= self.loss
        self.has[:, list(numbers)] |= heard

    def _exchange(self, serial: str, name: str) -> None:
        """Have it answered; what is lost is said again."""
        if not self.keeps and serial != self.visited:
            self.let_in.discard(serial)
        self.visited = serial
        if serial not in self.let_in and name != "open":
            self.let_in.add(serial)
            self._exchange(serial, "open" if name != "ask" else "open again")
        exchange = exchanges(self.block)["open" if name == "open again" else name]
        whole = exchanges(self.block)["broadcast"].octets
        for question, answer in zip(exchange.frames[::2], exchange.frames[1::2], strict=True):
            while True:
                if self._lost(question, whole):
                    self._spend(name, question * 8 / RATE + TIMEOUT_S, question, 0)
                elif self._lost(answer, whole):
                    both = question + answer
                    self._spend(name, both * 8 / RATE + TURN_S + TIMEOUT_S, both, 0)
                else:
                    break
        self._spend(name, exchange.seconds, exchange.octets, 1)

    def _lost(self, octets: int, whole: int) -> bool:
        arrives: float = (1 - self.loss) ** (octets / whole)
        return self.chance.random() >= arrives

    def _spend(self, name: str, seconds: float, octets: float, times: int) -> None:
        spent = self.spent.setdefault(name, Spent())
        spent.seconds += seconds
        spent.octets += octets
        spent.times += times
        self.now += seconds

    def seconds(self, *names: str) -> float:
        return sum(self.spent[name].seconds for name in names if name in self.spent)


TRANSFER = ("broadcast", "ask", "unicast", "open again")
"""From the first block until every meter has shown a full bitmap. Around it: letting the DCU in,
a look at each meter before, after verification and after activation, and what they are told."""


def bound(loss: float) -> float:
    """Return the seconds below which no broadcast with retransmission can stay."""
    return IMAGE * 8 / RATE * float(transmissions(np.array([float(METERS)]), loss)[0])


def _run(
    loss: float, block: int, seed: int = 0, *, alone: bool = False, keeps: bool = True
) -> Line:
    line = Line(loss, block, seed, alone=alone, keeps=keeps)
    line.run()
    ends = {upgrade.stage for upgrade in line.segment.upgrades.values()}
    if ends != {Stage.CONFIRMED}:
        raise RuntimeError(f"meters ended as {ends}")
    return line


def _print(name: str, line: Line) -> None:
    transfer = line.seconds(*TRANSFER)
    octets = sum(line.spent[kind].octets for kind in TRANSFER if kind in line.spent)
    print(
        f"{name:40} {line.loss:4.0%}  {transfer / 60:8.1f} min  {octets / 1e6:7.3f} MB"
        f"  {transfer / bound(line.loss):7.3f} of the bound"
        f"  (with all around it {line.now / 60:.1f} min, {line.now / bound(line.loss):.3f})",
        flush=True,
    )


def _kinds(line: Line) -> None:
    for kind, spent in line.spent.items():
        print(
            f"    {kind:10} {spent.times:5} times {spent.octets:8.0f} octets {spent.seconds:7.1f} s"
        )


def _traffic(line: Line) -> None:
    reports = sum(len(upgrade.encode()) for upgrade in line.segment.upgrades.values())
    once = IMAGE + DESCRIPTOR + reports
    each = METERS * (IMAGE + DESCRIPTOR) + reports
    print(f"head-end: {once} octets, one download per meter {each}: {each / once:.0f} times less")


def _ratios(name: str, loss: float, times: list[float]) -> None:
    ratios = [seconds / bound(loss) for seconds in times]
    print(
        f"{name}: {np.mean(times) / 60:.1f} min, {np.mean(ratios):.3f} of the bound,"
        f" at worst {max(ratios):.3f}"
    )


def _compare(loss: float) -> None:
    runs = [_run(loss, BLOCK, seed) for seed in range(RUNS)]
    for run in runs:
        _print(f"broadcast, blocks of {BLOCK}", run)
    _kinds(runs[0])
    _ratios("until all bitmaps are full", loss, [run.seconds(*TRANSFER) for run in runs])
    _ratios("with all around it", loss, [run.now for run in runs])
    alone = _run(loss, BLOCK, alone=True)
    _print("meter by meter", alone)
    faster = [alone.seconds(*TRANSFER) / run.seconds(*TRANSFER) for run in runs]
    whole = [alone.now / run.now for run in runs]
    print(f"{np.mean(faster):.1f} times faster, {np.mean(whole):.1f} with all around it")
    _traffic(runs[0])
    _print("broadcast, blocks of 512", _run(loss, 512))
    _print("broadcast, let in for every bitmap", _run(loss, BLOCK, keeps=False))


def main() -> None:
    """Print minutes, octets and ratios."""
    print(f"{METERS} meters, {IMAGE >> 10} KiB, {RATE:.0f} bit/s")
    for name, exchange in exchanges(BLOCK).items():
        print(f"  {name}: {exchange.frames} octets")
    for loss in LOSSES:
        _compare(loss)


if __name__ == "__main__":
    main()
