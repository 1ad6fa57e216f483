"""What flows through a meter: piecewise constant functions of the world's time.

A source is asked for the sample at a moment and says until when it holds, so that the engine
integrates without error. Power is in milliwatts and millivars, times are world microseconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from openami.metrology.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from openami.metrology.adc.disturbances import QualityEvent
    from openami.metrology.instant import Instant

_WEEK: Final = 7 * 86_400
_YEAR: Final = 52 * _WEEK
_CHANGES: Final = 100_000  # of a live source between two looks: over a day of one a second


@dataclass(frozen=True, slots=True)
class Sample:
    """What is measured at a moment.

    Args:
        active: mW, positive when taken from the grid, negative when fed into it.
        reactive: mvar, positive when inductive.
        voltage: mV of phase to neutral; None leaves it to the meter's model of its feeder.
        shape: harmonics of the current from the 3rd on, as parts of it; none: a plain sine.
        shown: what a converter measured of it; None leaves that to the meter's model, too.
        events: what the converter saw begin and end since the sample before.
        apparent: mVA as a converter measured them; None: they follow from the powers.
        phases: what a converter measured on each of three; none: the meter's model spreads it.
    """

    active: int = 0
    reactive: int = 0
    voltage: int | None = None
    shape: tuple[complex, ...] = field(default=(), kw_only=True)
    shown: Instant | None = field(default=None, kw_only=True)
    events: tuple[QualityEvent, ...] = field(default=(), kw_only=True)
    apparent: int | None = field(default=None, kw_only=True)
    phases: tuple[Sample, ...] = field(default=(), kw_only=True)

    @property
    def unloaded(self) -> Sample:
        """What is measured with an open disconnector: the voltage alone."""
        shown = None if self.shown is None else self.shown.unloaded
        return Sample(voltage=self.voltage, shown=shown)


NOTHING: Final = Sample()


@dataclass(frozen=True, slots=True)
class Segment:
    """``sample`` holds until the world's microsecond ``until``, exclusive; None: for ever."""

    sample: Sample
    until: int | None = None


class Source(Protocol):
    """A consumption as a function of time."""

    def at(self, world: int) -> Segment:
        """Return the sample at ``world`` and how long it holds (``until`` is after ``world``)."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantSource:
    """The same sample for ever."""

    sample: Sample

    def at(self, world: int) -> Segment:  # noqa: ARG002 - the port's argument
        return Segment(self.sample)


@dataclass(frozen=True, slots=True)
class SeriesSource:
    """Recorded samples, each holding for ``step`` seconds, played over and over.

    The recording is mapped onto world time in whole weeks (in 52 weeks where it is that long), so
    that the hour, the weekday and, over years, the season stay what they were. A recording shorter
    than a week repeats from its end.

    Args:
        samples: at least one.
        step: seconds.
        start: when the first begins, as local seconds (UTC seconds if local time were UTC).
        offset: seconds that the recording's local time is ahead of UTC.
    """

    samples: Sequence[Sample]
    step: int
    start: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        if not self.samples or self.step <= 0:
            raise ValueError("a series needs a sample and a step of at least a second")

    @property
    def length(self) -> int:
        """Seconds after which the series repeats."""
        whole = len(self.samples) * self.step
        for span in (_YEAR, _WEEK, 86_400):
            if whole >= span:
                return span if span == _YEAR else whole // span * span
        return whole

    def at(self, world: int) -> Segment:
        step = self.step * SECOND
        origin = (self.start - self.offset) * SECOND
        position = (world - origin) % (self.length * SECOND)
        index = position // step
        end = min((index + 1) * step, self.length * SECOND)
        return Segment(self.samples[index], world + end - position)


@dataclass(frozen=True, slots=True)
class ScaledSource:
    """Another source's power times ``factor``, rounded down to the milliwatt."""

    source: Source
    factor: Fraction

    def at(self, world: int) -> Segment:
        segment = self.source.at(world)
        sample = segment.sample
        active = math.floor(sample.active * self.factor)
        reactive = math.floor(sample.reactive * self.factor)
        return Segment(replace(sample, active=active, reactive=reactive), segment.until)


@dataclass(frozen=True, slots=True)
class ShiftedSource:
    """Another source, ``seconds`` ahead of time."""

    source: Source
    seconds: int

    def at(self, world: int) -> Segment:
        shift = self.seconds * SECOND
        segment = self.source.at(world + shift)
        until = None if segment.until is None else segment.until - shift
        return Segment(segment.sample, until)


class LiveSource:
    """Samples that come in while the meter runs, each from its moment on.

    Args:
        sample: what flows until the first one comes.
        before: plays until then instead.
    """

    def __init__(self, sample: Sample = NOTHING, before: Source | None = None) -> None:
        self._times: list[int] = []
        self._samples: list[Sample] = [sample]
        self._before = before

    def push(self, world: int, sample: Sample) -> None:
        """Let ``sample`` hold from ``world`` on; a time before the newest counts as the newest."""
        self._times.append(max(world, self._times[-1]) if self._times else world)
        self._samples.append(sample)
        if len(self._times) > _CHANGES:
            self._drop(1)

    def at(self, world: int) -> Segment:
        index = bisect_right(self._times, world)
        until = self._times[index] if index < len(self._times) else None
        if self._before is not None:
            if not index:
                return _cut(self._before.at(world), until)
            self._before = None
        sample = self._samples[index]
        self._drop(index)
        return Segment(sample, until)

    def _drop(self, count: int) -> None:
        del self._times[:count]
        del self._samples[:count]


def _cut(segment: Segment, until: int | None) -> Segment:
    """Return a segment that ends at ``until`` at the latest."""
    ends = [end for end in (segment.until, until) if end is not None]
    return Segment(segment.sample, min(ends, default=None))


def from_wh(wh: int, step: int) -> int:
    """Return the constant power in mW that makes exactly ``wh`` watt-hours in ``step`` seconds.

    Raises:
        ValueError: there is no such whole number.
    """
    power, rest = divmod(wh * 3600 * 1000, step)
    if rest:
        raise ValueError(f"{wh} Wh in {step} s is not a whole number of milliwatts")
    return power
