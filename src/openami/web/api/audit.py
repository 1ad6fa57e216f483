"""The audit log: who did what, its chain, an export that can be verified elsewhere."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from openami.fleet.audit import head_line
from openami.web.api import API
from openami.web.api.dependencies import Admin, After, Head, Limit, Range, Viewer, errors
from openami.web.api.models.audit import AuditHead, AuditModel, AuditPage

router = APIRouter(prefix=API, tags=["audit log"])

LINES: Final = 500  # of an export in one piece: each piece is a turn of a thread
NDJSON: Final = "application/x-ndjson"
PEM: Final = "application/x-pem-file"

Text = Annotated[str | None, Query(max_length=128)]


@router.get("/audit", responses=errors(400, 409))
def audit(
    head: Head,
    caller: Admin,
    span: Range,
    *,
    subject: Text = None,
    who: Text = None,
    what: Annotated[str | None, Query(max_length=128, description="How it begins.")] = None,
    after: After = None,
    limit: Limit = 100,
) -> AuditPage:
    """Return who did what from `start` until before `end`, newest first."""
    del caller
    page = head.audit.log.list(
        subject=subject,
        who=who,
        what=what,
        since=span.start,
        until=span.end,
        after=after,
        limit=limit,
    )
    return AuditPage(items=[AuditModel.of(entry) for entry in page.items], next=page.next)


@router.get("/audit/head", responses=errors(409))
def audit_head(head: Head, caller: Viewer) -> AuditHead:
    """Return how far the chain of the audit log goes, signed now."""
    del caller
    signed, state = head.audit.head(), head.audit.state()
    return AuditHead.of(
        signed, waiting=state.waiting, fault=state.fault, line=head_line(signed).rstrip("\n")
    )


@router.get("/audit/key", responses=errors(), response_class=Response)
def audit_key(head: Head, caller: Viewer) -> Response:
    """Return the public key that heads of the audit log are signed with, in PEM."""
    del caller
    return Response(head.audit.public().pem(), media_type=PEM)


@router.get(
    "/audit/export",
    responses={200: {"content": {NDJSON: {}}}, **errors(404)},
    response_class=StreamingResponse,
)
def audit_export(
    head: Head,
    caller: Admin,
    after: Annotated[
        int, Query(ge=0, lt=2**63, description="Number of the last entry that is known.")
    ] = 0,
) -> StreamingResponse:
    """Return the chain as lines of JSON, the signed head last; without it, it was cut off."""
    del caller
    return StreamingResponse(_pieces(head.audit.export(after=after)), media_type=NDJSON)


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    while piece := "".join(islice(lines, LINES)):
        yield piece
