"""A DCU that ends badly again and again rests longer each time before it begins.

What is wrong with it may be mended from afar, once it holds a session; until then it neither
hammers its servers nor wears its flash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from openami.core.backoff import backoff
from openami.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dcu.flow import Stop
    from openami.dcu.threads import WorkThread
    from openami.store.device_memory import DeviceMemory

FREE: Final = 12
"""Bad ends after which a DCU rests before it begins: power comes and goes in a storm, too, and a
dozen starts are no burden to anybody."""
FIRST_S: Final = 5.0
MOST_S: Final = 300.0
STEADY_S: Final = 600.0
"""A DCU that has lived so long does not end badly again and again."""
_FACT: Final = "starts"

log = structlog.get_logger("dcu")


class Restarts:
    """Counts bad ends in a row.

    Args:
        memory: where they are counted.
        chance: returns a number from 0 to 1.
    """

    def __init__(self, memory: DeviceMemory, chance: Callable[[], float]) -> None:
        self._memory = memory
        self._chance = chance

    async def rest(self, stop: Stop) -> None:
        """Wait as long as the bad ends ask for; this start counts as one until it is better."""
        text = self._memory.fact(_FACT)
        bad = int(text) if text.isdecimal() else 0
        self._note(bad + 1)
        if bad >= FREE:
            wait = backoff(bad - FREE + 1, first=FIRST_S, most=MOST_S, jitter=self._chance())
            log.warning("has ended badly again and again, rests", times=bad, rest_s=round(wait))
            await stop.sleep(wait)

    async def watch(self, stop: Stop, thread: WorkThread) -> None:
        """Note on ``thread`` when it goes well; return when the DCU is to end."""
        await stop.sleep(STEADY_S)
        await thread.do(self.good)
        await stop.wait()

    def good(self) -> None:
        """Take that this start was no bad one."""
        self._note(0)

    def _note(self, bad: int) -> None:
        try:
            self._memory.put_fact(_FACT, str(bad))
        except StoreError as error:
            log.warning("not noted", code=error.code, error=error.message)
