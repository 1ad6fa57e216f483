"""What events, supplies and displays are looked after with, and how what they do is noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openami.fleet.devices import AuditEntry
from openami.headend.bus import LiveEvent, Topic

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.headend.bus import Bus
    from openami.headend.demand.book import Book
    from openami.headend.demand.ports import DemandStore
    from openami.headend.registry import Registry


@dataclass(frozen=True, slots=True)
class Means:
    """What demand response is done with.

    Attributes:
        store: keeps it.
        book: has what is under way.
        registry: knows the meters.
        bus: tells who watches.
        clock: of the meters.
        wall: of the machine.
    """

    store: DemandStore
    book: Book
    registry: Registry
    bus: Bus
    clock: Clock
    wall: Clock

    def entry(self, who: str, what: str, subject: str, why: str = "") -> AuditEntry:
        """Return what the audit log says of something that is done now."""
        return AuditEntry(who, self.wall.now(), what, subject, why)

    def tell(self, subject: str, data: dict[str, Any], **whom: Any) -> None:
        """Tell who watches of an event or a meter; ``whom``: see ``LiveEvent``."""
        self.bus.publish(LiveEvent(Topic.DEMAND, subject, self.clock.now(), data, **whom))
