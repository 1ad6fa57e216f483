"""What a kWh gives off, by the country of the tariff: official figures, with their sources."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Factor(NamedTuple):
    """Grams of CO2 equivalent that a kWh gives off, and who says so."""

    g_per_kwh: Decimal
    source: str


FACTORS: Final[Mapping[str, Factor]] = {
    "KR": Factor(
        Decimal("417.3"),
        "Ministry of Climate, Energy and Environment of Korea, national emission factor of"
        " electricity at consumption for 2023 (0.4173 tCO2eq/MWh), published 2025-12-17",
    ),
    "GB": Factor(
        Decimal("177.0"),
        "Department for Energy Security and Net Zero of the United Kingdom, greenhouse gas"
        " reporting: conversion factors 2025, electricity generated (0.17700 kg CO2e per kWh)",
    ),
}


def factor_of(country: str, given: Decimal | None, who: str) -> Factor | None:
    """Return the factor that somebody gave, or a country's; None: neither is known."""
    return FACTORS.get(country) if given is None else Factor(given, who)
