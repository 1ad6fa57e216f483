"""Whole sessions of device management through HTTP, per second and core of the head-end.

The head-end is whole and real: mutual TLS, the stores on disk, nonces durable before every answer,
the log of sessions. The devices are in a process of their own, with a connection each that is kept,
and a tree each. A session is a provisioning: the notification wakes the device (package 0), which
opens with its DevInfo, proves itself by a MAC with SHA-256 and is proved to, gets ten commands, and
answers them; messages are WBXML. What is counted is the processor time of the head-end's process,
as if it had a core to itself.

Orders come from the planner with its stores, of jobs for the whole fleet, or from memory: what the
two differ by is what trees and tasks cost; the latter also without package 0, for devices that come
by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import ssl
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvloop
from sqlalchemy import String, literal, update
from tests.support.dm_wire import DEV_INFO
from tests.support.headend import settings_in
from tests.support.management import (
    SERVER_ID,
    ListPlanner,
    device_tree,
    give_account,
    planning,
)

from openami.fleet.devices import DeviceKind
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Command, TaskKind, TaskState
from openami.headend.management.tasks import Whom
from openami.headend.server import Running, headend, spare_collector
from openami.omadm.messages.model import Get, Item, Location, Meta, Replace
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import NonceChanged, Order
from openami.omadm.tree.visit import Visit
from openami.store.relational.management_models import AccountRow
from openami.transport.web import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection

    from openami.headend.management.ports import Planner
    from openami.omadm.session.account import Account
    from openami.omadm.session.events import Outgoing, SessionEnded

DEVICES = 240
SESSIONS = 6  # of each device
WARM_UP = 1
NODES = tuple(
    f"./AMI/{name}"
    for name in (
        "Collection/Settle",
        "Collection/Spread",
        "Collection/Repeat",
        "Collection/History",
        "Upload/BatchAge",
        "Segment/ProbeRest",
        "Segment/BackoffFirst",
        "Link/ResponseTimeout",
        "Link/ProbeTimeout",
        "Time/Threshold",
    )
)


def orders() -> list[Order]:
    """Return ten commands: reads and changes."""
    return [Order(f"o{n}", _change(uri) if n % 2 else _read(uri)) for n, uri in enumerate(NODES)]


def _read(uri: str) -> Get:
    return Get(0, (Item(Location(uri)),))


def _change(uri: str) -> Replace:
    return Replace(0, (Item(Location(uri), meta=Meta(format="float"), data="25.5"),))


def commands(kind: TaskKind, turn: int) -> list[Command]:
    """Return ten commands of a job; what is set is other than before."""
    if kind is TaskKind.GET:
        return [Command(uri) for uri in NODES]
    return [Command(uri, "float", f"{20 + turn}.5") for uri in NODES]


# The devices' process.


@dataclass(frozen=True)
class Fleet:
    """What the devices' process has to know."""

    host: str
    port: int
    authority: str
    accounts: dict[str, Account] = field(repr=False)
    identities: dict[str, str] = field(repr=False)


class Device:
    """A device with one connection."""

    def __init__(self, uid: str, account: Account, fleet: Fleet) -> None:
        self.uid = uid
        self.account = account
        self._fleet = fleet
        self._tree = device_tree(account)
        self._number = 0
        self._alone = asyncio.Lock()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self) -> None:
        context = ssl.create_default_context(cafile=self._fleet.authority)
        context.load_cert_chain(self._fleet.identities[self.uid])
        fleet = self._fleet
        self._reader, self._writer = await asyncio.open_connection(
            fleet.host, fleet.port, ssl=context
        )

    async def session(self, number: int | None = None) -> None:
        """Have a session: the one that was asked for, or one of its own."""
        async with self._alone:
            await self._session(number)

    async def _session(self, number: int | None) -> None:
        self._number += 1
        client = ClientSession(
            self.account,
            ClientConfig(f"urn:openami:dcu:{self.uid}", "https://head-end.example/dm", DEV_INFO),
            Visit(self._tree, SERVER_ID, time.time(), octets=True),
            session_id=number or self._number,
            notified=number is not None,
            nonces=lambda: time.time_ns().to_bytes(16, "big"),
        )
        message: Outgoing | None = client.start(0.0)
        while message is not None:
            await self._exchange(client, message)
            message = client.next_outgoing()

    async def _exchange(self, client: ClientSession, message: Outgoing) -> None:
        self._writer.write(
            b"POST /dm HTTP/1.1\r\nhost: localhost\r\ncontent-type: %b\r\n"
            b"x-syncml-hmac: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (
                str(message.content_type).encode(),
                (message.hmac or "").encode(),
                len(message.body),
                message.body,
            )
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await self._reader.readexactly(int(headers["content-length"]))
        if " 200 " not in head[0]:
            raise RuntimeError(f"{head[0]}: {body[:200]!r}")
        client.receive(body, headers["content-type"], headers.get("x-syncml-hmac"), 0.0)
        while (event := client.next_event()) is not None:
            if isinstance(event, NonceChanged):
                self.account = event.account


async def _devices(fleet: Fleet, pipe: Connection) -> None:
    devices = {uid: Device(uid, account, fleet) for uid, account in fleet.accounts.items()}
    for device in devices.values():
        await device.connect()
    woken: dict[str, asyncio.Task[None]] = {}

    async def wake(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "lifespan":
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
        body = (await receive())["body"]
        uid = scope["query_string"].decode()
        number = int.from_bytes(body[21:23], "big")
        woken[uid] = asyncio.create_task(devices[uid].session(number))
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body"})

    async def by_themselves(device: Device, count: int) -> None:
        for _ in range(count):
            await device.session()

    loop = asyncio.get_running_loop()
    async with await serve(wake) as server:
        pipe.send(server.url)
        while (count := await loop.run_in_executor(None, pipe.recv)) is not None:
            async with asyncio.TaskGroup() as group:
                for device in devices.values():
                    group.create_task(by_themselves(device, count))
            pipe.send(True)


def run_devices(fleet: Fleet, pipe: Connection) -> None:
    """Be the devices."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_devices(fleet, pipe))


# The head-end.


class FromMemory(ListPlanner):
    """Orders the same of every device."""

    def __init__(self) -> None:
        super().__init__()
        self._all = orders()

    def plan(self, uid: str, *, now: float) -> list[Order]:
        del uid, now
        return self._all

    def done(self, uid: str, results: Any, *, session: int, now: float) -> list[Order]:
        del uid, session, now
        if any(result.status != 200 for result in results) or len(results) != len(NODES):
            raise RuntimeError(f"a command was not carried out: {results}")
        return []

    def told(self, uid: str, info: Any, alerts: Any, *, now: float) -> None:
        """Nobody wants to know."""

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        """Nobody wants to know."""


class Counting:
    """A planner that counts the sessions of another."""

    def __init__(self, planner: Planner) -> None:
        self.plan, self.done, self.told = planner.plan, planner.done, planner.told
        self._ended = planner.ended
        self.count = self._wanted = 0

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        self._ended(uid, end, session=session, now=now)
        if end.end.value != "done":
            raise RuntimeError(f"a session has ended as {end.end}")
        self.count += 1
        if self.count == self._wanted:
            self._loop.call_soon_threadsafe(self._there.set)

    async def reached(self, count: int) -> None:
        """Return when there were so many sessions."""
        self._loop, self._there = asyncio.get_running_loop(), asyncio.Event()
        self._wanted = count
        if self.count < count:
            await self._there.wait()


def _wish(running: Running, url: str) -> None:
    """Let every device be woken, now."""
    store: Any = running.services.management.accounts._store  # noqa: SLF001 - as a job would
    where = literal(f"{url}/wake?", String) + AccountRow.uid
    changes = {"wake_due": running.services.wall.now(), "wake_failures": 0, "wake_url": where}
    with store._transactions.writing() as session:  # noqa: SLF001 - as a job would
        session.execute(update(AccountRow).values(**changes))


def _fleet(running: Running, folder: Path) -> Fleet:
    accounts, identities = {}, {}
    for number in range(DEVICES):
        uid = f"D{number}"
        issued = running.services.registry.enroll_dcu(uid, who="bench")
        identity = folder / f"{uid}.pem"
        identity.write_bytes(issued.key + issued.certificate)
        identities[uid] = str(identity)
        accounts[uid] = give_account(running, uid)
    host, port = running.device_url.removeprefix("https://").split(":")
    return Fleet(host, int(port), str(running.home.authority), accounts, identities)


@dataclass
class Bench:
    """A head-end, and the devices' process at the other end of a pipe."""

    running: Running
    pipe: Connection
    url: str
    planner: Counting
    turn: int = 0

    async def by_themselves(self) -> None:
        self.pipe.send(1)
        await asyncio.to_thread(self.pipe.recv)

    async def woken(self) -> None:
        there = asyncio.ensure_future(self.planner.reached(self.planner.count + DEVICES))
        await asyncio.to_thread(_wish, self.running, self.url)
        await there

    async def job(self, kind: TaskKind) -> None:
        """Give the whole fleet a job, which wakes it."""
        self.turn += 1
        tasks = self.running.services.management.tasks
        there = asyncio.ensure_future(self.planner.reached(self.planner.count + DEVICES))
        whom = Whom(which=DeviceFilter(kind=DeviceKind.DCU))
        ten = commands(kind, self.turn)
        job = await asyncio.to_thread(tasks.create, kind, ten, whom, who="bench")
        await there
        counts = tasks.get(job.job.id).counts
        if counts != {TaskState.DONE: DEVICES}:
            raise RuntimeError(f"a job was not carried out: {counts}")

    async def measure(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Print what sessions of a kind cost."""
        for _ in range(WARM_UP):
            await work()
        before, cpu, wall = self.planner.count, time.process_time(), time.perf_counter()
        for _ in range(SESSIONS):
            await work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        count = self.planner.count - before
        print(
            f"{name:40} {count} sessions  {count / cpu:7.0f} a second and core"
            f"  {cpu / count * 1e3:6.2f} ms each  ({count / wall:.0f} a second here)",
            flush=True,
        )


async def _compare(running: Running, pipe: Connection, url: str) -> None:
    sessions: Any = running.services.management.sessions
    memory: Any = Counting(FromMemory())
    with planning(running, memory):
        bench = Bench(running, pipe, url, memory)
        await bench.measure("orders from memory, by themselves", bench.by_themselves)
        await bench.measure("orders from memory, woken", bench.woken)
    real: Any = Counting(sessions._planner)  # noqa: SLF001 - the head-end's own
    with planning(running, real):
        bench = Bench(running, pipe, url, real)
        await bench.measure("nothing to do, by themselves", bench.by_themselves)
        await bench.measure("a job of ten gets, woken", lambda: bench.job(TaskKind.GET))
        await bench.measure("a job of ten sets, woken", lambda: bench.job(TaskKind.SET))


async def _measure(folder: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(headend(settings_in(folder)))
        fleet = _fleet(running, folder)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_devices, args=(fleet, theirs), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        url = await asyncio.to_thread(ours.recv)
        spare_collector()  # as ``run`` does
        await _compare(running, ours, url)
        ours.send(None)
        await asyncio.to_thread(process.join)


def main() -> None:
    """Print sessions per second."""
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_measure(Path(folder)))


if __name__ == "__main__":
    main()
