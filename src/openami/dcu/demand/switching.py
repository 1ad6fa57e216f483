"""Supply orders: a meter is disconnected or reconnected (class 70), once, and looked at after.

Before the meter is told, it is kept that it will be, with the state that was found: whoever was
ended in between looks first. A state that is neither the one before nor the one that is wanted
says that somebody else has acted since, and then nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.dcu.demand.limiting import STATE, supply_name
from openami.dcu.demand.orders import Wanted
from openami.dcu.demand.state import Switched
from openami.dlms import data as d
from openami.dlms.cosem.disconnect import DISCONNECT_OBIS
from openami.dlms.references import AttributeRef, MethodRef
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from openami.dcu.demand.orders import MeterOrders, Supply
    from openami.dcu.demand.state import MeterState
    from openami.dcu.demand.talk import Talk

MODE: Final = AttributeRef(70, DISCONNECT_OBIS, 4)
DISCONNECT: Final = MethodRef(70, DISCONNECT_OBIS, 1)
RECONNECT: Final = MethodRef(70, DISCONNECT_OBIS, 2)
LATE: Final = "supply.late"
BY_HAND: Final = frozenset({1, 3, 5, 6})
"""Control modes in which a remote reconnection leaves the rest to a person (Blue Book 4.5.8, d)."""


def pending(orders: MeterOrders, state: MeterState) -> Supply | None:
    """Return the order that is not done yet."""
    supply, last = orders.supply, state.supply
    if supply is None or (last is not None and last.order == supply.order and last.done):
        return None
    return supply


def late(supply: Supply, state: MeterState, now: float) -> bool:
    """Tell whether an order was not begun in its time."""
    last = state.supply
    begun = last is not None and last.order == supply.order
    return not begun and supply.until is not None and now >= supply.until


async def carry_supply(talk: Talk) -> None:
    """Do the order that is pending, if there is one, and tell the state that was found after."""
    supply = pending(talk.orders, talk.state)
    if supply is None:
        return
    if late(supply, talk.state, talk.now):
        await _over(talk, supply, LATE, "no visit in time")
        return
    try:
        found = await _switch(talk, supply)
    except (ServiceRefusedError, DecodeError) as error:
        await _over(talk, supply, error.code, error.message)
        return
    await _over(talk, supply, found, None)


async def _over(talk: Talk, supply: Supply, code: str, reason: str | None) -> None:
    told = talk.report("supply", event=supply.order, code=code, reason=reason)
    await talk.keep(told, supply=Switched(order=supply.order, done=True))


async def _switch(talk: Talk, supply: Supply) -> str:
    """Return the state that was found after."""
    session, last = talk.session, talk.state.supply
    found = supply_name(await session.get(STATE))
    if last is not None and last.order == supply.order and last.before not in {None, found}:
        return found
    if found == supply.wanted:
        return found
    if supply.wanted is Wanted.READY and found != Wanted.DISCONNECTED:
        return found  # it is connected: nothing is to be made ready
    if supply.wanted is Wanted.READY:
        await _require_by_hand(talk)
    await talk.keep(supply=Switched(order=supply.order, before=found))
    method = DISCONNECT if supply.wanted is Wanted.DISCONNECTED else RECONNECT
    await session.action(method, d.i8(0))
    return supply_name(await session.get(STATE))


async def _require_by_hand(talk: Talk) -> None:
    if (await talk.session.get(MODE)).integer() not in BY_HAND:
        words = "the meter would reconnect by itself: its control mode wants nobody there"
        raise ServiceRefusedError(words, code="supply.mode")
