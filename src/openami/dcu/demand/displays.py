"""A household moved out: its displays are forgotten by the meter (class 8192, method 3), once.

Whoever is ended between the meter's answer and its keeping does it again, seconds later: a display
that was paired in between is paired anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.dcu.demand.state import Denied
from openami.dlms import data as d
from openami.dlms.client import GetAttribute
from openami.dlms.cosem.pairing import PAIRING_OBIS
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import DataAccessResult
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from openami.dcu.demand.orders import Forget, MeterOrders
    from openami.dcu.demand.state import MeterState
    from openami.dcu.demand.talk import Talk

CLASS: Final = 8192
PLACES: Final = AttributeRef(CLASS, PAIRING_OBIS, 4)
FORGET: Final = MethodRef(CLASS, PAIRING_OBIS, 3)
ALL: Final = 0
FORGOTTEN: Final = "forgotten"
NONE: Final = "no-displays"
"""The meter pairs with none: it has no home port."""
PAUSE_S: Final = 60.0
"""Of the meters' time, after a first refusal; doubled with each."""
LONGEST_S: Final = 6 * 3600.0
"""A meter that refuses four times a day costs its line nothing, and is done soon after a repair."""
TOLD_AFTER: Final = 3
"""Refusals, some minutes: a meter that is busy is none that a person must look at."""


def to_forget(orders: MeterOrders, state: MeterState) -> Forget | None:
    """Return the order that is not done yet."""
    forget = orders.forget
    return None if forget is None or forget.order == state.forgotten else forget


def forget_due(orders: MeterOrders, state: MeterState, now: float) -> float | None:
    """Return when the order that is not done is to be tried; None: there is none."""
    forget = to_forget(orders, state)
    if forget is None:
        return None
    denied = state.denied
    if denied is None or denied.order != forget.order:
        return now
    # A clock that was set back is no reason to wait until it is there again.
    return min(denied.again, now + LONGEST_S)


async def carry_forgetting(talk: Talk) -> None:
    """Do the order that is pending, if it is due, and tell it.

    Raises:
        ServiceRefusedError, DecodeError: the meter does not do it; it is tried again later, ever
            less often, and told.
    """
    forget, due = to_forget(talk.orders, talk.state), forget_due(talk.orders, talk.state, talk.now)
    if forget is None or due is None or due > talk.now:
        return
    try:
        found = FORGOTTEN if await _has_displays(talk) else NONE
        if found is FORGOTTEN:
            await talk.session.action(FORGET, d.u16(ALL))
    except (ServiceRefusedError, DecodeError) as error:
        await _denied(talk, forget, error)
        raise
    told = talk.report("displays", event=forget.order, code=found)
    await talk.keep(told, forgotten=forget.order, denied=None)


async def _denied(talk: Talk, forget: Forget, error: ServiceRefusedError | DecodeError) -> None:
    """Keep that it was refused, and tell it once for each code, if it is not the first time."""
    last = talk.state.denied
    if last is None or last.order != forget.order:
        last = Denied(order=forget.order, tries=0, again=0.0)
    tries = last.tries + 1
    pause = min(PAUSE_S * 2.0 ** min(last.tries, 16), LONGEST_S)
    news = tries >= TOLD_AFTER and last.told != error.code
    denied = last.but(tries=tries, again=talk.now + pause, told=error.code if news else last.told)
    told = talk.report("displays", event=forget.order, code=error.code, reason=error.message)
    await talk.keep(*([told] if news else []), denied=denied)


async def _has_displays(talk: Talk) -> bool:
    """Tell whether the meter pairs with displays at all."""
    (item,) = (await talk.session.request(GetAttribute(PLACES))).items
    if item.result in {DataAccessResult.TEMPORARY_FAILURE, DataAccessResult.HARDWARE_FAULT}:
        raise ServiceRefusedError("not now", code="dlms.temporary-failure")
    return item.ok
