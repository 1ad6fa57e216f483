"""What happens to a download, as its machine is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.omadm.download.ends import End


@dataclass(frozen=True, slots=True)
class Found:
    """The device has started, and so many octets of the object are on its disk."""

    octets: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The head of an answer; ``chance`` is 0 to 1."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class Described:
    """The body of the descriptor's answer, and the room on the disk."""

    octets: bytes = field(repr=False)
    room: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The next octets of the object are durable."""

    octets: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A request or its answer came to nothing; ``end`` is what it means if none goes better."""

    end: End
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class Verified:
    """The object is the one that is wanted."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The octets are wrong."""

    end: End


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody, or the device, wants no more of it."""

    end: End


@dataclass(frozen=True, slots=True)
class Told:
    """The status was taken."""


Event: TypeAlias = (
    Found | Answered | Described | Kept | Failed | Verified | Refused | Stopped | Told
)
