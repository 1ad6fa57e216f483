"""Whole sessions of device management through HTTP, per second and core of the head-end.

The head-end is whole and real: mutual TLS, the stores on disk, nonces durable before every answer,
the log of sessions. The devices are in a process of their own, with a connection each that is kept.
A session is a provisioning: the notification wakes the device (package 0), which opens with its
DevInfo, proves itself by a MAC with SHA-256 and is proved to, gets ten commands, and answers them;
messages are WBXML. What is counted is the processor time of the head-end's process, as if it had a
core to itself; with and without package 0, for devices that come by themselves.
"""

from __future__ import annotations

import asyncio
import gc
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
from tests.support.dm_wire import DEV_INFO, DictGate, order
from tests.support.headend import settings_in
from tests.support.management import ListPlanner, give_account, planning

from openami.headend.server import Running, headend
from openami.omadm.messages.model import Get, Replace
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import NonceChanged
from openami.store.relational.management_models import AccountRow
from openami.transport.web import serve

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from openami.omadm.session.account import Account
    from openami.omadm.session.events import End, Order, Outgoing

DEVICES = 240
SESSIONS = 6  # of each device
WARM_UP = 1
COMMANDS = tuple((f"./AMI/Collection/{n}", f"value {n}") for n in range(10))


def orders() -> list[Order]:
    """Return ten commands: reads and changes."""
    return [
        order(f"o{n}", Replace, uri, value) if n % 2 else order(f"o{n}", Get, uri)
        for n, (uri, value) in enumerate(COMMANDS)
    ]


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
        self._gate = DictGate(dict(COMMANDS))
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
            self._gate,
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


class CountingPlanner(ListPlanner):
    """Orders the same of every device; counts sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self._wanted = 0
        self._orders = orders()

    def plan(self, uid: str, *, now: float) -> list[Order]:
        del uid, now
        return self._orders

    def done(self, uid: str, results: Any, *, session: int, now: float) -> list[Order]:
        del uid, session, now
        if any(result.status != 200 for result in results) or len(results) != len(COMMANDS):
            raise RuntimeError(f"a command was not carried out: {results}")
        return []

    def told(self, uid: str, info: Any, alerts: Any, *, now: float) -> None:
        """Nobody wants to know."""

    def ended(self, uid: str, end: Any, *, session: int, now: float) -> None:
        del uid, session, now
        ended: End = end.end
        if ended.value != "done":
            raise RuntimeError(f"a session has ended as {ended}")
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


async def _measure(folder: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    planner = CountingPlanner()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(headend(settings_in(folder)))
        stack.enter_context(planning(running, planner))
        fleet = _fleet(running, folder)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_devices, args=(fleet, theirs), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        url = await asyncio.to_thread(ours.recv)
        gc.collect()
        gc.freeze()  # as ``run`` does

        async def by_themselves(count: int) -> None:
            ours.send(count)
            await asyncio.to_thread(ours.recv)

        async def woken(count: int) -> None:
            for _ in range(count):
                there = asyncio.ensure_future(planner.reached(planner.count + DEVICES))
                await asyncio.to_thread(_wish, running, url)
                await there

        for name, work in (("by themselves", by_themselves), ("woken (package 0)", woken)):
            await work(WARM_UP)
            before, cpu, wall = planner.count, time.process_time(), time.perf_counter()
            await work(SESSIONS)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            count = planner.count - before
            print(
                f"{name:20} {count} sessions  {count / cpu:7.0f} a second and core"
                f"  {cpu / count * 1e3:6.2f} ms each  ({count / wall:.0f} a second here)"
            )
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
