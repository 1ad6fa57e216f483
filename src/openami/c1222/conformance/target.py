"""The node that is tested, and who tests it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.c1222.codes import SecurityMode
from openami.c1222.security import NO_KEYS, Keys
from openami.c1222.services.fields import padded
from openami.c1222.services.requests import PASSWORD_SIZE

if TYPE_CHECKING:
    from openami.c1222.titles import ApTitle

TIMEOUT_S: Final = 5.0
"""Seconds until a node that does not answer is said not to: radio meshes take a few."""
ANY_USER: Final = 2
"""The user that logs on where none is given."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to test, and how. Times are in seconds.

    Attributes:
        node: its ApTitle.
        title: that of the tester.
        keys: keys at hand.
        key_id: the key that is used.
        mode: how messages are protected, unless a case is about that.
        user: of the password.
        password: of twenty octets at most; None: what wants one is skipped.
        timeout: how long an answer may take.
        retries: how often an unanswered message is sent again: datagrams get lost.
        largest: octets of the longest message to send; None: they may be of any length.
        stream: messages go over connections.
    """

    node: ApTitle
    title: ApTitle
    keys: Keys = field(default=NO_KEYS)
    key_id: int | None = None
    mode: SecurityMode = SecurityMode.CLEAR
    user: int = ANY_USER
    password: bytes | None = field(default=None, repr=False)
    timeout: float = TIMEOUT_S
    retries: int = 0
    largest: int | None = None
    stream: bool = True

    @property
    def shown_password(self) -> bytes | None:
        """The password as it is sent.

        Raises:
            LocalProtocolError: it has more than twenty octets.
        """
        return self.password and padded(self.password, PASSWORD_SIZE, "password")
