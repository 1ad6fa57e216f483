"""Meters of C12.22 as the rest of the head-end sees them: readings, events, contact, faults."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from openami.core.errors import SecurityError, TransportError
from openami.fleet.devices import (
    ITSELF,
    Contact,
    DeviceKind,
    Fault,
    LifecycleState,
    MeterProtocol,
    Sighting,
)
from openami.headend.c1222.errors import NodeRefusedError
from openami.headend.c1222.harvest import LOAD_PROFILE
from openami.headend.c1222.visit import Cursors
from openami.headend.chores import whole
from openami.headend.ingest import SCHEMAS, BatchKind, Upload
from openami.headend.registry import SHUT_OUT, device_news
from openami.headend.reports import ONWARD, WHO
from openami.mdm.readings import INSTANT, join, to_ipc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from openami.core.clock import Clock
    from openami.core.errors import OpenAmiError
    from openami.fleet.nodes import NodeStore
    from openami.fleet.ports import DeviceStore, ReadingStore
    from openami.headend.bus import Bus
    from openami.headend.c1222.visit import Report
    from openami.headend.ingest import Ingest

T = TypeVar("T")
P = ParamSpec("P")

EVENTS: Final = "events"
"""Under this name stands how far a node's event log is stored."""
_BATCH_OCTETS: Final = 16


async def in_thread(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do work in a thread, to its end also if nobody waits for it any more."""
    return await whole(asyncio.to_thread(work, *given, **named))


class Meters:
    """Stores what visits bring."""

    def __init__(
        self,
        devices: DeviceStore,
        nodes: NodeStore,
        readings: ReadingStore,
        ingest: Ingest,
        *,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._devices = devices
        self._nodes = nodes
        self._readings = readings
        self._ingest = ingest
        self._bus = bus
        self._clock = clock
        self._reached: dict[str, Cursors] = {}

    def may_be_read(self, serial: str) -> bool:
        """Return whether a meter is to be read by the head-end itself. Blocks."""
        device = self._devices.get(f"{DeviceKind.METER}-{serial}")
        return device.dcu is None and device.state not in SHUT_OUT

    def cursors(self, serial: str) -> Cursors:
        """Return how far a meter is stored: the store is asked once in a process's life. Blocks."""
        known = self._reached.get(serial)
        if known is None:
            known = self._reached[serial] = self._look(serial)
        return known

    def _look(self, serial: str) -> Cursors:
        times = self._readings.cursors([serial]).get(serial, {})
        node = self._nodes.find(serial)
        logs = {} if node is None else node.logs
        return Cursors(times.get(LOAD_PROFILE), times.get(INSTANT), logs.get(EVENTS))

    async def store(self, serial: str, report: Report) -> None:
        """Return when what a visit brought is durable.

        Raises:
            StoreError, BusyError: it is not; the meter still has it.
        """
        await self._submit(BatchKind.READINGS, report.readings)
        await self._submit(BatchKind.EVENTS, report.events)
        reached = report.reached
        if reached.events is not None and reached.events != self.cursors(serial).events:
            await in_thread(self._nodes.note, serial, {EVENTS: reached.events})
        self._reached[serial] = reached

    async def _submit(self, kind: BatchKind, tables: Sequence[pa.Table]) -> None:
        table = join(tables, SCHEMAS[kind])
        if not table.num_rows:
            return
        body = await in_thread(to_ipc, table)
        digest = hashlib.sha256(body).digest()
        name = hashlib.sha256(kind.encode() + body).hexdigest()[: 2 * _BATCH_OCTETS]
        with self._ingest.room(len(body)):
            await self._ingest.submit(Upload(ITSELF, name, kind, digest, body))

    def came(self, serial: str, report: Report, address: str) -> None:
        """Bring the registry up to date with a visit that went well. Blocks."""
        fault = None if report.fault is None else Fault(*report.fault)
        now = self._clock.now()
        said = Sighting(
            DeviceKind.METER,
            serial,
            address=address,
            contact=Contact.OK,
            last_read=now,
            clock_offset=report.offset_s,
            fault=fault,
            protocol=MeterProtocol.C1222,
        )
        self._sight(said, now)

    def failed(self, serial: str, error: OpenAmiError, address: str, *, lost: bool) -> None:
        """Bring the registry up to date with a visit that failed; ``lost``: again and again."""
        contact = Contact.UNKNOWN
        if isinstance(error, (NodeRefusedError, SecurityError)):
            contact = Contact.REFUSED
        elif lost and isinstance(error, TransportError):
            contact = Contact.UNREACHABLE
        said = Sighting(
            DeviceKind.METER,
            serial,
            address=address,
            contact=contact,
            fault=Fault(error.code, error.message),
        )
        self._sight(said, self._clock.now())

    def _sight(self, said: Sighting, now: float) -> None:
        (device,) = self._devices.sight([said], now=now)
        works = device.contact is Contact.OK and device.state in ONWARD
        if works and device.state is not LifecycleState.IN_SERVICE:
            why = "it works: the head-end reads it"
            moved = self._devices.advance([device.id], ONWARD, who=WHO, when=now, why=why)
            device = moved[0] if moved else device
        self._bus.publish(device_news(device, now))
