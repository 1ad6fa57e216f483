"""What keepers elsewhere signed ends some day: an alarm while there is time to sign the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.clock import Clock
    from openami.headend.firmware.publisher import Publisher
    from openami.headend.security.alarms import Alarms

ALARM: Final = "release.ending"

# What keepers sign, and the command that drafts the next one of it.
_SIGNED: Final[Mapping[str, tuple[str, str]]] = {
    "root": ("the root of the release repository", "openami release repository draft-root"),
    "targets": ("the list of files that devices may fetch", "openami release draft"),
}


class Endings:
    """Looks when root and targets of keepers end. Calls block.

    Args:
        publisher: has them.
        alarms: are raised ahead, and settled when there is a new one.
        wall: the time of the machine.
        ahead_s: how long before the end an alarm is raised.
    """

    def __init__(
        self, publisher: Publisher, alarms: Alarms, *, wall: Clock, ahead_s: float
    ) -> None:
        self._publisher = publisher
        self._alarms = alarms
        self._wall = wall
        self._ahead = ahead_s

    def look(self) -> None:
        """Raise an alarm for each document that is about to end, settle those that are renewed."""
        # What the vault signs is renewed at half its life; if that fails, its chore says so.
        ends = self._publisher.ends() if self._publisher.offline else {}
        for role, (what, draft) in _SIGNED.items():
            version, end = ends.get(role, (0, 0.0))
            subject = f"releases:{role}"
            if version and end - self._wall.now() < self._ahead:
                message = f"{what} (version {version}) ends on {isoformat(end)}; {draft}"
                self._alarms.about(subject, ALARM, message)
            else:
                self._alarms.settle(subject, ALARM, why="it is signed anew")
