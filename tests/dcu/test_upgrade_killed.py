"""An upgrade manager that is killed before and after everything it keeps and does."""

from __future__ import annotations

import ast
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.forks import forks
from tests.support.upgrade_child import load
from tests.support.upgrade_meters import NEW, OLD, serial_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.forks import Forks

ENDS = {"reverted": 1, "confirmed": 2}


def reports(folder: Path) -> list[dict[str, Any]]:
    return [ast.literal_eval(line) for line in (folder / "reports").read_text().splitlines()]


def check(folder: Path) -> None:
    """Every meter has tried the image once, and is where it should be; so it was told."""
    meters = {meter.serial: meter for meter in load(folder)}
    assert {s: m.tried for s, m in meters.items()} == dict.fromkeys(meters, 1)
    assert not any(meter.wrongs for meter in meters.values())
    assert [m.version for m in meters.values()] == [OLD, NEW, NEW]
    told = reports(folder)
    assert told[-1]["counts"] == ENDS
    assert told[-1]["codes"] == {"upgrade.reverted": 1}
    numbers = [report["number"] for report in told]
    assert numbers == sorted(set(numbers))
    marks = Counter(
        (m["meter"], m["attempt"], m["state"])
        for m in {repr(mark): mark for report in told for mark in report["marks"]}.values()
    )
    assert set(marks.values()) == {1}
    states = {state for meter, _, state in marks if meter == serial_of(0)}
    assert states >= {"offered", "downloaded", "transferred", "verified", "reverted"}


async def go_on(children: Forks, folder: Path, left: int) -> int:
    child, _ = await children.start(str(folder), str(left))
    ended = await child.ended()
    assert ended in {0, -signal.SIGKILL}, "".join(child.output)
    return ended


@pytest.mark.fums("UC1-end")
async def test_killed_at_every_point_it_goes_on_and_upgrades_nobody_twice(tmp_path: Path) -> None:
    async with forks("tests.support.upgrade_child") as children:
        point = 0
        while True:
            folder = tmp_path / str(point)
            folder.mkdir()
            if await go_on(children, folder, point) == 0:
                break
            assert await go_on(children, folder, -1) == 0
            check(folder)
            point += 1
        assert point > 60


async def test_killed_again_and_again_it_comes_to_an_end(tmp_path: Path) -> None:
    async with forks("tests.support.upgrade_child") as children:
        for left in (3, 7):
            folder = tmp_path / str(left)
            folder.mkdir()
            deaths = 0
            while await go_on(children, folder, left + deaths) != 0:
                deaths += 1
                assert deaths < 200
            check(folder)
