"""What a home would have used without an event: its baseline, and what it has saved.

Method (``METHOD``): of the ten days before that are like the day of the event, have all of the
intervals that count and had no event, the mean of each interval. Like it is a day of the same
kind: a working day, or a Saturday, Sunday or holiday. The mean is then moved as the home did on
the day itself: by half of what the mean power of the four hours that end an hour before the event
is above or below that of the same hours of the ten days, but by no more than a fifth of the mean.
A home with fewer than five such days has no baseline.

The mean of all the days, not of the highest of them, and half of the difference: on the recordings
that come with this package the highest five of ten are 45 % too high, and the whole difference
makes it 3 % too low, since a bound cuts more off what is above. ``back_test`` measures it.

All of it is on columns: a row for each meter. Energy is in Wh, NaN where an interval is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


LOOK_BACK: Final = 45
"""Days that are looked through for like ones: ten that are no working days are five weeks."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A method: the mean of the ``best`` of ``like`` days, moved by the day itself.

    Attributes:
        like: days that are looked at, the last before the event.
        best: those of them that count, with the most energy in the event's hours.
        least: fewer days than these say nothing.
        weight: which part of the day's difference it is moved by.
        bound: by which part of the mean it is moved at most; 0: not at all.
    """

    like: int = 10
    best: int = 10
    least: int = 5
    weight: float = 0.5
    bound: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.best <= self.like <= LOOK_BACK:
            raise ValueError("of the days that are looked at some count, and of these some suffice")


METHOD: Final = Rule()
NAME: Final = "mean of the last 10 like days, moved by half of the day's own difference, up to 20 %"
ADJUST_S: Final = 4 * 3600
"""How many hours of the day itself move the baseline."""
APART_S: Final = 3600
"""How long before the event these end: who is told of it may act before."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """What meters would have used in each interval of an event.

    Attributes:
        wh: a row for each meter, a column for each interval; NaN where there is no baseline.
        days: how many days it was made of.
        shift: the Wh of an interval by which each was moved.
    """

    wh: Floats = field(repr=False)
    days: Places
    shift: Floats


def baselines(
    before: Floats,
    usable: Flags,
    event: Places,
    adjust: Places,
    day: Floats,
    *,
    rule: Rule = METHOD,
) -> Baselines:
    """Return the baselines of many meters.

    Args:
        before: energy by meter, earlier day (the last one last) and interval of the day.
        usable: by meter and day, whether that day is like the event's and had no event.
        event: the intervals of the event, as places in a day.
        adjust: the intervals that move the baseline; none: nothing does.
        day: energy by meter and interval of the day of the event.
        rule: the method.
    """
    during, ahead = before[:, :, event], before[:, :, adjust]
    whole = usable & ~np.isnan(during).any(axis=2) & ~np.isnan(ahead).any(axis=2)
    chosen = _chosen(whole, during, rule)
    count = chosen.sum(axis=1)
    known = count >= rule.least
    wh = _mean(during, chosen, count)
    shift = _shift(wh, _mean(ahead, chosen, count), day[:, adjust], rule)
    moved = np.maximum(wh + shift[:, None], 0.0)
    moved[~known] = np.nan
    return Baselines(moved, np.where(known, count, 0), np.where(known, shift, 0.0))


def _chosen(whole: Flags, during: Floats, rule: Rule) -> Flags:
    """Return which days count: the last so many that are whole, and of these the highest."""
    from_last = np.cumsum(whole[:, ::-1], axis=1)[:, ::-1]
    last = whole & (from_last <= rule.like)
    if rule.best >= rule.like:
        return last
    total = np.where(last, np.nansum(during, axis=2), -np.inf)
    rank = np.argsort(np.argsort(-total, axis=1, kind="stable"), axis=1)
    return last & (rank < rule.best)


def _mean(values: Floats, chosen: Flags, count: Places) -> Floats:
    kept = np.where(chosen[:, :, None], values, 0.0)
    mean: Floats = kept.sum(axis=1) / np.maximum(count, 1)[:, None]
    return mean


def _shift(wh: Floats, ahead: Floats, seen: Floats, rule: Rule) -> Floats:
    """Return by how many Wh each interval is moved; 0 where the day itself says nothing."""
    none: Floats = np.zeros(len(wh))
    if not rule.bound or not seen.shape[1] or not wh.shape[1]:
        return none
    difference = rule.weight * (seen - ahead).mean(axis=1)
    most = rule.bound * wh.mean(axis=1)
    bounded: Floats = np.clip(np.nan_to_num(difference, nan=0.0), -most, most)
    return bounded


@dataclass(frozen=True, slots=True)
class Saved:
    """What an event has brought at one meter, over the intervals that were measured.

    Attributes:
        meter: serial number.
        baseline: Wh; None: it has none, by ``why``.
        used: Wh that were measured.
        days: of which the baseline was made.
        missing: intervals of the event that were not measured.
        why: there is no baseline.
    """

    meter: str
    baseline: float | None
    used: float
    days: int
    missing: int
    why: str = ""

    @property
    def saved(self) -> float | None:
        """Wh that were not used; less than 0 where more was; None: nobody knows."""
        return None if self.baseline is None else self.baseline - self.used


def savings(meters: Sequence[str], found: Baselines, day: Floats, event: Places) -> list[Saved]:
    """Return what each meter has saved, over the intervals of the event that were measured."""
    used = day[:, event]
    there = ~np.isnan(used)
    total = np.where(there, used, 0.0).sum(axis=1)
    # A part of a day, too, has no baseline where the day has none.
    base = np.where(there | np.isnan(found.wh), found.wh, 0.0).sum(axis=1)
    missing = (~there).sum(axis=1)
    return [
        Saved(
            meter,
            None if why else float(base[row]),
            float(total[row]),
            int(found.days[row]),
            int(missing[row]),
            why,
        )
        for row, meter in enumerate(meters)
        for why in (_why(missing[row] == len(event), math.isnan(base[row])),)
    ]


def _why(nothing: bool, no_days: bool) -> str:
    if nothing:
        return "nothing was measured"
    return "too few days like it before" if no_days else ""


def adjusting(event: Places, step_s: int) -> Places:
    """Return the intervals of the day that move the baseline of an event.

    None where the event begins too early for them to be in the same row of intervals.
    """
    first = int(event[0]) - (ADJUST_S + APART_S) // step_s
    if first < 0:
        return np.empty(0, np.int64)
    return np.arange(first, first + ADJUST_S // step_s, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Error:
    """What a method does on days without an event, where it should find that nothing was saved.

    Attributes:
        trials: meters times days.
        bias: the sum of baselines over that of what was used, less 1.
        mean: the mean absolute error of a meter's event, as a part of what it used on average.
        total: the same for all meters of a day together.
    """

    trials: int
    bias: float
    mean: float
    total: float


def back_test(
    energy: Floats, like: Places, event: Places, adjust: Places, *, rule: Rule = METHOD
) -> Error:
    """Return what a method finds on days on which nobody was asked for anything.

    Args:
        energy: by meter, day and interval of the day.
        like: the kind of each day: days of the same number are like each other.
        event: intervals of the day of the event that there was not.
        adjust: intervals that move the baseline.
        rule: the method.

    Raises:
        ValueError: there is no day that can be tested.
    """
    pairs: list[tuple[Floats, Floats]] = []
    for day in range(LOOK_BACK, energy.shape[1]):
        before = slice(day - LOOK_BACK, day)
        usable = np.broadcast_to(like[before] == like[day], (len(energy), LOOK_BACK))
        found = baselines(energy[:, before], usable, event, adjust, energy[:, day], rule=rule)
        used = energy[:, day][:, event].sum(axis=1)
        base = found.wh.sum(axis=1)
        known = ~np.isnan(base) & ~np.isnan(used)
        if known.any():
            pairs.append((base[known], used[known]))
    if not pairs:
        raise ValueError("there is no day with enough days like it before")
    base, used = (np.concatenate(column) for column in zip(*pairs, strict=True))
    days = np.array([(one.sum(), other.sum()) for one, other in pairs])
    return Error(
        len(used),
        float(base.sum() / used.sum() - 1),
        float(np.abs(base - used).mean() / used.mean()),
        float(np.abs(days[:, 0] - days[:, 1]).mean() / days[:, 1].mean()),
    )
