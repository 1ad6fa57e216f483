"""The tester of C12.22 nodes: a button for each service, messages parsed beside their octets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from openami.c1222.conformance import Row, Verdict
from openami.c1222.conformance.html import hex_lines, to_html
from openami.c1222.conformance.junit import to_junit
from openami.core.errors import NotFoundError
from openami.fleet.operators import Role
from openami.headend.errors import RequestError
from openami.headend.node_tests import Asked
from openami.web.console.forms import demand, fields_of, onward, text_in
from openami.web.console.render import is_fragment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

    from openami.c1222.conformance import Report, Result
    from openami.headend.node_tests import NodeTest
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

PAGE_URL: Final = "/node-tests"
SHOWN_CASES: Final = 12
SHOWN_MESSAGES: Final = 12
"""On a page: of a whole run its faults, of a long case its beginning; a report has all."""
TONES: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.NOT_SUPPORTED: "idle",
    Verdict.SKIPPED: "idle",
}
REPORTS: Final[Mapping[str, tuple[str, Callable[[Report], bytes]]]] = {
    "html": ("text/html; charset=utf-8", lambda report: to_html(report).encode()),
    "json": (
        "application/json",
        lambda report: json.dumps(report.to_dict(), ensure_ascii=False).encode(),
    ),
    "xml": ("application/xml", to_junit),
}
MODES: Final = ("", "0", "1", "2")


class NodeTestPages:
    """Lets operators test nodes."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._tests = services.node_tests
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", PAGE_URL, self.page),
            ("POST", PAGE_URL, self.begin),
            ("GET", "/node-tests/{test}", self.one),
            ("GET", "/node-tests/{test}/report.{kind}", self.report),
            ("GET", "/fragments/node-tests/{test}", self.fragment),
        )

    async def page(self, request: Request, caller: Caller) -> Response:
        del request
        return await self._page(None, caller)

    async def one(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        case = request.query_params.get("case", "")
        return await self._page(self._tests.get(request.path_params["test"]), caller, case)

    async def begin(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        service, mode = text_in(form, "service"), text_in(form, "mode")
        if mode not in MODES:
            raise RequestError("a mode is 0, 1 or 2", code="request.field")
        intrusive = bool(text_in(form, "intrusive"))
        if intrusive:
            demand(caller, Role.ADMIN)
        asked = Asked(
            text_in(form, "where"),
            text_in(form, "title"),
            (service,) if service else (),
            text_in(form, "transport") == "udp",
            int(mode) if mode else None,
            intrusive,
        )
        test = await self._tests.begin(asked, who=caller.name)
        if is_fragment(request):
            return self._renderer.html("node_test", _shown(test), caller=caller)
        return onward(request, f"{PAGE_URL}/{test.id}")

    async def fragment(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        test = self._tests.get(request.path_params["test"])
        return self._renderer.html("node_test", _shown(test), caller=caller)

    async def report(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        found = self._tests.get(request.path_params["test"]).report
        kind = request.path_params["kind"]
        if found is None or kind not in REPORTS:
            raise NotFoundError("there is no such report")
        media, write = REPORTS[kind]
        body = await asyncio.to_thread(write, found)
        disposition = f'attachment; filename="c1222-test.{kind}"'
        return Response(body, media_type=media, headers={"Content-Disposition": disposition})

    async def _page(self, test: NodeTest | None, caller: Caller, case: str = "") -> Response:
        demand(caller, Role.OPERATOR)
        nodes = await asyncio.to_thread(self._tests.registered)
        context = {
            "nodes": nodes,
            "allowed": self._tests.allowed,
            "services": [row.value for row in Row],
            "latest": self._tests.latest(),
            "here": "meters",
            **_shown(test, case),
        }
        return await self._renderer.page("node_tests", context, caller=caller)


def _shown(test: NodeTest | None, case: str = "") -> dict[str, Any]:
    """Return what the part of the page about one test shows."""
    if test is None:
        return {"test": None}
    results = list(test.run.results)
    detailed = [each for each in results if each.case.name == case]
    if not case:
        few = len(results) <= SHOWN_CASES
        faults = [each for each in results if each.verdict is Verdict.FAIL]
        detailed = results if few else faults[:SHOWN_CASES]
    return {
        "test": test,
        "results": results,
        "detailed": [] if test.open else [_detail(each) for each in detailed],
        "rows": [] if test.report is None else test.report.rows(),
        "counts": {} if test.report is None else test.report.counts,
        "tones": TONES,
    }


def _detail(result: Result) -> dict[str, Any]:
    pdus = [
        {"sent": each.sent, "tree": each.tree, "lines": list(hex_lines(each.octets))}
        for each in result.pdus[:SHOWN_MESSAGES]
    ]
    return {"result": result, "pdus": pdus, "more": max(len(result.pdus) - SHOWN_MESSAGES, 0)}
