"""Log-in, sessions, API tokens and accounts."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status

from openami.core.clock import utc
from openami.core.errors import SecurityError
from openami.web.api import API
from openami.web.api.dependencies import Admin, After, Head, Limit, Viewer, errors
from openami.web.api.models.accounts import (
    CallerModel,
    Login,
    NewOperator,
    OperatorChange,
    OperatorModel,
    OperatorPage,
    PasswordChange,
    SessionModel,
    TokenModel,
    TokenRequest,
)
from openami.web.auth import (
    address_of,
    check_origin,
    clear_cookie,
    csrf_token,
    set_cookie,
)

router = APIRouter(prefix=API, tags=["operators"])

SessionId = Annotated[int, Path(ge=1)]


@router.post("/login", responses=errors(429, 503))
def login(request: Request, response: Response, head: Head, wish: Login) -> CallerModel:
    """Open a session: a cookie is set, and the CSRF token is in the answer."""
    check_origin(request)
    granted = head.operators.login(wish.name, wish.password, address=address_of(request))
    set_cookie(response, granted, now=head.wall.now())
    operator = granted.session.operator
    return CallerModel(
        name=operator.name,
        role=operator.role,
        expires=utc(granted.session.expires),
        csrf_token=csrf_token(granted.secret),
    )


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, responses=errors())
def logout(response: Response, head: Head, caller: Viewer) -> None:
    """End the session or the token that this request came with."""
    head.operators.logout(caller.session)
    clear_cookie(response)


@router.get("/session", responses=errors())
def session(caller: Viewer) -> CallerModel:
    """Return who is logged in."""
    return CallerModel(
        name=caller.name,
        role=caller.role,
        expires=utc(caller.session.expires),
        csrf_token=caller.csrf if caller.by_cookie else None,
    )


@router.post("/password", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 429))
def password(
    request: Request, response: Response, head: Head, caller: Viewer, change: PasswordChange
) -> None:
    """Change one's own password; every session ends."""
    head.operators.change_password(caller.name, change.old, change.new, address=address_of(request))
    clear_cookie(response)


@router.get("/tokens", responses=errors())
def tokens(head: Head, caller: Viewer) -> list[SessionModel]:
    """Return one's own open sessions and tokens."""
    return [SessionModel.of(session) for session in head.operators.sessions(caller.name)]


@router.post("/tokens", status_code=status.HTTP_201_CREATED, responses=errors(400))
def make_token(head: Head, caller: Viewer, wish: TokenRequest) -> TokenModel:
    """Make an API token of one's own, which is shown once; this takes a log-in, not a token."""
    if not caller.by_cookie:
        # Else a token that leaked would live on in others when it is revoked or expires.
        raise SecurityError("a token makes no token: log in", code="security.token")
    granted = head.operators.make_token(caller.name, label=wish.label, days=wish.days)
    return TokenModel(token=granted.secret, session=SessionModel.of(granted.session))


@router.delete("/tokens/{session}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(404))
def revoke(head: Head, caller: Viewer, session: SessionId) -> None:
    """End one of one's own sessions or tokens."""
    head.operators.revoke(caller.name, session)


@router.get("/operators", responses=errors(409))
def operators(head: Head, caller: Admin, after: After = None, limit: Limit = 100) -> OperatorPage:
    """Return the accounts."""
    del caller
    page = head.operators.list(after=after, limit=limit)
    return OperatorPage(items=[OperatorModel.of(item) for item in page.items], next=page.next)


@router.post("/operators", status_code=status.HTTP_201_CREATED, responses=errors(400, 409))
def add_operator(head: Head, caller: Admin, wish: NewOperator) -> OperatorModel:
    """Make an account."""
    return OperatorModel.of(
        head.operators.add(wish.name, wish.password, wish.role, who=caller.name)
    )


@router.patch("/operators/{name}", responses=errors(404, 409))
def change_operator(head: Head, caller: Admin, name: str, change: OperatorChange) -> OperatorModel:
    """Change an account's role, shut it out or let it in again."""
    return OperatorModel.of(
        head.operators.change(name, who=caller.name, role=change.role, disabled=change.disabled)
    )
