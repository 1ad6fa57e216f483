"""Templates to answers: the customers' pages, and what went wrong, in the visitor's language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import HTMLResponse

from openami.headend.homes import tariff_of
from openami.web.portal.visitors import LANGUAGE_COOKIE
from openami.web.portal.words import Words
from openami.web.rendering import answer_to, environment, wait_in
from openami.web.texts import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.portal.visitors import Visitor

TEXTS: Final = catalogue(Path(__file__).resolve().parent / "texts")


class Renderer:
    """Renders the templates of the customers' pages."""

    def __init__(self, services: Services) -> None:
        self._metrics = services.metrics
        self._zone = ZoneInfo(services.settings.timezone)
        self._templates = environment()

    def words(self, request: Request, visitor: Visitor | None = None) -> Words:
        """Return how things are said to whom: their language, the time zone of their tariff."""
        chosen = request.cookies.get(LANGUAGE_COOKIE)
        if visitor is None:
            zone = self._zone
        else:
            chosen, zone = visitor.customer.language or chosen, tariff_of(visitor.customer).zone
        return Words(TEXTS.choose(chosen, request.headers.get("accept-language")), zone)

    def page(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any],
        *,
        visitor: Visitor | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Return a page as an answer; ``visitor`` is who is signed in."""
        words = self.words(request, visitor)
        common: dict[str, Any] = {
            "t": words.texts,
            "words": words,
            "path": request.url.path,
            "languages": tuple(TEXTS.languages),
            "visitor": visitor,
            "home": None,
            "here": "",
        }
        found = self._templates.get_template(f"portal/{template}.html")
        return HTMLResponse(
            found.render({**common, **context}),
            status,
            {"Vary": "Cookie, Accept-Language", **(headers or {})},
        )

    def error(self, request: Request, error: Exception) -> Response:
        """Return an error as a page, which says nothing that a stranger could learn from."""
        answer = answer_to(error, self._metrics)
        status = answer.status_code
        return self.page(
            request, "error", {"status": status}, status=status, headers=wait_in(answer)
        )
