"""A DCU that is killed again and again on its way from the factory to its configuration.

Real processes and sockets. Each life ends where the DCU says that it is at its next step: at that
moment, or at the first commit or message after it. In the end the head-end knows of it what it is,
node for node.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.chain_bench import WANTED, Crew

from openami import __version__
from openami.cli.api import connected, get_json
from openami.cli.demo import arrival
from openami.cli.demo.chain import Chain, Plan
from openami.cli.demo.processes import START_S
from openami.dcu.device import facts_of, open_tree
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.omadm.tree.uri import format_path
from openami.ssmp.messages import DeviceInfo
from openami.store.sealed_tree import SECRETS
from openami.store.tree import SqliteTree
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.chain

UID: Final = "DCU-1"
OBJECTS: Final = {"AMI", "SCHED", "DevInfo", "DevDetail", "DMAcc", "FUMO", "SCOMO"}
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
    async with Crew(tmp_path / "logs") as crew:
        chain = Chain(Plan(1, 0, "", 0.0, 0.0, 1.0, 0), tmp_path, crew, print)
        await start_headend(chain, tmp_path)
        for number, step in enumerate(STEPS):
            await die(tmp_path, step, after=number % 2)
        assert (tmp_path / "deaths").read_text().splitlines() == list(STEPS)
        await crew.start("dcu", *dcu(tmp_path))
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
    known, ours = known_nodes(told), own_nodes(tmp_path / "dcu" / "tree.sqlite")
    assert known.keys() > WANTED.keys()
    assert {uri.split("/")[1] for uri in known} == OBJECTS
    assert known == ours


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


def dcu(folder: Path) -> list[str]:
    """Return the command of a DCU whose modem is nowhere: nothing here is about meters."""
    return [
        "dcu", "run", "--factory", str(folder / "identity"), "--state", str(folder / "dcu"),
        "--modem", "hdlc+tcp://127.0.0.1:1", "--wake", "127.0.0.1:0",
    ]  # fmt: skip


async def die(folder: Path, step: str, *, after: int) -> None:
    """Let the DCU live until it is at a step, or at the first commit or message ``after`` it."""
    given = json.dumps({"step": step, "after": after, "deaths": str(folder / "deaths")})
    with (folder / "lives.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.dcu_step_child", given, *dcu(folder),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        async with asyncio.timeout(START_S):
            assert await process.wait() == -signal.SIGKILL, (folder / "lives.log").read_text()
    except TimeoutError:
        pytest.fail(f"the DCU was never at {step!r}:\n{(folder / 'lives.log').read_text()}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def own_nodes(file: Path) -> dict[str, tuple[str, str, str]]:
    """Return format, value and ACL of the nodes of a DCU's own tree, as they are on its disk.

    Of accounts without their values, as the head-end asks, and without what no server may read; of
    DevInfo the leaves, which are told in every session, but no folder below it.
    """
    info = DeviceInfo(arrival.MAKER, "OA-DCU", "1", __version__)
    with closing(SqliteTree(file)) as store:
        tree = open_tree(store, facts_of(UID, info), now=0.0)
        found = {format_path(path): node for path, node in tree.root.walk() if path[:1]}
        return {
            uri: (
                node.format.value,
                "" if node.interior or is_account(uri) else tree.text(uri),
                str(node.acl),
            )
            for uri, node in found.items()
            if uri.split("/")[1] in OBJECTS and not uri.endswith(SECRETS)
            if uri != "./DevInfo/Ext"
        }


def known_nodes(told: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Return format, value and ACL of the nodes as the head-end knows them."""
    return {
        node["uri"]: (node["format"], node["value"] or "", node["acl"]) for node in told["nodes"]
    }


def is_account(path: str) -> bool:
    """Tell whether a node belongs to an account."""
    return path.split("/")[1] == "DMAcc"
