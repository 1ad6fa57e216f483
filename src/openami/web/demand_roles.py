"""Who may have events carried out and changed: the same rule for programs and for the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.errors import SecurityError
from openami.fleet.demand.machine import LIVE
from openami.fleet.operators import Role
from openami.headend.demand.events import takes_admin

if TYPE_CHECKING:
    from openami.fleet.demand.model import Event
    from openami.fleet.demand.records import EventRecord
    from openami.web.auth import Caller


def may_publish(caller: Caller, event: Event) -> bool:
    """Say whether the caller may have an event carried out."""
    return caller.may(Role.ADMIN) or not takes_admin(event)


def check_publisher(caller: Caller, event: Event) -> None:
    """Return if the caller may have an event carried out; SecurityError ``security.role``."""
    if not may_publish(caller, event):
        raise SecurityError(
            "an emergency, or a limit that nobody can opt out of, takes the role admin",
            code="security.role",
        )


def may_revise(caller: Caller, before: EventRecord) -> bool:
    """Say whether the caller may make something else of an event.

    A draft is nobody's yet; who may not have it carried out may not change what is on its way.
    """
    return before.state not in LIVE or may_publish(caller, before.event)


def check_reviser(caller: Caller, before: EventRecord, event: Event) -> None:
    """Return if the caller may make this of an event; SecurityError ``security.role``."""
    if before.state in LIVE:
        check_publisher(caller, before.event)
        check_publisher(caller, event)
