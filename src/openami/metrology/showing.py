"""A report of the measuring part as what a meter shows and its engine takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.metrology.instant import Instant, Known, Phase
from openami.metrology.sources import Sample

if TYPE_CHECKING:
    from openami.metrology.adc.disturbances import QualityEvent
    from openami.metrology.link.messages import PhaseReport, Report


def shown(report: Report) -> Instant:
    """Return what a meter shows of a report: its phases, and their sums."""
    phases = tuple(map(_phase, report.phases))
    active, reactive = sum(each.active for each in phases), sum(each.reactive for each in phases)
    return Instant(phases, active, reactive, round(report.frequency / 10))


def sample_of(
    report: Report,
    active: int | None = None,
    reactive: int | None = None,
    events: tuple[QualityEvent, ...] = (),
) -> Sample:
    """Return a report as a sample.

    Args:
        report: what was measured.
        active: mW as energy counts them; what is shown if not given.
        reactive: mvar.
        events: what the converter saw.
    """
    now = shown(report)
    return Sample(
        now.active if active is None else active,
        now.reactive if reactive is None else reactive,
        max(phase.voltage for phase in now.phases),
        shown=now,
        events=events,
    )


def _phase(found: PhaseReport) -> Phase:
    known = Known(
        found.apparent,
        found.factor,
        found.angle,
        found.fundamental,
        found.voltage_thd,
        found.current_thd,
        found.turn,
    )
    return Phase(found.voltage, found.current, found.active, found.reactive, known)
