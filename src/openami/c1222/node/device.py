"""What a node needs of the device behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.c1222.codes import SecurityMode
    from openami.c1222.services import Identified, Request, Response
    from openami.c1222.titles import ApTitle


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        title: the ApTitle that it says; to be believed where the mode is not clear.
        source: where the message came from, as the transport names it.
        mode: how the message was protected.
        key_id: the key that protected it.
        user_id: the user of the session, or the one whose password came in the message.
        authorized: a password was shown for that user.
    """

    title: ApTitle | None
    source: Hashable
    mode: SecurityMode
    key_id: int | None = None
    user_id: int | None = None
    authorized: bool = False


class Device(Protocol):
    """Answers what is asked. A node calls it for one request at a time, in their order."""

    def identify(self) -> Identified:
        """Say what the device speaks and is."""
        ...

    def authorizes(self, user_id: int, password: bytes) -> bool:
        """Compare a password of twenty octets in constant time with that of a user."""
        ...

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        """Answer a request for tables, or for the network, or to disconnect.

        It looks at what the caller may do. What the device does not do it answers with a
        ``Failure`` of SNS.
        """
        ...
