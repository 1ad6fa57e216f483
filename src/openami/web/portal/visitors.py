"""Who is asking at the customers' pages: a cookie of their own, which opens no other door.

An operator's cookie says nothing here, and a customer's nothing to the console: other names, other
tables. A customer comes to a meter only through a tenancy of their own, by its number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import NotFoundError
from openami.web.auth import SECRET_LENGTH, csrf_token, forget_cookie, keep_cookie, services_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.customers import Customer, CustomerSession, Tenancy
    from openami.headend.customers import GrantedHome

COOKIE: Final = "__Host-openami-home"
LANGUAGE_COOKIE: Final = "openami-language"
LANGUAGE_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Visitor:
    """A customer who is signed in, and their meters, the newest first."""

    session: CustomerSession
    secret: str = field(repr=False)
    tenancies: tuple[Tenancy, ...] = ()

    @property
    def customer(self) -> Customer:
        return self.session.customer

    @property
    def csrf(self) -> str:
        """The CSRF token of the session."""
        return csrf_token(self.secret)

    def home(self, number: str) -> Tenancy:
        """Return one of their own tenancies; NotFoundError for any other number."""
        for tenancy in self.tenancies:
            if str(tenancy.id) == number:
                return tenancy
        raise NotFoundError("there is no such page", code="request.unknown-path")


async def find_visitor(request: Request) -> Visitor | None:
    """Return who is asking, None if they are not signed in."""
    secret = request.cookies.get(COOKIE)
    if secret is None or len(secret) > SECRET_LENGTH:
        return None
    return await asyncio.to_thread(_visitor, request, secret)


def _visitor(request: Request, secret: str) -> Visitor | None:
    customers = services_of(request).customers
    session = customers.authenticate(secret)
    if session is None:
        return None
    found = customers.tenancies(session.customer.login)
    # A home that was given back before it began was never theirs.
    return Visitor(session, secret, tuple(one for one in found if one.ends != one.starts))


def let_in(response: Response, granted: GrantedHome, *, now: float) -> Response:
    """Let the browser keep a session until it ends."""
    keep_cookie(response, COOKIE, granted.secret, granted.session.expires - now)
    return response


def let_out(response: Response) -> Response:
    """Let the browser forget its session."""
    forget_cookie(response, COOKIE)
    return response


def speak(response: Response, language: str) -> Response:
    """Let the browser remember a language for who is not signed in."""
    response.set_cookie(
        LANGUAGE_COOKIE, language, max_age=LANGUAGE_S, path="/my", secure=True, httponly=True,
        samesite="lax",
    )  # fmt: skip
    return response
