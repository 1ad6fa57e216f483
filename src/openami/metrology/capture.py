"""The columns of the profiles, and the rows that are captured into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.metrology import rows
from openami.metrology.energy import ROLLOVER, Channel

if TYPE_CHECKING:
    from openami.metrology.demand import Demand
    from openami.metrology.energy import Energy

INTERVAL_CHANNELS: Final = (
    Channel.IMPORT,
    Channel.EXPORT,
    Channel.REACTIVE_IMPORT,
    Channel.REACTIVE_EXPORT,
)
"""Columns of the load profile after clock and status."""

REGISTERS: Final = (
    (Channel.IMPORT, 0),
    (Channel.EXPORT, 0),
    (Channel.REACTIVE_IMPORT, 0),
    (Channel.REACTIVE_EXPORT, 0),
    (Channel.IMPORT, 1),
    (Channel.IMPORT, 2),
    (Channel.IMPORT, 3),
    (Channel.IMPORT, 4),
)
"""Columns of the daily and the billing profile after clock and status, as channel and rate."""


def interval_values(energy: Energy, base: Energy) -> tuple[int, ...]:
    """Return what each column of the load profile moved on since ``base``.

    Differences of whole watt-hours: added up they give the register, to the watt-hour.
    """
    return tuple(energy.whole(c) - base.whole(c) for c in INTERVAL_CHANNELS)


def interval_row(stamp: bytes, status: int, values: tuple[int, ...]) -> bytes:
    """Return a row of the load profile."""
    return rows.structure(rows.clock(stamp), rows.u8(status), *map(rows.u32, values))


def register_row(stamp: bytes, status: int, energy: Energy) -> bytes:
    """Return a row of the daily profile."""
    return rows.structure(rows.clock(stamp), rows.u8(status), *_registers(energy))


def billing_row(
    stamp: bytes, status: int, energy: Energy, demand: Demand, demand_stamp: bytes
) -> bytes:
    """Return a row of the billing profile: registers, then maximum demand and its time."""
    return rows.structure(
        rows.clock(stamp),
        rows.u8(status),
        *_registers(energy),
        rows.u32(demand.maximum[0].watts),
        rows.clock(demand_stamp),
    )


def _registers(energy: Energy) -> list[bytes]:
    return [rows.u32(energy.whole(channel, rate) % ROLLOVER) for channel, rate in REGISTERS]
