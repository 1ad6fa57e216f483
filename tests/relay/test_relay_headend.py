"""A head-end reads a meter that it reaches through relays alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.c1222_net import MIDDLE, NEAR
from tests.support.c1222_town import HEADEND, TownMeter
from tests.support.headend import START, running_headend

from openami.c1222.segments import HEADERS_IPV4
from openami.core.clock import ManualClock
from openami.fleet.devices import Contact
from openami.relay.run import RelayRunner, RelaySettings
from openami.transport.c1222 import EndpointConfig
from openami.transport.c1222.url import NodeUrl

if TYPE_CHECKING:
    from pathlib import Path

    from openami.c1222.titles import ApTitle


def settings(title: ApTitle, parent: str, carrier: str) -> RelaySettings:
    """Return what a relay runs with that has no keys, and is known to nobody."""
    url = NodeUrl.parse(f"c1222+{carrier}://{parent}?node={HEADEND}")
    sockets = EndpointConfig((("127.0.0.1", 0),), largest_ipv4=300 - HEADERS_IPV4)
    return RelaySettings(title, sockets, parent=url, registers=False)


async def test_a_head_end_reads_a_meter_through_two_relays(tmp_path: Path) -> None:
    """Head-end — TCP — relay — UDP in small packets — relay — TCP — meter that only calls."""
    clock = ManualClock(START)
    meter = TownMeter(8437, clock)
    options = {"c1222_listen": "127.0.0.1:0", "c1222_spread_s": 0.0, "c1222_settle_s": 0.0}
    async with running_headend(tmp_path, clock=clock, **options) as running:
        running.services.shipments.take(meter.shipment(), who="test")
        assert running.c1222 is not None
        clock.advance(7200)
        meter.meter.refresh()
        async with (
            RelayRunner(settings(MIDDLE, running.c1222, "tcp")) as middle,
            RelayRunner(settings(NEAR, f"127.0.0.1:{middle.listening[0].port}", "udp")) as near,
            meter.online(f"127.0.0.1:{near.listening[0].port}", listen=False),
            asyncio.timeout(30),
        ):
            registry = running.services.registry
            while registry.meter(meter.serial).contact is not Contact.OK:
                await asyncio.sleep(0.01)
            assert running.services.registry.meter(meter.serial).last_read is not None
