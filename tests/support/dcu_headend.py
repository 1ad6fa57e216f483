"""A head-end for a DCU's tests: the device listener over real TLS, with faults on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from openami.core.clock import Clock, isoformat
from openami.core.errors import DecodeError
from openami.headend.installation import publish
from openami.headend.offline import open_offline
from openami.headend.settings import HeadendSettings
from openami.mdm.readings import EVENTS_SCHEMA, READINGS_SCHEMA, from_ipc
from openami.transport.clock import SystemClock
from openami.transport.http import HttpClient
from openami.transport.tls import client_context, server_context
from openami.transport.web import HttpServer, serve

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

SCHEMAS = {"readings": READINGS_SCHEMA, "events": EVENTS_SCHEMA}


@dataclass(frozen=True)
class Certificates:
    """Files of one installation with one enrolled DCU."""

    server: Path
    clients: Path
    certificate: Path
    key: Path
    authority: Path

    def client(self, url: str) -> HttpClient:
        """Return the DCU's client of the head-end."""
        tls = client_context(self.authority, certificate=self.certificate, key=self.key)
        return HttpClient(url, tls=tls)


def make_certificates(folder: Path, dcu: str = "dcu-1") -> Certificates:
    now = time.time()
    with open_offline(HeadendSettings(state=folder / "headend")) as offline:
        home = offline.home
        publish(home, offline.pki, now=now)
        issued = offline.pki.enroll(dcu, now=now)
    files = {}
    for name, content in zip(("certificate", "key", "authority"), issued, strict=True):
        files[name] = folder / f"{name}.pem"
        files[name].write_bytes(content)
    return Certificates(server=home.server, clients=home.clients, **files)


Fault = Callable[[Request], Response | None]


@dataclass
class FakeHeadEnd:
    """Takes what a DCU sends and keeps it.

    ``fault`` may answer a request instead; ``lose_answers`` batches are stored and their answer
    is lost; ``judge`` may refuse a table with a status and a code. ``orders`` of upgrades hold as
    long as they are there; ``command`` changes them; ``told`` has the last report of each campaign.
    What is ``wanted`` of demand response holds likewise; ``want`` changes it, and ``happened`` has
    what came of it, each once.
    """

    certificates: Certificates
    clock: Clock = field(default_factory=SystemClock)
    ledger: dict[str, bytes] = field(default_factory=dict)
    tables: list[tuple[str, pa.Table]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    credentials: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursors: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    updates: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    epoch: int = 1
    revision: int = 1
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    marks: list[dict[str, Any]] = field(default_factory=list)
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)
    wanted_revision: int = 0
    happened: list[dict[str, Any]] = field(default_factory=list)
    highest: int = 0
    fault: Fault | None = None
    judge: Callable[[pa.Table], tuple[int, str] | None] | None = None
    lose_answers: int = 0
    repeated: int = 0
    port: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _listed: list[list[dict[str, Any]]] = field(default_factory=list)
    _server: HttpServer | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        files = self.certificates
        tls = server_context(files.server, files.server, client_authority=files.clients)
        self._server = await serve(self._app(), port=self.port, tls=tls)
        self.port = self._server.port

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def until(self, reached: Callable[[], bool], timeout: float = 60.0) -> None:
        """Return when ``reached`` is true, looking after every request."""
        async with asyncio.timeout(timeout):
            while not reached():
                self.changed.clear()
                await self.changed.wait()

    def rows(self, kind: str = "readings") -> list[dict[str, Any]]:
        """Return every row ever stored."""
        # Who waits for rows asks again and again: each table is listed once.
        self._listed += [table.to_pylist() for _, table in self.tables[len(self._listed) :]]
        listed = zip(self.tables, self._listed, strict=True)
        return [row for (k, _), rows in listed if k == kind for row in rows]

    def client(self) -> HttpClient:
        return self.certificates.client(self.url)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/device/v1/batches/{id}", self._guard(self._batch), methods=["POST"]),
                Route("/device/v1/report", self._guard(self._report), methods=["POST"]),
                Route("/device/v1/cursors", self._guard(self._cursors)),
                Route("/device/v1/meters/{title}/credentials", self._guard(self._credentials)),
                Route("/device/v1/work", self._guard(self._work)),
                Route("/device/v1/upgrade", self._guard(self._upgrade), methods=["POST"]),
                Route("/device/v1/demand", self._guard(self._demand), methods=["POST"]),
                Route("/device/v1/jobs/{id}", self._guard(self._job), methods=["POST"]),
            ]
        )

    def _guard(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            self.requests.append(f"{request.method} {request.url.path}")
            try:
                answer = self.fault(request) if self.fault else None
                return answer or await handler(request)
            finally:
                self.changed.set()

        return guarded

    async def _batch(self, request: Request) -> Response:
        body = await request.body()
        digest = hashlib.sha256(body).digest()
        assert request.headers["content-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
        name, kind = request.path_params["id"], request.headers["openami-kind"]
        if name in self.ledger:
            self.repeated += 1
            if self.ledger[name] != digest:
                return refusal(409, "upload.conflict")
            return JSONResponse({"status": "repeated", "rows": 0})
        try:
            table = from_ipc(body, schema=SCHEMAS[kind])
        except DecodeError as error:
            return refusal(422, error.code)
        if self.judge and (verdict := self.judge(table)):
            return refusal(*verdict)
        self.ledger[name] = digest
        self.tables.append((kind, table))
        if self.lose_answers:
            self.lose_answers -= 1
            return Response(status_code=502)
        return JSONResponse({"status": "stored", "rows": table.num_rows})

    async def _report(self, request: Request) -> Response:
        self.reports.append(await request.json())
        return JSONResponse({"time": isoformat(self.clock.now())})

    async def _cursors(self, request: Request) -> Response:
        return JSONResponse({"meters": self.cursors})

    async def _credentials(self, request: Request) -> Response:
        found = self.credentials.get(request.path_params["title"])
        return JSONResponse(found) if found else refusal(404, "credentials.unknown")

    async def _work(self, request: Request) -> Response:
        jobs, self.jobs = self.jobs, []
        if not jobs:
            await asyncio.sleep(min(float(request.query_params["wait"]), 0.05))
        revisions = {"upgrade": self.revision, "demand": self.wanted_revision}
        return JSONResponse({"jobs": jobs, **revisions})

    def want(self, **meters: dict[str, Any]) -> None:
        """Let something else hold for meters from now on; for others nothing does."""
        self.wanted = {
            serial: {"events": [], "notices": [], "comparison": None, "supply": None, **body}
            for serial, body in meters.items()
        }
        self.wanted_revision += 1

    async def _demand(self, request: Request) -> Response:
        reports = (await request.json())["reports"]
        assert len(reports) <= 1000
        for report in reports:
            if report["number"] > self.highest:
                self.happened.append(report)
                self.highest = report["number"]
        if self.lose_answers:
            self.lose_answers -= 1
            return Response(status_code=502)
        taken = max((report["number"] for report in reports), default=0)
        said = {"revision": self.wanted_revision, "taken": taken}
        return JSONResponse({**said, "meters": self.wanted})

    def command(self, *orders: dict[str, Any], epoch: int | None = None) -> None:
        """Let other orders hold from now on."""
        self.orders, self.epoch = list(orders), self.epoch if epoch is None else epoch
        self.revision += 1

    async def _upgrade(self, request: Request) -> Response:
        taken = {}
        for report in (await request.json())["reports"]:
            campaign, number = report["campaign"], report["number"]
            if number > self.told.get(campaign, {"number": 0})["number"]:
                self.told[campaign] = report
                self.marks += report["marks"]
            taken[campaign] = number
        if self.lose_answers:
            self.lose_answers -= 1
            return Response(status_code=502)
        said = {"epoch": self.epoch, "revision": self.revision, "taken": taken}
        return JSONResponse({**said, "orders": self.orders})

    async def _job(self, request: Request) -> Response:
        self.updates.append((request.path_params["id"], await request.json()))
        return JSONResponse({})


def refusal(status: int, code: str, **headers: str) -> Response:
    error = {"error": {"code": code, "message": "as asked by the test"}}
    return JSONResponse(error, status, headers={k.replace("_", "-"): v for k, v in headers.items()})


@asynccontextmanager
async def running(headend: FakeHeadEnd) -> AsyncIterator[FakeHeadEnd]:
    await headend.start()
    try:
        yield headend
    finally:
        await headend.stop()
