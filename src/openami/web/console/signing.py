"""Signing in and out, and the guard before every page."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlencode, urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from openami.core.errors import SecurityError
from openami.headend.errors import BusyError
from openami.web.auth import (
    SAFE_METHODS,
    Caller,
    address_of,
    check_origin,
    clear_cookie,
    find_caller,
    set_cookie,
)
from openami.web.console.filters import duration
from openami.web.console.render import is_fragment, wants_json
from openami.web.errors import respond, status_of
from openami.web.forms import check_form, text_in, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from openami.core.errors import OpenAmiError
    from openami.headend.services import Services
    from openami.web.console.render import Renderer
    from openami.web.forms import Endpoint

    Page: TypeAlias = Callable[[Request, Caller], Awaitable[Response]]
    Entry: TypeAlias = tuple[str, str, Page]  # method, path, page

HOME: Final = "/"
LOGIN: Final = "/login"
NAME_LENGTH: Final = 64  # as long as an operator's name may be
FIELDS: Final = 256  # of a form: a campaign's has six for each of its groups
FILES: Final = 1  # of a form: a list, a certificate
TARGET_LENGTH: Final = 2048  # of the path to go on to: ours are shorter


class Signing:
    """Lets operators in and out."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def routes(self) -> Sequence[Route]:
        return (
            Route(LOGIN, self._told(self._form), methods=["GET"]),
            Route(LOGIN, self._told(self._login), methods=["POST"]),
            Route("/logout", self.guard(self._logout), methods=["POST"]),
        )

    def guard(self, page: Page) -> Endpoint:
        """Return ``page`` for who is signed in, checked for CSRF, with its errors as answers."""

        @functools.wraps(page)
        async def guarded(request: Request) -> Response:
            caller = await find_caller(request)
            if caller is None or not caller.by_cookie:
                return to_login(request)
            await check_form(request, caller, form_of)
            return await page(request, caller)

        return self._told(guarded)

    def _told(self, page: Endpoint) -> Endpoint:
        return told(page, self._renderer.error)

    async def _form(self, request: Request) -> Response:
        target = local_path(request.query_params.get("next"))
        caller = await find_caller(request)
        if caller is not None and caller.by_cookie:
            return RedirectResponse(target, 303)
        return self._renderer.html("login", {"next": target, "name": "", "error": None})

    async def _login(self, request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=FIELDS)
        name, password = text_in(form, "name")[:NAME_LENGTH], text_in(form, "password")
        target = local_path(text_in(form, "next"))
        try:
            check_origin(request)
            granted = await asyncio.to_thread(
                self._services.operators.login, name, password, address=address_of(request)
            )
        except (SecurityError, BusyError) as error:
            return self._refused(error, {"next": target, "name": name})
        response = RedirectResponse(target, 303)
        set_cookie(response, granted, now=self._services.wall.now())
        return response

    def _refused(self, error: OpenAmiError, context: Mapping[str, str]) -> Response:
        """Return the form again, with what went wrong and from when on to try again."""
        wait = respond(error).headers.get("Retry-After")
        why = error.message if wait is None else f"{error.message}; wait {duration(int(wait))}"
        return self._renderer.html(
            "login",
            {**context, "error": why},
            status=status_of(error),
            headers={} if wait is None else {"Retry-After": wait},
        )

    async def _logout(self, request: Request, caller: Caller) -> Response:
        del request
        await asyncio.to_thread(self._services.operators.logout, caller.session)
        response = RedirectResponse(LOGIN, 303)
        clear_cookie(response)
        return response


def to_login(request: Request) -> Response:
    """Return what sends somebody who is not signed in to the form, and then back to their page."""
    if wants_json(request):
        return respond(SecurityError("sign in first", code="security.session"))
    if is_fragment(request):
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        return Response(status_code=401, headers={"HX-Redirect": _login_url(page.path, page.query)})
    if request.method not in SAFE_METHODS:
        return RedirectResponse(LOGIN, 303)
    return RedirectResponse(_login_url(request.url.path, request.url.query), 303)


def local_path(target: str | None) -> str:
    r"""Return ``target`` if it is a path of ours, else the first page: never another site's.

    Browsers take ``\`` for ``/`` and pass over control characters and blanks (URL standard, 4.4).
    """
    if not target or len(target) > TARGET_LENGTH:
        return HOME
    foreign = not target.startswith("/") or target.startswith("//")
    odd = any(character <= " " or character in "\\\x7f" for character in target)
    return HOME if foreign or odd else target


def _login_url(path: str, query: str) -> str:
    target = local_path(f"{path}?{query}" if query else path)
    return LOGIN if target == HOME else f"{LOGIN}?{urlencode({'next': target})}"


async def form_of(request: Request) -> FormData:
    """Return the form that somebody who is signed in has sent."""
    return await request.form(max_files=FILES, max_fields=FIELDS)
