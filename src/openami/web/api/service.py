"""The head-end itself: health and figures."""

from fastapi import APIRouter, Request, Response, status

from openami.fleet.operators import Role
from openami.headend.metrics import CONTENT_TYPE
from openami.web.api.dependencies import Head, errors
from openami.web.api.models.fleet import CheckModel, HealthModel
from openami.web.auth import caller_of, require

router = APIRouter(tags=["service"])


@router.get("/health", responses={503: {"model": HealthModel}})
def health(request: Request, response: Response, head: Head) -> HealthModel:
    """Return whether the head-end can do its work: 200, or 503 if it can not."""
    state = head.health.state()
    if not state.ok:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    words = "ok" if state.ok else "failing"
    if caller_of(request) is None:
        return HealthModel(status=words)
    checks = {
        name: CheckModel(ok=check.ok, detail=check.detail) for name, check in state.checks.items()
    }
    return HealthModel(status=words, checks=checks)


@router.get("/metrics", responses=errors(), response_class=Response)
def metrics(request: Request, head: Head) -> Response:
    """Return the figures in Prometheus' text format; with a token, unless they are open to all."""
    if not head.settings.open_metrics:
        require(request, Role.VIEWER)
    return Response(head.metrics.exposition(), media_type=CONTENT_TYPE)
