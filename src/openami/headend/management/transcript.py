"""What was said in a session, for its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.fleet.accounts import LoggedSession, MessageRecord, SessionRecord
from openami.omadm.session.events import End

if TYPE_CHECKING:
    from openami.omadm.session.events import SessionEnded

MAX_OCTETS: Final = 256 * 1024
"""Of the bodies of one session that are kept: a tree and what was changed of it. Of large objects
the rest says nothing new."""
MAX_MESSAGES: Final = 500
"""Of one session that are kept, for the same reason."""
MAX_ID: Final = 16
MAX_MEDIA: Final = 64
"""Characters of a session's id and of a media type that are kept: the rest is a device's joke."""

# Nodes of DMAcc that hold passwords and nonces (OMA-TS-DM_StdObj 1.2, 5.3), and a Cred with one.
_SECRETS: Final = (b"AAuthSecret", b"AAuthData", b"auth-basic")


class Transcript:
    """The messages of one session.

    A message that has to do with passwords is noted without its body. Of a session in which
    nothing was ordered and nothing told no message is kept: 120,000 devices that poll every five
    minutes have 800 messages a second which say that there is nothing to say.
    """

    def __init__(self, number: int, uid: str, session: str, *, notified: bool, now: float) -> None:
        self.number = number
        self._uid = uid
        self._session = session[:MAX_ID]
        self._notified = notified
        self._began = now
        self._messages: list[MessageRecord] = []
        self._count = 0
        self._octets = 0

    def add(self, body: bytes, media: str, *, sent: bool, now: float) -> None:
        """Note a message."""
        self._count += 1
        self._octets += len(body)
        if self._count > MAX_MESSAGES:
            return
        secret = any(name in body for name in _SECRETS)
        kept = b"" if secret or self._octets > MAX_OCTETS else body
        self._messages.append(
            MessageRecord(self._count, sent, now, media[:MAX_MEDIA], len(body), kept)
        )

    def close(
        self, end: SessionEnded, *, orders: int, now: float, told: bool = True
    ) -> LoggedSession:
        """Return the session for the log.

        Args:
            end: why it is over.
            orders: how many the device was given.
            now: UTC seconds.
            told: whether the device has said more than who it is, or could not prove that.
        """
        record = SessionRecord(
            self.number,
            self._uid,
            self._session,
            self._began,
            now,
            end.end,
            end.code,
            end.message,
            self._notified,
            self._count,
            self._octets,
            orders,
        )
        idle = end.end is End.DONE and not orders and not told
        return LoggedSession(record, () if idle else tuple(self._messages))
