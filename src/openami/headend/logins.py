"""The door that people come through: how often a password may be wrong, how many at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from openami.core.errors import SecurityError
from openami.headend.errors import BusyError
from openami.headend.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.core.clock import Clock
    from openami.headend.metrics import Metrics
    from openami.headend.settings import HeadendSettings

T = TypeVar("T")

# argon2 takes some ten MiB and some ten milliseconds each: more at once would starve the process.
AT_ONCE: Final = 4
PATIENCE_S: Final = 10.0

# One name from everywhere, and one address for every name, may fail this many times as often as
# one name from one address: an office behind one address is no attack, ten times as much is.
WIDE: Final = 10

# Longer is no safer, and hashing it costs us, not who sent it.
PASSWORD_LENGTH: Final = 256


class Door:
    """Checks what people prove themselves with; each kind of people has a door of its own."""

    def __init__(self, *, wall: Clock, metrics: Metrics, settings: HeadendSettings) -> None:
        self._metrics = metrics
        self._attempts = settings.login_attempts
        self._throttle = Throttle(window_s=settings.login_window_s, clock=wall)
        self._hashing = threading.BoundedSemaphore(AT_ONCE)

    def admit(self, name: str, address: str, check: Callable[[], T | None], wrong: str) -> T:
        """Return what ``check`` finds.

        Args:
            name: who they say they are.
            address: where they come from.
            check: looks at what they prove it with; None if it is wrong.
            wrong: what is said then.

        Raises:
            SecurityError: ``security.login``, it is wrong.
            BusyError: ``security.throttled``, too many wrong ones came from there; ``busy.login``.
        """
        limits = self._limits(name, address)
        wait = self._throttle.wait(limits)
        if wait > 0:
            self._metrics.login("throttled")
            raise BusyError("too many failed log-ins", retry_after=wait, code="security.throttled")
        found = self._one_of_few(check)
        if found is None:
            self._throttle.fail(limits)
            self._metrics.login("wrong")
            raise SecurityError(wrong, code="security.login")
        self._throttle.clear((name, address))
        self._metrics.login("ok")
        return found

    def _limits(self, name: str, address: str) -> dict[Hashable, int]:
        return {
            (name, address): self._attempts,
            ("name", name): WIDE * self._attempts,
            ("address", address): WIDE * self._attempts,
        }

    def _one_of_few(self, check: Callable[[], T | None]) -> T | None:
        if not self._hashing.acquire(timeout=PATIENCE_S):
            raise BusyError("too many log-ins at once", retry_after=1.0, code="busy.login")
        try:
            return check()
        finally:
            self._hashing.release()
