"""Sessions of a node: who has one, and what may be asked when (C12.22, 5.3.2.5).

      Logon              Logoff, Terminate, silence
IDLE ───────► SESSION ─────────────────────────────► IDLE

Without a session a request stands alone: whoever it is for sees the user in Security, which comes
before it in the same message. Logoff and Wait have a meaning in a session only, Logon in none.

A title in clear is anybody's. So a session that was begun with less protection gives way to who
logs on, or names its user, with more; and once a password was shown with a key, nothing in clear
belongs to that session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.c1222.services import Logoff, Logon, Request, Wait

if TYPE_CHECKING:
    from openami.c1222.apdu import KeyUse
    from openami.c1222.codes import SecurityMode

_IN_NO_SESSION: Final[tuple[type[Request], ...]] = (Logon,)
_IN_SESSIONS: Final[tuple[type[Request], ...]] = (Logoff, Wait)
_LONGEST_WAIT: Final = 255
"""Seconds that Wait can ask for."""


@dataclass(slots=True)
class Session:
    """One session.

    Attributes:
        caller: the absolute title of the node that began it, as text.
        user_id: who logged on.
        timeout: seconds of silence that it outlives.
        mode: of the message that began it, or showed its password; none below belongs to it.
        deadline: when it ends.
        key: what protected its last message that said so.
        authorized: the user's password was shown.
    """

    caller: str
    user_id: int
    timeout: int
    mode: SecurityMode
    deadline: float
    key: KeyUse | None = None
    authorized: bool = False


def is_out_of_sequence(request: Request, session: Session | None) -> bool:
    """Tell whether a request has no meaning with, or without, a session."""
    wrong = _IN_SESSIONS if session is None else _IN_NO_SESSION
    return isinstance(request, wrong)


def _is_over(session: Session, now: float) -> bool:
    # One that ends long after any silence began before the clock was set back.
    longest = max(session.timeout, _LONGEST_WAIT)
    return not now < session.deadline <= now + 2 * longest


class Sessions:
    """All sessions of a node, by the absolute title of the other end.

    Args:
        most: sessions at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def full(self) -> bool:
        """Whether nobody else can log on."""
        return len(self._all) >= self._most

    def get(self, name: bytes) -> Session | None:
        """Return the session of a node, if it has one."""
        return self._all.get(name)

    def begin(self, name: bytes, session: Session) -> None:
        """Take a new session."""
        self._all[name] = session

    def end(self, name: bytes) -> Session | None:
        """Forget a session; return it, if there was one."""
        return self._all.pop(name, None)

    def end_below(self, mode: SecurityMode) -> Session | None:
        """Forget the session that ends first of those less protected than a mode, if any is.

        Whoever may begin sessions without a key shall not take the places of those who have one.
        """
        weaker = [name for name, session in self._all.items() if session.mode < mode]
        if not weaker:
            return None
        return self._all.pop(min(weaker, key=lambda name: self._all[name].deadline))

    def expire(self, now: float) -> list[Session]:
        """Forget the sessions that were silent for too long, and return them."""
        names = [name for name, session in self._all.items() if _is_over(session, now)]
        return [self._all.pop(name) for name in names]

    def next_timer(self) -> float | None:
        """Return when the next session ends by itself."""
        return min((session.deadline for session in self._all.values()), default=None)
