"""A measuring part, or a meter's management at its line, as a process with quick ticks.

``part STATE LINE PHASES`` prints where it is found; ``management STATE LINE PERSIST PHASES`` what
its register shows, at each tick. Its line is ``none`` where the meter has a source instead; a part's
number and seconds of silence may follow.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from openami.cli.run import configure_logs
from openami.meter import apart, measuring, run
from openami.meter.identity import generate_identity, seeded
from openami.meter.line import ApartSpec, LineSpec
from openami.meter.measuring import MeasuringRunner, MeasuringSettings
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.metrology.adc.frontend import SIGMA_DELTA
from openami.metrology.energy import Channel

TICK_S = 0.25


async def part(state: str, line: str, phases: str) -> None:
    settings = MeasuringSettings(
        Path(state),
        parse_source("constant:36000"),
        SIGMA_DELTA,
        LineSpec.parse(line, pty=True),
        phases=int(phases),
    )
    await measuring.run_measuring(settings, ready=_ready)


def _ready(runner: MeasuringRunner) -> None:
    sys.stdout.write(runner.listening + "\n")
    sys.stdout.flush()


async def management(
    state: str, line: str, persist: str, phases: str, accept: str = "0", silent: str = "5"
) -> None:
    vars(apart)["SILENT_S"] = float(silent)
    spec = None if line == "none" else ApartSpec(LineSpec.parse(line), int(accept) or None)
    identity = generate_identity(5, seeded("apart"), phases=int(phases))
    settings = RunSettings(
        config=MeterConfig(identity, persist_s=float(persist)),
        source=spec or parse_source("constant:36000"),
        state=Path(state),
        wrapper=(("127.0.0.1", 0),),
    )
    async with MeterRunner(settings) as runner:
        while True:
            await asyncio.sleep(TICK_S)
            energy = runner.meter.engine.register(Channel.IMPORT)
            sys.stdout.write(f"{energy}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    configure_logs("error")
    for module in (measuring, run):
        vars(module)["TICK_S"] = TICK_S
    what, *arguments = sys.argv[1:]
    asyncio.run(part(*arguments) if what == "part" else management(*arguments))
