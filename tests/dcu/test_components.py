"""SCOMO at a managed DCU, against a real head-end with a repository of packages."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.dcu_managed import Registered
from tests.support.dcu_releases import offer
from tests.support.dcu_updates import CutError, Cutting, Device, equip, execute, obey, told, url_of
from tests.support.factory import make_key
from tests.support.headend import running_headend
from tests.support.management import ListPlanner, planning

from openami.crypto.certificates import Validity, make_root
from openami.dcu import files as dcu_files
from openami.dcu.updates import fetching, programs
from openami.dcu.updates.ledger import Order as UnderWay
from openami.dcu.updates.ledger import Page
from openami.firmware import intake
from openami.firmware.component import Component, ComponentKind
from openami.firmware.manifest import ReleaseKind
from openami.firmware.version import Version
from openami.omadm.messages.model import Add, Delete, Item, Location, Replace
from openami.omadm.objects.updates import SCOMO_COMPLETE
from openami.omadm.session.events import Order
from openami.store.device_memory import DeviceMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from tests.support.dcu_managed import Live

    from openami.firmware.packages import PackageId
    from openami.headend.server import Running

DOWNLOAD = "./SCOMO/Download/p1"
DELIVERED = "./SCOMO/Inventory/Delivered"
DEPLOYED = "./SCOMO/Inventory/Deployed"
PERIOD = "./AMI/Collection/LoadPeriod"
TASK = "./SCHED/night"


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
    monkeypatch.setattr(fetching, "FIRST_S", 0.01)
    monkeypatch.setattr(programs, "BEGUN_S", 0.3)
    monkeypatch.setattr(programs, "AGAIN_FIRST_S", 0.05)
    return Device(equip(running, tmp_path), Registered)


def offered(
    running: Running,
    folder: Path,
    what: Component,
    files: Mapping[str, bytes] | None = None,
    *,
    counter: int = 1,
) -> PackageId:
    return offer(
        running,
        folder,
        what.build(files),
        str(what.version),
        name=what.name,
        kind=ReleaseKind.DCU_COMPONENT,
        counter=counter,
    )


def settings(values: Mapping[str, str], version: str = "1.0.0") -> Component:
    return Component(ComponentKind.SETTINGS, "fast", Version.parse(version), settings=values)


def add(uri: str, value: str) -> Order:
    return Order(f"add {uri}", Add(0, (Item(Location(uri), data=value),)))


class Desk:
    """A server's operator, who has one DCU do one thing after another."""

    def __init__(self, live: Live, planner: ListPlanner) -> None:
        self.live = live
        self.planner = planner
        self.jobs = 0
        self.words = ""

    def text(self, uri: str) -> str:
        return self.live.dcu.tree.text(uri)

    async def do(self, uri: str) -> str:
        """Execute a node; return result and code of how it ended."""
        self.jobs += 1
        job = f"job-{id(self)}-{self.jobs}"
        (status,) = await obey(self.live, self.planner, [execute(uri, job)])
        if status != 202:
            return str(status)
        await self.live.until(lambda: told(self.planner.alerts, job) != [])
        ((kind, form, result, words),) = told(self.planner.alerts, job)
        assert (kind, form) == (SCOMO_COMPLETE, "int")
        self.words = words
        return f"{result} {words.partition(' ')[0]}".strip()

    async def name(self, url: str, node: str = DOWNLOAD) -> None:
        """Name a package to be fetched."""
        have = node.rpartition("/")[2] in self.live.dcu.tree.names("./SCOMO/Download")
        if have:
            order = Order("url", Replace(0, (Item(Location(f"{node}/PkgURL"), data=url),)))
            assert await obey(self.live, self.planner, [order]) == [200]
            return
        orders = [add(f"{node}/PkgURL", url), add(f"{node}/PkgID", "x")]
        statuses = await obey(self.live, self.planner, orders)
        assert statuses[0] == 200
        await self.live.until(lambda: bool(self.live.dcu.tree.names(f"{node}/Operations")))


async def test_settings_come_and_go(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    values = {
        PERIOD: "300",
        f"{TASK}/TaskID": "t1",
        f"{TASK}/Operation": "./AMI/Operations/Report",
        f"{TASK}/Start": "20990101T000000Z",
    }
    package = offered(running, tmp_path, settings(values))
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, package))
        assert await desk.do(f"{DOWNLOAD}/Operations/Download") == "1200"
        assert desk.text(f"{DOWNLOAD}/Status") == "40"
        assert desk.text(f"{DELIVERED}/p1/State") == "10"
        assert desk.text(f"{DELIVERED}/p1/PkgID") == str(package)
        assert await desk.do(f"{DELIVERED}/p1/Operations/InstallInactive") == "1200"
        assert desk.text(f"{DELIVERED}/p1/State") == "20"
        assert desk.text(f"{DEPLOYED}/fast/State") == "10"
        assert desk.text(f"{DEPLOYED}/fast/Version") == "1.0.0"
        assert desk.text(PERIOD) == "900"
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Activate") == "1200"
        assert desk.text(f"{DEPLOYED}/fast/State") == "20"
        assert desk.text(PERIOD) == "300"
        assert desk.text(f"{TASK}/TaskID") == "t1"
    async with device.running() as live:
        desk = Desk(live, planner)
        assert desk.text(f"{DEPLOYED}/fast/State") == "20"
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Deactivate") == "1200"
        assert desk.text(PERIOD) == "900"
        assert live.dcu.tree.names("./SCHED") == ()
        # What somebody else has set since stays.
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Activate") == "1200"
        other = Order("other", Replace(0, (Item(Location(PERIOD), data="1800"),)))
        assert await obey(live, planner, [other]) == [200]
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Remove") == "1200"
        assert desk.text(PERIOD) == "1800"
        assert live.dcu.tree.names(DEPLOYED) == ()
        assert await desk.do(f"{DELIVERED}/p1/Operations/Remove") == "1200"
        assert live.dcu.tree.names(DELIVERED) == ()
        images = device.made.state / "packages" / "components"
        await live.until(lambda: not list(images.iterdir()))


async def test_settings_that_are_refused_change_nothing(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    wrong = settings({"./AMI/Link/Window": "2", PERIOD: "60"})  # the margin is not less
    package = offered(running, tmp_path, wrong)
    async with device.running() as live:
        desk = Desk(live, planner)
        before = desk.text("./AMI/Link/Window")
        await desk.name(url_of(running, package))
        assert (await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall")).startswith("1409")
        assert (desk.text("./AMI/Link/Window"), desk.text(PERIOD)) == (before, "900")
        assert desk.text(f"{DEPLOYED}/fast/State") == "10"
        assert desk.text(f"{DOWNLOAD}/Status") == "60"


async def test_a_newer_version_takes_the_place(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    async with device.running() as live:
        desk = Desk(live, planner)
        for number, period in enumerate(("300", "600"), 1):
            what = settings({PERIOD: period}, f"1.{number}.0")
            package = offered(running, tmp_path, what, counter=number)
            await desk.name(url_of(running, package))
            assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
            assert desk.text(PERIOD) == period
        assert live.dcu.tree.names(DEPLOYED) == ("fast",)
        assert desk.text(f"{DEPLOYED}/fast/Version") == "1.2.0"
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Remove") == "1200"
        assert desk.text(PERIOD) == "900"
        # A lower counter is never installed, not even once it is gone.
        await desk.name(other_version(running, package, "1.1.0"))
        assert (
            await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1407 firmware.fit.counter"
        )


REFUSED = {"./AMI/Link/Window": "2", PERIOD: "60"}  # the margin is not less


async def test_when_a_newer_version_is_refused_the_one_before_is_on_again(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    good = offered(running, tmp_path, settings({PERIOD: "300"}))
    bad = offered(running, tmp_path, settings(REFUSED, "2.0.0"), counter=2)
    async with device.running() as live:
        desk = Desk(live, planner)
        for package, ended in ((good, "1200"), (bad, "1409")):
            await desk.name(url_of(running, package))
            assert (await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall")).startswith(ended)
        assert desk.words.endswith("; 1.0.0 is on again")
        assert desk.text(f"{DEPLOYED}/fast/Version") == "1.0.0"
        assert desk.text(f"{DEPLOYED}/fast/State") == "20"
        assert desk.text(PERIOD) == "300"
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Remove") == "1200"
        assert desk.text(PERIOD) == "900"


async def test_what_can_not_be_switched_off_stays_on(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    good = offered(running, tmp_path, settings({PERIOD: "300"}))
    bad = offered(running, tmp_path, settings(REFUSED, "2.0.0"), counter=2)
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, good))
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
        await desk.name(url_of(running, bad))
        assert await desk.do(f"{DOWNLOAD}/Operations/Download") == "1200"
        for image in (device.made.state / "packages" / "components").iterdir():
            image.write_bytes(image.read_bytes() + b"x")
        ended = await desk.do(f"{DELIVERED}/p1/Operations/Install")
        assert ended == "1405 firmware.package.image"
        assert desk.text(f"{DEPLOYED}/fast/Version") == "1.0.0"
        assert desk.text(PERIOD) == "300"


@pytest.mark.parametrize("after", [False, True])
async def test_whenever_it_is_cut_the_version_before_is_on_again(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    monkeypatch.setattr(dcu_files, "DeviceMemory", Cutting)
    Cutting.which, Cutting.left = "scomo", 0
    good = offered(running, tmp_path, settings({PERIOD: "300"}))
    bad = offered(running, tmp_path, settings(REFUSED, "2.0.0"), counter=2)
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, good))
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
        await desk.name(url_of(running, bad))
    cuts, cut = 0, True
    while cut:
        job = f"on-{cuts}"
        cut = await see(
            device, planner, f"{DOWNLOAD}/Operations/DownloadInstall", job, (cuts + 1, after)
        )
        ((_, _, result, words),) = told(planner.alerts, job)
        assert (result, words.endswith("; 1.0.0 is on again")) == ("1409", True), cuts
        cuts += 1
    assert cuts >= 7


async def test_what_came_before_a_higher_counter_is_not_installed_any_more(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    """A package that was fetched stays in the inventory, and is older than it looks."""
    async with device.running() as live:
        desk = Desk(live, planner)
        for number in (1, 2):
            what = settings({PERIOD: f"{number}00"}, f"1.{number}.0")
            package = offered(running, tmp_path, what, counter=number)
            node = f"./SCOMO/Download/p{number}"
            await desk.name(url_of(running, package), node)
            assert await desk.do(f"{node}/Operations/Download") == "1200"
        install = "Operations/InstallInactive"
        assert await desk.do(f"{DELIVERED}/p2/{install}") == "1200"
        assert await desk.do(f"{DELIVERED}/p1/{install}") == "1405 firmware.fit.counter"
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Remove") == "1200"
        assert await desk.do(f"{DELIVERED}/p1/{install}") == "1405 firmware.fit.counter"
        assert await desk.do(f"{DELIVERED}/p2/{install}") == "1200"
        assert desk.text(f"{DEPLOYED}/fast/Version") == "1.2.0"


async def test_a_component_under_another_name_is_not_taken(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does the DCU rely on the head-end to have looked."""
    monkeypatch.setattr(intake, "_component_findings", lambda *_: iter(()))
    image = settings({PERIOD: "300"}).build()
    kind = ReleaseKind.DCU_COMPONENT
    async with device.running() as live:
        desk = Desk(live, planner)
        for name, version in (("slow", "1.0.0"), ("fast", "1.1.0")):
            package = offer(running, tmp_path, image, version, name=name, kind=kind)
            await desk.name(url_of(running, package))
            node = f"{DOWNLOAD}/Operations/DownloadInstall"
            assert await desk.do(node) == "1407 firmware.package.manifest"
        assert live.dcu.tree.names(DEPLOYED) == ()


def other_version(running: Running, package: PackageId, version: str) -> str:
    return url_of(running, package).replace(str(package.version), version)


STRANGER = (
    make_root("Stranger", make_key(), serial=7, validity=Validity(1.0e9, 4.0e9))
    .certificate_pem()
    .decode()
)

APP = b"""
import json, os, pathlib, socket, time
import tools
def tried(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__
def read(path):
    return tried(lambda: len(path.read_bytes()))
here = pathlib.Path.cwd()
state = here.parents[2]
told = {
    "pid": os.getpid(),
    "library": tools.NAME,
    "kek": read(state / "kek"),
    "tree": read(state / "tree.sqlite"),
    "relay": tried(lambda: socket.socket(socket.AF_UNIX)),
    "kernel": tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "ip": [tried(socket.socket(family).family.__int__) for family in (2, 10)],
}
(here / "told.part").write_text(json.dumps(told))
(here / "told.part").rename(here / "told.json")
time.sleep(600)
"""


async def test_an_application_runs_with_its_libraries_and_without_our_keys(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Component(ComponentKind.LIBRARY, "tools", Version(1, 0, 0))
    app = Component(ComponentKind.APPLICATION, "monitor", Version(1, 0, 0), main="monitor.run")
    code = {"monitor/__init__.py": b"", "monitor/run.py": APP}
    lib = offered(running, tmp_path, library, {"tools.py": b"NAME = 'tools 1'"})
    package = offered(running, tmp_path, app, code)
    told_file = device.made.state / "packages" / "data" / "monitor" / "told.json"
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, package))
        # Without its library it does not live, however long it takes to find out.
        with monkeypatch.context() as patch:
            patch.setattr(programs, "BEGUN_S", 30.0)
            ended = await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall")
        assert ended == "1409 scomo.program"
        assert desk.text(f"{DEPLOYED}/monitor/State") == "10"
        await desk.name(url_of(running, lib), "./SCOMO/Download/p2")
        node = "./SCOMO/Download/p2/Operations/DownloadInstall"
        assert await desk.do(node) == "1200"
        assert await desk.do(f"{DEPLOYED}/monitor/Operations/Activate") == "1200"
        await live.until(told_file.exists)
        said = json.loads(told_file.read_text())
        pid = said.pop("pid")
        assert said == {
            "library": "tools 1",
            "kek": "PermissionError",
            "tree": "PermissionError",
            "relay": "PermissionError",
            "kernel": "PermissionError",
            "ip": ["2", "10"],
        }
        told_file.unlink()
        os.kill(pid, signal.SIGKILL)
        await live.until(told_file.exists)  # it is begun again
        assert json.loads(told_file.read_text())["pid"] != pid
        told_file.unlink()
    async with device.running() as live:  # it is begun with the DCU
        await live.until(told_file.exists)
        told_file.unlink()
        image = next((device.made.state / "packages" / "components").iterdir())
        desk = Desk(live, planner)
        assert await desk.do(f"{DEPLOYED}/monitor/Operations/Deactivate") == "1200"
        for image in (device.made.state / "packages" / "components").iterdir():
            image.write_bytes(image.read_bytes() + b"x")
        node = f"{DEPLOYED}/monitor/Operations/Activate"
        assert await desk.do(node) == "1409 firmware.package.image"
        assert not told_file.exists()


async def test_when_a_newer_application_dies_the_one_before_runs_again(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lives = b"import pathlib, time\npathlib.Path('alive').write_text('1')\ntime.sleep(600)\n"
    told_file = device.made.state / "packages" / "data" / "monitor" / "alive"
    async with device.running() as live:
        desk = Desk(live, planner)
        for counter, code, ended in ((1, lives, "1200"), (2, b"1 / 0\n", "1409 scomo.program")):
            version = Version(counter, 0, 0)
            app = Component(ComponentKind.APPLICATION, "monitor", version, main="monitor.run")
            files = {"monitor/__init__.py": b"", "monitor/run.py": code}
            await desk.name(
                url_of(running, offered(running, tmp_path, app, files, counter=counter))
            )
            assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == ended
            await live.until(told_file.exists)
            told_file.unlink()
            # A loaded machine is slow to find out that the next one dies.
            monkeypatch.setattr(programs, "BEGUN_S", 3.0)
        assert desk.words.endswith("; 1.0.0 is on again")
        assert desk.text(f"{DEPLOYED}/monitor/Version") == "1.0.0"
        assert desk.text(f"{DEPLOYED}/monitor/State") == "20"
        assert await desk.do(f"{DOWNLOAD}/Operations/Download") == "1200"
        for image in (device.made.state / "packages" / "components").iterdir():
            image.write_bytes(image.read_bytes() + b"x")
        ended = await desk.do(f"{DELIVERED}/p1/Operations/Install")
        assert ended == "1409 firmware.package.image"
        assert "; 1.0.0 is off: firmware.package.image" in desk.words
        assert desk.text(f"{DEPLOYED}/monitor/State") == "10"


@pytest.mark.parametrize(
    "lack",
    [
        "_CREATE_RULESET = 999",
        "_LEAST_VERSION = 99",
        "_MACHINES = {}",
        "_python = lambda: [confined.Path('/')]",
        "_AF_INET = 1",  # a filter with another kernel's numbers
    ],
)
async def test_where_nothing_confines_it_no_application_runs(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lack: str,
) -> None:
    """No Landlock, one that is too old, a machine with other calls, keys below Python."""
    code = (
        "import sys; from openami.dcu.updates import confined; "
        f"confined.{lack}; confined.main(sys.argv[1:])"
    )
    monkeypatch.setattr(programs, "_COMMAND", (sys.executable, "-P", "-c", code))
    monkeypatch.setattr(programs, "BEGUN_S", 30.0)
    app = Component(ComponentKind.APPLICATION, "monitor", Version(1, 0, 0), main="monitor")
    files = {"monitor.py": b"open('here', 'w').close()"}
    package = offered(running, tmp_path, app, files)
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, package))
        node = f"{DOWNLOAD}/Operations/DownloadInstall"
        assert await desk.do(node) == "1409 scomo.environment"
        assert desk.text(f"{DEPLOYED}/monitor/State") == "10"
    assert not (device.made.state / "packages" / "data" / "monitor" / "here").exists()


async def test_authorities_go_only_if_the_device_is_not_cut_off(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    real = running.home.authority.read_text()
    what = Component(ComponentKind.CERTIFICATES, "anchors", Version(1, 0, 0), anchors=real)
    package = offered(running, tmp_path, what)
    leaf = device.made.identity.folder / "certificate.pem"
    none = Component(
        ComponentKind.CERTIFICATES, "leaf", Version(1, 0, 0), anchors=leaf.read_text().strip()
    )
    other = offered(running, tmp_path, none)
    activate, deactivate = (
        f"{DEPLOYED}/anchors/Operations/{name}" for name in ("Activate", "Deactivate")
    )
    trusted = device.made.identity.folder / "anchors.pem"
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, package))
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
        assert trusted.read_text().split() == real.split()
        assert await desk.do(deactivate) == "1200"
        assert trusted.read_text() == ""
        assert await desk.do(activate) == "1200"
        # The utility's servers are certified by another than the factory knew.
        (device.made.identity.folder / "authority.pem").write_text(STRANGER)
        assert await desk.do(deactivate) == "1410 scomo.session"
        assert trusted.read_text().split() == real.split()
        assert desk.text(f"{DEPLOYED}/anchors/State") == "20"
        # A newer version takes the place of the one that the device lives on.
        newer = Component(
            ComponentKind.CERTIFICATES, "anchors", Version(1, 1, 0), anchors=f"{STRANGER}{real}"
        )
        await desk.name(url_of(running, offered(running, tmp_path, newer)))
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
        assert trusted.read_text().split() == f"{STRANGER}{real}".split()
        real = f"{STRANGER}{real}"
        assert desk.text(f"{DEPLOYED}/anchors/Version") == "1.1.0"
        away = Component(
            ComponentKind.CERTIFICATES, "anchors", Version(1, 2, 0), anchors=STRANGER.strip()
        )
        await desk.name(url_of(running, offered(running, tmp_path, away)))
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1405 scomo.session"
        assert desk.text(f"{DEPLOYED}/anchors/Version") == "1.1.0"
        await desk.name(url_of(running, other), "./SCOMO/Download/p2")
        node = "./SCOMO/Download/p2/Operations/DownloadInstall"
        assert await desk.do(node) == "1409 module.anchors"
        assert trusted.read_text().split() == real.split()


async def test_authorities_that_are_damaged_hold_up_no_others(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    """The DCU lives on, and what comes again mends them."""
    images = device.made.state / "packages" / "components"
    trusted = device.made.identity.folder / "anchors.pem"
    async with device.running() as live:
        desk = Desk(live, planner)
        for name in ("more", "others"):
            what = Component(
                ComponentKind.CERTIFICATES, name, Version(1, 0, 0), anchors=STRANGER.strip()
            )
            await desk.name(url_of(running, offered(running, tmp_path, what)))
            assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
        (image,) = [
            file for file in images.iterdir() if Component.decode(file.read_bytes()) == what
        ]
        image.write_bytes(b"damaged")
        assert await desk.do(f"{DEPLOYED}/more/Operations/Deactivate") == "1200"
        assert trusted.read_text() == ""
        assert await desk.do(f"{DEPLOYED}/others/Operations/Activate") == (
            "1409 firmware.package.image"
        )
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
        assert trusted.read_text().split() == STRANGER.split()


async def test_what_is_not_to_be_is_refused(
    running: Running, planner: ListPlanner, device: Device, tmp_path: Path
) -> None:
    firmware = offer(running, tmp_path, b"no component")
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, firmware))
        assert await desk.do(f"{DOWNLOAD}/Operations/Download") == "1413 firmware.fit.kind"
        assert desk.text(f"{DOWNLOAD}/Status") == "20"
        await desk.name(url_of(running, firmware).replace("1.0.0", "7.0.0"))
        assert await desk.do(f"{DOWNLOAD}/Operations/Download") == "1402 dcu.package"
        assert await desk.do(f"{DOWNLOAD}/PkgURL") == "405"
        orders = [
            add(f"{DELIVERED}/x/Data", "AAAA"),
            Order("delete", Delete(0, (Item(Location(DOWNLOAD)),))),
        ]
        assert await obey(live, planner, orders) == [406, 200]
        assert live.dcu.tree.names("./SCOMO/Download") == ()


@pytest.mark.parametrize("after", [False, True])
async def test_whenever_it_is_cut_it_ends_the_same(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    monkeypatch.setattr(dcu_files, "DeviceMemory", Cutting)
    Cutting.which = "scomo"
    package = offered(running, tmp_path, settings({PERIOD: "300"}))
    async with device.running() as live:
        await Desk(live, planner).name(url_of(running, package))
    cuts, cut = 0, True
    while cut:
        job = f"on-{cuts}"
        uri = f"{DOWNLOAD}/Operations/DownloadInstall"
        cut = await see(device, planner, uri, job, (cuts + 1, after))
        ((_, _, result, _),) = told(planner.alerts, job)
        assert result == "1200", cuts
        job = f"off-{cuts}"
        uri = f"{DEPLOYED}/fast/Operations/Remove"
        await see(device, planner, uri, job, (cuts + 1, after))
        ((_, _, result, _),) = told(planner.alerts, job)
        assert result == "1200", cuts
        cuts += 1
    assert cuts >= 7


async def see(
    device: Device, planner: ListPlanner, uri: str, job: str, cut: tuple[int, bool]
) -> bool:
    """Have an operation end whatever happens; tell whether it was cut."""
    Cutting.left, Cutting.after = cut
    planner.results.clear()
    seen = ""
    while not told(planner.alerts, job):
        accepted = any(one.status == 202 for _, one in planner.results)
        planner.orders["D1"] = [] if accepted else [execute(uri, job)]
        with suppress(CutError, AssertionError):
            async with device.running() as live:
                live.dcu.manager.nudge()
                await live.until(lambda: told(planner.alerts, job) != [])
                seen = live.dcu.tree.text(PERIOD)
    planner.orders["D1"] = []
    assert seen == ("300" if "on" in job else "900")
    return Cutting.left <= 0


@pytest.mark.parametrize(
    ("node", "operation", "step"),
    [
        (f"{DEPLOYED}/fast", "Deactivate", "rinse"),
        (f"{DEPLOYED}/fast", "Polish", "fetch"),
        ("./SCOMO/Elsewhere/x", "Download", "fetch"),
    ],
)
async def test_what_only_a_newer_version_knows_is_over_with_the_one_before(
    running: Running,
    planner: ListPlanner,
    device: Device,
    tmp_path: Path,
    node: str,
    operation: str,
    step: str,
) -> None:
    package = offered(running, tmp_path, settings({PERIOD: "300"}))
    async with device.running() as live:
        desk = Desk(live, planner)
        await desk.name(url_of(running, package))
        assert await desk.do(f"{DOWNLOAD}/Operations/DownloadInstall") == "1200"
    with closing(DeviceMemory(device.made.state / "management.sqlite")) as memory:
        page = Page.decode(memory.fact("scomo") or "")
        order = UnderWay(node, operation, "newer", step)
        memory.put_fact("scomo", replace(page, order=order).encode())
    async with device.running() as live:
        await live.until(lambda: told(planner.alerts, "newer") != [])
        ((_, _, result, words),) = told(planner.alerts, "newer")
        assert (result, words.split()[0]) == ("1411", "dcu.step")
        desk = Desk(live, planner)
        assert (desk.text(f"{DEPLOYED}/fast/State"), desk.text(PERIOD)) == ("20", "300")
        assert await desk.do(f"{DEPLOYED}/fast/Operations/Deactivate") == "1200"
