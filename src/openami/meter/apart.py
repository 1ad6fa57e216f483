"""Management's end of the line to a measuring part that is apart, as a meter's inflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.metrology.events import Event
from openami.metrology.link.ends import ManagementEnd
from openami.metrology.link.messages import EventReport, Heard, Report
from openami.metrology.sources import NOTHING
from openami.metrology.taking import Taken, Taking, blank, is_older
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.metrology.engine import MeterEngine

SILENT_S: Final = 5.0
"""Real seconds without a report after which the part counts as silent: it tells one each second,
and a line may lose some."""

_REFUSED: Final = {
    "metrology.backwards": "measuring part is not the meter's, or went back: nothing is counted",
    "metrology.phases": "measuring part has another number of phases: nothing is counted",
}
_HINTS: Final = {
    "metrology.backwards": "if it was exchanged, or restored: --metrology-part {}",
    "metrology.phases": "a part with as many --phases as the meter has",
}

log = structlog.get_logger()


class Apart:
    """A measuring part at the other end of a line.

    Octets come by ``receive_data``; the newest report counts when the meter's time passes.

    Args:
        accept: number of a part that may take the place of the meter's own.
        ticks: tells real seconds that never jump.
    """

    def __init__(
        self, *, accept: int | None = None, ticks: Callable[[], float] = monotonic
    ) -> None:
        self.end = ManagementEnd()
        self._accept = accept
        self._ticks = ticks
        self._taking = Taking(accept=accept)
        self._report: Report | None = None
        self._newest: Report | None = None
        self._events: list[EventReport] = []
        self._told_at = ticks()
        # Events up to which all are: written down, in a commit under way, in the memory.
        self._written = self._committing = self._kept = self.end.heard
        self._closed: bool | None = None
        self._refused: int | None = None

    @property
    def newest(self) -> Report | None:
        """The newest report that has come."""
        return self._newest

    @property
    def told(self) -> bool:
        """Whether a report waits to be counted."""
        return self._report is not None

    @property
    def taken(self) -> dict[str, Any] | None:
        """What the meter's memory must hold; also what is heard of events then."""
        kept = self._taking.kept
        if kept is None:
            return None
        self._committing = self._written
        return {**kept.dump(), "heard": [self._written.life, self._written.number]}

    def receive_data(self, data: bytes) -> None:
        """Take any slice of what the measuring part sends."""
        self.end.receive_data(data)
        while (message := self.end.next_message()) is not None:
            if isinstance(message, EventReport):
                self._events.append(message)
            elif self._newest is None or self._silent or not is_older(message, self._newest):
                # An older one out of a silence: the part began anew with an older memory.
                self._report = self._newest = message
                self._told_at = self._ticks()

    def data_to_send(self) -> bytes:
        """Return what the measuring part is told now: events that are kept, and its relay."""
        relay = b"" if self._closed is None else self.end.switch(closed=self._closed)
        if self._taking.refused is not None:  # its events are not those that are heard
            return relay
        return self.end.acknowledge(self._kept) + relay

    # What the meter calls.

    def resume(self, engine: MeterEngine, taken: dict[str, Any] | None, now: float) -> None:
        """Go on after management was off; what was counted meanwhile lies in the report."""
        known = None
        if taken is not None:
            kept = dict(taken)
            self._hear(Heard(*kept.pop("heard")))
            known = Taken.load(kept)
            self._taking = Taking(known, self._accept)
        if known is None or known.aside:  # it had its energy from a source until now
            engine.power_up(now)
            blank(engine)
            return
        blank(engine)
        if self._report is not None and is_older(self._report, known):
            self._report = None  # it had waited in a buffer
        if self._report is None:
            self._taking.silent(engine, now)
        else:
            self.advance(engine, now)
        engine.record(Event.RESTARTED)

    def fit(self, engine: MeterEngine, converter: object) -> object:  # noqa: ARG002 - the port's
        """Leave the meter's own converter as it is: the part keeps its constants itself."""
        return converter

    def advance(self, engine: MeterEngine, now: float) -> None:
        """Count what was reported; without a report the clock runs, and then rows say so."""
        report, self._report = self._report, None
        if report is not None:
            self._take(engine, report, now)
        elif self._silent:
            self._taking.silent(engine, now)
        else:
            self._taking.wait(engine, now)
        if engine.sample is NOTHING:
            blank(engine)
        if self._taking.refused is None:
            engine.observe([each.event for each in self._events])
            self._written = self.end.heard
        else:
            self.end.heard = self._written  # the meter's own part may have as many to tell
        self._events.clear()
        self._closed = engine.state.connected

    def committed(self) -> None:
        """Let the measuring part forget the events that the meter's memory holds."""
        self._kept = self._committing

    @property
    def _silent(self) -> bool:
        return self._ticks() - self._told_at > SILENT_S

    def _take(self, engine: MeterEngine, report: Report, now: float) -> None:
        before = self._taking.kept
        self._taking.take(engine, report, now)
        after = self._taking.kept
        if before is not None and after is not None and _began_anew(before, after):
            self.end.heard = Heard(0, 0)  # that was of the part before
        self._tell()

    def _hear(self, kept: Heard) -> None:
        """Leave out events that the memory holds: their sender may not know yet that it does."""
        self._written = self._committing = self._kept = kept
        self._events = [
            each for each in self._events if each.life != kept.life or each.number > kept.number
        ]
        if not self._events:
            self.end.heard = kept

    def _tell(self) -> None:
        refused = self._taking.refused
        if refused not in {None, self._refused}:
            code = self._taking.reason
            log.error(_REFUSED[code], code=code, part=refused, hint=_HINTS[code].format(refused))
        self._refused = refused


def _began_anew(before: Taken, after: Taken) -> bool:
    """Tell whether a part was exchanged, or restored, and accepted."""
    return after.part != before.part or (after.life, after.ran) < (before.life, before.ran)
