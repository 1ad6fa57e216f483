"""A whole display behind a DCU: what flows, its meter's profile, and a line that is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.dcu.test_gateway import SEEDS, gated, target
from tests.support.dcu_chain import HOUR, PERIOD, identity
from tests.support.ihd import until

from openami.ihd import filling
from openami.ihd.display import Display
from openami.ihd.settings import DisplaySettings
from openami.mdm.tariffs.catalog import tariff_named

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.support.dcu_headend import Certificates


async def test_a_display_behind_a_dcu_shows_its_meter(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "AGAIN_S", 0.05)
    async with gated(tmp_path, certificates) as (made, door):
        settings = DisplaySettings(
            tmp_path / "home",
            tariff_named("kr-residential-low"),
            target=target(door, 0),
            clock=made.clock,
            every_s=0.05,
        )
        async with Display(settings) as display:
            await display.pair(identity(0).home or "")
            await until(lambda: display.history.ledger.until and not display.filler.left_s)
            state = await display.state()
            assert state["link"]["way"] == "gateway"
            assert state["serial"] == identity(0).serial
            assert state["live"]["active_w"] == 500 + SEEDS[0]
            before = display.history.ledger.until or 0

            made.advance(HOUR)
            await until(lambda: (display.history.ledger.until or 0) >= before + HOUR)
            used = display.history.ledger.between(before, before + int(HOUR))[0]
            assert abs(used - (500 + SEEDS[0])) <= HOUR // PERIOD  # each cut to whole Wh
            await made.until(lambda: made.caught_up() and made.complete(0, 1))

            await door.close()
            await until(lambda: display.keeper.status.state == "lost")
            assert (await display.state())["live"]["active_w"] == 500 + SEEDS[0]
