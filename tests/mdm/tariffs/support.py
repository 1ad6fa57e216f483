"""Tariffs of tests: the smallest that is one, and random ones."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import reject
from hypothesis import strategies as st

from openami.core.errors import ConfigError
from openami.mdm.tariffs.loading import from_document
from openami.mdm.tariffs.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.mdm.tariffs.model import Tariff

SINCE = date(2024, 1, 1)
CHANGED = date(2024, 5, 11)


def document(**changes: Any) -> dict[str, Any]:
    """Return the document of a tariff with a price per kWh."""
    base: dict[str, Any] = {
        "format": 1,
        "name": "test",
        "title": "Test",
        "country": "KR",
        "currency": "KRW",
        "unit": "1",
        "zone": "Asia/Seoul",
        "from": SINCE,
        "revision": 1,
        "sources": {"test": "this test"},
        "charges": [charge("energy", "energy", {"rate": "100"})],
    }
    return {**base, **changes}


def charge(name: str, kind: str, *rates: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": name,
        "kind": kind,
        "source": "test",
        "rates": [dict(rate) for rate in rates],
        **others,
    }


def tariff(**changes: Any) -> Tariff:
    return from_document(document(**changes), digest="0" * 64)


def loaded(found: dict[str, Any]) -> Tariff:
    """Return the tariff of a random document, unless more usage could cost less by it."""
    try:
        return from_document(found, digest="")
    except ConfigError as error:
        if error.code != "tariff.falls":
            raise
        reject()


def usage(kwh: str | float, demand_kw: str | None = None) -> Usage:
    return Usage({"": Decimal(kwh)}, None if demand_kw is None else Decimal(demand_kw))


def numbers(least: int, most: int, places: int = 3) -> st.SearchStrategy[str]:
    scaled = st.integers(least * 10**places, most * 10**places)
    return scaled.map(lambda number: f"{Decimal(number).scaleb(-places):f}")


MODES = st.sampled_from(["down", "up", "half-up", "half-even"])
STEPS = st.sampled_from(["1", "10", "5"])


@st.composite
def dated(draw: st.DrawFn, terms: st.SearchStrategy[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rates that hold in all seasons, or differ in one, and may change within a month."""
    rows = [draw(terms)]
    if draw(st.booleans()):
        rows = [{**rows[0], "seasons": ["hot"]}, {**draw(terms), "seasons": ["cold"]}]
    if draw(st.booleans()):
        rows.append({**draw(terms), "from": CHANGED})
    return rows


@st.composite
def stepped(draw: st.DrawFn, *, rising: bool) -> dict[str, Any]:
    ends = sorted(draw(st.sets(st.integers(1, 1200), min_size=0, max_size=4)))
    rates = draw(st.lists(numbers(0, 800), min_size=len(ends) + 1, max_size=len(ends) + 1))
    if rising:
        rates = sorted(rates, key=Decimal)
    steps: list[dict[str, Any]] = [
        {"to": end, "rate": rate} for end, rate in zip(ends, rates, strict=False)
    ]
    return {"steps": [*steps, {"rate": rates[-1]}]}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents of tariffs with charges of every kind, in any number."""
    periods = draw(st.sampled_from([[], ["night", "day"]]))
    found = [charge("energy", "energy", *draw(dated(stepped(rising=False))))]
    found += draw(st.lists(_plain_charges(), max_size=3, unique_by=lambda each: each["id"]))
    if periods:
        prices = st.fixed_dictionaries({name: numbers(0, 300) for name in periods})
        rows = draw(dated(prices.map(lambda each: {"prices": each})))
        found.append(charge("by-time", "time-of-use", *rows))
    for each in found:
        each |= {"rounding": draw(MODES), "step": draw(STEPS)}
    for name, kind, terms in draw(st.lists(_derived(), max_size=4, unique_by=lambda each: each[0])):
        rows = draw(dated(terms))
        more = {"step": draw(STEPS)} if kind == "share" else {}
        of = [each["id"] for each in found]
        found.append(charge(name, kind, *rows, of=of, rounding=draw(MODES), **more))
    hours = [{"source": "test", "rest": "day", "bands": {"night": ["22:00-08:00"]}}]
    return document(
        seasons={"hot": [5, 6, 7, 8, 9], "cold": [1, 2, 3, 4, 10, 11, 12]},
        usage={"step": draw(st.sampled_from(["1", "0.1", "0.001"])), "rounding": draw(MODES)},
        total={"step": draw(STEPS), "rounding": draw(MODES)},
        charges=found,
        **({"periods": periods, "hours": hours} if periods else {}),
    )


def _plain_charges() -> st.SearchStrategy[dict[str, Any]]:
    fixed = st.fixed_dictionaries(
        {"rate": numbers(0, 5000), "per": st.sampled_from(["day", "month"])}
    )
    rate = st.fixed_dictionaries({"rate": numbers(0, 9000)})
    credit = st.fixed_dictionaries({"rate": numbers(-30, 0)})
    return st.one_of(
        dated(fixed).map(lambda rows: charge("fixed", "fixed", *rows)),
        dated(stepped(rising=True)).map(lambda rows: charge("tier", "tier", *rows)),
        dated(rate).map(lambda rows: charge("demand", "demand", *rows)),
        dated(rate).map(lambda rows: charge("levy", "energy", *rows)),
        dated(credit).map(lambda rows: charge("credit", "energy", *rows)),
    )


def _derived() -> st.SearchStrategy[tuple[str, str, st.SearchStrategy[dict[str, Any]]]]:
    percent = st.fixed_dictionaries({"percent": numbers(0, 100)})
    capped = st.fixed_dictionaries({"percent": numbers(0, 100), "cap": numbers(0, 30_000)})
    amount = st.fixed_dictionaries({"amount": numbers(0, 30_000)})
    return st.sampled_from(
        [
            ("vat", "share", percent),
            ("fund", "share", percent),
            ("family", "discount", capped),
            ("welfare", "discount", amount),
            ("least", "minimum", amount),
        ]
    )
