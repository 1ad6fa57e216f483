"""What the meter measures, as sources of C12.19 (decade 1): each a unit and a value.

Sources are numbered; summations, demands, present values and channels of the load profile name
them by their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.metrology.engine import MeterEngine

# ID_CODE, TIME_BASE, MULTIPLIER and SEGMENTATION of a unit (C12.19, ST-12).
WATT: Final = 0
VAR: Final = 1
VA: Final = 2
VOLT: Final = 8
AMPERE: Final = 12
BULK: Final = 0
NOW: Final = 1
BLOCK: Final = 3
ONE: Final = 0
MILLI: Final = 6
_FIRST_PHASE: Final = 5  # to neutral; the others follow

_IMPORT: Final = (1, 4)
_EXPORT: Final = (2, 3)
_ALL: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Source:
    """One source; ``value`` is what it shows now, a whole number of its unit."""

    uom: Mapping[str, Any]
    value: Callable[[MeterEngine], int]
    demand: bool = False


def _uom(
    code: int,
    base: int,
    quadrants: tuple[int, ...] = _ALL,
    *,
    multiplier: int = ONE,
    net: bool = False,
    segment: int = 0,
) -> dict[str, Any]:
    return {
        "ID_CODE": code,
        "TIME_BASE": base,
        "MULTIPLIER": multiplier,
        **{f"Q{number}": number in quadrants for number in _ALL},
        "NET_FLOW": net,
        "SEGMENTATION": segment,
        "HARMONIC": False,
        "ID_RESOURCE": 0,
        "NFS": False,
    }


_ENERGIES: Final = {
    Channel.IMPORT: _uom(WATT, BULK, _IMPORT),
    Channel.EXPORT: _uom(WATT, BULK, _EXPORT),
    Channel.REACTIVE_IMPORT: _uom(VAR, BULK, (1, 2)),
    Channel.REACTIVE_EXPORT: _uom(VAR, BULK, (3, 4)),
    Channel.QUADRANT_1: _uom(VAR, BULK, (1,)),
    Channel.QUADRANT_2: _uom(VAR, BULK, (2,)),
    Channel.QUADRANT_3: _uom(VAR, BULK, (3,)),
    Channel.QUADRANT_4: _uom(VAR, BULK, (4,)),
    Channel.APPARENT_IMPORT: _uom(VA, BULK, _IMPORT),
    Channel.APPARENT_EXPORT: _uom(VA, BULK, _EXPORT),
    Channel.ABSOLUTE: _uom(WATT, BULK),
}

SUMMATIONS: Final = (0, 1)
"""Sources of what is counted by rate, too: import and export."""
DEMANDS: Final = (len(_ENERGIES), len(_ENERGIES) + 1)
"""Sources of demand: of the import, whose largest is kept, and of the export."""
CHANNELS: Final = (0, 1, 2, 3)
"""Sources of the load profile's channels, as its columns."""


def _energy(channel: Channel) -> Callable[[MeterEngine], int]:
    return lambda engine: engine.register(channel)


def _so_far(place: int) -> Callable[[MeterEngine], int]:
    return lambda engine: engine.demand_so_far()[place]


def _milli(number: int) -> int:
    """Return a signed value in whole units, its fraction dropped."""
    return number // 1000 if number >= 0 else -(-number // 1000)


def _voltage(place: int) -> Callable[[MeterEngine], int]:
    return lambda engine: engine.instant().phases[place].voltage


def _current(place: int) -> Callable[[MeterEngine], int]:
    return lambda engine: engine.instant().phases[place].current


def sources(phases: int) -> tuple[Source, ...]:
    """Return the sources of a meter: energies as ``Channel`` has them, two demands, what flows."""
    energies = [Source(uom, _energy(channel)) for channel, uom in _ENERGIES.items()]
    demands = [
        Source(_uom(WATT, BLOCK, quadrants), _so_far(place), demand=True)
        for place, quadrants in enumerate((_IMPORT, _EXPORT))
    ]
    flows = [
        Source(_uom(WATT, NOW, net=True), lambda engine: _milli(engine.instant().active)),
        Source(_uom(VAR, NOW, net=True), lambda engine: _milli(engine.instant().reactive)),
        Source(_uom(VA, NOW), lambda engine: engine.instant().apparent // 1000),
    ]
    for place in range(phases):
        phase = {"multiplier": MILLI, "segment": _FIRST_PHASE + place}
        flows.append(Source(_uom(VOLT, NOW, **phase), _voltage(place)))  # type: ignore[arg-type]  # two of its settings
        flows.append(Source(_uom(AMPERE, NOW, **phase), _current(place)))  # type: ignore[arg-type]  # likewise
    return (*energies, *demands, *flows)


def present(count: int) -> tuple[int, ...]:
    """Return the sources, out of ``count``, whose present values are shown: all but demands."""
    return tuple(number for number in range(count) if number not in DEMANDS)
