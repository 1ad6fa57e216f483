"""The settings as plans, policies and rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from openami.fleet.collection import Cadence, ClockRule, Line, Plan, Policy
from openami.omadm.objects.ami import stations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.dcu.settings import DcuSettings

CLOCK: Final = "0.0.1.0.0.255"
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every visit.

    Attributes:
        logs: the subjects that are event logs.
        clock: when clocks are set; None: never.
        span: seconds of a profile in one request.
        rows: rows of one profile after which a visit ends.
        history: seconds to go back in a profile that cannot say where it begins.
        elapsed: seconds since the last visit, when that is not known.
        zone: local time, for clocks that do not say.
    """

    logs: frozenset[str]
    clock: ClockRule | None
    span: int
    rows: int
    history: int
    elapsed: float
    zone: ZoneInfo

    def deviation(self, now: float) -> int:
        """Return the minutes from local time to UTC."""
        offset = datetime.fromtimestamp(now, self.zone).utcoffset()
        return -int(offset.total_seconds()) // 60 if offset is not None else 0


def make_rules(settings: DcuSettings) -> Rules:
    """Return what holds for every visit."""
    rule = ClockRule(
        threshold_s=settings.clock_threshold_s,
        max_step_s=settings.clock_max_step_s,
        margin_s=settings.clock_margin_s,
        period_s=settings.load_period_s,
    )
    return Rules(
        logs=frozenset(settings.event_logs),
        clock=rule if settings.set_clocks else None,
        span=int(settings.window_days * DAY_S),
        rows=settings.visit_rows,
        history=int(settings.history_days * DAY_S),
        elapsed=settings.clock_max_step_s + settings.load_period_s,
        zone=ZoneInfo(settings.timezone),
    )


def make_line(settings: DcuSettings) -> Line:
    """Return the order of visits and probes, without a meter yet."""
    policy = Policy(
        backoff_first_s=settings.backoff_first_s,
        backoff_most_s=settings.backoff_most_s,
        unreachable_after=settings.unreachable_after,
        probe_rest_s=settings.probe_rest_s,
    )
    return Line(
        _plans(settings),
        policy=policy,
        addresses=addresses(settings),
        scheduled=settings.collect,
        tz=ZoneInfo(settings.timezone),
    )


def addresses(settings: DcuSettings) -> tuple[int, ...]:
    """Return where meters may be found."""
    return (*stations(settings.addresses), *_places(settings))


def _places(settings: DcuSettings) -> tuple[int, ...]:
    """Return where listed meters are said to be."""
    return tuple(m.address for m in settings.meters if m.enabled and m.address is not None)


def _plans(settings: DcuSettings) -> Iterator[Plan]:
    for subject, cadence, period in (
        (settings.load_profile, Cadence.PERIOD, settings.load_period_s),
        (settings.daily_profile, Cadence.DAY, DAY_S),
        (settings.billing_profile, Cadence.MONTH, DAY_S),
    ):
        if subject:
            yield _plan(settings, subject, cadence, period)
    for subject in dict.fromkeys((*settings.event_logs, CLOCK)):
        yield _plan(settings, subject, Cadence.PERIOD, settings.log_period_s, chases=False)


def _plan(
    settings: DcuSettings, subject: str, cadence: Cadence, period: int, *, chases: bool = True
) -> Plan:
    return Plan(
        subject,
        cadence,
        period,
        settle_s=settings.settle_s,
        spread_s=settings.spread_s,
        repeat_s=settings.repeat_s,
        chases=chases,
    )
