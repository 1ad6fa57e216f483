"""Campaigns: the plan of a country, and what its engine does a second on one core.

The country has 120,000 DCUs with 150 meters each, of three classes, in 250 areas, 6,000 cells and
600 segments. The plan is what a planner sees: who fits, the groups, the order, and the dry run. The
engine hands out downloads and activations within budgets, and takes what DCUs report; a transition
is an order that is given or a report that is taken, each for all the meters of a DCU. The
thresholds are looked at after every 100 reports.

The peer is what one writes first: a row per meter in SQLite (in memory), an update of a DCU's
rows for each of its reports, and a count over all rows to look at the thresholds. It has a fleet of
its own size, 6 times smaller, for its count grows with the fleet and ours does not.
"""

from __future__ import annotations

import resource
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from openami.firmware.manifest import Manifest, ReleaseKind
from openami.firmware.version import Version
from openami.fleet.campaigns.allowance import Allowance
from openami.fleet.campaigns.dryrun import DryRun, Load, dry_run
from openami.fleet.campaigns.engine import Engine
from openami.fleet.campaigns.machine import Act, Command, drafted
from openami.fleet.campaigns.model import Areas, Budget, Campaign, DeviceState, Group, Share, Step
from openami.fleet.campaigns.plan import Plan, make_plan
from openami.fleet.campaigns.progress import Report
from openami.fleet.campaigns.records import Changes, GroupSum, planned_sites
from openami.fleet.campaigns.sites import Census, Sites, judge
from openami.fleet.campaigns.windows import Window
from openami.fleet.ports import DeviceFilter
from openami.headend.campaigns.work import AtWork
from openami.store.relational import RelationalStore

if TYPE_CHECKING:
    from collections.abc import Callable

DCUS = 120_000
METERS = 150
CLASSES = (90, 40, 20)  # meters of each class behind a DCU; the last has the release already
VERDICTS = (None, None, "firmware.fit.same")
PEER_DCUS, PEER_REPORTING = 20_000, 1_000
BATCH = 100
IMAGE = 256 << 10
D = DeviceState


@dataclass(frozen=True, slots=True)
class Country:
    """A plan, and what it took."""

    sites: Sites
    plan: Plan
    run: DryRun
    seconds: float


def columns(dcus: int) -> tuple[Sites, Census]:
    """Return DCUs without counts, and the census of their meters."""
    random = np.random.default_rng(1)
    number = np.arange(dcus)
    areas = {f"area-{area}": area for area in range(250)}
    sites = Sites(
        dcu=number,
        devices=np.zeros(dcus, np.int64),
        area=number // max(1, dcus // 250),
        cell=number // 20,
        segment=number // 200,
        rate=random.choice([8_000, 64_000, 1_000_000], dcus),
        line_rate=np.full(dcus, 2_000),
        areas=areas,
    )
    row = np.repeat(number, len(CLASSES))
    kind = np.tile(np.arange(len(CLASSES)), dcus)
    return sites, Census(row, kind, np.tile(CLASSES, dcus))


def what() -> Campaign:
    """Return a campaign such as a country would run."""
    night = Step(windows=(Window(22 * 60, 5 * 60),))
    regions = (Areas(frozenset(f"area-{n}" for n in range(k * 50, k * 50 + 50))) for k in range(5))
    return Campaign(
        id="country",
        name="Country",
        release="meter/2.0",
        which=DeviceFilter(),
        groups=(
            Group("canary", Share(5), canary=True, soak_s=86_400),
            Group("pilot", Share(200), soak_s=86_400),
            *(Group(f"region {number}", rule) for number, rule in enumerate(regions)),
            Group("rest"),
        ),
        zone="Asia/Seoul",
        download=night,
        activation=night,
        budget=Budget(rate=100_000_000, jobs=5_000, segment_rate=4_000_000, segment_jobs=50),
        ahead=True,
        dynamic=True,
    )


def country(dcus: int) -> Country:
    """Plan for so many DCUs."""
    sites, census = columns(dcus)
    begin = time.perf_counter()
    fitting = judge(census, VERDICTS, rows=dcus)
    fields = {name: getattr(sites, name) for name in Sites.__dataclass_fields__}
    sites = Sites(**{**fields, "devices": fitting.devices})
    campaign = what()
    plan = make_plan(campaign, sites)
    load = Load(IMAGE, line_octets=int(IMAGE * 2.5))
    run = dry_run(campaign, sites, plan, load, now=0.0, tz=UTC, fitting=fitting)
    return Country(sites, plan, run, time.perf_counter() - begin)


def started(made: Country, campaign: Campaign) -> Engine:
    """Return the engine of a campaign that runs."""
    run = drafted(campaign, who="ann", now=0.0)
    engine = Engine(run, made.sites, made.plan, tz=UTC, allowance=Allowance())
    for number, act in enumerate((Act.PLAN, Act.APPROVE, Act.START), 1):
        engine.command(Command(act, "bob" if act is Act.APPROVE else "ann", 0.0, number))
    return engine


def single(dcus: int, budget: Budget) -> tuple[Country, Campaign]:
    """Return one group of all, without windows, so that the engine never waits."""
    campaign = Campaign("one", "One", "meter/2.0", DeviceFilter(), (Group("all"),), budget=budget)
    sites, _ = columns(dcus)
    fields = {name: getattr(sites, name) for name in Sites.__dataclass_fields__}
    sites = Sites(**{**fields, "devices": np.full(dcus, METERS)})
    plan = make_plan(campaign, sites)
    load = Load(IMAGE)
    return Country(
        sites, plan, dry_run(campaign, sites, plan, load, now=0.0, tz=UTC), 0.0
    ), campaign


def carry_out(engine: Engine, orders_at_most: int) -> int:
    """Let DCUs do all that they are told; return the number of transitions."""
    done = 0
    now = 0.0
    numbers = [0] * len(engine.sites)
    while done < orders_at_most:
        now += 1.0
        orders = engine.work(now, most=BATCH).orders
        if not orders:
            break
        for order in orders:
            state = D.VERIFIED if order.step == "download" else D.CONFIRMED
            numbers[order.row] += 1
            engine.report(order.row, Report(numbers[order.row], {state: METERS}), now=now)
        done += 2 * len(orders)
    return done


class Rescan:
    """A row per meter."""

    def __init__(self, dcus: int) -> None:
        self.database = sqlite3.connect(":memory:")
        self.database.execute("CREATE TABLE meter (dcu INTEGER, state INTEGER)")
        rows = ((dcu, 0) for dcu in range(dcus) for _ in range(METERS))
        self.database.executemany("INSERT INTO meter VALUES (?, ?)", rows)
        self.database.execute("CREATE INDEX by_dcu ON meter (dcu)")

    def carry_out(self, dcus: int) -> int:
        """Offer and verify the meters of so many DCUs; return the number of transitions."""
        for first in range(0, dcus, BATCH):
            self.database.execute("SELECT state, count(*) FROM meter GROUP BY state").fetchall()
            for state in (1, 4):
                for dcu in range(first, min(dcus, first + BATCH)):
                    self.database.execute("UPDATE meter SET state = ? WHERE dcu = ?", (state, dcu))
        return 2 * dcus


def stored(made: Country) -> tuple[float, float, float]:
    """Keep a country's plan in SQLite and make its engine of that; return seconds and MiB.

    Returns:
        To keep the plan, to make the engine of it, and the size of the database.
    """
    campaign = what()
    serials = [f"D{number:06}" for number in range(len(made.sites))]
    names = [(f"area-{area}", f"cell-{cell}", f"segment-{segment}") for area, cell, segment in zip(
        made.sites.area, made.sites.cell, made.sites.segment, strict=True)]  # fmt: skip
    manifest = Manifest(ReleaseKind.METER_IMAGE, "", "meter", Version(2), 1)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "db.sqlite"
        with closing(RelationalStore.open(file)) as store:
            begin = time.perf_counter()
            planned = planned_sites(made.sites, made.plan, serials, names)
            run = drafted(campaign, who="ann", now=0.0)
            sums = [GroupSum() for _ in campaign.groups]
            record = store.campaigns.add(run, sums, release=1, created=0.0, entries=())
            store.campaigns.plan(Changes(record, more=planned))
            kept = time.perf_counter() - begin
            begin = time.perf_counter()
            sites = store.campaigns.sites(record.key)
            AtWork(record, manifest, sites, tz=UTC, allowance=Allowance())
            return kept, time.perf_counter() - begin, file.stat().st_size / 2**20


def rate(work: Callable[[], int]) -> float:
    """Return transitions a second of processor time."""
    begin = time.process_time()
    done = work()
    return done / (time.process_time() - begin)


def memory() -> float:
    """Return the most memory that the process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print what was measured."""
    before = memory()
    made = country(DCUS)
    meters = made.run.devices + sum(one.devices for one in made.run.excluded)
    print(f"plan of {DCUS:,} DCUs, {meters:,} meters: {made.seconds:.2f} s (goal: 60 s)")
    print(f"  {len(made.run.groups)} groups, {made.run.devices:,} meters fit, "
          f"{made.run.ends / 86_400:.0f} nights")  # fmt: skip
    engine = started(made, what())
    engine.work(23 * 3600.0, most=BATCH)
    print(f"held by the engine: {memory() - before:,.0f} MiB more than before, "
          f"{memory():,.0f} MiB in all (goal: 2,048 MiB)")  # fmt: skip
    kept, again, size = stored(made)
    print(f"its plan kept in SQLite: {kept:.1f} s, {size:,.0f} MiB; "
          f"the engine made of that, as at a start: {again:.1f} s")  # fmt: skip
    whole = started(*single(DCUS, Budget()))
    free = rate(lambda: carry_out(whole, 4 * DCUS))
    print(f"transitions, {DCUS:,} DCUs, no budget:     {free:>9,.0f} /s and core, "
          f"{free * METERS:,.0f} meters /s")  # fmt: skip
    tight = started(*single(DCUS, Budget(jobs=5_000, segment_jobs=50)))
    print(f"transitions, with budgets:              "
          f"{rate(lambda: carry_out(tight, DCUS)):>9,.0f} /s and core")  # fmt: skip
    peer = Rescan(PEER_DCUS)
    theirs = rate(lambda: peer.carry_out(PEER_REPORTING))
    print(f"a row per meter in SQLite, {PEER_DCUS:,} DCUs:  {theirs:>9,.0f} /s and core")
    print(f"ratio: {free / theirs:,.0f}, with a fleet {DCUS // PEER_DCUS} times as large")
    print(f"most memory in all: {memory():,.0f} MiB")


if __name__ == "__main__":
    main()
