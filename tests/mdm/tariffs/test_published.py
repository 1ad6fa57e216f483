"""Bills that were published, and bills by the shipped tariffs worked out by hand, to the unit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from tests.mdm.tariffs.support import charge, tariff, usage

from openami.mdm.tariffs.billing import Bill, make_bill
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.model import Prices
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.usage import Usage


def amounts(bill: Bill) -> dict[str, Decimal]:
    return {line.name: line.amount for line in bill.lines}


def test_a_bill_of_a_published_calculator_of_2024() -> None:
    """350 kWh outside summer, low voltage, fund 3.7 %."""
    bill = make_bill(tariff_named("kr-residential-low"), Month(2024, 3), usage(350))
    assert amounts(bill) == {
        "basic": 1600,
        "energy": 56_190,
        "climate": 3150,
        "fuel": 1750,
        "vat": 6269,
        "fund": 2310,
        "rounding": -9,
    }
    assert bill.total == 71_260


@pytest.mark.parametrize(
    ("month", "kwh", "won"),
    [
        # Maeil Business Newspaper, 2023-08: a home of four, and with 20 and 30 per cent more
        ((2023, 8), 427, 80_530),
        ((2023, 8), 512, 115_640),
        ((2023, 8), 555, 131_340),
        # JTBC, 2023-10-15: what the same home used that August
        ((2023, 8), 438, 83_390),
        # KEPCO to the press, 2024-09-09: the mean home, a year before and that August (fund 3.2 %)
        ((2023, 8), 333, 56_090),
        ((2024, 8), 363, 63_610),
        # KEPCO, 2025-08: a home of four in May
        ((2025, 5), 280, 52_840),
    ],
)
def test_bills_that_kepco_and_newspapers_published(
    month: tuple[int, int], kwh: int, won: int
) -> None:
    """About the step of 450 kWh in summer, and by two of the fund's rates."""
    assert make_bill(tariff_named("kr-residential-low"), Month(*month), usage(kwh)).total == won


def test_kepcos_calculator_at_a_thousand_kwh_in_august_2022() -> None:
    """As the Chosun Ilbo published it on 2023-08-13, line by line, at the rates of then."""
    lines = ["basic", "energy", "climate", "fuel"]
    basic = [{"to": 300, "rate": "910"}, {"to": 450, "rate": "1600"}, {"rate": "7300"}]
    energy = [{"to": 300, "rate": "93.2"}, {"to": 450, "rate": "187.8"}, {"rate": "280.5"}]
    then = tariff(
        charges=[
            charge("basic", "tier", {"steps": basic}, rounding="down"),
            charge("energy", "energy", {"steps": energy}, rounding="down"),
            charge("climate", "energy", {"rate": "7.3"}, rounding="down"),
            charge("fuel", "energy", {"rate": "5.0"}, rounding="down"),
            charge("vat", "share", {"percent": "10"}, of=lines),
            charge("fund", "share", {"percent": "3.7"}, of=lines, rounding="down", step="10"),
        ],
        total={"step": "10", "rounding": "down"},
        **{"from": date(2022, 7, 1)},
    )
    bill = make_bill(then, Month(2022, 8), usage(1000))
    published = [7300, 210_405, 7300, 5000, 23_001, 8510]
    assert [amounts(bill)[name] for name in (*lines, "vat", "fund")] == published
    assert bill.total == 261_510
    assert make_bill(then, Month(2022, 8), usage(427)).total == 66_690  # ... and a home of four


def test_a_bill_of_august_2011_published_by_a_newspaper() -> None:
    """229 kWh in six steps of 100 kWh, 26,370 won."""
    ends = [100, 200, 300, 400, 500]
    basic = ["370", "820", "1430", "3420", "6410", "11750"]
    energy = ["55.1", "113.8", "168.3", "248.6", "366.4", "643.9"]

    def steps(rates: list[str]) -> dict[str, object]:
        bounded = [{"to": to, "rate": rate} for to, rate in zip(ends, rates, strict=False)]
        return {"steps": [*bounded, {"rate": rates[-1]}]}

    of = ["basic", "energy"]
    then = tariff(
        charges=[
            charge("basic", "tier", steps(basic), rounding="down"),
            charge("energy", "energy", steps(energy), rounding="down"),
            charge("vat", "share", {"percent": "10"}, of=of),
            charge("fund", "share", {"percent": "3.7"}, of=of, rounding="down", step="10"),
        ],
        total={"step": "10", "rounding": "down"},
        **{"from": date(2011, 8, 1)},
    )
    bill = make_bill(then, Month(2011, 8), usage(229))
    assert list(amounts(bill).values()) == [1430, 21_770, 2320, 850]
    assert bill.total == 26_370


def test_kepcos_example_of_a_change_within_a_period() -> None:
    """350 kWh, 21 of 31 days before the rates rise: 45,648 and 2,080 won, 47,728 in all."""
    change = {"from": date(2022, 3, 22)}
    then = tariff(
        charges=[
            charge(
                "energy",
                "energy",
                {"steps": [{"to": 200, "rate": "88.3"}, {"rate": "182.9"}]},
                {"steps": [{"to": 200, "rate": "93.2"}, {"rate": "187.8"}]} | change,
                rounding="down",
            ),
            charge("climate", "energy", {"rate": "5.3"}, {"rate": "7.3"} | change, rounding="down"),
        ],
        **{"from": date(2022, 1, 1)},
    )
    bill = make_bill(then, Month(2022, 3), usage(350))
    assert amounts(bill) == {"energy": 45_648, "climate": 2080}
    energy = bill.lines[0].items
    assert [item.days for item in energy] == [21, 21, 10, 10]
    first, second = (energy[0].exact + energy[2].exact, energy[1].exact + energy[3].exact)
    assert (int(first), int(second)) == (17_976, 27_672)
    assert bill.total == 47_728


LOW, HIGH = "kr-residential-low", "kr-residential-high"


@pytest.mark.parametrize(
    ("name", "month", "kwh", "total"),
    [
        # The steps of summer, of winter, and of the other months.
        (LOW, "2024-08", 300, 46_530),
        (LOW, "2024-08", 450, 86_120),
        (LOW, "2024-08", 451, 92_940),
        (LOW, "2024-08", 1000, 292_620),
        (LOW, "2024-08", 1001, 293_470),
        (LOW, "2024-12", 1001, 309_420),
        (LOW, "2024-03", 1001, 310_300),
        (HIGH, "2024-03", 350, 60_550),
        (HIGH, "2024-01", 1100, 321_500),
        # The fund's percentage by date: 3.7, 3.2 and 2.7.
        (LOW, "2024-06", 350, 71_260),
        (LOW, "2024-07", 350, 60_250),
        (LOW, "2025-06", 350, 70_950),
        (LOW, "2025-09", 350, 70_640),
        (LOW, "2024-03", 0, 1030),
    ],
)
def test_a_household_of_korea(name: str, month: str, kwh: int, total: int) -> None:
    assert make_bill(tariff_named(name), Month.parse(month), usage(kwh)).total == total


def test_steps_begin_above_their_bound() -> None:
    bill = make_bill(tariff_named(LOW), Month(2024, 8), usage(451))
    assert [item.quantity for item in bill.lines[1].items] == [300, 150, 1]
    assert [item.quantity for item in bill.lines[0].items] == [1]
    assert bill.lines[0].amount == 7300
    below = make_bill(tariff_named(LOW), Month(2024, 8), usage("450.999"))
    assert below.lines[0].amount == 1600


@pytest.mark.parametrize(
    ("month", "discount", "taken"),
    [
        # 30 % of 62,690 is 18,807: more than the most; of 45,020 (250 kWh) it is not.
        ("2024-03", "large-family", -16_000),
        ("2024-03", "disability", -16_000),
        ("2024-06", "disability", -20_000),
        ("2024-08", "disability", -20_000),
    ],
)
def test_a_discount_comes_off_before_taxes(month: str, discount: str, taken: int) -> None:
    plain = make_bill(tariff_named(LOW), Month.parse(month), usage(350))
    less = make_bill(tariff_named(LOW), Month.parse(month), usage(350), discounts=[discount])
    assert amounts(less)[discount] == taken
    base = sum(amounts(plain)[name] for name in ("basic", "energy", "climate", "fuel")) + taken
    assert amounts(less)["vat"] == int(base / Decimal(10) + Decimal("0.5"))


def test_an_industrial_bill_of_winter() -> None:
    """100 kW; 10,000, 8,000 and 5,000 kWh: 649,000 + 2,738,000 + 207,000 + 115,000, taxes."""
    quantities = {"off-peak": Decimal(10_000), "mid": Decimal(8000), "peak": Decimal(5000)}
    used = Usage(quantities, Decimal(100))
    bill = make_bill(tariff_named("kr-industrial-a2-high-a1"), Month(2024, 11), used)
    assert amounts(bill)["demand"] == 649_000
    assert amounts(bill)["energy"] == 2_738_000
    assert amounts(bill)["fund"] == 118_680
    assert bill.total == 4_198_580


def test_an_industrial_bill_of_the_month_that_rates_rose_in() -> None:
    """23 days of October 2024 at 111.2, 8 at 119.7 won at the peak."""
    used = Usage({"off-peak": Decimal(0), "mid": Decimal(0), "peak": Decimal(31)}, Decimal(0))
    bill = make_bill(tariff_named("kr-industrial-a2-high-a1"), Month(2024, 10), used)
    assert amounts(bill)["energy"] == int(Decimal("111.2") * 23 + Decimal("119.7") * 8)


def test_every_industrial_rate_rose_by_as_much() -> None:
    """By 8.5 won on 2024-10-24, as the two published lists show."""
    energy = tariff_named("kr-industrial-a2-high-a1").charges[1]
    before, after = energy.rows[:3], energy.rows[3:]
    for old, new in zip(before, after, strict=True):
        assert isinstance(old.holds, Prices)
        assert isinstance(new.holds, Prices)
        assert old.seasons == new.seasons
        for period, rate in old.holds.by_period.items():
            assert new.holds.by_period[period] - rate == Decimal("8.5")


@pytest.mark.parametrize(
    ("month", "total"), [("2024-10", "92.41"), ("2024-12", "92.41"), ("2025-02", "91.65")]
)
def test_a_british_bill_has_a_standing_charge_for_each_day(month: str, total: str) -> None:
    bill = make_bill(tariff_named("gb-price-cap-average"), Month.parse(month), usage(300))
    assert bill.total == Decimal(total)


def test_an_ontarian_bill() -> None:
    used = {"off-peak": Decimal(400), "mid-peak": Decimal(150), "on-peak": Decimal(150)}
    bill = make_bill(tariff_named("ca-ontario-tou"), Month(2024, 11), Usage(used))
    assert [line.amount for line in bill.lines] == [
        Decimal("72.4"),
        Decimal("-9.48"),
        Decimal("9.41"),
    ]
    assert bill.total == Decimal("72.33")


def test_the_jeju_option_knows_only_summer() -> None:
    used = {"off-peak": Decimal(100), "mid": Decimal(100), "peak": Decimal(100)}
    bill = make_bill(tariff_named("kr-residential-tou-jeju"), Month(2024, 7), Usage(used))
    assert amounts(bill)["energy"] == 44_880


@pytest.mark.parametrize(
    ("month", "off_peak", "mid", "peak"),
    [
        *((f"2025-{number:02}", "95.7", "121.5", "155.0") for number in (6, 7, 8)),
        *((f"2025-{number:02}", "95.7", "100.5", "119.7") for number in (3, 4, 5, 9, 10)),
        *((f"2025-{number:02}", "103.1", "120.0", "149.4") for number in (1, 2, 11, 12)),
    ],
)
def test_the_industrial_price_list(month: str, off_peak: str, mid: str, peak: str) -> None:
    """Option I since 2024-10-24: 6,490 won a kW, and each month's three rates."""
    for period, rate in (("off-peak", off_peak), ("mid", mid), ("peak", peak)):
        energy = dict.fromkeys(("off-peak", "mid", "peak"), Decimal(0)) | {period: Decimal(10)}
        used = Usage(energy, Decimal(1))
        bill = make_bill(tariff_named("kr-industrial-a2-high-a1"), Month.parse(month), used)
        assert amounts(bill)["demand"] == 6490
        assert amounts(bill)["energy"] == Decimal(rate) * 10
