"""What a meter's memory holds of its displays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.identifiers import SystemTitle
from openami.crypto.keywrap import unwrap
from openami.dlms.home.throttle import CodeThrottle
from openami.dlms.security import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY: Final = 16


@dataclass(frozen=True, slots=True)
class DisplayRecord:
    """One display that is paired.

    Args:
        client: the SAP of its place.
        title: its system title.
        name: what its owner calls it.
        since: when it was paired, UTC seconds.
        keys: guek and gak, its own.
        wrapped: both as the memory holds them: wrapped by the key that the maker put in.
        counter: from where the meter's invocation counter of these keys goes on.
        accepted: the highest one accepted from the display, -1 if none.
    """

    client: int
    title: SystemTitle
    name: str
    since: int
    keys: Keys = field(repr=False)
    wrapped: bytes = field(repr=False)
    counter: int = 0
    accepted: int = -1

    def data(self) -> dict[str, Any]:
        """Return what JSON holds of it: keys only wrapped."""
        return {
            "client": self.client,
            "title": str(self.title),
            "name": self.name,
            "since": self.since,
            "keys": self.wrapped.hex(),
            "counter": self.counter,
            "accepted": self.accepted,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any], factory: bytes) -> Self:
        """Read what ``data`` gave.

        Raises:
            ValueError, KeyError, TypeError, SecurityError: it is something else.
        """
        wrapped = bytes.fromhex(data["keys"])
        both = unwrap(factory, wrapped)
        return cls(
            data["client"],
            SystemTitle.parse(data["title"]),
            data["name"],
            data["since"],
            Keys(guek=both[:_KEY], gak=both[_KEY:]),
            wrapped,
            data["counter"],
            data["accepted"],
        )


@dataclass(frozen=True, slots=True)
class HomeRecord:
    """All that a meter must not forget of its displays.

    Args:
        throttle: of wrong codes.
        displays: those that are paired.
        unlogged: how many were forgotten while the meter was off, and are not in its log yet.
    """

    throttle: CodeThrottle = field(default_factory=CodeThrottle)
    displays: tuple[DisplayRecord, ...] = ()
    unlogged: int = 0

    def data(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {
            "failures": self.throttle.failures,
            "failed_at": self.throttle.at,
            "displays": [each.data() for each in self.displays],
            "unlogged": self.unlogged,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any], factory: bytes) -> Self:
        """Read what ``data`` gave; raises as ``DisplayRecord.of``."""
        displays = tuple(DisplayRecord.of(each, factory) for each in data["displays"])
        throttle = CodeThrottle(data["failures"], data["failed_at"])
        return cls(throttle, displays, data["unlogged"])
