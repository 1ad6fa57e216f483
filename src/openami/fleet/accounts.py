"""Device management's accounts and the log of its sessions, as the stores keep them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """A device's account; its passwords are in the vault, named by ``digest``.

    Attributes:
        uid: of the device.
        digest: of what was agreed upon, hexadecimal: another registration has another.
        suspended: whether it is shut out for now.
        client_nonce: what the device's next proof holds.
        server_nonce: what the server's next proof and notification hold.
        last_session: when the last session began, in UTC seconds.
        wake_url: where notifications go; None: it has not said.
        wake_due: when the next one does; None: there is no need.
        wake_failures: how many have gone out since a session began.
        wake_session: the number of the session that the last one asked for.
        wake_silent: nobody took the last one, and no session has begun since.
        allows: labels of the proofs that it accepts, with blanks between; empty: those that
            accounts accept unless an administrator says otherwise.
    """

    uid: str
    digest: str
    suspended: bool = False
    client_nonce: bytes = field(default=b"", repr=False)
    server_nonce: bytes = field(default=b"", repr=False)
    last_session: float | None = None
    wake_url: str | None = None
    wake_due: float | None = None
    wake_failures: int = 0
    wake_session: int = 0
    wake_silent: bool = False
    allows: str = ""


@dataclass(frozen=True, slots=True)
class NonceUpdate:
    """The nonces of an account after a message.

    Attributes:
        began: when its session began, with the session's first update: the wake-ups that were
            asked for before have done their work.
    """

    uid: str
    digest: str
    client_nonce: bytes = field(repr=False)
    server_nonce: bytes = field(repr=False)
    began: float | None = None


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message of a session.

    Attributes:
        number: its place in the session, from 1.
        sent: the server's; otherwise the device's.
        at: when, in UTC seconds.
        media: the media type.
        octets: how many it had.
        body: as it was on the wire; empty where it is not kept.
    """

    number: int
    sent: bool
    at: float
    media: str
    octets: int
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session that is over.

    Attributes:
        id: its number: later sessions have greater ones.
        uid: of the device.
        session: the SessionID.
        began: when, in UTC seconds.
        ended: when.
        end: why: done, aborted, refused, timeout, broken.
        code: of the error that ended it.
        message: the same in words.
        notified: the device says that it was woken.
        messages: how many there were.
        octets: of all of them.
        orders: how many the device was given.
    """

    id: int
    uid: str
    session: str
    began: float
    ended: float
    end: str
    code: str | None = None
    message: str = ""
    notified: bool = False
    messages: int = 0
    octets: int = 0
    orders: int = 0


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """A session with its messages."""

    session: SessionRecord
    messages: tuple[MessageRecord, ...]


@dataclass(frozen=True, slots=True)
class WakeUp:
    """What is to be kept of an attempt to wake a device.

    Attributes:
        was: when it was due.
        due: when the next one is; None: the device will come by itself.
        session: the number of the session that was asked for.
        silent: nobody took it.
    """

    uid: str
    was: float
    due: float | None
    failures: int
    session: int
    silent: bool = False


class AccountStore(Protocol):
    """Keeps accounts and the log of sessions."""

    def accounts(self, uids: Collection[str]) -> Mapping[str, AccountRecord]:
        """Return the accounts that there are."""
        ...

    def commit(
        self, nonces: Sequence[NonceUpdate], sessions: Sequence[LoggedSession]
    ) -> frozenset[str]:
        """Keep nonces and sessions in one transaction.

        Returns:
            the devices among them whose account was replaced since, which changed nothing of it, or
            is suspended: their sessions are to go no further, and are logged as refused.
        """
        ...

    def reach(self, uid: str, url: str) -> None:
        """Note where a device takes notifications."""
        ...

    def allow(self, uid: str, allows: str, *, said: AuditEntry) -> None:
        """Let a device's account accept other proofs, and keep who has said so.

        What it accepts already is not said again.

        Raises:
            NotFoundError: it has no account.
        """
        ...

    def due(self, *, now: float, silent: bool, limit: int) -> Sequence[AccountRecord]:
        """Return accounts that are not suspended and whose wake-up is due, the oldest first.

        Args:
            now: UTC seconds.
            silent: those of devices that took no notification last time, or those of all others.
            limit: how many.
        """
        ...

    def woken(self, attempts: Sequence[WakeUp]) -> None:
        """Note attempts; one that a session or a new wish has overtaken changes no due time."""
        ...

    def sessions(
        self, *, uid: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SessionRecord]:
        """Return sessions, the latest first."""
        ...

    def session(self, number: int) -> LoggedSession:
        """Return one with its messages; NotFoundError."""
        ...

    def forget_sessions(self, *, before: float, limit: int = 1000) -> int:
        """Remove sessions that began before; return how many."""
        ...
