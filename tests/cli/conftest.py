"""A head-end that runs, and commands that are run against it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog
from tests.support.headend import PASSWORD, running_headend

from openami.cli.main import main
from openami.fleet.operators import Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    import click

    from openami.headend.server import Running

    Run = Callable[..., Coroutine[None, None, tuple[list[str], str]]]
    RunMain = Callable[..., Coroutine[None, None, tuple[int, list[str], str]]]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    # What the head-end logs does not go where the command prints.
    with structlog.testing.capture_logs():
        async with running_headend(tmp_path) as running:
            yield running


@pytest.fixture
def signed_in(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands ask the head-end that runs, as the operator anna."""
    running.services.operators.add("anna", PASSWORD, Role.OPERATOR, who="test")
    granted = running.services.operators.make_token("anna", label="test", days=1)
    monkeypatch.setenv("OPENAMI_URL", running.url)
    monkeypatch.setenv("OPENAMI_TOKEN", granted.secret)
    monkeypatch.setenv("OPENAMI_CA", str(running.home.authority))


@pytest.fixture
def run_main(signed_in: None, capsys: pytest.CaptureFixture[str]) -> RunMain:
    """Return what runs ``openami`` and returns its status, what it prints and what it says."""

    async def call(*arguments: str) -> tuple[int, list[str], str]:
        status = await asyncio.to_thread(main, list(arguments))
        out, err = capsys.readouterr()
        return status, out.splitlines(), err

    return call


@pytest.fixture
def runner(signed_in: None, capsys: pytest.CaptureFixture[str]) -> Callable[[click.Command], Run]:
    """Return what makes, of a command, a function that returns what it prints and what it says."""

    def of(command: click.Command) -> Run:
        async def call(*arguments: str) -> tuple[list[str], str]:
            await asyncio.to_thread(command.main, list(arguments), standalone_mode=False)
            out, err = capsys.readouterr()
            return out.splitlines(), err

        return call

    return of
