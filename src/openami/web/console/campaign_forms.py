"""The form of a campaign: what is typed into it, as a campaign that can be tried and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openami.core.clock import utc
from openami.firmware.manifest import ReleaseKind
from openami.fleet.campaigns.model import Budget, Campaign, Group, Rest, Step, Thresholds
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
HOUR: Final = 3600
MOST_DIGITS: Final = 9  # of a number that is typed: a rate of a terabyte a second
ROWS: Final = 24  # groups in the form; the API takes more
SPARE: Final = 2  # empty rows behind the filled ones
FIELDS: Final = (
    "name", "release", "region", "dcu", "search", "state", "zone", "canary", "download_from",
    "download_windows", "activate_from", "activate_windows", "until", "rate", "jobs",
    "segment_rate", "segment_jobs", "link_rate", "activations", "jitter", "ahead", "dynamic",
)  # fmt: skip
COLUMNS: Final = ("group", "which", "success", "error", "soak")
FIRST: Final = ({"group": "canary", "which": "1%"}, {"group": "rest", "which": "rest"})
_ROW: Final = {"group": "", "which": "", "success": "95%", "error": "2%", "soak": "0"}
_RATES: Final = ("rate", "segment_rate", "link_rate")

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
                search=fields["search"] or None,
            ),
            "groups": tuple(self._groups(base)),
            "zone": zone.key,
            "download": self._step("download", zone),
            "activation": self._step("activate", zone),
            "budget": Budget(**{name: _limit(fields[name], name) for name in _BUDGET}),
            "activations": _whole(fields["activations"], "DCUs that activate"),
            "jitter_s": float(_whole(fields["jitter"], "seconds of jitter") or 0),
            "ahead": bool(fields["ahead"]),
            "dynamic": bool(fields["dynamic"]),
            "until": _moment(fields["until"], zone),
        }

    def _groups(self, base: Campaign) -> Iterable[Group]:
        least = {group.name: group.thresholds.least for group in base.groups}
        for number, row in enumerate(self.rows):
            name, rule = row["group"] or row["which"], read_rule(row["which"])
            success, error = read_share(row["success"]), read_share(row["error"])
            yield Group(
                name,
                rule,
                Thresholds(success, error, least.get(name, 1)),
                float(_whole(row["soak"], "hours that a group is watched") or 0) * HOUR,
                canary=number == 0 and bool(self.fields["canary"]),
            )

    def _step(self, name: str, zone: ZoneInfo) -> Step:
        begin = _moment(self.fields[f"{name}_from"], zone)
        return Step(begin or 0.0, tuple(read_windows(self.fields[f"{name}_windows"])))


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
        "search": which.search,
        "state": which.state and which.state.value,
        "zone": campaign.zone,
        "canary": "1" if campaign.groups[0].canary else "",
        **_step_fields("download", campaign.download, zone),
        **_step_fields("activate", campaign.activation, zone),
        "until": _local(campaign.until, zone),
        **{name: value and _UNITS.get(name, str)(value) for name, value in limits.items()},
        "activations": campaign.activations,
        "jitter": f"{campaign.jitter_s:.0f}",
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
        "soak": f"{group.soak_s / HOUR:.0f}",
    }


def _step_fields(name: str, step: Step, zone: ZoneInfo) -> dict[str, str]:
    windows = ", ".join(window_words(window) for window in step.windows)
    return {f"{name}_from": _local(step.not_before or None, zone), f"{name}_windows": windows}


def _local(seconds: float | None, zone: ZoneInfo) -> str:
    """Return a time as a field of the form has it: the clock on the wall."""
    return "" if seconds is None else f"{utc(seconds).astimezone(zone):%Y-%m-%dT%H:%M}"


def _kilo(value: int) -> str:
    return f"{value / KILO:g}"


_UNITS: Final[Mapping[str, Callable[[int], str]]] = dict.fromkeys(_RATES, _kilo)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RequestError(f"there is no time zone {name!r}", code="request.zone") from error


def _moment(text: str, zone: ZoneInfo) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time") from error


def _limit(text: str, name: str) -> int | None:
    found = _whole(text, name.replace("_", " "))
    return found if found is None or name not in _RATES else found * KILO


def _whole(text: str, what: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise ValueError(f"{what}: {text!r} is no whole number")
    return int(text)
