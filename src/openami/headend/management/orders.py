"""What a device is told: steps and tasks as commands of OMA DM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.fleet.desired import ABSENT, StepKind
from openami.fleet.tasks import TaskKind
from openami.omadm.messages.model import (
    Add,
    Atomic,
    Delete,
    Exec,
    Get,
    Item,
    Location,
    Meta,
    Replace,
)
from openami.omadm.tree.node import Format

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from openami.fleet.desired import Step
    from openami.fleet.tasks import Command, ManagementJob
    from openami.omadm.session.events import OrderCommand

# What is known of a device is what stands in these; DevInfo comes with every session.
TOPS: Final = ("./AMI", "./SCHED", "./DevDetail", "./FUMO", "./SCOMO")
ACCOUNTS: Final = "./DMAcc"
_ALL: Final = "?list=TNDS+ACL+Format+Type+Value"
_STRUCTURE: Final = "?list=TNDS+ACL+Format+Type"
_COMMANDS: Final[Mapping[StepKind, type[Add | Replace | Delete]]] = {
    StepKind.ADD: Add,
    StepKind.REPLACE: Replace,
    StepKind.DELETE: Delete,
}


def look(top: str) -> OrderCommand:
    """Return the command that asks for an object; of accounts, only what there is."""
    query = _STRUCTURE if top == ACCOUNTS else _ALL
    return Get(0, (Item(Location(top + query)),))


def push(steps: Sequence[Step]) -> OrderCommand:
    """Return the command that takes steps, all or none of them."""
    return _together([_change(step.kind, step.uri, step.wish.setting.format,
                              step.wish.setting.value) for step in steps])  # fmt: skip


def work(job: ManagementJob, there: Collection[str]) -> OrderCommand:
    """Return the command of a task.

    Args:
        job: of the task.
        there: addresses of the nodes that the device is known to have.
    """
    if job.kind is TaskKind.GET:
        return Get(0, tuple(Item(Location(command.uri)) for command in job.commands))
    if job.kind is TaskKind.EXEC:
        command = job.commands[0]
        meta = Meta(format=command.format or Format.CHR.value) if command.value else None
        item = Item(Location(command.uri), meta=meta, data=command.value or None)
        return Exec(0, item, correlator=job.id)
    return _together([_change(_kind(c, there), c.uri, c.format, c.value) for c in job.commands])


def _kind(command: Command, there: Collection[str]) -> StepKind:
    if command.format == ABSENT:
        return StepKind.DELETE
    return StepKind.REPLACE if command.uri in there else StepKind.ADD


def _change(kind: StepKind, uri: str, form: str, value: str) -> Add | Replace | Delete:
    if kind is StepKind.DELETE:
        return Delete(0, (Item(Location(uri)),))
    # Octets travel as base64 in either encoding of messages.
    told = Format.B64.value if form == Format.BIN else form
    return _COMMANDS[kind](0, (Item(Location(uri), meta=Meta(format=told), data=value),))


def _together(commands: Sequence[Add | Replace | Delete]) -> OrderCommand:
    return commands[0] if len(commands) == 1 else Atomic(0, tuple(commands))
