"""The contract of the store of campaigns, on every backend."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.campaigns.machine import CampaignState, drafted
from openami.fleet.campaigns.model import Campaign, DeviceState, Group, StepKind
from openami.fleet.campaigns.progress import SiteProgress
from openami.fleet.campaigns.records import (
    CampaignRecord,
    Changes,
    ClassCount,
    GroupSum,
    PlannedSite,
    SiteState,
    TaskRecord,
)
from openami.fleet.campaigns.timeline import Mark
from openami.fleet.devices import AuditEntry, DeviceKind, LifecycleState, Sighting
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Ticket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from openami.store.relational import RelationalStore

S, D = CampaignState, DeviceState
ENTRY = AuditEntry("ann", 1.0, "campaign.drafted", "campaign-c1")


def add(
    store: RelationalStore, id_: str = "c1", *, who: str = "ann", ticket: Ticket | None = None
) -> CampaignRecord:
    one = Campaign(id_, "Spring", "meter-image/meter/1.0.0", DeviceFilter(), (Group("all"),))
    run = drafted(one, who=who, now=1.0)
    return store.campaigns.add(
        run, [GroupSum()], release=3, created=1.0, entries=[ENTRY], ticket=ticket
    )


def site(row: int, dcu: str) -> PlannedSite:
    return PlannedSite(row, dcu, "a", "a/c", "a/c", 1000, 10, 5, 0, row)


def state(row: int, number: int) -> SiteState:
    return SiteState(SiteProgress(row, number, 2.0, (0,) * 11, {}), {}, {}, 9)


def moved(record: CampaignRecord, to: CampaignState) -> CampaignRecord:
    return replace(record, run=replace(record.run, state=to), sums=(GroupSum(2, (1,) * 11),))


def test_a_campaign_comes_back_as_it_was_put(store: RelationalStore) -> None:
    made, other = add(store), add(store, "c2")
    assert store.campaigns.get("c1") == made
    assert [one.key for one in store.campaigns.list().items] == [other.key, made.key]
    first = store.campaigns.list(limit=1)
    assert store.campaigns.list(after=first.next).items == (made,)
    assert store.campaigns.list(state=S.RUNNING).items == ()
    assert [entry.what for entry in store.audit.list().items] == ["campaign.drafted"] * 2
    with pytest.raises(NotFoundError):
        store.campaigns.get("none")


def test_a_plan_replaces_the_one_before(store: RelationalStore) -> None:
    made = add(store)
    planned = moved(made, S.PLANNED)
    store.campaigns.plan(Changes(planned, more=[site(0, "A"), site(1, "B")]))
    assert store.campaigns.sites(made.key) == [(site(0, "A"), None), (site(1, "B"), None)]
    assert store.campaigns.site(made.key, "B") == site(1, "B")
    assert store.campaigns.site(made.key, "C") is None
    assert store.campaigns.get("c1") == planned
    named = replace(made.run.campaign, name="Summer")
    again = replace(made, run=replace(made.run, campaign=named))
    store.campaigns.plan(Changes(again))
    assert (store.campaigns.sites(made.key), store.campaigns.get("c1")) == ([], again)


def test_one_moment_of_several_campaigns_is_kept_at_once(store: RelationalStore) -> None:
    one, two = add(store), add(store, "c2")
    for record in (one, two):
        store.campaigns.plan(Changes(record, more=[site(0, "A"), site(1, "B")]))
    marks = [("m1", Mark(D.OFFERED, 1.0)), ("m1", Mark(D.FAILED, 2.0, 1, "upgrade", "why"))]
    changes = Changes(
        moved(one, S.RUNNING),
        sites=[state(1, 7)],
        more=[site(2, "C")],
        named={1: ["m1", "m2"], 0: []},
        marks=marks,
        tasks=[TaskRecord("j1", 0, StepKind.DOWNLOAD, 1, "url")],
        entries=[replace(ENTRY, what="campaign.more")],
    )
    store.campaigns.keep([changes, Changes(moved(two, S.PAUSED))], epoch=4, entries=[ENTRY])
    assert store.campaigns.epoch() == 4
    assert [found for _, found in store.campaigns.sites(one.key)] == [None, state(1, 7), None]
    assert store.campaigns.counts() == {"running": 1, "paused": 1}
    assert [found.key for found in store.campaigns.in_states([S.PAUSED])] == [two.key]
    names = store.campaigns.named([(one.key, 1), (one.key, 0), (two.key, 1)])
    assert names == {(one.key, 1): ["m1", "m2"], (one.key, 0): ()}
    assert store.campaigns.marks(one.key, ["m1", "m2"]) == {"m1": [mark for _, mark in marks]}
    assert [found.key for found in store.campaigns.of_dcu("A")] == [two.key, one.key]
    assert [found.key for found in store.campaigns.of_dcu("C")] == [one.key]
    assert [found.key for found in store.campaigns.of_device("m1")] == [one.key]
    ((id_, task),) = store.campaigns.open_tasks()
    assert (id_, task.job) == ("c1", "j1")
    ((id_, news),) = store.campaigns.task_news(most=5)
    assert (id_, news.task, news.state) == ("c1", task, None)


def test_what_is_kept_twice_is_there_once(store: RelationalStore) -> None:
    made = add(store)
    store.campaigns.plan(Changes(made, more=[site(0, "A")]))
    first, second = Mark(D.OFFERED, 1.0), Mark(D.OFFERED, 9.0)
    store.campaigns.keep([Changes(made, marks=[("m1", first)], named={0: ["m1"]})], epoch=1)
    store.campaigns.keep(
        [Changes(made, marks=[("m1", second)], named={0: ["m2"]}, closed=["none"])], epoch=2
    )
    assert store.campaigns.marks(made.key, ["m1"]) == {"m1": [first]}
    assert store.campaigns.named([(made.key, 0)]) == {(made.key, 0): ["m2"]}
    assert store.campaigns.epoch() == 2


def test_marks_come_in_any_order_and_again(store: RelationalStore) -> None:
    made = add(store)
    way = [
        Mark(D.OFFERED, 1.0),
        Mark(D.DOWNLOADED, 2.0),
        Mark(D.FAILED, 3.0, 1, "firmware.hash"),
        Mark(D.OFFERED, 4.0, 2),
        Mark(D.VERIFIED, 5.0, 2),
    ]
    for some in (way[3:], way[:1:-1], way[::-1]):
        store.campaigns.keep([Changes(made, marks=[("m1", mark) for mark in some])])
    assert store.campaigns.marks(made.key, ["m1"]) == {"m1": way}


def test_a_job_that_is_closed_is_looked_at_no_more(store: RelationalStore) -> None:
    made = add(store)
    task = TaskRecord("j1", 0, StepKind.ACTIVATE, 1, "update")
    store.campaigns.keep([Changes(made, tasks=[task])])
    store.campaigns.keep([Changes(made, closed=["j1"], recall=True)])
    assert store.campaigns.open_tasks() == []
    assert store.campaigns.task_news(most=5) == []


def test_the_registry_is_counted_by_dcu_and_class(store: RelationalStore) -> None:
    meters = [
        Sighting(DeviceKind.METER, f"{dcu}-{n}", model="M", firmware=f"m-1.{n % 2}.0", dcu=dcu)
        for dcu in ("A", "B")
        for n in range(3)
    ]
    dcus = [Sighting(DeviceKind.DCU, dcu, model="DC", firmware="1.0.0") for dcu in ("A", "B")]
    lost = Sighting(DeviceKind.METER, "lost", model="M")
    store.devices.sight([*meters, *dcus, lost], now=5.0)
    store.devices.move("meter-B-1", LifecycleState.RETIRED, who="ann", when=6.0, why="old")
    count = store.campaigns.census
    assert count(DeviceKind.METER, DeviceFilter()) == [
        ClassCount("A", "M", "", "m-1.0.0", 2),
        ClassCount("A", "M", "", "m-1.1.0", 1),
        ClassCount("B", "M", "", "m-1.0.0", 2),
    ]
    assert count(DeviceKind.METER, DeviceFilter(dcu="B"), dcus=["A"]) == []
    assert count(DeviceKind.DCU, DeviceFilter(), dcus=["B"]) == [
        ClassCount("B", "DC", "", "1.0.0", 1)
    ]
    members = store.campaigns.members(DeviceFilter(), ["B"])
    assert [device.serial for device in members] == ["B-0", "B-2"]
    facts = store.campaigns.dcus(["A"])
    assert [(one.serial, one.region, one.last_seen) for one in facts] == [("A", "", 5.0)]
    assert len(store.campaigns.dcus()) == 2


def test_devices_of_campaigns_that_were_over_long_ago_are_forgotten(
    store: RelationalStore,
) -> None:
    old, young, running = (add(store, id_) for id_ in ("c1", "c2", "c3"))
    for record, state_, since in ((old, S.FINISHED, 5.0), (young, S.STOPPED, 50.0),
                                  (running, S.RUNNING, 5.0)):  # fmt: skip
        run = replace(record.run, state=state_, since=since)
        more = [site(row, f"D{row}") for row in range(3)]
        store.campaigns.plan(Changes(replace(record, run=run), more=more))
        store.campaigns.keep(
            [
                Changes(
                    replace(record, run=run),
                    named={row: [f"m{row}"] for row in range(3)},
                    marks=[(f"m{row}", Mark(D.OFFERED, 1.0)) for row in range(3)],
                )
            ]
        )
    assert [store.campaigns.purge(before=10.0, limit=2) for _ in range(3)] == [2, 1, 0]
    assert store.campaigns.sites(old.key) == []
    assert store.campaigns.marks(old.key, ["m0", "m1", "m2"]) == {}
    assert store.campaigns.named([(old.key, 0)]) == {}
    assert store.campaigns.get("c1").run.state is S.FINISHED
    for record in (young, running):
        assert len(store.campaigns.sites(record.key)) == 3
        assert len(store.campaigns.marks(record.key, ["m0", "m1", "m2"])) == 3


def test_a_draft_that_is_sent_again_makes_one_campaign(store: RelationalStore) -> None:
    ticket = Ticket("k1", "digest")
    made = add(store, ticket=ticket)
    store.campaigns.keep([Changes(moved(made, S.PLANNED))])
    assert add(store, "c2", ticket=ticket) == moved(made, S.PLANNED)
    with pytest.raises(ConflictError) as raised:
        add(store, "c3", ticket=Ticket("k1", "another"))
    assert raised.value.code == "campaign.key"
    with pytest.raises(ConflictError):
        add(store, "c1")
    other = add(store, "c4", who="bob", ticket=ticket)  # keys of others are others
    assert [one.key for one in store.campaigns.list().items] == [other.key, made.key]
    assert len(store.audit.list().items) == 2


def test_what_is_asked_of_a_few_dcus_is_found_by_an_index(store: RelationalStore) -> None:
    """With a country's meters in the registry, whoever looked through them would stop the rest."""
    if store._engine.dialect.name != "sqlite":  # PostgreSQL plans by what there is
        return
    which, dcus = DeviceFilter(kind=DeviceKind.METER, region="north"), ["A", "B", "C"]
    with plans(store._engine) as asked:
        store.campaigns.members(which, dcus)
        store.devices.list(DeviceFilter(kind=DeviceKind.METER, dcu="A"))
        store.campaigns.named([(1, 2), (1, 3), (2, 2)])
        store.campaigns.marks(1, dcus)
        store.campaigns.site(1, "A")
        store.campaigns.of_dcu("A")
    assert len(asked) == 7
    for steps in asked:
        assert not any(step.startswith("SCAN") or "(kind=?)" in step for step in steps), steps


@contextmanager
def plans(engine: Engine) -> Iterator[list[list[str]]]:
    """Give what SQLite says of how it does each query of the block."""
    found: list[list[str]] = []

    def explain(_: object, cursor: Any, text: str, values: Any, *__: object) -> None:
        if text.startswith("SELECT"):
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
            found.append([row[3] for row in rows])

    event.listen(engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine, "before_cursor_execute", explain)
