"""Campaigns for DCUs: orders are jobs of device management, and these come to their ends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.campaigns import D, Office, offer
from tests.support.dm_planned import add_devices
from tests.support.dossiers import apply, saw, start

from openami.dcu.repository import epoch_of, package_of, rate_of
from openami.firmware.manifest import Fit, ReleaseKind
from openami.fleet.campaigns.machine import Act, CampaignState
from openami.fleet.campaigns.model import Budget, Group, Retry, Step, StepKind
from openami.fleet.campaigns.windows import Window
from openami.fleet.desired import KnownNode
from openami.fleet.devices import DeviceKind, Sighting
from openami.fleet.tasks import Answered, Concluded, Lost, Result, TaskKind, TaskState
from openami.headend.campaigns.uplink import Said
from openami.headend.services import build

if TYPE_CHECKING:
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.fleet.tasks import ManagementJob
    from openami.headend.services import Context, Services, Stores

DCUS = ("C1", "C2")
NODE = "./FUMO/agent"
HOUR, DAY = 3_600.0, 86_400.0
RETRY = Retry(attempts=2, first_s=10.0, most_s=100.0, lease_s=1_000.0, longest_s=5_000.0)


@pytest.fixture
def office(services: Services, wall: ManualClock) -> Office:
    services.upgrades.errands.reach_at("https://head-end.example:8444/dm")
    return Office(services, wall)


@pytest.fixture
def release(services: Services, stores: Stores, clock: ManualClock, tmp_path: Path) -> str:
    add_devices(stores, *DCUS)
    stores.devices.sight(
        [Sighting(DeviceKind.DCU, dcu, firmware="1.0.0") for dcu in DCUS], now=clock.now()
    )
    for dcu in DCUS:
        know(stores, dcu)
    return offer(
        services, tmp_path, "2.0.0", kind=ReleaseKind.DCU_FIRMWARE, name="agent",
        fits=(Fit("DC-1", "A", "a.img"),), prerequisites=(),
    )  # fmt: skip


def know(stores: Stores, dcu: str, hardware: str = "A") -> None:
    nodes = [
        KnownNode("./DevInfo/Mod", "chr", "DC-1"),
        KnownNode("./DevDetail/HwV", "chr", hardware),
        KnownNode(f"{NODE}/Download/PkgURL", "chr", ""),
    ]
    saw(stores, dcu, ["./DevInfo", "./DevDetail", "./FUMO"], nodes, now=1.0, whole=True)


def started(office: Office, release: str, **changes: Any) -> str:
    base: dict[str, Any] = {"groups": (Group("all"),), "kind": DeviceKind.DCU, "retry": RETRY}
    id_ = office.started(release, **{**base, **changes})
    office.round()
    return id_


def session(office: Office, stores: Stores, dcu: str) -> list[ManagementJob]:
    """Let a DCU hold a session; return the jobs that it is sent."""
    return [job for job, _ in start(stores, dcu, now=office.wall.now(), fresh=True)]


def answer(office: Office, stores: Stores, dcu: str, job: ManagementJob, status: int) -> None:
    apply(stores, job.id, dcu, Answered(office.wall.now(), status))
    office.round()
    office.round()


def conclude(office: Office, stores: Stores, dcu: str, job: ManagementJob, words: str) -> None:
    """Let a DCU say by an alert how an operation ended."""
    answer(office, stores, dcu, job, 202)
    result = Result(job.commands[0].uri, int(words[:3]), "chr", words)
    apply(stores, job.id, dcu, Concluded(office.wall.now(), result))
    office.round()
    office.round()


def download(office: Office, stores: Stores, dcu: str, words: str = "200 fetched") -> None:
    (told,) = session(office, stores, dcu)
    answer(office, stores, dcu, told, 200)
    (job,) = session(office, stores, dcu)
    conclude(office, stores, dcu, job, words)


def test_a_campaign_for_dcus_goes_through_device_management(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release)
    (url,) = session(office, stores, "C1")
    where = (
        "https://head-end.example:8444/device/v1/descriptors/dcu-firmware/agent/2.0.0"
        "?epoch=0&rate=125000"
    )
    (command,) = url.commands
    assert (url.kind, command.uri, command.value) == (
        TaskKind.SET, f"{NODE}/Download/PkgURL", where,
    )  # fmt: skip
    answer(office, stores, "C1", url, 200)
    (fetch,) = session(office, stores, "C1")
    assert (fetch.kind, fetch.commands[0].uri) == (TaskKind.EXEC, f"{NODE}/Download")
    conclude(office, stores, "C1", fetch, "200 fetched")
    assert office.campaigns.get(id_).states == {D.VERIFIED: 1, D.OFFERED: 1}
    assert session(office, stores, "C1") == []  # the group activates together
    download(office, stores, "C2")
    for dcu in DCUS:
        (update,) = session(office, stores, dcu)
        assert (update.commands[0].uri, update.once) == (f"{NODE}/Update", True)
        conclude(office, stores, dcu, update, "200 confirmed")
    view = office.campaigns.get(id_)
    assert (view.run.state, view.states) == (CampaignState.FINISHED, {D.CONFIRMED: 2})
    marks = [mark.state for mark in office.campaigns.timeline(id_, "C1").marks]
    assert marks == [D.OFFERED, D.DOWNLOADED, D.VERIFIED, D.ACTIVATED, D.CONFIRMED]
    assert office.ask("C1").orders == ()  # none of it is told to its upgrade manager


@pytest.mark.fums("UMS-2")
def test_a_dcu_that_falls_back_says_why_and_pauses_the_campaign(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release)
    for dcu in DCUS:
        download(office, stores, dcu)
    (update,) = session(office, stores, "C1")
    conclude(office, stores, "C1", update, "410 slots.health no session was held")
    view = office.campaigns.get(id_)
    assert view.run.state is CampaignState.PAUSED
    assert view.groups[0].codes == {"slots.health": 1}
    found = office.campaigns.timeline(id_, "C1").device
    assert (found.state, found.code) == (D.REVERTED, "slots.health")
    assert session(office, stores, "C2") == []  # what had not left was taken back
    office.act(id_, Act.RESUME)
    office.round()
    office.round()
    (update,) = session(office, stores, "C2")
    conclude(office, stores, "C2", update, "200 confirmed")
    assert office.campaigns.get(id_).states == {D.CONFIRMED: 1, D.REVERTED: 1}


def test_a_download_that_fails_is_tried_again_and_then_given_up(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release)
    download(office, stores, "C1", "402 corrupt")
    found = office.campaigns.devices(id_, dcu="C1").items[0]
    assert found.why.code == "campaign.retry"
    office.round(30.0)
    office.round()
    download(office, stores, "C1", "402 corrupt")
    view = office.campaigns.get(id_)
    assert (view.run.state, view.groups[0].codes) == (
        CampaignState.PAUSED, {"dcu.result-402": 1},
    )  # fmt: skip


def test_a_dcu_without_an_account_fails(
    office: Office, stores: Stores, release: str, clock: ManualClock
) -> None:
    stores.devices.sight([Sighting(DeviceKind.DCU, "C3", model="DC-1")], now=clock.now())
    id_ = started(office, release)
    found = office.campaigns.devices(id_, dcu="C3").items[0]
    assert (found.why.code, office.campaigns.get(id_).total) == ("campaign.retry", 3)


def test_only_dcus_that_it_fits_are_in_it(office: Office, stores: Stores, release: str) -> None:
    know(stores, "C2", hardware="Z")
    id_ = started(office, release)
    assert office.campaigns.get(id_).total == 1
    assert session(office, stores, "C2") == []


def test_a_stop_takes_back_what_has_not_left(office: Office, stores: Stores, release: str) -> None:
    id_ = started(office, release)
    (sent,) = session(office, stores, "C1")
    office.campaigns.emergency(who="ann", why="smoke")
    assert session(office, stores, "C2") == []
    jobs = stores.tasks.list().items
    states = {job.job.devices[0]: set(job.counts) for job in jobs}
    assert states == {"C1": {TaskState.SENT}, "C2": {TaskState.CANCELLED}}
    answer(office, stores, "C1", sent, 200)  # it had left; nothing follows
    assert session(office, stores, "C1") == []
    assert office.campaigns.get(id_).run.state is CampaignState.EMERGENCY
    assert stores.campaigns.open_tasks() == []


def test_a_job_that_was_noted_and_not_made_is_made_after_a_restart(
    office: Office, stores: Stores, release: str, context: Context, wall: ManualClock
) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores.tasks, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            office.started(release, groups=(Group("all"),), kind=DeviceKind.DCU)
    assert len(stores.campaigns.open_tasks()) == 2
    assert stores.tasks.list().items == ()
    again = Office(build(context, stores), wall)
    again.services.upgrades.errands.reach_at("https://head-end.example:8444/dm")
    again.round()
    again.round()
    assert len(stores.tasks.list().items) == 2
    assert len(session(again, stores, "C1")) == 1
    (work,) = again.services.upgrades.fleet.live.values()
    assert work.engine.position(0, StepKind.DOWNLOAD).attempt == 1


def test_a_job_that_nobody_fetches_expires_and_is_given_again(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release)
    office.wall.advance(1_001.0)
    stores.tasks.pass_time(now=office.wall.now())
    office.round()
    assert session(office, stores, "C1") == []
    assert office.campaigns.devices(id_, dcu="C1").items[0].why.code == "campaign.silent"
    office.round(60.0)
    office.round()
    assert len(session(office, stores, "C1")) == 1


def test_a_dcu_has_no_word_on_itself_but_by_device_management(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release)
    told = office.ask("C1", Said(id_, 7, {D.CONFIRMED: 1}, {}))
    assert (told.taken, told.orders) == ({id_: 7}, ())  # so that it is not said again
    assert office.campaigns.get(id_).states == {D.OFFERED: 2}


def test_only_what_has_no_job_is_looked_at(
    office: Office, stores: Stores, context: Context, release: str
) -> None:
    """With a country's DCUs at work, a round does not look through all of them."""
    id_ = started(office, release)
    for again in (office, Office(build(context, stores), office.wall)):
        again.round()
        work = again.services.upgrades.fleet.live[id_]
        assert len(work.given) == len(work.tasks) == 2
        assert work.jobless == set()


def test_a_look_that_takes_long_is_not_taken_each_second(
    office: Office, stores: Stores, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, looks = office.services.upgrades.fleet.store, list[float]()
    news, begin = store.task_news, office.wall.now()

    def slow(*, most: int) -> Any:
        looks.append(office.wall.now() - begin)
        office.wall.advance(3.0)
        return news(most=most)

    monkeypatch.setattr(store, "task_news", slow)
    started(office, release)
    while office.wall.now() < begin + 40.0:
        office.round(1.0)
    assert looks == [0.0, 15.0, 30.0]
    office.wall.set(begin - 1_000.0)  # a clock that was put right makes nobody wait
    office.round()
    assert len(looks) == 4


def test_a_job_of_which_nobody_knows_is_kept_open_while_it_may_still_end(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release)
    for dcu in DCUS:
        download(office, stores, dcu)
    (update,) = session(office, stores, "C1")
    apply(stores, update.id, "C1", Lost(office.wall.now()))
    office.round()
    assert update.id in {task.job for _, task in stores.campaigns.open_tasks()}
    office.act(id_, Act.STOP)
    office.round()
    assert stores.campaigns.open_tasks() == []


def test_a_job_is_made_when_its_place_in_the_jitter_has_come(
    office: Office, stores: Stores, release: str
) -> None:
    id_ = started(office, release, jitter_s=600.0)
    work = office.services.upgrades.fleet.live[id_]
    begins = {work.planned[row].dcu: given.begin for (row, _), given in work.given.items()}
    first, second = sorted(DCUS, key=lambda dcu: begins[dcu])
    assert office.wall.now() + 1.0 < begins[first] < begins[second] - 1.0
    for dcu, other in ((first, second), (second, None)):
        office.round(begins[dcu] - 1.0 - office.wall.now())
        assert session(office, stores, dcu) == []
        office.round(1.0)
        office.round()
        assert len(session(office, stores, dcu)) == 1
        if other is not None:
            assert session(office, stores, other) == []
    marks = {dcu: office.campaigns.timeline(id_, dcu).marks[0] for dcu in DCUS}
    assert {dcu: mark.at for dcu, mark in marks.items()} == begins


def from_two_to_three(office: Office) -> Step:
    """Let it be ten to three, in a window that closes at three."""
    office.wall.set((office.wall.now() // DAY + 1) * DAY + 3 * HOUR - 600.0)
    return Step(windows=(Window(120, 180),))


def later(office: Office, stores: Stores, seconds: float) -> None:
    """Let time pass at the head-end, and jobs end with it."""
    office.wall.advance(seconds)
    stores.tasks.pass_time(now=office.wall.now())
    for _ in range(3):
        office.round()


def test_nothing_is_carried_out_after_its_window(
    office: Office, stores: Stores, release: str
) -> None:
    retry = replace(RETRY, lease_s=2 * HOUR, longest_s=DAY)
    step = from_two_to_three(office)
    id_ = started(office, release, activation=step, retry=retry)
    for dcu in DCUS:
        download(office, stores, dcu)
    (update,) = session(office, stores, "C1")  # it has begun, and ends when it ends
    answer(office, stores, "C1", update, 202)
    office.wall.advance(601.0)
    assert session(office, stores, "C2") == []  # the job is over before anybody looks
    later(office, stores, HOUR)
    words = Result(update.commands[0].uri, 200, "chr", "200 confirmed")
    apply(stores, update.id, "C1", Concluded(office.wall.now(), words))
    for _ in range(6):
        later(office, stores, HOUR)
        assert session(office, stores, "C2") == []
    assert office.campaigns.get(id_).states == {D.CONFIRMED: 1, D.VERIFIED: 1}
    jobs = len(stores.tasks.list().items)
    later(office, stores, 15.5 * HOUR)
    assert len(stores.tasks.list().items) == jobs  # not before the window
    later(office, stores, HOUR)
    (again,) = session(office, stores, "C2")
    assert again.commands[0].uri == f"{NODE}/Update"
    conclude(office, stores, "C2", again, "200 confirmed")
    assert office.campaigns.get(id_).states == {D.CONFIRMED: 2}


def test_of_a_download_nothing_more_is_begun_after_its_window(
    office: Office, stores: Stores, release: str
) -> None:
    """The address was told, and the window closes before the download is to begin."""
    retry = replace(RETRY, lease_s=DAY, longest_s=DAY)
    started(office, release, download=from_two_to_three(office), retry=retry)
    (told,) = session(office, stores, "C1")
    office.wall.advance(601.0)
    answer(office, stores, "C1", told, 200)
    later(office, stores, 0.0)
    assert session(office, stores, "C1") == []
    assert stores.campaigns.open_tasks() == []
    later(office, stores, 22.5 * HOUR)
    assert session(office, stores, "C1") == []
    later(office, stores, 0.5 * HOUR)  # the next window, and the same attempt
    assert session(office, stores, "C1")[0].commands[0].uri.endswith("PkgURL")


def test_a_job_that_was_noted_and_not_made_is_not_made_after_its_window(
    office: Office, stores: Stores, release: str, context: Context, wall: ManualClock
) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    step = from_two_to_three(office)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores.tasks, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            office.started(release, groups=(Group("all"),), kind=DeviceKind.DCU, download=step)
    assert len(stores.campaigns.open_tasks()) == 2
    again = Office(build(context, stores), wall)
    later(again, stores, 601.0)
    assert stores.tasks.list().items == ()
    assert stores.campaigns.open_tasks() == []


def test_a_stop_that_comes_while_jobs_are_made_is_not_outrun(
    office: Office, stores: Stores, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errands, emergency = office.services.upgrades.errands, office.campaigns.emergency
    wanted = errands._wanted

    def slow(now: float) -> Any:
        found = wanted(now)
        if found:
            emergency(who="ann", why="smoke")
        return found

    monkeypatch.setattr(errands, "_wanted", slow)
    started(office, release)
    assert stores.tasks.list().items == ()
    office.round()
    assert stores.campaigns.open_tasks() == []


def test_a_dcu_is_told_the_rate_that_it_was_granted(
    office: Office, stores: Stores, release: str
) -> None:
    started(office, release, budget=Budget(link_rate=20_000))
    (told,) = session(office, stores, "C1")
    url = str(told.commands[0].value)
    assert (epoch_of(url), rate_of(url)) == (0, 20_000)
    assert str(package_of(url, "https://head-end.example:8444")) == "dcu-firmware/agent/2.0.0"


def test_a_dcu_is_told_in_which_epoch_its_campaign_was_started(
    office: Office, stores: Stores, release: str
) -> None:
    office.campaigns.emergency(who="ann", why="smoke")
    started(office, release)
    (told,) = session(office, stores, "C1")
    assert epoch_of(str(told.commands[0].value)) == office.campaigns.epoch() == 1


def untrusted(office: Office) -> list[tuple[str, str]]:
    found = office.services.alarms.list(only_open=True).items
    return [(one.subject, one.message) for one in found if one.code == "release.untrusted"]


def test_operators_are_called_to_a_dcu_that_does_not_believe_the_repository(
    office: Office, stores: Stores, release: str, context: Context
) -> None:
    started(office, release)
    download(office, stores, "C1", "402 download.corrupt it came damaged")
    assert untrusted(office) == []
    download(office, stores, "C2", "404 firmware.trust.rollback it went back")
    ((subject, message),) = untrusted(office)
    assert subject == "dcu-C2"
    assert message.startswith("firmware.trust.rollback: the DCU does not trust")
    later(office, stores, 30.0)
    download(office, stores, "C1")
    assert len(untrusted(office)) == 1  # it is about another
    again = Office(build(context, stores), office.wall)
    again.services.upgrades.errands.reach_at("https://head-end.example:8444/dm")
    download(again, stores, "C2")
    assert untrusted(again) == []
