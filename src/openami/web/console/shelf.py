"""The pages of the release shelf: what vendors handed over, and what people decide about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import NotFoundError
from openami.firmware.manifest import ReleaseKind
from openami.firmware.releases import TRANSITIONS, Act, ReleaseState
from openami.fleet.campaigns.machine import OVER
from openami.fleet.operators import Role
from openami.web.console.campaign_views import STATES as CAMPAIGNS
from openami.web.console.forms import back, demand, fields_of, file_in, text_in
from openami.web.console.manifests import parts_of
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from openami.firmware.shelf import Shelved
    from openami.headend.campaigns.views import View
    from openami.headend.firmware.shelf import Shelf
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

NAME_LENGTH: Final = 64  # of a product, as the API takes it
OTHERS: Final = 50  # releases of the product that one is compared with
RECENT: Final = 100  # campaigns in which those of a release are looked for
HERE: Final = "upgrades"
# label and tone of how far a release is, in the order of its life
STATES: Final[Mapping[ReleaseState, tuple[str, str]]] = {
    ReleaseState.UPLOADED: ("uploaded", "idle"),
    ReleaseState.VERIFIED: ("verified", "accent"),
    ReleaseState.APPROVED: ("approved", "accent"),
    ReleaseState.RELEASED: ("released", "good"),
    ReleaseState.WITHDRAWN: ("withdrawn", "bad"),
    ReleaseState.REFUSED: ("refused", "bad"),
}
KINDS: Final[Mapping[ReleaseKind, str]] = {
    ReleaseKind.METER_IMAGE: "meter image",
    ReleaseKind.DCU_FIRMWARE: "DCU firmware",
    ReleaseKind.DCU_COMPONENT: "DCU component",
}
_OUT: Final = (ReleaseState.RELEASED, ReleaseState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Product:
    """Releases of one product, the latest first."""

    kind: ReleaseKind
    name: str
    vendor: str
    releases: tuple[Shelved, ...]


class ReleaseShelf:
    """Shows releases, and lets operators decide on them."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._shelf = services.firmware.shelf
        self._desk = services.campaigns
        self._publisher = services.firmware.publisher
        self._most = services.settings.release_octets
        self._renderer = renderer
        self._steps: Mapping[str, Callable[[int, str, FormData], Any]] = {
            Act.VERIFY: self._verify,
            Act.APPROVE: self._approve,
            Act.REFUSE: self._refuse,
            Act.RELEASE: self._release,
            Act.WITHDRAW: self._withdraw,
        }

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/releases", self.releases),
            ("GET", "/releases/new", self.new),
            ("GET", "/releases/{number}", self.release),
            ("POST", "/releases/{number}/{step}", self.step),
        )

    async def releases(self, request: Request, caller: Caller) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("state", "kind", "name")}
        state, kind = asked["state"], asked["kind"]
        page = await asyncio.to_thread(
            self._shelf.list,
            state=ReleaseState(state) if state in set(ReleaseState) else None,
            kind=ReleaseKind(kind) if kind in set(ReleaseKind) else None,
            name=asked["name"].strip()[:NAME_LENGTH] or None,
            after=cursor_of(request),
            limit=PAGE,
        )
        context = {
            "products": products(page.items),
            "asked": asked,
            "sought": any(asked.values()),
            "states": STATES,
            "kinds": KINDS,
            "next_url": next_url("/releases", asked, page.next),
            "here": HERE,
        }
        return await self._renderer.page("releases", context, caller=caller)

    async def new(self, request: Request, caller: Caller) -> Response:
        del request
        demand(caller, Role.OPERATOR)  # what is handed over goes to the API
        return await self._renderer.page(
            "release_new", {"most": self._most, "here": HERE}, caller=caller
        )

    async def release(self, request: Request, caller: Caller) -> Response:
        number, against = _number(request), request.query_params.get("against", "")

        def gather() -> dict[str, Any]:
            shelved = self._shelf.get(number)
            others = self._others(shelved)
            known = {str(one.number): one for one in others}
            before = known.get(against) or before_of(shelved, others)
            found = self._shelf.diff(before.number, number) if before else ()
            return {
                "it": shelved,
                "others": others,
                "before": before,
                "parts": parts_of(found),
                "campaigns": self._campaigns_of(number),
            }

        found = await asyncio.to_thread(gather)
        release = found["it"].release
        context = {
            **found,
            "states": STATES,
            "kinds": KINDS,
            "campaign_states": CAMPAIGNS,
            "over": OVER,
            "carried": release.id.kind is not ReleaseKind.DCU_COMPONENT,
            "may": {act.value for state, act in TRANSITIONS if state is release.state},
            "uploaded_it": caller.name.casefold() == release.uploader.casefold(),
            "offline": self._publisher.offline,
            "here": HERE,
        }
        return await self._renderer.page("release", context, caller=caller)

    async def step(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        number, do = _number(request), self._steps.get(request.path_params["step"])
        if do is None:
            raise NotFoundError("there is no such step", code="request.unknown-path")
        await do(number, caller.name, form)
        return back(form, f"/releases/{number}")

    async def _verify(self, number: int, who: str, form: FormData) -> None:
        del form
        await asyncio.to_thread(self._shelf.verify, number, who=who)

    async def _approve(self, number: int, who: str, form: FormData) -> None:
        await asyncio.to_thread(self._shelf.approve, number, who=who, why=text_in(form, "why"))

    async def _refuse(self, number: int, who: str, form: FormData) -> None:
        await asyncio.to_thread(self._shelf.refuse, number, who=who, why=text_in(form, "why"))

    async def _release(self, number: int, who: str, form: FormData) -> None:
        signed = await file_in(form, "targets") if self._publisher.offline else None
        why = text_in(form, "why")
        await asyncio.to_thread(self._shelf.release, number, who=who, why=why, targets=signed)

    async def _withdraw(self, number: int, who: str, form: FormData) -> None:
        await asyncio.to_thread(self._shelf.withdraw, number, who=who, why=text_in(form, "why"))

    def _campaigns_of(self, number: int) -> list[View]:
        """Return the campaigns that carry a release, of those that were written last."""
        return [view for view in self._desk.list(limit=RECENT).items if view.number == number]

    def _others(self, shelved: Shelved) -> list[Shelved]:
        """Return other releases of the product, the latest first."""
        product = shelved.release.id
        page = self._shelf.list(kind=product.kind, name=product.name, limit=OTHERS)
        return [one for one in page.items if one.number != shelved.number]


def products(releases: Iterable[Shelved]) -> list[Product]:
    """Return releases by their products, in the order in which these are met."""
    found: dict[tuple[ReleaseKind, str, str], list[Shelved]] = {}
    for one in releases:
        key = one.release.id.kind, one.release.id.name, one.manifest.vendor
        found.setdefault(key, []).append(one)
    return [Product(*key, tuple(ones)) for key, ones in found.items()]


def before_of(shelved: Shelved, others: Sequence[Shelved]) -> Shelved | None:
    """Return the release that one follows: the one that it names, else what was let out last."""
    version, previous = shelved.manifest.version, shelved.manifest.previous
    named = [one for one in others if one.manifest.version == previous]
    earlier = [one for one in others if one.manifest.version < version]
    found = named or earlier
    return max(
        found, key=lambda one: (one.release.state in _OUT, one.manifest.version, one.number),
        default=None,
    )  # fmt: skip


def released(shelf: Shelf) -> list[Shelved]:
    """Return what campaigns can carry, uploaded last first; as many as are chosen from."""
    found = shelf.list(state=ReleaseState.RELEASED, limit=OTHERS).items
    return [one for one in found if one.release.id.kind is not ReleaseKind.DCU_COMPONENT]


def _number(request: Request) -> int:
    text: str = request.path_params["number"]
    # The data base counts in 64 bits, the API in 31.
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFoundError("there is no such release")
    return int(text)
