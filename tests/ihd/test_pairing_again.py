"""A display that is paired again with a real meter, also after a pairing that was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.home import CODE, settings, target_of
from tests.support.ihd import until

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.ihd.display import Display
from openami.ihd.pairing import Pairing, PairingFile
from openami.ihd.settings import DisplaySettings
from openami.mdm.tariffs.catalog import tariff_named
from openami.meter.run import MeterRunner

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_display_has_one_place_however_often_it_is_paired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with MeterRunner(settings()) as runner:

        def display() -> Display:
            tariff = tariff_named("kr-residential-low")
            target = target_of(runner)
            return Display(DisplaySettings(tmp_path, tariff, clock=ManualClock(), target=target))

        def no_room(_file: PairingFile, _pairing: Pairing) -> None:
            raise StoreFullError("no room")

        first = display()
        with monkeypatch.context() as patched:
            patched.setattr(PairingFile, "keep", no_room)
            with pytest.raises(StoreFullError):
                await first.pair(CODE)
        first.close()  # the power fails, and the meter has given a place
        [given] = runner.meter.home.displays

        again = display()
        await again.pair(CODE)
        for forget in (False, True):
            await again.unpair(forget=forget)
            await again.pair(CODE)
        again.close()
        assert [each.title for each in runner.meter.home.displays] == [given.title]


async def test_a_display_that_a_real_meter_forgot_is_unpaired_until_it_is_paired_again(
    tmp_path: Path,
) -> None:
    async with MeterRunner(settings()) as runner:
        tariff, target = tariff_named("kr-residential-low"), target_of(runner)
        made = DisplaySettings(tmp_path, tariff, clock=ManualClock(), target=target)
        async with Display(made) as display:
            await display.pair(CODE)
            await until(lambda: display.keeper.status.state == "connected")
            runner.meter.home.forget(None)
            display.keeper.restart()
            await until(lambda: display.keeper.status.state == "unpaired")
            assert display.keeper.status.code == "home.forgotten"
            await display.pair(CODE)
            await until(lambda: display.keeper.status.state == "connected")
