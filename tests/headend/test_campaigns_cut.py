"""A head-end that is killed at any commit goes on with its campaigns, and does nothing twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.campaigns import D, Office, offer, register

from openami.core.errors import StoreError
from openami.fleet.campaigns.machine import Act, CampaignState
from openami.fleet.campaigns.model import StepKind
from openami.headend.campaigns.uplink import Said
from openami.headend.services import build

if TYPE_CHECKING:
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.headend.services import Context, Services, Stores

DCUS = ("A", "B", "C")
METERS = 4
COMMITS = ("add", "plan", "keep")


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Cut:
    """A store in front of which, or behind, the process is killed at one commit."""

    store: Any
    at: int | None = None
    before: bool = False
    error: BaseException = field(default_factory=Killed)
    commits: int = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        return self._cut(found) if name in COMMITS else found

    def _cut(self, commit: Any) -> Any:
        def commits(*args: Any, **options: Any) -> Any:
            self.commits += 1
            mine = self.commits == self.at
            if mine and self.before:
                raise self.error
            done = commit(*args, **options)
            if mine:
                raise self.error
            return done

        return commits


@dataclass
class Dcu:
    """A DCU that does what it is told, once, and reports until that is taken."""

    serial: str
    number: int = 0
    counts: dict[D, int] = field(default_factory=dict)
    done: list[tuple[StepKind, int]] = field(default_factory=list)

    def turn(self, office: Office, id_: str) -> None:
        told = office.ask(self.serial, *self._report(id_))
        for order in told.orders:
            for step, one in order.steps.items():
                if (step, one.attempt) not in self.done:
                    self.done.append((step, one.attempt))
                    state = D.VERIFIED if step is StepKind.DOWNLOAD else D.CONFIRMED
                    self.counts, self.number = {state: len(order.meters)}, self.number + 1
        office.ask(self.serial, *self._report(id_))

    def _report(self, id_: str) -> list[Said]:
        return [Said(id_, self.number, self.counts, {})] if self.number else []


@dataclass
class Run:
    """A campaign from its draft to its end, whatever happens to the head-end."""

    context: Context
    stores: Stores
    wall: ManualClock
    release: str
    cut: Cut
    kills: int = 0
    dcus: list[Dcu] = field(default_factory=lambda: [Dcu(serial) for serial in DCUS])

    def go(self) -> Office:
        office = self._office()
        acts = {CampaignState.DRAFT: Act.PLAN, CampaignState.PLANNED: Act.APPROVE,
                CampaignState.APPROVED: Act.START}  # fmt: skip
        for _ in range(60):
            try:
                views = office.campaigns.list().items
                if not views:
                    office.drafted(self.release)
                    continue
                state, id_ = views[0].run.state, views[0].id
                if state in acts:
                    office.act(id_, acts[state], "bob" if state is CampaignState.PLANNED else "ann")
                if state is CampaignState.FINISHED:
                    return office
                office.round(1.0)
                for dcu in self.dcus:
                    dcu.turn(office, id_)
            except Killed:
                self.kills += 1
                office = self._office()
        raise AssertionError("it does not come to its end")

    def _office(self) -> Office:
        return Office(build(self.context, replace(self.stores, campaigns=self.cut)), self.wall)


@pytest.fixture
def release(services: Services, stores: Stores, clock: ManualClock, tmp_path: Path) -> str:
    register(stores, dict.fromkeys(DCUS, METERS), now=clock.now())
    return offer(services, tmp_path)


def test_a_kill_at_any_commit_changes_nothing_of_what_comes_of_it(
    context: Context, stores: Stores, wall: ManualClock, release: str
) -> None:
    commits, at, before = 1, 1, True
    while at <= commits:
        cut = Cut(stores.campaigns, at, before)
        run = Run(context, stores, wall, release, cut)
        office = run.go()
        assert run.kills == 1
        commits = cut.commits
        (view,) = office.campaigns.list(limit=1).items
        assert view.states == {D.CONFIRMED: len(DCUS) * METERS}
        for dcu in run.dcus:
            assert dcu.done == [(StepKind.DOWNLOAD, 1), (StepKind.ACTIVATE, 1)], (at, before)
        at, before = at + (not before), not before
        _clear(stores)
    assert commits > 10


def test_what_could_not_be_kept_has_not_happened(
    context: Context, stores: Stores, wall: ManualClock, release: str
) -> None:
    cut = Cut(stores.campaigns, error=StoreError("full", code="store.full"))
    office = Office(build(context, replace(stores, campaigns=cut)), wall)
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    cut.before, cut.at = True, cut.commits + 1
    said = Said(id_, 1, {D.VERIFIED: METERS}, {})
    with pytest.raises(StoreError):
        office.ask(canary, said)
    assert office.campaigns.get(id_).groups[0].states == {D.OFFERED: METERS}
    assert office.ask(canary, said).taken == {id_: 1}
    assert office.campaigns.get(id_).groups[0].states == {D.VERIFIED: METERS}
    cut.at = cut.commits + 1
    with pytest.raises(StoreError):
        office.campaigns.emergency(who="ann", why="smoke")
    assert office.campaigns.epoch() == 0
    assert office.campaigns.get(id_).run.state is CampaignState.RUNNING
    cut.at = cut.commits + 1
    with pytest.raises(StoreError):
        office.act(id_, Act.PAUSE)
    assert office.act(id_, Act.PAUSE).run.state is CampaignState.PAUSED


def _clear(stores: Stores) -> None:
    """Forget all campaigns, for the next of them."""
    store: Any = stores.campaigns
    with store._transactions.writing() as session:
        for table in ("site", "meters", "mark", "task"):
            session.connection().exec_driver_sql(f"DELETE FROM campaign_{table}")
        session.connection().exec_driver_sql("DELETE FROM campaign")
