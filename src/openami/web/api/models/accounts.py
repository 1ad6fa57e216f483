"""What the REST API takes and gives about operators."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.operators import Operator, Role, Session, SessionKind
from openami.web.api.models.common import Cursor, Model, moment


class Login(Model):
    """A name and its password."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024, repr=False)]


class SessionModel(Model):
    """A session or an API token."""

    id: int
    kind: SessionKind
    label: str
    created: datetime
    expires: datetime

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return the model of a session."""
        return cls(
            id=session.id,
            kind=session.kind,
            label=session.label,
            created=utc(session.created),
            expires=utc(session.expires),
        )


class CallerModel(Model):
    """Who is logged in. The CSRF token goes into `X-CSRF-Token` of what changes something."""

    name: str
    role: Role
    expires: datetime
    csrf_token: str | None = Field(description="Null for a token in the Authorization header.")


class TokenRequest(Model):
    """An API token to be."""

    label: Annotated[str, Field(min_length=1, max_length=100, examples=["billing export"])]
    days: Annotated[float, Field(gt=0)] = 90.0


class TokenModel(Model):
    """A new API token, which is shown once."""

    token: Annotated[str, Field(repr=False)]
    session: SessionModel


class OperatorModel(Model):
    """An account."""

    name: str
    role: Role
    created: datetime
    last_login: datetime | None
    disabled: bool

    @classmethod
    def of(cls, operator: Operator) -> Self:
        """Return the model of an account."""
        return cls(
            name=operator.name,
            role=operator.role,
            created=utc(operator.created),
            last_login=moment(operator.last_login),
            disabled=operator.disabled,
        )


class OperatorPage(Model):
    """Some accounts."""

    items: list[OperatorModel]
    next: Cursor


class NewOperator(Model):
    """An account to be."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024, repr=False)]
    role: Role = Role.VIEWER


class OperatorChange(Model):
    """What is to be different about an account."""

    role: Role | None = None
    disabled: bool | None = None


class PasswordChange(Model):
    """A new password of one's own."""

    old: Annotated[str, Field(max_length=1024, repr=False)]
    new: Annotated[str, Field(max_length=1024, repr=False)]
