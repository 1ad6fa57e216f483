"""Disconnect control (Blue Book 4.5.8): the state of the supply and who may change it."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar, Final

from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import (
    AccessError,
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
)
from openami.dlms.cosem.fields import number
from openami.dlms.data import Data, DataType
from openami.dlms.results import ActionResult, DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DISCONNECT_OBIS: Final = Obis.parse("0.0.96.3.10.255")


class ControlState(IntEnum):
    """Attribute 3."""

    DISCONNECTED = 0
    CONNECTED = 1
    READY_FOR_RECONNECTION = 2


class Command(StrEnum):
    """Who asks for what."""

    REMOTE_DISCONNECT = "remote-disconnect"
    REMOTE_RECONNECT = "remote-reconnect"
    MANUAL_DISCONNECT = "manual-disconnect"
    MANUAL_RECONNECT = "manual-reconnect"
    LOCAL_DISCONNECT = "local-disconnect"
    LOCAL_RECONNECT = "local-reconnect"


_OFF: Final = ControlState.DISCONNECTED
_ON: Final = ControlState.CONNECTED
_READY: Final = ControlState.READY_FOR_RECONNECTION

# The transitions of Blue Book 4.5.8, figure "state diagram of the disconnect control":
# what each letter does …
TRANSITIONS: Final[Mapping[str, tuple[Command, ControlState, ControlState]]] = {
    "a": (Command.REMOTE_RECONNECT, _OFF, _ON),
    "b": (Command.REMOTE_DISCONNECT, _ON, _OFF),
    "c": (Command.REMOTE_DISCONNECT, _READY, _OFF),
    "d": (Command.REMOTE_RECONNECT, _OFF, _READY),
    "e": (Command.MANUAL_RECONNECT, _READY, _ON),
    "f": (Command.MANUAL_DISCONNECT, _ON, _READY),
    "g": (Command.LOCAL_DISCONNECT, _ON, _READY),
    "h": (Command.LOCAL_RECONNECT, _READY, _ON),
}
# … and which of them each control_mode has.
MODES: Final[Mapping[int, str]] = {
    0: "",
    1: "bcdefg",
    2: "abcefg",
    3: "bcdeg",
    4: "abceg",
    5: "bcdefgh",
    6: "bcdegh",
}
_TABLE: Final[Mapping[tuple[int, Command, ControlState], ControlState]] = {
    (mode, command, before): after
    for mode, letters in MODES.items()
    for letter in letters
    for command, before, after in [TRANSITIONS[letter]]
}


def next_state(mode: int, command: Command, state: ControlState) -> ControlState | None:
    """Return what ``command`` makes of ``state`` in control mode ``mode``; None if nothing."""
    return _TABLE.get((mode, command, state))


class DisconnectControl(CosemObject):
    """Class 70: connects and disconnects the supply.

    Args:
        obis: the logical name.
        state: the control state to start with.
        mode: control_mode, 0 to 6.
        on_change: called with the command and the new state after every change.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 70

    def __init__(
        self,
        obis: Obis | str = DISCONNECT_OBIS,
        *,
        state: ControlState = ControlState.CONNECTED,
        mode: int = 4,
        on_change: Callable[[Command, ControlState], None] | None = None,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.state = state
        self.mode = mode
        self._on_change = on_change or (lambda _command, _state: None)

    @property
    def output(self) -> bool:
        """Whether the supply is connected (attribute 2)."""
        return self.state is ControlState.CONNECTED

    def command(self, command: Command) -> bool:
        """Do what ``command`` does in this state and mode; False if it does nothing."""
        after = next_state(self.mode, command, self.state)
        if after is None:
            return False
        self.state = after
        self._on_change(command, after)
        return True

    def remote(self, command: Command) -> None:
        """Methods 1 and 2.

        A command that finds its work done succeeds, so that it can be repeated; one that the
        mode does not have is denied.
        """
        offered = any(TRANSITIONS[letter][0] is command for letter in MODES[self.mode])
        if not offered:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "not in this control mode")
        self.command(command)

    def set_mode(self, value: Data, _: Context) -> None:
        mode = value.integer()
        if mode not in MODES:
            raise AccessError(DataAccessResult.OTHER_REASON, "control modes are 0 to 6")
        if not MODES[mode] and not self.output:  # Blue Book 4.5.8: it is always connected then
            raise AccessError(DataAccessResult.OTHER_REASON, "mode 0 wants the supply connected")
        self.mode = mode

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("output_state", lambda o, _: Data(DataType.BOOLEAN, o.output)),
        3: number("control_state", DataType.ENUM, "state", writable=False),
        4: Attribute(
            "control_mode", lambda o, _: Data(DataType.ENUM, o.mode), set_mode, (DataType.ENUM,)
        ),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("remote_disconnect", lambda o, _, __: o.remote(Command.REMOTE_DISCONNECT)),
        2: Method("remote_reconnect", lambda o, _, __: o.remote(Command.REMOTE_RECONNECT)),
    }
