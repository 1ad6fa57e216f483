"""A meter measures simulated appliances that the display behind that meter controls."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from tests.support.ihd_appliances import Home
from tests.support.ihd_appliances_web import served

from openami.core.clock import parse_utc
from openami.ihd.appliance_rules import Mode
from openami.meter.identity import generate_identity, seeded
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.transport.clock import ClockSettings, SystemClock
from openami.transport.home import HomeLink, HomeTarget, pair

if TYPE_CHECKING:
    from pathlib import Path

EVENING = "2024-07-03T11:00:00Z"  # eight o'clock in Seoul: the car is at home
IDENTITY = generate_identity(5, seeded("loop"), address=17).with_home(seeded("label"))


async def test_a_meter_sees_the_charger_stop(tmp_path: Path) -> None:
    settings = ClockSettings(parse_utc(EVENING), 1.0, SystemClock().now())
    home = Home()
    home.clock.set(parse_utc(EVENING))
    async with served(home) as url:
        words = (sys.executable, "-m", "openami", "appliance", "simulate", "--ihd", url)
        more = ("--appliance", "charger", "--base", "constant:300", "--clock", str(settings))
        line = shlex.join((*words, *more, "--state", str(tmp_path)))
        run = RunSettings(
            config=MeterConfig(IDENTITY),
            source=parse_source(f"command:{line}"),
            clock=settings.clock(),
            home=("127.0.0.1", 0),
        )
        async with MeterRunner(run) as runner:
            assert runner.listening.home is not None
            target = HomeTarget(*runner.listening.home)
            paired = await pair(
                target, IDENTITY.home or "", name="x", random_octets=os.urandom, clock=run.clock
            )
            async with HomeLink(
                target, paired, clock=run.clock, keep_counter=lambda _: None
            ) as link:
                wanted = [7300, 300]
                async for live in link.lives():
                    if live.active // 1000 != wanted[0]:
                        continue
                    wanted.pop(0)
                    if not wanted:
                        break
                    (one,) = home.appliances.states()
                    home.appliances.change(one["id"], override=Mode.OFF)
        assert home.appliances.states()[0]["state"] == "battery 65%, waiting"
