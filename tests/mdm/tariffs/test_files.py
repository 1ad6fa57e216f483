"""Files that are no tariff: each is refused with the place and the reason."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.mdm.tariffs.support import SINCE, charge, document

from openami.core.errors import ConfigError
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.mdm.tariffs.description import describe, words
from openami.mdm.tariffs.loading import MAX_OCTETS, from_document, load
from openami.mdm.tariffs.model import DayType

PERIODS = ["night", "day"]
HOURS = [{"source": "test", "rest": "day", "bands": {"night": ["22:00-08:00"]}}]
SEASONS = {"hot": [6, 7, 8], "cold": [1, 2, 3, 4, 5, 9, 10, 11, 12]}
ENERGY = charge("energy", "energy", {"rate": "100"})
VAT = {"percent": "10"}


def by_time(**changes: Any) -> dict[str, Any]:
    prices = {"prices": {"night": "50", "day": "100"}}
    base = {
        "periods": PERIODS,
        "hours": HOURS,
        "charges": [charge("energy", "time-of-use", prices)],
    }
    return {**base, **changes}


def energy(*rates: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"charges": [charge("energy", "energy", *rates, **others)]}


def after_energy(*charges: dict[str, Any]) -> dict[str, Any]:
    return {"charges": [ENERGY, *charges]}


def hours(**changes: Any) -> dict[str, Any]:
    return by_time(hours=[{**HOURS[0], **changes}])


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("another format", {"format": 2}, "format", "tariff.value"),
    ("no number", {"format": "1"}, "format", "tariff.field"),
    ("a truth", {"revision": True}, "revision", "tariff.field"),
    ("nothing", {"revision": 0}, "revision", "tariff.value"),
    ("an unknown key", {"colour": "red"}, "colour", "tariff.field"),
    ("an unfit name", {"name": "Low Voltage"}, "name", "tariff.value"),
    ("an empty text", {"title": ""}, "title", "tariff.value"),
    ("a control", {"title": "a\x1b[2J"}, "title", "tariff.value"),
    ("no zone", {"zone": "Mars/Olympus"}, "zone", "tariff.value"),
    ("a zone outside", {"zone": "../../etc"}, "zone", "tariff.value"),
    ("no language", {"titles": {"Korean": "x"}}, "titles.Korean", "tariff.value"),
    ("no title", {"titles": {"ko": ""}}, "titles.ko", "tariff.value"),
    ("a title of no table", {"titles": "x"}, "titles", "tariff.field"),
    ("no unit", {"unit": "0"}, "unit", "tariff.value"),
    ("no date", {"from": "2024-01-01"}, "from", "tariff.field"),
    ("a time", {"from": datetime(2024, 1, 1)}, "from", "tariff.field"),  # noqa: DTZ001 - as TOML gives it
    ("an end before", {"until": date(2023, 1, 1)}, "until", "tariff.order"),
    ("no source", {"sources": {}}, "sources", "tariff.value"),
    ("notes of numbers", {"notes": [1]}, "notes.0", "tariff.field"),
    ("a mode", {"total": {"rounding": "away"}}, "total.rounding", "tariff.value"),
    ("no step", {"usage": {"step": "0"}}, "usage.step", "tariff.value"),
    ("a step of no unit", {"total": {"step": "1.5"}}, "total.step", "tariff.value"),
    ("a month twice", {"seasons": {"a": [1, 2], "b": [2, 3]}}, "seasons", "tariff.cover"),
    ("a month of none", {"seasons": {"a": [1, 2]}}, "seasons", "tariff.cover"),
    ("a 13th month", {"seasons": {"a": [13]}}, "seasons.a", "tariff.value"),
    ("no list", {"charges": {}}, "charges", "tariff.field"),
    ("no charges", {"charges": []}, "charges", "tariff.value"),
    ("no table", {"charges": [1]}, "charges[0]", "tariff.field"),
    ("too many", {"charges": [ENERGY] * 257}, "charges", "tariff.value"),
    ("a name twice", {"charges": [ENERGY, ENERGY]}, "charges[1].id", "tariff.reference"),
    ("a kind", {"charges": [charge("a", "magic", VAT)]}, "charges[0].kind", "tariff.value"),
    ("a source", energy({"rate": "1"}, source="b"), "charges[0].source", "tariff.value"),
    ("no rates", energy(), "charges[0].rates", "tariff.value"),
    ("no rate", energy({}), "charges[0].rates[0].steps", "tariff.field"),
    ("a float", energy({"rate": 1.5}), "charges[0].rates[0].rate", "tariff.field"),
    ("words", energy({"rate": "dear"}), "charges[0].rates[0].rate", "tariff.value"),
    ("no number", energy({"rate": "NaN"}), "charges[0].rates[0].rate", "tariff.value"),
    ("digits", energy({"rate": "0.1234567"}), "charges[0].rates[0].rate", "tariff.value"),
    ("a huge exponent", energy({"rate": "1e99999999"}), "rates[0].rate", "tariff.value"),
    ("an exponent", energy({"rate": "1e12"}), "charges[0].rates[0].rate", "tariff.value"),
    ("a season", energy({"rate": "1", "seasons": ["x"]}), "rates[0].seasons", "tariff.reference"),
    (
        "a season twice",
        {"seasons": SEASONS} | energy({"rate": "1", "seasons": ["hot", "hot"]}),
        "rates[0].seasons",
        "tariff.value",
    ),
    (
        "a season of no rate",
        {"seasons": SEASONS} | energy({"rate": "1", "seasons": ["hot"]}),
        "charges[0].rates: season cold",
        "tariff.cover",
    ),
    ("two rates", energy({"rate": "1"}, {"rate": "2"}), "charges[0].rates", "tariff.cover"),
    ("a gap", energy({"rate": "1", "from": date(2024, 2, 1)}), "charges[0].rates", "tariff.cover"),
    ("too early", energy({"rate": "1", "from": date(2023, 2, 1)}), "[0].rates", "tariff.order"),
    (
        "too late",
        {"until": date(2024, 6, 30)}
        | energy({"rate": "1"}, {"rate": "2", "from": date(2024, 7, 1)}),
        "charges[0].rates",
        "tariff.order",
    ),
    ("an end", energy({"steps": [{"to": 9, "rate": "1"}]}), "[0].rates", "tariff.cover"),
    (
        "an end within",
        energy({"steps": [{"rate": "1"}, {"rate": "2"}]}),
        "charges[0].rates",
        "tariff.cover",
    ),
    (
        "steps that fall",
        energy({"steps": [{"to": 9, "rate": "1"}, {"to": 8, "rate": "1"}, {"rate": "2"}]}),
        "charges[0].rates",
        "tariff.order",
    ),
    (
        "half a step",
        energy({"steps": [{"to": "9.5", "rate": "1"}, {"rate": "2"}]}),
        "charges[0].rates",
        "tariff.value",
    ),
    ("a step's key", energy({"steps": [{"rate": "1", "by": 2}]}), "steps[0].by", "tariff.field"),
    ("a line's step", energy({"rate": "1"}, step="0.5"), "charges[0].step", "tariff.value"),
    ("a charge's key", energy({"rate": "1"}, of=["energy"]), "charges[0].of", "tariff.field"),
    (
        "a negative amount",
        {"charges": [charge("a", "fixed", {"rate": "-1"})]},
        "charges[0].rates[0].rate",
        "tariff.value",
    ),
    (
        "a tier that falls",
        {"charges": [charge("a", "tier", {"steps": [{"to": 9, "rate": "2"}, {"rate": "1"}]})]},
        "charges[0].rates",
        "tariff.falls",
    ),
    ("a negative rate", energy({"rate": "-1"}), "charges", "tariff.falls"),
    (
        "a rate that is taken off again",
        after_energy(charge("fuel", "energy", {"rate": "-100.5"}, rounding="down")),
        "charges",
        "tariff.falls",
    ),
    (
        "signs that change",
        by_time(
            charges=[
                charge("energy", "time-of-use", {"prices": {"night": "-1", "day": "9"}}),
                charge("grid", "energy", {"rate": "1"}),
            ]
        ),
        "charges",
        "tariff.falls",
    ),
    ("of nothing", after_energy(charge("vat", "share", VAT)), "charges[1].of", "tariff.field"),
    (
        "of none",
        after_energy(charge("vat", "share", VAT, of=[])),
        "charges[1].of",
        "tariff.value",
    ),
    (
        "of what follows",
        after_energy(charge("vat", "share", VAT, of=["fund"])),
        "charges[1].of",
        "tariff.reference",
    ),
    (
        "all and more",
        after_energy(charge("gift", "discount", {"percent": "101"}, of=["energy"])),
        "charges[1].rates",
        "tariff.value",
    ),
    (
        "a coarse discount",
        after_energy(charge("gift", "discount", {"percent": "10"}, of=["energy"], step="10")),
        "charges[1].step",
        "tariff.falls",
    ),
    (
        "a tax on a discount alone",
        after_energy(
            charge("gift", "discount", {"amount": "10"}, of=["energy"]),
            charge("vat", "share", VAT, of=["gift"]),
        ),
        "charges[2].of: must have energy",
        "tariff.falls",
    ),
    (
        "two discounts of the same",
        after_energy(
            charge("gift", "discount", {"percent": "60"}, of=["energy"]),
            charge("present", "discount", {"percent": "60"}, of=["energy"]),
        ),
        "charges[2].of: must have gift",
        "tariff.falls",
    ),
    (
        "a tax on what may be negative alone",
        after_energy(
            charge("fuel", "energy", {"rate": "-3"}), charge("vat", "share", VAT, of=["fuel"])
        ),
        "charges[2].of: must have energy",
        "tariff.falls",
    ),
    ("periods without prices", {"periods": PERIODS, "hours": HOURS}, "periods", "tariff.reference"),
    (
        "hours without periods",
        {"hours": [{"source": "test", "rest": "x"}]},
        "hours",
        "tariff.value",
    ),
    ("a period twice", by_time(periods=["day", "day"]), "periods", "tariff.value"),
    ("an unfit period", by_time(periods=["Day"]), "periods.0", "tariff.value"),
    (
        "prices without periods",
        {"charges": [charge("a", "time-of-use", {"prices": {}})]},
        "charges[0].rates[0]",
        "tariff.field",
    ),
    (
        "a price too many",
        by_time(
            charges=[charge("a", "time-of-use", {"prices": dict.fromkeys([*PERIODS, "noon"], "1")})]
        ),
        "prices.noon",
        "tariff.field",
    ),
    ("no hours", by_time(hours=[HOURS[0] | {"days": ["sunday"]}]), "on a weekday", "tariff.cover"),
    ("hours twice", by_time(hours=HOURS * 2), "hours: season all", "tariff.cover"),
    ("a day", hours(days=["someday"]), "hours[0].days", "tariff.reference"),
    ("a rest", hours(rest="noon"), "hours[0].rest", "tariff.value"),
    ("a band", hours(bands={"noon": ["12:00-13:00"]}), "bands.noon", "tariff.reference"),
    ("an hour", hours(bands={"night": ["25:00-26:00"]}), "bands.night", "tariff.value"),
    ("a form", hours(bands={"night": ["22-8"]}), "bands.night", "tariff.value"),
    ("no time", hours(bands={"night": ["08:00-08:00"]}), "bands.night", "tariff.value"),
    ("beyond", hours(bands={"night": ["23:00-24:30"]}), "bands.night", "tariff.value"),
    (
        "an hour in two bands",
        hours(bands={"night": ["22:00-08:00"], "day": ["07:00-09:00"]}),
        "hours[0].bands",
        "tariff.cover",
    ),
    ("a country", {"holidays": {"country": "XX"}}, "holidays", "tariff.value"),
    (
        "a part of a country",
        {"holidays": {"country": "CA", "subdivision": "XX"}},
        "holidays",
        "tariff.value",
    ),
    ("no days", {"holidays": {"country": "KR", "added": ["x"]}}, "holidays.added", "tariff.field"),
]


@pytest.mark.parametrize(
    ("changes", "place", "code"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_is_wrong_is_said_with_its_place(
    changes: dict[str, Any], place: str, code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_document(document(**changes), digest="")
    assert caught.value.code == code, caught.value.message
    assert place in caught.value.message.partition(": ")[0] or place in caught.value.message


@pytest.mark.parametrize("key", sorted(document()))
def test_no_key_may_be_missing(key: str) -> None:
    found = document()
    del found[key]
    with pytest.raises(ConfigError) as caught:
        from_document(found, digest="")
    assert caught.value.code == "tariff.field"
    assert caught.value.message.startswith(key)


@pytest.mark.parametrize(
    "octets", [b"name = ", b"\xff", b"#" * (MAX_OCTETS + 1), b"a=" + b"[" * 5000]
)
def test_a_file_is_toml_of_a_bounded_size(octets: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        load(octets)
    assert caught.value.code == "tariff.file"


def test_what_is_shipped_is_what_its_file_is_called() -> None:
    assert [tariff_named(name).name for name in tariff_names()] == list(tariff_names())
    assert all(len(tariff_named(name).digest) == 64 for name in tariff_names())
    assert all(
        "한국전력" in tariff_named(name).title_in("ko")
        for name in tariff_names()
        if name.startswith("kr-")
    )
    assert all(tariff_named(name).title_in("en").isascii() for name in tariff_names())


def test_an_unknown_name() -> None:
    with pytest.raises(ConfigError) as caught:
        tariff_named("kr-residential")
    assert caught.value.code == "tariff.unknown"


def test_defaults_of_a_small_tariff() -> None:
    found = from_document(document(**by_time()), digest="")
    assert found.since == SINCE
    assert found.until is None
    assert set(found.seasons) == {"all"}
    assert found.hours[0].holds.days == frozenset(DayType)
    assert not found.needs_demand


def test_every_row_is_described() -> None:
    texts = {(row.of, row.terms) for name in tariff_names() for row in describe(tariff_named(name))}
    assert ("standing", "0.6099 a day") in texts
    assert ("demand", "6490 a kW") in texts
    assert ("disability", "20000 of basic + energy + climate + fuel + large-family") in texts
    assert ("large-family", "30 %, at most 16000, of basic + energy + climate + fuel") in texts
    assert ("hours", "holiday, sunday: off-peak") in texts
    assert ("basic", "910 up to 300 kWh, 1600 up to 450 kWh, 7300") in texts
    assert ("energy", "off-peak 107, mid 153, peak 188.8") in texts
    monthly = document(charges=[charge("a", "fixed", {"rate": "5"})])
    assert [row.terms for row in describe(from_document(monthly, digest=""))] == ["5 a month"]
    with pytest.raises(TypeError):
        words(1)


def test_the_example_of_the_reference_is_a_tariff() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/tariffs.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert load(example.encode()).name == "example"
