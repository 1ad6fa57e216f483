"""Forms that people send, and what every page has around it: CSRF, and errors as pages."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, TypeAlias

from openami.headend.errors import RequestError
from openami.web.auth import CSRF_FIELD, CSRF_HEADER, SAFE_METHODS, check_csrf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from openami.web.auth import SignedIn

    Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

FIELD_LENGTH: Final = 2048  # of a line that somebody types; code, name and password are shorter


def text_in(form: FormData, name: str, *, most: int = FIELD_LENGTH) -> str:
    """Return what was typed into a field, empty if nothing was; ``most`` characters of it.

    A page in another character set may bring halves of characters, which no answer could repeat.

    Raises:
        RequestError: ``request.field``, it is too long.
    """
    value = form.get(name, "")
    text = value if isinstance(value, str) else ""
    if len(text) > most:
        raise RequestError(f"{name} has at most {most} characters", code="request.field")
    return text.encode("utf-8", "replace").decode()


async def check_form(
    request: Request, signed: SignedIn, read: Callable[[Request], Awaitable[FormData]]
) -> None:
    """Return unless a request changes something and another site may have made it.

    Args:
        request: carries the session's CSRF token in a header, or in its form.
        signed: whose session it has.
        read: returns the form, as large as forms of those pages are.

    Raises:
        SecurityError: ``security.csrf``.
    """
    if request.method in SAFE_METHODS:
        return
    token = request.headers.get(CSRF_HEADER)
    if token is None:
        token = text_in(await read(request), CSRF_FIELD)
    check_csrf(signed, token)


def told(page: Endpoint, say: Callable[[Request, Exception], Response]) -> Endpoint:
    """Return ``page`` with its errors as answers for people; ``say`` makes one."""

    @functools.wraps(page)
    async def endpoint(request: Request) -> Response:
        try:
            return await page(request)
        except Exception as error:  # noqa: BLE001 - a bug, too, is answered with a page
            return say(request, error)
        finally:
            await request.close()  # files that came with a form

    return endpoint
