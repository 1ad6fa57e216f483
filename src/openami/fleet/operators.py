"""Operators: the people and programs that use the head-end, and what each may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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
