"""Accounts, log-ins and who has to wait."""

import pytest
from tests.support.headend import PASSWORD

from openami.core.clock import ManualClock
from openami.core.errors import NotFoundError, SecurityError
from openami.fleet.operators import Role, SessionKind
from openami.headend.errors import BusyError, RequestError
from openami.headend.logins import WIDE
from openami.headend.services import Services
from openami.headend.throttle import REMEMBERED, Throttle


@pytest.fixture
def admin(services: Services) -> str:
    assert services.operators.ensure_first() is None
    return "admin"


def wrong(services: Services, name: str, address: str) -> str:
    with pytest.raises((SecurityError, BusyError)) as caught:
        services.operators.login(name, "wrong", address=address)
    return caught.value.code


def test_the_first_account_is_made_once(services: Services, admin: str) -> None:
    services.operators.ensure_first()
    [only] = services.operators.list().items
    assert (only.name, only.role) == (admin, Role.ADMIN)


def test_a_session_ends_by_the_machines_clock(
    services: Services, admin: str, wall: ManualClock, clock: ManualClock
) -> None:
    granted = services.operators.login(admin, PASSWORD, address="a")
    clock.advance(365 * 86_400)
    session = services.operators.authenticate(granted.secret)
    assert session is not None
    assert (session.kind, session.operator.name) == (SessionKind.SESSION, admin)
    wall.advance(services.settings.session_hours * 3600 + 1)
    assert services.operators.authenticate(granted.secret) is None
    assert granted.secret not in repr(granted)


def test_an_attacker_elsewhere_shuts_nobody_out(services: Services, admin: str) -> None:
    attempts = services.settings.login_attempts
    for _ in range(attempts):
        assert wrong(services, admin, "evil") == "security.login"
    assert wrong(services, admin, "evil") == "security.throttled"
    assert services.operators.login(admin, PASSWORD, address="home").session.operator.name == admin


def test_a_right_password_clears_ones_own_mistakes(services: Services, admin: str) -> None:
    attempts = services.settings.login_attempts
    for _ in range(2):
        for _ in range(attempts - 1):
            assert wrong(services, admin, "home") == "security.login"
        services.operators.login(admin, PASSWORD, address="home")


def test_waiting_ends(services: Services, admin: str, wall: ManualClock) -> None:
    for _ in range(services.settings.login_attempts):
        wrong(services, admin, "home")
    with pytest.raises(BusyError) as caught:
        services.operators.login(admin, PASSWORD, address="home")
    assert 0 < caught.value.retry_after <= services.settings.login_window_s
    wall.advance(caught.value.retry_after)
    services.operators.login(admin, PASSWORD, address="home")


def test_one_address_for_many_names_and_many_addresses_for_one_name(wall: ManualClock) -> None:
    """The wide limits hold where no single pair of name and address reaches its own."""
    throttle = Throttle(window_s=300, clock=wall)
    for n in range(WIDE):
        throttle.fail({("name", f"a{n}"): 5, "name": WIDE})
    assert throttle.wait({("name", "new"): 5}) == 0
    assert throttle.wait({("name", "new"): 5, "name": WIDE}) == 300


def test_a_flood_of_names_takes_no_more_memory(wall: ManualClock) -> None:
    throttle = Throttle(window_s=300, clock=wall)
    for n in range(REMEMBERED + 10):
        throttle.fail({n: 1})
    assert throttle.wait({0: 1}) == 0
    assert throttle.wait({REMEMBERED + 9: 1}) == 300
    assert len(throttle._failures) == REMEMBERED


@pytest.mark.parametrize(
    ("label", "days"), [("", 1), ("   ", 1), ("x" * 101, 1), ("x", 0), ("x", 366), ("x", -1)]
)
def test_a_token_that_can_not_be(services: Services, admin: str, label: str, days: float) -> None:
    with pytest.raises(RequestError) as caught:
        services.operators.make_token(admin, label=label, days=days)
    assert caught.value.code == "request.token"


def test_tokens_are_listed_and_ended(services: Services, admin: str, wall: ManualClock) -> None:
    granted = services.operators.make_token(admin, label=" export ", days=2)
    [listed] = services.operators.sessions(admin)
    assert (listed.label, listed.kind) == ("export", SessionKind.TOKEN)
    with pytest.raises(NotFoundError):
        services.operators.revoke(admin, listed.id + 1)
    services.operators.revoke(admin, listed.id)
    assert services.operators.authenticate(granted.secret) is None
    what = [entry.what for entry in services.registry.audit(subject="operator-admin").items]
    assert f"token {listed.id} made" in what
    assert f"session {listed.id} ended" in what


@pytest.mark.parametrize(
    ("name", "password"),
    [("eve", "short"), ("eve", "x" * 257), ("../eve", PASSWORD), ("", PASSWORD)],
)
def test_an_account_that_can_not_be(services: Services, name: str, password: str) -> None:
    with pytest.raises(RequestError) as caught:
        services.operators.add(name, password, Role.VIEWER, who="test")
    assert caught.value.code == "request.operator"


def test_another_admin_frees_the_first(services: Services, admin: str) -> None:
    services.operators.add("bob", PASSWORD, Role.ADMIN, who=admin)
    assert services.operators.change(admin, who="bob", disabled=True).disabled
    with pytest.raises(SecurityError):
        services.operators.login(admin, PASSWORD, address="a")
    assert services.operators.change(admin, who="bob", disabled=False, role=Role.VIEWER)
    services.operators.login(admin, PASSWORD, address="a")
