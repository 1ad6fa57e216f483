"""Who is asking: a browser's cookie or a program's token, and what each has to prove.

A cookie goes along with every request that a browser makes to us, also with one that another site
made it send. So a request that changes something and is known by its cookie must also carry the
session's CSRF token, in the header ``X-CSRF-Token`` or a form's field ``csrf_token``. A token in
the ``Authorization`` header goes along with nothing by itself and needs none.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from openami.core.errors import SecurityError
from openami.fleet.operators import Role, SessionKind

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

    from openami.fleet.operators import Session
    from openami.headend.operators import Granted
    from openami.headend.services import Services

COOKIE: Final = "__Host-openami"  # the prefix makes browsers insist on Secure and on this host
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf_token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SECRET_LENGTH: Final = 256  # ours are shorter; what is longer is not looked up


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, with an open session or token."""

    session: Session
    secret: str = field(repr=False)
    by_cookie: bool

    @property
    def name(self) -> str:
        return self.session.operator.name

    @property
    def role(self) -> Role:
        return self.session.operator.role

    @property
    def csrf(self) -> str:
        """The CSRF token of the session, for pages and for programs that log in."""
        return csrf_token(self.secret)

    def may(self, role: Role) -> bool:
        """Whether the caller may do what ``role`` may."""
        return self.role.includes(role)


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the head-end that a request came to."""
    services: Services = connection.app.state.services
    return services


def csrf_token(secret: str) -> str:
    """Return the CSRF token that belongs to a session's secret, and tells nothing of it."""
    return hmac.new(secret.encode(), b"openami csrf", hashlib.sha256).hexdigest()


def caller_of(request: HTTPConnection) -> Caller | None:
    """Return who is asking, None if they are not logged in. Blocks: see ``find_caller``."""
    secret, kind = _credential(request)
    if secret is None or len(secret) > SECRET_LENGTH:
        return None
    session = services_of(request).operators.authenticate(secret)
    if session is None or session.kind is not kind:
        return None
    return Caller(session, secret, by_cookie=kind is SessionKind.SESSION)


async def find_caller(request: HTTPConnection) -> Caller | None:
    """Return who is asking, None if they are not logged in."""
    return await asyncio.to_thread(caller_of, request)


def require(request: Request, role: Role) -> Caller:
    """Return who is asking, who may do what ``role`` may. Blocks.

    Raises:
        SecurityError: ``security.session`` nobody, ``security.role`` somebody who may not,
            ``security.csrf`` a request that another site may have made.
    """
    caller = caller_of(request)
    if caller is None:
        raise SecurityError(
            "log in first", code="security.session", hint="POST /api/v1/login, or send a token"
        )
    if not caller.may(role):
        raise SecurityError(f"this takes the role {role}", code="security.role")
    if caller.by_cookie and request.method not in SAFE_METHODS:
        check_csrf(caller, request.headers.get(CSRF_HEADER))
    return caller


class SignedIn(Protocol):
    """Who has a session, with the CSRF token that belongs to it."""

    @property
    def csrf(self) -> str: ...


def check_csrf(caller: SignedIn, token: str | None) -> None:
    """Return if ``token`` is the CSRF token of the caller's session.

    Raises:
        SecurityError: ``security.csrf``.
    """
    if token is None or not hmac.compare_digest(token.encode(), caller.csrf.encode()):
        raise SecurityError(
            "the request does not carry the session's CSRF token",
            code="security.csrf",
            hint=f"send it in the header {CSRF_HEADER}; GET /api/v1/session tells it",
        )


def check_origin(request: Request) -> None:
    """Return unless a browser says that another site made this request, such as a log-in.

    Raises:
        SecurityError: ``security.csrf``.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return
    public = services_of(request).settings.public_url or ""
    site = urlsplit(origin).netloc
    if not site or site not in {request.headers.get("host"), urlsplit(public).netloc}:
        raise SecurityError("the request came from another site", code="security.csrf")


def address_of(request: HTTPConnection) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "unknown"


def set_cookie(response: Response, granted: Granted, *, now: float) -> None:
    """Let the browser keep a session until it ends."""
    keep_cookie(response, COOKIE, granted.secret, granted.session.expires - now)


def clear_cookie(response: Response) -> None:
    """Let the browser forget its session."""
    forget_cookie(response, COOKIE)


def keep_cookie(response: Response, name: str, secret: str, left: float) -> None:
    """Let the browser keep a secret for some seconds, and send it to nobody but us."""
    response.set_cookie(
        name, secret, max_age=max(0, int(left)), path="/", secure=True, httponly=True,
        samesite="strict",
    )  # fmt: skip


def forget_cookie(response: Response, name: str) -> None:
    """Let the browser forget a secret."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")


def _credential(request: HTTPConnection) -> tuple[str | None, SessionKind]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip(), SessionKind.TOKEN
    return request.cookies.get(COOKIE), SessionKind.SESSION
