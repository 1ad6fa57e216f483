"""Campaigns, DCUs and engines as tests want them."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from openami.fleet.campaigns.allowance import Allowance
from openami.fleet.campaigns.engine import Engine
from openami.fleet.campaigns.machine import Act, Command, Run, drafted
from openami.fleet.campaigns.model import Budget, Campaign, Group, Rest, Retry, Share
from openami.fleet.campaigns.plan import make_plan
from openami.fleet.campaigns.progress import Report
from openami.fleet.campaigns.sites import Sites
from openami.fleet.ports import DeviceFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.campaigns.model import DeviceState

CANARY = Group("canary", Share(1000), canary=True)
OTHERS = Group("others", Rest())


def campaign(**changes: Any) -> Campaign:
    base: dict[str, Any] = {
        "id": "c1",
        "name": "Spring",
        "release": "meter/1.2.0",
        "which": DeviceFilter(),
        "groups": (CANARY, OTHERS),
        "jitter_s": 0.0,
        "retry": Retry(attempts=2, first_s=10, most_s=100, lease_s=1000, longest_s=5000),
        "budget": Budget(),
    }
    return Campaign(**{**base, **changes})


def sites(count: int, **columns: Any) -> Sites:
    """Return DCUs of ten devices each, in two areas, four cells and two segments."""
    number = np.arange(count)
    base: dict[str, Any] = {
        "dcu": number + 100,
        "devices": np.full(count, 10),
        "area": number % 2,
        "cell": number % 4,
        "segment": number % 2,
        "rate": np.full(count, 1000),
        "line_rate": np.full(count, 100),
        "areas": {"north": 0, "south": 1},
        "cells": {f"cell-{cell}": cell for cell in range(4)},
    }
    return Sites(**{**base, **columns})


def step(run: Run, act: Act, **changes: Any) -> Command:
    """Return an operator's next command; who approves is another one."""
    who = "bob" if act is Act.APPROVE else "ann"
    base: dict[str, Any] = {"who": who, "now": 0.0, "number": run.commands + 1}
    return Command(act, **{**base, **changes})


def engine(
    what: Campaign | None = None,
    where: Sites | None = None,
    *,
    allowance: Allowance | None = None,
    started: bool = True,
    **changes: Any,
) -> Engine:
    what = what or campaign(**changes)
    where = where if where is not None else sites(20)
    made = Engine(
        drafted(what, who="ann", now=0.0),
        where,
        make_plan(what, where),
        tz=UTC,
        allowance=allowance or Allowance(),
    )
    for act in (Act.PLAN, Act.APPROVE, Act.START) if started else ():
        made.command(step(made.run, act))
    return made


def said(
    number: int, counts: Mapping[DeviceState, int], codes: Mapping[str, int] | None = None
) -> Report:
    return Report(number, counts, codes or {})
