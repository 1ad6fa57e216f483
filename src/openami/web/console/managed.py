"""The pages of a DCU that is managed: its tree, what changed there, its sessions, certificates."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import NotFoundError
from openami.fleet.certificates import CertificateKind
from openami.fleet.desired import INTERIOR, object_of
from openami.fleet.operators import Role
from openami.headend.management.addresses import node_address, wish
from openami.headend.management.trees import device_scope
from openami.headend.security.pki import REASONS
from openami.omadm.auth import Scheme
from openami.web.console.admission import STANDINGS
from openami.web.console.forms import back, demand, fields_of, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.management.proofs import AccountView
    from openami.headend.management.trees import NodeView
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

BRANCH: Final = 2  # parts of an address after the root: ./AMI/Link is opened and closed as one
SOON_DAYS: Final = 30.0  # a device renews when a third of a year is left: below this it has not
# tone of how a session ended
ENDS: Final = {"done": "good", "aborted": "warn", "timeout": "warn"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A node of a branch, by the rest of its address."""

    name: str
    node: NodeView

    @property
    def inner(self) -> bool:
        """Whether it has no value of its own, but others below it."""
        return self.node.known is not None and self.node.known.format == INTERIOR

    @property
    def own(self) -> bool:
        """Whether the device itself is wanted to have it so, not only its groups."""
        wanted = self.node.wish
        return wanted is not None and str(wanted.scope).startswith("device:")


@dataclass(frozen=True, slots=True)
class Branch:
    """Nodes that are shown together."""

    address: str
    leaves: tuple[Leaf, ...]

    @property
    def pending(self) -> int:
        return sum(leaf.node.pending is not None for leaf in self.leaves)

    @property
    def refused(self) -> int:
        return sum(leaf.node.status is not None for leaf in self.leaves)


class Managed:
    """Shows how a DCU is managed, and lets people say how it is to be."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/dcus/{dcu}/tree", self.tree),
            ("POST", "/dcus/{dcu}/tree/want", self.want),
            ("POST", "/dcus/{dcu}/tree/unwant", self.unwant),
            ("POST", "/dcus/{dcu}/tree/retry", self.retry),
            ("POST", "/dcus/{dcu}/tree/refresh", self.refresh),
            ("GET", "/dcus/{dcu}/history", self.history),
            ("GET", "/dcus/{dcu}/sessions", self.sessions),
            ("GET", "/dcus/{dcu}/sessions/{number}", self.session),
            ("GET", "/dcus/{dcu}/certificate", self.certificate),
            ("POST", "/dcus/{dcu}/account", self.allow),
        )

    async def tree(self, request: Request, caller: Caller) -> Response:
        uid, trees = _dcu(request), self._services.management.trees

        def gather() -> dict[str, Any]:
            view = trees.view(self._known(uid))
            nodes = {node.uri: node for node in view.nodes}
            chosen = request.query_params.get("set", "")[:1024]
            return {
                "tree": view,
                "branches": branches(view.nodes),
                "refused": [node for node in view.nodes if node.status is not None],
                "chosen": chosen,
                "chosen_node": nodes.get(chosen),
            }

        return await self._page("dcu_tree", uid, await asyncio.to_thread(gather), caller)

    async def want(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        uid = _dcu(request)
        value = None if text_in(form, "absent") else text_in(form, "value")
        setting = wish(text_in(form, "uri"), value, unchecked=bool(text_in(form, "unchecked")))
        await asyncio.to_thread(
            self._services.management.trees.want, device_scope(uid), [setting], who=caller.name
        )
        return back(form, f"/dcus/{uid}/tree")

    async def unwant(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        uid, uri = _dcu(request), node_address(text_in(form, "uri"))
        await asyncio.to_thread(
            self._services.management.trees.unwant, device_scope(uid), [uri], who=caller.name
        )
        return back(form, f"/dcus/{uid}/tree")

    async def retry(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        uid = _dcu(request)
        await asyncio.to_thread(self._services.management.trees.retry, uid, who=caller.name)
        return back(form, f"/dcus/{uid}/tree")

    async def refresh(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        uid = _dcu(request)
        await asyncio.to_thread(self._services.management.trees.refresh, uid)
        return back(form, f"/dcus/{uid}/tree")

    async def history(self, request: Request, caller: Caller) -> Response:
        uid = _dcu(request)
        trees, path = self._services.management.trees, f"/dcus/{uid}/history"

        def gather() -> dict[str, Any]:
            page = trees.history(self._known(uid), after=cursor_of(request), limit=PAGE)
            return {"rows": page.items, "next_url": next_url(path, {}, page.next)}

        return await self._page("dcu_history", uid, await asyncio.to_thread(gather), caller)

    async def sessions(self, request: Request, caller: Caller) -> Response:
        uid = _dcu(request)
        log, path = self._services.management.log, f"/dcus/{uid}/sessions"

        def gather() -> dict[str, Any]:
            page = log.list(uid=self._known(uid), after=cursor_of(request), limit=PAGE)
            following = next_url(path, {}, page.next)
            return {"rows": page.items, "ends": ENDS, "next_url": following}

        return await self._page("dcu_sessions", uid, await asyncio.to_thread(gather), caller)

    async def session(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)  # as in the API: what was said tells how the device is set
        uid, text = _dcu(request), request.path_params["number"]
        # The data base counts in 64 bits.
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise NotFoundError("there is no such session")
        shown = await asyncio.to_thread(self._services.management.log.show, int(text))
        if shown.session.uid != uid:
            raise NotFoundError(f"{uid} has had no such session")
        context = {"shown": shown, "session": shown.session, "ends": ENDS}
        return await self._page("dcu_session", uid, context, caller)

    async def certificate(self, request: Request, caller: Caller) -> Response:
        uid = _dcu(request)
        context = await asyncio.to_thread(self._certified, uid, cursor_of(request))
        return await self._page("dcu_certificate", uid, context, caller)

    def _certified(self, uid: str, after: str | None) -> dict[str, Any]:
        services = self._services
        page = services.pki.certificates(
            kind=CertificateKind.DEVICE, subject=self._known(uid), after=after, limit=PAGE
        )
        try:
            registered = services.registrations.get(uid)
        except NotFoundError:  # one that was enrolled by hand has not asked
            registered = None
        return {
            "rows": page.items,
            "now": services.wall.now(),
            "soon": SOON_DAYS,
            "reasons": sorted(REASONS),
            "registered": registered,
            "account": self._account(uid),
            "schemes": list(Scheme),
            "standings": STANDINGS,
            "next_url": next_url(f"/dcus/{uid}/certificate", {}, page.next),
        }

    def _account(self, uid: str) -> AccountView | None:
        """Return a DCU's account, if it has one."""
        try:
            return self._services.management.proofs.view(uid)
        except NotFoundError:
            return None

    async def allow(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.ADMIN)
        uid = _dcu(request)
        labels = [scheme.label for scheme in Scheme if text_in(form, scheme.label)]
        proofs, why = self._services.management.proofs, text_in(form, "why")
        await asyncio.to_thread(proofs.allow, uid, labels, who=caller.name, why=why)
        return back(form, f"/dcus/{uid}/certificate")

    def _known(self, uid: str) -> str:
        """Return the uid of a DCU that is in the registry; NotFoundError."""
        return self._services.registry.dcu(uid).serial

    async def _page(
        self, template: str, uid: str, context: dict[str, Any], caller: Caller
    ) -> Response:
        found = {**context, "uid": uid, "here": "dcus"}
        return await self._renderer.page(template, found, caller=caller)


def branches(nodes: Sequence[NodeView]) -> list[Branch]:
    """Return the nodes of a tree by the branches that they are on."""
    inner = {_branch(node.uri) for node in nodes if node.uri.count("/") > BRANCH}
    found: dict[str, list[NodeView]] = {}
    for node in nodes:
        branch = _branch(node.uri)
        # What nothing grows from is shown with the object that it is on.
        found.setdefault(branch if branch in inner else object_of(branch), []).append(node)
    return [
        Branch(address, tuple(Leaf(_rest(node.uri, address), node) for node in found[address]))
        for address in sorted(found)
    ]


def _branch(uri: str) -> str:
    return "/".join(uri.split("/")[: BRANCH + 1])


def _rest(uri: str, address: str) -> str:
    return uri.removeprefix(address).removeprefix("/") or uri


def _dcu(request: Request) -> str:
    uid: str = request.path_params["dcu"]
    return uid
