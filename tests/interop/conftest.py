"""A meter of ours on real sockets, and the peer that talks to it."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from openami.core.clock import ManualClock
from openami.core.identifiers import SystemTitle
from openami.meter.identity import generate_identity, seeded
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig, zone_of
from openami.meter.sources import parse_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.meter.device import Meter
    from openami.meter.maker import Maker

START: Final = 1_774_742_400.0  # 2026-03-29T00:00:00Z
HOURS: Final = 50
PEER: Final = Path(__file__).with_name("gurux_peer.py")
TITLE: Final = SystemTitle.of("GRX", 1)
PEER_TIMEOUT_S: Final = 120.0

PUBLIC, READER, MANAGEMENT = 16, 2, 1


@dataclass
class Served:
    """A meter that has measured 1 kW and 250 var for some hours."""

    meter: Meter
    clock: ManualClock
    ports: dict[str, int]
    counter: int = 1
    plans: list[dict[str, Any]] = field(default_factory=list)

    async def talk(self, link: str, client: int, *steps: list[Any], **options: Any) -> list[Any]:
        """Let the peer associate, take the steps and release; return the results."""
        answer = await self.try_to_talk(link, client, *steps, **options)
        assert "error" not in answer, answer
        results: list[Any] = answer["results"]
        return results

    async def try_to_talk(
        self, link: str, client: int, *steps: list[Any], **options: Any
    ) -> dict[str, Any]:
        """Return all that the peer says, errors too."""
        keys = self.meter.config.identity.keys
        self.counter += 10_000
        plan: dict[str, Any] = {
            "link": link,
            "host": "127.0.0.1",
            "port": self.ports[link],
            "client": client,
            "server": (1 << 14) + self.meter.station if link == "hdlc" else 1,
            "authentication": {PUBLIC: "none", READER: "low", MANAGEMENT: "gmac"}[client],
            "security": "none",
            "system_title": TITLE.raw.hex(),
            "guek": keys.guek.hex(),
            "gak": keys.gak.hex(),
            "invocation_counter": self.counter,
            "steps": steps,
        }
        if client == READER:
            plan["password"] = keys.lls.decode()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PEER), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        plan |= options
        output, _ = await asyncio.wait_for(
            process.communicate(json.dumps(plan).encode()), PEER_TIMEOUT_S
        )
        answer: dict[str, Any] = json.loads(output)
        return answer


@asynccontextmanager
async def serving(*, maker: Maker | None = None, **settings: Any) -> AsyncIterator[Served]:
    clock = ManualClock(START)
    identity = generate_identity(1, seeded("interop"), phases=3)
    config = MeterConfig(identity, zone=zone_of("Europe/Berlin"), started=START, **settings)
    here = ("127.0.0.1", 0)
    run = RunSettings(
        config,
        parse_source("constant:1000,250"),
        wrapper=(here,),
        hdlc=(here,),
        clock=clock,
        maker=maker,
    )
    async with MeterRunner(run) as runner:
        clock.advance(HOURS * 3600)
        ports = {"wrapper": runner.listening.wrapper[0][1], "hdlc": runner.listening.hdlc[0][1]}
        yield Served(runner.meter, clock, ports)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(plain_management=True, public_reads=True) as meter:
        yield meter
