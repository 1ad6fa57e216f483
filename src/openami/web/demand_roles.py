"""Who may have events carried out and changed: the same rule for programs and for the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.errors import SecurityError
from openami.fleet.operators import Role
from openami.headend.demand.events import takes_admin

if TYPE_CHECKING:
    from openami.fleet.demand.model import Event
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


def check_reviser(caller: Caller, before: Event, event: Event) -> None:
    """Return if the caller may make this of an event; SecurityError ``security.role``.

    It takes the role of what it was and of what it will be, also of a draft: whoever publishes it
    has read what an administrator wrote.
    """
    check_publisher(caller, before)
    check_publisher(caller, event)
