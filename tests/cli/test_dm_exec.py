"""``openami dm exec`` waits: past what a device has accepted, to the alert that concludes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import dcu_client
from tests.support.management import Device, give_account

from openami.cli import dm_jobs
from openami.cli.api import ApiError, get_json
from openami.cli.dm import dm
from openami.dcu.operations import OPERATION, alert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    import click

    from openami.headend.server import Running
    from openami.omadm.tree.tree import Execution

    Run = Callable[..., Coroutine[None, None, tuple[list[str], str]]]

COLLECT = "./AMI/Operations/Collect"


class Collector:
    """A device that accepts an operation, and says in another session how it ended."""

    def __init__(self, device: Device) -> None:
        self.executed: list[Execution] = []
        self._device = device
        device.tree.on_exec(COLLECT, self._execute)

    def _execute(self, execution: Execution) -> int:
        self.executed.append(execution)
        return 202

    async def accept(self) -> None:
        """Have sessions until there was something to execute."""
        while not self.executed:
            await self._device.run()
            await asyncio.sleep(0.02)

    async def conclude(self, words: str) -> None:
        """Tell how it ended."""
        (execution,) = self.executed
        await self._device.run(alerts=(alert(OPERATION, COLLECT, words, execution.correlator),))


@pytest.fixture
async def collector(running: Running, tmp_path: Path) -> AsyncIterator[Collector]:
    async with dcu_client(running, tmp_path, "D1") as http:
        yield Collector(Device("D1", give_account(running, "D1"), http))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Return what the command has seen of its job, each time that it looked."""
    found: list[dict[str, int]] = []

    async def look(*arguments: Any, **options: Any) -> Any:
        answer = await get_json(*arguments, **options)
        if "counts" in answer:
            found.append(answer["counts"])
        return answer

    monkeypatch.setattr(dm_jobs, "get_json", look)
    monkeypatch.setattr(dm_jobs, "POLL_S", 0.02)
    return found


@pytest.mark.parametrize(
    ("words", "state"), [("200 3 of 3 meters read", "done"), ("500 2 of 3 meters read", "failed")]
)
async def test_what_is_accepted_is_waited_for_until_an_alert_concludes_it(
    runner: Callable[[click.Command], Run],
    capsys: pytest.CaptureFixture[str],
    collector: Collector,
    seen: list[dict[str, int]],
    words: str,
    state: str,
) -> None:
    asked = asyncio.create_task(runner(dm)("exec", COLLECT, "--device", "D1"))
    await collector.accept()
    while seen.count({"accepted": 1}) < 2:  # it has seen that, and looks again
        assert not asked.done()
        await asyncio.sleep(0.01)
    await collector.conclude(words)
    if state == "done":
        lines, said = await asked
    else:
        with pytest.raises(ApiError, match="1 failed") as raised:
            await asked
        assert raised.value.code == "job.failed"
        out, said = capsys.readouterr()
        lines = out.splitlines()
    assert lines[1].split(maxsplit=4) == ["D1", state, COLLECT, words[:3], words]
    assert "0 of 1: 1 accepted\n" in said
    assert said.endswith(f"1 of 1: 1 {state}\n")
