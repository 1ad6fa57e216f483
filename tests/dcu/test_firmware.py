"""FUMO at a managed DCU, against a real head-end with a repository of packages."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_managed import Registered
from tests.support.dcu_releases import offer, withdraw
from tests.support.dcu_updates import (
    NODE,
    CutError,
    Cutting,
    Device,
    equip,
    execute,
    obey,
    offer_firmware,
    ordered,
    put,
    slots_in,
    told,
    url_of,
)
from tests.support.headend import running_headend
from tests.support.management import ListPlanner, planning

from openami.core.clock import ManualClock
from openami.core.errors import StoreError
from openami.dcu import files as dcu_files
from openami.dcu import repository
from openami.dcu.download import Means
from openami.dcu.repository import ROOT_FILE
from openami.dcu.updates import fetching, firmware, firmware_book
from openami.dcu.updates.ledger import Order as UnderWay
from openami.dcu.updates.ledger import Page
from openami.dcu.upgrade.upgrader import STORE
from openami.firmware.component import Component, ComponentKind
from openami.firmware.manifest import Fit, ReleaseKind
from openami.firmware.version import Version
from openami.omadm.messages.model import Add, Delete, Item, Location
from openami.omadm.objects.updates import FumoAlert
from openami.omadm.session.events import Order
from openami.store.device_memory import DeviceMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.dcu_managed import Live

    from openami.firmware.packages import PackageId
    from openami.firmware.target import TargetFile
    from openami.headend.server import Running

DAY = 86_400.0


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_headend(tmp_path) as running:
        yield running


@pytest.fixture
def planner(running: Running) -> Iterator[ListPlanner]:
    with planning(running, ListPlanner()) as planner:
        yield planner


@pytest.fixture
def device(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setattr(firmware, "LOOK_S", 0.01)
    monkeypatch.setattr(fetching, "FIRST_S", 0.01)
    return Device(equip(running, tmp_path), Registered, slots_in(tmp_path / "slots"))


@pytest.mark.fums("DES-5")
async def test_the_papers_figure(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    """Replace PkgURL, Exec DownloadAndUpdate, descriptor, download, restart, generic alert."""
    package = offer_firmware(running, tmp_path)
    slots = device.slots
    assert slots is not None
    async with device.running() as live:
        await live.until(lambda: planner.planned != [])
        assert live.dcu.tree.text(f"{NODE}/State") == "10"
        orders = ordered(url_of(running, package), "DownloadAndUpdate")
        assert await obey(live, planner, orders) == [200, 202]
        await live.task
        assert live.dcu.restarting
        tree = live.dcu.tree
        assert [tree.text(f"{NODE}/{leaf}") for leaf in ("PkgName", "PkgVersion", "State")] == [
            "openami-dcu", "1.0.0", "60",
        ]  # fmt: skip
    assert told(planner.alerts) == []
    start = slots.begin()
    assert start.on_trial
    assert start.version == "1.0.0"
    async with device.running() as live:
        await live.until(lambda: len(planner.ends) >= 2)
        assert live.dcu.tree.text(f"{NODE}/State") == "60"
        slots.confirm()
        await live.until(lambda: told(planner.alerts) != [])
        assert live.dcu.tree.text(f"{NODE}/State") == "100"
        assert slots.outcome is None
        assert not live.dcu.restarting
    (alert,) = planner.alerts
    assert told(planner.alerts) == [(FumoAlert.DOWNLOAD_AND_UPDATE, "int", "200", "")]
    assert alert.items[0].source is not None
    assert alert.items[0].source.uri == NODE
    figures = running.services.metrics.exposition().decode()
    assert 'openami_downloads_total{kind="dcu-firmware",status="success"} 1.0' in figures


async def test_what_does_not_work_is_told_when_the_one_before_is_back(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path)
    slots = device.slots
    assert slots is not None
    async with device.running() as live:
        await obey(live, planner, ordered(url_of(running, package), "DownloadAndUpdate"))
        await live.task
    slots.begin()
    slots.revert("slots.silent", "it held no session")
    async with device.running() as live:
        await live.until(lambda: told(planner.alerts) != [])
        assert told(planner.alerts) == [
            (FumoAlert.DOWNLOAD_AND_UPDATE, "int", "410", "slots.silent it held no session")
        ]
        assert live.dcu.tree.text(f"{NODE}/State") == "70"
        # What was fetched is tried once more, when the server has it so.
        planner.alerts.clear()
        assert await obey(live, planner, [execute(f"{NODE}/Update", "job-2")]) == [202]
        await live.task
        assert live.dcu.restarting
    assert slots.begin().on_trial


async def test_a_download_apart_from_its_update(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path)
    async with device.running() as live:
        update = execute(f"{NODE}/Update", "job-2")
        assert await obey(live, planner, [update]) == [405]
        orders = ordered(url_of(running, package), "Download")
        assert await obey(live, planner, orders) == [200, 202]
        await live.until(lambda: told(planner.alerts) != [])
        assert told(planner.alerts) == [(FumoAlert.DOWNLOAD, "int", "200", "")]
        assert live.dcu.tree.text(f"{NODE}/State") == "40"
    async with device.running() as live:  # what is here outlives a restart
        assert live.dcu.tree.text(f"{NODE}/State") == "40"
        withdraw(running, package)
        assert await obey(live, planner, [update]) == [202]
        await live.task
        assert live.dcu.restarting


async def test_without_slots_nothing_is_installed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    device.slots = None
    package = offer_firmware(running, tmp_path)
    async with device.running() as live:
        await obey(live, planner, ordered(url_of(running, package), "DownloadAndUpdate"))
        await live.until(lambda: told(planner.alerts) != [])
        ((_, _, result, words),) = told(planner.alerts)
        assert (result, str(words).split()[0]) == ("408", "slots.none")
        assert live.dcu.tree.text(f"{NODE}/State") == "70"
        assert not live.dcu.restarting


async def failed(running: Running, planner: ListPlanner, device: Device, url: str) -> str:
    """Return result and code of a download that fails."""
    async with device.running() as live:
        assert await obey(live, planner, ordered(url, "Download")) == [200, 202]
        await live.until(lambda: told(planner.alerts) != [])
        assert live.dcu.tree.text(f"{NODE}/State") == "20"
    ((kind, _, result, words),) = told(planner.alerts)
    assert kind == FumoAlert.DOWNLOAD
    return f"{result} {str(words).split()[0]}"


async def test_a_repository_of_somebody_else_is_not_believed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path)
    async with running_headend(tmp_path / "other") as other:
        root = other.services.firmware.publisher.document(ROOT_FILE)
    (device.made.state / ROOT_FILE).write_bytes(root)
    url = url_of(running, package)
    assert await failed(running, planner, device, url) == "404 firmware.trust.signatures"


async def test_without_a_root_nothing_is_believed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    (device.made.state / ROOT_FILE).unlink()
    assert await failed(running, planner, device, url) == "404 firmware.trust.root"


async def test_a_frozen_repository_is_not_believed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    device.wall = ManualClock(running.services.wall.now() + 30 * DAY)
    assert await failed(running, planner, device, url) == "404 firmware.trust.expired"


async def test_a_repository_that_went_back_is_not_believed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path)
    url = url_of(running, package)
    publisher = running.services.firmware.publisher
    old = publisher.present()
    assert old is not None
    async with device.running() as live:
        offer_firmware(running, tmp_path, "2.0.0")
        await obey(live, planner, ordered(url, "Download"))
        await live.until(lambda: told(planner.alerts) != [])
    planner.alerts.clear()
    documents = {name: data for name, data in old.files().items() if name != "1.root.json"}
    real = publisher.document
    publisher.document = lambda name: documents.get(name) or real(name)  # type: ignore[method-assign]  # a server that was taken over
    assert await failed(running, planner, device, url) == "404 firmware.trust.rollback"


async def test_documents_that_do_not_belong_together_are_not_believed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    """Each is rightly signed, and one of them is of the day before."""
    offer_firmware(running, tmp_path)
    publisher = running.services.firmware.publisher
    before = publisher.present()
    assert before is not None
    url = url_of(running, offer_firmware(running, tmp_path, "2.0.0"))
    real = publisher.document
    publisher.document = lambda name: (  # type: ignore[method-assign]  # a server that was taken over
        before.targets if name.endswith("targets.json") else real(name)
    )
    assert await failed(running, planner, device, url) == "404 firmware.trust.mixed"


async def test_a_manifest_in_the_place_of_another_is_not_believed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    shelf, other = running.services.firmware.shelf, tmp_path / "other.json"
    real = shelf.target

    def target(path: str) -> tuple[TargetFile, Path]:
        file, where = real(path)
        other.write_bytes(where.read_bytes().replace(b"1.0.0", b"1.0.1"))
        return file, other

    shelf.target = target  # type: ignore[method-assign]  # a server that was taken over
    assert await failed(running, planner, device, url) == "404 firmware.trust.payload"


async def test_a_release_that_was_withdrawn_is_not_found(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path)
    withdraw(running, package)
    assert await failed(running, planner, device, url_of(running, package)) == "411 dcu.package"


def is_told(planner: ListPlanner, correlator: str) -> bool:
    return told(planner.alerts, correlator) != []


async def test_a_download_keeps_to_the_rate_of_its_address(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float | None] = []

    def means(*others: Any, **options: Any) -> Means:
        rates.append(options["rate"])
        return Means(*others, **options)

    monkeypatch.setattr(repository, "Means", means)
    url = url_of(running, offer_firmware(running, tmp_path))
    async with device.running() as live:
        for n, query in enumerate(("", "?rate=500000000")):
            await obey(live, planner, ordered(f"{url}{query}", "Download", f"job-{n}"))
            await live.until(partial(is_told, planner, f"job-{n}"))
            ((_, _, result, _),) = told(planner.alerts, f"job-{n}")
            assert result == "200"
    assert rates == [None, 500_000_000]


async def test_an_address_elsewhere_is_not_asked(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path)
    url = url_of(running, package).replace("127.0.0.1", "localhost")
    assert await failed(running, planner, device, url) == "411 dcu.package.url"


async def test_without_room_nothing_is_kept(
    running: Running, planner: ListPlanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware_book, "FLOOR_OCTETS", 2**62)
    device = Device(equip(running, tmp_path), Registered, slots_in(tmp_path / "slots"))
    url = url_of(running, offer_firmware(running, tmp_path))
    assert await failed(running, planner, device, url) == "501 download.no-room"


@pytest.mark.fums("UC4-refused")
async def test_firmware_of_another_device_is_not_fetched(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer_firmware(running, tmp_path, fits=(Fit("M2", "rev A", "image"),))
    url = url_of(running, package)
    assert await failed(running, planner, device, url) == "403 firmware.fit.model"
    planner.alerts.clear()
    library = Component(ComponentKind.LIBRARY, "tools", Version(1)).build({"a.py": b""})
    package = offer(running, tmp_path, library, name="tools", kind=ReleaseKind.DCU_COMPONENT)
    url = url_of(running, package)
    assert await failed(running, planner, device, url) == "403 firmware.fit.kind"


async def test_what_is_no_image_is_not_installed(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    package = offer(running, tmp_path, b"no image of a software")
    async with device.running() as live:
        await obey(live, planner, ordered(url_of(running, package), "DownloadAndUpdate"))
        await live.until(lambda: told(planner.alerts) != [])
        ((_, _, result, words),) = told(planner.alerts)
        assert (result, str(words).split()[0]) == ("410", "slots.package")
        assert live.dcu.tree.text(f"{NODE}/State") == "70"


@pytest.fixture
def held(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the head-end describe no file before the event is set."""
    shelf, go = running.services.firmware.shelf, threading.Event()
    real = shelf.offered

    def offered(package: PackageId, path: str = "") -> TargetFile:
        go.wait(60.0)
        return real(package, path)

    monkeypatch.setattr(shelf, "offered", offered)
    yield go
    go.set()


async def test_one_operation_at_a_time(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    held: threading.Event,
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    async with device.running() as live:
        first = ordered(url, "Download")
        assert await obey(live, planner, first) == [200, 202]
        again = [
            execute(f"{NODE}/Download"),  # the same, asked for once more
            execute(f"{NODE}/DownloadAndUpdate", "job-2"),
            execute(f"{NODE}/State", "job-3"),
            put(f"{NODE}/Download/PkgURL", "https://elsewhere.example/x"),
            Order("delete", Delete(0, (Item(Location(NODE)),))),
            Order("data", Add(0, (Item(Location(f"{NODE}/Update/PkgData"), data="x"),))),
        ]
        assert await obey(live, planner, again) == [202, 417, 405, 417, 417, 406]
        assert live.dcu.tree.text(f"{NODE}/State") == "30"
        held.set()
        await live.until(lambda: told(planner.alerts) != [])
        assert told(planner.alerts) == [(FumoAlert.DOWNLOAD, "int", "200", "")]
        # With its node, the image goes.
        assert await obey(live, planner, again[4:5]) == [200]
        assert not (device.made.state / "packages" / "firmware" / "object").exists()
    async with device.running() as live:
        assert live.dcu.tree.text(f"{NODE}/State") == "10"
        assert told(planner.alerts, "job-2") == []


async def test_everything_stops_but_what_is_being_tried(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    held: threading.Event,
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    slots = device.slots
    assert slots is not None
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        await live.dcu.updates.void()
        await live.until(lambda: told(planner.alerts) != [])
        assert [result for _, _, result, _ in told(planner.alerts)] == ["401"]
        assert live.dcu.tree.text(f"{NODE}/State") == "10"
        held.set()
        await obey(live, planner, ordered(url, "Download", "job-2"))
        await live.until(lambda: told(planner.alerts, "job-2") != [])
        assert live.dcu.tree.text(f"{NODE}/State") == "40"
        await live.dcu.updates.void()
        assert live.dcu.tree.text(f"{NODE}/State") == "10"
        assert await obey(live, planner, [execute(f"{NODE}/Update", "job-3")]) == [405]
        await obey(live, planner, ordered(url, "DownloadAndUpdate", "job-4"))
        await live.task
    assert slots.begin().on_trial
    async with device.running() as live:
        await live.dcu.updates.void()
        assert not live.dcu.updates._firmware.book.give_up()  # nor if it had begun meanwhile
        assert slots.running.on_trial
        slots.confirm()
        await live.until(lambda: told(planner.alerts, "job-4") != [])
        ((_, _, result, _),) = told(planner.alerts, "job-4")
        assert result == "200"


def knows_orders(live: Live) -> bool:
    agent = live.dcu.collecting.agent
    upgrader = None if agent is None else agent.upgrader
    return upgrader is not None and upgrader.book.revision is not None


def forget_epoch(device: Device) -> None:
    """Let a DCU be as if it had never heard of an epoch, if it has."""
    for file in device.made.state.glob(f"{STORE}*"):
        file.unlink()


@pytest.mark.fums("DES-3")
async def test_an_emergency_at_the_head_end_stops_what_is_fetched(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    held: threading.Event,
) -> None:
    """It comes with the DCU's next poll for work, whoever has ordered the download."""
    assert not held.is_set()
    url = url_of(running, offer_firmware(running, tmp_path))
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        await live.until(lambda: live.dcu.tree.text(f"{NODE}/State") == "30")
        await live.until(lambda: knows_orders(live))  # the first word of an epoch is no rise
        emergency = partial(running.services.campaigns.emergency, who="anna", why="it burns")
        await asyncio.to_thread(emergency)
        await live.until(lambda: told(planner.alerts) != [])
        ((_, _, result, words),) = told(planner.alerts)
        assert (result, words.split()[0]) == ("401", "download.cancelled")
        assert live.dcu.tree.text(f"{NODE}/State") == "10"


@pytest.mark.fums("DES-3")
@pytest.mark.parametrize("fetched", [False, True])
async def test_the_first_epoch_that_is_heard_of_stops_what_is_of_one_before(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    held: threading.Event,
    *,
    fetched: bool,
) -> None:
    """Of an emergency that came while the DCU was off it hears with its first poll."""
    url = url_of(running, offer_firmware(running, tmp_path)) + "?epoch=0"
    if fetched:
        held.set()
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        state = "40" if fetched else "30"
        await live.until(lambda: live.dcu.tree.text(f"{NODE}/State") == state)
    emergency = partial(running.services.campaigns.emergency, who="anna", why="it burns")
    await asyncio.to_thread(emergency)
    forget_epoch(device)
    async with device.running() as live:
        await live.until(lambda: knows_orders(live))
        assert (device.made.state / STORE).exists()
        await live.until(lambda: live.dcu.tree.text(f"{NODE}/State") == "10")
        if fetched:
            assert await obey(live, planner, [execute(f"{NODE}/Update", "job-2")]) == [405]
        else:
            await live.until(lambda: told(planner.alerts) != [])
            ((_, _, result, words),) = told(planner.alerts)
            assert (result, words.split()[0]) == ("401", "download.cancelled")


@pytest.mark.parametrize("query", ["?epoch=1", ""])
async def test_the_first_epoch_that_is_heard_of_stops_nothing_else(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    held: threading.Event,
    query: str,
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path)) + query
    emergency = partial(running.services.campaigns.emergency, who="anna", why="it burns")
    await asyncio.to_thread(emergency)
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        await live.until(lambda: live.dcu.tree.text(f"{NODE}/State") == "30")
    forget_epoch(device)
    async with device.running() as live:
        await live.until(lambda: knows_orders(live))
        held.set()
        await live.until(lambda: told(planner.alerts) != [])
        assert [result for _, _, result, _ in told(planner.alerts)] == ["200"]
        assert live.dcu.tree.text(f"{NODE}/State") == "40"


async def test_a_device_that_is_not_started_as_what_was_armed_stays_what_it_is(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    """A launcher that is broken does not have it restart for ever."""
    url = url_of(running, offer_firmware(running, tmp_path))
    restarts = 0
    async with device.running() as live:
        await obey(live, planner, ordered(url, "DownloadAndUpdate"))
        await live.task
        restarts += live.dcu.restarting
    while not told(planner.alerts):
        async with device.running() as live:
            with suppress(AssertionError):
                await live.until(lambda: told(planner.alerts) != [])
            restarts += live.dcu.restarting
    ((_, _, result, words),) = told(planner.alerts)
    assert (restarts, result, words.split()[0]) == (firmware.TRIALS_MOST, "410", "slots.not-tried")


async def test_what_is_not_staged_any_more_is_staged_again(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    slots = device.slots
    assert slots is not None
    async with device.running() as live:
        await obey(live, planner, ordered(url, "DownloadAndUpdate"))
        await live.task
    slots.drop()
    assert not slots.waiting
    async with device.running() as live:
        await live.task
        assert live.dcu.restarting
    assert slots.begin().on_trial


async def test_what_runs_already_is_no_trial(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    slots = device.slots
    assert slots is not None
    async with device.running() as live:
        await obey(live, planner, ordered(url, "DownloadAndUpdate"))
        await live.task
    slots.begin()
    slots.confirm()
    async with device.running() as live:
        await live.until(lambda: told(planner.alerts) != [])
        await obey(live, planner, ordered(url, "DownloadAndUpdate", "job-2"))
        await live.until(lambda: told(planner.alerts, "job-2") != [])
        ((_, _, result, words),) = told(planner.alerts, "job-2")
        assert (result, words) == ("200", "")
        assert not live.dcu.restarting


async def test_a_head_end_that_is_away_is_asked_again(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    publisher, faults = running.services.firmware.publisher, [1, 2, 3]
    real = publisher.document

    def document(name: str) -> bytes:
        if faults:
            faults.pop()
            raise StoreError("the database is away")
        return real(name)

    monkeypatch.setattr(publisher, "document", document)
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        await live.until(lambda: told(planner.alerts) != [])
        assert [result for _, _, result, _ in told(planner.alerts)] == ["200"]
        assert faults == []
        monkeypatch.setattr(fetching, "TRIES", 2)
        faults += [1] * 100
        await obey(live, planner, ordered(url, "Download", "job-2"))
        await live.until(lambda: told(planner.alerts, "job-2") != [])
        ((_, _, result, words),) = told(planner.alerts, "job-2")
        assert (result, words.split()[0]) == ("412", "dcu.package.away")


async def test_a_task_installs_it(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    """SCHED decides when."""
    url = url_of(running, offer_firmware(running, tmp_path))
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        await live.until(lambda: told(planner.alerts) != [])
        task = "./SCHED/night"
        leaves = {"TaskID": "t1", "Operation": f"{NODE}/Update", "Start": "20260101T000000Z"}
        adds = [
            Order(name, Add(0, (Item(Location(f"{task}/{name}"), data=value),)))
            for name, value in leaves.items()
        ]
        assert await obey(live, planner, adds) == [200] * 3
        await live.task
        assert live.dcu.restarting
        assert live.dcu.tree.text(f"{task}/LastStatus") == "202"
    assert device.slots is not None
    assert device.slots.begin().on_trial


async def test_a_delta_for_what_is_installed_is_fetched(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    slots = device.slots
    assert slots is not None
    noise = random.Random(5).randbytes(60_000)
    for number, version in enumerate(("1.0.0", "1.1.0"), 1):
        files = {"__init__.py": f'__version__ = "{version}"'.encode(), "noise.py": noise}
        package = offer_firmware(running, tmp_path, version, counter=number, files=files)
        job = f"job-{number}"
        async with device.running() as live:
            orders = ordered(url_of(running, package), "DownloadAndUpdate", job)
            await obey(live, planner, orders)
            await live.task
        assert slots.begin().version == version
        slots.confirm()
    asked = [file.path for file in running.services.firmware.shelf._store.targets()]
    assert any("/delta/" in path for path in asked)
    async with device.running() as live:
        await live.until(lambda: told(planner.alerts, "job-2") != [])
    ((_, _, result, _),) = told(planner.alerts, "job-2")
    assert result == "200"
    assert slots.running.version == "1.1.0"


async def live_once(device: Device, planner: ListPlanner, orders: list[Order], job: str) -> None:
    """Run a DCU until its server was told of a job, or its power is gone."""
    accepted = any(one.id == orders[1].id and one.status == 202 for _, one in planner.results)
    planner.orders["D1"] = [] if accepted else orders
    async with device.running() as live:
        live.dcu.manager.nudge()
        await live.until(lambda: told(planner.alerts, job) != [])


@pytest.mark.parametrize("after", [False, True])
async def test_whenever_it_is_cut_it_is_done_once(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    monkeypatch.setattr(dcu_files, "DeviceMemory", Cutting)
    slots = device.slots
    assert slots is not None
    cuts = 0
    while True:
        number = cuts + 1
        package = offer_firmware(running, tmp_path, f"1.{number}.0", counter=number)
        job = f"job-{number}"
        orders = ordered(url_of(running, package), "DownloadAndUpdate", job)
        Cutting.which, Cutting.left, Cutting.after, trials = "fumo", number, after, 0
        planner.results.clear()
        while not told(planner.alerts, job):
            if slots.waiting:
                trials += slots.begin().on_trial
                slots.confirm()
            with suppress(CutError, AssertionError):
                await live_once(device, planner, orders, job)
        ((_, _, result, _),) = told(planner.alerts, job)
        assert (result, trials) == ("200", 1), number
        assert slots.running.version == f"1.{number}.0"
        if Cutting.left > 0:
            break
        cuts += 1
    assert cuts >= 6


async def test_a_step_that_only_a_newer_version_knows_is_over_with_the_one_before(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    url = url_of(running, offer_firmware(running, tmp_path))
    async with device.running() as live:
        await obey(live, planner, ordered(url, "Download"))
        await live.until(lambda: told(planner.alerts) != [])
    with closing(DeviceMemory(device.made.state / "management.sqlite")) as memory:
        page = Page.decode(memory.fact("fumo") or "")
        order = UnderWay(NODE, "Update", "newer", "rinse")
        memory.put_fact("fumo", replace(page, order=order).encode())
    async with device.running() as live:
        await live.until(lambda: told(planner.alerts, "newer") != [])
        ((_, _, result, words),) = told(planner.alerts, "newer")
        assert (result, words.split()[0]) == ("408", "dcu.step")
        assert live.dcu.tree.text(f"{NODE}/State") == "70"
        assert await obey(live, planner, [execute(f"{NODE}/Update", "job-2")]) == [202]
        await live.task
        assert live.dcu.restarting
