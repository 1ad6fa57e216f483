"""Campaigns as JSON, as a store keeps them: what ``..._json`` makes, ``read_...`` takes back."""

from __future__ import annotations

import math
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from openami.fleet.campaigns.dispatch import Place, Position
from openami.fleet.campaigns.groups import GroupRun, GroupState
from openami.fleet.campaigns.machine import CampaignState, Run
from openami.fleet.campaigns.model import (
    Areas,
    Budget,
    Campaign,
    Cells,
    Group,
    Rest,
    Retry,
    Share,
    Step,
    StepKind,
    Thresholds,
)
from openami.fleet.campaigns.progress import SiteProgress
from openami.fleet.campaigns.records import Given, GroupSum, SiteState
from openami.fleet.campaigns.windows import Window
from openami.fleet.devices import Contact, DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.campaigns.model import Rule

Json = dict[str, Any]

_READ_RULE: Final[Mapping[str, Callable[[Any], Rule]]] = MappingProxyType(
    {
        "share": Share,
        "areas": lambda names: Areas(frozenset(names)),
        "cells": lambda names: Cells(frozenset(names)),
        "rest": lambda _: Rest(),
    }
)
_FILTER: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {"kind": DeviceKind, "state": LifecycleState, "contact": Contact}
)
_PLAIN: Final = (
    "id", "name", "release", "zone", "activations", "jitter_s", "dynamic", "ahead", "until",
)  # fmt: skip
_SHORT: Final = MappingProxyType({StepKind.DOWNLOAD: "d", StepKind.ACTIVATE: "a"})


def campaign_json(campaign: Campaign) -> Json:
    """Return what a campaign is."""
    return {
        **{name: getattr(campaign, name) for name in _PLAIN},
        "kind": campaign.kind.value,
        "which": {name: value for name, value in asdict(campaign.which).items() if value},
        "groups": [_group_json(group) for group in campaign.groups],
        "download": _step_json(campaign.download),
        "activation": _step_json(campaign.activation),
        "budget": asdict(campaign.budget),
        "retry": asdict(campaign.retry),
    }


def read_campaign(data: Json) -> Campaign:
    """Return the campaign of ``campaign_json``."""
    which = {name: _FILTER.get(name, str)(value) for name, value in data["which"].items()}
    return Campaign(
        **{name: data[name] for name in _PLAIN},
        kind=DeviceKind(data["kind"]),
        which=DeviceFilter(**which),
        groups=tuple(_read_group(group) for group in data["groups"]),
        download=_read_step(data["download"]),
        activation=_read_step(data["activation"]),
        budget=Budget(**data["budget"]),
        retry=Retry(**data["retry"]),
    )


def run_json(run: Run) -> Json:
    """Return how far a campaign is, without what it is."""
    return {
        "state": run.state.value,
        "since": run.since,
        "authors": list(run.authors),
        "approver": run.approver,
        "commands": run.commands,
        "epoch": run.epoch,
        "cause": run.cause,
        "groups": [
            [group.state.value, group.since, group.excused, group.was, group.cause]
            for group in run.groups
        ],
    }


def read_run(campaign: Campaign, data: Json) -> Run:
    """Return how far ``campaign`` is, of ``run_json``."""
    groups = tuple(
        GroupRun(GroupState(state), since, excused, None if was is None else GroupState(was), cause)
        for state, since, excused, was, cause in data["groups"]
    )
    return Run(
        campaign,
        groups,
        tuple(data["authors"]),
        CampaignState(data["state"]),
        data["since"],
        data["approver"],
        data["commands"],
        data["epoch"],
        data["cause"],
    )


def sums_json(sums: Sequence[GroupSum]) -> list[Any]:
    """Return what is counted of groups."""
    return [[one.dcus, list(one.counts), dict(one.codes)] for one in sums]


def read_sums(data: list[Any]) -> tuple[GroupSum, ...]:
    """Return what is counted of groups, of ``sums_json``."""
    return tuple(GroupSum(dcus, tuple(counts), codes) for dcus, counts, codes in data)


def site_json(state: SiteState) -> Json:
    """Return how far a DCU is; its names are short, for there is one of each DCU of a country."""
    progress = state.progress
    return {
        "n": state.named,
        "p": [progress.number, progress.heard, list(progress.counts), dict(progress.codes)],
        **{_SHORT[step]: _position_json(one) for step, one in state.positions.items()},
        **{
            f"g{_SHORT[step]}": [one.attempt, one.rate, one.begin, _finite(one.end)]
            for step, one in state.given.items()
        },
    }


def read_site(row: int, data: Json) -> SiteState:
    """Return how far the DCU of a row is, of ``site_json``."""
    number, heard, counts, codes = data["p"]
    return SiteState(
        SiteProgress(row, number, heard, tuple(counts), codes),
        {step: _read_position(row, data[s]) for step, s in _SHORT.items() if s in data},
        {step: _read_given(data[f"g{s}"]) for step, s in _SHORT.items() if f"g{s}" in data},
        data["n"],
    )


def _group_json(group: Group) -> Json:
    match group.rule:
        case Share(parts):
            rule: list[Any] = ["share", parts]
        case Areas(names):
            rule = ["areas", sorted(names)]
        case Cells(names):
            rule = ["cells", sorted(names)]
        case _:
            rule = ["rest", None]
    return {
        "name": group.name,
        "rule": rule,
        "thresholds": asdict(group.thresholds),
        "soak_s": group.soak_s,
        "canary": group.canary,
    }


def _read_group(data: Json) -> Group:
    kind, value = data["rule"]
    thresholds = Thresholds(**data["thresholds"])
    return Group(data["name"], _READ_RULE[kind](value), thresholds, data["soak_s"], data["canary"])


def _step_json(step: Step) -> Json:
    windows = [[one.opens, one.closes, sorted(one.days)] for one in step.windows]
    return {"not_before": step.not_before, "windows": windows}


def _read_step(data: Json) -> Step:
    windows = (Window(opens, closes, frozenset(days)) for opens, closes, days in data["windows"])
    return Step(data["not_before"], tuple(windows))


def _position_json(one: Position) -> list[Any]:
    return [int(one.place), one.attempt, one.failures, one.due, one.ends, one.rate, one.code]


def _read_position(row: int, data: list[Any]) -> Position:
    place, *rest = data
    return Position(row, Place(place), *rest)


def _read_given(data: list[Any]) -> Given:
    attempt, rate, begin, end = data
    return Given(attempt, rate, begin, math.inf if end is None else end)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
