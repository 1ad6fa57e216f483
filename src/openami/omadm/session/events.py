"""What a session tells its application, and what the application hands to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.quick import quick

if TYPE_CHECKING:
    from openami.omadm.messages.model import (
        Add,
        Alert,
        Atomic,
        Copy,
        Delete,
        Exec,
        Get,
        Item,
        Meta,
        Replace,
        Sequence,
    )
    from openami.omadm.session.account import Account

    OrderCommand = Add | Replace | Delete | Copy | Get | Exec | Alert | Atomic | Sequence

NO_ANSWER: Final = 0
"""In place of a status: the peer has given none."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent as it is.

    Attributes:
        body: its octets.
        content_type: their media type.
        hmac: the value of ``x-syncml-hmac``; None: no such header.
    """

    body: bytes = field(repr=False)
    content_type: str
    hmac: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of a command.

    Attributes:
        status: of three digits.
        items: what a Get found or a user answered.
        meta: of the Results.
    """

    status: int
    items: tuple[Item, ...] = ()
    meta: Meta | None = None


@quick
class Order:
    """A command for a device; the session numbers it, so its ``cmd_id`` is no matter.

    Attributes:
        id: the caller's, not empty: what is nobody's the session asks for itself.
    """

    id: str
    command: OrderCommand


@quick
class Part:
    """What became of one command of an order, or of one item of it.

    Attributes:
        command: its name.
        target: of the item; None: the status is that of the whole command.
        status: of three digits; ``NO_ANSWER``.
        items: what was found or answered.
    """

    command: str
    target: str | None
    status: int
    items: tuple[Item, ...] = ()


class End(StrEnum):
    """Why a session is over."""

    DONE = "done"
    ABORTED = "aborted"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class NonceChanged:
    """The account has another nonce: keep it before the next message goes out."""

    account: Account


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The peer has proved who it is."""


@dataclass(frozen=True, slots=True)
class AuthenticationFailed:
    """The peer has proved nothing; it is asked again.

    Attributes:
        status: 401 for a wrong proof, 407 for none.
    """

    status: int


@dataclass(frozen=True, slots=True)
class DeviceInfoReceived:
    """The device has told its DevInfo: URI and value of every node."""

    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AlertReceived:
    """The device says that something has happened."""

    alert: Alert


@quick
class OrderDone:
    """An order was answered, or never will be.

    Attributes:
        id: the caller's.
        status: of the command itself; ``NO_ANSWER``: unknown whether it was carried out.
        items: all that it found.
        parts: every status that came, in the order's order.
        sent: False: it never went out, in whole or in part.
    """

    id: str
    status: int
    items: tuple[Item, ...] = ()
    parts: tuple[Part, ...] = ()
    sent: bool = True


@dataclass(frozen=True, slots=True)
class CommandPerformed:
    """The client has acted on a command of the server.

    Attributes:
        command: its name.
        target: of the item; None: it has none.
        status: what the server is told.
        detail: more, for a log.
    """

    command: str
    target: str | None
    status: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Nothing more will be sent.

    Attributes:
        end: why.
        code: of the error, if one ended it.
        message: for a person.
    """

    end: End
    code: str | None = None
    message: str = ""


Event = (
    NonceChanged | Authenticated | AuthenticationFailed | DeviceInfoReceived | AlertReceived
    | OrderDone | CommandPerformed | SessionEnded
)  # fmt: skip
