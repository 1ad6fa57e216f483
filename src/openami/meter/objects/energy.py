"""Registers of energy and demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.units import Unit
from openami.dlms.cosem import DemandRegister, ExtendedRegister, Register
from openami.dlms.data import octets
from openami.metrology.capture import interval_values
from openami.metrology.demand import DEMANDS
from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.dlms.cosem import CosemObject
    from openami.meter.objects.hooks import Hooks
    from openami.metrology.energy import Energy

_UNITS: Final = {
    Channel.IMPORT: Unit.WH,
    Channel.EXPORT: Unit.WH,
    Channel.ABSOLUTE: Unit.WH,
    Channel.APPARENT_IMPORT: Unit.VAH,
    Channel.APPARENT_EXPORT: Unit.VAH,
}
_RATED: Final = (Channel.IMPORT, Channel.EXPORT)
_OF_PHASES: Final = (
    Channel.IMPORT,
    Channel.EXPORT,
    Channel.REACTIVE_IMPORT,
    Channel.REACTIVE_EXPORT,
)
_NEXT_PHASE: Final = 20
"""What value group C of a phase is higher than the total's, by the phase (Blue Book, 7.5.1)."""

_INTERVAL: Final = (1, 2, 3, 4)  # value group C of the load profile's columns


def energy_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield registers: totals, rates, phases, and what the interval under way has brought so far.

    A meter of one phase has none for it: they would be the totals once more.
    """
    energy = hooks.engine.state.energy
    for channel in Channel:
        yield _register(hooks, energy, channel)
    for channel in _RATED:
        for rate in (1, 2, 3, 4):
            yield _register(hooks, energy, channel, rate=rate)
    for place, phase in enumerate(hooks.engine.state.phases, 1):
        for channel in _OF_PHASES:
            yield _register(hooks, phase, channel, first=_NEXT_PHASE * place)
    for place, group in enumerate(_INTERVAL):
        yield _interval(hooks, place, group)


def _register(
    hooks: Hooks, energy: Energy, channel: Channel, *, rate: int = 0, first: int = 0
) -> Register:
    return Register(
        f"1.0.{first + channel.value}.8.{rate}.255",
        lambda: energy.register(channel, rate),
        unit=_UNITS.get(channel, Unit.VARH),
        access=hooks.access,
    )


def _interval(hooks: Hooks, place: int, group: int) -> Register:
    state = hooks.engine.state
    return Register(
        f"1.0.{group}.29.0.255",
        lambda: interval_values(state.energy, state.base)[place],
        unit=Unit.WH if group <= 2 else Unit.VARH,
        access=hooks.access,
    )


def demand_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield the demand of the period under way and the last, and the largest of the month."""
    for place, (channel, rate) in enumerate(DEMANDS):
        if not rate:
            yield _average(hooks, channel, place)
        yield _maximum(hooks, channel, rate, place)


def _average(hooks: Hooks, channel: Channel, place: int) -> DemandRegister:
    engine = hooks.engine
    found = DemandRegister(
        f"1.0.{channel.value}.4.0.255",
        lambda: engine.demand_so_far()[place],
        lambda: engine.state.demand.last[place],
        status=lambda: engine.row_status,
        capture_time=lambda: octets(engine.stamp(engine.period_start)),
        start_time=lambda: octets(engine.stamp(engine.period_start)),
        period=engine.config.period,
        access=hooks.access,
    )
    found.read_only = frozenset({8, 9})  # demand follows the load profile's period
    return found


def _maximum(hooks: Hooks, channel: Channel, rate: int, place: int) -> ExtendedRegister:
    engine = hooks.engine
    return ExtendedRegister(
        f"1.0.{channel.value}.6.{rate}.255",
        lambda: engine.state.demand.maximum[place].watts,
        status=lambda: engine.row_status,
        capture_time=lambda: octets(engine.stamp(engine.state.demand.maximum[place].at)),
        unit=Unit.W,
        access=hooks.access,
    )
