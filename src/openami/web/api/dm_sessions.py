"""The log of sessions with devices."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from openami.web.api import API
from openami.web.api.dependencies import After, Head, Limit, OperatorCaller, Viewer, errors
from openami.web.api.models.dm_sessions import ConversationModel, SessionModel, SessionPage

router = APIRouter(prefix=f"{API}/dm", tags=["device management"])

Number = Annotated[int, Path(ge=0, lt=2**63)]


@router.get("/sessions", responses=errors(409))
def dm_sessions(
    head: Head,
    caller: Viewer,
    device: Annotated[str | None, Query(max_length=32, description="UID of a device.")] = None,
    after: After = None,
    limit: Limit = 100,
) -> SessionPage:
    """Return sessions that are over, the latest first."""
    del caller
    page = head.management.log.list(uid=device, after=after, limit=limit)
    return SessionPage(items=[SessionModel.of(item) for item in page.items], next=page.next)


@router.get("/sessions/{session}", responses=errors(404))
def dm_session(head: Head, caller: OperatorCaller, session: Number) -> ConversationModel:
    """Return a session with each message decoded; credentials and nonces are left out."""
    del caller
    return ConversationModel.of(head.management.log.show(session))
