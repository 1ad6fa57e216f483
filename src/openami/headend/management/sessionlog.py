"""The log of sessions, with each message decoded for people.

What proves who somebody is, and what will the next time, is left out: credentials and nonces.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, RemoteProtocolError
from openami.headend.management.transcript import MAX_OCTETS
from openami.omadm.inspect import inspect_syncml, inspect_wbxml
from openami.omadm.messages.media import MediaType
from openami.omadm.session.events import End

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.core.inspection import Node
    from openami.fleet.accounts import AccountStore, MessageRecord, SessionRecord
    from openami.fleet.ports import Page

DAY_S: Final = 86_400.0
SLICE: Final = 100
"""Sessions forgotten in one transaction, of which there is one a second: with their messages some
thousand rows. Of one device the store keeps its last ones only, so ten a second grow too old."""
_NONCE: Final = "NextNonce"
_HIDDEN: Final = "hidden"
_NOT_KEPT: Final = (
    f"not kept: it has to do with passwords, or came after {MAX_OCTETS // 1024} KiB of its session"
)


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message for people.

    Attributes:
        node: what it says; None: see ``note``.
        note: why there is nothing to show.
    """

    record: MessageRecord
    node: Node | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ShownSession:
    """A session for people."""

    session: SessionRecord
    messages: tuple[ShownMessage, ...]

    @property
    def note(self) -> str:
        """Why messages are missing; empty: all are here."""
        session, kept = self.session, len(self.messages)
        if kept == session.messages:
            return ""
        if kept:
            return f"only the first {kept} of its {session.messages} messages are kept"
        if session.end == End.DONE and not session.orders:
            return "nothing was ordered and nothing told: its messages are not kept"
        return "its messages are not kept"


class SessionLog:
    """What was said in sessions that are over."""

    def __init__(self, store: AccountStore, *, wall: Clock, keep_days: float) -> None:
        self._store = store
        self._wall = wall
        self._keep_s = keep_days * DAY_S

    def list(
        self, *, uid: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SessionRecord]:
        """Return sessions, the latest first."""
        return self._store.sessions(uid=uid, after=after, limit=limit)

    def show(self, number: int) -> ShownSession:
        """Return a session with its messages decoded; NotFoundError."""
        logged = self._store.session(number)
        return ShownSession(logged.session, tuple(map(_shown, logged.messages)))

    async def forget(self) -> int:
        """Remove some of what is older than is to be kept; return how many sessions."""
        before = self._wall.now() - self._keep_s
        return await asyncio.to_thread(self._store.forget_sessions, before=before, limit=SLICE)


def _shown(record: MessageRecord) -> ShownMessage:
    if not record.body:
        return ShownMessage(record, None, _NOT_KEPT)
    try:
        wbxml = MediaType.of(record.media) is MediaType.WBXML
        node = inspect_wbxml(record.body) if wbxml else inspect_syncml(record.body)
    except (DecodeError, RemoteProtocolError) as error:
        return ShownMessage(record, None, error.message)
    return ShownMessage(record, _masked(node))


def _masked(node: Node) -> Node:
    """Return a node without nonces, and without the octets of those that hold one."""
    if node.name == _NONCE:
        return replace(node, value=None, octets=b"", children=(), note=_HIDDEN)
    if not node.children:
        return node
    return replace(node, octets=b"", children=tuple(map(_masked, node.children)))
