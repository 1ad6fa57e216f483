"""What a kWh gives off, by the country of the tariff: official figures, with their sources."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

_FILE: Final = files("openami.mdm").joinpath("data", "carbon.toml")


class Factor(NamedTuple):
    """Grams of CO2 equivalent that a kWh gives off, and who says so."""

    g_per_kwh: Decimal
    source: str


@cache
def factors() -> Mapping[str, Sequence[tuple[date, Factor]]]:
    """Return by country from which day on which factor holds, the first of them first."""
    found: dict[str, list[tuple[date, Factor]]] = {}
    for row in tomllib.loads(_FILE.read_text("utf-8"))["factors"]:
        factor = Factor(Decimal(row["g_per_kwh"]), row["source"])
        found.setdefault(row["country"], []).append((row["from"], factor))
    return {country: sorted(rows) for country, rows in found.items()}


def factor_of(country: str, given: Decimal | None, who: str, day: date) -> Factor | None:
    """Return the factor that somebody gave, or a country's on a day; None: neither is known."""
    if given is not None:
        return Factor(given, who)
    known = [factor for since, factor in factors().get(country, ()) if since <= day]
    return known[-1] if known else None
