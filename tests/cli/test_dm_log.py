"""``openami dm log``, against a head-end that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from tests.support.headend import dcu_client
from tests.support.management import Device, give_account

from openami.cli.dm_log import log
from openami.omadm.codes import AlertCode
from openami.omadm.messages.model import Alert, Item, Meta

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from openami.headend.server import Running

    Run = Callable[..., Coroutine[None, None, tuple[list[str], str]]]


@pytest.fixture
def run(runner: Callable[[click.Command], Run]) -> Run:
    """Return what runs the command, and returns what it prints and what it says."""
    return runner(log)


async def test_sessions_are_listed_and_shown(running: Running, run: Run, tmp_path: Path) -> None:
    assert await run("D1", "--last") == ([], "no sessions\n")
    async with dcu_client(running, tmp_path, "D1") as http:
        device = Device("D1", give_account(running, "D1"), http)
        await device.run()
        moved = Item(meta=Meta("chr", "urn:x:moved"), data="1")
        await device.run(notified=True, alerts=(Alert(0, AlertCode.GENERIC, (moved,)),))
    lines, _ = await run()
    assert lines[0].split() == [
        "session", "device", "began", "came", "end", "commands", "messages", "octets", "why",
    ]  # fmt: skip
    assert ["woken" in line for line in lines[1:]] == [True, False]
    lines, _ = await run("D1", "--json", "--most", "1")
    (session,) = map(json.loads, lines)
    assert (session["uid"], session["end"], session["notified"]) == ("D1", "done", True)
    lines, _ = await run("--session", str(session["id"]))
    assert lines[0] == "session 2B with D1, done"
    assert [line.split("  ")[1].split(",")[0] for line in lines if line.startswith("20")][:2] == [
        "device",
        "server",
    ]
    assert any(line.strip() == "LocURI: ./DevInfo/Man" for line in lines)
    assert any(line.strip() == "Data: 1200 (server initiated)" for line in lines)
    assert any(line.strip() == "NextNonce (hidden)" for line in lines)
    assert await run("D1", "--last") == (lines, "")
    shown, _ = await run("D1", "--last", "--json")
    assert json.loads(shown[0])["session"] == session
    assert (await run("D2"))[0][1:] == []


async def test_of_a_poll_nothing_but_its_end_is_kept(
    running: Running, run: Run, tmp_path: Path
) -> None:
    async with dcu_client(running, tmp_path, "D1") as http:
        device = Device("D1", give_account(running, "D1"), http)
        await device.run()
        await device.run()
    lines, _ = await run("D1", "--last")
    assert lines[0].endswith("with D1, done")
    assert [line.strip() for line in lines[1:]] == [
        "[nothing was ordered and nothing told: its messages are not kept]"
    ]


@pytest.mark.parametrize("arguments", [("--last",), ("D1", "--last", "--session", "1")])
async def test_what_is_to_be_shown_is_clear(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        await run(*arguments)
