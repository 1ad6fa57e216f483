"""A household moved out: its displays are forgotten by the meter (class 8192, method 3), once.

Whoever is ended between the meter's answer and its keeping does it again, seconds later: a display
that was paired in between is paired anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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


def to_forget(orders: MeterOrders, state: MeterState) -> Forget | None:
    """Return the order that is not done yet."""
    forget = orders.forget
    return None if forget is None or forget.order == state.forgotten else forget


async def carry_forgetting(talk: Talk) -> None:
    """Do the order that is pending, if there is one, and tell it.

    Raises:
        ServiceRefusedError: the meter does not do it; it is tried again later.
    """
    forget = to_forget(talk.orders, talk.state)
    if forget is None:
        return
    found = FORGOTTEN if await _has_displays(talk) else NONE
    if found is FORGOTTEN:
        await talk.session.action(FORGET, d.u16(ALL))
    told = talk.report("displays", event=forget.order, code=found)
    await talk.keep(told, forgotten=forget.order)


async def _has_displays(talk: Talk) -> bool:
    """Tell whether the meter pairs with displays at all."""
    (item,) = (await talk.session.request(GetAttribute(PLACES))).items
    if item.result in {DataAccessResult.TEMPORARY_FAILURE, DataAccessResult.HARDWARE_FAULT}:
        raise ServiceRefusedError("not now", code="dlms.temporary-failure")
    return item.ok
