"""All campaigns that are at work, in one place: their engines, the fleet's epoch, the budgets.

What happens is first in memory and then kept in one transaction, by one thread at a time; nobody is
told of it before. What can not be kept has not happened: all is made anew of what was stored, as
after a kill.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import structlog

from openami.core.recent import Recent
from openami.firmware.releases import ReleaseState
from openami.fleet.campaigns.allowance import Allowance
from openami.fleet.campaigns.machine import OVER, Act, CampaignState, Command
from openami.headend.campaigns.work import AtWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.campaigns.allowance import Used
    from openami.fleet.campaigns.records import CampaignRecord
    from openami.fleet.devices import AuditEntry
    from openami.headend.campaigns.ports import CampaignStore
    from openami.headend.firmware.ports import ReleaseStore

log = structlog.get_logger(__name__)

LIVE: Final = frozenset({CampaignState.APPROVED, CampaignState.RUNNING, CampaignState.PAUSED})
"""Campaigns that have an engine."""
COUNTED: Final = OVER | {CampaignState.PLANNED}
"""Others that have counts."""
ENDED: Final = 4
"""Of those that have no engine at work whose counts stay in memory: reports come late, for days."""
LATE_S: Final = 7 * 86_400.0
"""How long after its end reports are taken: a DCU that was out of reach for a week."""
NAMES: Final = 4096
"""Lists of serial numbers in memory: of each DCU some kilobytes."""
WHO: Final = "head-end"


class Fleet:
    """Campaigns at work. Calls block; what changes anything is done within ``moment``.

    Args:
        store: of campaigns.
        releases: the shelf's store.
        wall: the time.

    Attributes:
        lock: held by who looks at counts, so that they do not change meanwhile.
    """

    def __init__(self, store: CampaignStore, releases: ReleaseStore, *, wall: Clock) -> None:
        self.store, self._releases, self.wall = store, releases, wall
        self.lock = threading.RLock()
        self._live: dict[str, AtWork] | None = None
        self._ended: Recent[str, AtWork] = Recent(ENDED)
        self._names: Recent[tuple[int, int], Sequence[str]] = Recent(NAMES)
        self._allowance = Allowance()
        self._epoch = 0
        self._wakers: list[Callable[[frozenset[str] | None], None]] = []
        self._changed: set[str] = set()

    def on_change(self, waker: Callable[[frozenset[str] | None], None]) -> None:
        """Have ``waker`` told, in any thread, whose orders may have changed; None: all."""
        self._wakers.append(waker)

    def open(self) -> None:
        """Read what was stored, before anybody asks."""
        with self.lock:
            if self._live is None:
                try:
                    self._open()
                except BaseException:
                    self._drop()
                    raise

    # What is asked

    @property
    def live(self) -> Mapping[str, AtWork]:
        """The campaigns that have an engine, by id."""
        with self.lock:
            self.open()
            return self._live or {}

    @property
    def epoch(self) -> int:
        """The fleet's epoch."""
        with self.lock:
            return self._epoch if self.live is not None else 0

    def revision(self, dcu: str) -> int:
        """Return a number that changes whenever a DCU's orders or the epoch do."""
        with self.lock:
            shape: list[object] = [self.epoch]
            for one in self.live.values():
                row = one.rows.get(dcu)
                found = None if row is None else one.shape(row, epoch=self._epoch)
                if found is not None:
                    shape.append(found)
        return int.from_bytes(hashlib.sha256(repr(shape).encode()).digest()[:6])

    def at_work(self, id_: str, *, dcu: str | None = None) -> AtWork | None:
        """Return a campaign with its counts, also one that is over; None: it has none.

        Args:
            id_: of the campaign.
            dcu: who asks; only campaigns that it is in are made anew for it, and none that ended
                long ago.
        """
        with self.lock:
            found = self.live.get(id_) or self._ended.get(id_)
            if found is not None:
                return found
            if dcu is None:
                record: CampaignRecord | None = self.store.get(id_)
            else:
                mine = self.store.of_dcu(dcu)
                record = next((one for one in mine if one.run.campaign.id == id_), None)
            if record is None or record.run.state not in COUNTED:
                return None
            if dcu is not None and record.run.since < self.wall.now() - LATE_S:
                return None
            self._ended[id_] = self._made(record, Allowance())
            return self._ended[id_]

    def names(self, which: Sequence[tuple[AtWork, int]]) -> Mapping[tuple[int, int], Sequence[str]]:
        """Return the serial numbers that orders name, by the campaigns' keys and rows."""
        keys = [(one.key, row) for one, row in which]
        missing = [key for key in keys if key not in self._names]
        found = {key: self._names[key] for key in keys if key in self._names}
        if missing:
            loaded = self.store.named(missing)
            found |= {key: tuple(loaded.get(key, ())) for key in missing}
            for key in missing:
                self._names[key] = found[key]
        return found

    def changed(self) -> frozenset[str]:
        """Return the campaigns of which anything has changed since this was last asked."""
        with self.lock:
            found, self._changed = frozenset(self._changed), set()
        return found

    # What happens

    @contextmanager
    def moment(self, emergency: AuditEntry | None = None) -> Iterator[Mapping[str, AtWork]]:
        """Let the block change campaigns, alone, and keep what it has changed, all or nothing.

        Args:
            emergency: the entry of an emergency stop: the fleet's epoch rises by one.
        """
        with self.lock:
            live = self.live
            try:
                yield live
                self._keep(emergency)
            except BaseException:
                if any(one.dirty for one in (*live.values(), *self._ended.values())):
                    self._drop()
                raise

    def name(self, one: AtWork, row: int, serials: Sequence[str], *, recount: bool) -> None:
        """Let the orders of a DCU name some devices, within a moment."""
        one.name(row, serials, recount=recount)
        self._names[one.key, row] = tuple(serials)

    def used(self) -> Used:
        """Return what downloads take of the head-end at this moment."""
        return self._allowance.total

    def adopt(self, record: CampaignRecord) -> None:
        """Take in a campaign that was just approved, or that is otherwise."""
        with self.lock:
            if record.run.state in LIVE and self._live is not None:
                id_ = record.run.campaign.id
                self._live[id_] = self._made(record, self._allowance)
            self._ended.pop(record.run.campaign.id, None)
            self._changed.add(record.run.campaign.id)

    def forget(self, id_: str) -> None:
        """Take note that a campaign is a draft again."""
        with self.lock:
            if self._live is not None:
                self._live.pop(id_, None)
            self._ended.pop(id_, None)
            self._changed.add(id_)

    def check_releases(self) -> None:
        """Stop campaigns whose release was withdrawn while nobody could stop them."""
        withdrawn = [one for one in self.live.values() if not self._offered(one)]
        if withdrawn:
            with self.moment():
                for one in withdrawn:
                    one.command(Command(Act.WITHDRAW, WHO, self.wall.now(), 0))

    def _keep(self, emergency: AuditEntry | None) -> None:
        epoch = None if emergency is None else self._epoch + 1
        entries = () if emergency is None else (emergency,)
        everybody = [*(self._live or {}).values(), *self._ended.values()]
        found = [(one, changes) for one in everybody if (changes := one.changes()) is not None]
        if not found and epoch is None:
            return
        self.store.keep([changes for _, changes in found], epoch=epoch, entries=entries)
        self._epoch = self._epoch if epoch is None else epoch
        whose = [one.kept() for one, _ in found]
        for one, _ in found:
            self._changed.add(one.id)
            if one.over and self._live and self._live.pop(one.id, None) is not None:
                self._ended[one.id] = one
        told = None if epoch is not None else frozenset[str]().union(*whose)
        for waker in self._wakers:
            waker(told)

    def _drop(self) -> None:
        """Forget what is in memory: the store knows."""
        self._live = None
        self._ended.clear()
        self._names.clear()

    def _open(self) -> None:
        self._allowance = Allowance()
        self._epoch = self.store.epoch()
        records = self.store.in_states(LIVE)
        self._live = {
            record.run.campaign.id: self._made(record, self._allowance) for record in records
        }
        for id_, task in self.store.open_tasks():
            if id_ in self._live:
                self._live[id_].tasks[task.row, task.step] = task
        self.check_releases()

    def _offered(self, one: AtWork) -> bool:
        release = self._releases.get(one.record.release).release
        return release.state is not ReleaseState.WITHDRAWN

    def _made(self, record: CampaignRecord, allowance: Allowance) -> AtWork:
        manifest = self._releases.get(record.release).manifest
        sites = self.store.sites(record.key)
        tz = ZoneInfo(record.run.campaign.zone)
        return AtWork(record, manifest, sites, tz=tz, allowance=allowance)
