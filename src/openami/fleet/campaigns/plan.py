"""Which DCUs are in which group, and in which order within it.

The order spreads load: at any point of it, each area has had its share of its DCUs, and in each
area each cell has. Neighbours in the order are of different areas and cells as far as there are
any. Which DCUs of a cell come first is by a hash, so that a small group is a fair sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.fleet.campaigns.model import WHOLE, Areas, Cells, Rest, Share
from openami.fleet.campaigns.sites import NO_DEVICES, NO_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from openami.fleet.campaigns.model import Campaign, Rule
    from openami.fleet.campaigns.sites import Ints, Sites

NOWHERE: Final = -1
"""The group of a row that is in none."""
_GOLDEN: Final = 0.6180339887498949  # multiples of it modulo 1 are spread as evenly as can be


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Groups and order of a campaign's DCUs.

    Attributes:
        group: of each row; ``NOWHERE`` for what is left out.
        place: of each row in the order of all; rows of a later group have higher ones.
        order: the rows that are in a group, by place.
        starts: where in ``order`` each group begins, and behind them the end.
    """

    group: Ints
    place: Ints
    order: Ints
    starts: tuple[int, ...]

    def rows(self, group: int) -> Ints:
        """Return the rows of a group, in their order."""
        return self.order[self.starts[group] : self.starts[group + 1]]


def make_plan(campaign: Campaign, sites: Sites) -> Plan:
    """Put every DCU that has fitting devices in the first group whose rule takes it.

    A share is of all fitting devices, rounded up to whole DCUs; a group with a share has at least
    one DCU, while there are any left. In a dynamic campaign a DCU without fitting devices has the
    group that it would join with its first one.
    """
    everything = spread_order(sites)
    spread = everything[sites.devices[everything] > 0]
    group = np.full(len(sites), NOWHERE, np.int64)
    total = int(sites.devices.sum())
    last = len(campaign.groups) - 1
    for number, one in enumerate(campaign.groups):
        rule = Rest() if number == last and campaign.open_ended else one.rule
        taken = _taken(rule, spread, sites, total)
        group[spread[taken]] = number
        spread = spread[~taken]
    if campaign.dynamic:
        empty = np.flatnonzero(sites.devices == 0)
        group[empty] = _late_groups(campaign, sites, empty)
    return _ordered(group, everything, last + 1)


def left_out(plan: Plan, sites: Sites) -> Mapping[str, Ints]:
    """Return the rows that are in no group, by the code of the reason."""
    nowhere = plan.group == NOWHERE
    found = {
        NO_DEVICES: np.flatnonzero(nowhere & (sites.devices == 0)),
        NO_GROUP: np.flatnonzero(nowhere & (sites.devices > 0)),
    }
    return {code: rows for code, rows in found.items() if len(rows)}


def extended(plan: Plan, campaign: Campaign, sites: Sites) -> Plan:
    """Return the plan with the rows that ``sites`` has more than it: they come last in their group.

    They join the first group that names their area or cell, else the last one if it is open to all.
    """
    before = len(plan.group)
    late = np.arange(before, len(sites))
    group = np.concatenate([plan.group, _late_groups(campaign, sites, late)])
    order = np.concatenate([plan.order, late])
    return _ordered(group, order, len(campaign.groups))


def _late_groups(campaign: Campaign, sites: Sites, rows: Ints) -> Ints:
    """Return the groups of DCUs that have no share in what was counted at the beginning."""
    last = len(campaign.groups) - 1 if campaign.open_ended else NOWHERE
    found = np.full(len(rows), NOWHERE, np.int64)
    for number, one in enumerate(campaign.groups):
        if isinstance(one.rule, Areas | Cells):
            named = _taken(one.rule, rows, sites, 0)
            found[named & (found == NOWHERE)] = number
    found[found == NOWHERE] = last
    return found


def spread_order(sites: Sites) -> Ints:
    """Return all rows in an order that spreads every stretch of it over areas and cells."""
    order = np.argsort(hashed(sites.dcu), kind="stable")
    # A cell that reaches into two areas is spread within each.
    _, cell = np.unique(np.stack([sites.area, sites.cell]), axis=1, return_inverse=True)
    return _interleaved(sites.area, _interleaved(cell.reshape(-1), order))


def hashed(numbers: Ints) -> npt.NDArray[np.uint64]:
    """Return a well mixed number for each (the finalizer of SplitMix64)."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _interleaved(keys: Ints, order: Ints) -> Ints:
    """Return ``order`` with the rows of each key spread evenly from its begin to its end."""
    if not len(order):
        return order
    by_key = order[np.argsort(keys[order], kind="stable")]
    values, starts, sizes = np.unique(keys[by_key], return_index=True, return_counts=True)
    rank = np.arange(len(by_key)) - np.repeat(starts, sizes)
    phase = (np.arange(len(values)) * _GOLDEN + 0.5) % 1.0
    at = (rank + np.repeat(phase, sizes)) / np.repeat(sizes, sizes)
    spread: Ints = by_key[np.argsort(at, kind="stable")]
    return spread


def _taken(rule: Rule, spread: Ints, sites: Sites, total: int) -> npt.NDArray[np.bool_]:
    match rule:
        case Share(parts):
            before = np.cumsum(sites.devices[spread]) - sites.devices[spread]
            return before * WHOLE < total * parts
        case Areas(names):
            return _named(names, sites.areas, sites.area[spread])
        case Cells(names):
            return _named(names, sites.cells, sites.cell[spread])
        case _:
            return np.ones(len(spread), bool)


def _named(
    names: frozenset[str], numbers: Mapping[str, int], column: Ints
) -> npt.NDArray[np.bool_]:
    wanted = [numbers[name] for name in names if name in numbers]
    return np.isin(column, wanted)


def _ordered(group: Ints, spread: Ints, groups: int) -> Plan:
    inside = spread[group[spread] != NOWHERE]
    order = inside[np.argsort(group[inside], kind="stable")]
    place = np.full(len(group), NOWHERE, np.int64)
    place[order] = np.arange(len(order))
    starts = np.searchsorted(group[order], np.arange(groups + 1))
    return Plan(group, place, order, tuple(starts.tolist()))
