"""Tariffs from their files (docs/reference/tariffs.md): TOML to checked objects."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openami.core.errors import ConfigError
from openami.mdm.tariffs.calendar import is_calendar
from openami.mdm.tariffs.checking import check
from openami.mdm.tariffs.model import (
    Amount,
    Charge,
    DayType,
    Demand,
    Fixed,
    HolidayRule,
    Hours,
    Kind,
    Prices,
    Row,
    Share,
    Step,
    Steps,
    Tariff,
    Terms,
)
from openami.mdm.tariffs.reading import Table, refuse
from openami.mdm.tariffs.rounding import MODES, Rounding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import date

FORMAT: Final = 1
# The largest that is shipped has 5 KiB.
MAX_OCTETS: Final = 256 * 1024
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_HOURS: Final = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_DERIVED: Final = frozenset({Kind.SHARE, Kind.DISCOUNT, Kind.MINIMUM})


@dataclass(frozen=True, slots=True)
class _Known:
    """What rows of rates refer to."""

    since: date
    unit: Decimal
    sources: Mapping[str, str]
    seasons: Mapping[str, frozenset[int]]
    periods: tuple[str, ...]


def load(octets: bytes) -> Tariff:
    """Return the tariff of a file.

    Raises:
        ConfigError: ``tariff.file`` it is not TOML or too large, ``tariff.field`` a key is
            missing, unknown or of another type, ``tariff.value``, ``tariff.reference`` something
            is named that is not there, ``tariff.cover`` a month, an hour or a date has no rate
            or two, ``tariff.order`` steps or dates do not rise, ``tariff.falls`` more usage
            could cost less. The message begins with the place in the file.
    """
    if len(octets) > MAX_OCTETS:
        raise ConfigError(f"a tariff has at most {MAX_OCTETS} octets", code="tariff.file")
    try:
        document = tomllib.loads(octets.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}", code="tariff.file") from error
    return from_document(document, digest=hashlib.sha256(octets).hexdigest())


def from_document(document: Mapping[str, Any], *, digest: str) -> Tariff:
    """Return the tariff of a parsed file, named by its digest; ConfigError as ``load``."""
    tariff = _tariff(Table("", document), digest)
    check(tariff)
    return tariff


def _tariff(top: Table, digest: str) -> Tariff:
    if top.whole("format") != FORMAT:
        refuse("format", f"this openami knows format {FORMAT}", "tariff.value")
    since = top.day("from")
    unit = top.number("unit")
    if not unit:
        refuse("unit", "is more than 0", "tariff.value")
    sources, seasons, periods = _sources(top.table("sources")), _seasons(top), _periods(top)
    known = _Known(since, unit, sources, seasons, periods)
    tariff = Tariff(
        name=_name(top, "name"),
        title=top.text("title"),
        country=top.text("country"),
        currency=top.text("currency"),
        unit=unit,
        zone=_zone(top),
        since=since,
        until=top.day("until") if top.has("until") else None,
        revision=top.whole("revision"),
        digest=digest,
        sources=sources,
        notes=top.texts("notes"),
        usage=_rounding_table(top, "usage", Rounding("down", Decimal(1))),
        demand=_rounding_table(top, "demand", Rounding("half-up", Decimal(1))),
        seasons=seasons,
        charges=_charges(top, known),
        total=_rounding_table(top, "total", Rounding("half-up", unit)),
        periods=periods,
        hours=_hours(top, known),
        holidays=_holidays(top.table("holidays")) if top.has("holidays") else None,
        titles=_titles(top.table("titles")) if top.has("titles") else {},
    )
    top.done()
    return tariff


def _name(table: Table, key: str) -> str:
    name = table.text(key)
    if not _NAME.fullmatch(name):
        reason = "is of lower-case letters, digits and single hyphens"
        refuse(table.place(key), reason, "tariff.value")
    return name


def _titles(table: Table) -> dict[str, str]:
    titles = {tag: table.text(tag) for tag in table.keys()}  # noqa: SIM118 - it is no dict
    for tag in titles:
        if not _LANGUAGE.fullmatch(tag):
            refuse(table.place(tag), "is no language, such as ko", "tariff.value")
    return titles


def _zone(top: Table) -> ZoneInfo:
    name = top.text("zone")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse("zone", f"{name!r} is no time zone", "tariff.value", "such as Asia/Seoul")


def _sources(table: Table) -> Mapping[str, str]:
    sources = {name: table.text(name) for name in table.keys()}  # noqa: SIM118 - it is no dict
    if not sources:
        refuse("sources", "says where the rates come from", "tariff.value")
    return sources


def _seasons(top: Table) -> Mapping[str, frozenset[int]]:
    if not top.has("seasons"):
        return {"all": frozenset(range(1, 13))}
    table = top.table("seasons")
    seasons = {name: table.months(name) for name in table.keys()}  # noqa: SIM118 - as above
    unknown = top.months("unknown_months") if top.has("unknown_months") else frozenset()
    for month in range(1, 13):
        held = sum(month in months for months in (*seasons.values(), unknown))
        if held != 1:
            reason = f"month {month} is in {'no season' if not held else f'{held} seasons'}"
            refuse("seasons", reason, "tariff.cover", "what is not known: unknown_months = […]")
    return seasons


def _periods(top: Table) -> tuple[str, ...]:
    periods = top.texts("periods")
    for at, name in enumerate(periods):
        _name(Table("periods", {str(at): name}), str(at))
    if len(set(periods)) < len(periods):
        refuse("periods", "has each name once", "tariff.value")
    return periods


def _rounding_table(top: Table, key: str, default: Rounding) -> Rounding:
    if not top.has(key):
        return default
    table = top.table(key)
    rounding = _rounding(table, default)
    table.done()
    return rounding


def _rounding(table: Table, default: Rounding) -> Rounding:
    mode = table.word("rounding", MODES, default.mode)
    step = table.number("step") if table.has("step") else default.step
    if not step:
        refuse(table.place("step"), "is more than 0", "tariff.value")
    return Rounding(mode, step)


def _charges(top: Table, known: _Known) -> tuple[Charge, ...]:
    charges: list[Charge] = []
    for table in top.tables("charges"):
        charges.append(_charge(table, known, [charge.name for charge in charges]))
        table.done()
    return tuple(charges)


def _charge(table: Table, known: _Known, earlier: Collection[str]) -> Charge:
    name, kind = _name(table, "id"), Kind(table.word("kind", list(Kind)))
    if name in earlier:
        refuse(table.place("id"), f"{name!r} is there already", "tariff.reference")
    source = table.word("source", known.sources)
    rows = [
        _row(row, known, source, _TERMS[kind](row, known.periods)) for row in table.tables("rates")
    ]
    return Charge(
        name=name,
        title=table.text("title"),
        kind=kind,
        rounding=_rounding(table, Rounding("half-up", known.unit)),
        rows=_in_order(rows),
        of=table.names("of", earlier) if kind in _DERIVED else (),
        automatic=kind is not Kind.DISCOUNT or table.flag("automatic", default=False),
    )


def _row(table: Table, known: _Known, source: str, holds: Any) -> Row[Any]:
    row = Row(
        since=table.day("from") if table.has("from") else known.since,
        seasons=frozenset(table.names("seasons", known.seasons, list(known.seasons))),
        holds=holds,
        source=table.word("source", known.sources, source),
    )
    table.done()
    return row


def _in_order(rows: list[Row[Any]]) -> tuple[Row[Any], ...]:
    return tuple(sorted(rows, key=lambda row: row.since))


def _fixed(table: Table, _: tuple[str, ...]) -> Terms:
    per = table.word("per", ("month", "day"), "month")
    return Fixed(table.number("rate"), per_day=per == "day")


def _steps(least: int | None) -> Callable[[Table, tuple[str, ...]], Terms]:
    def read(table: Table, _: tuple[str, ...]) -> Terms:
        if table.has("rate"):
            return Steps((Step(None, table.number("rate", least=least)),))
        return Steps(tuple(_step(step, least) for step in table.tables("steps")))

    return read


def _step(table: Table, least: int | None) -> Step:
    to = table.number("to") if table.has("to") else None
    step = Step(to, table.number("rate", least=least))
    table.done()
    return step


def _prices(table: Table, periods: tuple[str, ...]) -> Terms:
    prices = table.table("prices")
    by_period = {name: prices.number(name, least=None) for name in periods}
    prices.done()
    if not periods:
        refuse(
            table.where, "wants the tariff's periods", "tariff.field", 'periods = ["off-peak", …]'
        )
    return Prices(by_period)


def _demand(table: Table, _: tuple[str, ...]) -> Terms:
    return Demand(table.number("rate"))


def _share(table: Table, _: tuple[str, ...]) -> Terms:
    return Share(table.number("percent"))


def _discount(table: Table, _: tuple[str, ...]) -> Terms:
    if table.has("amount"):
        return Amount(table.number("amount"))
    return Share(table.number("percent"), table.number("cap") if table.has("cap") else None)


def _minimum(table: Table, _: tuple[str, ...]) -> Terms:
    return Amount(table.number("amount"))


_TERMS: Final[Mapping[Kind, Callable[[Table, tuple[str, ...]], Terms]]] = {
    Kind.FIXED: _fixed,
    Kind.TIER: _steps(0),
    Kind.ENERGY: _steps(None),
    Kind.TIME_OF_USE: _prices,
    Kind.DEMAND: _demand,
    Kind.SHARE: _share,
    Kind.DISCOUNT: _discount,
    Kind.MINIMUM: _minimum,
}


def _hours(top: Table, known: _Known) -> tuple[Row[Hours], ...]:
    rows = []
    for table in top.tables("hours", needed=False):
        days = frozenset(DayType(day) for day in table.names("days", list(DayType), list(DayType)))
        bands, rest = _bands(table, known.periods), table.word("rest", known.periods)
        rows.append(
            _row(table, known, table.word("source", known.sources), Hours(days, bands, rest))
        )
    return _in_order(rows)


def _bands(table: Table, periods: Collection[str]) -> tuple[tuple[int, int, str], ...]:
    if not table.has("bands"):
        table.optional("bands")
        return ()
    bands, found = table.table("bands"), []
    for period in bands.keys():  # noqa: SIM118 - as above
        if period not in periods:
            refuse(bands.place(period), "is not one of the periods", "tariff.reference")
        found += [(*_span(bands.place(period), text), period) for text in bands.texts(period)]
    minutes = sorted(
        minute
        for begin, end, _ in found
        for minute in range(begin, end if begin < end else end + 1440)
    )
    wrapped = [minute % 1440 for minute in minutes]
    if len(set(wrapped)) < len(wrapped):
        refuse(bands.where, "an hour is in two bands", "tariff.cover")
    return tuple(found)


def _span(where: str, text: str) -> tuple[int, int]:
    form = _HOURS.fullmatch(text)
    hours = [int(part) for part in form.groups()] if form else []
    if not hours or max(hours[0], hours[2]) > 24 or max(hours[1], hours[3]) > 59:
        refuse(where, f"{text!r} is not HH:MM-HH:MM", "tariff.value", "such as 22:00-08:00")
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if begin >= 1440 or end > 1440 or begin == end or not end:
        reason = f"{text!r} begins before 24:00 and ends later, by 24:00 or after it"
        refuse(where, reason, "tariff.value")
    return begin, end


def _holidays(table: Table) -> HolidayRule:
    rule = HolidayRule(
        country=table.text("country"),
        subdivision=table.optional("subdivision"),
        added=table.days("added"),
        dropped=table.days("dropped"),
    )
    table.done()
    if not is_calendar(rule.country, rule.subdivision):
        refuse(table.where, "there is no calendar of that country and subdivision", "tariff.value")
    return rule
