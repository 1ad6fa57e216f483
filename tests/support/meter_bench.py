"""A whole meter on a bench: its memory, its clock, and clients over the real machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import (
    Answered,
    ClientConfig,
    DlmsClient,
    GetAttribute,
    InvokeMethod,
    Item,
    Opened,
    SecurityLevel,
    SetAttribute,
)
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcServerLink
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.security import Keys
from openami.dlms.wrapper import WrapperClientLink, WrapperServerLink
from openami.meter.device import Meter
from openami.meter.identity import generate_identity, seeded
from openami.meter.server import MeterServer
from openami.meter.settings import MeterConfig
from openami.metrology.memory import MeterCommit, MeterImage, MeterMemory, VolatileMemory
from openami.metrology.sources import ConstantSource, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.dlms.client import ClientEvent, Request
    from openami.dlms.data import Data, Encodable
    from openami.dlms.references import Selection
    from openami.metrology.sources import Source

START: Final = 1_774_742_400.0  # 2026-03-29T00:00:00Z, a Sunday
KILOWATT: Final = ConstantSource(Sample(1_000_000, 250_000))
TITLE: Final = SystemTitle.of("CLI", 77)
PUBLIC, READER, MANAGEMENT = 16, 2, 1


class FailingMemory:
    """A memory that is full while ``full`` says so."""

    def __init__(self) -> None:
        self.memory = VolatileMemory()
        self.full = False
        self.commits = 0

    def load(self, meter: str) -> MeterImage | None:
        return self.memory.load(meter)

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        if self.full:
            raise StoreFullError("no room")
        self.commits += 1
        self.memory.commit(commits)


class Bench:
    """One meter; ``restart`` takes it up again from what its memory holds."""

    def __init__(
        self,
        *,
        phases: int = 1,
        memory: MeterMemory | None = None,
        source: Source = KILOWATT,
        **settings: Any,
    ) -> None:
        identity = generate_identity(7, seeded("bench"), phases=phases)
        self.config = MeterConfig(identity, **settings)
        self.memory: MeterMemory = VolatileMemory() if memory is None else memory
        self.clock = ManualClock(START)
        self.source = source
        self.meter = self._make()
        self.counter = 1

    def _make(self) -> Meter:
        return Meter(self.config, memory=self.memory, source=self.source, clock=self.clock.now)

    def restart(self, *, after: float = 0.0) -> Meter:
        self.clock.advance(after)
        self.meter = self._make()
        return self.meter

    def run(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.meter.refresh()

    def client(self, sap: int, **changes: Any) -> Session:
        return Session(self, sap, self.config_of(sap, **changes))

    def config_of(self, sap: int, **changes: Any) -> ClientConfig:
        keys = self.config.identity.keys
        known = Keys(guek=keys.guek, gak=keys.gak)
        config = {
            PUBLIC: ClientConfig(),
            READER: ClientConfig(mechanism=Mechanism.LLS, secret=keys.lls),
            MANAGEMENT: ClientConfig(
                mechanism=Mechanism.HLS_GMAC,
                keys=known,
                title=TITLE,
                security=SecurityLevel.BOTH,
                invocation_counter=self.counter,
            ),
        }[sap]
        self.counter += 1000
        return replace(config, **changes)


class Session:
    """A client of the meter, over the wrapper or HDLC, wired back to back."""

    def __init__(self, bench: Bench, sap: int, config: ClientConfig, *, hdlc: bool = False) -> None:
        meter = bench.meter
        client: Any = WrapperClientLink(sap, 1)
        server: Any = WrapperServerLink()
        if hdlc:
            client = HdlcClientLink(sap, HdlcAddress(1, meter.station, 4))
            server = HdlcServerLink(meter.station)
        self.server = MeterServer(meter, server, random_octets=seeded("server"))
        self.machine = DlmsClient(client, config, random_octets=seeded("client"))
        self.events: list[ClientEvent] = []
        self.now = 0.0

    def step(self) -> None:
        for _ in range(100_000):
            out = self.machine.data_to_send()
            for piece in out:
                self.server.receive_data(piece, now=self.now)
            back = self.server.data_to_send()
            for piece in back:
                self.machine.receive_data(piece, now=self.now)
            if not out and not back:
                break
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)

    def open(self) -> ClientEvent:
        self.machine.open(now=self.now)
        self.step()
        return self.events[-1]

    def opened(self) -> Session:
        event = self.open()
        assert isinstance(event, Opened), event
        return self

    def ask(self, request: Request) -> Item:
        self.machine.request(request, now=self.now)
        self.step()
        event = self.events[-1]
        assert isinstance(event, Answered), event
        return event.items[0]

    def get(self, name: str, attribute: int = 2, selection: Selection | None = None) -> Item:
        return self.ask(GetAttribute(reference(name, attribute), selection))

    def data(self, name: str, attribute: int = 2, selection: Selection | None = None) -> Data:
        item = self.get(name, attribute, selection)
        assert item.ok, (name, attribute, item.result)
        return item.data

    def set(self, name: str, attribute: int, value: Encodable) -> Item:
        return self.ask(SetAttribute(reference(name, attribute), value))

    def invoke(self, name: str, method: int, parameter: Encodable | None = None) -> Item:
        class_id, obis = name.split("/")
        ref = MethodRef(int(class_id), Obis.parse(obis), method)
        return self.ask(InvokeMethod(ref, parameter))


def reference(name: str, attribute: int) -> AttributeRef:
    """Return the reference of ``3/1.0.1.8.0.255``."""
    class_id, obis = name.split("/")
    return AttributeRef(int(class_id), Obis.parse(obis), attribute)
