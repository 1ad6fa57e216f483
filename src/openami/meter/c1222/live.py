"""The tables that are made when they are read: state, registers, clock."""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING, Any, Final

from openami.meter.c1222.moments import moment, shown
from openami.meter.c1222.sources import DEMANDS, present
from openami.metrology.demand import Maximum
from openami.metrology.energy import RATES
from openami.metrology.events import CAPACITY, Alarm, Ring
from openami.metrology.self_read import SelfRead

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from openami.meter.c1222.sources import Source
    from openami.metrology.engine import MeterEngine

_U8: Final = 0xFF
_U16: Final = 0xFFFF
_STEP_MINUTES: Final = 15  # rates switch on quarter hours
_WEEK: Final = 7 * 24 * 60

_OFF: Final = 0x01
_READY: Final = 0x02
_AUTHENTICATION: Final = 0x04
"""Bits of ED_MFG_STATUS: supply disconnected, ready to be reconnected by hand, a wrong password."""

_MODES: Final = ("METERING", "TEST_MODE", "METER_SHOP", "FACTORY")
_STATUS: Final = (
    *("UNPROGRAMMED", "CONFIGURATION_ERROR", "SELF_CHK_ERROR", "RAM_FAILURE", "ROM_FAILURE"),
    *("NONVOL_MEM_FAILURE", "CLOCK_ERROR", "MEASUREMENT_ERROR", "LOW_BATTERY"),
    *("LOW_LOSS_POTENTIAL", "DEMAND_OVERLOAD", "POWER_FAILURE", "TAMPER_DETECT"),
    "REVERSE_ROTATION",
)


def status(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-03."""
    state = engine.state
    alarms = Alarm(state.alarms)
    told = {
        "SELF_CHK_ERROR": bool(state.errors),
        "NONVOL_MEM_FAILURE": Alarm.MEMORY_ERROR in alarms,
        "CLOCK_ERROR": not state.clock_valid,
        "MEASUREMENT_ERROR": Alarm.MEASUREMENT_ERROR in alarms,
        "POWER_FAILURE": Alarm.POWER_UP in alarms,
        "TAMPER_DETECT": Alarm.FRAUD_ATTEMPT in alarms,
    }
    own = (0 if state.connected else _OFF) | (_READY if state.ready else 0)
    own |= _AUTHENTICATION if Alarm.AUTHENTICATION_FAILURE in alarms else 0
    return {
        "ED_MODE": {name: name == "METERING" for name in _MODES},
        "ED_STD_STATUS1": dict.fromkeys(_STATUS, False) | told,
        "ED_STD_STATUS2": 0,
        "ED_MFG_STATUS": bytes((own,)),
    }


# Registers.


def current(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-23."""
    state = engine.state
    now = SelfRead.take(engine.seconds, state.counts.billings, state.energy, state.demand)
    return _registers(now)


def previous(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-25: what the last billing period ended with; nothing counted if none did."""
    reads = engine.rows[Ring.SELF_READ].entries()
    return _ended(SelfRead.decode(reads[-1]) if reads else _NO_READ)


def self_reads(engine: MeterEngine, read: int) -> dict[str, Any]:
    """Return ST-26; ``read``: the sequence number up to which it has been read."""
    ring = engine.rows[Ring.SELF_READ]
    kept = [SelfRead.decode(row) for row in ring.entries()]
    empty = CAPACITY[Ring.SELF_READ] - len(kept)
    entries = [
        {"SELF_READ_SEQ_NBR": (ring.first + place) & _U16, **_ended(each)}
        for place, each in enumerate([*kept, *[_NO_READ] * empty])
    ]
    unread = ring.last - read
    return {
        "LIST_STATUS": 0x02 if unread > len(kept) else 0,  # OVERFLOW
        "NBR_VALID_ENTRIES": len(kept),
        "LAST_ENTRY_ELEMENT": max(len(kept) - 1, 0),
        "LAST_ENTRY_SEQ_NBR": ring.last & _U16,
        "NBR_UNREAD_ENTRIES": min(unread, len(kept)),
        "SELF_READ_ENTRIES": entries,
    }


_NO_READ: Final = SelfRead(0, 0, ((0,) * (RATES + 1),) * 2, (Maximum(),) * (RATES + 1))


def _ended(read: SelfRead) -> dict[str, Any]:
    return {"END_DATE_TIME": moment(read.at), "REG_DATA": _registers(read)}


def _registers(read: SelfRead) -> dict[str, Any]:
    blocks = [
        _block([registers[rate] for registers in read.energy], read.demand[rate])
        for rate in range(RATES + 1)
    ]
    return {
        "NBR_DEMAND_RESETS": read.resets & _U8,
        "TOT_DATA_BLOCK": blocks[0],
        "TIER_DATA_BLOCK": blocks[1:],
    }


def _block(energies: list[int], top: Maximum) -> dict[str, Any]:
    demand = {"EVENT_TIME": [moment(top.at)], "DEMAND": [top.watts]}
    return {"SUMMATIONS": energies, "DEMANDS": [demand], "COINCIDENTS": []}


def present_values(engine: MeterEngine, sources: tuple[Source, ...]) -> dict[str, Any]:
    """Return ST-28."""
    remaining = engine.period_start + engine.config.period - engine.seconds
    minutes, second = divmod(max(remaining, 0), 60)
    left = time(*divmod(minutes, 60), second)
    return {
        "PRESENT_DEMAND": [
            {"TIME_REMAINING": left, "DEMAND_VALUE": sources[number].value(engine)}
            for number in DEMANDS
        ],
        "PRESENT_VALUE": [sources[number].value(engine) for number in present(len(sources))],
    }


# Time.


def clock(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-52: UTC, whatever the zone is."""
    return {"CLOCK_CALENDAR": shown(engine.seconds), "TIME_DATE_QUAL": qualifier(engine)}


def qualifier(engine: MeterEngine) -> dict[str, Any]:
    """Return what ST-52 and ST-55 say of the time in them."""
    zone = engine.state.zone
    return {
        "DAY_OF_WEEK": shown(engine.seconds).isoweekday() % 7,
        "DST": zone.is_dst(engine.seconds),
        "GMT": True,
        "TM_ZN_APPLIED": False,
        "DST_APPLIED": False,
        "DST_SUPPORTED": zone.begin is not None and zone.enabled,
    }


def offset(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-53."""
    zone = engine.state.zone
    begin = zone.begin
    effective = time(begin.hour, begin.minute) if begin else time(0)
    minutes = max(zone.dst_minutes, 0) if begin else 0
    return {
        "DST_TIME_EFF": effective,
        "DST_TIME_AMT": minutes,
        "TIME_ZONE_OFFSET": zone.minutes,
    }


def clock_state(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-55: the clock, and the rate in force."""
    tier = engine.state.rate - 1
    names = {"TIER_DRIVE": 0, "SPECIAL": 0, "SEASON": 0}
    return {**clock(engine), "STATUS": {"TIER": tier, "DEMAND_TIER": tier, **names}}


def remaining(engine: MeterEngine) -> dict[str, Any]:
    """Return ST-56: minutes to the next rate, days to the end of the billing period."""
    local = engine.state.zone.local(engine.seconds)
    month = local.year * 12 + local.month  # of the next one, counted from 0
    first = local.replace(year=month // 12, month=month % 12 + 1, day=1)
    return {
        "TIER_TIME_REMAIN": _to_next_rate(engine, local),
        "SELF_READ_DAYS_REMAIN": (first.date() - local.date()).days,
    }


def _to_next_rate(engine: MeterEngine, local: datetime) -> int:
    """Return minutes; a week if the rate stays."""
    tariff = engine.config.tariff
    rate = tariff.rate(local)
    first = _STEP_MINUTES - local.minute % _STEP_MINUTES
    quarter = local.replace(second=0, microsecond=0)
    for minutes in range(first, _WEEK, _STEP_MINUTES):
        if tariff.rate(quarter + timedelta(minutes=minutes)) != rate:
            return minutes
    return _WEEK


def supply(engine: MeterEngine, control: Mapping[str, int]) -> dict[str, Any]:
    """Return MT-2."""
    return {"CONNECTED": int(engine.state.connected), **control}
