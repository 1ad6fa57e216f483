"""Meters that are somebody's, in the relational store: the contract, for each database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.store.test_ports import public

from openami.core.errors import ConflictError
from openami.fleet.billable import BillableStore
from openami.fleet.customers import Customer
from openami.fleet.devices import DeviceKind, Sighting

if TYPE_CHECKING:
    from openami.store.relational import RelationalStore

KIM, LEE = "kim@example.org", "lee@example.org"
HOUR = 3600.0


@pytest.fixture
def moved(store: RelationalStore) -> RelationalStore:
    """Kim has A until 10 h and B from 4 h on, Lee A from 12 h on; a meter c is nobody's."""
    for meter in ("A", "B", "a", "c"):
        store.devices.sight([Sighting(DeviceKind.METER, meter)], now=1.0)
    store.customers.add(Customer(KIM, "one", discounts=("x", "y"), created=1.0), who="anna")
    store.customers.add(Customer(LEE, "other", created=1.0), who="anna")
    first = store.customers.assign(KIM, "A", starts=0.0, who="anna", when=1.0)
    store.customers.end(first.id, ends=10 * HOUR, who="anna", when=1.0)
    store.customers.assign(LEE, "A", starts=12 * HOUR, who="anna", when=1.0)
    store.customers.assign(KIM, "B", starts=4 * HOUR, who="anna", when=1.0)
    store.customers.assign(LEE, "a", starts=4 * HOUR, who="anna", when=1.0)
    return store


def seen(store: RelationalStore, start: float, end: float) -> dict[str, list[str]]:
    page = store.billable.billable(start * HOUR, end * HOUR)
    assert page.next is None
    return {each.meter: [had.tenancy.customer for had in each.had] for each in page.items}


def test_the_store_has_what_the_port_wants(store: RelationalStore) -> None:
    billable: BillableStore = store.billable
    assert public(BillableStore) <= public(billable)


def test_who_had_a_meter_in_a_span(moved: RelationalStore) -> None:
    assert seen(moved, 0, 4) == {"A": [KIM]}
    assert seen(moved, 0, 24) == {"A": [KIM, LEE], "B": [KIM], "a": [LEE]}
    assert seen(moved, 10, 12) == {"B": [KIM], "a": [LEE]}
    assert seen(moved, 11, 13) == {"A": [LEE], "B": [KIM], "a": [LEE]}


def test_what_their_bills_go_by(moved: RelationalStore) -> None:
    first, second, _ = moved.billable.billable(0.0, 24 * HOUR).items
    assert [(had.tariff, had.discounts) for had in first.had] == [
        ("one", ("x", "y")),
        ("other", ()),
    ]
    assert second.had[0].tenancy.meter == "B"
    assert (second.had[0].tenancy.starts, second.had[0].tenancy.ends) == (4 * HOUR, None)


def test_pages_go_on_where_they_ended(moved: RelationalStore) -> None:
    found, after = [], None
    while True:
        page = moved.billable.billable(0.0, 24 * HOUR, after=after, limit=1)
        found += [each.meter for each in page.items]
        after = page.next
        if after is None:
            break
    assert found == ["A", "B", "a"]
    with pytest.raises(ConflictError) as caught:
        moved.billable.billable(0.0, 1.0, after="nonsense")
    assert caught.value.code == "store.cursor"
