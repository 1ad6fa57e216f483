"""Customers: the people whose homes are metered, and which meters are theirs from when until when.

Customers are no operators: they have names, passwords and sessions of their own, and what opens
one door opens nothing at the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.ports import Page

# Such as an e-mail address, in small letters: nobody remembers how they wrote theirs.
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9]([a-z0-9.-]{0,187}[a-z0-9])?")
MAX_LOGIN: Final = 254  # RFC 5321, 4.5.3.1.3, without its brackets
# A landlord has some; a page lists them all.
MAX_TENANCIES: Final = 256
# A family has some tablets and phones; a page lists them all.
MAX_SESSIONS: Final = 32
# Intervals are no longer: whoever comes at a full hour is never shown a part of one before.
STEP_S: Final = 3600


def login_of(text: str) -> str:
    """Return a login as it is kept; ValueError if it is none."""
    login = text.strip().lower()
    if len(login) > MAX_LOGIN or not _LOGIN.fullmatch(login):
        raise ValueError("a customer's login looks like an e-mail address")
    return login


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer; neither the password's hash nor an invitation's code leaves the store.

    Attributes:
        language: of the pages; None: what the browser asks for.
        tariff: the name of the tariff that their bills go by.
        discounts: ids of the tariff's discounts that they are given.
        invited_until: when the open invitation ends; None: there is none.
        accepted: whether a password was ever chosen.
    """

    login: str
    tariff: str
    language: str | None = None
    discounts: tuple[str, ...] = ()
    created: float = 0.0
    last_login: float | None = None
    disabled: bool = False
    invited_until: float | None = None
    accepted: bool = False

    def __post_init__(self) -> None:
        if login_of(self.login) != self.login:
            raise ValueError("a customer's login is in small letters")


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A meter is a customer's: what it measured in ``starts`` < t ≤ ``ends``, and nothing else.

    Both are full hours; ``ends`` is None as long as nobody has said when.
    """

    id: int
    customer: str
    meter: str
    starts: float
    ends: float | None = None

    def covers(self, at: float) -> bool:
        """Whether a moment belongs to it."""
        return self.starts <= at and (self.ends is None or at < self.ends)

    def clip(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of a span that belongs to it; an empty one begins where it ends."""
        begin = max(start, int(self.starts))
        stop = end if self.ends is None else min(end, int(self.ends))
        return begin, max(begin, stop)


@dataclass(frozen=True, slots=True)
class CustomerSession:
    """One open session of a customer; known by ``id``, never by the secret itself."""

    id: int
    customer: Customer
    created: float
    expires: float
    label: str = ""


Opened: TypeAlias = tuple[str, CustomerSession]
"""A new session, and before it its secret, which only its holder will ever know."""


class CustomerStore(Protocol):
    """Customers, their meters, invitations, passwords and sessions. Each change is in the audit.

    A session is opened together with the look at what it was asked for with: what is changed before
    is seen, what is changed after ends it. Each lasts ``lifetime`` from ``now`` on; beyond
    ``MAX_SESSIONS`` the oldest of the customer end.
    """

    def add(self, customer: Customer, *, who: str) -> Customer:
        """Add a customer; ConflictError if the login is taken."""
        ...

    def get(self, login: str) -> Customer: ...

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[Customer]: ...

    def change(self, customer: Customer, *, who: str, when: float) -> Customer:
        """Set language, tariff and discounts of a customer."""
        ...

    def set_disabled(self, login: str, disabled: bool, *, who: str, when: float) -> Customer:
        """Shut a customer out, ending sessions and invitation, or let them in again."""
        ...

    def invite(self, login: str, *, until: float, who: str, when: float) -> str:
        """Return the code of a new invitation, which takes the place of one before."""
        ...

    def accept(
        self, code: str, password: str, *, now: float, lifetime: float, label: str = ""
    ) -> Opened | None:
        """Use up an invitation: set the password, end every session of the customer, open one.

        None if the code is none of an open invitation; ValueError for a weak password.
        """
        ...

    def log_in(
        self, login: str, password: str, *, now: float, lifetime: float, label: str = ""
    ) -> Opened | None:
        """Open a session if login and password are right; it takes the same time if not."""
        ...

    def change_password(
        self, login: str, old: str, new: str, *, now: float, lifetime: float, label: str = ""
    ) -> Opened | None:
        """Set a password if the old one is right, end every session of the customer, open one.

        None if it is not; ValueError for a weak new one.
        """
        ...

    def assign(self, login: str, meter: str, *, starts: float, who: str, when: float) -> Tenancy:
        """Make a meter a customer's.

        Raises:
            NotFoundError: there is no such customer or meter.
            ConflictError: ``customer.meter``, the meter is somebody's then or later;
                ``customer.meters``, the customer has ``MAX_TENANCIES`` already.
        """
        ...

    def end(self, tenancy: int, *, ends: float, who: str, when: float) -> Tenancy:
        """Say when a meter ceases to be a customer's; ConflictError ``customer.end``."""
        ...

    def tenancies(self, login: str) -> Sequence[Tenancy]:
        """Return a customer's meters, the newest first."""
        ...

    def of_meter(self, meter: str) -> Sequence[Tenancy]:
        """Return whose a meter was and is, the newest first."""
        ...

    def moved(self, *, after: float, until: float) -> frozenset[str]:
        """Return the meters of which a tenancy began or ended in ``after`` < t ≤ ``until``."""
        ...

    def session(self, secret: str, *, now: float) -> CustomerSession | None:
        """Return the session of a secret unless it is over or its customer is shut out."""
        ...

    def sessions(self, login: str, *, now: float) -> Sequence[CustomerSession]: ...

    def close_session(self, session_id: int) -> None: ...
