"""The page of all certificates that the head-end's authorities have issued."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from openami.fleet.certificates import CertificateKind
from openami.headend.errors import RequestError
from openami.headend.security.pki import REASONS
from openami.web.console.managed import SOON_DAYS
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

PAGE_URL: Final = "/certificates/issued"
SUBJECT_LENGTH: Final = 64
MOST_DAYS: Final = 36_500.0  # a hundred years, after which none of ours is good
GOOD, REVOKED, OVER = "good", "revoked", "over"
# what is asked for by each state
STATES: Final[Mapping[str, Mapping[str, bool]]] = {
    GOOD: {"revoked": False, "expired": False},
    REVOKED: {"revoked": True},
    OVER: {"revoked": False, "expired": True},
}


class Issued:
    """Shows certificates; who may revoke one does so by ``Certificates``."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._pki = services.pki
        self._wall = services.wall
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (("GET", PAGE_URL, self.issued),)

    async def issued(self, request: Request, caller: Caller) -> Response:
        query = request.query_params
        asked = {name: query.get(name, "").strip() for name in ("subject", "kind", "state", "days")}
        after = cursor_of(request)
        which = _which(asked)
        page = await asyncio.to_thread(self._pki.certificates, after=after, limit=PAGE, **which)
        context = {
            "rows": page.items,
            "asked": asked,
            "kinds": [kind.value for kind in CertificateKind],
            "states": tuple(STATES),
            "reasons": sorted(REASONS),
            "now": self._wall.now(),
            "soon": SOON_DAYS,
            "page_url": str(request.url.path) + (f"?{request.url.query}" * bool(query)),
            "next_url": next_url(PAGE_URL, asked, page.next),
            "here": "certificates",
        }
        return await self._renderer.page("issued", context, caller=caller)


def _which(asked: Mapping[str, str]) -> dict[str, Any]:
    """Return which certificates are asked for; only good ones are yet to end."""
    days = _days(asked["days"])
    if days is not None and asked["state"] in {REVOKED, OVER}:
        raise RequestError("only what is good is yet to end", code="request.days")
    return {
        "kind": CertificateKind(asked["kind"]) if asked["kind"] in set(CertificateKind) else None,
        "subject": asked["subject"][:SUBJECT_LENGTH] or None,
        "ending_days": days,
        **STATES.get(asked["state"], {}),
    }


def _days(text: str) -> float | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 5) or int(text) > MOST_DAYS:
        raise RequestError(f"days are 0 to {MOST_DAYS:.0f}", code="request.days")
    return float(text)
