"""Holds sessions of a managed DCU in processes that are killed at every step, one after another.

Each process is forked from this one, works in a folder of its own, and is killed before or after
the next thing that cannot be taken back: a commit, or a message to the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.dcu_managed import FOREVER, FileIdentity, Made

from openami.dcu.flow import Stop
from openami.omadm.session.events import End
from openami.ssmp.bootstrap import BootstrapBlock
from openami.store import sqlite
from openami.transport.http import HttpAnswer, HttpClient

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


class Steps:
    """Counts what cannot be taken back, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self._left = last

    def take(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def watch(steps: Steps) -> None:
    """Let commits and messages be steps."""
    transaction, request = sqlite.Database.transaction, HttpClient.request

    @contextmanager
    def counted(self: sqlite.Database) -> Iterator[sqlite3.Cursor]:
        steps.take()
        with transaction(self) as cursor:
            yield cursor
        steps.take()

    async def sent(self: HttpClient, *arguments: Any, **options: Any) -> HttpAnswer:
        steps.take()
        answer = await request(self, *arguments, **options)
        steps.take()
        return answer

    sqlite.Database.transaction = counted  # type: ignore[method-assign]  # the same, counted
    HttpClient.request = sent  # type: ignore[method-assign]  # as above


async def hold(made: Made) -> bool:
    """Hold one session; tell whether it came to its end."""
    async with made.dcu() as dcu:
        await dcu.membership.register(Stop())
        return (await dcu.manager.session()).end is End.DONE


def lived(made: Made, last: int) -> bool:
    """Do it in a process that dies at a step; tell whether it lived."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            watch(Steps(last))
            code = 0 if asyncio.run(hold(made)) else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"the session failed at step {last}")
    return not killed


def main(given: dict[str, Any]) -> None:
    block = BootstrapBlock(**given["block"], not_before=0, not_after=FOREVER)
    identity = FileIdentity(given["uid"], Path(given["files"]))
    state = Path(given["state"])
    step = 1
    while True:
        made = Made(identity, block, state / str(step))
        if lived(made, step):
            break
        if not lived(made, 0):  # what the one before has left
            raise SystemExit("not to be killed")
        step += 1
    sys.stdout.write(f"{step}\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
