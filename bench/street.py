"""Whole reads of meters from one street, our client against gurux-dlms as client.

A read is: SNRM, an HLS-5 GMAC association in a ciphered context, a day of load profile by range
decoded to columns, one register, release, DISC. The street is a process of its own on loopback
TCP, without a modelled line; both clients find it the same and propose the same limits.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvloop

from bench.street_meters import POWER_W, START
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.columns import decode_profile
from openami.dlms.datetime import CosemDateTime
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters
from openami.dlms.references import AttributeRef, RangeSelection
from openami.dlms.security import Keys
from openami.transport.session import DlmsSession
from openami.transport.tcp import open_tcp

if TYPE_CHECKING:
    from openami.transport.channel import Channel

METERS = 50
INTERVALS = 96
PROFILE, REGISTER = "1.0.99.1.0.255", "1.0.1.8.0.255"
FIRST, LAST = START + 4 * 3600 + 900, START + 28 * 3600  # the ends of a day's intervals
INFO, PDU = 1024, 8192  # what a DCU proposes by default
TITLE, PEER_TITLE = SystemTitle.of("OAM", 0xFFFFFFFFFD), SystemTitle.of("GRX", 1)
OURS_S, PEER_S = 5.0, 12.0
ROUNDS = 2
# Invocation counters only rise, and both clients use the same meters' keys.
COUNTERS = 100_000_000

BUFFER = AttributeRef(7, Obis.parse(PROFILE), 2)
ENERGY = AttributeRef(3, Obis.parse(REGISTER), 2)
DAY = RangeSelection.of_times(CosemDateTime.from_utc(FIRST, 0), CosemDateTime.from_utc(LAST, 0))
LIMITS = HdlcParameters(max_info_tx=INFO, max_info_rx=INFO)


@dataclass
class Figures:
    """What one client did."""

    reads: int = 0
    took: float = 0.0
    worked: float = 0.0
    served: float = 0.0

    def add(self, reads: int, took: float, worked: float, served: float) -> None:
        self.reads += reads
        self.took += took
        self.worked += worked
        self.served += served

    def __str__(self) -> str:
        return (
            f"{self.reads / self.took:8.1f} reads/s   {1e3 * self.worked / self.reads:7.2f} ms of "
            f"processor in the client, {1e3 * self.served / self.reads:.2f} in the street, a read"
        )


class Street:
    """The street's process; as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.street_meters", str(METERS)],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        facts = json.loads(self._line())
        self.port: int = facts["port"]
        self.meters: list[dict[str, Any]] = facts["meters"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def worked(self) -> float:
        """Return the processor time that it has used."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


async def read(channel: Channel, meter: dict[str, Any], counter: int) -> tuple[int, int, int]:
    """Associate, read, release; return rows, the sum of their energy, and the register."""
    config = ClientConfig(
        mechanism=Mechanism.HLS_GMAC,
        keys=Keys(guek=bytes.fromhex(meter["guek"]), gak=bytes.fromhex(meter["gak"])),
        title=TITLE,
        security=SecurityLevel.BOTH,
        invocation_counter=counter,
        max_pdu=PDU,
    )
    link = HdlcClientLink(1, HdlcAddress(1, meter["address"], 4), LIMITS)
    async with DlmsSession(channel, link, config) as session:
        found = decode_profile(await session.get_raw(BUFFER, DAY))
        energy = (await session.get(ENERGY)).integer()
    return found.rows, int(found.columns[2].sum()), energy


async def ours(street: Street, counter: int) -> tuple[int, float, float, float]:
    """Read one meter after another for a while; return reads, time, our processor, the street's."""
    channel = await open_tcp("127.0.0.1", street.port)
    check(await read(channel, street.meters[0], counter))
    served = street.worked()
    began, worked, reads = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < OURS_S:
        counter += 1000
        check(await read(channel, street.meters[reads % METERS], counter))
        reads += 1
    took, worked = time.perf_counter() - began, time.process_time() - worked
    channel.close()
    return reads, took, worked, street.worked() - served


def peer(street: Street, counter: int) -> tuple[int, float, float, float]:
    """Let gurux-dlms do the same; the street's processor time includes one read more."""
    plan = {
        "port": street.port,
        "meters": street.meters,
        "title": PEER_TITLE.raw.hex(),
        "profile": PROFILE,
        "register": REGISTER,
        "range": [FIRST, LAST],
        "info": INFO,
        "pdu": PDU,
        "counter": counter,
        "seconds": PEER_S,
    }
    served = street.worked()
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("street_peer.py")],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    check(tuple(found["first"]))
    return found["reads"], found["took"], found["worked"], street.worked() - served


def check(found: tuple[int, int, int]) -> None:
    """Both must have read the same, and what is right."""
    rows, day, energy = found
    assert (rows, day, energy) == (INTERVALS, POWER_W * 24, POWER_W * 30), found


def main() -> None:
    our, their = Figures(), Figures()
    with Street() as street, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for turn in range(ROUNDS):
            our.add(*runner.run(ours(street, 2 * turn * COUNTERS + 1)))
            their.add(*peer(street, (2 * turn + 1) * COUNTERS))
    print(
        f"{METERS} meters on one line, {INTERVALS} rows of 4 channels, clock and status, ciphered"
    )
    print(f"  openami     {our}")
    print(f"  gurux-dlms  {their}")
    ratio = our.reads / our.took / (their.reads / their.took)
    cost = their.worked / their.reads / (our.worked / our.reads)
    print(
        f"  ratio       {ratio:8.1f} in reads a second, {cost:.1f} in the client's processor time"
    )


if __name__ == "__main__":
    main()
