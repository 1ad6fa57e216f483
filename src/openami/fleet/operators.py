"""Operators: the people and programs that use the head-end, and what each may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.ports import Page

# What a person types: short enough for a column, without characters that a log would garble.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """What an operator may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Return whether this role may do all that ``other`` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class SessionKind(StrEnum):
    """How an operator proves who is asking."""

    SESSION = "session"  # a browser's cookie
    TOKEN = "token"  # noqa: S105 - the name of a kind, not a secret


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; the password's hash never leaves the store."""

    name: str
    role: Role
    created: float = 0.0
    last_login: float | None = None
    disabled: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not an operator's name")


@dataclass(frozen=True, slots=True)
class Session:
    """One open session or token of an operator; known by ``id``, never by the secret itself."""

    id: int
    operator: Operator
    kind: SessionKind
    created: float
    expires: float
    label: str = ""


class OperatorStore(Protocol):
    """Operators, their passwords, sessions and tokens."""

    def add(self, name: str, password: str, role: Role, *, who: str, when: float) -> Operator:
        """Add an operator; ConflictError if the name is taken, ValueError for a weak password."""
        ...

    def get(self, name: str) -> Operator: ...

    def log_in(
        self, name: str, password: str, *, now: float, lifetime: float, label: str = ""
    ) -> tuple[str, Session] | None:
        """Open a session as ``open_session`` if name and password are right, else None.

        It takes the same time either way. What is changed while the password is looked at, holds.
        """
        ...

    def set_password(self, name: str, password: str, *, who: str, when: float) -> None:
        """Set a password, and end every session of the operator."""
        ...

    def set_role(self, name: str, role: Role, *, who: str, when: float) -> Operator: ...

    def set_disabled(self, name: str, disabled: bool, *, who: str, when: float) -> Operator:
        """Shut an operator out, ending every session and token, or let them in again."""
        ...

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[Operator]: ...

    def open_session(
        self,
        name: str,
        kind: SessionKind,
        *,
        now: float,
        lifetime: float,
        label: str = "",
    ) -> tuple[str, Session]:
        """Return a new secret, which only its holder will ever know, and its session."""
        ...

    def session(self, secret: str, *, now: float) -> Session | None:
        """Return the session of a secret unless it is over or its operator is shut out."""
        ...

    def sessions(self, name: str, *, now: float) -> Sequence[Session]: ...

    def close_session(self, session_id: int) -> None: ...
