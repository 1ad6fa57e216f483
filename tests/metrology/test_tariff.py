from __future__ import annotations

from datetime import UTC, datetime

import pytest

from openami.metrology.tariff import TIME_OF_USE, Switch, Tariff


@pytest.mark.parametrize(
    ("moment", "rate"),
    [
        ("2026-01-05T00:00", 1),
        ("2026-01-05T07:59", 1),
        ("2026-01-05T08:00", 2),
        ("2026-01-05T16:00", 3),
        ("2026-01-05T22:00", 1),
        ("2026-01-10T12:00", 4),
        ("2026-01-11T23:00", 1),
    ],
)
def test_the_rate_follows_the_local_hour(moment: str, rate: int) -> None:
    assert TIME_OF_USE.rate(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == rate


@pytest.mark.parametrize(
    "plan",
    [
        (),
        (Switch(15, 1),),
        (Switch(0, 1), Switch(7, 2)),
        (Switch(0, 1), Switch(1440, 2)),
        (Switch(0, 5),),
        (Switch(0, 1), Switch(30, 2), Switch(15, 1)),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: tuple[Switch, ...]) -> None:
    with pytest.raises(ValueError, match=r"rate|switch"):
        Tariff(plan)
