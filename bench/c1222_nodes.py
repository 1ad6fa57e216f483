"""Nodes of C12.22 at one metering server: registrations a second, and memory of 10,000 of them.

Each node has a title and a key of its own, in the registry, the vault and the table of nodes, as a
shipment brings them. It registers with one message in mode 2 from an address of its own; the server
checks the tag, looks into registry and vault, commits the registration, and answers. Two figures:
``host`` is the station in memory alone; ``kept`` is the head-end's, which commits each registration
to SQLite before it is answered, many in one transaction. What nodes send is made before the clock
runs. Memory is what the process has more of after 10,000 nodes are registered and due to be read;
a process is made for it that has nothing else to do.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from openami.c1222.client import Client, ClientConfig
from openami.c1222.codes import Connection, NodeType, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network.host import Host, HostConfig
from openami.c1222.network.registrations import Registrations
from openami.c1222.security import Keys
from openami.c1222.services import Register
from openami.c1222.station import Peer
from openami.c1222.titles import ApTitle
from openami.core.identifiers import SystemTitle
from openami.fleet.shipment import ShippedC1222, ShippedMeter
from openami.headend.bus import LocalBus
from openami.headend.c1222.directory import Directory
from openami.headend.c1222.front import Front
from openami.headend.c1222.rounds import Pace, Rounds
from openami.headend.metrics import Metrics
from openami.headend.security.alarms import Alarms
from openami.headend.shipments import Shipments
from openami.store.relational import RelationalStore
from openami.store.vault import FileVault
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES = 10_000
TIMED = 1_000
GOAL_MIB = 200
SERVER = ApTitle.parse(".123.4")
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
FIRST = int(IPv4Address("10.0.0.1"))


@dataclass(frozen=True, slots=True)
class Server:
    """The parts of a head-end that nodes meet."""

    directory: Directory
    store: RelationalStore
    vault: FileVault

    def again(self) -> Directory:
        """Return a directory that has nothing in memory."""
        stores, wall = self.store, SystemClock()
        return Directory(stores.nodes, stores.devices, self.vault, period=86_400, wall=wall)

    def host(self, directory: Directory | None = None) -> Host:
        """Return a host at which nobody is registered."""
        known = directory or self.directory
        return Host(
            HostConfig(SERVER),
            Registrations(known),
            known.partner_of,
            chance=lambda: int.from_bytes(os.urandom(4)),
        )


def key_of(number: int) -> bytes:
    """Return a node's key."""
    return number.to_bytes(16)


def title_of(number: int) -> str:
    """Return a node's title."""
    return f".123.1.{number}"


def shipped(number: int) -> ShippedMeter:
    """Return a meter of a shipment."""
    keys = {"guek": key_of(number), "gak": key_of(number)}
    node = ShippedC1222(title_of(number), {2: key_of(number)}, 2, "password")
    return ShippedMeter(
        f"N{number:06}",
        SystemTitle.of("OAM", number),
        f"N{number}",
        "OA1",
        "1",
        1,
        None,
        keys,
        node,
    )


def server(stack: ExitStack, folder: Path, nodes: int) -> Server:
    """Return a server that knows ``nodes`` nodes."""
    store = stack.enter_context(closing(RelationalStore.open(folder / "database")))
    vault = stack.enter_context(closing(FileVault(folder / "vault", kek=folder / "kek")))
    wall = SystemClock()
    directory = Directory(store.nodes, store.devices, vault, period=86_400, wall=wall)
    shipments = Shipments(store.devices, vault, store.audit, directory, clock=wall, wall=wall)
    for number in range(1, nodes + 1):
        shipments._take(shipped(number), "bench")  # noqa: SLF001 - one file would be read whole
    return Server(directory, store, vault)


def messages(first: int, last: int) -> Iterator[tuple[Peer, bytes]]:
    """Yield what nodes send to register, and where from."""
    serial = ApTitle.parse("2.16.124.113620.1.22.0.9")
    for number in range(first, last):
        title, keys = ApTitle.parse(title_of(number)), Keys({2: key_of(number)})
        config = ClientConfig(title, SERVER, keys, 2, SecurityMode.ENCRYPTED)
        client = Client(config, first_id=number)
        kind, takes = NodeType.END_DEVICE, Connection.ACCEPTS_CONNECTIONLESS
        client.ask(Register(kind, takes, b"OAMI", title, serial, b"", 86_400), now=time.time())
        (message,) = client.data_to_send()
        place = NativeAddress(IPv4Address(FIRST + number), 1153, Transport.UDP)
        yield Peer(place), message


def register_in_memory(made: Server, host: Host, sent: list[tuple[Peer, bytes]]) -> float:
    """Return the seconds of a core that a host takes for registrations."""
    for peer, _ in sent:  # keys are read once in a process's life
        made.directory.partner_of(ApTitle.parse(title_of(int(peer.host) - FIRST)))
    began = time.process_time()
    for peer, message in sent:
        assert host.receive(message, source=peer, now=time.time())
    return time.process_time() - began


async def register_for_good(made: Server, host: Host, sent: list[tuple[Peer, bytes]]) -> float:
    """Return the seconds until all registrations are kept and answered."""
    bus, wall = LocalBus(), SystemClock()
    alarms = Alarms(made.store.alarms, bus=bus, wall=wall)
    front = Front(
        host, made.directory, made.store.nodes, alarms=alarms, metrics=Metrics(), wall=wall
    )
    answered, done = 0, asyncio.Event()

    def wake() -> None:
        nonlocal answered
        answered += len(front.outgoing())
        if answered >= len(sent):
            done.set()

    front.wake = wake
    began = time.perf_counter()
    for place, (peer, message) in enumerate(sent):
        front.receive(message, source=peer, now=time.time())
        if not place % 50:
            await asyncio.sleep(0)
    await done.wait()
    took = time.perf_counter() - began
    await front.stop()
    return took


def resident() -> int:
    """Return the octets of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def weigh() -> None:
    """Print the octets that all nodes take, and those of the process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=MEMORY)))
        made = server(stack, folder, NODES)
        directory = made.again()  # as after a restart: nothing of it is in memory
        gc.collect()
        before = resident()
        directory.load()
        host, rounds = made.host(directory), Rounds(Pace(900.0, 10.0, 900.0))
        for first in range(1, NODES + 1, 500):
            for peer, message in messages(first, min(first + 500, NODES + 1)):
                assert host.receive(message, source=peer, now=time.time())
            while host.next_event() is not None:
                pass
        for node in directory:
            rounds.call(node.meter, rounds.pace.due(node.meter, time.time()))
        gc.collect()
        assert len(host.registrations) == NODES
        print(resident() - before, resident())


def main() -> None:
    """Run and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        made = server(stack, folder, TIMED)
        sent = list(messages(1, TIMED + 1))
        took = register_in_memory(made, made.host(), sent)
        print(f"host: {TIMED / took:>8,.0f} registrations a second and core, mode 2, in memory")
        sent = list(messages(1, TIMED + 1))
        took = asyncio.run(register_for_good(made, made.host(), sent))
        print(f"kept: {TIMED / took:>8,.0f} registrations a second, mode 2, committed to SQLite")
    command = [sys.executable, "-c", "from bench.c1222_nodes import weigh; weigh()"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    nodes, whole = (int(word) / 2**20 for word in said.split())
    verdict = "met" if whole < GOAL_MIB else "missed"
    print(
        f"memory: {nodes:.1f} MiB for {NODES:,} registered nodes, {nodes * 1024 / NODES:.2f} KiB each"
    )
    print(f"        {whole:.0f} MiB for the whole process; goal: under {GOAL_MIB} MiB, {verdict}")


if __name__ == "__main__":
    main()
