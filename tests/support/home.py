"""Displays at a meter's home port, for tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tests.support.meter_bench import START

from openami.core.clock import ManualClock
from openami.meter.identity import generate_identity, seeded
from openami.meter.run import RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.transport.home import HomeLink, HomeTarget, pair

if TYPE_CHECKING:
    from pathlib import Path

    from openami.core.identifiers import SystemTitle
    from openami.dlms.home import Live
    from openami.meter.run import MeterRunner
    from openami.transport.home import Paired

IDENTITY: Final = generate_identity(5, seeded("home"), address=17).with_home(seeded("label"))
CODE: Final = IDENTITY.home or ""
WRONG: Final = "00000000"


def settings(state: Path | None = None, clock: ManualClock | None = None) -> RunSettings:
    """Return what a meter with a home port runs with."""
    return RunSettings(
        config=MeterConfig(IDENTITY),
        source=parse_source("constant:3600,1200"),
        clock=clock or ManualClock(START),
        wrapper=(("127.0.0.1", 0),),
        home=("127.0.0.1", 0),
        state=state,
    )


def target_of(runner: MeterRunner) -> HomeTarget:
    """Return where its home port is."""
    assert runner.listening.home is not None
    return HomeTarget(*runner.listening.home)


async def paired_with(
    runner: MeterRunner,
    name: str = "Kitchen",
    code: str = CODE,
    title: SystemTitle | None = None,
) -> Paired:
    """Pair a display."""
    return await pair(
        target_of(runner),
        code,
        name=name,
        random_octets=os.urandom,
        clock=ManualClock(START),
        title=title,
    )


def link_of(runner: MeterRunner, paired: Paired, keep: list[int] | None = None) -> HomeLink:
    """Return a display's link; ``keep`` takes the counters that it keeps."""
    kept = [] if keep is None else keep
    return HomeLink(target_of(runner), paired, clock=ManualClock(START), keep_counter=kept.append)


async def some(link: HomeLink, count: int) -> list[Live]:
    """Return the next pushes."""
    found: list[Live] = []
    async for live in link.lives():
        found.append(live)
        if len(found) == count:
            break
    return found
