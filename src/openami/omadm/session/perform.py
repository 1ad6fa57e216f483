"""What a client does with the commands of a server (OMA-TS-DM_RepPro 1.2, clause 6.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from openami.core.errors import OpenAmiError
from openami.omadm.codes import AlertCode, Status
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Command,
    Copy,
    Delete,
    Exec,
    Get,
    Item,
    Replace,
    Results,
    Sequence,
    StatusReport,
    Unsupported,
)
from openami.omadm.session.events import CommandPerformed, Outcome
from openami.omadm.session.numbering import (
    items_of,
    name_of,
    status_of,
    target_of,
    walk,
    whole_item,
)
from openami.omadm.session.outbox import data_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Sequence as Many

    from openami.omadm.session.events import Event
    from openami.omadm.session.objects import Assembly

    TreeCommand = Add | Replace | Copy | Delete | Get | Exec
    User = Callable[[Alert], Outcome]
    Fits = Callable[[Many[StatusReport]], bool]

_TREE: Final = (Add, Replace, Copy, Delete, Get, Exec)
USER_ALERTS: Final = frozenset(range(AlertCode.DISPLAY, AlertCode.MULTIPLE_CHOICE + 1))
_SUCCESS: Final = range(200, 300)


class Gate(Protocol):
    """The management tree as one server may use it during a session."""

    def perform(self, command: TreeCommand, item: Item) -> Outcome:
        """Carry out one item of a command, with all the meta information that holds for it."""

    def begin(self) -> None:
        """Hold back what follows until ``commit``."""

    def commit(self) -> None:
        """Keep all since ``begin``; any ``OpenAmiError`` means that nothing of it was kept."""

    def rollback(self) -> bool:
        """Undo all since ``begin``; tell whether everything is as it was."""


def _options(alert: Alert) -> dict[str, str]:
    """Return the options of a user alert: ``MINDT=10&DR=1`` in its first item."""
    data = alert.items[0].data if alert.items else None
    text = data if isinstance(data, str) else ""
    return {
        name.strip().upper(): value
        for name, sign, value in (part.partition("=") for part in text.split("&"))
        if sign
    }


def unattended(alert: Alert) -> Outcome:
    """Answer a user alert where no user is: with the server's default response (DR), if it has one.

    Without one nobody can answer, which is 406; a message to display has nowhere to be seen, and
    is taken.
    """
    if alert.data == AlertCode.DISPLAY:
        return Outcome(Status.OK)
    default = _options(alert).get("DR", "")
    if not default:
        return Outcome(Status.OPTIONAL_NOT_SUPPORTED)
    if alert.data == AlertCode.CONFIRM:
        return Outcome(Status.OK if default == "1" else Status.NOT_MODIFIED)
    chosen = default.split("-") if alert.data == AlertCode.MULTIPLE_CHOICE else [default]
    return Outcome(Status.OK, tuple(Item(data=choice) for choice in chosen))


def _why(outcome: Outcome) -> str:
    """Return the words of a refusal."""
    data = outcome.items[0].data if outcome.items and outcome.status not in _SUCCESS else None
    return data if isinstance(data, str) else ""


class Performer:
    """Carry out commands, and say what became of them.

    Args:
        gate: the management tree.
        user: answers the alerts that are for a user.
        assembly: of the objects that come in parts.
        tell: takes what has happened.
    """

    def __init__(
        self, gate: Gate, user: User, assembly: Assembly, tell: Callable[[Event], None]
    ) -> None:
        self._gate = gate
        self._user = user
        self._assembly = assembly
        self._tell = tell
        self._msg_id = 0
        self._largest: int | None = None
        self._fits: Fits = bool
        self._statuses: list[StatusReport] = []
        self._groups: list[slice] = []
        self._results: list[Results] = []

    def run(
        self, msg_id: int, command: Command, largest: int | None, fits: Fits
    ) -> tuple[list[Many[StatusReport]], list[Results]]:
        """Carry out one command of a message, with all the commands in it.

        Args:
            msg_id: of the message.
            command: of the server.
            largest: octets of an object that the server takes; None: it has not said.
            fits: says whether some statuses fit one message to the server.

        Returns:
            the statuses, in runs that go into one message; and the results.
        """
        self._largest, self._fits = largest, fits
        self._msg_id, self._statuses, self._results, self._groups = msg_id, [], [], []
        self._do(command)
        return list(self._runs()), self._results

    def _runs(self) -> Iterator[Many[StatusReport]]:
        at = 0
        for group in self._groups:
            yield from ((status,) for status in self._statuses[at : group.start])
            yield self._statuses[group]
            at = group.stop
        yield from ((status,) for status in self._statuses[at:])

    def _do(self, command: Command, *, grouped: bool = False) -> int:
        """Carry out a command; return its status, of several items the worst."""
        if isinstance(command, Atomic):
            return self._atomic(command)
        if isinstance(command, Sequence):
            return self._sequence(command)
        if isinstance(command, Alert):
            return self._alert(command)
        if isinstance(command, _TREE):
            return self._items(command, grouped=grouped)
        unsupported = isinstance(command, Unsupported)
        return self._say(
            command, Status.OPTIONAL_NOT_SUPPORTED if unsupported else Status.NOT_ALLOWED
        )

    def _say(
        self,
        command: Command,
        status: int,
        of: Item | None = None,
        items: tuple[Item, ...] = (),
    ) -> int:
        self._statuses.append(status_of(self._msg_id, command, status, of=of, items=items))
        return status

    def _alert(self, alert: Alert) -> int:
        if alert.data not in USER_ALERTS:
            return self._say(alert, Status.OPTIONAL_NOT_SUPPORTED)
        outcome = self._user(alert)
        self._tell(CommandPerformed("Alert", None, outcome.status))
        return self._say(alert, outcome.status, items=outcome.items)

    def _items(self, command: TreeCommand, *, grouped: bool) -> int:
        items = items_of(command)
        several = len(items) > 1
        worst = 0
        for item in items:
            outcome = self._item(command, whole_item(command, item), grouped=grouped)
            extra = () if isinstance(command, Get) else outcome.items
            self._say(command, outcome.status, of=item if several else None, items=extra)
            told = name_of(command), target_of(item), outcome.status, _why(outcome)
            self._tell(CommandPerformed(*told))
            if isinstance(command, Get) and outcome.status in _SUCCESS and outcome.items:
                self._results.append(
                    Results(
                        0,
                        command.cmd_id,
                        outcome.items,
                        msg_ref=self._msg_id,
                        meta=outcome.meta,
                        target_ref=target_of(item),
                    )
                )
            worst = max(worst, outcome.status)
        return worst

    def _item(self, command: TreeCommand, item: Item, *, grouped: bool) -> Outcome:
        if grouped and item.more_data:
            # A group fits one message (DM Protocol 1.2, 6.2), so it holds no part of an object.
            return Outcome(Status.OPTIONAL_NOT_SUPPORTED)
        if isinstance(command, Add | Replace):
            taken = self._assembly.take(name_of(command), item)
            if taken.item is None:
                return Outcome(taken.status)
            item = taken.item
        outcome = self._gate.perform(command, item)
        largest = max((data_size(found.data) for found in outcome.items), default=0)
        if self._largest is not None and largest > self._largest:
            return Outcome(Status.ENTITY_TOO_LARGE)
        return outcome

    def _sequence(self, sequence: Sequence) -> int:
        self._say(sequence, Status.OK)
        worst: int = Status.OK
        stopped = False
        for command in sequence.commands:
            if stopped:
                self._not_executed(command)
                continue
            status = self._do(command, grouped=True)
            worst = max(worst, status)
            # What a user has declined is not gone on with (DM Protocol 1.2, 9.3).
            stopped = isinstance(command, Alert) and status != Status.OK
        return worst

    def _not_executed(self, command: Command) -> None:
        for inner in walk(command):
            self._say(inner, Status.NOT_EXECUTED)

    def _atomic(self, atomic: Atomic) -> int:
        inner = [command for child in atomic.commands for command in walk(child)]
        if any(isinstance(command, Get | Atomic) for command in inner):
            return self._refuse(atomic, inner)
        at = len(self._statuses)
        self._say(atomic, Status.OK)
        self._gate.begin()
        failed = False
        for command in atomic.commands:
            if failed:
                self._not_executed(command)
            else:
                failed = self._do(command, grouped=True) not in _SUCCESS
        whole = Status.ATOMIC_FAILED
        why: tuple[Item, ...] | None = ()
        if not failed and not self._fits(self._statuses[at:]):
            whole = Status.ATOMIC_TOO_LARGE  # RepPro 1.2, 10: its response fits one message
        elif not failed:
            why = self._commit()
        if why is None:
            self._groups.append(slice(at, len(self._statuses)))
            self._tell(CommandPerformed("Atomic", None, Status.OK))
            return Status.OK
        self._undo(at)
        self._statuses[at] = replace(self._statuses[at], data=int(whole), items=why)
        return whole

    def _undo(self, at: int) -> None:
        """Undo what was done since a group began, whose Status is the one ``at``."""
        undone = Status.ATOMIC_ROLLED_BACK if self._gate.rollback() else Status.ROLLBACK_FAILED
        for index in range(at + 1, len(self._statuses)):
            status = self._statuses[index]
            if status.data in _SUCCESS and status.data != Status.NOT_EXECUTED:
                self._statuses[index] = replace(status, data=undone)

    def _refuse(self, atomic: Atomic, inner: list[Command]) -> int:
        """Refuse an Atomic with a Get or an Atomic in it (DM RepPro 1.2, 6.6.3: 500)."""
        self._say(atomic, Status.COMMAND_FAILED)
        for command in inner:
            wrong = isinstance(command, Get | Atomic)
            self._say(command, Status.COMMAND_FAILED if wrong else Status.NOT_EXECUTED)
        return Status.COMMAND_FAILED

    def _commit(self) -> tuple[Item, ...] | None:
        """Keep a group; return what its Status says of why not (RepPro 1.2, 5.5.16), or None."""
        try:
            self._gate.commit()
        except OpenAmiError as error:
            self._tell(CommandPerformed("Atomic", None, Status.ATOMIC_FAILED, error.message))
            return (Item(data=error.message),)
        return None
