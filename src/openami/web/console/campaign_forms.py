"""The form of a campaign: what is typed into it, as a campaign that can be tried and kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from openami.core.clock import time_zone, utc
from openami.firmware.manifest import ReleaseKind
from openami.fleet.campaigns.model import Budget, Campaign, Group, Rest, Retry, Step, Thresholds
from openami.fleet.campaigns.spoken import (
    read_rule,
    read_share,
    read_windows,
    rule_words,
    share_words,
    window_words,
)
from openami.fleet.devices import DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter
from openami.headend.errors import RequestError
from openami.web.console.forms import text_in, texts_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.datastructures import FormData

    from openami.firmware.packages import PackageId

NEW: Final = "new"  # the id of what has none yet
KILO: Final = 1000
MINUTE: Final = 60
HOUR: Final = 3600
MOST_DIGITS: Final = 9  # of a number that is typed: a rate of a terabyte a second
MOST_SECONDS: Final = 10 * 366 * 86_400.0  # ten years, after which no campaign goes on
ROWS: Final = 24  # groups in the form; the API takes more
SPARE: Final = 2  # empty rows behind the filled ones
FIELDS: Final = (
    "name", "release", "region", "dcu", "model", "search", "state", "zone", "canary",
    "download_from", "download_windows", "activate_from", "activate_windows", "until",
    "rate", "jobs", "segment_rate", "segment_jobs", "link_rate", "activations", "jitter",
    "ahead", "dynamic",
    "attempts", "retry_first", "retry_most", "silent", "longest",
)  # fmt: skip
COLUMNS: Final = ("group", "which", "success", "error", "least", "soak")
FIRST: Final = ({"group": "canary", "which": "1%"}, {"group": "rest", "which": "rest"})
_ROW: Final = {"group": "", "which": "", "success": "95%", "error": "2%", "least": "1", "soak": "0"}
_RATES: Final = ("rate", "segment_rate", "link_rate")
_DECIMAL: Final = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}(?:\.[0-9]{{1,3}})?")

Rows = tuple["Mapping[str, str]", ...]


@dataclass(frozen=True, slots=True)
class CampaignForm:
    """What was typed: the fields, and a row of fields for each group."""

    fields: Mapping[str, str]
    rows: Rows

    @property
    def spaced(self) -> Rows:
        """The rows with some empty ones behind."""
        return (*self.rows, *(_ROW for _ in range(SPARE)))[:ROWS]

    def campaign(self, package: PackageId, before: Campaign | None) -> Campaign:
        """Return the campaign that it says.

        Args:
            package: the release.
            before: what is revised, and keeps what the form does not ask for.

        Raises:
            RequestError: ``request.campaign``, ``request.zone``.
        """
        kind = kind_of(package)
        base = before or Campaign(
            NEW, NEW, str(package), DeviceFilter(kind=kind), (Group("rest"),), kind
        )
        try:
            return replace(
                base,
                name=self.fields["name"],
                release=str(package),
                kind=kind,
                **self._said(base, kind),
            )
        except ValueError as error:
            raise RequestError(str(error), code="request.campaign") from error

    def _said(self, base: Campaign, kind: DeviceKind) -> dict[str, Any]:
        fields, zone = self.fields, _zone(self.fields["zone"])
        state = fields["state"]
        return {
            "which": DeviceFilter(
                kind=kind,
                state=LifecycleState(state) if state else None,
                dcu=fields["dcu"] or None,
                contact=base.which.contact,
                region=fields["region"] or None,
                model=fields["model"] or None,
                search=fields["search"] or None,
            ),
            "groups": tuple(self._groups(base)),
            "zone": zone.key,
            "download": self._step("download", zone),
            "activation": self._step("activate", zone),
            "budget": Budget(**{name: _limit(fields[name], name) for name in _BUDGET}),
            "activations": _whole(fields["activations"], "DCUs that activate"),
            "retry": self._retry(base.retry),
            "jitter_s": _span(fields["jitter"], "seconds of jitter", 1, base.jitter_s),
            "ahead": bool(fields["ahead"]),
            "dynamic": bool(fields["dynamic"]),
            "until": _moment(fields["until"], zone),
        }

    def _groups(self, base: Campaign) -> Iterable[Group]:
        watched = {group.name: group.soak_s for group in base.groups}
        for number, row in enumerate(self.rows):
            name, rule = row["group"] or row["which"], read_rule(row["which"])
            success, error = read_share(row["success"]), read_share(row["error"])
            yield Group(
                name,
                rule,
                Thresholds(success, error, _whole(row["least"], "failures") or 1),
                _span(row["soak"], "hours that a group is watched", HOUR, watched.get(name)),
                canary=number == 0 and bool(self.fields["canary"]),
            )

    def _step(self, name: str, zone: ZoneInfo) -> Step:
        begin = _moment(self.fields[f"{name}_from"], zone)
        return Step(begin or 0.0, tuple(read_windows(self.fields[f"{name}_windows"])))

    def _retry(self, before: Retry) -> Retry:
        typed = {
            name: _span(self.fields[field], words, unit, getattr(before, name))
            for name, (field, words, unit) in _RETRY.items()
            if self.fields[field]
        }
        attempts = _whole(self.fields["attempts"], "attempts")
        return replace(before, **typed, attempts=before.attempts if attempts is None else attempts)


_RETRY: Final[Mapping[str, tuple[str, str, int]]] = {
    "first_s": ("retry_first", "minutes of rest", MINUTE),
    "most_s": ("retry_most", "hours of rest", HOUR),
    "lease_s": ("silent", "hours of silence", HOUR),
    "longest_s": ("longest", "hours of a step", HOUR),
}
"""Of a retry policy: the field of the form, what it says, and its unit in seconds."""
_BUDGET: Final = ("rate", "jobs", "segment_rate", "segment_jobs", "link_rate")


def read_form(form: FormData) -> CampaignForm:
    """Return what was typed; rows without a rule are left out."""
    columns = {name: form.getlist(name)[:ROWS] for name in COLUMNS}
    rows = [
        {name: value.strip() if isinstance(value, str) else "" for name, value in row.items()}
        for row in _rows(columns)
    ]
    text_in(form, "why")  # bounded as the others are
    return CampaignForm(texts_in(form, FIELDS), tuple(row for row in rows if row["which"]))


def _rows(columns: Mapping[str, Sequence[Any]]) -> Iterable[dict[str, Any]]:
    for values in zip(*columns.values(), strict=False):
        yield dict(zip(columns, values, strict=True))


def empty_form(zone: str, release: str) -> CampaignForm:
    """Return the form of a new campaign."""
    fields = dict.fromkeys(FIELDS, "")
    rows = tuple({**_ROW, **row} for row in FIRST)
    given = {"zone": zone, "release": release, "canary": "1", "jitter": "60"}
    given.update(_retry_fields(Retry()))
    return CampaignForm({**fields, **given}, rows)


def form_of(campaign: Campaign, release: int) -> CampaignForm:
    """Return the form in which a campaign is typed."""
    zone, budget, which = ZoneInfo(campaign.zone), campaign.budget, campaign.which
    limits = {name: getattr(budget, name) for name in _BUDGET}
    fields = {
        "name": campaign.name,
        "release": str(release),
        "region": which.region,
        "dcu": which.dcu,
        "model": which.model,
        "search": which.search,
        "state": which.state and which.state.value,
        "zone": campaign.zone,
        "canary": "1" if campaign.groups[0].canary else "",
        **_step_fields("download", campaign.download, zone),
        **_step_fields("activate", campaign.activation, zone),
        "until": _local(campaign.until, zone),
        **{name: value and _UNITS.get(name, str)(value) for name, value in limits.items()},
        "activations": campaign.activations,
        "jitter": _number(campaign.jitter_s),
        **_retry_fields(campaign.retry),
        "ahead": "1" if campaign.ahead else "",
        "dynamic": "1" if campaign.dynamic else "",
    }
    rows = tuple(_row(group) for group in campaign.groups)
    return CampaignForm({name: str(value or "") for name, value in fields.items()}, rows)


def kind_of(package: PackageId) -> DeviceKind:
    """Return what devices a release is for."""
    return DeviceKind.METER if package.kind is ReleaseKind.METER_IMAGE else DeviceKind.DCU


def _row(group: Group) -> dict[str, str]:
    thresholds, rule = group.thresholds, group.rule
    return {
        "group": group.name,
        "which": "rest" if isinstance(rule, Rest) else rule_words(rule),
        "success": share_words(thresholds.success),
        "error": share_words(thresholds.error),
        "least": str(thresholds.least),
        "soak": _number(group.soak_s / HOUR),
    }


def _retry_fields(retry: Retry) -> dict[str, str]:
    told = {
        field: _number(getattr(retry, name) / unit) for name, (field, _, unit) in _RETRY.items()
    }
    return {"attempts": str(retry.attempts), **told}


def _step_fields(name: str, step: Step, zone: ZoneInfo) -> dict[str, str]:
    windows = ", ".join(window_words(window) for window in step.windows)
    return {f"{name}_from": _local(step.not_before or None, zone), f"{name}_windows": windows}


def _local(seconds: float | None, zone: ZoneInfo) -> str:
    """Return a time as a field of the form has it: the clock on the wall."""
    return "" if seconds is None else f"{utc(seconds).astimezone(zone):%Y-%m-%dT%H:%M}"


def _kilo(value: int) -> str:
    return _number(value / KILO)


def _number(value: float) -> str:
    """Return a number as a field of the form has it, without digits that say nothing."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


_UNITS: Final[Mapping[str, Callable[[int], str]]] = dict.fromkeys(_RATES, _kilo)


def _zone(name: str) -> ZoneInfo:
    try:
        return time_zone(name)
    except ValueError as error:
        raise RequestError(str(error), code="request.zone") from error


def _moment(text: str, zone: ZoneInfo) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time") from error


def _limit(text: str, name: str) -> int | None:
    what = name.replace("_", " ")
    if name not in _RATES or not text:
        return _whole(text, what)
    return round(_decimal(text, what) * KILO)


def _span(text: str, what: str, unit: int, before: float | None) -> float:
    """Return seconds; what was there before, where nothing else was typed than what it shows."""
    if before is not None and text == _number(before / unit):
        return before
    seconds = _decimal(text or "0", what) * unit
    if seconds > MOST_SECONDS:
        raise ValueError(f"{what}: {text!r} is more than ten years")
    return seconds


def _decimal(text: str, what: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{what}: {text!r} is no number")
    return float(text)


def _whole(text: str, what: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise ValueError(f"{what}: {text!r} is no whole number")
    return int(text)
