"""Who is paired with a meter: the port ``PairingDesk`` over the meter's memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_bytes
from typing import TYPE_CHECKING, Final, NamedTuple

from openami.core.errors import StoreError
from openami.crypto.keywrap import wrap
from openami.dlms.cosem.pairing import Display
from openami.dlms.home.messages import Place
from openami.dlms.home.throttle import CodeThrottle
from openami.dlms.security import Keys
from openami.meter.counters import AssociationCounters, OwnCounter, fingerprint
from openami.meter.home.record import DisplayRecord, HomeRecord
from openami.metrology.clock import SECOND
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.core.identifiers import SystemTitle
    from openami.meter.device import Meter
    from openami.meter.identity import MeterIdentity

HOME_CLIENTS: Final = (0x30, 0x31, 0x32, 0x33)
"""SAPs of the displays: one for the wall, two for telephones, and one to spare."""

NO_KEYS: Final = Keys()


class Lock(NamedTuple):
    """What opens one place: its keys (none while it is free), and their counters."""

    keys: Keys
    counters: AssociationCounters


@dataclass(frozen=True, slots=True)
class Host:
    """The meter, as its desk sees it.

    Args:
        world: tells the world's time in UTC seconds.
        keep: writes an event down and commits; raises ``StoreError`` if it cannot.
        commit: commits; raises as ``keep``.
        random: returns octets from a cryptographic source.
    """

    world: Callable[[], float]
    keep: Callable[[Event], None]
    commit: Callable[[], None]
    random: Callable[[int], bytes]


class HomeDesk:
    """Gives places to displays and takes them away.

    Args:
        identity: the meter's.
        record: what its memory held.
        host: the meter.

    Attributes:
        changed: called with the SAP of a place that has other keys now.
    """

    def __init__(self, identity: MeterIdentity, record: HomeRecord, host: Host) -> None:
        self._identity = identity
        self._host = host
        self._throttle = record.throttle
        self._unlogged = record.unlogged
        self._displays = {each.client: each for each in record.displays}
        self._own: dict[int, OwnCounter] = {}
        self._locks = {client: self._lock(client) for client in HOME_CLIENTS}
        self.changed: Callable[[int], None] = lambda _client: None

    @property
    def title(self) -> SystemTitle:
        return self._identity.system_title

    @property
    def code(self) -> bytes | None:
        code = self._identity.home
        return None if code is None else code.encode("ascii")

    @property
    def places(self) -> int:
        return len(HOME_CLIENTS)

    @property
    def displays(self) -> Sequence[Display]:
        return [
            Display(each.client, each.title, each.name, each.since)
            for each in self._displays.values()
        ]

    @property
    def random(self) -> Callable[[int], bytes]:
        """Returns octets from a cryptographic source."""
        return self._host.random

    @property
    def record(self) -> HomeRecord:
        """What the memory must hold."""
        displays = tuple(
            replace(
                each,
                counter=self._own[client].limit,
                accepted=self._locks[client].counters.last,
            )
            for client, each in sorted(self._displays.items())
        )
        return HomeRecord(self._throttle, displays, self._unlogged)

    def lock(self, client: int) -> Lock:
        """Return what opens a place."""
        return self._locks[client]

    def start(self) -> None:
        """Write down what happened while the meter was off."""
        if self._unlogged:
            self._unlogged = 0
            with suppress(StoreError):  # the memory has told: both are kept with the next commit
                self._host.keep(Event.DISPLAY_FORGOTTEN)

    def give_back(self) -> None:
        """Give back counters that were reserved and not used."""
        for own in self._own.values():
            own.give_back()

    def wait(self) -> int:
        return self._throttle.wait(self._host.world())

    def failed(self) -> None:
        self._throttle = self._throttle.failed(self._host.world())
        self._host.keep(Event.PAIRING_REFUSED)

    def take(self, title: SystemTitle, name: str) -> Place | None:
        client = self._place(title)
        if client is None:
            return None
        place = Place.draw(client, self.title, self._identity.serial, self._host.random)
        both = (place.keys.guek or b"") + (place.keys.gak or b"")
        wrapped = wrap(self._identity.keys.master, both)
        since = int(self._host.world())
        display = DisplayRecord(client, title, name, since, place.keys, wrapped)
        self._change(Event.DISPLAY_PAIRED, {**self._displays, client: display}, (client,))
        return place

    def forget(self, client: int | None) -> bool:
        gone = [each for each in self._displays if client in {None, each}]
        left = {each: found for each, found in self._displays.items() if each not in gone}
        if gone:
            self._change(Event.DISPLAY_FORGOTTEN, left, gone)
        return bool(gone)

    def _place(self, title: SystemTitle) -> int | None:
        """Return the place that a display had, or a free one."""
        for client, display in self._displays.items():
            if display.title == title:
                return client
        return next((each for each in HOME_CLIENTS if each not in self._displays), None)

    def _change(
        self, event: Event, displays: dict[int, DisplayRecord], changed: Sequence[int]
    ) -> None:
        """Let others be paired, once that is kept; else all is as it was."""
        before = self._displays, self._throttle, dict(self._locks), dict(self._own)
        self._displays = displays
        self._throttle = CodeThrottle() if event is Event.DISPLAY_PAIRED else self._throttle
        self._locks.update({client: self._lock(client) for client in changed})
        try:
            self._host.keep(event)
        except StoreError:
            self._displays, self._throttle, self._locks, self._own = before
            raise
        for client in changed:
            self.changed(client)

    def _lock(self, client: int) -> Lock:
        """Return the lock of a place as who has it now was given it."""
        found = self._displays.get(client)
        own = OwnCounter(0 if found is None else found.counter, self._host.commit)
        self._own[client] = own
        if found is None:
            return Lock(NO_KEYS, AssociationCounters(own, b"", {}))
        key = found.keys.guek or b""
        accepted = {fingerprint(key): found.accepted}
        return Lock(found.keys, AssociationCounters(own, key, accepted))


def desk_of(meter: Meter, record: HomeRecord) -> HomeDesk:
    """Return the desk of a meter, whose objects follow what is changed at it."""

    def keep(event: Event) -> None:
        if event is Event.PAIRING_REFUSED:
            meter.note(event)
        else:
            meter.engine.record(event)
        meter.commit()

    def world() -> float:
        return meter.engine.state.world / SECOND

    desk = HomeDesk(meter.config.identity, record, Host(world, keep, meter.commit, token_bytes))
    desk.changed = lambda client: meter.model.homes.unlock(client, desk.lock(client))
    return desk
