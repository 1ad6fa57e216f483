"""What is different between two bills of a month, and why: readings or the tariff."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Change:
    """A line before and after; 0 where a bill does not have it."""

    name: str
    title: str
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        """What is to be paid more, or less."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Rebilling:
    """The difference of two bills: that of its lines adds up to that of the totals."""

    reasons: tuple[str, ...]
    changes: tuple[Change, ...]
    total: Change


def rebill(before: Mapping[str, Any], after: Mapping[str, Any]) -> Rebilling:
    """Compare two bills of one month as ``statement.statement`` gives them.

    Raises:
        ConfigError: ``bill.against``, one of them is no bill or they are of different months or
            currencies.
    """
    try:
        return _compare(before, after)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = "what should be compared with is no bill"
        raise ConfigError(reason, hint="as --json prints it", code="bill.against") from error


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Rebilling:
    for key in ("month", "currency"):
        if before[key] != after[key]:
            raise ConfigError(
                f"the bill compared with is of {before[key]}, not {after[key]}", code="bill.against"
            )
    old, new = ({line["id"]: line for line in bill["lines"]} for bill in (before, after))
    changes = tuple(
        Change(
            name,
            str((new.get(name) or old[name])["title"]),
            _amount(old.get(name)),
            _amount(new.get(name)),
        )
        for name in dict.fromkeys([*old, *new])
    )
    total = Change("total", "Total", Decimal(str(before["total"])), Decimal(str(after["total"])))
    return Rebilling(tuple(_reasons(before, after)), changes, total)


def _amount(line: Mapping[str, Any] | None) -> Decimal:
    return Decimal(0) if line is None else Decimal(str(line["amount"]))


def _reasons(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    reasons = []
    kwh = [Decimal(str(bill["usage"]["kwh"])).normalize() for bill in (before, after)]
    if before["tariff"] != after["tariff"]:
        reasons.append(f"tariff {before['tariff']} is now {after['tariff']}")
    elif before["digest"] != after["digest"]:
        reasons.append(
            f"the tariff's data has changed: revision {before['revision']} is now"
            f" {after['revision']}"
        )
    if kwh[0] != kwh[1]:
        reasons.append(f"{kwh[0]:f} kWh is now {kwh[1]:f} kWh")
    elif _plain(before["usage"]) != _plain(after["usage"]):
        reasons.append("the usage by period, or the demand, has changed")
    old, new = ({line["id"] for line in bill["lines"]} for bill in (before, after))
    if old != new and not reasons:
        reasons.append("other discounts")
    return reasons


def _plain(usage: Mapping[str, Any]) -> list[tuple[str, Decimal]]:
    quantities = {**usage["periods"], "demand": usage["demand_kw"] or 0}
    return sorted((name, Decimal(str(value))) for name, value in quantities.items())
