"""A street of one meter."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.dcu_chain import HOUR

from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.meter.street import StreetMeter, StreetRunner, StreetSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.meter.identity import MeterIdentity


@asynccontextmanager
async def street(
    folder: Path, who: MeterIdentity, clock: ManualClock
) -> AsyncIterator[StreetRunner]:
    """Run a meter that has measured for six hours."""
    (folder / "street").mkdir(exist_ok=True)
    config = MeterConfig(who, started=clock.now() - 6 * HOUR)
    settings = StreetSettings(
        (StreetMeter(config, parse_source("constant:500,30")),),
        modem=("127.0.0.1", 0),
        state=folder / "street",
        clock=clock,
    )
    async with StreetRunner(settings) as runner:
        yield runner


def modem_of(runner: StreetRunner) -> str:
    """Return the address of a street's line."""
    return f"hdlc+tcp://127.0.0.1:{runner.listening.hdlc[0][1]}"
