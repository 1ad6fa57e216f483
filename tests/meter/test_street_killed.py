"""A street that is killed forgets no more than it says, and invents nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Final

from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig
from openami.dlms.references import AttributeRef
from openami.meter.identity import load_shipment
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

CHILD: Final = Path(__file__).with_name("street_child.py")
FACTOR: Final = 36_000.0  # ten hours a second
ENERGY: Final = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
PROFILE: Final = AttributeRef(7, Obis.parse("1.0.99.1.0.255"), 2)
FORGOTTEN: Final = 1000.0
"""Wh of 1 kW in the hour that passes on this clock between two rounds of the street."""


async def start(folder: Path, origin: float) -> tuple[Process, int, list[int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        str(folder),
        str(FACTOR),
        str(origin),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdout is not None
    port, *stations = json.loads(await process.stdout.readline())
    return process, port, stations


async def read(port: int, station: int, password: bytes) -> tuple[int, int, int]:
    """Return the register, the sum of the load profile, and its rows."""
    url = MeterUrl.parse(f"dlms+tcp://127.0.0.1:{port}?server={station}&client=2")
    config = ClientConfig(Mechanism.LLS, secret=password)
    async with open_session(url, config) as session:
        rows = (await session.get(PROFILE)).native()
        energy = (await session.get(ENERGY)).native()
    return energy, sum(row[2] for row in rows), len(rows)


async def test_killed_and_stopped(tmp_path: Path) -> None:
    origin = time.time()
    before = [(0, 0, 0), (0, 0, 0)]
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
        process, port, stations = await start(tmp_path, origin)
        passwords = [who.keys.lls for who in load_shipment(tmp_path / "shipment.json")]
        after = [await read(port, *each) for each in zip(stations, passwords, strict=True)]
        possible = 1000 * (time.time() - origin) * FACTOR / 3600
        for (energy, captured, rows), (energy_before, _, rows_before) in zip(
            after, before, strict=True
        ):
            assert energy_before - FORGOTTEN <= energy <= possible
            assert rows >= rows_before
            assert captured <= energy
        before = [await read(port, *each) for each in zip(stations, passwords, strict=True)]
        process.send_signal(number)
        assert await process.wait() == (0 if number is signal.SIGTERM else -number)
