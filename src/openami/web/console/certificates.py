"""The page of certificates: authorities, trusted manufacturers, lists of what is revoked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography import x509

from openami.crypto.certificates import fingerprint
from openami.fleet.operators import Role
from openami.headend.registry import reason
from openami.headend.security.authorities import DAY
from openami.headend.security.issued import serial_number
from openami.web.console.forms import back, fields_of, file_in, text_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.certificates import TrustAnchor
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

PAGE_URL = "/certificates"


@dataclass(frozen=True, slots=True)
class AuthorityRow:
    """An authority of this head-end; ``ends`` in UTC seconds."""

    name: str
    subject: str
    fingerprint: bytes
    ends: float
    days_left: float


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """A manufacturer's certificate; ``list_ends``: of its own list of what it has revoked."""

    anchor: TrustAnchor
    subject: str
    fingerprint: bytes
    ends: float
    list_ends: float | None


class Certificates:
    """Shows whom the head-end believes, and lets administrators say whom."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._pki = services.pki
        self._wall = services.wall
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", PAGE_URL, self.certificates),
            ("POST", "/certificates/anchors", self.add_anchor),
            ("POST", "/certificates/anchors/lists", self.take_list),
            ("POST", "/certificates/anchors/{fingerprint}/remove", self.remove_anchor),
            ("POST", "/certificates/{serial}/revoke", self.revoke),
        )

    async def certificates(self, request: Request, caller: Caller) -> Response:
        del request
        context = await asyncio.to_thread(self._shown)
        return await self._renderer.page("certificates", context, caller=caller)

    def _shown(self) -> dict[str, Any]:
        now = self._wall.now()
        authorities = self._pki.authorities().items()
        return {
            "authorities": [_authority(name, found, now) for name, found in authorities],
            "anchors": [_anchor(anchor) for anchor in self._pki.anchors()],
            "now": now,
            "here": "certificates",
        }

    async def add_anchor(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.ADMIN)
        name, text = text_in(form, "manufacturer"), await file_in(form, "certificate")
        await asyncio.to_thread(self._pki.add_anchor, name, text, who=caller.name)
        return back(form, PAGE_URL)

    async def take_list(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.ADMIN)
        text = await file_in(form, "crl")
        await asyncio.to_thread(self._pki.take_anchor_list, text, who=caller.name)
        return back(form, PAGE_URL)

    async def remove_anchor(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.ADMIN)
        removed = request.path_params["fingerprint"]
        await asyncio.to_thread(self._pki.remove_anchor, removed, who=caller.name)
        return back(form, PAGE_URL)

    async def revoke(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.ADMIN)
        serial = serial_number(request.path_params["serial"])
        why = reason(text_in(form, "why"))
        await asyncio.to_thread(
            self._pki.revoke,
            serial,
            text_in(form, "reason"),
            when=self._wall.now(),
            who=caller.name,
            why=why,
        )
        return back(form, PAGE_URL)


def _authority(name: str, found: x509.Certificate, now: float) -> AuthorityRow:
    ends = found.not_valid_after_utc.timestamp()
    left = max(0.0, (ends - now) / DAY)
    return AuthorityRow(name, found.subject.rfc4514_string(), fingerprint(found), ends, left)


def _anchor(anchor: TrustAnchor) -> AnchorRow:
    found = x509.load_der_x509_certificate(anchor.der)
    return AnchorRow(
        anchor,
        found.subject.rfc4514_string(),
        fingerprint(found),
        found.not_valid_after_utc.timestamp(),
        anchor.list_ends,
    )
