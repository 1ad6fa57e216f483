"""SCHED: tasks that a device does by itself (``urn:openami:mo:sched:1.0``, this project's own)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.omadm.objects.values import between, is_moment, moment, native
from openami.omadm.tree.node import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.omadm.tree.node import Node
    from openami.omadm.tree.schema import Check

URN: Final = "urn:openami:mo:sched:1.0"
PLACE: Final = ("SCHED",)
# A task more often than each ten seconds, or less often than yearly, is an operator's mistake.
_LEAST_S: Final = 10
_YEAR_S: Final = 366 * 86_400
_ADDRESS: Final = re.compile(r"\./[^?]+")


class TaskState(IntEnum):
    """What a task is doing."""

    WAITING = 10
    RUNNING = 20
    DONE = 30
    FAILED = 40


def _is_interval(value: str) -> None:
    if value != "0":
        between(_LEAST_S, _YEAR_S)(value)


def _is_address(value: str) -> None:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("the value is the address of a node, such as ./AMI/Operations/Collect")


CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "<X>/Operation": _is_address,
        "<X>/Start": is_moment,
        "<X>/Until": is_moment,
        "<X>/Interval": _is_interval,
        "<X>/Spread": between(0, 86_400),
    }
)


@dataclass(frozen=True, slots=True)
class SchedTask:
    """One task.

    Attributes:
        name: of its node.
        task_id: the server's name for it.
        operation: the address of the node to execute.
        start: the first time, UTC seconds.
        interval: seconds; 0: once.
        spread: seconds over which devices are spread.
        until: no time after this one.
        enabled: whether it is done at all.
    """

    name: str
    task_id: str
    operation: str
    start: int
    interval: int = 0
    spread: int = 0
    until: int | None = None
    enabled: bool = True

    @classmethod
    def read(cls, name: str, node: Node) -> SchedTask | None:
        """Return a task of the tree; None: the server has not yet given all that it needs."""
        told = {leaf: native(child) for leaf, child in node.children.items()}
        if not {"TaskID", "Operation", "Start"} <= told.keys():
            return None
        return cls(
            name,
            told["TaskID"],
            told["Operation"],
            moment(told["Start"]),
            told.get("Interval", 0),
            told.get("Spread", 0),
            moment(told["Until"]) if "Until" in told else None,
            enabled=told.get("Enabled", True),
        )

    def next_run(self, after: float, *, jitter: float = 0.0) -> float | None:
        """Return the first time later than ``after``; None: there is none.

        Args:
            after: UTC seconds.
            jitter: the device's own place in the spread, 0 to 1.
        """
        first = self.start + jitter * self.spread
        if not self.enabled:
            return None
        due = first
        if after >= first:
            if not self.interval:
                return None
            due = first + (math.floor((after - first) / self.interval) + 1) * self.interval
        return None if self.until is not None and due > self.until else due


def tasks(root: Node) -> tuple[SchedTask, ...]:
    """Return the tasks of a tree that are complete, by their nodes' names."""
    place = find(root, PLACE)
    found = () if place is None else sorted(place.children.items())
    return tuple(task for name, node in found if (task := SchedTask.read(name, node)) is not None)
