"""A DCU that registers, as a child process, and kills itself at its n-th step."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openami.dcu.enrolment import Enrolment
from openami.dcu.flow import Stop
from openami.dcu.module.client import SecurityModule
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Callable


class Killer:
    """Kills the process at its chance number ``left``, if there is one."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self) -> None:
        self._left -= 1
        if self._left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Give it a chance before and after each call of a method."""
        setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        if asyncio.iscoroutinefunction(real):

            async def awaited(*arguments: Any) -> Any:
                self()
                given = await real(*arguments)
                self()
                return given

            return awaited

        def called(*arguments: Any) -> Any:
            self()
            given = real(*arguments)
            self()
            return given

        return called


async def live(state: Path, factory: Path) -> None:
    async with SecurityModule.start(state, factory) as module:
        with Enrolment(module, state) as enrolment:
            await enrolment.register(Stop())


def main() -> None:
    state, factory, number = sys.argv[1:]
    killer = Killer(int(number))
    for owner, name in (
        (SecurityModule, "new_key"),
        (SecurityModule, "install"),
        (Enrolment, "_carry"),
        (FileVault, "put"),
    ):
        killer.around(owner, name)
    asyncio.run(live(Path(state), Path(factory)))


if __name__ == "__main__":
    main()
