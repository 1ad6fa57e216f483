"""Customers: who they are, which meters are theirs, how they come in."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypedDict

from openami.core.errors import ConfigError, NotFoundError
from openami.fleet.customers import MAX_LOGIN, STEP_S, Customer, login_of
from openami.headend.errors import RequestError
from openami.headend.logins import PASSWORD_LENGTH, Door
from openami.mdm.tariffs.billing import check_discounts
from openami.mdm.tariffs.catalog import tariff_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from openami.core.clock import Clock
    from openami.fleet.customers import CustomerSession, CustomerStore, Opened, Tenancy
    from openami.fleet.ports import Page
    from openami.headend.metrics import Metrics
    from openami.headend.settings import HeadendSettings

DAY: Final = 86_400.0
LANGUAGES: Final = ("en", "ko")
CODE_LENGTH: Final = 64  # ours have 23 characters
LABEL_LENGTH: Final = 100


class _Terms(TypedDict):
    now: float
    lifetime: float
    label: str


@dataclass(frozen=True, slots=True)
class GrantedHome:
    """A customer's session and its secret, which is kept nowhere."""

    session: CustomerSession
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A code that lets its holder choose a password, once, until it ends; it is kept nowhere."""

    customer: Customer
    until: float
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Details:
    """What an operator decides about a customer; None leaves it as it is."""

    tariff: str | None = None
    discounts: tuple[str, ...] | None = None
    language: str | None = None


class Customers:
    """Who may see which meter. Sessions go by the machine's time, tenancies by that of meters."""

    def __init__(
        self,
        customers: CustomerStore,
        *,
        clock: Clock,
        wall: Clock,
        metrics: Metrics,
        settings: HeadendSettings,
    ) -> None:
        self._customers = customers
        self._clock = clock
        self._wall = wall
        self._settings = settings
        self._door = Door(wall=wall, metrics=metrics, settings=settings)

    # --- for operators --------------------------------------------------------------------------

    def add(self, login: str, details: Details, *, who: str) -> Customer:
        """Add a customer, who can come in once they have accepted an invitation.

        Raises:
            RequestError: ``request.customer``, login, language, tariff or discounts can not be.
            ConflictError: ``customer.exists``.
        """
        blank = Customer(_login(login), self._settings.customer_tariff, created=self._wall.now())
        return self._customers.add(_with(blank, details), who=who)

    def get(self, login: str) -> Customer:
        """Return a customer; NotFoundError."""
        return self._customers.get(_login(login))

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[Customer]:
        """Return the customers by their logins."""
        return self._customers.list(after=after, limit=limit)

    def change(self, login: str, details: Details, *, who: str) -> Customer:
        """Change what is decided about a customer; RequestError ``request.customer``."""
        changed = _with(self.get(login), details)
        return self._customers.change(changed, who=who, when=self._wall.now())

    def set_disabled(self, login: str, disabled: bool, *, who: str) -> Customer:
        """Shut a customer out, ending every session, or let them in again."""
        return self._customers.set_disabled(_login(login), disabled, who=who, when=self._wall.now())

    def invite(self, login: str, *, who: str, days: float | None = None) -> Invitation:
        """Return a new invitation; whoever has it chooses the password, so no operator knows it.

        Raises:
            RequestError: ``request.invitation``, it would be open for too long.
            ConflictError: ``customer.disabled``.
        """
        most = self._settings.invitation_days
        length = most if days is None else days
        if not 0 < length <= most:
            raise RequestError(
                f"an invitation is open for up to {most:g} days", code="request.invitation"
            )
        now = self._wall.now()
        until = now + length * DAY
        code = self._customers.invite(_login(login), until=until, who=who, when=now)
        return Invitation(self.get(login), until, code)

    def assign(self, login: str, meter: str, *, who: str, starts: float | None = None) -> Tenancy:
        """Make a meter a customer's from a moment on: the next full hour, now if none is given.

        Raises:
            NotFoundError: there is no such customer or meter.
            ConflictError: ``customer.meter``, the meter is somebody's then or later.
        """
        begin = self._clock.now() if starts is None else starts
        hour = math.ceil(begin / STEP_S) * STEP_S
        return self._customers.assign(
            _login(login), meter, starts=hour, who=who, when=self._wall.now()
        )

    def end(self, login: str, meter: str, *, who: str, ends: float | None = None) -> Tenancy:
        """End a customer's meter at a moment: the last full hour, now if none is given.

        Raises:
            NotFoundError: the meter is not theirs.
            ConflictError: ``customer.end``, it would end before it begins.
        """
        last = self._clock.now() if ends is None else ends
        theirs = [one for one in self.tenancies(login) if one.meter == meter and one.ends is None]
        if not theirs:
            raise NotFoundError(f"meter {meter} is not {login}'s")
        hour = max(math.floor(last / STEP_S) * STEP_S, 0)
        if ends is None:  # given back in the hour it was taken in: nothing of it was theirs
            hour = max(hour, int(theirs[0].starts))
        return self._customers.end(theirs[0].id, ends=hour, who=who, when=self._wall.now())

    def tenancies(self, login: str) -> Sequence[Tenancy]:
        """Return a customer's meters from when until when, the newest first."""
        return self._customers.tenancies(_login(login))

    def of_meter(self, meter: str) -> Sequence[Tenancy]:
        """Return whose a meter was and is, the newest first."""
        return self._customers.of_meter(meter)

    # --- for customers --------------------------------------------------------------------------

    def login(self, login: str, password: str, *, address: str) -> GrantedHome:
        """Open a session.

        Raises:
            SecurityError: ``security.login``, name or password is wrong.
            BusyError: ``security.throttled``, too many wrong ones came from there.
        """
        name = login.strip().lower()[: MAX_LOGIN + 1]  # what is cut off makes none of ours
        return self._let_in(
            name,
            address,
            lambda: self._log_in(name, password, address),
            "name or password is wrong",
        )

    def accept(self, code: str, password: str, *, address: str) -> GrantedHome:
        """Use up an invitation and open a session.

        Raises:
            SecurityError: ``security.login``, the invitation is not open or not known.
            BusyError: ``security.throttled``.
            RequestError: ``request.password``, it is too short or too long.
        """
        return self._let_in(
            address, address, lambda: self._accept(code, password, address), "no such invitation"
        )

    def authenticate(self, secret: str) -> CustomerSession | None:
        """Return the open session of a cookie, None if there is none."""
        return self._customers.session(secret, now=self._wall.now())

    def logout(self, session: CustomerSession) -> None:
        """End a session."""
        self._customers.close_session(session.id)

    def sessions(self, login: str) -> Sequence[CustomerSession]:
        """Return the open sessions of a customer."""
        return self._customers.sessions(login, now=self._wall.now())

    def change_password(self, login: str, old: str, new: str, *, address: str) -> GrantedHome:
        """Set a customer's own password; every session ends, and a new one begins.

        Raises:
            SecurityError: ``security.login``, the old one is wrong.
            BusyError: ``security.throttled``.
            RequestError: ``request.password``, the new one is too short or too long.
        """
        return self._let_in(
            login, address, lambda: self._change(login, old, new, address), "the password is wrong"
        )

    def speak(self, login: str, language: str) -> Customer:
        """Keep the language that a customer has chosen for their pages."""
        return self.change(login, Details(language=language), who=login)

    def _log_in(self, name: str, password: str, address: str) -> Opened | None:
        if len(password) > PASSWORD_LENGTH:
            return None
        return self._customers.log_in(name, password, **self._session(address))

    def _accept(self, code: str, password: str, address: str) -> Opened | None:
        if len(code) > CODE_LENGTH:
            return None
        with _chosen(password):
            return self._customers.accept(code, password, **self._session(address))

    def _change(self, login: str, old: str, new: str, address: str) -> Opened | None:
        if len(old) > PASSWORD_LENGTH:
            return None
        with _chosen(new):
            return self._customers.change_password(login, old, new, **self._session(address))

    def _let_in(
        self, name: str, address: str, check: Callable[[], Opened | None], wrong: str
    ) -> GrantedHome:
        secret, session = self._door.admit(name, address, check, wrong)
        return GrantedHome(session, secret)

    def _session(self, address: str) -> _Terms:
        return {
            "now": self._wall.now(),
            "lifetime": self._settings.customer_session_days * DAY,
            "label": address[:LABEL_LENGTH],
        }


@contextmanager
def _chosen(password: str) -> Iterator[None]:
    """Say what is wrong with a password that somebody chooses; RequestError."""
    try:
        _check_password(password)
        yield
    except ValueError as error:
        raise RequestError(str(error), code="request.password") from error


def _check_password(password: str) -> None:
    if len(password) > PASSWORD_LENGTH:
        raise ValueError(f"a password has at most {PASSWORD_LENGTH} characters")


def _login(text: str) -> str:
    try:
        return login_of(text)
    except ValueError as error:
        raise RequestError(str(error), code="request.customer") from error


def _with(customer: Customer, details: Details) -> Customer:
    """Return a customer with what was decided, if all of it can be."""
    given = {name: value for name in ("tariff", "discounts", "language")
             if (value := getattr(details, name)) is not None}  # fmt: skip
    changed = replace(customer, **given)
    if changed.language not in (None, *LANGUAGES):
        known = ", ".join(LANGUAGES)
        raise RequestError(f"a language is one of {known}", code="request.customer")
    try:
        check_discounts(tariff_named(changed.tariff), changed.discounts)
    except ConfigError as error:
        raise RequestError(error.message, hint=error.hint, code="request.customer") from error
    return changed
