"""What a server takes from a device (OMA-TS-DM_Protocol 1.2, clause 8).

Of commands, a client sends Replace of its DevInfo, Results and Alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.omadm.codes import AlertCode, Status
from openami.omadm.messages.model import (
    Alert,
    Command,
    Replace,
    Results,
    StatusReport,
    Unsupported,
)
from openami.omadm.session.events import AlertReceived, DeviceInfoReceived, Event
from openami.omadm.session.numbering import (
    items_of,
    name_of,
    status_of,
    walk,
    whole_item,
)
from openami.omadm.session.objects import Assembly
from openami.omadm.tree.node import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.omadm.session.budget import Budget
    from openami.omadm.session.orders import Orders
    from openami.omadm.session.outbox import Outbox

_DEV_INFO: Final = "./DevInfo/"
_LINK_ALERTS: Final = frozenset(
    {
        AlertCode.SERVER_INITIATED,
        AlertCode.CLIENT_INITIATED,
        AlertCode.NEXT_MESSAGE,
        AlertCode.SESSION_ABORT,
        AlertCode.NO_END_OF_DATA,
    }
)
_FORMATS: Final = frozenset(Format)


class Intake:
    """Take a device's commands, and answer them.

    Args:
        largest: octets of an object that is taken in parts.
        budget: for the parts.
        outbox: where the answers wait.
        orders: what the device was told to do.
        tell: takes what has happened.
    """

    def __init__(
        self,
        largest: int,
        budget: Budget,
        outbox: Outbox,
        orders: Orders,
        tell: Callable[[Event], None],
    ) -> None:
        self._assembly = Assembly(largest, budget)
        self._outbox = outbox
        self._orders = orders
        self._tell = tell

    def status(self, status: StatusReport) -> None:
        """Take the Status of a command of ours."""
        order = self._orders.status(status)
        rest = self._outbox.commands[0] if self._outbox.commands else None
        if order is not None and rest is not None and rest.begun and rest.order == order:
            self._outbox.drop_rest()

    def command(self, msg_id: int, command: Command) -> None:
        """Take a command of the device, and answer it."""
        items = items_of(command)
        link = isinstance(command, Alert) and command.data == AlertCode.NEXT_MESSAGE
        broken = (
            None
            if link
            else self._assembly.interrupted_by(name_of(command), items[0] if items else None)
        )
        if broken is not None:
            self._outbox.answer(Alert(0, AlertCode.NO_END_OF_DATA, (broken,)))
        status = self._handle(msg_id, command)
        # Results that were taken get no Status (DM Protocol 1.2, 8.4).
        if not (isinstance(command, Results) and status == Status.OK):
            self._outbox.answer(status_of(msg_id, command, status))

    def close(self) -> None:
        """Forget what is not complete."""
        self._assembly.forget()

    def _handle(self, msg_id: int, command: Command) -> int:
        if isinstance(command, Results):
            return self._results(command)
        if isinstance(command, Replace):
            return self._dev_info(command)
        if isinstance(command, Alert):
            return self._alert(command)
        if isinstance(command, Unsupported):
            return Status.OPTIONAL_NOT_SUPPORTED
        # Of commands, a client sends Replace of its DevInfo, Results and Alert (clause 8.2).
        for inner in list(walk(command))[1:]:
            self._outbox.answer(status_of(msg_id, inner, Status.NOT_ALLOWED))
        return Status.NOT_ALLOWED

    def _results(self, results: Results) -> int:
        of = results.msg_ref, results.cmd_ref
        complete = []
        status: int = Status.OK
        for item in results.items:
            taken = self._assembly.take("Results", whole_item(results, item))
            if taken.item is None:
                status = taken.status
            else:
                complete.append(taken.item)
        if complete and not self._orders.found(*of, tuple(complete)):
            return Status.ENTITY_TOO_LARGE
        if status == Status.CHUNK_ACCEPTED:
            self._orders.unfinished(*of)
        elif status != Status.OK:
            self._orders.refused(*of, status)
        return status

    def _dev_info(self, command: Replace) -> int:
        values = []
        for item in command.items:
            where = item.target or item.source  # the standard says Source, real clients either
            if where is None or not where.uri.startswith(_DEV_INFO):
                return Status.NOT_ALLOWED
            values.append((where.uri, item.data if isinstance(item.data, str) else ""))
        self._tell(DeviceInfoReceived(tuple(values)))
        return Status.OK

    def _alert(self, alert: Alert) -> int:
        if alert.data in _LINK_ALERTS:
            if alert.data == AlertCode.NO_END_OF_DATA:
                self._outbox.drop_rest()
            return Status.OK
        if alert.data == AlertCode.GENERIC:
            status = _generic(alert)
        else:
            known = alert.data == AlertCode.CLIENT_EVENT
            status = Status.OK if known else Status.OPTIONAL_NOT_SUPPORTED
        if status == Status.OK:
            self._tell(AlertReceived(alert))
        return status


def _generic(alert: Alert) -> Status:
    """Return the Status of a generic alert: each item says its type and a format of the standard.

    OMA-TS-DM_Protocol 1.2, 8.7: 412 and 415.
    """
    metas = [item.meta for item in alert.items]
    if not metas or not all(meta and meta.type and meta.format for meta in metas):
        return Status.INCOMPLETE
    known = all(meta and meta.format in _FORMATS for meta in metas)
    return Status.OK if known else Status.UNSUPPORTED_FORMAT
