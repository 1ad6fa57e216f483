"""Which meters are nodes, under which title, and with which keys; and who of them may register.

Titles are in memory: strangers make them up, and few of theirs cost a look into the database, in
which another process may have put one. A node's keys are looked up when it first speaks: one read
of the vault, which is a local file.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.native import NativeAddress
from openami.c1222.network.host import Partner
from openami.c1222.network.registrations import Admitted, Row
from openami.c1222.security import Keys
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, NotFoundError
from openami.core.recent import Recent
from openami.fleet.devices import DeviceKind, LifecycleState, device_id
from openami.fleet.nodes import MeterNode, NodeStanding
from openami.fleet.ports import MAX_PAGE
from openami.headend.credentials import KIND
from openami.headend.registry import SHUT_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openami.c1222.network.registrations import Application
    from openami.core.clock import Clock
    from openami.fleet.devices import Device
    from openami.fleet.nodes import NodeStore
    from openami.fleet.ports import DeviceStore, Vault
    from openami.fleet.shipment import ShippedMeter
    from openami.headend.settings import HeadendSettings

PREFIX: Final = "c1222."
PASSWORD: Final = "c1222.password"  # noqa: S105 - under this name the vault has it
SPREAD_S: Final = 60
"""Seconds over which nodes register when the power of a town comes back: each waits its share."""
LOOKS: Final = 20
LOOKS_S: Final = 10.0
"""So many titles that are not in memory are looked up in so many seconds: each takes a tenth of a
millisecond of everybody's time."""
PARTNERS: Final = 20_000
"""Nodes whose keys are in memory, of one or two kilobytes each; others are read again."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it is kept in memory."""

    meter: str
    title: ApTitle
    key_id: int
    user: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to say of a node: its title, and where it last registered."""

    title: str
    standing: NodeStanding | None
    address: str


class _Kept(Protocol):
    """Stores of which some are the directory's."""

    @property
    def nodes(self) -> NodeStore: ...

    @property
    def devices(self) -> DeviceStore: ...

    @property
    def vault(self) -> Vault: ...


class Directory:
    """Knows the nodes; a ``Policy`` of registrations.

    Args:
        nodes: what is kept of them.
        devices: the registry.
        vault: their keys.
        period: seconds until a node has to register again.
        wall: the machine's time.
    """

    def __init__(
        self, nodes: NodeStore, devices: DeviceStore, vault: Vault, *, period: int, wall: Clock
    ) -> None:
        self._nodes = nodes
        self._devices = devices
        self._vault = vault
        self._period = period
        self._by_title: dict[bytes, Node] = {}
        self._by_meter: dict[str, Node] = {}
        self._partners: Recent[str, Partner] = Recent(PARTNERS)
        self._wall = wall
        self._looked: deque[float] = deque(maxlen=LOOKS)

    @classmethod
    def of(cls, stores: _Kept, settings: HeadendSettings, *, wall: Clock) -> Self:
        """Return the directory over some stores."""
        period = settings.c1222_registration_s
        return cls(stores.nodes, stores.devices, stores.vault, period=period, wall=wall)

    def load(self) -> list[Row]:
        """Take what is kept into memory; return the registrations. Blocks."""
        rows, after = [], None
        while True:
            page = self._nodes.list(after=after, limit=MAX_PAGE)
            for kept in page.items:
                self._know(kept)
                if kept.standing is not None:
                    rows.append(_row(kept.standing))
            if page.next is None:
                return rows
            after = page.next

    def take(self, meter: ShippedMeter) -> None:
        """Take a meter of a shipment that is a node. Blocks.

        Raises:
            ConflictError: another meter has its title.
        """
        said = meter.c1222
        if said is None:
            return
        title = str(ApTitle.parse(said.title).absolute())
        node = MeterNode(meter.serial, title, min(said.keys), said.user)
        self._nodes.put(node)
        self._know(node)

    def moved(self, device: Device, before: str | None) -> None:
        """Forget a meter that was retired: its title is free for the one that replaces it. Blocks.

        To be called with each device that was assigned or retired.
        """
        del before
        retired = device.state is LifecycleState.RETIRED
        if retired and device.kind is DeviceKind.METER and self._drop(device.serial):
            self._nodes.forget([device.serial])

    def _drop(self, meter: str) -> bool:
        known = self._by_meter.pop(meter, None)
        if known is not None:
            self._by_title.pop(known.title.name, None)
        self._partners.pop(meter, None)
        return known is not None

    def _know(self, kept: MeterNode) -> None:
        self._drop(kept.meter)
        node = Node(kept.meter, ApTitle.parse(kept.title).shortest(), kept.key_id, kept.user)
        self._by_meter[kept.meter] = self._by_title[node.title.name] = node

    def __len__(self) -> int:
        return len(self._by_meter)

    def __iter__(self) -> Iterator[Node]:
        return iter(tuple(self._by_meter.values()))

    def of_title(self, title: ApTitle) -> Node | None:
        """Return the node that has a title."""
        known = self._by_title.get(title.name)
        if known is None and self._may_look():
            kept = self._nodes.of_title(str(title.absolute()))
            if kept is not None:
                self._know(kept)
        return known or self._by_title.get(title.name)

    def _may_look(self) -> bool:
        """Return whether the database may be asked for a title that somebody has made up."""
        now = self._wall.now()
        full = len(self._looked) == self._looked.maxlen
        if full and 0 <= now - self._looked[0] < LOOKS_S:
            return False
        self._looked.append(now)
        return True

    def of_meter(self, serial: str) -> Node | None:
        """Return the node that a meter is."""
        return self._by_meter.get(serial)

    def seen(self, serial: str) -> Seen | None:
        """Return what there is to say of a meter as a node; None: it is none. Blocks."""
        kept = self._nodes.find(serial)
        if kept is None:
            return None
        title = str(ApTitle.parse(kept.title).shortest())
        return Seen(title, kept.standing, "" if kept.standing is None else address(kept.standing))

    # What a host asks

    def partner_of(self, title: ApTitle) -> Partner | None:
        """Return what is shared with whoever has a title; None: nobody has it."""
        node = self.of_title(title)
        if node is None:
            return None
        known = self._partners.get(node.meter)
        if known is None:
            known = self._partners[node.meter] = self._look(node)
        return known

    def _look(self, node: Node) -> Partner:
        secrets = self._vault.find(KIND, node.meter)
        return Partner(Keys(_keys(secrets)), node.key_id, SecurityMode.ENCRYPTED)

    def password_of(self, node: Node) -> bytes:
        """Return what the node's user is known by; empty: by nothing. Blocks."""
        return self._vault.find(KIND, node.meter).get(PASSWORD, b"")

    def admit(self, application: Application, *, now: float) -> Admitted | ResponseCode:
        """Let a node in that showed its own key and is not shut out, under its own title."""
        del now
        calling = application.calling
        if application.mode is SecurityMode.CLEAR or calling is None:
            return ResponseCode.SME
        node = self.of_title(calling)
        if node is None or self._is_shut_out(node):
            return ResponseCode.ISC
        asked = application.request.title
        # Who asks for another title, as one that has none yet, is assigned the one on the list.
        title = asked if asked.name == node.title.name else node.title
        return Admitted(title, self._period, zlib.crc32(node.meter.encode()) % SPREAD_S)

    def _is_shut_out(self, node: Node) -> bool:
        try:
            device = self._devices.get(device_id(DeviceKind.METER, node.meter))
        except NotFoundError:
            return True
        return device.state in SHUT_OUT


def address(standing: NodeStanding) -> str:
    """Return a registration's address as people read it."""
    try:
        return str(NativeAddress.decode(standing.native)) if standing.native else ""
    except DecodeError:
        return standing.native.hex()


def standing_of(row: Row) -> NodeStanding:
    """Return a registration as it is kept."""
    return NodeStanding(
        row.title,
        row.serial,
        row.native,
        row.node_type,
        row.connection,
        row.device_class,
        row.registered_at,
        row.expires_at,
        row.via,
    )


def _row(standing: NodeStanding) -> Row:
    return Row(
        standing.title,
        standing.serial,
        standing.native,
        standing.node_type,
        standing.connection,
        standing.device_class,
        standing.registered_at,
        standing.expires_at,
        standing.via,
    )


def _keys(secrets: Mapping[str, bytes]) -> dict[int, bytes]:
    named = ((name.removeprefix(PREFIX), key) for name, key in secrets.items())
    return {int(name): key for name, key in named if name.isdecimal() and int(name) <= 0xFF}
