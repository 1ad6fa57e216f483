"""What the limiter does with the supply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.dlms.cosem import Command, LimiterAction, ScriptRef
from openami.meter.objects.control import DISCONNECT, DISCONNECT_SCRIPTS, RECONNECT
from openami.metrology.clock import SECOND
from openami.metrology.events import Event

if TYPE_CHECKING:
    from openami.meter.kept import Kept
    from openami.meter.objects import ObjectModel
    from openami.metrology.engine import MeterEngine

SCRIPTS: Final = {
    ScriptRef(DISCONNECT_SCRIPTS, DISCONNECT): Command.LOCAL_DISCONNECT,
    ScriptRef(DISCONNECT_SCRIPTS, RECONNECT): Command.LOCAL_RECONNECT,
}
"""What the scripts do where the limiter executes them: it acts locally (Blue Book 4.5.8, g, h)."""


def follow_limit(engine: MeterEngine, model: ObjectModel, kept: Kept) -> None:
    """Compare the imported power with the limit, and do what is due."""
    limiter = model.limiter
    watts, world = max(engine.sample.active, 0) // 1000, engine.state.world
    action = limiter.step(watts, engine.time / SECOND, world / SECOND)
    if limiter.changed:
        engine.record(Event.LIMIT_CHANGED)
    if action is None:
        return
    over = action is LimiterAction.OVER
    command = SCRIPTS.get(limiter.action_over if over else limiter.action_under)
    if command is not None:
        model.disconnector.command(command)
    kept.tripped = over and command is Command.LOCAL_DISCONNECT
