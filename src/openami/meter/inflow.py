"""Where a meter's energy comes from: a source that its engine asks, or a measuring part apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import structlog

from openami.core.errors import DecodeError
from openami.meter.apart import Apart
from openami.metrology.events import Event

if TYPE_CHECKING:
    from openami.metrology.engine import MeterEngine
    from openami.metrology.sources import Source

log = structlog.get_logger()


class Inflow(Protocol):
    """What lets a meter's time pass, and counts."""

    @property
    def taken(self) -> dict[str, Any] | None:
        """What the meter's memory must hold of it."""
        ...

    def resume(self, engine: MeterEngine, taken: dict[str, Any] | None, now: float) -> None:
        """Go on at ``now`` after management was off, with what the memory holds."""

    def fit(self, engine: MeterEngine, converter: object) -> object:
        """Take up the converter's constants that the memory holds; return what it must hold."""
        ...

    def advance(self, engine: MeterEngine, now: float) -> None:
        """Count up to ``now``."""

    def committed(self) -> None:
        """Take note that all that was counted is in the meter's memory."""


@runtime_checkable
class Converter(Protocol):
    """A source that measures another with constants of its own."""

    def fit(self, record: object) -> dict[str, Any]:
        """Take up the constants of a memory, or calibrate; return what the memory must hold.

        Raises:
            DecodeError: the record is damaged.
        """
        ...


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

    def fit(self, engine: MeterEngine, converter: object) -> object:
        if not isinstance(self._source, Converter):
            return converter  # for the day on which it has one again
        try:
            found = self._source.fit(converter)
        except DecodeError as error:
            log.warning("calibrated anew", why=str(error))
            engine.record(Event.MEMORY_ERROR)
            return self._source.fit(None)
        if converter is not None and found != converter:
            engine.record(Event.PARAMETERS_CHANGED)
        return found

    def advance(self, engine: MeterEngine, now: float) -> None:
        engine.advance(now, self._source)

    def committed(self) -> None:
        """Nobody waits for that."""


def inflow_of(source: Source | Apart) -> Inflow:
    """Return where the energy comes from."""
    return source if isinstance(source, Apart) else _FromSource(source)
