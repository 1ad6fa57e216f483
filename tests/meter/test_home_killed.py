"""A meter that is killed keeps its displays, and no counter of theirs is used twice."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from tests.support.home import IDENTITY, link_of, settings, some
from tests.support.killed import run_and_kill

from openami.core.errors import SecurityError
from openami.meter.home.stopped import displays_of
from openami.meter.identity import save_identity
from openami.meter.making import IDENTITY_FILE
from openami.meter.run import MeterRunner
from openami.metrology.events import Event, Ring
from openami.transport.home import Paired

if TYPE_CHECKING:
    from pathlib import Path


async def test_pairings_and_counters_survive_a_kill(tmp_path: Path) -> None:
    save_identity(tmp_path / IDENTITY_FILE, IDENTITY)
    chance = random.Random(8)
    lines = run_and_kill("tests.support.home_child", str(tmp_path), after_lines=4, chance=chance)
    told = [Paired.of(json.loads(line)) for line in lines]
    first, last = told[0], told[-1]
    async with MeterRunner(settings(tmp_path)) as runner:
        (record,) = runner.meter.home.record.displays
        assert (record.client, record.title, record.keys) == (last.client, last.title, last.keys)
        assert record.counter >= 1024 * (len(told) > 1)
        with pytest.raises(SecurityError):  # what was recorded of the first link is worth nothing
            async with link_of(runner, first):
                raise AssertionError
        async with link_of(runner, last.at(last.counter + 512)) as link:
            assert len(await some(link, 2)) == 2
    (shown,) = displays_of(tmp_path)
    assert (shown.name, shown.title) == ("Kitchen", last.title)
    assert displays_of(tmp_path, forget=1) == ()
    async with MeterRunner(settings(tmp_path)) as runner:
        assert runner.meter.home.displays == []
        log = runner.meter.engine.rows[Ring.SECURITY_LOG]
        assert Event.DISPLAY_FORGOTTEN in [row[-1] for row in log.entries(1, len(log))]
        assert runner.meter.home.record.unlogged == 0
