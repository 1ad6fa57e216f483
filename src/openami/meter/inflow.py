"""Where a meter's energy comes from: a source that its engine asks, or a measuring part apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from openami.meter.apart import Apart

if TYPE_CHECKING:
    from openami.metrology.engine import MeterEngine
    from openami.metrology.sources import Source


class Inflow(Protocol):
    """What lets a meter's time pass, and counts."""

    @property
    def taken(self) -> dict[str, Any] | None:
        """What the meter's memory must hold of it."""
        ...

    def resume(self, engine: MeterEngine, taken: dict[str, Any] | None, now: float) -> None:
        """Go on at ``now`` after management was off, with what the memory holds."""

    def advance(self, engine: MeterEngine, now: float) -> None:
        """Count up to ``now``."""

    def committed(self) -> None:
        """Take note that all that was counted is in the meter's memory."""


class _FromSource:
    """What is measured by the engine itself: nothing while it is off.

    ``taken`` still says which measuring part the meter had before, so that no other takes its
    place unseen afterwards.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.taken: dict[str, Any] | None = None

    def resume(self, engine: MeterEngine, taken: dict[str, Any] | None, now: float) -> None:
        self.taken = None if taken is None else {**taken, "aside": True}
        engine.power_up(now)

    def advance(self, engine: MeterEngine, now: float) -> None:
        engine.advance(now, self._source)

    def committed(self) -> None:
        """Nobody waits for that."""


def inflow_of(source: Source | Apart) -> Inflow:
    """Return where the energy comes from."""
    return source if isinstance(source, Apart) else _FromSource(source)
