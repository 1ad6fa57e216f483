"""The meter as a station of C12.22: its node, its registration, and what it tells its host."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from openami.c1222.codes import SecurityMode
from openami.c1222.node import MessageRefused, Node, NodeConfig, SessionBegan
from openami.c1222.node.registering import (
    Joined,
    NotJoined,
    Registering,
    RegisteringConfig,
    Told,
)
from openami.c1222.repeats import ReplayCache
from openami.c1222.security import Keys
from openami.c1222.segments import Reassembler
from openami.c1222.services import Write, WriteOffset
from openami.c1222.station import Outgoing
from openami.c1222.tables import locate, standard
from openami.c1222.titles import ApTitle
from openami.core.errors import LocalProtocolError, RemoteProtocolError, SecurityError, StoreError
from openami.meter.c1222 import events
from openami.meter.c1222.device import SESSIONS, MeterTables, Place
from openami.meter.c1222.fixed import DEVICE_CLASS
from openami.meter.c1222.ids import InvocationIds
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.c1222.apdu import Apdu
    from openami.c1222.native import NativeAddress
    from openami.c1222.node import NodeEvent
    from openami.c1222.node.registering import RegisteringEvent
    from openami.fleet.shipment import ShippedC1222
    from openami.meter.device import Meter

STATUS: Final = standard(3)
LOG: Final = standard(76)
PAUSE_S: Final = 10.0
"""Seconds until a memory that cannot be written is tried again for what is to be sent."""
MOST_TOLD: Final = 8
"""Events in one notification: what it holds goes into one datagram, almost."""

_FRAUD: Final = {
    "security.password": Event.AUTHENTICATION_FAILED,
    "security.tag": Event.DECIPHERING_FAILED,
    "security.key-id": Event.DECIPHERING_FAILED,
    "security.nonce": Event.DECIPHERING_FAILED,
    "security.replay": Event.REPLAY_DETECTED,
    "security.mode": Event.ASSOCIATION_REFUSED,
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Registrar:
    """With whom the meter registers.

    Args:
        address: where it is.
        title: its ApTitle.
    """

    address: NativeAddress
    title: ApTitle


@dataclass(frozen=True, slots=True)
class StationConfig:
    """How a meter takes part.

    Args:
        material: its title, its keys, its user.
        least: messages that are protected less are not looked at.
        registrar: with whom it registers, if with anybody.
    """

    material: ShippedC1222 = field(repr=False)
    least: SecurityMode = SecurityMode.CLEAR
    registrar: Registrar | None = None


class MeterStation:
    """A ``Station`` over a meter.

    What a request changes is kept before it is answered; without that there is no answer, and the
    client asks again. While management is away nobody hears and nothing is sent, and after it all
    sessions are over.

    Args:
        meter: the meter.
        config: how it takes part.
        chance: returns a number by chance, from 0 to less than 1.

    Attributes:
        tables: what it serves.
        rested: called when no answer of the registrar is waited for.
    """

    def __init__(self, meter: Meter, config: StationConfig, *, chance: Callable[[], float]) -> None:
        self.meter = meter
        self.config = config
        self.rested: Callable[[], None] = lambda: None
        self._record = meter.c1222
        self._ids = InvocationIds(self._record, meter.commit)
        self._keys = Keys(config.material.keys)
        self._title = ApTitle.parse(config.material.title)
        self._replays = ReplayCache(floor=self._record.newest or float("-inf"))
        self.tables = MeterTables(
            meter,
            config.material,
            replays=self._replays,
            place=self._place,
            leave=lambda: self.leave(now=self._now),
        )
        self._now = self._not_before = 0.0
        self._native = b""
        self._restarts = meter.management.restarts
        self._reassembler = Reassembler()
        self._node = self._begin()
        self._out: list[Outgoing] = []
        self._telling: dict[str, int] | None = None
        self._silent_since: dict[str, int] | None = None
        self._registering = self._registration(chance)

    @property
    def joined(self) -> bool:
        """Whether it is registered."""
        return self._registering is not None and self._registering.joined

    @property
    def leaving(self) -> bool:
        """Whether it waits for an answer of its registrar."""
        return self._registering is not None and self._registering.busy

    # What a transport does.

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take one message or segment and return what to send back; see ``Station``."""
        self._now = now
        if self._deaf() or not self._ready():
            return ()
        try:
            apdu = self._reassembler.receive(data, now=now, source=source)
        except RemoteProtocolError as error:
            log.debug("no message", source=str(source), code=error.code)
            return ()
        if apdu is None:
            return ()
        out = self._take(apdu, source, now, largest)
        self._settle()
        return out if self.kept() else ()

    def outgoing(self) -> tuple[Outgoing, ...]:
        """Return what to send to the registrar, once."""
        self._collect()
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        registering = self._registering
        timers = [self._node.next_timer(), self._reassembler.next_timer()]
        if registering is not None and not self.meter.management.away:
            timers.append(registering.next_timer())
        due = min((timer for timer in timers if timer is not None), default=None)
        return due if due is None else max(due, self._not_before)

    def handle_timer(self, *, now: float) -> None:
        """Do what is due."""
        self._now = now
        self._reassembler.handle_timer(now=now)
        self._node.handle_timer(now=now)
        if self._deaf() or not self._ready():
            return
        if self._registering is not None:
            self._registering.handle_timer(now=now)
        self._settle()

    # What the meter does.

    def start(self, *, now: float, native: bytes = b"") -> None:
        """Register, since the power is back.

        Args:
            now: seconds of UTC.
            native: where it can be reached; empty: where its messages come from.
        """
        self._now = now
        registering = self._registering
        if registering is not None:
            self._native = native
            registering.config = replace(registering.config, native=native)
            after = 0.0 if self._ready() else PAUSE_S
            registering.start(now=now, delay=self._record.delay, after=after)

    def look(self, *, now: float) -> None:
        """Tell the host what has happened in the meter since the last look."""
        self._now = now
        self.tables.events.follow()
        if not self._deaf() and self.joined and self._ready():
            self._tell()

    def leave(self, *, now: float) -> None:
        """Deregister, and stay off the network until the meter starts again."""
        if self._registering is not None and not self._deaf() and self._ready():
            self._registering.stop(now=now)

    def give_back(self) -> None:
        """End in good order: ids that were not used are not lost."""
        self._ids.give_back()

    def kept(self) -> bool:
        """Keep what must be kept before anybody is told; tell whether it is."""
        with suppress(StoreError):  # not answered, and asked again
            if self.meter.due:
                self.meter.commit()
        return not self.meter.urgent

    # Inside.

    def _begin(self) -> Node:
        config = NodeConfig(self._title, self._keys, self.config.least, SESSIONS)
        return Node(config, self.tables, ids=self._ids.take, replays=self._replays)

    def _registration(self, chance: Callable[[], float]) -> Registering | None:
        registrar, keys = self.config.registrar, self.config.material.keys
        if registrar is None:
            return None
        config = RegisteringConfig(
            self._title,
            registrar.title,
            self._title.absolute(),
            device_class=DEVICE_CLASS,
            keys=self._keys,
            key_id=min(keys),
        )
        return Registering(config, chance=chance, ids=self._ids.take)

    def _deaf(self) -> bool:
        """Tell whether nobody hears; after a restart, begin with nothing of what was before."""
        management = self.meter.management
        if self._restarts != management.restarts:
            self._restarts = management.restarts
            self._reassembler = Reassembler()
            self._node = self._begin()
            self._out.clear()
            self._telling = None
            if self._registering is not None:
                self._registering.forget()
            if not management.away:
                self.start(now=self._now, native=self._native)
        return management.away

    def _ready(self) -> bool:
        """Tell whether there are ids for what is to be sent; without them it would be lost."""
        try:
            self._ids.reserve()
        except StoreError:  # the memory has told
            self._not_before = self._now + PAUSE_S
            return False
        return True

    def _take(
        self, apdu: Apdu, source: Hashable, now: float, largest: int | None
    ) -> tuple[bytes, ...]:
        if apdu.answers is not None:
            if self._registering is not None:
                self._registering.receive(apdu.octets, now=now)
            return ()
        return self._node.receive(apdu.octets, source=source, now=now, largest=largest)

    def _settle(self) -> None:
        while (happened := self._node.next_event()) is not None:
            self._note(happened)
        registering = self._registering
        while registering is not None and (event := registering.next_event()) is not None:
            self._heard(event)
        if self.joined:
            self._tell()
        if not self.leaving:
            self.rested()

    def _note(self, event: NodeEvent) -> None:
        log.debug("client of C12.22", what=type(event).__name__, detail=event)
        if isinstance(event, SessionBegan):
            self.meter.note(Event.ASSOCIATION_OPENED)
        elif isinstance(event, MessageRefused) and event.code in _FRAUD:
            self.meter.note(_FRAUD[event.code])

    def _heard(self, event: RegisteringEvent) -> None:
        if isinstance(event, Joined):
            log.info("registered", title=str(event.title), until=event.until)
            self._record.delay = event.delay
            self._silent_since = None
            self._node.config = replace(self._node.config, title=event.title)
        elif isinstance(event, NotJoined):
            code = "silence" if event.code is None else event.code.name
            log.warning("not registered", registrar=str(self.config.registrar), code=code)
        elif isinstance(event, Told):
            self._answered(taken=event.taken)

    def _place(self) -> Place:
        registering, registrar = self._registering, self.config.registrar
        if registering is None or registrar is None:
            return Place(str(self._title))
        until = registering.until
        return Place(str(registering.title), str(registrar.title), registering.joined, until)

    def _collect(self) -> None:
        if self._registering is None or self.config.registrar is None:
            return
        to = self.config.registrar.address
        self._out += [Outgoing(to, each) for each in self._registering.data_to_send()]

    # Notifications.

    def _tell(self) -> None:
        """Write status and new exceptions into the host's image of the meter's tables."""
        engine, registering = self.meter.engine, self._registering
        marks = events.marks(engine)
        # Who did not answer is told when something else happens, or when it is registered with.
        if registering is None or self._telling or marks in (self._record.told, self._silent_since):
            return
        new = self._new_exceptions()
        if not new:
            self._record.told = marks
            return
        octets = self.tables.table(LOG)
        layout = self.tables.memory.tables.layout(LOG)
        requests = [Write(STATUS.wire, self.tables.table(STATUS))]
        writes = []
        for place in new[-MOST_TOLD:]:
            span = locate(layout, f"ENTRIES[{place}]")
            writes.append(WriteOffset(LOG.wire, span.offset, octets[span.offset : span.end]))
        try:
            registering.notify(*requests, *writes, now=self._now)
        except (LocalProtocolError, SecurityError) as error:
            log.warning("nothing told", code=error.code, reason=error.message)
            return
        self._telling = marks

    def _new_exceptions(self) -> list[int]:
        """Return the places in ST-76 of what the host has not been told of."""
        told = self._record.told
        return [
            place
            for place, each in enumerate(self.tables.events.newest())
            if each.sequence > told.get(str(int(each.ring)), 0) and each.code in events.EXCEPTIONS
        ]

    def _answered(self, *, taken: bool) -> None:
        if self._telling is None:
            return
        if taken:
            self._record.told = self._telling
        else:
            self._silent_since = self._telling
        self._telling = None
