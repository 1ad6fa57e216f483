"""The street that ``bench.street`` reads: meters with a day behind them, in a process of its own.

Its first line on standard output says where and who they are. Each line on standard input is
answered with the seconds of processor time that it has used; the end of input ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import structlog
import uvloop

from openami.core.clock import ManualClock
from openami.meter.identity import generate_identity, seeded
from openami.meter.settings import MeterConfig, zone_of
from openami.meter.sources import parse_source
from openami.meter.street import StreetMeter, StreetRunner, StreetSettings

START = 1_774_742_400  # 2026-03-29T00:00:00Z
HOURS = 30
POWER_W = 1000


async def serve(count: int) -> None:
    clock = ManualClock(START)
    zone, source = zone_of("Asia/Seoul"), parse_source(f"constant:{POWER_W},250")
    octets = seeded("bench")
    members = tuple(
        StreetMeter(MeterConfig(generate_identity(n + 1, octets), zone=zone, started=START), source)
        for n in range(count)
    )
    settings = StreetSettings(members, modem=("127.0.0.1", 0), clock=clock)
    async with StreetRunner(settings) as street:
        clock.advance(HOURS * 3600)
        for meter in street.meters.values():
            meter.measure(clock.now())
        facts = {
            "port": street.listening.hdlc[0][1],
            "meters": [
                {
                    "address": one.config.identity.address,
                    "title": one.config.identity.system_title.raw.hex(),
                    "guek": one.config.identity.keys.guek.hex(),
                    "gak": one.config.identity.keys.gak.hex(),
                }
                for one in members
            ],
        }
        print(json.dumps(facts), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(time.process_time(), flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
