"""Runs a meter with a fast clock and prints what a reader sees of it, until it is killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from openami.cli.run import configure_logs
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig
from openami.dlms.references import AttributeRef
from openami.meter.making import ensure_identity
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.transport.clock import ClockSettings
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
PROFILE = AttributeRef(7, Obis.parse("1.0.99.1.0.255"), 2)
CLOCK = AttributeRef(8, Obis.parse("0.0.1.0.0.255"), 2)


async def main(state: str, clock: str) -> None:
    identity = ensure_identity(Path(state), number=5)
    settings = RunSettings(
        config=MeterConfig(identity),
        source=parse_source("constant:3600"),
        state=Path(state),
        wrapper=(("127.0.0.1", 0),),
        clock=ClockSettings.parse(clock).clock(),
    )
    async with MeterRunner(settings) as runner:
        host, port = runner.listening.wrapper[0]
        url = MeterUrl.parse(f"dlms+tcp://{host}:{port}?client=2")
        config = ClientConfig(mechanism=Mechanism.LLS, secret=identity.keys.lls)
        while True:
            async with open_session(url, config) as session:
                energy = (await session.get(ENERGY)).integer()
                rows = (await session.get(PROFILE)).items()
                values = {row.items()[0].octets().hex(): row.items()[2].integer() for row in rows}
            sys.stdout.write(json.dumps({"energy": energy, "rows": values}) + "\n")


if __name__ == "__main__":
    configure_logs("error")
    asyncio.run(main(*sys.argv[1:]))
