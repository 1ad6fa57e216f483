"""Who breaks the rules: refusals are logged, and what a person must know becomes an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

from openami.core.recent import Recent
from openami.headend.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.core.errors import OpenAmiError

log = structlog.get_logger(__name__)

WRONG_PROOFS: Final = 3
"""In a row until it is an alarm: one is a nonce that was lost, two a device that tries again."""
QUIET_S: Final = 60.0
"""Between two lines of the log about the same device and the same refusal."""
REMEMBERED: Final = 16_384
"""Devices whose refusals are remembered: a seventh of a country's, at two hundred octets each."""
AUTHENTICATION: Final = "dm.authentication"
_WRONG: Final = 401

_ALARMS: Final[Mapping[str, tuple[str, str]]] = {
    "omadm.auth.downgrade": ("dm.downgrade", "it proved itself by less than was asked for"),
    "omadm.session.replay": ("dm.replay", "a message of before was sent again"),
    "omadm.too-large": ("dm.message", "a message was larger than any may be"),
    "request.too-large": ("dm.message", "a message was larger than any may be"),
    "request.slow": ("dm.message", "a message came more slowly than any may"),
    "omadm.too-deep": ("dm.message", "a message was nested deeper than any may be"),
    "omadm.too-many": ("dm.message", "a message had more in it than any may have"),
    "omadm.doctype": ("dm.message", "a message defined entities"),
}


class AlarmBell(Protocol):
    """Raises alarms."""

    def about_dcu(self, uid: str, code: str, message: str) -> None:
        """Raise an alarm; nothing happens while the same one is open. Blocks."""
        ...

    def about(self, subject: str, code: str, message: str) -> None:
        """Raise an alarm about what is no DCU: ``meter-SERIAL``, ``group:NAME``. Blocks."""
        ...


class Watch:
    """Counts wrong proofs and refusals of every device."""

    def __init__(self, alarms: AlarmBell) -> None:
        self._alarms = alarms
        self._wrong: Recent[str, int] = Recent(REMEMBERED)
        self._seldom = Seldom(QUIET_S, REMEMBERED)

    def failed(self, uid: str, statuses: Sequence[int], *, now: float) -> bool:
        """Count proofs; tell whether there were so many wrong ones that an alarm is due."""
        wrong = sum(status == _WRONG for status in statuses)
        if not wrong:
            return False
        self._note(uid, "dm.proof", "a proof was wrong", now)
        count = self._wrong[uid] = self._wrong.get(uid, 0) + wrong
        return count >= WRONG_PROOFS

    def proved(self, uid: str) -> None:
        """Forget the wrong proofs of a device that has given a right one."""
        self._wrong.pop(uid, None)

    def refused(self, uid: str, error: OpenAmiError, *, now: float) -> bool:
        """Log a refusal; tell whether it is worth an alarm."""
        self._note(uid, error.code, error.message, now)
        return error.code in _ALARMS

    def raise_wrong(self, uid: str) -> None:
        """Raise the alarm of wrong proofs. Blocks."""
        self._alarms.about_dcu(uid, AUTHENTICATION, "it proved itself wrongly, again and again")

    def raise_for(self, uid: str, error: OpenAmiError) -> None:
        """Raise the alarm of a refusal. Blocks."""
        code, words = _ALARMS[error.code]
        self._alarms.about_dcu(uid, code, words)

    def _note(self, uid: str, code: str, message: str, now: float) -> None:
        if self._seldom.due((uid, code), now):
            log.warning("device management refused", dcu=uid, code=code, message=message)
