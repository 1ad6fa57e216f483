"""Customers in the relational store: the contract, for each database."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
from argon2 import PasswordHasher
from sqlalchemy import update
from tests.store.test_ports import public

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.customers import (
    MAX_SESSIONS,
    MAX_TENANCIES,
    Customer,
    CustomerStore,
    Opened,
    login_of,
)
from openami.fleet.devices import DeviceKind, Sighting
from openami.store.relational.customer_models import CustomerRow
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
    assert store.customers.accept(code, PASSWORD, now=3.0, lifetime=9.0) is not None
    return code


def opened(
    store: RelationalStore, password: str = PASSWORD, *, now: float = 5.0, login: str = KIM
) -> str:
    found = store.customers.log_in(login, password, now=now, lifetime=50.0, label="here")
    assert found is not None
    return found[0]


def refused(store: RelationalStore, password: str, *, now: float = 5.0, login: str = KIM) -> bool:
    return store.customers.log_in(login, password, now=now, lifetime=50.0) is None


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
    assert refused(store, PASSWORD, now=2.0)
    code = store.customers.invite(KIM, until=100.0, who="anna", when=2.0)
    assert store.customers.get(KIM).invited_until == 100.0

    def accept(code: str, password: str = PASSWORD, *, now: float = 3.0) -> Opened | None:
        return store.customers.accept(code, password, now=now, lifetime=9.0)

    assert accept(code, now=100.0) is None  # too late
    assert accept(code[:-1]) is None
    with pytest.raises(ValueError, match="characters"):
        accept(code, "short")
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    found = accept(typed)
    assert found is not None
    session = store.customers.session(found[0], now=11.0)
    assert session == found[1]
    assert store.customers.session(found[0], now=12.0) is None
    assert session.customer.accepted
    assert session.customer.invited_until is None
    assert accept(code, "another password", now=4.0) is None
    opened(store)
    assert store.customers.get(KIM) == replace(session.customer, last_login=5.0)
    assert refused(store, "another password")
    for nobody in ("nobody@example.org", "", f"{KIM}\0", "\ud800"):
        assert refused(store, PASSWORD, login=nobody)
    for wrong in (f"{PASSWORD}\0", f"\0{PASSWORD}", "\ud800"):
        assert refused(store, wrong)
    assert audited(store)[1:] == ["customer.invited", "customer.accepted"]


def test_a_new_invitation_takes_the_place_of_the_one_before(store: RelationalStore) -> None:
    with_meters(store)
    first = store.customers.invite(KIM, until=100.0, who="anna", when=2.0)
    store.customers.invite(KIM, until=100.0, who="anna", when=2.0)
    assert store.customers.accept(first, PASSWORD, now=3.0, lifetime=9.0) is None


def test_sessions_end_with_password_disabling_and_time(store: RelationalStore) -> None:
    customers = with_meters(store).customers
    accepted(store)

    secret = opened(store, now=10.0)
    session = customers.session(secret, now=11.0)
    assert session is not None
    assert session.customer.login == KIM
    assert customers.session(secret, now=60.0) is None
    assert customers.session("other", now=11.0) is None
    customers.close_session(session.id)
    assert customers.session(secret, now=11.0) is None

    secret = opened(store, now=10.0)

    def change(old: str, new: str) -> Opened | None:
        return customers.change_password(KIM, old, new, now=12.0, lifetime=50.0)

    with pytest.raises(ValueError, match="characters"):
        change(PASSWORD, "short")
    assert change("wrong password", "another password") is None
    assert customers.session(secret, now=13.0) is not None
    changed = change(PASSWORD, "another password")
    assert changed is not None
    assert customers.session(secret, now=13.0) is None
    assert customers.session(changed[0], now=13.0) == changed[1]
    assert refused(store, PASSWORD)
    assert audited(store)[-1] == "customer.password"

    secret = opened(store, "another password", now=10.0)
    accepted(store)  # invited again: whoever was in is out
    assert customers.session(secret, now=11.0) is None

    secret, left = opened(store, now=13.0), opened(store, now=13.0)
    assert len(customers.sessions(KIM, now=14.0)) == 2
    customers.invite(KIM, until=100.0, who="anna", when=13.0)
    assert customers.set_disabled(KIM, True, who="anna", when=14.0).invited_until is None
    assert customers.session(secret, now=15.0) is customers.session(left, now=15.0) is None
    assert refused(store, PASSWORD, now=15.0)
    with pytest.raises(ConflictError) as caught:
        customers.invite(KIM, until=100.0, who="anna", when=15.0)
    assert caught.value.code == "customer.disabled"
    customers.set_disabled(KIM, False, who="anna", when=16.0)
    assert customers.session(secret, now=17.0) is None
    assert opened(store, now=17.0)


def test_no_session_of_who_is_shut_out_counts(where: Path | str, store: RelationalStore) -> None:
    """Also one that, against all order, is still kept; and neither does an invitation."""
    with_meters(store)
    accepted(store)
    secret = opened(store)
    code = store.customers.invite(KIM, until=100.0, who="anna", when=5.0)
    engine = open_engine(where)
    with engine.begin() as connection:
        connection.execute(update(CustomerRow).values(disabled=True))
    engine.dispose()
    assert store.customers.session(secret, now=6.0) is None
    assert store.customers.accept(code, PASSWORD, now=6.0, lifetime=9.0) is None
    assert refused(store, PASSWORD, now=6.0)


def test_the_oldest_sessions_end_where_there_are_too_many(store: RelationalStore) -> None:
    with_meters(store)
    for login in (KIM, LEE):
        accepted(store, login)
    mine = [opened(store) for _ in range(MAX_SESSIONS)]
    other, newest = opened(store, login=LEE), opened(store)
    assert store.customers.session(mine[0], now=6.0) is None
    for secret in (*mine[1:], newest, other):
        assert store.customers.session(secret, now=6.0) is not None


@pytest.mark.parametrize("meanwhile", ["password", "disabled"])
@pytest.mark.parametrize("what", ["log-in", "change"])
def test_an_old_password_does_not_come_back(
    where: Path | str, store: RelationalStore, meanwhile: str, what: str
) -> None:
    """What is changed while argon2 looks at the old one stays changed, and no session is left."""
    with_meters(store)
    accepted(store)
    other = "another long password"

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - so argon2 calls it
            right = super().verify(hash, password)
            if meanwhile == "password":
                assert store.customers.change_password(
                    KIM, PASSWORD, other, now=4.0, lifetime=0.5
                )  # fmt: skip
            else:
                store.customers.set_disabled(KIM, True, who="anna", when=4.0)
            return right

    slow = Slow(time_cost=1, memory_cost=8, parallelism=1)
    engine = open_engine(where)
    late = CustomerRepository(Transactions(engine), slow)
    if what == "log-in":
        assert late.log_in(KIM, PASSWORD, now=5.0, lifetime=50.0) is None
    else:
        assert late.change_password(KIM, PASSWORD, "a thief's", now=5.0, lifetime=50.0) is None
    engine.dispose()
    store.customers.set_disabled(KIM, False, who="anna", when=6.0)
    assert store.customers.sessions(KIM, now=7.0) == ()
    assert opened(store, other if meanwhile == "password" else PASSWORD, now=7.0)
    assert refused(store, "a thief's", now=7.0)


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
