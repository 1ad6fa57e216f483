"""A DCU that exchanges its own software: real processes, from the head-end's order to its alert."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.dcu_releases import HARDWARE, MODEL
from tests.support.dcu_updates import offer_firmware, ordered, put, told, url_of
from tests.support.headend import settings_in
from tests.support.management import ListPlanner, planning

import openami
from openami.dcu.repository import ROOT_FILE
from openami.dcu.slots.package import files_of
from openami.dcu.slots.store import RESERVE, TwoSlots
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.headend.server import headend
from openami.omadm.messages.model import Get, Item, Location
from openami.omadm.session.events import Order
from openami.store.folder import Folder
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from openami.headend.server import Running

pytestmark = pytest.mark.chain

UID: Final = "DCU-1"
MAKER: Final = "OpenAMI"
TRIAL_S: Final = "60"
UPDATE: Final = "DownloadAndUpdate"
BROKEN: Final = b"async def run_managed(*_, **__):\n    raise RuntimeError('a bug')\n"


def make_identity(running: Running, folder: Path) -> Path:
    """Make a device in a factory, and let the head-end expect it."""
    now = SystemClock().now()
    anchor = make_maker(folder / "factory", MAKER, now=now)
    kind = DeviceType(running.security_url, running.home.authority.read_bytes(), MODEL, HARDWARE)
    made = make_device(folder / "factory", UID, kind, folder / "identity", now=now)
    running.services.pki.add_anchor(MAKER, anchor.read_bytes(), who="test")
    line = f"uid,manufacturer,model,fingerprint\n{UID},{MAKER},{MODEL},{made.fingerprint}\n"
    running.services.registrations.import_expected(line, who="test")
    root = running.services.firmware.publisher.document(ROOT_FILE)
    (made.folder / ROOT_FILE).write_bytes(root)
    return made.folder


@asynccontextmanager
async def launched(folder: Path, identity: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "dcu.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openami", "dcu", "boot", "--slots", str(folder / "slots"),
            "--trial", TRIAL_S, "--factory", str(identity), "--state", str(folder / "dcu"),
            "--modem", "hdlc+tcp://127.0.0.1:1", "--set", "stop_s=2",
            stdout=log, stderr=log, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def until(folder: Path, reached: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(120):
            while not reached():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError((folder / "dcu.log").read_text()) from None


@pytest.mark.fums("DES-5", "UC7-before")
@pytest.mark.timeout(300)
async def test_a_dcu_takes_what_is_good_and_goes_back_from_what_is_not(tmp_path: Path) -> None:
    files = files_of(Path(openami.__file__).parent)
    planner = ListPlanner()
    async with headend(settings_in(tmp_path), clock=SystemClock()) as running:
        identity = make_identity(running, tmp_path)
        good = offer_firmware(running, tmp_path, "7.0.0", counter=7, files=files)
        broken = {**files, "dcu/managed.py": BROKEN}
        bad = offer_firmware(running, tmp_path, "8.0.0", counter=8, files=broken)
        with planning(running, planner):
            often = put("./AMI/Management/PollEvery", "10")
            ask = Order("version", Get(0, (Item(Location("./DevDetail/SwV")),)))
            planner.orders[UID] = [often, *ordered(url_of(running, good), UPDATE, "good")]
            async with launched(tmp_path, identity):
                await until(tmp_path, lambda: told(planner.alerts, "good") != [])
                assert told(planner.alerts, "good")[0][2] == "200"
                planner.orders[UID] = [ask, *ordered(url_of(running, bad), UPDATE, "bad")]
                await until(tmp_path, lambda: told(planner.alerts, "bad") != [])
                *_, result, words = told(planner.alerts, "bad")[0]
                assert (result, str(words).split()[0]) == ("410", "slots.crashed")
    assert "/8.0.0/delta/" in (tmp_path / "dcu.log").read_text()
    said = [done.items[0].data for _, done in planner.results if done.id == "version"]
    assert set(said) == {"7.0.0"}
    slots = TwoSlots(Folder(tmp_path / "slots", reserve=RESERVE))
    assert (slots.running.version, slots.running.counter) == ("7.0.0", 7)
