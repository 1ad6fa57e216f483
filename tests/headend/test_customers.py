"""Customers as a service: invitations, log-ins, meters from when until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.headend import START

from openami.core.errors import ConflictError, NotFoundError, SecurityError
from openami.fleet.devices import DeviceKind, Sighting
from openami.headend.customers import Details
from openami.headend.errors import BusyError, RequestError

if TYPE_CHECKING:
    from openami.core.clock import ManualClock
    from openami.headend.customers import Customers
    from openami.headend.services import Services, Stores

KIM = "kim@example.org"
PASSWORD = "a long walk by the river"
HOUR = 3600
DAY = 86_400


@pytest.fixture
def customers(services: Services, stores: Stores) -> Customers:
    stores.devices.sight([Sighting(DeviceKind.METER, "M1")], now=1.0)
    services.customers.add(KIM, Details(), who="anna")
    return services.customers


def accepted(customers: Customers) -> None:
    customers.accept(customers.invite(KIM, who="anna").code, PASSWORD, address="here")


@pytest.mark.parametrize(
    ("login", "details"),
    [
        ("nobody", Details()),
        ("lee@example.org", Details(tariff="none-of-these")),
        ("lee@example.org", Details(discounts=("for-nobody",))),
        ("lee@example.org", Details(language="fr")),
    ],
)
def test_what_can_not_be(customers: Customers, login: str, details: Details) -> None:
    with pytest.raises(RequestError) as caught:
        customers.add(login, details, who="anna")
    assert caught.value.code == "request.customer"


def test_details_are_changed_and_the_rest_stays(customers: Customers) -> None:
    customers.change(KIM, Details(discounts=("large-family",), language="ko"), who="anna")
    changed = customers.change(KIM.upper(), Details(tariff="kr-residential-high"), who="anna")
    assert (changed.tariff, changed.discounts, changed.language) == (
        "kr-residential-high", ("large-family",), "ko",
    )  # fmt: skip
    assert customers.speak(KIM, "en").language == "en"
    assert [one.login for one in customers.list().items] == [KIM]
    # A discount that the new tariff has not is no discount.
    with pytest.raises(RequestError):
        customers.change(KIM, Details(tariff="gb-price-cap-average"), who="anna")


def test_an_invitation_opens_a_session_once(customers: Customers, wall: ManualClock) -> None:
    invitation = customers.invite(KIM, who="anna", days=1)
    assert invitation.code not in repr(invitation)
    assert invitation.until == wall.now() + DAY
    for code in ("x" * 65, "AAAAA-AAAAA-AAAAA-AAAAA"):
        with pytest.raises(SecurityError) as caught:
            customers.accept(code, PASSWORD, address=code)
        assert caught.value.code == "security.login"
    for weak in ("short", "x" * 257):
        with pytest.raises(RequestError) as weakness:
            customers.accept(invitation.code, weak, address="here")
        assert weakness.value.code == "request.password"
    granted = customers.accept(invitation.code, PASSWORD, address="here")
    assert granted.secret not in repr(granted)
    session = customers.authenticate(granted.secret)
    assert session is not None
    assert session.customer.login == KIM
    customers.logout(session)
    assert customers.authenticate(granted.secret) is None
    with pytest.raises(SecurityError):
        customers.accept(invitation.code, PASSWORD, address="elsewhere")


@pytest.mark.parametrize("days", [0, 15])
def test_no_invitation_is_open_for_ever(customers: Customers, days: float) -> None:
    with pytest.raises(RequestError) as caught:
        customers.invite(KIM, who="anna", days=days)
    assert caught.value.code == "request.invitation"


def test_wrong_passwords_have_to_wait(customers: Customers, wall: ManualClock) -> None:
    accepted(customers)
    assert customers.login(f" {KIM.upper()}", PASSWORD, address="here").session.label == "here"
    for wrong in ("wrong password", "x" * 300):
        with pytest.raises(SecurityError):
            customers.login(KIM, wrong, address="here")
    with pytest.raises(BusyError) as caught:
        customers.login(KIM, PASSWORD, address="here")
    assert caught.value.code == "security.throttled"
    assert customers.login(KIM, PASSWORD, address="elsewhere")
    wall.advance(301)
    assert customers.login(KIM, PASSWORD, address="here")


def test_operators_and_customers_wait_for_themselves_alone(
    customers: Customers, services: Services
) -> None:
    """Who fails at one door is not shut out at the other."""
    services.operators.ensure_first()
    for _ in range(2):
        with pytest.raises(SecurityError):
            customers.login("admin", "wrong password", address="here")
    with pytest.raises(SecurityError):
        services.operators.login("admin", "wrong password", address="here")


def test_a_password_is_changed_and_others_are_out(customers: Customers) -> None:
    accepted(customers)
    other = customers.login(KIM, PASSWORD, address="there")
    for place, wrong in enumerate(("wrong password", "x" * 257, f"{PASSWORD}\0")):
        with pytest.raises(SecurityError):
            customers.change_password(KIM, wrong, "another password", address=f"place {place}")
    for weak in ("short", "x" * 257):
        with pytest.raises(RequestError):
            customers.change_password(KIM, PASSWORD, weak, address="here")
    assert customers.authenticate(other.secret) is not None
    granted = customers.change_password(KIM, PASSWORD, "another password", address="here")
    assert granted.secret != other.secret
    assert customers.authenticate(other.secret) is None
    assert customers.authenticate(granted.secret) is not None
    assert [one.id for one in customers.sessions(KIM)] == [granted.session.id]
    customers.set_disabled(KIM, True, who="anna")
    assert customers.authenticate(granted.secret) is None


def test_a_meter_moves_at_full_hours(customers: Customers, clock: ManualClock) -> None:
    now = int(clock.now())
    first = customers.assign(KIM, "M1", starts=START - 900, who="anna")
    assert first.starts % HOUR == 0
    assert first.starts >= START - 900
    with pytest.raises(ConflictError):
        customers.assign(KIM, "M1", who="anna")
    ended = customers.end(KIM, "M1", who="anna")
    assert ended.ends is not None
    assert ended.ends % HOUR == 0
    assert now - HOUR < ended.ends <= now
    with pytest.raises(NotFoundError):
        customers.end(KIM, "M1", who="anna")
    again = customers.assign(KIM, "M1", who="anna")
    assert now <= again.starts < now + HOUR
    given_back = customers.end(KIM, "M1", who="anna")
    assert given_back.ends == given_back.starts
    assert [one.id for one in customers.of_meter("M1")] == [again.id, first.id]
    assert {one.id for one in customers.tenancies(KIM)} == {again.id, first.id}
