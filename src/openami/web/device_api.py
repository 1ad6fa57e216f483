"""What DCUs ask of the head-end, over mutual TLS.

A DCU is known by the URI ``urn:openami:dcu:<id>`` in its certificate and by nothing that it says.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

from openami.core.clock import isoformat
from openami.core.errors import NotFoundError, SecurityError
from openami.core.identifiers import DCU_URN, SystemTitle, check_serial
from openami.headend.errors import RequestError
from openami.headend.ingest import BATCH_ID, BatchKind, Upload
from openami.headend.management.wake import wake_url
from openami.headend.seldom import Seldom
from openami.mdm.readings import CONTENT_TYPE
from openami.web.auth import services_of
from openami.web.device_models import JobReport, Report
from openami.web.errors import install
from openami.web.middleware import Guarded
from openami.web.upgrade_models import UpgradeReport, upgrade_answer

if TYPE_CHECKING:
    from starlette.requests import Request

    from openami.fleet.jobs import Job
    from openami.headend.services import Services

log = structlog.get_logger(__name__)

EXPIRED: Final = "certificate.expired"
SUPERSEDED: Final = "superseded"  # why a certificate is revoked that was renewed
RENEWED_S: Final = 3600.0  # a connection that was open when it was renewed is used for no longer
BATCH_S: Final = 120.0  # a day's batch over the slowest mobile line takes seconds
REPORT_OCTETS: Final = 4 * 2**20  # METERS of the report, each under 1 KiB
JSON_S: Final = 30.0
DIGEST_OCTETS: Final = 32

_BATCH_ID: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{BATCH_ID}}}")
_SECONDS: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_TITLE: Final = re.compile(r"[0-9A-Fa-f]{16}")


def create(services: Services, *others: Route, first: tuple[Middleware, ...] = ()) -> Starlette:
    """Return the application of the device listener, with what others answer, some of it first."""
    app = Starlette(
        routes=[
            *others,
            Route("/device/v1/batches/{batch}", _batch, methods=["POST"]),
            Route("/device/v1/report", _report, methods=["POST"]),
            Route("/device/v1/cursors", _cursors, methods=["GET"]),
            Route("/device/v1/meters/{title}/credentials", _credentials, methods=["GET"]),
            Route("/device/v1/work", _work, methods=["GET"]),
            Route("/device/v1/upgrade", _upgrade, methods=["POST"]),
            Route("/device/v1/jobs/{job}", _job, methods=["POST"]),
        ],
        middleware=[
            Middleware(Guarded, metrics=services.metrics, listener="device"),
            *first,
        ],
    )
    app.state.services = services
    app.state.told = Seldom()
    install(app)
    return app


async def _batch(request: Request) -> JSONResponse:
    services = services_of(request)
    dcu = await admitted(request)
    batch = request.path_params["batch"]
    if not _BATCH_ID.fullmatch(batch):
        raise RequestError("a batch id is letters, digits, '.', '_', '-'", code="request.batch")
    if request.headers.get("content-type", "").partition(";")[0].strip() != CONTENT_TYPE:
        raise RequestError(f"a batch is {CONTENT_TYPE}", code="request.type")
    kind = _kind(request.headers.get("openami-kind", ""))
    digest = _digest(request.headers.get("content-digest", ""))
    limit = services.settings.batch_octets
    with services.ingest.room(_declared(request, limit)):
        body = await body_of(request, limit, BATCH_S)
        result = await services.ingest.submit(Upload(dcu, batch, kind, digest, body))
    return JSONResponse({"status": result.status.value, "rows": result.rows})


async def _report(request: Request) -> JSONResponse:
    services = services_of(request)
    dcu = await admitted(request)
    report = Report.model_validate_json(await body_of(request, REPORT_OCTETS, JSON_S))
    figures = report.figures(now=services.clock.now())
    sightings = [meter.sighting(dcu) for meter in report.meters]
    if report.dcu.wake_port is not None and request.client is not None:
        url = wake_url(request.client.host, report.dcu.wake_port)
        await asyncio.to_thread(services.management.wake.reach, dcu, url)
    time, passed_over = await asyncio.to_thread(services.reports.take, dcu, figures, sightings)
    return JSONResponse({"time": isoformat(time), "not_yours": sorted(passed_over)})


async def _cursors(request: Request) -> JSONResponse:
    dcu = await admitted(request)
    return JSONResponse({"meters": await asyncio.to_thread(_find_cursors, request, dcu)})


def _find_cursors(request: Request, dcu: str) -> dict[str, dict[str, str]]:
    services = services_of(request)
    meters = sorted(services.ownership.meters(dcu))
    return services.readings.cursors(meters) if meters else {}


async def _credentials(request: Request) -> JSONResponse:
    dcu = await admitted(request)
    title = request.path_params["title"]
    if not _TITLE.fullmatch(title):
        raise RequestError("a system title has 16 hexadecimal digits", code="request.title")
    found = await asyncio.to_thread(
        services_of(request).credentials.for_dcu, dcu, SystemTitle.parse(title)
    )
    return JSONResponse(found.told())


async def _work(request: Request) -> JSONResponse:
    dcu = await admitted(request)
    wait = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(wait):
        raise RequestError("wait is in seconds", code="request.wait")
    services = services_of(request)
    upgrade, demand = services.upgrades.fleet.revision, services.demand.uplink.revision
    known = tuple(
        (revision, number)
        for revision, name in ((upgrade, "upgrade"), (demand, "demand"))
        if (number := _revision(request, name)) is not None
    )

    def news() -> bool:
        return any(revision(dcu) != number for revision, number in known)

    work = asyncio.ensure_future(services.jobs.work(dcu, wait=float(wait), news=news))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect  # a job offered now would wait for its lease to end
    finally:
        gone.cancel()
        work.cancel()
    revisions = {
        "upgrade": await asyncio.to_thread(upgrade, dcu),
        "demand": await asyncio.to_thread(demand, dcu),
    }
    return JSONResponse({"jobs": [_offer(job) for job in work.result()], **revisions})


def _revision(request: Request, name: str) -> int | None:
    """Return the revision that a DCU has of something; None: it does not ask for news of it."""
    known = request.query_params.get(name)
    if known is not None and not _NUMBER.fullmatch(known):
        raise RequestError(f"{name} is a revision", code=f"request.{name}")
    return None if known is None else int(known)


async def _upgrade(request: Request) -> JSONResponse:
    services = services_of(request)
    dcu = await admitted(request)
    said = UpgradeReport.model_validate_json(await body_of(request, REPORT_OCTETS, JSON_S))
    told = await services.upgrades.uplink.exchange(said.asked(dcu))
    return JSONResponse(upgrade_answer(told))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _job(request: Request) -> JSONResponse:
    services = services_of(request)
    dcu = await admitted(request)
    report = JobReport.model_validate_json(await body_of(request, REPORT_OCTETS, JSON_S))
    event = report.event(now=services.jobs.now(), lease=services.jobs.lease())
    job = await services.jobs.report(dcu, request.path_params["job"], event)
    return JSONResponse({"state": job.state.value})


def _offer(job: Job) -> dict[str, Any]:
    attributes = [
        {"class_id": target.class_id, "obis": str(target.obis), "attribute": target.attribute}
        for target in job.targets
    ]
    return {"id": job.id, "kind": job.kind.value, "meter": job.meter, "attributes": attributes}


def dcu_of(request: Request) -> str:
    """Return the id of the DCU whose certificate the connection has.

    Raises:
        SecurityError: ``security.certificate``, it is not a DCU's.
    """
    peer = request.scope.get("state", {}).get("peer_certificate")
    names = [] if peer is None else [uri for uri in peer.uris if uri.startswith(DCU_URN)]
    if len(names) != 1:
        raise SecurityError("the certificate is not a DCU's", code="security.certificate")
    try:
        return check_serial(names[0].removeprefix(DCU_URN))
    except ValueError as error:
        raise SecurityError(
            "the certificate is not a DCU's", code="security.certificate"
        ) from error


async def check_certificate(request: Request) -> None:
    """Check what may have become of the certificate since the connection was opened.

    One that was revoked or has ended and still is in use raises an alarm, unless the device is shut
    out.

    Raises:
        SecurityError: ``certificate.revoked`` or ``certificate.expired``.
    """
    services, peer = services_of(request), request.scope["state"]["peer_certificate"]
    if services.pki.is_revoked(peer.serial):
        await asyncio.to_thread(_tell_revoked, request, dcu_of(request), peer.serial)
        raise SecurityError("the certificate has been revoked", code="certificate.revoked")
    if peer.not_after < services.wall.now():
        await asyncio.to_thread(_tell_expired, request, dcu_of(request), peer.serial)
        raise SecurityError("the certificate has expired", code=EXPIRED)
    if not services.registrar.knows_shown(peer.serial):
        await asyncio.to_thread(services.registrar.shown, dcu_of(request), peer.serial)


def _tell_revoked(request: Request, dcu: str, serial: int) -> None:
    services, told = services_of(request), request.app.state.told
    now, record = services.wall.now(), services.pki.certificate(serial)
    if record.reason == SUPERSEDED and now - (record.revoked or now) < RENEWED_S:
        return  # a connection from before the device renewed it
    if not told.due((dcu, serial), now):
        return
    log.warning("revoked certificate", dcu=dcu, serial=f"{serial:x}", code="certificate.revoked")
    alarm_revoked(services, dcu, serial)


def _tell_expired(request: Request, dcu: str, serial: int) -> None:
    services, told = services_of(request), request.app.state.told
    if told.due((dcu, serial), services.wall.now()):
        log.warning("expired certificate", dcu=dcu, serial=f"{serial:x}", code=EXPIRED)
        if not _was_revoked(services, serial):  # else the device has renewed it long since
            message = f"its certificate {serial:x} has ended, and it has not renewed it"
            _alarm(services, dcu, EXPIRED, message)


def _was_revoked(services: Services, serial: int) -> bool:
    try:
        return services.pki.certificate(serial).revoked is not None
    except NotFoundError:
        return False


def alarm_revoked(services: Services, dcu: str, serial: int) -> None:
    """Raise the alarm for a revoked certificate in use, unless its device is shut out. Blocks."""
    message = f"somebody uses the certificate {serial:x}, which has been revoked"
    _alarm(services, dcu, "certificate.revoked", message)


def _alarm(services: Services, dcu: str, code: str, message: str) -> None:
    try:
        services.registry.admitted(dcu)
    except SecurityError:
        return
    services.alarms.about_dcu(dcu, code, message)


async def admitted(request: Request) -> str:
    """Return which DCU asks; SecurityError for one that may not."""
    dcu = dcu_of(request)
    await check_certificate(request)
    await asyncio.to_thread(services_of(request).registry.admitted, dcu)
    return dcu


def _kind(text: str) -> BatchKind:
    try:
        return BatchKind(text)
    except ValueError as error:
        kinds = " or ".join(BatchKind)
        raise RequestError(f"OpenAMI-Kind is {kinds}", code="request.kind") from error


def _digest(header: str) -> bytes:
    """Return the SHA-256 of a ``Content-Digest`` header (RFC 9530, section 2)."""
    for item in header.split(","):
        name, _, value = item.strip().partition("=")
        if name == "sha-256" and value.startswith(":") and value.endswith(":"):
            try:
                digest = base64.b64decode(value[1:-1], validate=True)
            except binascii.Error:
                continue
            if len(digest) == DIGEST_OCTETS:
                return digest
    raise RequestError("Content-Digest has no sha-256", code="upload.digest")


def _declared(request: Request, limit: int) -> int:
    """Return how many octets a body may have: what the request says, else the limit."""
    declared = int(request.headers.get("content-length", limit))
    if declared > limit:
        raise _too_large(limit)
    return declared


async def body_of(request: Request, limit: int, seconds: float) -> bytes:
    """Return a request's body.

    Raises:
        RequestError: it has more octets than ``limit``, or takes longer than ``seconds``.
    """
    _declared(request, limit)
    if request.scope.get("state", {}).get("whole"):  # as nearly all are
        return await _collected(request, limit)
    try:
        async with asyncio.timeout(seconds):
            return await _collected(request, limit)
    except TimeoutError as error:
        raise RequestError("the body came too slowly", code="request.slow") from error


async def _collected(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> RequestError:
    return RequestError(f"the body has more than {limit} octets", code="request.too-large")
