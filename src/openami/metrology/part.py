"""The measuring part of a meter, apart from its management: samples in, reports out.

What it must not forget is a ``PartRecord``: calibration, registers, relay. Whoever runs it keeps
the record before a report leaves, so that what was reported is never lost.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from openami.core.errors import DecodeError
from openami.metrology.accuracy import calibrated
from openami.metrology.adc.calibration import SIZE, Calibration, Constants
from openami.metrology.adc.loads import wave_of
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.adc.registers import CHANNELS, Registers, rows_of
from openami.metrology.adc.waves import Wave
from openami.metrology.clock import SECOND, micros
from openami.metrology.link.ends import MeasuringEnd
from openami.metrology.link.messages import Report
from openami.wire.crc import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.metrology.adc.frontend import Codes, FrontEnd
    from openami.metrology.adc.measure import Measurement
    from openami.metrology.adc.registers import Integers
    from openami.metrology.sources import Source

HOLD: Final = 60
"""Seconds for which samples of a load that does not change may stand: only a part that is behind
its clock, or whose clock is fast, finds so many."""

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BIIQBB")
_CELL: Final = struct.Struct(">QI")
_CHECK: Final = 4
_NUMBERS: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class PartRecord:
    """What a measuring part's memory holds.

    Args:
        part: its own number, drawn when it was made.
        life: how often it has begun.
        ran: milliseconds that it has measured in all its lives.
        closed: its relay lets a current flow.
        calibrations: of each phase.
        whole: micro-watt-hours by rows and channels of the registers.
        rest: nanojoules beside them.
    """

    part: int
    life: int
    ran: int
    closed: bool
    calibrations: tuple[Calibration, ...]
    whole: tuple[tuple[int, ...], ...]
    rest: tuple[tuple[int, ...], ...]

    @classmethod
    def new(cls, front: FrontEnd, phases: int, chance: np.random.Generator) -> Self:
        """Return that of a new part, calibrated on its maker's bench."""
        found = tuple(calibrated(front, chance) for _ in range(phases))
        nothing = ((0,) * len(CHANNELS),) * rows_of(phases)
        return cls(int(chance.integers(1, _NUMBERS)), 0, 0, True, found, nothing, nothing)

    def encode(self) -> bytes:
        """Return the octets of the memory: numbers, calibrations, registers, check."""
        head = _HEAD.pack(
            _VERSION, self.part, self.life, self.ran, self.closed, len(self.calibrations)
        )
        cells = (
            _CELL.pack(*cell)
            for rows in zip(self.whole, self.rest, strict=True)
            for cell in zip(*rows, strict=True)
        )
        body = b"".join((head, *(each.encode() for each in self.calibrations), *cells))
        return body + crc32(body).to_bytes(_CHECK, "big")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the record of a memory.

        Raises:
            DecodeError: it is damaged, or of another version.
        """
        body, check = data[:-_CHECK], data[-_CHECK:]
        if len(body) < _HEAD.size or crc32(body) != int.from_bytes(check, "big"):
            raise DecodeError("a measuring part's memory is damaged", code="metrology.memory")
        version, part, life, ran, closed, phases = _HEAD.unpack_from(body)
        middle = _HEAD.size + phases * SIZE
        size = middle + rows_of(phases) * len(CHANNELS) * _CELL.size
        if version != _VERSION or phases not in {1, 3} or len(body) != size:
            raise DecodeError("a measuring part's memory is another's", code="metrology.memory")
        places = range(_HEAD.size, middle, SIZE)
        calibrations = tuple(Calibration.decode(body[at : at + SIZE]) for at in places)
        whole, rest = zip(*_CELL.iter_unpack(body[middle:]), strict=True)
        return cls(part, life, ran, bool(closed), calibrations, _rows(whole), _rows(rest))


def _rows(cells: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(cells[at : at + len(CHANNELS)] for at in range(0, len(cells), len(CHANNELS)))


def _table(rows: tuple[tuple[int, ...], ...]) -> Integers:
    return np.array([rows], np.int64)


class MeasuringPart:
    """One meter's measuring part, from its begin on.

    Args:
        front: its input.
        source: what flows.
        chance: where the input's noise comes from.
        record: what its memory holds.
        now: when it begins, UTC seconds.
        hold: seconds for which a second of samples may stand.
    """

    def __init__(
        self,
        front: FrontEnd,
        source: Source,
        chance: np.random.Generator,
        record: PartRecord,
        *,
        now: float,
        hold: int = HOLD,
    ) -> None:
        self._front = front
        self._source = source
        self._chance = chance
        self._kept = replace(record, life=record.life + 1)
        self._hold = hold
        self._window = Rating.of(front).plan.window
        registers = Registers(
            1, len(record.calibrations), _table(record.whole), _table(record.rest)
        )
        constants = Constants.of([record.calibrations])
        self._metering = Metering(Rating.of(front), constants, registers)
        self._at = self._sample(micros(now))
        self._closed = record.closed
        self._found: Measurement | None = None
        self.end = MeasuringEnd(self._kept.life)

    @property
    def record(self) -> PartRecord:
        """What its memory must hold now."""
        registers = self._metering.registers
        whole, rest = (
            tuple(map(tuple, each[0].tolist())) for each in (registers.whole, registers.rest)
        )
        ran = self._kept.ran + self._metering.milliseconds
        return replace(self._kept, ran=ran, closed=self._closed, whole=whole, rest=rest)

    def receive_data(self, data: bytes) -> None:
        """Take any slice of what management sends."""
        self.end.receive_data(data)
        if self.end.relay is not None:
            self._closed = self.end.relay

    def advance(self, now: float) -> None:
        """Measure up to the world's second ``now``, in whole tenths of a second.

        A ``now`` in the past means that the world's clock was set back: no time has passed.
        """
        target = self._sample(micros(now))
        self._at = min(self._at, target)
        while target - self._at >= 2 * self._window:
            self._pass(target)

    def report(self) -> bytes:
        """Return what goes on the line; nothing before anything was measured."""
        if self._found is None:
            return b""
        record = self.record
        at = self._metering.milliseconds
        whole = self._metering.registers.whole
        report = Report.of(self._found, whole, life=record.life, at=at)
        return self.end.report(
            replace(report, part=record.part, ran=record.ran, closed=record.closed)
        )

    def _sample(self, world: int) -> int:
        """Return the number of the sample at a world's microsecond, where a window begins."""
        return world * self._front.rate // SECOND // self._window * self._window

    def _pass(self, target: int) -> None:
        rate = self._front.rate
        until = self._source.at(self._at * SECOND // rate).until
        end = target if until is None else min(target, self._sample(until))
        times = max(1, min((end - self._at) // rate, self._hold))
        count = min(rate, (target - self._at) // self._window * self._window)
        made = self._metering.process(self._samples(count), times=times)
        for event in made.events:
            self.end.happened(event)
        self._found = made.measurement
        self._at += count * times

    def _samples(self, count: int) -> Codes:
        """Return the next samples, put together of what flows one after the other."""
        front = self._front
        pieces = [
            front.sample(wave, start=start % front.rate, count=size, chance=self._chance)
            for wave, start, size in self._waves(self._at, self._at + count)
        ]
        return np.concatenate(pieces, axis=-1)

    def _waves(self, at: int, end: int) -> Iterator[tuple[Wave, int, int]]:
        front, phases = self._front, len(self._kept.calibrations)
        while at < end:
            segment = self._source.at(at * SECOND // front.rate)
            stop = end
            if segment.until is not None:
                stop = min(end, max(at + 1, -(-segment.until * front.rate // SECOND)))
            wave = wave_of(
                segment.sample, voltage=front.voltage, frequency=front.frequency, phases=phases
            )
            if not self._closed:
                wave = Wave(wave.frequency, wave.volts, 0 * wave.amps)
            yield wave, at, stop - at
            at = stop
