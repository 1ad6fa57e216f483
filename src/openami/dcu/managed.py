"""The life of a DCU: it registers, takes its account, is managed, and collects as it is told.

::

    security module ─► registration ─► account in the tree ─┬─► device management ◄── wake-up
                                                            ├─► tasks of SCHED
                                                            └─► collection, by the AMI object

All that changes the tree does so on one thread, so that nothing else waits for the disk; what that
means for collection is told to the event loop.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.dcu.collecting import OPERATIONS, Collecting
from openami.dcu.device import AccountListener, facts_of
from openami.dcu.enrolment import Enrolment
from openami.dcu.files import management_files
from openami.dcu.flow import Stop
from openami.dcu.gateway.gateway import Gateway
from openami.dcu.installation import listen_address, resolve
from openami.dcu.management import Manager
from openami.dcu.membership import Membership
from openami.dcu.module.client import SecurityModule
from openami.dcu.operations import Operations, alert
from openami.dcu.polling import first_poll
from openami.dcu.proof import Proof
from openami.dcu.repository import ROOT_FILE, Access, Repository
from openami.dcu.restarts import Restarts
from openami.dcu.scheduler import Scheduler
from openami.dcu.threads import WorkThread, on_loop
from openami.dcu.updates.updates import Updates
from openami.dcu.updates.works import Bench
from openami.dcu.upgrade.upgrader import Upgrading
from openami.dcu.wakeup import Wakeup
from openami.omadm.objects.ami import AmiConfig, AmiListener
from openami.omadm.session.events import End
from openami.store.salvage import opened
from openami.transport.clock import SystemClock, monotonic
from openami.transport.signals import stop_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from openami.core.clock import Clock
    from openami.dcu.installation import Installation
    from openami.dcu.management import Held
    from openami.dcu.ports import Health, Identity, Registration, Slots
    from openami.dcu.settings import DcuSettings
    from openami.omadm.messages.model import Alert
    from openami.omadm.notification import Verified
    from openami.omadm.objects.sched import SchedTask
    from openami.omadm.tree.tree import ManagementTree
    from openami.store.device_memory import DeviceMemory
    from openami.transport.web import HttpServer

TASK_FAILED: Final = "urn:openami:alert:task-failed"
"""Type of the generic alert: a task's operation was not carried out; Data is its status."""
FIRST_SESSION_S: Final = 60.0
"""How long a new device waits for its first session before it collects as the factory says."""

log = structlog.get_logger("dcu")


class ManagedDcu:
    """One DCU, whole; as an async context manager it opens and closes its stores.

    Args:
        installation: what no server decides.
        clock: the time that it keeps and gives to its meters.
        identity: the security module.
        registration: with the security server.
        slots: its own software's; None: the launcher did not start it.
        health: what is watched while that is on trial.
        wall: the true time, by which what is published is good.

    Raises:
        ConfigError: its folder cannot be made.
        StoreError: its state cannot be used, or another process has it.
    """

    def __init__(
        self,
        installation: Installation,
        clock: Clock,
        identity: Identity,
        registration: Registration,
        *,
        slots: Slots | None = None,
        health: Health | None = None,
        wall: Clock | None = None,
    ) -> None:
        self._slots = slots
        self._health = health
        self._wall = wall or SystemClock()
        self.restarting = False
        self._installation = installation
        self._allowed = installation.allowed
        self._clock = clock
        self._identity = identity
        self._registration = registration
        self._stop = Stop()
        self._thread = WorkThread("management")
        self._ear = WorkThread("wake-up")
        self._disk = WorkThread("packages")
        self._chance = random.SystemRandom().random
        self._stack = AsyncExitStack()
        self.wake_port: int | None = None
        self.home_port: int | None = None
        self._gateway = None if installation.home is None else Gateway()
        self.tree: ManagementTree
        self.membership: Membership
        self.manager: Manager
        self.scheduler: Scheduler
        self.collecting: Collecting
        self.updates: Updates
        self._proof: Proof
        self._memory: DeviceMemory

    async def __aenter__(self) -> Self:
        facts = facts_of(self._identity.uid, self._identity.info)
        files = management_files(self._installation.state, facts, now=self._clock.now())
        async with AsyncExitStack() as stack:
            self.tree, self._memory = stack.enter_context(files)
            stack.callback(self._thread.close)
            stack.callback(self._ear.close)
            stack.callback(self._disk.close)
            self._assemble()
            stack.push_async_callback(self.collecting.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _assemble(self) -> None:
        tree = self.tree
        self.membership = Membership(
            tree,
            self._memory,
            self._registration,
            clock=self._clock,
            thread=self._thread,
            allowed=self._allowed,
            taken=self._account_taken,
        )
        self._operations = Operations(self._memory, on_loop(self._tell), self._thread)
        self.manager = Manager(
            tree,
            self._memory,
            server=self.membership.server,
            connect=self._identity.operational_client,
            clock=self._clock,
            poll_every=self._poll_every,
            chance=self._chance,
            stop=self._stop,
            thread=self._thread,
            held=self._was_held,
            told=self._told,
        )
        self._proof = Proof(self.manager)
        self.updates = Updates(self._bench(), self._slots, self.restart)
        self.collecting = Collecting(
            self._settings,
            self._clock,
            connect=self._identity.operational_client,
            facts=self._facts,
            stop=self._stop,
            operations=self._operations,
            up=self._collects,
            upgrading=Upgrading(self.updates.packages, self.updates.void, wall=self._wall),
            gateway=self._gateway,
        )
        self._operations.recall()
        self.updates.attach()
        self.scheduler = Scheduler(
            tree,
            self._identity.uid,
            self._clock,
            self._stop,
            self._thread,
            failed=on_loop(self._task_failed),
        )
        for name in OPERATIONS:
            tree.on_exec(f"./AMI/Operations/{name}", self.collecting.execute)
        tree.watch("./SCHED", self.scheduler)
        tree.watch("./AMI", AmiListener(on_loop(self._configured), self._refuse))
        tree.watch("./DMAcc", AccountListener(on_loop(self.collecting.look), self._allowed))

    def _bench(self) -> Bench:
        """Return what packages are fetched and installed with."""
        home, info = self._installation, self._identity.info
        folder = home.state / "packages"
        access = Access(
            root=home.factory / ROOT_FILE,
            folder=folder,
            origin=self.membership.origin,
            connect=self._identity.operational_client,
            wall=self._wall,
            thread=self._disk,
            chance=self._chance,
        )
        return Bench(
            tree=self.tree,
            memory=self._memory,
            folder=folder,
            packages=Repository(access),
            origin=self.membership.origin,
            model=info.model,
            hardware=info.hardware,
            clock=self._clock,
            tell=on_loop(self._tell),
            stop=self._stop,
            thread=self._thread,
            disk=self._disk,
            chance=self._chance,
            trust=self._identity.trust,
            prove=self._proof.hold,
        )

    def stop(self) -> None:
        """Ask the DCU to end in good order."""
        self._stop.set()

    def restart(self) -> None:
        """Ask the DCU to end in good order, and its launcher to start it anew."""
        self.restarting = True
        self._stop.set()

    async def run(self) -> None:
        """Live until ``stop`` is called.

        Raises:
            TransportError: the listener for wake-up or for displays cannot listen.
            Exception: a task failed, which is a bug of ours: the state on disk is good.
        """
        restarts = Restarts(self._memory, self._chance)
        await restarts.rest(self._stop)
        fresh = await self.membership.register(self._stop)
        if self._stop:
            restarts.good()
            return
        news = self.membership.news()
        if news is not None:
            self.manager.alert(news)
        async with AsyncExitStack() as stack:
            listener = await self._listen()
            if listener is not None:
                await stack.enter_async_context(listener)
            if self._gateway is not None and self._installation.home is not None:
                door = await self._gateway.listen(*listen_address(self._installation.home))
                self.home_port = (await stack.enter_async_context(door)).port
            await self._run(
                self._collect(after_session=fresh),
                self.manager.run(0.0 if fresh else self._start_wait()),
                self.scheduler.run(),
                self.updates.run(),
                self._registration.renew(self._stop, self.membership.take),
                restarts.watch(self._stop, self._thread),
            )
        restarts.good()

    async def _run(self, *works: Coroutine[Any, Any, None]) -> None:
        """Run all until one ends, then give the others their time to end."""
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            # Collection has two times of its own: for the line, and for what it hands over.
            await asyncio.wait(tasks[:1], timeout=3 * self._installation.stop_s)
            await asyncio.wait(tasks[1:], timeout=self._installation.stop_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    # Management

    async def _listen(self) -> HttpServer | None:
        if self._installation.wake is None:
            return None
        wakeup = Wakeup(self.membership.server, self._memory, self._woken, monotonic, self._ear)
        listener = await wakeup.listen(*listen_address(self._installation.wake))
        self.wake_port = listener.port
        log.info("can be woken", host=listener.host, port=listener.port)
        return listener

    def _woken(self, verified: Verified) -> None:
        self.manager.wake(verified)
        self.collecting.woken()

    def _account_taken(self) -> None:
        self.manager.nudge()

    def _start_wait(self) -> float:
        if self._slots is not None and self._slots.running.on_trial:
            return 0.0  # its time is short, and it is kept only if a session goes well
        return first_poll(self._poll_every(), self._chance())

    def _poll_every(self) -> float:
        return float(self.tree.text("./AMI/Management/PollEvery"))

    def _tell(self, over: Alert) -> None:
        self.manager.alert(over)
        self.manager.nudge()

    def _told(self, alerts: tuple[Alert, ...]) -> None:
        self._operations.told(alerts)
        self.updates.told(alerts)

    async def _was_held(self, held: Held) -> None:
        self._proof.heard(held)
        if held.end is End.DONE and self._health is not None:
            self._health.session_held()
        await self.membership.heard(held)

    def _task_failed(self, task: SchedTask, status: int) -> None:
        self.manager.alert(alert(TASK_FAILED, f"./SCHED/{task.name}", str(status), task.task_id))

    # Collection

    def _settings(self, config: AmiConfig | None = None) -> DcuSettings:
        return resolve(
            self._installation,
            config or AmiConfig.read(self.tree.root),
            uid=self._identity.uid,
            headend=self.membership.origin(),
        )

    async def _collect(self, *, after_session: bool) -> None:
        """Collect; a new device lets its server say first how."""
        if after_session:
            await self._stop.sleep(FIRST_SESSION_S, self.manager.tried)
        await self.collecting.run()

    def _collects(self) -> None:
        if self._health is not None:
            self._health.collecting()

    def _facts(self) -> dict[str, Any]:
        return {} if self.wake_port is None else {"wake_port": self.wake_port}

    def _refuse(self, config: AmiConfig) -> None:
        self._settings(config)

    def _configured(self, _config: AmiConfig) -> None:
        log.info("configured")
        self.collecting.look()


async def run_managed(
    installation: Installation,
    clock: Clock,
    *,
    ready: Callable[[ManagedDcu], None] | None = None,
    slots: Slots | None = None,
    health: Health | None = None,
) -> bool:
    """Run a DCU, with its security module beside it, until SIGTERM or SIGINT.

    Args:
        installation: what no server decides.
        clock: the time that it keeps and gives to its meters.
        ready: called once its stores are open.
        slots: as of ``ManagedDcu``.
        health: as of ``ManagedDcu``.

    Returns:
        Whether it wants to be started anew.

    Raises:
        ConfigError: a folder cannot be used.
        StoreError: its state cannot be used, or another process has it.
        TransportError: the security module did not come up, or the DCU cannot listen.
    """
    async with AsyncExitStack() as stack:
        module = await stack.enter_async_context(
            SecurityModule.start(installation.state, installation.factory)
        )
        files = [installation.state / f"registration.{end}" for end in ("sqlite", "kek")]
        enrolment = stack.enter_context(
            opened(lambda: Enrolment(module, installation.state), *files)
        )
        dcu = await stack.enter_async_context(
            ManagedDcu(installation, clock, module, enrolment, slots=slots, health=health)
        )
        with stop_signals(dcu.stop):
            if ready is not None:
                ready(dcu)
            await dcu.run()
        return dcu.restarting
