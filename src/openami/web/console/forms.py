"""What the forms of the pages have in common: who may send one, what is in it, where it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from openami.core.errors import SecurityError
from openami.headend.errors import RequestError
from openami.web import forms
from openami.web.console.render import is_fragment
from openami.web.console.signing import form_of, local_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from openami.fleet.operators import Role
    from openami.web.auth import Caller

MAX_FIELD: Final = 8192  # characters: a wanted value is the longest that anybody types


def demand(caller: Caller, role: Role) -> None:
    """Return if the caller may do what ``role`` may; SecurityError ``security.role``."""
    if not caller.may(role):
        raise SecurityError(f"this takes the role {role}", code="security.role")


async def fields_of(request: Request, caller: Caller, role: Role) -> FormData:
    """Return what was sent by who may do what ``role`` may; SecurityError ``security.role``."""
    demand(caller, role)
    return await form_of(request)


def text_in(form: FormData, name: str) -> str:
    """Return what was typed into a field, without blanks around it.

    Raises:
        RequestError: ``request.field``, it is too long.
    """
    return forms.text_in(form, name, most=MAX_FIELD).strip()


def texts_in(form: FormData, names: Iterable[str]) -> dict[str, str]:
    """Return what was typed into some fields."""
    return {name: text_in(form, name) for name in names}


def sure(form: FormData) -> None:
    """Return if the box was ticked that says whom a change concerns.

    Raises:
        RequestError: ``request.sure``.
    """
    if not text_in(form, "sure"):
        raise RequestError("tick the box that says whom this concerns", code="request.sure")


async def file_in(form: FormData, name: str) -> bytes:
    """Return the file that was chosen.

    Raises:
        RequestError: ``request.file``, there is none.
    """
    value = form.get(name)
    octets = await value.read() if isinstance(value, UploadFile) else b""
    if not octets:
        raise RequestError("choose a file that is not empty", code="request.file")
    return octets


def onward(request: Request, url: str) -> Response:
    """Return what leads to another page, also from a form that htmx has sent."""
    if is_fragment(request):
        return Response(status_code=204, headers={"HX-Redirect": url})
    return RedirectResponse(url, 303)


def back(form: FormData, otherwise: str) -> Response:
    """Return what leads to the page that the form was on."""
    asked = text_in(form, "next")
    return RedirectResponse(local_path(asked) if asked else otherwise, 303)
