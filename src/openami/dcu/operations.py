"""What a server has had the DCU do: accepted (202), carried out, concluded by an alert.

As firmware updates do (OMA-TS-DM-FUMO 1.0, clause 8.2), the device sends a generic alert with the
correlator of the Exec when it is over. What was accepted is on disk before the Status says so, and
how it ended until a session has told it. What was under way when the DCU ended was perhaps done
and perhaps not: it is concluded as failed, not done again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import StoreError
from openami.dcu.rounds import Ending
from openami.omadm.codes import AlertCode, Status
from openami.omadm.messages.model import Alert, Item, Location, Meta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.dcu.threads import WorkThread
    from openami.store.device_memory import DeviceMemory

OPERATION: Final = "urn:openami:alert:operation"
"""Type of the generic alert: how an operation ended; Data is its status and words."""
KEPT_MOST: Final = 32
"""Operations with a correlator that are not told to their end; half of the alerts that wait."""
MAX_CORRELATOR: Final = 256
"""Characters; a job's identifier has 36 at most."""
_FACT: Final = "operations"
_CUT_OFF: Final = Ending(Status.COMMAND_FAILED, "the DCU ended before it was over")

Key = tuple[str, str]
"""An operation's name, and the correlator it was given."""

log = structlog.get_logger("dcu")


def alert(kind: str, source: str, data: str, correlator: str | None = None) -> Alert:
    """Return a generic alert (OMA-TS-DM_Protocol 1.2, clause 8.7)."""
    item = Item(source=Location(source), meta=Meta(format="chr", type=kind), data=data)
    return Alert(0, AlertCode.GENERIC, (item,), correlator=correlator)


class Operations:
    """Remembers operations from their acceptance until the server was told how they ended.

    All but ``conclude`` is for one thread to call; ``tell`` is called on it.

    Args:
        memory: where they outlive a restart.
        tell: lets the server hear of an alert soon.
        thread: the one; before it begins, any may.
    """

    def __init__(
        self, memory: DeviceMemory, tell: Callable[[Alert], None], thread: WorkThread
    ) -> None:
        self._memory = memory
        self._thread = thread
        self._tell = tell
        self._kept: dict[Key, Ending | None] = {}
        self._alerts: dict[Key, Alert] = {}

    def recall(self) -> None:
        """Conclude what was under way when the DCU ended, and tell what was not told yet."""
        text = self._memory.fact(_FACT)
        for name, correlator, *end in json.loads(text) if text else []:
            self._kept[name, correlator] = Ending(*end) if end else _CUT_OFF
        for key in self._kept:
            self._announce(key)

    def under_way(self, name: str, correlator: str) -> bool:
        """Tell whether an operation was accepted and is not over."""
        key = name, correlator
        return key in self._kept and self._kept[key] is None

    def accept(self, name: str, correlator: str) -> int:
        """Keep an operation; return 202, or why it is not taken.

        Raises:
            StoreError: it cannot be kept.
        """
        if len(correlator) > MAX_CORRELATOR:
            return Status.ENTITY_TOO_LARGE
        key = name, correlator
        if len(self._kept) >= KEPT_MOST and key not in self._kept:
            return Status.DEVICE_FULL
        self._write({**self._kept, key: None})
        self._kept[key] = None
        self._alerts.pop(key, None)
        return Status.ACCEPTED_FOR_PROCESSING

    async def conclude(self, name: str, correlator: str, end: Ending) -> None:
        """Keep how an operation ended, and have it told."""
        await self._thread.do(self._conclude, (name, correlator), end)

    def told(self, alerts: Sequence[Alert]) -> None:
        """Forget the operations that alerts concluded, which the server has now."""
        known = set(map(id, alerts))
        over = [key for key, one in self._alerts.items() if id(one) in known]
        if not over:
            return
        for key in over:
            del self._alerts[key], self._kept[key]
        try:
            self._write(self._kept)
        except StoreError as error:  # told again after a restart, and known there
            log.warning("not noted", code=error.code, error=error.message)

    def _conclude(self, key: Key, end: Ending) -> None:
        self._kept[key] = end
        try:
            self._write(self._kept)
        except StoreError as error:  # it is told all the same, by this process
            log.warning("not noted", code=error.code, error=error.message)
        self._announce(key)

    def _announce(self, key: Key) -> None:
        """Have it told how an operation ended, if it has."""
        end = self._kept[key]
        if end is None:
            return
        name, correlator = key
        words = f"{end.status:d} {end.words}"
        self._alerts[key] = alert(OPERATION, f"./AMI/Operations/{name}", words, correlator)
        good = end.status < Status.BAD_REQUEST
        (log.info if good else log.warning)("operation over", name=name, words=end.words)
        self._tell(self._alerts[key])

    def _write(self, kept: dict[Key, Ending | None]) -> None:
        rows = [
            [*key, *([] if end is None else [int(end.status), end.words])]
            for key, end in kept.items()
        ]
        self._memory.put_fact(_FACT, json.dumps(rows))
