"""Limits: the emergency profile of a meter's limiter (class 71), whoever made the meter."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from openami.core.errors import DecodeError, OpenAmiError
from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dcu.demand.plan import limit_span
from openami.dcu.demand.state import Limited
from openami.dcu.layouts import SCALERS, scaler_unit
from openami.dlms import data as d
from openami.dlms.cosem import ControlState
from openami.dlms.cosem.disconnect import DISCONNECT_OBIS
from openami.dlms.cosem.fields import RANGES
from openami.dlms.cosem.limiter import LIMITER_OBIS
from openami.dlms.cosem.response import profile_id
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef, obis_of
from openami.transport.clock import speed_of
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from openami.dcu.demand.orders import MeterOrders
    from openami.dcu.demand.plan import LimitSpan
    from openami.dcu.demand.state import MeterState
    from openami.dcu.demand.talk import Talk
    from openami.dcu.errand import Shown
    from openami.dlms.data import Data
    from openami.transport.session import DlmsSession

LEAD_S: Final = 10.0
"""An emergency that is under way is activated so much later than now: a meter may refuse, or never
reach, an activation time that is past when it is written."""

NAMES: Final = {
    ControlState.DISCONNECTED: "disconnected",
    ControlState.CONNECTED: "connected",
    ControlState.READY_FOR_RECONNECTION: "ready",
}
"""What the states of class 70 are called in reports."""

_NOBODY: Final = d.structure(d.u16(0), d.octets(CosemDateTime().encode()), d.u32(0))


def _limiter(attribute: int) -> AttributeRef:
    return AttributeRef(71, LIMITER_OBIS, attribute)


MONITORED: Final = _limiter(2)
NORMAL: Final = _limiter(4)
EMERGENCY: Final = _limiter(5)
PROFILE: Final = _limiter(8)
GROUPS: Final = _limiter(9)
ACTIVE: Final = _limiter(10)
STATE: Final = AttributeRef(70, Obis.parse(str(DISCONNECT_OBIS)), 3)

log = structlog.get_logger("dcu.demand")


class UnfitError(OpenAmiError):
    """The meter's limiter cannot be told this limit."""

    code = "demand.limiter"


class Seen(NamedTuple):
    """Whether an emergency limits, and what the supply is: empty if the meter does not say."""

    active: bool
    supply: str


def wanted_limit(orders: MeterOrders, state: MeterState, now: float) -> LimitSpan | None:
    """Return the limit that holds or is next, unless the meter has refused it."""
    out = [event for event, choice in state.choices.items() if choice == "opted-out"]
    return limit_span(
        orders.events, now, opted_out=out, refused=lambda span: _key(span) in state.refused
    )


def fits(limit: Limited | None, span: LimitSpan | None) -> bool:
    """Tell whether what is set is what is wanted."""
    if limit is None or span is None:
        return limit is None and span is None
    same = (limit.event, limit.watts, limit.end) == (span.event, span.watts, span.end)
    return same and limit.written and limit.start <= span.start


def _key(span: LimitSpan) -> str:
    return f"limit/{span.event}/{span.version}/{span.watts}"


async def carry_limit(talk: Talk) -> None:
    """Bring the limiter where it shall be, and tell how it is."""
    await _end(talk)
    span = wanted_limit(talk.orders, talk.state, talk.now)
    if talk.state.limit is not None and not fits(talk.state.limit, span):
        await _let_go(talk, span)
    while span is not None and talk.state.limit is None:
        await _set(talk, span)
        span = wanted_limit(talk.orders, talk.state, talk.now)  # another, if that was refused
    await _look(talk)


async def _end(talk: Talk) -> None:
    """Take that a limit's time is over."""
    limit = talk.state.limit
    if limit is None or talk.now < limit.end:
        return
    seen = await look(talk.session)
    if seen.active:  # by the meter's clock it is not over yet
        await talk.keep(limit=limit.but(looked=talk.now))
    else:
        await _restored(talk, limit, seen)


async def _restored(talk: Talk, limit: Limited, seen: Seen) -> None:
    words = f"supply: {seen.supply}" if seen.supply else None
    told = [talk.report("restored", event=limit.event, reason=words)] if limit.active else []
    await talk.keep(*told, limit=None)


async def _let_go(talk: Talk, span: LimitSpan | None) -> None:
    """Take a limit back; nothing is told where ``span`` is the same event's and goes on now."""
    limit = talk.state.limit
    if limit is None:
        return
    if span is not None and span.event == limit.event and span.start <= talk.now:
        limit = limit.but(active=False)
    try:
        await talk.session.set(PROFILE, _NOBODY)
        seen = await look(talk.session)
    except ServiceRefusedError as error:
        log.warning("not let go", meter=talk.serial, event=limit.event, code=error.code)
        told = talk.report("refused", event=limit.event, code=error.code, reason=error.message)
        await talk.keep(told, limit=None)
        return
    await _restored(talk, limit, seen)


async def _set(talk: Talk, span: LimitSpan) -> None:
    limit = Limited(
        event=span.event, version=span.version, watts=span.watts, start=span.start, end=span.end
    )
    await talk.keep(limit=limit)  # from here on nobody knows how much of it the meter has
    try:
        soonest = None if talk.state.plain is None else talk.now + max(LEAD_S, speed_of(talk.clock))
        await _write(talk.session, limit, talk.shown, soonest)
    except (ServiceRefusedError, DecodeError, UnfitError) as error:
        told = talk.report("refused", event=span.event, code=error.code, reason=error.message)
        refused = {**talk.state.refused, _key(span): error.code}
        await talk.keep(told, limit=None, refused=refused)
        return
    await talk.keep(limit=limit.but(written=True))


async def _write(session: DlmsSession, limit: Limited, shown: Shown, soonest: float | None) -> None:
    """Write threshold and group before the profile that makes them count.

    Args:
        session: with the meter.
        limit: what is written.
        shown: the meter's clock.
        soonest: when it may begin; None: a beginning that is past is good, too.
    """
    items = await session.get_list((MONITORED, NORMAL, GROUPS))
    for item in items:
        if not item.ok:
            raise UnfitError("the meter has no limiter that can be read", code="demand.no-limiter")
    monitored, normal, groups = (item.data for item in items)
    profile = profile_id(limit.event)
    raw = await _raw(session, monitored, limit.watts)
    low, high = RANGES.get(normal.type, (0, -1))
    if not low <= raw <= high:
        raise UnfitError(f"{limit.watts} W is no threshold of this limiter")
    others = [group for group in groups.items() if group.integer() != profile]
    start = limit.start
    if soonest is not None and start < soonest:
        start = int(soonest + shown.offset_s)
    begin = CosemDateTime.from_utc(start, shown.deviation, dst=shown.dst)
    await session.set(EMERGENCY, d.Data(normal.type, raw))
    await session.set(GROUPS, d.array(*others[: _MOST_GROUPS - 1], d.u16(profile)))
    await session.set(
        PROFILE,
        d.structure(d.u16(profile), d.octets(begin.encode()), d.u32(max(limit.end - start, 1))),
    )


_MOST_GROUPS: Final = 64


async def _raw(session: DlmsSession, monitored: Data, watts: int) -> int:
    """Return a power in the unit of the value that the limiter watches."""
    class_id, name, attribute = monitored.items(3)
    pair = class_id.integer(), attribute.integer()
    if pair not in SCALERS:
        raise UnfitError("the limiter watches no register")
    ref = AttributeRef(pair[0], obis_of(name), SCALERS[pair])
    scaler, unit = scaler_unit((await session.get_list((ref,)))[0])
    if unit != Unit.W:
        raise UnfitError("the limiter watches no power in W")
    return int(Decimal(watts).scaleb(-scaler).to_integral_value(ROUND_FLOOR))


async def _look(talk: Talk) -> None:
    """Tell that a limit holds, once the meter says so."""
    limit = talk.state.limit
    if limit is None or limit.active or not limit.start <= talk.now < limit.end:
        return
    seen = await look(talk.session)
    changed = limit.but(active=seen.active, looked=talk.now)
    told = [talk.report("limited", event=limit.event)] if seen.active else []
    await talk.keep(*told, limit=changed)


async def look(session: DlmsSession) -> Seen:
    """Read whether an emergency limits, and what the supply is."""
    active, state = await session.get_list((ACTIVE, STATE))
    return Seen(active.ok and bool(active.data.value), supply_name(state.data) if state.ok else "")


def supply_name(state: Data) -> str:
    """Return what a control state is called; raises ``DecodeError``."""
    number = state.integer()
    if number not in NAMES:
        raise DecodeError("a control state wanted")
    return NAMES[ControlState(number)]
