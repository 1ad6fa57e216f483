"""What a node tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """A message got no answer: it was none, or its protection did not hold.

    Attributes:
        source: where it came from.
        code: the error's code: ``protocol.decode``, ``security.tag``, ``security.replay``, …
        failures: wrong tags of this source in a row.
    """

    source: Hashable
    code: str
    failures: int = 0


@dataclass(frozen=True, slots=True)
class SessionBegan:
    """A user has logged on; ``caller`` is the absolute title of its node, as text."""

    caller: str
    user_id: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session has ended: ``reason`` is logoff, terminate, timeout or displaced."""

    caller: str
    user_id: int
    reason: str


NodeEvent = MessageRefused | SessionBegan | SessionEnded
