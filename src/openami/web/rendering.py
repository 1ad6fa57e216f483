"""What pages for operators and for customers are made with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2
from starlette.exceptions import HTTPException

from openami import __version__
from openami.core.errors import OpenAmiError
from openami.headend.errors import RequestError
from openami.web.errors import ROUTER_CODES, incident, respond

if TYPE_CHECKING:
    from starlette.responses import JSONResponse

    from openami.headend.metrics import Metrics

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"


def environment() -> jinja2.Environment:
    """Return an environment of all templates, which puts nothing into a page as it came."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["version"] = __version__
    return found


def answer_to(error: Exception, metrics: Metrics) -> JSONResponse:
    """Return what a program is answered, which has what a page says: it is counted or logged."""
    if isinstance(error, HTTPException):  # the framework's, such as for a form it cannot read
        code = ROUTER_CODES.get(error.status_code, "request")
        error = RequestError(error.detail, code=code)
    if not isinstance(error, OpenAmiError):
        return incident(error)
    metrics.refused(error.code)
    return respond(error)


def wait_in(answer: JSONResponse) -> dict[str, str]:
    """Return the header that says when to come again, if an answer has it."""
    wait = answer.headers.get("Retry-After")
    return {} if wait is None else {"Retry-After": wait}
