"""Signing in and out, accepting an invitation, choosing a language; the guard before every page."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from openami.core.errors import SecurityError
from openami.headend.errors import BusyError, RequestError
from openami.web.auth import CSRF_FIELD, address_of, check_csrf, check_origin
from openami.web.forms import check_form, text_in, told
from openami.web.portal.render import TEXTS
from openami.web.portal.visitors import Visitor, find_visitor, let_in, let_out, speak

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from openami.core.errors import OpenAmiError
    from openami.headend.customers import GrantedHome
    from openami.headend.services import Services
    from openami.web.forms import Endpoint
    from openami.web.portal.render import Renderer

    Page: TypeAlias = Callable[[Request, Visitor], Awaitable[Response]]
    Entry: TypeAlias = tuple[str, str, Page]  # method, path, page

START: Final = "/my"
LOGIN: Final = "/my/login"
WELCOME: Final = "/my/welcome"
FIELDS: Final = 16  # of a form: ours have six


class Door:
    """Lets customers in and out."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def routes(self) -> Sequence[Route]:
        pages = (
            ("GET", LOGIN, self._form),
            ("POST", LOGIN, self._login),
            ("GET", WELCOME, self._invited),
            ("POST", WELCOME, self._accept),
            ("POST", "/my/language", self._language),
        )
        return [
            *(Route(path, self.told(page), methods=[method]) for method, path, page in pages),
            Route("/my/logout", self.guard(self._logout), methods=["POST"]),
        ]

    def guard(self, page: Page) -> Endpoint:
        """Return ``page`` for who is signed in, checked for CSRF, with its errors as answers."""

        @functools.wraps(page)
        async def guarded(request: Request) -> Response:
            visitor = await find_visitor(request)
            if visitor is None:
                return to_login(request)
            await check_form(request, visitor, form_of)
            return await page(request, visitor)

        return self.told(guarded)

    def told(self, page: Endpoint) -> Endpoint:
        """Return ``page`` with its errors as answers for people."""
        return told(page, self._renderer.error)

    async def _form(self, request: Request) -> Response:
        if await find_visitor(request) is not None:
            return RedirectResponse(START, 303)
        return self._renderer.page(request, "login", {"login": "", "problem": None})

    async def _login(self, request: Request) -> Response:
        form = await form_of(request)
        login = text_in(form, "login")
        customers = self._services.customers
        try:
            check_origin(request)
            granted = await asyncio.to_thread(
                customers.login, login, text_in(form, "password"), address=address_of(request)
            )
        except (SecurityError, BusyError) as error:
            return self._again(request, "login", {"login": login}, error, "signin.wrong")
        return self._enter(granted)

    async def _invited(self, request: Request) -> Response:
        return self._renderer.page(request, "welcome", {"code": "", "problem": None})

    async def _accept(self, request: Request) -> Response:
        form = await form_of(request)
        code, password = text_in(form, "code"), text_in(form, "password")
        if password != text_in(form, "again"):
            words = self._renderer.words(request).texts("welcome.differ")
            context = {"code": code, "problem": words}
            return self._renderer.page(request, "welcome", context, status=400)
        try:
            check_origin(request)
            granted = await asyncio.to_thread(
                self._services.customers.accept, code, password, address=address_of(request)
            )
        except RequestError as error:
            return self._again(request, "welcome", {"code": code}, error, "welcome.weak")
        except (SecurityError, BusyError) as error:
            return self._again(request, "welcome", {"code": code}, error, "welcome.wrong")
        return self._enter(granted)

    async def _language(self, request: Request) -> Response:
        form = await form_of(request)
        check_origin(request)
        language = text_in(form, "language")
        response = RedirectResponse(_back(text_in(form, "next")), 303)
        if language not in TEXTS:
            return response
        visitor = await find_visitor(request)
        if visitor is not None:
            check_csrf(visitor, text_in(form, CSRF_FIELD))
            login = visitor.customer.login
            await asyncio.to_thread(self._services.customers.speak, login, language)
        return speak(response, language)

    async def _logout(self, request: Request, visitor: Visitor) -> Response:
        del request
        await asyncio.to_thread(self._services.customers.logout, visitor.session)
        return let_out(RedirectResponse(LOGIN, 303))

    def _enter(self, granted: GrantedHome) -> Response:
        return let_in(RedirectResponse(START, 303), granted, now=self._services.wall.now())

    def _again(
        self,
        request: Request,
        template: str,
        context: Mapping[str, str],
        error: OpenAmiError,
        wrong: str,
    ) -> Response:
        """Return a form again, with what was wrong and from when on to try again."""
        texts = self._renderer.words(request).texts
        status, headers = (400 if isinstance(error, RequestError) else 401), {}
        problem = texts("signin.foreign" if error.code == "security.csrf" else wrong)
        if isinstance(error, BusyError):
            minutes = math.ceil(error.retry_after / 60)
            problem = texts("signin.slow", n=minutes, minutes=minutes)
            status, headers = 429, {"Retry-After": str(math.ceil(error.retry_after))}
        return self._renderer.page(
            request, template, {**context, "problem": problem}, status=status, headers=headers
        )


def to_login(request: Request) -> Response:
    """Return what sends somebody who is not signed in to the form."""
    if request.headers.get("HX-Request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": LOGIN})
    return RedirectResponse(LOGIN, 303)


async def form_of(request: Request) -> FormData:
    """Return the form that was sent."""
    return await request.form(max_files=0, max_fields=FIELDS)


def _back(path: str) -> str:
    """Return a page of the customers' that a form was on, else their first."""
    plain = path.replace("/", "").replace("-", "").isalnum()
    return path if path.startswith("/my/") and "//" not in path and plain else START
