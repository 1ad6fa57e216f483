"""What a device is told: steps and tasks as commands of OMA DM."""

from __future__ import annotations

from dataclasses import replace
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
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.node import Format
from openami.omadm.tree.uri import UriLimits, parse_uri

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
    kinds = _as_they_come([(_kind(c, there), c.uri) for c in job.commands])
    changes = zip(kinds, job.commands, strict=True)
    return _together([_change(kind, c.uri, c.format, c.value) for kind, c in changes])


def as_they_come(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return steps with those as Replace whose leaf comes by itself with one that is added before.

    A folder that is made comes with the leaves that have a default value (TND 1.2, clause 6.1.2.1
    for the folder, the DDF for the values): a second Add would be refused with 418.
    """
    kinds = _as_they_come([(step.kind, step.uri) for step in steps])
    return tuple(replace(step, kind=kind) for step, kind in zip(steps, kinds, strict=True))


def _as_they_come(changes: Sequence[tuple[StepKind, str]]) -> list[StepKind]:
    kinds: list[StepKind] = []
    made: set[str] = set()
    for kind, uri in changes:
        folder = uri.rpartition("/")[0]
        comes = kind is StepKind.ADD and folder in made and _has_default(uri)
        kinds.append(StepKind.REPLACE if comes else kind)
        if kind is StepKind.ADD:
            made.add(folder)
    return kinds


def _has_default(uri: str) -> bool:
    """Tell whether a new folder has this leaf by itself."""
    rule = device_schema().rule(parse_uri(uri, UriLimits()).path)
    return rule is not None and bool(rule.least and rule.default)


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
