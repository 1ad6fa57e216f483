"""The estimate of carbon dioxide that a display shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.mdm import carbon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from openami.mdm.carbon import Factor

GIVEN: Final = "given by the household"


def factor_of(country: str, given: Decimal | None, day: date) -> Factor | None:
    """Return the factor that a household gave, or its country's on a day; None: none is known."""
    return carbon.factor_of(country, given, GIVEN, day)


def shown(factor: Factor | None, figures: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the estimate of today and of the month as the API gives it."""
    if factor is None:
        return None
    grams = {
        name: round(figures[wh] * factor.g_per_kwh / 1000)
        for name, wh in (("today_g", "today_wh"), ("month_g", "month_wh"))
    }
    return {**grams, "g_per_kwh": float(factor.g_per_kwh), "source": factor.source}
