"""Dossiers of one device at a time, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.desired import KnownNode
    from openami.fleet.dossiers import Dossiers
    from openami.fleet.management import Outcome
    from openami.fleet.tasks import ManagementJob, Task, TaskEvent


class HasDossiers(Protocol):
    @property
    def dossiers(self) -> Dossiers: ...


def saw(
    store: HasDossiers,
    uid: str,
    tops: Sequence[str],
    nodes: Sequence[KnownNode],
    *,
    now: float,
    whole: bool,
) -> None:
    """Let a device have been looked at."""
    with store.dossiers.opened([uid], now=now) as found:
        found[uid].saw(tops, nodes, now=now, whole=whole)


def settle(store: HasDossiers, uid: str, outcomes: Sequence[Outcome], *, now: float) -> None:
    """Let a device have answered to changes."""
    with store.dossiers.opened([uid], now=now) as found:
        found[uid].settle(outcomes, now=now)


def start(
    store: HasDossiers, uid: str, *, now: float, fresh: bool, limit: int = 16
) -> Sequence[tuple[ManagementJob, Task]]:
    """Let a session with a device send its tasks."""
    with store.dossiers.opened([uid], now=now) as found:
        return found[uid].start(now=now, fresh=fresh, limit=limit)


def apply(store: HasDossiers, job: str, uid: str, event: TaskEvent) -> Task:
    """Let a device's task move."""
    with store.dossiers.opened([uid], now=event.now) as found:
        return found[uid].apply(job, event)
