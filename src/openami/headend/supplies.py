"""Switching the supply of any meter: by C12.22 at once, behind a DCU by an order to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.fleet.demand.supply import SupplyOrder, Wanted
from openami.fleet.devices import MeterProtocol
from openami.headend.demand.supply import PATIENCE_S

if TYPE_CHECKING:
    from openami.headend.c1222.supply import Supply
    from openami.headend.demand.supply import SupplyOrders
    from openami.headend.registry import Registry

NO_ANSWER: Final = "its DCU has the order; what came of it is in the orders of the meter"


@dataclass(frozen=True, slots=True)
class Switched:
    """What was done: words, and the order to follow where a DCU does it."""

    said: str
    order: SupplyOrder | None = None


class Supplies:
    """Has meters connect or disconnect their supply, whatever they speak."""

    def __init__(self, direct: Supply, orders: SupplyOrders, registry: Registry) -> None:
        self._direct, self._orders, self._registry = direct, orders, registry

    async def switch(
        self, serial: str, wanted: Wanted, *, who: str, why: str, within: float = PATIENCE_S
    ) -> Switched:
        """Have a meter's supply be as it is wanted.

        A meter of C12.22 that the head-end speaks to itself has done it when this returns; it
        knows no supply that is ready to be connected by hand, and is connected then.

        Raises:
            NotFoundError: there is no such meter.
            RequestError: ``request.why``, ``request.within``.
            ConflictError: ``supply.no-way``, ``supply.refused``, ``supply.waiting``.
            TransportTimeoutError: ``c1222.unanswered``: nobody knows whether it was done.
        """
        device = await asyncio.to_thread(self._registry.meter, serial)
        if device.dcu is None and device.protocol is MeterProtocol.C1222:
            on = wanted is not Wanted.DISCONNECTED
            return Switched(await self._direct.switch(serial, on=on, who=who, why=why))
        order = await asyncio.to_thread(
            self._orders.make, serial, wanted, who=who, why=why, within=within
        )
        return Switched(NO_ANSWER, order)
