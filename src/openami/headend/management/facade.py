"""Device management as the head-end's other parts know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.headend.management.accounts import Accounts
from openami.headend.management.device_groups import DeviceGroups
from openami.headend.management.proofs import Proofs
from openami.headend.management.sessionlog import SessionLog
from openami.headend.management.sessions import Sessions
from openami.headend.management.standings import Standings
from openami.headend.management.tasks import Tasks
from openami.headend.management.trees import Trees
from openami.headend.management.wake import Patience, Wake
from openami.headend.management.watch import Watch
from openami.transport.descriptors import allow_descriptors

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.accounts import AccountStore
    from openami.fleet.management import TaskRecords, TreeRecords
    from openami.fleet.ports import Vault
    from openami.headend.management.ports import Planner
    from openami.headend.management.watch import AlarmBell
    from openami.headend.metrics import Metrics
    from openami.headend.settings import HeadendSettings


@dataclass(frozen=True, slots=True)
class Management:
    """Sessions with devices, what they are about, and what belongs to them."""

    accounts: Accounts
    proofs: Proofs
    sessions: Sessions
    log: SessionLog
    wake: Wake
    trees: Trees
    groups: DeviceGroups
    standings: Standings
    tasks: Tasks
    watch: Watch
    wall: Clock

    async def pass_time(self) -> None:
        """End the sessions of devices that have gone silent."""
        await self.sessions.pass_time(self.wall.now())

    async def stop(self) -> None:
        """End every session, and finish what was begun."""
        await self.wake.stop()
        await self.sessions.stop(self.wall.now())
        await self.accounts.stop()


def build_management(
    store: AccountStore,
    vault: Vault,
    planner: Planner,
    *,
    trees: TreeRecords,
    tasks: TaskRecords,
    alarms: AlarmBell,
    metrics: Metrics,
    settings: HeadendSettings,
    wall: Clock,
) -> Management:
    """Return device management over its stores; nothing runs yet."""
    accounts = Accounts(store, vault)
    watch = Watch(alarms)
    sessions = Sessions(
        store, accounts, planner, watch=watch, metrics=metrics,
        most=settings.dm_sessions, idle=settings.dm_idle_s,
    )  # fmt: skip
    log = SessionLog(store, wall=wall, keep_days=settings.keep_sessions_days)
    patience = Patience(settings.wake_first_s, settings.wake_most_s, settings.wake_attempts)
    wake = Wake(
        store, accounts, sessions, patience=patience, metrics=metrics, wall=wall,
        descriptors=allow_descriptors(),
    )  # fmt: skip
    groups = DeviceGroups(trees, wall=wall)
    return Management(
        accounts,
        Proofs(store, wall=wall),
        sessions,
        log,
        wake,
        Trees(trees, wall=wall, keep_days=settings.keep_changes_days),
        groups,
        Standings(groups, wall=wall),
        Tasks(tasks, trees, metrics=metrics, wall=wall, keep_days=settings.keep_jobs_days),
        watch,
        wall,
    )
