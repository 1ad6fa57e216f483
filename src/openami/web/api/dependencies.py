"""What endpoints need of a request: the services, who is asking, a page, a time range."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Query, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from openami.core.clock import parse_utc
from openami.fleet.operators import Role
from openami.fleet.ports import MAX_PAGE
from openami.fleet.tasks import MAX_KEY, Ticket
from openami.headend.errors import RequestError
from openami.headend.readings import Span
from openami.headend.services import Services
from openami.web.api.models.common import ErrorBody, Model
from openami.web.auth import COOKIE, Caller, require, services_of

# For the OpenAPI document only: what they find is checked in ``openami.web.auth``.
_cookie = APIKeyCookie(name=COOKIE, scheme_name="session", auto_error=False)
_bearer = HTTPBearer(scheme_name="token", auto_error=False)
Cookie = Annotated[Any, Depends(_cookie)]
Bearer = Annotated[Any, Depends(_bearer)]


def _services(request: Request) -> Services:
    return services_of(request)


def _role(role: Role) -> Callable[..., Caller]:
    def dependency(request: Request, cookie: Cookie, token: Bearer) -> Caller:
        del cookie, token
        return require(request, role)

    return dependency


Head = Annotated[Services, Depends(_services)]
Viewer = Annotated[Caller, Depends(_role(Role.VIEWER))]
OperatorCaller = Annotated[Caller, Depends(_role(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(_role(Role.ADMIN))]

After = Annotated[str | None, Query(max_length=512, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most items in the page.")]
Time = Annotated[
    str | None,
    Query(max_length=40, description="ISO 8601; UTC if it has no offset.", examples=["2026-01-01"]),
]

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=MAX_KEY,
        description="Chosen by the client, new for each thing that is made: such as a UUID. The"
        " same with another body is refused with 422: `dm.key`, `campaign.key`, `demand.key`.",
    ),
]


def ticket_of(key: str | None, wish: Model, *more: str) -> Ticket | None:
    """Return the ticket of a request with an ``Idempotency-Key``.

    Args:
        key: the header; None: there is no ticket.
        wish: the body.
        more: what else of the request says what is wished.
    """
    if key is None:
        return None
    said = "\n".join((wish.model_dump_json(), *more))
    return Ticket(key, hashlib.sha256(said.encode()).hexdigest())


def span(start: Time = None, end: Time = None) -> Span:
    """Return the time range of a request: after ``start``, up to and with ``end``."""
    return Span(_seconds(start), _seconds(end))


Range = Annotated[Span, Depends(span)]


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        # A plus sign that was not escaped in a query arrives as a space.
        return int(parse_utc(text.replace(" ", "+") if "T" in text else text))
    except (ValueError, OverflowError) as error:
        raise RequestError(
            "a time is ISO 8601, such as 2026-01-31T12:00:00Z", code="request.time"
        ) from error


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers of an endpoint that are errors, for the OpenAPI document."""
    return {
        status: {"model": ErrorBody, "description": DESCRIPTIONS[status]}
        for status in sorted({401, 403, 422, *statuses})
    }


DESCRIPTIONS: Final = {
    400: "The request can not be what is meant.",
    401: "Nobody is logged in.",
    403: "Whoever is logged in may not do this, or the CSRF token is missing.",
    404: "There is no such thing.",
    409: "It can not be done as things are.",
    413: "The body is too large.",
    422: "The request does not fit its description.",
    429: "Too often; `Retry-After` says when.",
    502: "The meter refused it, or answered something else.",
    503: "Not now; `Retry-After` says when.",
    504: "The meter did not answer.",
}
