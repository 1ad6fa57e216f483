"""Who is registered, where, and until when (C12.22, 5.3.2.4.12 and 5.3.2.4.13).

A table for whoever answers Register: a master relay, or a host that is one. Who may register, and
as what, is for a ``Policy`` to say. A node is reached where its registration came from; one that
came through a relay is reached wherever that relay is now, so that a relay whose connection broke
brings its nodes back with one registration of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from openami.c1222.codes import Connection, NodeType, ResponseCode, SecurityMode
from openami.c1222.limits import MAX_TITLES
from openami.c1222.native import NativeAddress
from openami.c1222.network.due import Due
from openami.c1222.network.places import address_of, same_place
from openami.c1222.services import Failure, Register, Registered
from openami.c1222.services.responses import NOTHING
from openami.c1222.station import blamed
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

MAX_NODES: Final = 100_000
"""In one table: about a hundred megabytes."""
MAX_CLEAR: Final = 1024
"""Titles of one host, for who takes registrations in clear: a gateway or a lane behind one address;
more is somebody who fills the table.
"""
LEAST_PERIOD: Final = 1
RELAYS: Final = NodeType.RELAY | NodeType.MASTER_RELAY
"""What other nodes may be behind."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One node. Times are seconds of UTC.

    Attributes:
        title: what it is called.
        serial: its electronic serial number.
        native: its own address; None: nobody knows it.
        source: where its registration came from, as the transport names it.
        node_type: what it is.
        connection: what it can do.
        device_class: four octets of its maker and model.
        registered_at: when it registered last.
        expires_at: when it is forgotten.
        via: the registered relay that its registration came through.
        mode: how its registration was protected; it is not ended by what is protected less.
    """

    title: ApTitle
    serial: ApTitle
    native: NativeAddress | None
    source: Hashable
    node_type: NodeType
    connection: Connection
    device_class: bytes
    registered_at: float
    expires_at: float
    via: ApTitle | None = None
    mode: SecurityMode = SecurityMode.CLEAR


@dataclass(frozen=True, slots=True)
class Row:
    """A registration as plain values, for a database or a file; where it came from is not kept."""

    title: str
    serial: str
    native: bytes
    node_type: int
    connection: int
    device_class: bytes
    registered_at: float
    expires_at: float
    via: str | None = None
    mode: int = 0


def row_of(registration: Registration) -> Row:
    """Return a registration as plain values."""
    return Row(
        str(registration.title),
        str(registration.serial),
        b"" if registration.native is None else registration.native.encode(),
        int(registration.node_type),
        int(registration.connection),
        registration.device_class,
        registration.registered_at,
        registration.expires_at,
        None if registration.via is None else str(registration.via),
        int(registration.mode),
    )


def from_row(row: Row) -> Registration:
    """Return what ``row_of`` was given; it came from its own address.

    Raises:
        ValueError: a title is none.
        DecodeError: the address is none.
    """
    native = NativeAddress.decode(row.native) if row.native else None
    return Registration(
        ApTitle.parse(row.title),
        ApTitle.parse(row.serial),
        native,
        native,
        NodeType(row.node_type),
        Connection(row.connection),
        row.device_class,
        row.registered_at,
        row.expires_at,
        None if row.via is None else ApTitle.parse(row.via),
        SecurityMode(row.mode),
    )


@dataclass(frozen=True, slots=True)
class Application:
    """What a policy is asked about.

    Attributes:
        request: what the node says.
        calling: the title that sent it; to be believed where the mode is not clear.
        source: where it came from.
        mode: how the message was protected.
        key_id: the key that protected it.
        known: who has the title now.
        by_relay: a relay that is registered itself sent it, for a node that asked it to.
    """

    request: Register
    calling: ApTitle | None
    source: Hashable
    mode: SecurityMode = SecurityMode.CLEAR
    key_id: int | None = None
    known: Registration | None = None
    by_relay: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """A node may take part.

    Attributes:
        title: what it is called from now on.
        period: seconds until it has to register again, at most.
        delay: seconds that it waits before it registers after its power failed.
        info: what it is told to do.
    """

    title: ApTitle
    period: int
    delay: int = 0
    info: Connection = NOTHING


class Policy(Protocol):
    """Says who may register."""

    def admit(self, application: Application, *, now: float) -> Admitted | ResponseCode:
        """Return what the node gets, or why it gets nothing."""
        ...


class Registrations:
    """All registrations of one registrar.

    Args:
        policy: who may register.
        most: registrations in all.
        of_host: registrations of one host that is no registered relay; who asks for a key needs no
            other bound than the number of nodes that have one.
    """

    def __init__(self, policy: Policy, *, most: int = MAX_NODES, of_host: int = MAX_NODES) -> None:
        self._policy = policy
        self._most = most
        self._of_host = of_host
        self._all: dict[bytes, Registration] = {}
        self._hosts: Counter[Hashable] = Counter()
        self._relays: dict[Hashable, ApTitle] = {}
        self._ends = Due()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Registration]:
        return iter(tuple(self._all.values()))

    def register(
        self,
        request: Register,
        calling: ApTitle | None,
        source: Hashable,
        *,
        now: float,
        mode: SecurityMode = SecurityMode.CLEAR,
        key_id: int | None = None,
    ) -> Registered | Failure:
        """Answer a registration; who is registered under that title already is replaced.

        Args:
            request: what the node says.
            calling: the title that sent it.
            source: where from.
            now: seconds of UTC.
            mode: how its message was protected.
            key_id: the key that protected it.
        """
        self.expire(now)
        known = self.find(request.title)
        admitted = self._policy.admit(
            Application(
                *(request, calling, source, mode, key_id, known),
                by_relay=self.is_relay(calling, source),
            ),
            now=now,
        )
        if isinstance(admitted, ResponseCode):
            return Failure(admitted)
        # C12.22, 5.3.2.4.12: never longer than was asked for, where it was.
        period = max(min(request.period or admitted.period, admitted.period), LEAST_PERIOD)
        title = admitted.title
        if not self.learn(request, source, title=title, period=period, now=now, mode=mode):
            return Failure(ResponseCode.BSY)
        return Registered(admitted.title, admitted.delay, period, admitted.info)

    def learn(
        self,
        request: Register,
        source: Hashable,
        *,
        title: ApTitle,
        period: int,
        now: float,
        mode: SecurityMode = SecurityMode.CLEAR,
    ) -> bool:
        """Take over a registration that somebody has admitted; False: there is no room for it.

        Args:
            request: what the node said.
            source: where from.
            title: what it is called.
            period: seconds until it has to register again.
            now: seconds of UTC.
            mode: how its message was protected.
        """
        try:
            native = NativeAddress.decode(request.native) if request.native else address_of(source)
        except DecodeError:  # of another network than IP: the node is where the message came from
            native = address_of(source)
        entry = Registration(
            *(title, request.serial, native, source, request.node_type, request.connection),
            *(request.device_class, now, now + period, self._relay_of(source, title), mode),
        )
        if not self._has_room(entry):
            return False
        self._put(entry)
        return True

    def deregister(self, title: ApTitle) -> Registration | None:
        """Forget a registration, and return it; whether that is right is for the caller to say."""
        return self._forget(title.name) if title.name in self._all else None

    def find(self, title: ApTitle) -> Registration | None:
        """Return who is registered under a title, absolute or relative."""
        return self._all.get(title.name)

    def get(self, name: bytes) -> Registration | None:
        """Return who is registered under the title whose arcs are these octets."""
        return self._all.get(name)

    def route(self, title: ApTitle) -> Hashable:
        """Return where to send what is for a title: a source, a native address; None: nowhere."""
        entry = self._nearest(title)
        return None if entry is None else entry.source

    def reach(self, title: ApTitle, alive: Callable[[Hashable], bool]) -> Hashable:
        """Return where to send what is for a title, where connections may have ended.

        Args:
            title: whom it is for.
            alive: tells whether there is still a way to a source.

        Returns:
            None: nowhere: its connection has ended, and it did not say where it listens.
        """
        entry = self._nearest(title)
        if entry is None or alive(entry.source):
            return None if entry is None else entry.source
        return None if entry.native == address_of(entry.source) else entry.native

    def _nearest(self, title: ApTitle) -> Registration | None:
        """Return the first relay on the way to a title, or who has it."""
        entry = self.find(title)
        for _ in range(MAX_TITLES):
            relay = None if entry is None or entry.via is None else self.find(entry.via)
            if relay is None:
                break
            entry = relay
        return entry

    def is_relay(self, title: ApTitle | None, source: Hashable) -> bool:
        """Tell whether a title is that of a registered relay, on whose way a message came."""
        relay = None if title is None else self.find(title)
        if relay is None or not relay.node_type & RELAYS:
            return False
        return same_place(self.route(relay.title), source)

    def expire(self, now: float) -> list[Registration]:
        """Forget what has ended, and return it."""
        return [self._forget(name) for name in self._ends.take(now)]

    def next_timer(self) -> float | None:
        """Return when the next registration ends."""
        return self._ends.next_timer()

    def snapshot(self) -> list[Row]:
        """Return all of it as plain values."""
        return [row_of(each) for each in self._all.values()]

    def restore(self, rows: Iterable[Row], *, now: float) -> None:
        """Take back what ``snapshot`` gave, but for what has ended since; nobody is asked."""
        for row in rows:
            if row.expires_at > now and len(self._all) < self._most:
                self._put(from_row(row))

    def _put(self, entry: Registration) -> None:
        self.deregister(entry.title)
        name = entry.title.name
        self._all[name] = entry
        self._hosts[blamed(entry.source)] += 1
        near = entry.source is not None and entry.via is None
        if near and entry.node_type & RELAYS:
            self._relays[entry.source] = entry.title
        self._ends.note(name, entry.expires_at)

    def _forget(self, name: bytes) -> Registration:
        entry = self._all.pop(name)
        self._ends.note(name, None)
        host = blamed(entry.source)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        if self._relays.get(entry.source) == entry.title:
            del self._relays[entry.source]
        return entry

    def _relay_of(self, source: Hashable, title: ApTitle) -> ApTitle | None:
        relay = self._relays.get(source)
        return None if relay is None or relay.name == title.name else relay

    def _has_room(self, entry: Registration) -> bool:
        known = self._all.get(entry.title.name)
        if known is None and len(self._all) >= self._most:
            return False
        host = blamed(entry.source)
        renewed = known is not None and blamed(known.source) == host
        return renewed or entry.via is not None or self._hosts[host] < self._of_host
