"""What the measuring part and management tell each other; big-endian, fixed fields."""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.metrology.adc.disturbances import Disturbance, QualityEvent
from openami.metrology.adc.registers import CHANNELS, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.metrology.adc.measure import Measurement
    from openami.metrology.adc.registers import Integers

Totals = tuple[tuple[int, ...], ...]
"""Micro-watt-hours of each row and channel of the registers."""

_CODE: Final = "metrology.message"
_REPORT: Final = struct.Struct(">IIQQIBB")
_PHASE: Final = struct.Struct(">IIiiIihHHii")
_TOTALS: Final = struct.Struct(f">{len(CHANNELS)}Q")
_EVENT: Final = struct.Struct(">IIIBBQQI")
_HEARD: Final = struct.Struct(">II")
_LASTS: Final = (1 << 64) - 1
_HALF_TURN: Final = 180_000  # thousandths of a degree
_FACTOR: Final = 1000
_FREQUENCY: Final = 100_000  # mHz; registers show hundredths of a hertz in two octets
_FULL: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """One phase in a report.

    Args:
        voltage: mV.
        current: mA.
        active: mW.
        reactive: mvar.
        apparent: mVA.
        angle: thousandths of a degree that the current lags.
        factor: power factor in thousandths.
        voltage_thd: ten-thousandths.
        current_thd: ten-thousandths, at most 65535.
        fundamental: mW of the fundamental.
        turn: thousandths of a degree that its voltage lags the first phase's.
    """

    voltage: int
    current: int
    active: int
    reactive: int
    apparent: int
    angle: int
    factor: int
    voltage_thd: int
    current_thd: int
    fundamental: int = 0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What is measured now, and all energy until now.

    Args:
        life: how often the measuring part has begun.
        at: milliseconds since it last did.
        frequency: mHz.
        phases: 1 or 3.
        totals: running totals, by rows and channels of ``Registers``.
        part: the measuring part's own number, drawn when it was made.
        ran: milliseconds that it has measured in all its lives.
        closed: its relay lets a current flow.
    """

    life: int
    at: int
    frequency: int
    phases: tuple[PhaseReport, ...]
    totals: Totals
    part: int = 0
    ran: int = 0
    closed: bool = True

    @classmethod
    def of(cls, found: Measurement, whole: Integers, *, life: int, at: int, meter: int = 0) -> Self:
        """Return one meter's report of a pass.

        Args:
            found: what was measured.
            whole: ``Registers.whole``.
            life: as in the report.
            at: as in the report.
            meter: its number in the arrays.
        """
        columns = (
            found.voltage[meter] * 1000,
            found.current[meter] * 1000,
            found.active[meter] * 1000,
            found.reactive[meter] * 1000,
            found.apparent[meter] * 1000,
            found.angle[meter] * 1000,
            found.factor[meter] * 1000,
            (found.voltage_thd[meter] * 10_000).clip(0, _FULL),
            (found.current_thd[meter] * 10_000).clip(0, _FULL),
            found.fundamental[meter] * 1000,
            found.turn[meter] * 1000,
        )
        rows = zip(*(each.round().astype(int).tolist() for each in columns), strict=True)
        totals = tuple(tuple(row) for row in whole[meter].tolist())
        hertz = round(float(found.frequency[meter]) * 1000)
        return cls(life, at, hertz, tuple(PhaseReport(*row) for row in rows), totals)

    def encode(self) -> bytes:
        numbers = (self.part, self.life, self.at, self.ran, self.frequency)
        head = _REPORT.pack(*numbers, self.closed, len(self.phases))
        phases = b"".join(_PHASE.pack(*astuple(phase)) for phase in self.phases)
        return head + phases + b"".join(_TOTALS.pack(*row) for row in self.totals)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        if len(body) < _REPORT.size or body[_REPORT.size - 1] not in {1, 3}:
            raise DecodeError("a report has 1 or 3 phases", code=_CODE)
        part, life, at, ran, frequency, closed, count = _REPORT.unpack_from(body)
        middle = _REPORT.size + count * _PHASE.size
        if closed > 1 or len(body) != middle + rows_of(count) * _TOTALS.size:
            raise DecodeError("a report of another length", code=_CODE)
        phases = _PHASE.iter_unpack(body[_REPORT.size : middle])
        totals = tuple(_TOTALS.iter_unpack(body[middle:]))
        shown = tuple(PhaseReport(*phase) for phase in phases)
        if frequency > _FREQUENCY or not all(map(_possible, shown)):
            raise DecodeError("a report of what can not be", code=_CODE)
        return cls(life, at, frequency, shown, totals, part, ran, bool(closed))


@dataclass(frozen=True, slots=True)
class EventReport:
    """A disturbance, told until it is heard.

    Args:
        life: how often the measuring part has begun.
        number: of the life's events, from 1.
        oldest: number of the oldest event of the life that its sender still has.
        event: what happened, its times since the life's begin; of meter 0.
    """

    life: int
    number: int
    oldest: int
    event: QualityEvent

    def encode(self) -> bytes:
        event = self.event
        lasted = _LASTS if event.lasted is None else event.lasted
        numbers = (self.life, self.number, self.oldest)
        return _EVENT.pack(*numbers, event.phase, event.kind, event.at, lasted, event.extreme)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        if len(body) != _EVENT.size:
            raise DecodeError("an event of another length", code=_CODE)
        life, number, oldest, phase, kind, at, lasted, extreme = _EVENT.unpack(body)
        if kind not in set(Disturbance) or phase > 2:
            raise DecodeError("an event of a kind or a phase that is not known", code=_CODE)
        ended = None if lasted == _LASTS else lasted
        event = QualityEvent(0, phase, Disturbance(kind), at, ended, extreme)
        return cls(life, number, oldest, event)


@dataclass(frozen=True, slots=True)
class Relay:
    """How management wants the measuring part's relay to stand."""

    closed: bool

    def encode(self) -> bytes:
        return bytes((self.closed,))

    @classmethod
    def decode(cls, body: bytes) -> Self:
        if body not in {b"\0", b"\1"}:
            raise DecodeError("a relay is open or closed", code=_CODE)
        return cls(body == b"\1")


@dataclass(frozen=True, slots=True)
class Heard:
    """Management has all events of a life up to a number."""

    life: int
    number: int

    def encode(self) -> bytes:
        return _HEARD.pack(self.life, self.number)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        if len(body) != _HEARD.size:
            raise DecodeError("an acknowledgement of another length", code=_CODE)
        return cls(*_HEARD.unpack(body))


def _possible(phase: PhaseReport) -> bool:
    """Tell whether angles and power factor are some, and fit the registers that show them."""
    turned = max(abs(phase.angle), abs(phase.turn))
    return turned <= _HALF_TURN and abs(phase.factor) <= _FACTOR


Message = Report | EventReport | Heard | Relay

KINDS: Final[Mapping[type[Message], int]] = {Report: 1, EventReport: 2, Heard: 3, Relay: 4}
"""The kind of frame that carries each message."""

_DECODERS: Final[Mapping[int, Callable[[bytes], Message]]] = {
    kind: message.decode for message, kind in KINDS.items()
}


def decode(kind: int, body: bytes) -> Message:
    """Return the message of a frame.

    Raises:
        DecodeError: it is none, or of a kind that is not known.
    """
    if kind not in _DECODERS:
        raise DecodeError(f"no message is of kind {kind}", code=_CODE)
    return _DECODERS[kind](body)
