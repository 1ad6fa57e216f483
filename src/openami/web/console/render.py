"""Templates to answers: pages, fragments, and what went wrong in the form that was asked for."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import HTMLResponse

from openami.fleet.operators import Role
from openami.fleet.registration import Standing
from openami.web.console import filters
from openami.web.rendering import answer_to, environment, wait_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.auth import Caller

TITLES: Final[Mapping[int, str]] = {
    400: "Not understood",
    403: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    503: "Not available now",
}
ELSE: Final = "Something went wrong"
OPEN: Final = (Standing.PENDING, Standing.BLOCKED)  # a person has to decide on these


class Renderer:
    """Renders the console's templates."""

    def __init__(self, services: Services) -> None:
        self._metrics = services.metrics
        self._registrations = services.registrations
        self._alarms = services.alarms
        self._zone = ZoneInfo(services.settings.timezone)
        self._templates = environment()
        self._templates.filters.update(filters.for_clock(services.clock, self._zone))

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the pages."""
        return self._zone

    async def page(self, template: str, context: Mapping[str, Any], *, caller: Caller) -> Response:
        """Return a whole page as an answer, with what waits for a person in its navigation."""
        waiting = await asyncio.to_thread(self._waiting)
        return self.html(template, {"waiting": waiting, **context}, caller=caller)

    def _waiting(self) -> dict[str, int]:
        counts = self._registrations.counts()
        undecided = sum(counts.get(standing, 0) for standing in OPEN)
        return {
            "registrations": undecided + self._registrations.asking(),
            "alarms": self._alarms.open_count(),
        }

    def html(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        caller: Caller | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Return a template as an answer; ``caller`` is who is signed in."""
        signed: dict[str, Any] = {"zone": self._zone.key}
        if caller is not None:
            signed |= {
                "operator": caller.session.operator,
                "csrf": caller.csrf,
                "can_act": caller.may(Role.OPERATOR),
                "can_rule": caller.may(Role.ADMIN),
            }
        found = self._templates.get_template(f"console/{template}.html")
        return HTMLResponse(found.render({**signed, **context}), status, headers)

    def error(self, request: Request, error: Exception) -> Response:
        """Return an error: JSON to a script, a line for the open page to htmx, else a page."""
        answer = answer_to(error, self._metrics)
        if wants_json(request):
            return answer
        status = answer.status_code
        context = {
            "title": TITLES.get(status, ELSE),
            "error": json.loads(bytes(answer.body))["error"],
        }
        headers = wait_in(answer)
        if is_fragment(request):
            aside = {"HX-Retarget": "#problem", "HX-Reswap": "innerHTML"}
            return self.html("problem", context, status=status, headers={**headers, **aside})
        return self.html("error", context, status=status, headers=headers)


def is_fragment(request: Request) -> bool:
    """Whether htmx asks, to put the answer into a page that is open."""
    return request.headers.get("HX-Request") == "true"


def wants_json(request: Request) -> bool:
    """Whether a script asks, for data."""
    return request.headers.get("accept", "").startswith("application/json")
