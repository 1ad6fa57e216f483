"""A measuring part and the meter's management, back to back in virtual time."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from openami.meter.apart import Apart
from openami.meter.device import Meter
from openami.meter.measuring import MEMORY_FILE
from openami.meter.run import MEMORY_FILE as METER_FILE
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.memory import VolatileMemory
from openami.metrology.part import HOLD, MeasuringPart, PartRecord
from openami.store.measuring import PartMemory
from openami.store.nvm import SqliteMemory

if TYPE_CHECKING:
    from pathlib import Path

    from openami.meter.settings import MeterConfig
    from openami.metrology.sources import Source
    from openami.transport.memory import VirtualTime


def meter_snapshot(state: Path, serial: str) -> dict[str, Any]:
    """Return what the memory of a meter says that does not run."""
    with closing(SqliteMemory(state / METER_FILE)) as memory:
        image = memory.load(serial)
    assert image is not None
    found: dict[str, Any] = json.loads(image.snapshot)
    return found


def part_record(state: Path) -> PartRecord:
    """Return what the memory of a measuring part says that does not run."""
    with closing(PartMemory(state / MEMORY_FILE)) as memory:
        found = memory.load()
    assert found is not None
    return PartRecord.decode(found[1])


class PartBench:
    """A measuring part; ``restart`` takes it up again from what its memory holds."""

    def __init__(
        self,
        source: Source,
        now: float,
        *,
        front: str = "sigma-delta",
        hold: int = HOLD,
        seed: int = 7,
    ) -> None:
        self._front = FRONT_ENDS[front]
        self._chance = np.random.default_rng(seed)
        self._source, self._hold = source, hold
        self.kept = PartRecord.new(self._front, 1, self._chance)
        self.part = self._make(now)

    def restart(self, now: float) -> None:
        self.kept = PartRecord.decode(self.kept.encode())
        self.part = self._make(now)

    def restore(self, backup: PartRecord, now: float) -> None:
        """Begin anew from another memory."""
        self.kept = backup
        self.restart(now)

    def step(self, now: float) -> bytes:
        """Do what its process does each second."""
        self.part.advance(now)
        self.kept = self.part.record
        return self.part.report()

    def _make(self, now: float) -> MeasuringPart:
        return MeasuringPart(
            self._front, self._source, self._chance, self.kept, now=now, hold=self._hold
        )


class ManagementBench:
    """A meter's management on its line; killed, it has what its memory holds."""

    def __init__(self, config: MeterConfig, now: float) -> None:
        self._config = config
        self._now = now
        self.memory = VolatileMemory()
        self.apart: Apart
        self.meter: Meter | None = None
        self.begin()

    def begin(self, accept: int | None = None) -> None:
        self.apart = Apart(accept=accept, ticks=lambda: self._now)

    def kill(self) -> None:
        self.meter = None

    def receive(self, data: bytes, now: float) -> None:
        self._now = now
        self.apart.receive_data(data)

    def step(self, now: float) -> bytes:
        """Do what its process does each second, and once when it starts."""
        self._now = now
        if self.meter is None:
            self.meter = Meter(
                self._config, memory=self.memory, source=self.apart, clock=lambda: self._now
            )
        self.meter.refresh()
        return self.apart.data_to_send()


class Machine:
    """Something that does a step each second, as a machine on a ``MemoryLine``."""

    def __init__(self, time: VirtualTime, bench: Any, *, shift: float = 0.0) -> None:
        self.bench = bench
        self.on = True
        self._next = time.now() + 1 + shift
        self._out: list[bytes] = []

    def receive_data(self, data: bytes, *, now: float) -> None:
        if not self.on:
            return
        if isinstance(self.bench, PartBench):
            self.bench.part.receive_data(data)
        else:
            self.bench.receive(data, now)

    def receive_eof(self, *, now: float) -> None:
        """The line is never closed."""

    def data_to_send(self) -> tuple[bytes, ...]:
        out, self._out = tuple(self._out), []
        return out

    def next_event(self) -> str | None:
        return None

    def next_timer(self) -> float:
        return self._next

    def handle_timer(self, *, now: float) -> None:
        if now >= self._next:
            self._next += 1
            if self.on:
                self._out.append(self.bench.step(now))
