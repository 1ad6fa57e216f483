"""A head-end's planner over real stores, and a device with a real tree, session after session."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert
from tests.support.dm_tree import ALL, grant
from tests.support.dm_wire import DEV_INFO, DEVICE, SERVER, account, nonces

from openami.core.clock import ManualClock
from openami.core.errors import StoreError
from openami.fleet.devices import DeviceKind, Sighting
from openami.headend.bus import LocalBus
from openami.headend.management.planner import TreePlanner
from openami.headend.management.troubles import Troubles
from openami.headend.metrics import Metrics
from openami.headend.security.alarms import Alarms
from openami.omadm.messages.media import MediaType
from openami.omadm.objects.ami import PLACE, AmiConfig, AmiListener
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.device import DeviceFacts, bind_facts
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import (
    AlertReceived,
    Authenticated,
    DeviceInfoReceived,
    Event,
    Order,
    OrderDone,
    SessionEnded,
)
from openami.omadm.session.server import ServerConfig, ServerSession
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.uri import format_path
from openami.omadm.tree.visit import Visit
from openami.store.relational.management_models import AccountRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.headend.services import Stores
    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import Outgoing
    from openami.omadm.tree.tree import Execution
    from openami.store.relational import RelationalStore

UID = "D1"
FACTS = DeviceFacts(DEVICE, "openami", "DCU", "dcu", "openami", "1.0", "1.0", "A")


def add_devices(store: RelationalStore | Stores, *uids: str) -> None:
    """Put DCUs with accounts into the registry."""
    store.devices.sight([Sighting(DeviceKind.DCU, uid) for uid in uids], now=1.0)
    rows = [
        {"uid": uid, "digest": "", "suspended": False, "created": 1.0, "client_nonce": b"",
         "server_nonce": b"", "wake_failures": 0, "wake_session": 0}
        for uid in uids
    ]  # fmt: skip
    trees: Any = store.trees
    with trees._transactions.writing() as session:
        session.execute(insert(AccountRow), rows)


@dataclass
class Plant:
    """A head-end and one device.

    Attributes:
        refuse: what the device's listener has against a configuration.
        executed: what it was told to execute.
        orders: the ids of all orders of the last session.
        dossiers: instead of the store's own.
    """

    store: RelationalStore
    media: MediaType = MediaType.WBXML
    now: float = 1_800_000_000.0
    refuse: Callable[[AmiConfig], None] | None = None
    executed: list[Execution] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    status: int = 200
    size: int = 65_536
    dossiers: Any = None
    bus: LocalBus = field(default_factory=LocalBus)
    metrics: Metrics = field(default_factory=Metrics)
    failures: int = 0

    def __post_init__(self) -> None:
        self.tree = ManagementTree(device_schema())
        grant(self.tree, ".", ALL)
        bind_facts(self.tree, FACTS)
        self.applied: list[AmiConfig] = []
        self.tree.watch(format_path(PLACE), AmiListener(self.applied.append, self._refused))
        self.tree.on_exec("./AMI/Operations", self._execute)
        self._numbers = count(1)
        self.restart()

    def restart(self) -> None:
        """Let the head-end die: what was in memory is gone."""
        alarms = Alarms(self.store.alarms, bus=self.bus, wall=ManualClock(self.now))
        self.troubles = Troubles(alarms, self.metrics)
        self.planner = TreePlanner(
            self.dossiers or self.store.dossiers, bus=self.bus, troubles=self.troubles
        )

    def ask(
        self, question: Callable[[], Sequence[Order] | None], uid: str = UID
    ) -> Sequence[Order]:
        """Return the answer to the question of a device, which nobody else asks with; or raise."""
        [answer] = self.planner.together([(uid, lambda: question() or ())])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def plan(self) -> Sequence[Order]:
        return self.ask(lambda: self.planner.plan(UID, now=self.now))

    def done(self, results: Sequence[OrderDone], uid: str = UID) -> Sequence[Order]:
        return self.ask(lambda: self.planner.done(uid, results, session=1, now=self.now), uid)

    def told(self, *alerts: Alert) -> None:
        self.ask(lambda: self.planner.told(UID, None, alerts, now=self.now))

    def set(self, address: str, value: str) -> None:
        """Let the device change a value by itself."""
        draft = self.tree.draft(self.now)
        draft.set_value(self.tree.path(address), value)
        self.tree.commit(draft)

    def session(self, *alerts: Alert, cut: int | None = None, silent: int | None = None) -> int:
        """Let device and head-end talk; return how many messages the device has sent.

        Args:
            alerts: what the device has to say.
            cut: exchanges after which the head-end dies without an answer.
            silent: exchanges after which the device is not heard of any more.
        """
        self.now += 60.0
        client = ClientSession(
            account(),
            ClientConfig(DEVICE, SERVER, DEV_INFO, self.media, max_msg_size=self.size),
            Visit(self.tree, "head-end", self.now, octets=self.media is MediaType.WBXML),
            session_id=next(self._numbers),
            nonces=nonces("s"),
            alerts=alerts,
        )
        server = ServerSession(account(), ServerConfig(SERVER), nonces=nonces("c"))
        self.orders = []
        sent = 0
        outgoing: Outgoing | None = client.start(self.now)
        while outgoing is not None:
            if sent == cut:
                self.restart()
                return sent
            if sent == silent:
                server.handle_timer(self.now + 3600.0)
                break
            sent += 1
            answer = self._serve(server, outgoing)
            client.receive(answer.body, answer.content_type, answer.hmac, self.now)
            outgoing = client.next_outgoing()
        self._tell(server)
        return sent

    def _serve(self, server: ServerSession, request: Outgoing) -> Outgoing:
        server.take(request.body, request.content_type, request.hmac, self.now)
        self._tell(server)
        return server.answer()

    def _tell(self, server: ServerSession) -> None:
        events: list[Event] = []
        while (event := server.next_event()) is not None:
            events.append(event)
        while True:
            try:
                orders = self.ask(partial(self._consult, events))
            except StoreError:  # the device sends its message again
                self.failures += 1
                assert self.failures < 9
            else:
                break
        for order in orders:
            server.order(order)
        self.orders += [order.id for order in orders]
        for event in events:
            if isinstance(event, SessionEnded):
                self.planner.ended(UID, event, session=1, now=self.now)

    def _consult(self, events: Sequence[Event]) -> Sequence[Order]:
        info = {u: v for e in events if isinstance(e, DeviceInfoReceived) for u, v in e.values}
        alerts = [e.alert for e in events if isinstance(e, AlertReceived)]
        if info or alerts:
            self.planner.told(UID, info or None, alerts, now=self.now)
        results = [e for e in events if isinstance(e, OrderDone)]
        orders: list[Order] = []
        if results:
            orders += self.planner.done(UID, results, session=1, now=self.now)
        if Authenticated() in events:
            orders += self.planner.plan(UID, now=self.now)
        return orders

    def _refused(self, config: AmiConfig) -> None:
        if self.refuse is not None:
            self.refuse(config)

    def _execute(self, execution: Execution) -> int:
        self.executed.append(execution)
        return self.status
