"""What a kWh gives off: official figures by country and day, or what somebody gave."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from openami.mdm.carbon import Factor, factor_of, factors
from openami.mdm.tariffs.catalog import tariff_named, tariff_names


@pytest.mark.parametrize(
    ("country", "day", "grams"),
    [
        ("KR", date(2022, 12, 31), None),
        ("KR", date(2023, 1, 1), "417.3"),
        ("KR", date(2026, 5, 1), "417.3"),
        ("GB", date(2023, 12, 31), None),
        ("GB", date(2024, 12, 31), "207.05"),
        ("GB", date(2025, 1, 1), "177.0"),
        ("CA", date(2025, 1, 1), None),
    ],
)
def test_a_figure_holds_from_its_day_on(country: str, day: date, grams: str | None) -> None:
    found = factor_of(country, None, "", day)
    assert (None if found is None else found.g_per_kwh) == (grams and Decimal(grams))


def test_what_somebody_gave_counts_more() -> None:
    for country in ("KR", "CA"):
        found = factor_of(country, Decimal("12.5"), "the supplier", date(2000, 1, 1))
        assert found == Factor(Decimal("12.5"), "the supplier")


def test_nothing_is_given_off_by_what_gives_off_nothing() -> None:
    """A supplier without fuel says 0, which is no figure that is missing."""
    assert factor_of("KR", Decimal(0), "the supplier", date(2026, 1, 1)) is not None


def test_every_figure_has_its_source_and_is_one_of_a_grid() -> None:
    countries = {tariff_named(name).country for name in tariff_names()}
    assert set(factors()) == countries - {"CA"}
    for rows in factors().values():
        days = [day for day, _ in rows]
        assert days == sorted(set(days))
        for day, factor in rows:
            assert 0 < factor.g_per_kwh < 1500
            assert str(day.year) in factor.source
