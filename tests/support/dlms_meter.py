"""A small meter and a client, back to back in memory and in virtual time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openami.core.clock import ManualClock
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dlms import data as d
from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.client import (
    Answered,
    ClientConfig,
    ClientEvent,
    DlmsClient,
    Request,
    SecurityLevel,
)
from openami.dlms.cosem import (
    FOR_ALL,
    AssociationLn,
    ClientKind,
    Clock,
    CosemObject,
    DataObject,
    KeptCounters,
    MemoryProfile,
    ProfileGeneric,
    Register,
    SapAssignment,
    SecuritySetup,
)
from openami.dlms.datetime import CosemDateTime
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcServerLink
from openami.dlms.references import AttributeRef, CaptureObject
from openami.dlms.security import Keys
from openami.dlms.server import DlmsServer, LogicalDevice, ServerEvent
from openami.dlms.wrapper import WrapperClientLink, WrapperServerLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEYS = Keys(guek=bytes(range(16)), gak=bytes(range(0xD0, 0xE0)))
MASTER = bytes(range(0x50, 0x60))
SERVER_TITLE = SystemTitle.of("OAM", 1)
CLIENT_TITLE = SystemTitle.of("OAM", 0xC0)
PASSWORD = b"password"
NOON = 1_767_225_600.0  # 2026-01-01T00:00:00Z
PUBLIC, MANAGER, READER, CIPHERED_READER = 16, 1, 2, 3
ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
PROFILE = AttributeRef(7, Obis.parse("1.0.99.1.0.255"), 2)
NOTE = AttributeRef(1, Obis.parse("0.0.96.1.9.255"), 2)
NAME = AttributeRef(1, Obis.parse("0.0.42.0.0.255"), 2)
CLOCK_COLUMN = CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2)
ENERGY_COLUMN = CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2)
LOOPS = 200_000


@dataclass
class Meter:
    """The objects of a meter, and handles on what lies behind them."""

    device: LogicalDevice
    wall: ManualClock
    security: SecuritySetup
    profile: MemoryProfile
    objects: dict[str, CosemObject] = field(default_factory=dict)


def make_meter(
    *, rows: int = 96, max_pdu: int = 1024, policy: int = 0, extra: Sequence[CosemObject] = ()
) -> Meter:
    wall = ManualClock(NOON)
    security = SecuritySetup(
        keys=KEYS, title=SERVER_TITLE, master=MASTER, policy=policy, counters=KeptCounters()
    )
    clock = Clock("0.0.1.0.0.255", wall, zone=-540)
    profile = MemoryProfile(4000)
    for n in range(rows):
        time = NOON + 900 * (n + 1)
        cells = [
            d.octets(CosemDateTime.from_utc(time, -540).encode()).encode(),
            d.u32(n * 7).encode(),
        ]
        profile.append(time, cells)
    both = (ApplicationContext.LN, ApplicationContext.LN_CIPHERED)
    objects: list[CosemObject] = [
        DataObject("0.0.42.0.0.255", d.octets(b"OAM0000000000001"), access=FOR_ALL),
        DataObject(
            "0.0.43.1.0.255",
            lambda: max(0, security.counters.last),
            d.DataType.UINT32,
            access=FOR_ALL,
        ),
        DataObject("0.0.96.1.9.255", d.octets(b"note"), writable=True),
        Register("1.0.1.8.0.255", lambda: 123456, unit=Unit.WH),
        ProfileGeneric(
            "1.0.99.1.0.255",
            profile,
            (CLOCK_COLUMN, ENERGY_COLUMN),
            entries=4000,
            deviation=clock.minutes,
        ),
        clock,
        security,
        SapAssignment({1: b"OAM0000000000001"}),
        AssociationLn("0.0.40.0.1.255", client=PUBLIC, kind=ClientKind.PUBLIC, max_pdu=max_pdu),
        AssociationLn(
            "0.0.40.0.2.255",
            client=READER,
            kind=ClientKind.READER,
            mechanism=Mechanism.LLS,
            secret=PASSWORD,
            contexts=both,
            security=security,
            max_pdu=max_pdu,
        ),
        AssociationLn(
            "0.0.40.0.3.255",
            client=MANAGER,
            kind=ClientKind.MANAGEMENT,
            mechanism=Mechanism.HLS_GMAC,
            contexts=both,
            security=security,
            max_pdu=max_pdu,
        ),
        AssociationLn(
            "0.0.40.0.4.255",
            client=CIPHERED_READER,
            kind=ClientKind.MANAGEMENT,
            contexts=(ApplicationContext.LN_CIPHERED,),
            security=security,
            max_pdu=max_pdu,
        ),
        *extra,
    ]
    device = LogicalDevice(objects)
    return Meter(device, wall, security, profile, {str(o.obis): o for o in objects})


def octets_of(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


CONFIGS = {
    "public": (PUBLIC, ClientConfig()),
    "lls": (READER, ClientConfig(mechanism=Mechanism.LLS, secret=PASSWORD)),
    "hls": (
        MANAGER,
        ClientConfig(mechanism=Mechanism.HLS_GMAC, keys=KEYS, title=CLIENT_TITLE),
    ),
    "hls-both": (
        MANAGER,
        ClientConfig(
            mechanism=Mechanism.HLS_GMAC,
            keys=KEYS,
            title=CLIENT_TITLE,
            security=SecurityLevel.BOTH,
        ),
    ),
}


def config_of(name: str, **changes: Any) -> tuple[int, ClientConfig]:
    sap, config = CONFIGS[name]
    return sap, replace(config, **changes)


class Pair:
    """A client and a server, and what passes between them."""

    def __init__(self, meter: Meter, sap: int, config: ClientConfig, link: str = "wrapper") -> None:
        self.meter = meter
        self.now = 0.0
        self.link = link
        self.server_events: list[ServerEvent] = []
        self.client_events: list[ClientEvent] = []
        self.to_server: Callable[[bytes], bytes] = lambda octets: octets
        self.to_client: Callable[[bytes], bytes] = lambda octets: octets
        self.passed: list[tuple[str, bytes]] = []
        client_link, server_link = self._links(sap)
        self.server = DlmsServer(meter.device, server_link, random_octets=octets_of(1))
        self.client = DlmsClient(client_link, config, random_octets=octets_of(2))

    def _links(self, sap: int) -> tuple[Any, Any]:
        if self.link == "hdlc":
            return HdlcClientLink(sap, HdlcAddress(1, 17, 4)), HdlcServerLink(17)
        return WrapperClientLink(sap, 1), WrapperServerLink()

    def run(self) -> None:
        """Pass octets to and fro until there are none, and let time go on if a timer is set."""
        for _ in range(LOOPS):
            if not (self._forward() or self._back()):
                break
        else:
            raise AssertionError("client and server never come to rest")
        while (event := self.server.next_event()) is not None:
            self.server_events.append(event)
        while (happened := self.client.next_event()) is not None:
            self.client_events.append(happened)

    def _forward(self) -> bool:
        pieces = self.client.data_to_send()
        for piece in pieces:
            self.passed.append(("request", piece))
            self.server.receive_data(self.to_server(piece), now=self.now)
        return bool(pieces)

    def _back(self) -> bool:
        pieces = self.server.data_to_send()
        for piece in pieces:
            self.passed.append(("answer", piece))
            self.client.receive_data(self.to_client(piece), now=self.now)
        return bool(pieces)

    def run_out(self) -> None:
        """Run, and then through every timer, until the client is at rest."""
        self.run()
        for _ in range(100):
            timers = [t for t in (self.client.next_timer(), self.server.next_timer()) if t]
            if not timers or self.client.state.name in ("READY", "CLOSED", "IDLE"):
                return
            self.now = max(self.now, min(timers))
            self.client.handle_timer(now=self.now)
            self.server.handle_timer(now=self.now)
            self.run()

    def open(self) -> ClientEvent:
        self.client.open(now=self.now)
        self.run_out()
        return self.client_events[-1]

    def ask(self, request: Request) -> ClientEvent:
        self.client.request(request, now=self.now)
        self.run_out()
        return self.client_events[-1]

    def answer(self, request: Request) -> Answered:
        event = self.ask(request)
        assert isinstance(event, Answered), event
        return event

    def close(self) -> ClientEvent:
        self.client.close(now=self.now)
        self.run_out()
        return self.client_events[-1]
