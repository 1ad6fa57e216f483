"""A meter whose process is killed again and again while it is upgraded ends on the right image."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import TYPE_CHECKING

import pytest
from tests.meter.test_upgrade_links import firmware, invoke, manager, status
from tests.support.upgrades import MAKER, blocks, image

from openami.core.errors import OpenAmiError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.cosem import ImageStatus
from openami.dlms.references import AttributeRef
from openami.dlms.results import ActionResult
from openami.meter.files import write_secret
from openami.meter.identity import generate_identity, save_identity, seeded
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from pathlib import Path

    from openami.meter.identity import MeterIdentity

GAP = AttributeRef(18, Obis.parse("0.0.44.0.0.255"), 4)


async def start(folder: Path) -> tuple[Process, int]:
    command = ("-m", "openami", "meter", "run", "--json", "--state", str(folder / "state"))
    options = ("--wrapper", "127.0.0.1:0", "--restart", "0.1", "--source", "constant:1000")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *options,
        "--maker-key",
        str(folder / "maker.pem"),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdout is not None
    said = json.loads(await process.stdout.readline())
    return process, int(said["wrapper"][0].rpartition(":")[2])


async def go_on(port: int, identity: MeterIdentity, new: bytes, counter: int) -> None:
    """Do what is still to be done, until the meter is gone or the image is in service."""
    url = MeterUrl.parse(f"dlms+tcp://127.0.0.1:{port}?client=1")
    async with open_session(url, manager(identity, counter)) as session:
        at = await status(session)
        if at in {ImageStatus.NOT_INITIATED, ImageStatus.ACTIVATION_FAILED}:
            size = d.structure(d.octets(b"new"), d.u32(len(new)))
            assert await invoke(session, 1, size) is ActionResult.SUCCESS
        if await status(session) is ImageStatus.INITIATED:
            gap = (await session.get(GAP)).integer()
            for number, block in blocks(new):
                if number >= gap:
                    await invoke(session, 2, block)
            await invoke(session, 3, d.i8(0))
        while await status(session) is ImageStatus.VERIFICATION_INITIATED:
            await asyncio.sleep(0.05)
        if await status(session) is ImageStatus.VERIFICATION_SUCCESSFUL:
            await invoke(session, 4, d.i8(0))
        while True:
            await status(session)
            await asyncio.sleep(0.05)


@pytest.mark.fums("UC1-end")
async def test_a_meter_that_is_killed_while_it_is_upgraded(tmp_path: Path) -> None:
    identity = generate_identity(3, seeded("killed"), address=17)
    save_identity(tmp_path / "state" / "meter.json", identity)
    write_secret(tmp_path / "maker.pem", MAKER.pem())
    chance, new = random.Random(5), image(trial_s=0, padding=20_000)
    for kill in range(6):
        process, port = await start(tmp_path)
        upgrade = asyncio.ensure_future(go_on(port, identity, new, 1 + 100_000 * kill))
        await asyncio.wait([upgrade], timeout=chance.uniform(0.05, 1.5))
        process.kill()
        await process.wait()
        await asyncio.wait([upgrade])
        assert isinstance(upgrade.exception(), OpenAmiError)  # it was cut, nothing else
    process, port = await start(tmp_path)
    shown = ""
    for counter in range(7_000_000, 9_000_000, 100_000):
        upgrade = asyncio.ensure_future(go_on(port, identity, new, counter))
        await asyncio.wait([upgrade], timeout=4.0)
        upgrade.cancel()
        await asyncio.wait([upgrade])
        shown = await firmware(f"dlms+tcp://127.0.0.1:{port}?client=2", identity)
        if shown == "openami-2.0.0":
            break
    assert shown == "openami-2.0.0"
    process.terminate()
    assert await process.wait() == 0
