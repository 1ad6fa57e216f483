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

_UNITS: Final = {
    Channel.IMPORT: Unit.WH,
    Channel.EXPORT: Unit.WH,
    Channel.ABSOLUTE: Unit.WH,
    Channel.APPARENT_IMPORT: Unit.VAH,
    Channel.APPARENT_EXPORT: Unit.VAH,
}
_RATED: Final = (Channel.IMPORT, Channel.EXPORT)
_INTERVAL: Final = (1, 2, 3, 4)  # value group C of the load profile's columns


def energy_objects(hooks: Hooks) -> Iterator[CosemObject]:
    """Yield registers: totals, rates, and what the interval under way has brought so far."""
    for channel in Channel:
        yield _register(hooks, channel, 0)
    for channel in _RATED:
        for rate in (1, 2, 3, 4):
            yield _register(hooks, channel, rate)
    for place, group in enumerate(_INTERVAL):
        yield _interval(hooks, place, group)


def _register(hooks: Hooks, channel: Channel, rate: int) -> Register:
    state = hooks.engine.state
    return Register(
        f"1.0.{channel.value}.8.{rate}.255",
        lambda: state.energy.register(channel, rate),
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
