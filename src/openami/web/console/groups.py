"""The pages of groups: which DCUs are configured together, how, and how far that is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from openami.core.errors import NotFoundError
from openami.fleet.operators import Role
from openami.headend.errors import RequestError
from openami.headend.management.addresses import node_address, wish
from openami.headend.management.device_groups import group_scope
from openami.web.console.choosing import STATES, fields_in, filter_of, filter_words
from openami.web.console.forms import back, fields_of, onward, sure, text_in, texts_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.standings import FIRST_NODES, MEMBERS, members, wish_rows
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

FILTER: Final = ("region", "state", "search")
URI_LENGTH: Final = 1024


class Groups:
    """Shows groups of DCUs, and lets operators say what they are and want."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._groups = services.management.groups
        self._trees = services.management.trees
        self._renderer = renderer
        self._standings = services.management.standings

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/groups", self.groups),
            ("POST", "/groups", self.make),
            ("GET", "/groups/{group}", self.group),
            ("POST", "/groups/{group}", self.change),
            ("POST", "/groups/{group}/want", self.want),
            ("POST", "/groups/{group}/unwant", self.unwant),
            ("POST", "/groups/{group}/remove", self.remove),
            ("GET", "/groups/{group}/devices", self.devices),
            ("GET", "/groups/{group}/differing", self.differing),
            ("GET", "/groups/{group}/refused", self.group_refused),
            ("GET", "/refused", self.refused),
            ("GET", "/fragments/groups/{group}/figures", self.figures),
            ("GET", "/fragments/groups/{group}/wanted", self.wanted),
        )

    async def groups(self, request: Request, caller: Caller) -> Response:
        del request
        found = await asyncio.to_thread(self._groups.list)
        context = {"rows": found[::-1], "states": STATES, "words": filter_words, "here": "dcus"}
        return await self._renderer.page("groups", context, caller=caller)

    async def make(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        name, priority = text_in(form, "name"), _priority(text_in(form, "priority"))
        which = filter_of(texts_in(form, FILTER))

        def make() -> None:
            if self._is_there(name):
                raise RequestError(f"there is a group {name} already", code="request.group")
            self._groups.put(name, which, priority=priority, who=caller.name)

        await asyncio.to_thread(make)
        return onward(request, f"/groups/{name}")

    async def group(self, request: Request, caller: Caller) -> Response:
        name, chosen = _name(request), request.query_params.get("set", "")[:URI_LENGTH]

        def gather() -> dict[str, Any]:
            wishes = self._trees.wishes(group_scope(name))
            wanted = {each.setting.uri: each.setting.value for each in wishes}
            return {
                "rows": wish_rows(wishes, None),
                "chosen": chosen,
                "chosen_value": wanted.get(chosen, ""),
                "states": STATES,
            }

        return await self._page("group", name, await asyncio.to_thread(gather), caller)

    async def change(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        name, priority = _name(request), _priority(text_in(form, "priority"))
        which = filter_of(texts_in(form, FILTER))
        sure(form)

        def change() -> None:
            contact = self._groups.get(name).group.which.contact  # the form does not ask for it
            kept = replace(which, contact=contact)
            self._groups.put(name, kept, priority=priority, who=caller.name)

        await self._changed(name, change)
        return back(form, f"/groups/{name}")

    async def want(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        name = _name(request)
        value = None if text_in(form, "absent") else text_in(form, "value")
        setting = wish(text_in(form, "uri"), value, unchecked=bool(text_in(form, "unchecked")))
        sure(form)
        await self._changed(
            name, lambda: self._trees.want(group_scope(name), [setting], who=caller.name)
        )
        return back(form, f"/groups/{name}")

    async def unwant(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        name, uri = _name(request), node_address(text_in(form, "uri"))
        await self._changed(
            name, lambda: self._trees.unwant(group_scope(name), [uri], who=caller.name)
        )
        return back(form, f"/groups/{name}")

    async def remove(self, request: Request, caller: Caller) -> Response:
        await fields_of(request, caller, Role.OPERATOR)
        name = _name(request)
        await self._changed(name, lambda: self._groups.remove(name, who=caller.name))
        return onward(request, "/groups")

    async def devices(self, request: Request, caller: Caller) -> Response:
        name, after = _name(request), cursor_of(request)

        def gather() -> dict[str, Any]:
            which = self._groups.get(name).group.which
            rows, following = members(self._services, which, after)
            path = f"/groups/{quote(name)}/devices"
            return {"rows": rows, "next_url": next_url(path, {}, following)}

        return await self._page("group_devices", name, await asyncio.to_thread(gather), caller)

    async def differing(self, request: Request, caller: Caller) -> Response:
        name, after = _name(request), cursor_of(request)
        page = await self._standings.differences(name, after=after, limit=MEMBERS)
        following = next_url(f"/groups/{quote(name)}/differing", {}, page.next)
        context = {"rows": page.items, "next_url": following, "few": FIRST_NODES}
        return await self._page("group_differing", name, context, caller)

    async def group_refused(self, request: Request, caller: Caller) -> Response:
        name = _name(request)
        path = f"/groups/{quote(name)}/refused"
        context = await asyncio.to_thread(self._refused, name, path, cursor_of(request))
        return await self._page("group_refused", name, context, caller)

    async def refused(self, request: Request, caller: Caller) -> Response:
        context = await asyncio.to_thread(self._refused, None, "/refused", cursor_of(request))
        return await self._renderer.page("refused", {**context, "here": "dcus"}, caller=caller)

    async def figures(self, request: Request, caller: Caller) -> Response:
        name = _name(request)
        context = {"figures": await self._standings.figures(name), "name": name}
        return self._renderer.html("group_figures", context, caller=caller)

    async def wanted(self, request: Request, caller: Caller) -> Response:
        name = _name(request)
        progress = await self._standings.progress(name)
        wishes = await asyncio.to_thread(self._trees.wishes, group_scope(name))
        context = {"rows": wish_rows(wishes, progress), "name": name}
        return self._renderer.html("group_wanted", context, caller=caller)

    def _is_there(self, name: str) -> bool:
        try:
            self._groups.get(name)
        except NotFoundError:
            return False
        return True

    def _refused(self, name: str | None, path: str, after: str | None) -> dict[str, Any]:
        page = self._groups.refused(name, after=after, limit=PAGE)
        return {"rows": page.items, "next_url": next_url(path, {}, page.next)}

    async def _changed(self, name: str, change: Callable[[], object]) -> None:
        await asyncio.to_thread(change)
        self._standings.forget(name)

    async def _page(
        self, template: str, name: str, context: dict[str, Any], caller: Caller
    ) -> Response:
        view = await asyncio.to_thread(self._groups.get, name)
        found = {
            **context,
            "view": view,
            "name": name,
            "words": filter_words(view.group.which),
            "fields": fields_in(view.group.which),
            "here": "dcus",
        }
        return await self._renderer.page(template, found, caller=caller)


def _name(request: Request) -> str:
    name: str = request.path_params["group"]
    return name


def _priority(text: str) -> int:
    try:
        return int(text or "0")
    except ValueError as error:
        raise RequestError("a priority is a whole number", code="request.group") from error
