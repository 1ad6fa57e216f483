"""The trial of an image that has been booted for the first time."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import SecurityError

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.firmware.payload import ObjectName, SelfTest
    from openami.meter.loader import Application

TURNS: Final = 16  # of a self-test at a stretch: frames and answers pass in between


class TrialState(IntEnum):
    """How far the trial of the firmware that runs is."""

    NONE = 0
    TESTING = 1
    TESTED = 2


class Trial:
    """An application's self-test and the time after it in which it must not fail.

    Args:
        application: what is tried.
        test: what its image says of the self-test.
        began: seconds that never jump.
    """

    def __init__(self, application: Application, test: SelfTest, began: float) -> None:
        self._test = test
        self._turns = _turns(application, test.objects)
        self._deadline = began + test.deadline_s
        self.passed_at: float | None = None

    @property
    def state(self) -> TrialState:
        """Whether the self-test has been passed."""
        return TrialState.TESTING if self.passed_at is None else TrialState.TESTED

    def step(self, now: float) -> bool:
        """Go on; return whether the image is to be kept.

        Raises:
            SecurityError: the self-test says no (``firmware.self-test``), or does not end
                (``firmware.watchdog``).
            Exception: whatever the application raises.
        """
        if self.passed_at is None:
            self._go_on(now)
        return self.passed_at is not None and now >= self.passed_at + self._test.trial_s

    def _go_on(self, now: float) -> None:
        try:
            for _ in range(TURNS):
                next(self._turns)
        except StopIteration as end:
            if end.value is not True:
                raise SecurityError("the self-test says no", code="firmware.self-test") from None
            self.passed_at = now
            return
        if now >= self._deadline:
            raise SecurityError("the self-test does not end", code="firmware.watchdog")


def _turns(
    application: Application, expected: tuple[ObjectName, ...]
) -> Generator[None, None, bool]:
    found = {(item.CLASS_ID, item.obis): item for item in application.model.every}
    for name in expected:
        item = found.get(name)
        if item is None:
            message = f"no object {name[0]}/{name[1]}"
            raise SecurityError(message, code="firmware.self-test")
        item.read(2).encode()
        yield
    return (yield from application.self_test()) is True
