"""On-demand reads of C12.22 meters, asked for as attributes of COSEM objects.

Whoever asks names what every meter is asked for; what C12.19 has of it is looked up in its tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.tables import standard
from openami.core.clock import isoformat
from openami.fleet.jobs import Target, TargetResult
from openami.headend.c1222 import harvest
from openami.headend.c1222.models import CLOCK, NAMEPLATE, PRESENT, REGISTERS
from openami.headend.c1222.quantities import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.c1222.tables import TableId
    from openami.core.clock import Clock
    from openami.headend.c1222.models import Model
    from openami.headend.c1222.talk import Talk

_VALUE: Final = 2
_IDENT: Final = standard(5)
NOT_HERE: Final = "c1222.not-here"
"""The error of a target that this meter's tables do not have."""

_REGISTER_CLASSES: Final = frozenset({3, 4, 5})
_DATA, _CLOCK_CLASS = 1, 8
_CLOCK_NAME: Final = "0.0.1.0.0.255"
_SERIAL_NAMES: Final = frozenset({"0.0.96.1.0.255", "1.0.0.0.0.255"})
_FIRMWARE_NAME: Final = "1.0.0.2.0.255"
_NET_POWER: Final = "1.0.16.7.0.255"
# Which half of what flows on balance is asked for.
_HALVES: Final = {"1.0.1.7.0.255": 1, "1.0.2.7.0.255": -1}


@dataclass(slots=True)
class _Answers:
    """What a meter's tables say, by OBIS."""

    registers: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)

    def result(self, target: Target) -> TargetResult:
        name = str(target.obis)
        if target.attribute != _VALUE:
            return TargetResult(target, error=NOT_HERE)
        if target.class_id in _REGISTER_CLASSES and name in self.registers:
            value, scaler, unit = self.registers[name]
            return TargetResult(target, value, scaler, unit)
        if target.class_id in {_DATA, _CLOCK_CLASS} and name in self.plain:
            return TargetResult(target, self.plain[name])
        return TargetResult(target, error=NOT_HERE)


async def read_targets(
    talk: Talk, model: Model, targets: Sequence[Target], *, clock: Clock
) -> tuple[TargetResult, ...]:
    """Return what a meter shows now of some attributes, or for each why not.

    Raises:
        OpenAmiError: the meter does not answer, or not as it should.
    """
    wanted = [table for table in _TAKERS if model.has(table)]
    found = _Answers()
    octets = await talk.read(*wanted)
    now = clock.now()
    for table, each in zip(wanted, octets, strict=True):
        _TAKERS[table](found, model, each, now)
    _halve(found)
    return tuple(found.result(target) for target in targets)


def _clock(found: _Answers, model: Model, octets: bytes, now: float) -> None:
    shown = harvest.shown(model, octets, now=now)
    found.plain[_CLOCK_NAME] = isoformat(shown.moment) if shown.valid else None


def _nameplate(found: _Answers, model: Model, octets: bytes, _: float) -> None:
    values = model.tables.decode(NAMEPLATE, octets)
    found.plain[_FIRMWARE_NAME] = model.firmware
    for name in _SERIAL_NAMES:
        found.plain.setdefault(name, str(values["MFG_SERIAL_NUMBER"]).strip())


def _ident(found: _Answers, model: Model, octets: bytes, _: float) -> None:
    said = str(model.tables.decode(_IDENT, octets)["IDENTIFICATION"]).strip()
    if said:
        found.plain.update(dict.fromkeys(_SERIAL_NAMES, said))


def _registers(found: _Answers, model: Model, octets: bytes, now: float) -> None:
    found.registers.update(harvest.registers(model, "", octets, at=0)[1])
    del now


def _present(found: _Answers, model: Model, octets: bytes, _: float) -> None:
    values = model.tables.decode(PRESENT, octets)
    demands = [each["DEMAND_VALUE"] for each in values["PRESENT_DEMAND"]]
    shown = [*demands, *values["PRESENT_VALUE"]]
    for place, (quantity, value) in enumerate(zip(model.present, shown, strict=False)):
        number = exact(value)
        if quantity is None or number is None:
            continue
        if place < len(demands):
            name, unit = quantity.so_far, quantity.flow
        elif quantity.counts:
            name, unit = quantity.register(), quantity.unit
        else:
            name, unit = quantity.present, quantity.flow
        found.registers.setdefault(name, (number[0], quantity.scaler + number[1], unit))


def _halve(found: _Answers) -> None:
    """Say of what flows on balance how much comes and how much goes, as DLMS meters do."""
    net = found.registers.get(_NET_POWER)
    if net is None:
        return
    for name, sign in _HALVES.items():
        found.registers.setdefault(name, (max(0, sign * net[0]), *net[1:]))


_TAKERS: Final[Mapping[TableId, Callable[[_Answers, Model, bytes, float], None]]] = {
    CLOCK: _clock,
    _IDENT: _ident,
    NAMEPLATE: _nameplate,
    REGISTERS: _registers,
    PRESENT: _present,
}
