"""A bill as a person reads it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from openami.cli.output import Table, note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def print_bill(made: Mapping[str, Any]) -> None:
    """Print a bill as ``statement`` gives it, with what has been added to it."""
    meter = f"meter {made['meter']}, " if "meter" in made else ""
    click.echo(f"{made['title']} ({made['tariff']}, revision {made['revision']})")
    click.echo(f"{meter}{made['month']}, {_usage(made['usage'])}\n")
    sources = list(dict.fromkeys(text for line in made["lines"] for text in line["sources"]))
    with Table(["charge", "quantity", "rate", "of which", "amount", "rule", "source"]) as rows:
        for line in made["lines"]:
            for row in _rows(line, sources):
                rows.add(row)
        rows.add(["Total", "", "", None, made["total"], made["currency"], ""])
    click.echo()
    for number, text in enumerate(sources, 1):
        click.echo(f"[{number}] {text}")
    for text in made["notes"]:
        note(f"note: {text}")
    if "intervals" in made:
        _print_intervals(made["intervals"])
    if made.get("estimate") is not None:
        _print_estimate(made["estimate"], made["currency"])
    if "against" in made:
        _print_against(made["against"])


def _usage(usage: Mapping[str, Any]) -> str:
    parts = [f"{usage['kwh']:f} kWh"]
    parts += [f"{name} {kwh:f} kWh" for name, kwh in usage["periods"].items()]
    if usage["demand_kw"] is not None:
        parts.append(f"{usage['demand_kw']:f} kW")
    return ", ".join(parts)


def _rows(line: Mapping[str, Any], sources: Sequence[str]) -> Iterator[list[object]]:
    """Yield a line: with its only item in it, or with its items below it."""
    cited = " ".join(f"[{sources.index(text) + 1}]" for text in line["sources"])
    last = [line["amount"], line["rule"], cited]
    items = line["items"]
    if len(items) == 1:
        yield [line["title"], *_item(items[0]), None, *last]
        return
    yield [line["title"], "", "", None, *last]
    for item in items:
        what = item["what"]
        share = (
            "" if item["days"] == item["of_days"] else f", {item['days']}/{item['of_days']} days"
        )
        yield [f"  {what}{share}", *_item(item), item["amount"], None, "", ""]


def _item(item: Mapping[str, Any]) -> tuple[str, str]:
    if item["unit"] == "%":
        return f"{item['quantity']:f}", f"{item['rate']:f} %"
    if item["unit"] == "mo":
        return "", f"{item['rate']:f}"
    return f"{item['quantity']:f} {item['unit']}", f"{item['rate']:f}"


def _print_intervals(found: Mapping[str, Any]) -> None:
    if found["missing"]:
        note(f"note: {found['missing']} of {found['expected']} intervals are missing")
    if found["doubtful"]:
        note(
            f"note: {found['doubtful']} of {found['present']} intervals are right in sum only: their"
            " status says so"
        )
    note(f"note: read up to {found['until']}")


def _print_estimate(found: Mapping[str, Any], currency: str) -> None:
    click.echo(
        f"\nwhole month, estimated: {found['total']:f} {currency}, {found['kwh']:f} kWh;"
        f" with {found['confidence']} % between {found['low']['total']:f}"
        f" and {found['high']['total']:f} {currency}"
    )
    note(f"note: {found['method']} ({found['days']})")


def _print_against(found: Mapping[str, Any]) -> None:
    click.echo()
    with Table(["charge", "before", "now", "difference"]) as rows:
        for line in found["lines"]:
            rows.add([line["title"], line["before"], line["after"], line["difference"]])
        now = found["before"] + found["difference"]
        rows.add(["Total", found["before"], now, found["difference"]])
    for reason in found["reasons"] or ["nothing but amounts" if _differs(found) else "the same"]:
        note(f"note: {reason}")


def _differs(found: Mapping[str, Any]) -> bool:
    return any(line["difference"] != Decimal(0) for line in found["lines"])
