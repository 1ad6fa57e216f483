"""What a DCU learns of a profile's columns, and when it learns nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.support.meter_flash import make_flash, move_flash
from tests.support.small_disk import small_disk

from openami.core.clock import ManualClock
from openami.dcu.layouts import read_layout
from openami.dlms.client import ClientConfig
from openami.dlms.results import DataAccessResult
from openami.meter.identity import generate_identity, seeded
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.transport.session import ServiceRefusedError, open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from pathlib import Path

START: Final = 1_774_742_400.0
LOAD: Final = "1.0.99.1.0.255"


async def test_a_meter_without_room_is_not_taken_for_one_without_profiles(tmp_path: Path) -> None:
    """A layout is kept for a day: what the meter can not say now must not be remembered."""
    clock = ManualClock(START)
    config = MeterConfig(generate_identity(1, seeded("layouts")), public_reads=True)
    make_flash(tmp_path / "made")
    with small_disk("limit", tmp_path / "meter", 60_000) as disk:
        move_flash(tmp_path / "made", disk.path)
        run = RunSettings(
            config,
            parse_source("constant:1000"),
            state=disk.path,
            wrapper=(("127.0.0.1", 0),),
            clock=clock,
        )
        async with MeterRunner(run) as runner:
            port = runner.listening.wrapper[0][1]
            url = MeterUrl.parse(f"dlms+tcp://127.0.0.1:{port}")
            async with open_session(url, ClientConfig()) as session:
                assert await read_layout(session, "1.0.99.7.0.255", now=START) is None
                before = await read_layout(session, LOAD, now=START)
                assert before is not None
                assert [column.unit for column in before.columns] == [None, None, 30, 30, 32, 32]
                clock.advance(86_400 * 50)
                with pytest.raises(ServiceRefusedError) as refused:
                    await read_layout(session, LOAD, now=START)
                assert refused.value.result is DataAccessResult.TEMPORARY_FAILURE
                disk.grow()
                assert await read_layout(session, LOAD, now=START) == before
