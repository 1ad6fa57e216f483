"""Demand response over the real head-end: from the operator to the relay and back."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.support.dcu_chain import HOUR, START, Chain, identity
from tests.support.dcu_demand import answer
from tests.support.dcu_headend import Certificates
from tests.support.demand import PROGRAM, event
from tests.support.headend import running_headend

from openami.core.clock import ManualClock
from openami.dlms.cosem import ControlState
from openami.dlms.cosem.response import Answer
from openami.fleet.demand.model import Payload, PayloadType
from openami.fleet.demand.supply import OrderState, Wanted
from openami.fleet.shipment import Shipment

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from openami.headend.server import Running

SERIAL = identity(0).serial
LIMIT = Payload(PayloadType.IMPORT_CAPACITY_LIMIT, Decimal("0.5"))


def enrolled(running: Running, folder: Path) -> Certificates:
    """Return a DCU's certificate, and let the head-end have the keys of its meter."""
    issued = running.services.registry.enroll_dcu("dcu-1", who="test")
    running.services.shipments.take(Shipment((identity(0).shipped(),)).encode(), who="test")
    files = {name: folder / f"{name}.pem" for name in ("certificate", "key")}
    for file, content in zip(files.values(), (issued.certificate, issued.key), strict=True):
        file.write_bytes(content)
    authority = running.home.authority
    return Certificates(server=authority, clients=authority, authority=authority, **files)


async def test_an_event_and_an_order_go_to_the_meter_and_what_came_of_them_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.dcu.demand.desk.NEWS_S", 0.01)
    clock = ManualClock(START + 30.0)
    async with running_headend(tmp_path, clock=clock) as running:
        demand = running.services.demand
        options = {"headend": running.device_url, "addresses": "16", "long_poll_s": 1.0}
        made = Chain(
            tmp_path, enrolled(running, tmp_path), (0,), HOUR, options=options, clock=clock
        )
        try:
            await made.start_street()
            meter, dcu = made.meter(0), await made.start_dcu()
            await made.until(lambda: dcu.line.status(SERIAL) == "ok" if len(dcu.roster) else False)
            await made.until(lambda: running.services.registry.meter(SERIAL).dcu == "dcu-1")
            demand.events.add_program(PROGRAM, who="ann")
            begin = int(clock.now()) + 600
            demand.events.draft(event("e1", start=begin, payloads=(LIMIT,)), who="ann")
            await asyncio.to_thread(demand.events.publish, "e1", who="ann")
            await made.until(lambda: demand.events.get("e1").counts.delivered == 1)
            made.advance(615)
            await made.until(lambda: demand.events.get("e1").counts.limited == 1)
            assert meter.model.limiter.active
            assert meter.model.limiter.emergency == 500
            answer(meter, "e1", Answer.OPTED_OUT)
            made.advance(310)
            await made.until(lambda: demand.events.get("e1").counts.opted_out == 1)
            await made.until(lambda: meter.model.limiter.profile.duration == 0)
            order = demand.orders.make(SERIAL, Wanted.DISCONNECTED, who="ann", why="a test of it")
            await made.until(lambda: demand.orders.get(order.id).state is OrderState.DONE)
            assert demand.orders.get(order.id).found == "disconnected"
            assert meter.model.disconnector.state is ControlState.DISCONNECTED
        finally:
            await made.kill_dcu()
            await made.stop_street()
            made.abandoned.collect()
