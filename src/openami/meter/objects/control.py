"""What acts: disconnector, limiter, schedules, image transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.obis import Obis
from openami.dlms.cosem import (
    AccessTable,
    ClientKind,
    Command,
    ControlState,
    DisconnectControl,
    Execution,
    ImageTransfer,
    Limiter,
    MethodMode,
    Rights,
    ScheduleType,
    ScriptRef,
    SingleActionSchedule,
)
from openami.dlms.datetime import CosemDate, CosemTime
from openami.dlms.references import AttributeRef
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.meter.objects.hooks import Hooks

NO_LIMIT: Final = 0xFFFF_FFFF
LIMIT_S: Final = 60  # over the limit before the supply is cut: motors start in less
UNDER_S: Final = 60

BILLING_SCRIPT: Final = ScriptRef(Obis.parse("0.0.10.0.1.255"), 1)
DISCONNECT_SCRIPTS: Final = Obis.parse("0.0.10.0.106.255")
IMAGE_SCRIPT: Final = ScriptRef(Obis.parse("0.0.10.0.107.255"), 1)
DISCONNECT: Final = 1
RECONNECT: Final = 2

_HEARD_BY_ALL: Final[AccessTable] = {
    ClientKind.BROADCAST: Rights(method={2: MethodMode.AUTHENTICATED})
}
"""Blocks alone: what is begun, verified and activated is so with each meter by itself."""

_EVENTS: Final = {
    (Command.REMOTE_DISCONNECT, ControlState.DISCONNECTED): Event.REMOTELY_DISCONNECTED,
    (Command.REMOTE_RECONNECT, ControlState.CONNECTED): Event.REMOTELY_CONNECTED,
    (Command.REMOTE_RECONNECT, ControlState.READY_FOR_RECONNECTION): Event.MANUAL_RECONNECT_READY,
    (Command.MANUAL_DISCONNECT, ControlState.READY_FOR_RECONNECTION): Event.MANUALLY_DISCONNECTED,
    (Command.MANUAL_RECONNECT, ControlState.CONNECTED): Event.MANUALLY_CONNECTED,
    (Command.LOCAL_DISCONNECT, ControlState.READY_FOR_RECONNECTION): Event.LIMIT_EXCEEDED,
    (Command.LOCAL_RECONNECT, ControlState.CONNECTED): Event.LIMIT_KEPT,
}


def disconnector(hooks: Hooks) -> DisconnectControl:
    """Return the disconnect control over the engine's disconnector."""
    engine = hooks.engine

    def switch(command: Command, state: ControlState) -> None:
        event = _EVENTS[command, state]
        if state is ControlState.CONNECTED:
            engine.connect(event)
        else:
            engine.disconnect(event, ready=state is ControlState.READY_FOR_RECONNECTION)

    state = ControlState.READY_FOR_RECONNECTION if engine.state.ready else ControlState.DISCONNECTED
    return DisconnectControl(
        state=ControlState.CONNECTED if engine.state.connected else state,
        on_change=switch,
        access=hooks.access,
    )


def limiter(hooks: Hooks, waived: Callable[[int], bool]) -> Limiter:
    """Return the limiter of the imported power; ``waived`` as of ``Limiter``."""
    return Limiter(
        monitored=AttributeRef(3, Obis.parse("1.0.1.7.0.255"), 2),
        normal=hooks.config.limit_w or NO_LIMIT,
        emergency=hooks.config.limit_w or NO_LIMIT,
        over=LIMIT_S,
        under=UNDER_S,
        action_over=ScriptRef(DISCONNECT_SCRIPTS, DISCONNECT),
        action_under=ScriptRef(DISCONNECT_SCRIPTS, RECONNECT),
        waived=waived,
        tripped=hooks.tripped,
        access=hooks.access,
    )


def billing_schedule(hooks: Hooks) -> SingleActionSchedule:
    """Return when billing periods end: on the first of each month, which is not to be changed."""
    found = SingleActionSchedule(
        "0.0.15.0.0.255",
        script=BILLING_SCRIPT,
        executions=(Execution(CosemTime(0, 0, 0, 0), CosemDate(day=1)),),
        kind=ScheduleType.SAME_TIME_WILDCARDS,
        access=hooks.access,
    )
    found.read_only = frozenset({2, 3, 4})
    return found


def disconnect_schedule(hooks: Hooks) -> SingleActionSchedule:
    """Return when the supply is disconnected or reconnected by the calendar."""
    script = ScriptRef(DISCONNECT_SCRIPTS, DISCONNECT)
    return SingleActionSchedule("0.0.15.0.1.255", script=script, access=hooks.access)


def image_schedule(hooks: Hooks) -> SingleActionSchedule:
    """Return when a verified image is activated."""
    return SingleActionSchedule("0.0.15.0.2.255", script=IMAGE_SCRIPT, access=hooks.access)


def image_transfer(hooks: Hooks) -> ImageTransfer:
    """Return the image transfer into the flash that does not run."""
    return ImageTransfer(store=hooks.images, access={**hooks.access, **_HEARD_BY_ALL})
