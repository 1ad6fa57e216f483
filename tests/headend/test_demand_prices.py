"""Prices that follow a tariff: the right one at the right hour, whenever an event begins."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from tests.mdm.tariffs.support import charge
from tests.mdm.tariffs.support import tariff as made_tariff

from openami.fleet.demand.model import MAX_INTERVALS, MAX_SPAN_S, MIN_INTERVAL_S, PayloadType
from openami.headend.demand.prices import STEP_S, price_intervals
from openami.headend.errors import RequestError
from openami.mdm.tariffs.catalog import tariff_named, tariff_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.demand.model import Interval
    from openami.mdm.tariffs.model import Tariff

JEJU = tariff_named("kr-residential-tou-jeju")
"""Off-peak 107.0 from 22 to 8, peak 188.8 from 16 to 22, else 153.0; 9 and 5 on each kWh."""
OFF, MID, PEAK = Decimal("136.367"), Decimal("188.209"), Decimal("228.5556")
"""With 10 % of tax and 2.7 % for the fund: 121, 167 and 202.8 times 1.127."""

ONTARIO = tariff_named("ca-ontario-tou")
"""Cents 7.6, 12.2 and 15.8, off-peak all weekend and from 19 to 7; with 13 % of tax."""
NIGHT, BETWEEN, BUSY = Decimal("0.08588"), Decimal("0.13786"), Decimal("0.17854")


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def shown(found: tuple[Interval, ...]) -> list[tuple[int, int, Decimal | None]]:
    """Return begin, end and price of each; they are numbered and have nothing else."""
    assert [one.id for one in found] == list(range(len(found)))
    assert all([each.type for each in one.payloads] == [PayloadType.PRICE] for one in found)
    return [(one.start, one.end, one.value(PayloadType.PRICE)) for one in found]


def expected(*marks: str | Decimal) -> list[tuple[int, int, Decimal]]:
    """Return what ``shown`` does of moments with the prices between them."""
    moments = [int(when(mark).timestamp()) for mark in marks if isinstance(mark, str)]
    prices = [mark for mark in marks if isinstance(mark, Decimal)]
    return list(zip(moments, moments[1:], prices, strict=False))


def span(begin: str, end: str) -> tuple[int, int]:
    start = int(when(begin).timestamp())
    return start, int(when(end).timestamp()) - start


CASES: dict[str, tuple[Tariff, Sequence[str | Decimal]]] = {
    "across midnight": (
        JEJU,
        [
            "2026-07-14T21:00+09:00", PEAK,
            "2026-07-14T22:00+09:00", OFF,
            "2026-07-15T08:00+09:00", MID,
            "2026-07-15T16:00+09:00", PEAK,
            "2026-07-15T22:00+09:00", OFF,
            "2026-07-16T01:00+09:00",
        ],
    ),
    "a rate that is new from a day on": (
        JEJU,
        [
            "2025-06-30T20:00+09:00", Decimal("229.5696"),  # 202.8 with 3.2 % for the fund
            "2025-06-30T22:00+09:00", Decimal("136.972"),
            "2025-07-01T00:00+09:00", OFF,
            "2025-07-01T08:00+09:00", MID,
            "2025-07-01T09:00+09:00",
        ],
    ),
    "begun between two quarters of an hour": (
        JEJU,
        [
            "2026-07-14T15:51:07+09:00", MID,
            "2026-07-14T16:00+09:00", PEAK,
            "2026-07-14T22:00+09:00", OFF,
            "2026-07-14T22:01+09:00",
        ],
    ),
    "within one hour": (JEJU, ["2026-07-14T16:00+09:00", PEAK, "2026-07-14T16:10+09:00"]),
    "clocks go forward on Sunday": (
        ONTARIO,
        [
            "2025-03-07T17:00-05:00", BUSY,
            "2025-03-07T19:00-05:00", NIGHT,
            "2025-03-10T07:00-04:00", BUSY,
            "2025-03-10T11:00-04:00", BETWEEN,
            "2025-03-10T17:00-04:00", BUSY,
            "2025-03-10T19:00-04:00", NIGHT,
            "2025-03-10T20:00-04:00",
        ],
    ),
    "clocks go back on Sunday": (
        ONTARIO,
        [
            "2024-11-01T18:00-04:00", BUSY,
            "2024-11-01T19:00-04:00", NIGHT,
            "2024-11-04T07:00-05:00", BUSY,
            "2024-11-04T11:00-05:00", BETWEEN,
            "2024-11-04T12:00-05:00",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("tariff", "marks"), CASES.values(), ids=CASES)
def test_each_hour_has_its_price(tariff: Tariff, marks: Sequence[str | Decimal]) -> None:
    """Moments and the prices between them, in turn."""
    wanted = expected(*marks)
    start = wanted[0][0]
    assert shown(price_intervals(tariff, start, wanted[-1][1] - start)) == wanted


def of_bands(zone: str, *dear: str) -> Tariff:
    """Return a tariff that costs 3 in some bands of each day, else 1."""
    prices = {"prices": {"dear": "3", "cheap": "1"}}
    return made_tariff(
        zone=zone,
        periods=["dear", "cheap"],
        hours=[{"source": "test", "rest": "cheap", "bands": {"dear": list(dear)}}],
        charges=[charge("energy", "time-of-use", prices)],
    )


def test_the_hour_that_comes_twice_has_the_same_price_twice() -> None:
    """From 1 to 2 of a tariff's own clock, when that is set back from 2 to 1."""
    ours = of_bands("America/Toronto", "01:00-02:00")
    dear, cheap = Decimal(3), Decimal(1)
    found = price_intervals(ours, *span("2024-11-03T00:00-04:00", "2024-11-03T03:00-05:00"))
    assert shown(found) == expected(
        "2024-11-03T00:00-04:00", cheap,
        "2024-11-03T01:00-04:00", dear,
        "2024-11-03T02:00-05:00", cheap,
        "2024-11-03T03:00-05:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "end", "marks"),
    [
        ("15:59:30", "17:00:00", ("15:59:30", PEAK, "17:00:00")),
        ("15:59:00", "17:00:00", ("15:59:00", MID, "16:00:00", PEAK, "17:00:00")),
        ("15:00:00", "16:00:59", ("15:00:00", MID, "16:00:59")),
        ("15:00:00", "16:01:00", ("15:00:00", MID, "16:00:00", PEAK, "16:01:00")),
        ("15:59:30", "16:00:30", ("15:59:30", PEAK, "16:00:30")),
        ("15:59:30", "22:00:30", ("15:59:30", PEAK, "22:00:30")),
    ],
)
def test_what_is_shorter_than_an_interval_has_the_price_beside_it(
    begin: str, end: str, marks: tuple[str | Decimal, ...]
) -> None:
    def full(time: str) -> str:
        return f"2026-07-14T{time}+09:00"

    found = price_intervals(JEJU, *span(full(begin), full(end)))
    wanted = [full(mark) if isinstance(mark, str) else mark for mark in marks]
    assert shown(found) == expected(*wanted)


@pytest.mark.parametrize("seconds", [-900, 0, MIN_INTERVAL_S - 1, MAX_SPAN_S + 1])
def test_a_span_that_is_no_events_is_refused(seconds: int) -> None:
    with pytest.raises(RequestError) as caught:
        price_intervals(JEJU, 1_784_070_000, seconds)
    assert caught.value.code == "request.event"


def test_a_price_is_that_of_what_was_used_so_far() -> None:
    start, low = 1_784_070_000, tariff_named("kr-residential-low")
    for kwh, price in ((0, "151.018"), (300, "257.6322"), (1000, "845.4754")):
        (one,) = price_intervals(low, start, 3600, kwh=Decimal(kwh))
        assert one.value(PayloadType.PRICE) == Decimal(price)


def test_the_longest_event_has_all_its_prices() -> None:
    found = price_intervals(JEJU, int(when("2026-07-01T00:00+09:00").timestamp()), MAX_SPAN_S)
    assert [one.value(PayloadType.PRICE) for one in found] == [*(OFF, MID, PEAK) * 7, OFF]


def test_a_price_that_changes_too_often_is_refused() -> None:
    ours = of_bands("Asia/Seoul", *(f"{hour:02}:00-{hour:02}:30" for hour in range(24)))
    start = int(when("2026-07-01T00:00+09:00").timestamp())
    assert len(price_intervals(ours, start, 86_400)) == MAX_INTERVALS
    with pytest.raises(RequestError) as caught:
        price_intervals(ours, start, 86_400 + 900)
    assert caught.value.code == "request.event"


def test_every_tariff_of_ours_changes_at_quarters_of_an_hour() -> None:
    found = [tariff_named(name) for name in tariff_names()]
    bands = [band for one in found for row in one.hours for band in row.holds.bands]
    assert bands
    assert all(minute * 60 % STEP_S == 0 for begin, end, _ in bands for minute in (begin, end))
