"""What repeats itself is told now and then."""

from __future__ import annotations

import threading
from typing import Final

from openami.core.recent import Recent

SELDOM_S: Final = 3600.0  # how often the same refusal of the same device is told
REMEMBERED: Final = 10_000  # refusals that were told; the oldest is forgotten


class Seldom:
    """Says whether something is to be told again, so that who repeats itself fills no log."""

    def __init__(self, every_s: float = SELDOM_S, remembered: int = REMEMBERED) -> None:
        self._every = every_s
        self._lock = threading.Lock()
        self._told: Recent[object, float] = Recent(remembered)

    def due(self, what: object, now: float) -> bool:
        """Tell whether ``what`` was not told lately; from now on it was."""
        with self._lock:
            last = self._told.get(what)
            if last is not None and now - last < self._every:
                return False
            self._told[what] = now
            return True
