"""A street in a process of its own, to be killed: ``street_child.py FOLDER FACTOR ORIGIN``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import structlog

from openami.meter.identity import seeded
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.meter.street import (
    StreetMeter,
    StreetRunner,
    StreetSettings,
    prepare_identities,
    run_street,
)
from openami.transport.clock import ClockSettings

START = 1_774_742_400.0  # 2026-03-29T00:00:00Z


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder, factor, origin = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    identities = prepare_identities(folder, 2, now=START, octets=seeded("killed"))
    source = parse_source("constant:1000")
    meters = tuple(StreetMeter(MeterConfig(who, started=START), source) for who in identities)
    settings = StreetSettings(
        meters,
        state=folder,
        modem=("127.0.0.1", 0),
        maintenance=("127.0.0.1", 0),
        clock=ClockSettings(START, factor, origin).clock(),
    )

    def ready(street: StreetRunner) -> None:
        sys.stdout.write(json.dumps([street.listening.wrapper[0][1], *street.meters]) + "\n")
        sys.stdout.flush()

    asyncio.run(run_street(settings, ready=ready))


if __name__ == "__main__":
    main()
