"""A DCU that is killed again and again on its way from the factory to its configuration.

Real processes and sockets. Each life ends a moment after the DCU has told of its next step.
``OPENAMI_CHAIN_SEED`` repeats the moments of a failed run.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.chain_bench import WANTED, Crew

from openami.cli.api import connected, get_json
from openami.cli.demo import arrival
from openami.cli.demo.chain import Chain, Plan
from openami.cli.demo.processes import START_S
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.omadm.tree.uri import format_path
from openami.store.tree import SqliteTree
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.chain

UID: Final = "DCU-1"
MOMENT_S: Final = 0.1  # about what each step takes
STEPS: Final = (
    "event=registers",
    "registration approved",
    "accounts received",
    "event=registered",
    "certificate in use",
    "account taken",
    "can be woken",
    "event=configured",
    "event=session",
    "event=collects",
)


@pytest.mark.timeout(240)
async def test_it_ends_registered_once_and_configured(tmp_path: Path) -> None:
    seed = int(os.environ.get("OPENAMI_CHAIN_SEED", str(secrets.randbits(32))))
    chance = random.Random(seed)
    print(f"OPENAMI_CHAIN_SEED={seed}")
    async with Crew(tmp_path / "logs") as crew:
        chain = Chain(Plan(1, 0, "", 0.0, 1.0, 0), tmp_path, crew, print)
        await start_headend(chain, tmp_path)
        for number in range(len(STEPS)):
            await start_dcu(crew, tmp_path)
            await says_one_of(crew, STEPS[number:])
            await asyncio.sleep(chance.uniform(0, MOMENT_S))
            await crew.kill("dcu")
        await start_dcu(crew, tmp_path)
        await arrival.arrived(chain, [UID])
        assert chain.target is not None
        async with connected(chain.target) as client:
            devices = await get_json(client, "/devices", kind="dcu")
            good = await get_json(
                client, "/pki/certificates", kind="device", subject=UID, revoked=False
            )
            alarms = await get_json(client, "/alarms")
            told = await get_json(client, f"/dm/devices/{UID}/tree")
        await crew.stop("dcu")
    assert [device["serial"] for device in devices["items"]] == [UID]
    assert len(good["items"]) == 1
    assert alarms["items"] == []
    ours = values_of(tmp_path / "dcu" / "tree.sqlite")
    known = known_values(told)
    assert known.keys() > WANTED.keys()
    assert {uri: ours.get(uri) for uri in known} == known


async def start_headend(chain: Chain, folder: Path) -> None:
    """Start a head-end that trusts the DCU's maker, expects it and wants it configured."""
    here = "127.0.0.1:0"
    await chain.processes.start(
        "headend", "headend", "run", "--json", "--state", str(folder / "headend"),
        "--listen", here, "--device-listen", here, "--security-listen", here,
    )  # fmt: skip
    chain.headend = await chain.processes.ready("headend")
    chain.target = await chain._login()
    factory, now = folder / "factory", SystemClock().now()
    make_maker(factory, arrival.MAKER, now=now)
    kind = DeviceType(chain.headend["security"], (folder / "headend" / "ca.pem").read_bytes())
    made = make_device(factory, UID, kind, folder / "identity", now=now)
    anchor = (factory / "anchor.pem").read_text("utf-8")
    await arrival.expect(chain, anchor, [made], {UID: "North"})
    await arrival.want(chain, WANTED, {"North": "16-20"})


async def start_dcu(crew: Crew, folder: Path) -> None:
    """Start a DCU whose modem is nowhere: nothing here is about meters."""
    await crew.start(
        "dcu", "dcu", "run", "--factory", str(folder / "identity"), "--state", str(folder / "dcu"),
        "--modem", "hdlc+tcp://127.0.0.1:1", "--wake", "127.0.0.1:0",
    )  # fmt: skip


async def says_one_of(crew: Crew, steps: Sequence[str]) -> None:
    """Return once the DCU is at one of these steps: some are done once in its life."""
    async with asyncio.timeout(START_S):
        while not any(step in crew.said("dcu") for step in steps):
            crew.check()
            await asyncio.sleep(0.005)


def values_of(file: Path) -> dict[str, str]:
    """Return the leaves of a DCU's own tree, as they are on its disk."""
    tree = SqliteTree(file)
    found = {node.path: node.value.decode() for node in tree.load() if node.format != "node"}
    tree.close()
    return found


def known_values(told: dict[str, Any]) -> dict[str, str]:
    """Return the leaves below AMI as the head-end knows them."""
    place = format_path(("AMI",)) + "/"
    return {
        node["uri"]: node["value"]
        for node in told["nodes"]
        if node["uri"].startswith(place) and node["value"] is not None
    }
