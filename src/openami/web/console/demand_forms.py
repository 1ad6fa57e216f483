"""The forms of demand response: what is typed into them, as events, programs and notices."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from openami.core.clock import utc
from openami.fleet.demand.model import (
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    PayloadType,
    Program,
    Target,
    TargetKind,
    names_of,
)
from openami.headend.demand.prices import price_intervals
from openami.headend.errors import RequestError
from openami.mdm.tariffs.catalog import tariff_named
from openami.web.console.forms import text_in, texts_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from starlette.datastructures import FormData

    from openami.fleet.demand.model import Targets

MINUTE: Final = 60
DAY: Final = 86_400
ROWS: Final = 48  # as many intervals as an event has
SPARE: Final = 2  # empty rows behind the filled ones
FIELDS: Final = (
    "key", "name", "program", "kind", "start", "group", "region", "meter", "optional", "random",
    "priority", "tariff", "used", "text_en", "text_ko",
)  # fmt: skip
COLUMNS: Final = ("minutes", "level", "limit", "price")
_PAYLOADS: Final[Mapping[str, PayloadType]] = {
    "level": PayloadType.SIMPLE,
    "limit": PayloadType.IMPORT_CAPACITY_LIMIT,
    "price": PayloadType.PRICE,
}
_EMPTY: Final = dict.fromkeys(COLUMNS, "")
_FIRST: Final = {"minutes": "60", "level": "2", "limit": "", "price": ""}
_KEY: Final = re.compile(r"[0-9a-f]{16}")
_WORD: Final = re.compile(r"[^\s,]+")


@dataclass(frozen=True, slots=True)
class EventForm:
    """What was typed: the fields, and a row of fields for each interval."""

    fields: Mapping[str, str]
    rows: Sequence[Mapping[str, str]]

    @property
    def spaced(self) -> Sequence[Mapping[str, str]]:
        """The rows with some empty ones behind."""
        return (*self.rows, *(_EMPTY for _ in range(SPARE)))[:ROWS]

    def event(self, zone: ZoneInfo) -> Event:
        """Return the event that it says, in the time zone of the pages.

        Raises:
            RequestError: ``request.event``.
            ConfigError: ``tariff.unknown``, ``tariff.not-valid``, ``tariff.season``.
        """
        fields = self.fields
        if not _KEY.fullmatch(fields["key"]):
            raise RequestError("the form is not ours: open it again", code="request.event")
        try:
            return Event(
                fields["key"],
                fields["program"],
                fields["name"],
                EventKind(fields["kind"]),
                self._intervals(_moment(fields["start"], zone)),
                targets_of(fields),
                priority=_whole(fields["priority"] or "100", "priority"),
                optional=bool(fields["optional"]),
                texts=texts_of(fields),
                random_s=_whole(fields["random"] or "0", "minutes of delay") * MINUTE,
            )
        except ValueError as error:
            raise RequestError(str(error), code="request.event") from error

    def _intervals(self, start: int) -> tuple[Interval, ...]:
        lengths = [_whole(row["minutes"], "minutes") * MINUTE for row in self.rows]
        if self.fields["tariff"]:
            tariff, used = tariff_named(self.fields["tariff"]), self.fields["used"]
            kwh = _decimal(used or "0", "kWh used so far")
            return price_intervals(tariff, start, sum(lengths), kwh=kwh)
        found = []
        for number, (row, length) in enumerate(zip(self.rows, lengths, strict=True)):
            found.append(Interval(number, start, length, tuple(_payloads(row))))
            start += length
        return tuple(found)


def read_event(form: FormData) -> EventForm:
    """Return what was typed; rows without a length are left out."""
    columns = [form.getlist(name)[:ROWS] for name in COLUMNS]
    rows = [
        {
            name: value.strip()[:16] if isinstance(value, str) else ""
            for name, value in zip(COLUMNS, values, strict=True)
        }
        for values in zip(*columns, strict=False)
    ]
    return EventForm(texts_in(form, FIELDS), [row for row in rows if row["minutes"]])


def empty_event(key: str, now: float, zone: ZoneInfo, **fields: str) -> EventForm:
    """Return the form of a new event, that begins at the next quarter of an hour but one."""
    soon = (int(now) // 900 + 2) * 900
    blank = dict.fromkeys(FIELDS, "")
    start = f"{utc(soon).astimezone(zone):%Y-%m-%dT%H:%M}"
    first = {"key": key, "kind": "shed", "start": start, "optional": "1", "priority": "100"}
    return EventForm({**blank, **first, "random": "0", **fields}, [_FIRST])


def form_of(event: Event, zone: ZoneInfo) -> EventForm | None:
    """Return the form that says an event; None: it says things that the form can not.

    Such as seconds, which a program that asks by the API may use.
    """
    names = {kind: sorted(names_of(event.targets, kind)) for kind in TargetKind}
    fields = {
        "key": event.id,
        "name": event.name,
        "program": event.program,
        "kind": event.kind.value,
        "start": f"{utc(event.start).astimezone(zone):%Y-%m-%dT%H:%M}",
        "group": ", ".join(names[TargetKind.GROUP]),
        "region": ", ".join(names[TargetKind.REGION]),
        "meter": " ".join(names[TargetKind.METER]),
        "optional": "1" if event.optional else "",
        "random": str(event.random_s // MINUTE),
        "priority": str(event.priority),
        **{f"text_{tag}": event.texts.get(tag, "") for tag in ("en", "ko")},
    }
    form = EventForm(
        {**dict.fromkeys(FIELDS, ""), **fields}, [_row(one) for one in event.intervals]
    )
    try:
        said = form.event(zone)
    except RequestError:
        return None
    return form if _same(said, event) else None


def _row(interval: Interval) -> dict[str, str]:
    values = {name: interval.value(type_) for name, type_ in _PAYLOADS.items()}
    row = {name: "" if value is None else f"{value:f}" for name, value in values.items()}
    return {"minutes": str(interval.duration // MINUTE), **row}


def _same(said: Event, event: Event) -> bool:
    """Say whether a form's event is an event, but for what no form has."""
    kept = as_revised(said, event)
    numbered = tuple(replace(one, id=number) for number, one in enumerate(event.intervals))
    return replace(kept, version=event.version) == replace(event, intervals=numbered)


def as_revised(said: Event, before: Event) -> Event:
    """Return what a form says with what only the event of before has: reports and currency."""
    return replace(said, id=before.id, reports=before.reports, currency=before.currency)


def read_program(form: FormData, id_: str) -> Program:
    """Return the program that was typed; RequestError ``request.program``."""
    fields = texts_in(form, ("name", "description", "currency", "group", "region", "meter"))
    chosen = {value for value in form.getlist("payload") if isinstance(value, str)}
    try:
        return Program(
            id_,
            fields["name"],
            fields["description"],
            frozenset(map(PayloadType, chosen)),
            binding=bool(text_in(form, "binding")),
            currency=fields["currency"] or "KRW",
            targets=targets_of(fields),
        )
    except ValueError as error:
        raise RequestError(str(error), code="request.program") from error


def read_notice(form: FormData, id_: str, now: float) -> Notice:
    """Return the notice that was typed, shown from now on; RequestError ``request.notice``."""
    names = ("kind", "days", "group", "region", "meter", "text_en", "text_ko")
    fields = texts_in(form, names)
    try:
        length = int(_decimal(fields["days"] or "1", "days") * DAY)
        return Notice(
            id_, fields["kind"], int(now), int(now) + length, texts_of(fields), targets_of(fields)
        )
    except ValueError as error:
        raise RequestError(str(error), code="request.notice") from error


def targets_of(fields: Mapping[str, str]) -> Targets:
    """Return whom the fields ``group``, ``region`` and ``meter`` name.

    Groups and regions are parted by commas: their names may have blanks.
    """
    parts: Iterable[tuple[TargetKind, frozenset[str]]] = (
        (TargetKind.GROUP, _listed(fields["group"])),
        (TargetKind.REGION, _listed(fields["region"])),
        (TargetKind.METER, frozenset(_WORD.findall(fields["meter"]))),
    )
    return tuple(Target(kind, names) for kind, names in parts if names)


def texts_of(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that were written, by language."""
    return {tag: text for tag in ("en", "ko") if (text := fields[f"text_{tag}"])}


def _listed(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))


def _payloads(row: Mapping[str, str]) -> Iterable[Payload]:
    for name, type_ in _PAYLOADS.items():
        if row[name]:
            yield Payload(type_, _decimal(row[name], name))


def _moment(text: str, zone: ZoneInfo) -> int:
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"start: {text!r} is no time") from error


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise ValueError(f"{what}: {text!r} is no whole number")
    return int(text)


_DECIMAL: Final = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,6})?")


def _decimal(text: str, what: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{what}: {text!r} is no number")
    return Decimal(text)


def typed(form: EventForm) -> list[tuple[str, Any]]:
    """Return every field as it was typed, for a form that sends it again."""
    rows = [(name, row[name]) for row in form.rows for name in COLUMNS]
    return [*((name, value) for name, value in form.fields.items() if value), *rows]
