"""What a display makes of a home whose supply its meter has cut off."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from tests.support.ihd import StandIn, live_at, pair_folder, until

from openami.core.clock import ManualClock
from openami.dlms.cosem import ControlState
from openami.dlms.cosem.response import Event, EventKind, Interval, Payload, Said
from openami.ihd import display
from openami.ihd.appliance_rules import Can, Kind
from openami.ihd.appliances import Registration
from openami.ihd.display import Display
from openami.ihd.settings import DisplaySettings
from openami.mdm.tariffs.catalog import tariff_named

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from openami.dlms.home import Live

NOW = 1_790_000_100 // 900 * 900
HEATER = Registration("heater", Kind.WATER_HEATER, 2000, 0, frozenset(Can))
LIMIT = Interval(0, NOW, 900, (Payload("IMPORT_CAPACITY_LIMIT", Decimal("3.0")),))
EVENT = Event("e1", 1, "p", EventKind.EMERGENCY, (LIMIT,), optional=False)


def seen(shown: Display, push: Live) -> bool:
    return shown._seen == push


async def test_what_the_rest_of_the_home_draws_is_not_learned_without_supply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "TICK_S", 0.01)
    meter = StandIn()
    meter.now_said = Said(1, events=(EVENT,))
    pair_folder(tmp_path)
    settings = DisplaySettings(
        tmp_path, tariff_named("kr-residential-low"), clock=ManualClock(NOW + 60)
    )
    async with Display(settings, connect=meter.link) as shown:
        name, token = shown.appliances.register(HEATER)
        shown.appliances.authenticate(name, token)
        shown.appliances.change(name, allow=True)
        shown.appliances.report(name, 0.0, "")

        def mode() -> str:
            return str(shown.appliances.states()[0]["mode"])

        meter.pushes.put_nowait(live_at(NOW + 60, watts=2900, revision=1))
        await until(lambda: mode() == "off")
        off = replace(
            live_at(NOW + 61, watts=0, revision=1), supply=ControlState.READY_FOR_RECONNECTION
        )
        for second in range(20):  # more than the display looks back
            push = replace(off, at=off.at + second)
            meter.pushes.put_nowait(push)
            await until(partial(seen, shown, push))
        assert mode() == "off"
