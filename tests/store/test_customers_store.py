"""Customers in the relational store: the contract, for each database."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
from argon2 import PasswordHasher
from tests.store.test_ports import public

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.customers import MAX_SESSIONS, MAX_TENANCIES, Customer, CustomerStore, login_of
from openami.fleet.devices import DeviceKind, Sighting
from openami.store.relational.customers import CustomerRepository
from openami.store.relational.engine import Transactions, open_engine

if TYPE_CHECKING:
    from pathlib import Path

    from openami.store.relational import RelationalStore

KIM, LEE = "kim@example.org", "lee@example.org"
PASSWORD = "a long walk by the river"
HOUR = 3600.0


def customer(login: str = KIM) -> Customer:
    return Customer(login, "kr-residential-low", created=1.0)


def with_meters(store: RelationalStore, *meters: str) -> RelationalStore:
    for meter in meters:
        store.devices.sight([Sighting(DeviceKind.METER, meter)], now=1.0)
    for login in (KIM, LEE):
        store.customers.add(customer(login), who="anna")
    return store


def accepted(store: RelationalStore, login: str = KIM) -> str:
    code = store.customers.invite(login, until=100.0, who="anna", when=2.0)
    assert store.customers.accept(code, PASSWORD, now=3.0) is not None
    return code


def audited(store: RelationalStore, login: str = KIM) -> list[str]:
    page = store.audit.list(subject=f"customer-{login}")
    return [entry.what for entry in reversed(page.items)]


def test_the_store_has_what_the_port_wants(store: RelationalStore) -> None:
    customers: CustomerStore = store.customers
    assert public(CustomerStore) <= public(customers)


def test_customers_are_added_found_listed_and_changed(store: RelationalStore) -> None:
    with_meters(store)
    assert store.customers.get(KIM) == customer()
    first = store.customers.list(limit=1)
    assert [item.login for item in first.items] == [KIM]
    assert [item.login for item in store.customers.list(after=first.next).items] == [LEE]
    changed = replace(customer(), language="ko", discounts=("large-family",))
    assert store.customers.change(changed, who="anna", when=2.0) == changed
    assert store.customers.get(KIM) == changed
    assert audited(store) == ["customer.added", "customer.changed kr-residential-low large-family"]
    with pytest.raises(ConflictError) as caught:
        store.customers.add(customer(), who="anna")
    assert caught.value.code == "customer.exists"
    with pytest.raises(NotFoundError):
        store.customers.get("nobody@example.org")


@pytest.mark.parametrize("text", ["", "kim", "kim@", "@example.org", "a b@c.de", "x@y" + "z" * 254])
def test_what_is_no_login(text: str) -> None:
    with pytest.raises(ValueError, match="e-mail"):
        login_of(text)


def test_a_login_is_kept_in_small_letters() -> None:
    assert login_of("  Kim@Example.ORG ") == KIM
    with pytest.raises(ValueError, match="small"):
        Customer("Kim@example.org", "t")


def test_an_invitation_lets_its_holder_choose_a_password_once(store: RelationalStore) -> None:
    with_meters(store)
    assert store.customers.verify(KIM, PASSWORD, now=2.0) is None
    code = store.customers.invite(KIM, until=100.0, who="anna", when=2.0)
    assert store.customers.get(KIM).invited_until == 100.0
    assert store.customers.accept(code, PASSWORD, now=100.0) is None  # too late
    assert store.customers.accept(code[:-1], PASSWORD, now=3.0) is None
    with pytest.raises(ValueError, match="characters"):
        store.customers.accept(code, "short", now=3.0)
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    found = store.customers.accept(typed, PASSWORD, now=3.0)
    assert found is not None
    assert found.accepted
    assert found.invited_until is None
    assert store.customers.accept(code, "another password", now=4.0) is None
    assert store.customers.verify(KIM, PASSWORD, now=5.0) == replace(found, last_login=5.0)
    assert store.customers.verify(KIM, "another password", now=5.0) is None
    assert store.customers.verify("nobody@example.org", PASSWORD, now=5.0) is None
    assert audited(store)[1:] == ["customer.invited", "customer.accepted"]


def test_a_new_invitation_takes_the_place_of_the_one_before(store: RelationalStore) -> None:
    with_meters(store)
    first = store.customers.invite(KIM, until=100.0, who="anna", when=2.0)
    store.customers.invite(KIM, until=100.0, who="anna", when=2.0)
    assert store.customers.accept(first, PASSWORD, now=3.0) is None


def test_sessions_end_with_password_disabling_and_time(store: RelationalStore) -> None:
    customers = with_meters(store).customers
    accepted(store)

    def opened() -> str:
        return customers.open_session(KIM, now=10.0, lifetime=50.0, label="here")[0]

    secret = opened()
    session = customers.session(secret, now=11.0)
    assert session is not None
    assert session.customer.login == KIM
    assert customers.session(secret, now=60.0) is None
    assert customers.session("other", now=11.0) is None
    customers.close_session(session.id)
    assert customers.session(secret, now=11.0) is None

    secret = opened()
    customers.set_password(KIM, "another password", who=KIM, when=12.0)
    assert customers.session(secret, now=13.0) is None

    secret = opened()
    accepted(store)  # invited again: whoever was in is out
    assert customers.session(secret, now=13.0) is None

    secret, left = opened(), opened()
    assert len(customers.sessions(KIM, now=11.0)) == 2
    customers.invite(KIM, until=100.0, who="anna", when=13.0)
    assert customers.set_disabled(KIM, True, who="anna", when=14.0).invited_until is None
    assert customers.session(secret, now=15.0) is customers.session(left, now=15.0) is None
    assert customers.verify(KIM, PASSWORD, now=15.0) is None
    with pytest.raises(ConflictError) as caught:
        customers.invite(KIM, until=100.0, who="anna", when=15.0)
    assert caught.value.code == "customer.disabled"
    customers.set_disabled(KIM, False, who="anna", when=16.0)
    assert customers.verify(KIM, PASSWORD, now=17.0) is not None


def test_the_oldest_sessions_end_where_there_are_too_many(store: RelationalStore) -> None:
    with_meters(store)
    opened = [
        store.customers.open_session(KIM, now=1.0, lifetime=9.0)[0] for _ in range(MAX_SESSIONS)
    ]
    other, _ = store.customers.open_session(LEE, now=1.0, lifetime=9.0)
    newest, _ = store.customers.open_session(KIM, now=1.0, lifetime=9.0)
    assert store.customers.session(opened[0], now=2.0) is None
    for secret in (*opened[1:], newest, other):
        assert store.customers.session(secret, now=2.0) is not None


@pytest.mark.parametrize("meanwhile", ["password", "disabled"])
def test_an_old_password_does_not_come_back(
    where: Path | str, store: RelationalStore, meanwhile: str
) -> None:
    """What is changed while argon2 looks at the old one stays changed."""
    with_meters(store)
    accepted(store)

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - so argon2 calls it
            right = super().verify(hash, password)
            if meanwhile == "password":
                store.customers.set_password(KIM, "another long password", who=KIM, when=4.0)
            else:
                store.customers.set_disabled(KIM, True, who="anna", when=4.0)
            return right

    slow = Slow(time_cost=1, memory_cost=8, parallelism=1)
    engine = open_engine(where)
    late = CustomerRepository(Transactions(engine), slow)
    assert late.verify(KIM, PASSWORD, now=5.0) is None
    engine.dispose()
    store.customers.set_disabled(KIM, False, who="anna", when=6.0)
    kept = "another long password" if meanwhile == "password" else PASSWORD
    assert store.customers.verify(KIM, kept, now=7.0) is not None


def test_a_meter_is_one_customers_at_a_time(store: RelationalStore) -> None:
    customers = with_meters(store, "M1", "M2").customers
    theirs = customers.assign(KIM, "M1", starts=HOUR, who="anna", when=1.0)
    for starts in (0.0, HOUR, 5 * HOUR):
        with pytest.raises(ConflictError) as caught:
            customers.assign(LEE, "M1", starts=starts, who="anna", when=1.0)
        assert caught.value.code == "customer.meter"
    ended = customers.end(theirs.id, ends=4 * HOUR, who="anna", when=2.0)
    assert ended == replace(theirs, ends=4 * HOUR)
    with pytest.raises(ConflictError):
        customers.assign(LEE, "M1", starts=3 * HOUR, who="anna", when=1.0)
    following = customers.assign(LEE, "M1", starts=4 * HOUR, who="anna", when=2.0)
    assert customers.of_meter("M1") == (following, ended)
    assert customers.tenancies(KIM) == (ended,)
    assert customers.moved(after=0.0, until=HOUR) == {"M1"}
    assert customers.moved(after=HOUR, until=4 * HOUR - 1) == frozenset()
    assert customers.moved(after=HOUR, until=4 * HOUR) == {"M1"}
    assert customers.moved(after=4 * HOUR, until=9 * HOUR) == frozenset()
    assert audited(store)[1:] == ["customer.assigned M1", "customer.ended M1"]


def test_what_can_not_be_assigned_or_ended(store: RelationalStore) -> None:
    customers = with_meters(store, "M1").customers
    with pytest.raises(NotFoundError):
        customers.assign(KIM, "M9", starts=0.0, who="anna", when=1.0)
    with pytest.raises(NotFoundError):
        customers.assign("nobody@example.org", "M1", starts=0.0, who="anna", when=1.0)
    with pytest.raises(NotFoundError):
        customers.end(77, ends=0.0, who="anna", when=1.0)
    theirs = customers.assign(KIM, "M1", starts=HOUR, who="anna", when=1.0)
    for ends, good in ((0.0, False), (HOUR, True), (2 * HOUR, False)):
        if good:
            customers.end(theirs.id, ends=ends, who="anna", when=1.0)
            continue
        with pytest.raises(ConflictError) as caught:
            customers.end(theirs.id, ends=ends, who="anna", when=1.0)
        assert caught.value.code == "customer.end"


def test_a_customer_has_so_many_meters_and_no_more(store: RelationalStore) -> None:
    customers = with_meters(store, "M1").customers
    for place in range(MAX_TENANCIES):
        theirs = customers.assign(KIM, "M1", starts=place * HOUR, who="anna", when=1.0)
        customers.end(theirs.id, ends=(place + 1) * HOUR, who="anna", when=1.0)
    with pytest.raises(ConflictError) as caught:
        customers.assign(KIM, "M1", starts=MAX_TENANCIES * HOUR, who="anna", when=1.0)
    assert caught.value.code == "customer.meters"


def test_two_who_give_the_same_meter_away_at_once(store: RelationalStore) -> None:
    customers = with_meters(store, "M1").customers
    taken: list[str] = []

    def assign(login: str) -> None:
        try:
            customers.assign(login, "M1", starts=0.0, who="anna", when=1.0)
        except ConflictError:
            return
        taken.append(login)

    threads = [threading.Thread(target=assign, args=(login,)) for login in (KIM, LEE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(customers.of_meter("M1")) == 1
