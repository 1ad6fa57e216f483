"""A report of the measuring part as what a meter shows and its engine takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.metrology.energy import apparent
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
    report: Report, counted: tuple[Sample, ...] = (), events: tuple[QualityEvent, ...] = ()
) -> Sample:
    """Return a report as a sample.

    Args:
        report: what was measured.
        counted: powers of each phase as energy counts them; what is shown if not given.
        events: what the converter saw.
    """
    now = shown(report)
    flows = counted or tuple(
        Sample(each.active, each.reactive, apparent=each.apparent) for each in now.phases
    )
    return Sample(
        sum(each.active for each in flows),
        sum(each.reactive for each in flows),
        max(phase.voltage for phase in now.phases),
        shown=now,
        events=events,
        apparent=sum(map(apparent, flows)),
        phases=flows if len(flows) > 1 else (),
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
