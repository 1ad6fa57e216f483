"""What a node is told once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.c1222.codes import SecurityMode
from openami.c1222.security import NO_KEYS, Keys

if TYPE_CHECKING:
    from openami.c1222.titles import ApTitle


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """How a node behaves. Times are in seconds.

    Attributes:
        title: its ApTitle; messages to others are not for it.
        keys: its keys.
        least: messages that are protected less are not served; a node that the internet reaches
            takes none in clear (RFC 6142, 5).
        sessions: at once; whoever logs on beyond that is told that it is busy.
        timeout: the longest silence that a session outlives.
    """

    title: ApTitle
    keys: Keys = field(default=NO_KEYS)
    least: SecurityMode = SecurityMode.CLEAR
    sessions: int = 4
    timeout: int = 300
