"""Kills the process that it is in at its n-th chance."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

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
