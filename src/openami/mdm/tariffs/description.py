"""A tariff as rows of plain words, for people who check it against its source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

from openami.mdm.tariffs.model import Amount, Demand, Fixed, Prices, Row, Share, Steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.mdm.tariffs.model import Hours, Tariff, Terms


@dataclass(frozen=True, slots=True)
class Described:
    """What holds for a charge, or for the hours, from a day on in some seasons."""

    of: str
    kind: str
    since: str
    seasons: tuple[str, ...]
    terms: str
    rule: str
    source: str


def describe(tariff: Tariff) -> Iterator[Described]:
    """Yield the rows of a tariff: its hours, its charges in their order, its total."""
    for row in tariff.hours:
        yield _described(tariff, row, "hours", "hours", _hours(row.holds), "")
    for charge in tariff.charges:
        of = f" of {' + '.join(charge.of)}" if charge.of else ""
        for each in charge.rows:
            rule = str(charge.rounding) + ("" if charge.automatic else ", on request")
            yield _described(tariff, each, charge.name, charge.kind, words(each.holds) + of, rule)


def _described(tariff: Tariff, row: Row[Terms] | Row[Hours], *texts: str) -> Described:
    of, kind, terms, rule = texts
    every = len(row.seasons) == len(tariff.seasons)
    seasons = () if every else tuple(name for name in tariff.seasons if name in row.seasons)
    return Described(
        of, str(kind), str(row.since), seasons, terms, rule, tariff.sources[row.source]
    )


@singledispatch
def words(terms: object) -> str:
    """Return what a row says in words."""
    raise TypeError(f"{type(terms).__name__} is not known")


@words.register
def _(terms: Fixed) -> str:
    return f"{terms.rate:f} a {'day' if terms.per_day else 'month'}"


@words.register
def _(terms: Steps) -> str:
    texts = (
        f"{step.rate:f}" + ("" if step.to is None else f" up to {step.to:f} kWh")
        for step in terms.steps
    )
    return ", ".join(texts)


@words.register
def _(terms: Prices) -> str:
    return ", ".join(f"{name} {rate:f}" for name, rate in terms.by_period.items())


@words.register
def _(terms: Demand) -> str:
    return f"{terms.rate:f} a kW"


@words.register
def _(terms: Share) -> str:
    return f"{terms.percent:f} %" + ("" if terms.cap is None else f", at most {terms.cap:f},")


@words.register
def _(terms: Amount) -> str:
    return f"{terms.amount:f}"


def _hours(hours: Hours) -> str:
    days = ", ".join(sorted(day.value for day in hours.days))
    bands = "".join(
        f", {_clock(begin)}-{_clock(end)} {period}" for begin, end, period in hours.bands
    )
    return f"{days}: {hours.rest}{bands}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
