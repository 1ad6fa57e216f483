"""What a host tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.c1222.codes import ResponseCode, SecurityMode
    from openami.c1222.network.registrations import Registration
    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle


@dataclass(frozen=True, slots=True)
class Joined:
    """A node has registered, or renewed that."""

    registration: Registration


@dataclass(frozen=True, slots=True)
class Left:
    """A node is registered no more: it said so, or its time is over (``expired``)."""

    title: ApTitle
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """A node asked to be registered, under ``title``, and is not."""

    title: ApTitle
    source: Hashable
    code: ResponseCode
    mode: SecurityMode


@dataclass(frozen=True, slots=True)
class Notified:
    """A registered node has told something unasked: what it wrote, protected by its key."""

    title: ApTitle
    request: Request


@dataclass(frozen=True, slots=True)
class Answered:
    """A node has answered what was asked: one response for each request, in their order."""

    title: ApTitle
    invocation_id: int
    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A node has not answered, however often it was asked."""

    title: ApTitle
    invocation_id: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A message was not taken.

    Attributes:
        title: who it says that it is from; not to be believed.
        source: where it came from.
        code: the error's code, such as ``security.tag``.
        failures: wrong tags of this source in a row.
    """

    title: ApTitle | None
    source: Hashable
    code: str
    failures: int = 0


HostEvent = Joined | Left | Denied | Notified | Answered | Unanswered | Refused
