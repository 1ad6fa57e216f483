"""What the utility says to the household, and what this answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.dlms.cosem import AttributeMode, ClientKind, Command, MethodMode, Rights
from openami.dlms.cosem.response import Response, profile_id
from openami.metrology.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.cosem import AccessTable, DisconnectControl
    from openami.meter.objects.hooks import Hooks

_CALL: Final = MethodMode.ACCESS
RIGHTS: Final[AccessTable] = {
    ClientKind.MANAGEMENT: Rights(AttributeMode.READ, method={1: _CALL, 3: _CALL}),
    ClientKind.HOME: Rights(AttributeMode.READ, method={2: _CALL, 4: _CALL}),
}
"""The utility says, the household answers; neither does it for the other."""


def response(hooks: Hooks, disconnector: DisconnectControl) -> Response:
    """Return the object of what is said; who may reconnect by it stands at the meter."""
    engine = hooks.engine
    return Response(
        standing=hooks.standing,
        now=lambda: engine.time / SECOND,
        keep=hooks.keep_standing,
        reconnect=lambda: disconnector.command(Command.MANUAL_RECONNECT),
        access=RIGHTS,
    )


def waives(said: Response) -> Callable[[int], bool]:
    """Return what tells of an emergency profile that the household has opted out of its event."""
    return lambda profile: profile in map(profile_id, said.standing.opted_out())
