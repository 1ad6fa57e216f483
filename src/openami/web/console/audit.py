"""The page of the audit log."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from openami.fleet.operators import Role
from openami.headend.errors import RequestError
from openami.web.console.forms import demand
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

PAGE_URL: Final = "/audit"
LENGTH: Final = 128  # as long as the API lets it be
FIELDS: Final = ("who", "what", "subject", "since", "until")


class Audit:
    """Shows who did what, and how far the chain goes."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._trail = services.audit
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (("GET", PAGE_URL, self.audit),)

    async def audit(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.ADMIN)
        asked = {name: request.query_params.get(name, "").strip()[:LENGTH] for name in FIELDS}
        which, after = _which(asked, self._renderer.zone), cursor_of(request)
        page = await asyncio.to_thread(self._trail.log.list, **which, after=after, limit=PAGE)
        context = {
            "rows": page.items,
            "asked": asked,
            "sought": any(asked.values()),
            "chain": await asyncio.to_thread(self._trail.state),
            "next_url": next_url(PAGE_URL, asked, page.next),
            "here": "audit",
        }
        return await self._renderer.page("audit", context, caller=caller)


def _which(asked: Mapping[str, str], zone: ZoneInfo) -> dict[str, Any]:
    words = {name: asked[name] or None for name in ("who", "what", "subject")}
    return {**words, **{name: _moment(asked[name], zone) for name in ("since", "until")}}


def _moment(text: str, zone: ZoneInfo) -> float | None:
    """Return a time that was typed into a form, in the time zone of the pages."""
    if not text:
        return None
    try:
        typed = datetime.fromisoformat(text)
        return (typed if typed.tzinfo else typed.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError) as error:
        raise RequestError("a time is such as 2026-01-31 08:00", code="request.time") from error
