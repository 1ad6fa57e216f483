"""Reads a meter's rings back from the octets in which they are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.dlms.data import decode_data
from openami.dlms.datetime import CosemDateTime

if TYPE_CHECKING:
    from openami.metrology.engine import MeterEngine
    from openami.metrology.events import Ring


@dataclass(frozen=True, slots=True)
class Line:
    time: int
    status: int
    values: tuple[int, ...]


def line(data: bytes, *, status: bool = True) -> Line:
    stamp, *cells = decode_data(data).items()
    time = round(CosemDateTime.decode(stamp.octets()).timestamp())
    numbers = [cell.value for cell in cells]
    return Line(time, numbers.pop(0) if status else 0, tuple(numbers))


def columns(engine: MeterEngine, ring: Ring, *, status: bool = True) -> list[Line]:
    return [line(data, status=status) for data in engine.rows[ring].entries()]


def events(engine: MeterEngine, ring: Ring) -> list[int]:
    return [decode_data(data).items()[1].integer() for data in engine.rows[ring].entries()]
