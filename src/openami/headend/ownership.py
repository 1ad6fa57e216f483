"""Which DCU may speak of which meter: a DCU that was broken into can harm its own meters only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from openami.core.errors import NotFoundError, SecurityError
from openami.core.recent import Recent
from openami.fleet.devices import DeviceKind, LifecycleState, Sighting, device_id
from openami.fleet.ports import MAX_PAGE, DeviceFilter

if TYPE_CHECKING:
    from collections.abc import Collection

    from openami.core.clock import Clock
    from openami.fleet.ports import DeviceStore

REMEMBERED: Final = 1024  # DCUs, each with some hundred serial numbers: tens of megabytes at most
NAMED: Final = 5  # serial numbers in a refusal: enough to find the mistake


class Sorted(NamedTuple):
    """Serial numbers by what a DCU has to do with them."""

    mine: frozenset[str]
    unknown: frozenset[str]
    foreign: frozenset[str]


class Ownership:
    """Answers from memory for the DCUs that were last heard, from the registry for the rest."""

    def __init__(self, devices: DeviceStore, *, clock: Clock) -> None:
        self._devices = devices
        self._clock = clock
        self._lock = threading.Lock()
        self.deciding = threading.Lock()
        """Held from finding that a meter is nobody's until it is somebody's."""
        self._known: Recent[str, frozenset[str]] = Recent(REMEMBERED)

    def sort(self, dcu: str, meters: Collection[str]) -> Sorted:
        """Tell which of ``meters`` are the DCU's, which nobody's, which another's.

        A meter whose DCU is retired is nobody's.
        """
        named = frozenset(meters)
        rest = named - self.meters(dcu)
        free, foreign = set[str](), set[str]()
        for serial in rest:
            owner = self._owner(serial)
            if owner == dcu:
                continue
            (free if owner is None else foreign).add(serial)
        return Sorted(named - free - foreign, frozenset(free), frozenset(foreign))

    def claim(self, dcu: str, meters: Collection[str]) -> None:
        """Return if ``dcu`` may speak of ``meters``; those that are nobody's become its own.

        Raises:
            SecurityError: ``fleet.not-yours``, one of them belongs to another DCU.
        """
        found = self.sort(dcu, meters)
        if found.unknown:
            with self.deciding:  # of two DCUs that claim the same meter, one is told
                found = self.sort(dcu, meters)
                if not found.foreign:
                    self._adopt(dcu, found.unknown)
        if found.foreign:
            some = ", ".join(sorted(found.foreign)[:NAMED])
            raise SecurityError(
                f"{len(found.foreign)} of the meters belong to another DCU: {some}",
                code="fleet.not-yours",
                hint="an operator can assign a meter to another DCU",
            )

    def _adopt(self, dcu: str, meters: Collection[str]) -> None:
        sightings = [Sighting(DeviceKind.METER, serial, dcu=dcu) for serial in sorted(meters)]
        self._devices.sight(sightings, now=self._clock.now())
        self.forget(dcu)

    def forget(self, *dcus: str | None) -> None:
        """Ask the registry again about these DCUs: their meters have changed."""
        with self._lock:
            for dcu in dcus:
                if dcu is not None:
                    self._known.pop(dcu, None)

    def meters(self, dcu: str) -> frozenset[str]:
        """Return the serial numbers of a DCU's meters."""
        with self._lock:
            known = self._known.get(dcu)
            if known is not None:
                self._known.move_to_end(dcu)
                return known
        known = self._load(dcu)
        with self._lock:
            self._known[dcu] = known
        return known

    def _load(self, dcu: str) -> frozenset[str]:
        which = DeviceFilter(kind=DeviceKind.METER, dcu=dcu)
        found, after = set[str](), None
        while True:
            page = self._devices.list(which, after=after, limit=MAX_PAGE)
            found.update(device.serial for device in page.items)
            if page.next is None:
                return frozenset(found)
            after = page.next

    def _owner(self, serial: str) -> str | None:
        """Return the DCU of a meter, None if it has none that is in use."""
        try:
            meter = self._devices.get(device_id(DeviceKind.METER, serial))
            if meter.dcu is None:
                return None
            owner = self._devices.get(device_id(DeviceKind.DCU, meter.dcu))
        except NotFoundError:
            return None
        return None if owner.state is LifecycleState.RETIRED else owner.serial
