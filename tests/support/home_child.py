"""Runs a meter with a home port and a display at it, and prints what was durable, until killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.support.home import link_of, paired_with, settings

from openami.cli.run import configure_logs
from openami.meter.run import MeterRunner


async def main(state: str) -> None:
    """Pair a display, then open its link again and again."""
    async with MeterRunner(settings(Path(state))) as runner:
        paired = await paired_with(runner)
        sys.stdout.write(json.dumps(paired.data()) + "\n")
        while True:
            keep: list[int] = []
            async with link_of(runner, paired, keep):
                pass
            paired = paired.at(keep[-1])
            sys.stdout.write(json.dumps(paired.data()) + "\n")


if __name__ == "__main__":
    configure_logs("error")
    asyncio.run(main(*sys.argv[1:]))
