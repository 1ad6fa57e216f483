"""A host and its nodes in memory, in a time of their own."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from tests.support.c1222_device import KEY_ID, START, TableDevice

from openami.c1222.client import Answered, Client, ClientConfig
from openami.c1222.codes import Connection, NodeType, ResponseCode, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network.host import Host, HostConfig, Partner
from openami.c1222.network.registrations import Admitted, Registrations
from openami.c1222.node import Node, NodeConfig
from openami.c1222.security import Keys
from openami.c1222.services import Register
from openami.c1222.station import Peer
from openami.c1222.titles import ApTitle

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.c1222.network.host_events import HostEvent
    from openami.c1222.network.registrations import Application
    from openami.c1222.services import Request, Response

HOST: Final = ApTitle.parse(".123.4")


def key_of(number: int) -> bytes:
    """Return the key of a node."""
    return number.to_bytes(16)


class HouseRule:
    """Lets everybody in who shows a key, for an hour."""

    def admit(self, application: Application, *, now: float) -> Admitted | ResponseCode:
        del now
        if application.mode is SecurityMode.CLEAR:
            return ResponseCode.SME
        return Admitted(application.request.title, 3600)


class Meter:
    """One node of the town: it is asked, and it asks its host itself."""

    def __init__(self, number: int, *, mode: SecurityMode = SecurityMode.ENCRYPTED) -> None:
        self.title = ApTitle.parse(f".123.{1000 + number}")
        self.address = NativeAddress.of("127.0.0.1", 20_000 + number, Transport.UDP)
        self.source: Hashable = Peer(self.address)
        self.device = TableDevice()
        self.keys = Keys({KEY_ID: key_of(number)})
        self.node = Node(NodeConfig(self.title, self.keys), self.device, first_id=number * 1000)
        self.client = Client(
            ClientConfig(self.title, HOST, self.keys, KEY_ID, mode), first_id=number * 1000 + 500
        )
        self.reachable = True

    def register(self, period: int = 600) -> Register:
        serial = ApTitle.parse("2.16.124.113620.1.22.0.7")
        kind = NodeType.END_DEVICE
        return Register(kind, Connection(0), b"OAMI", self.title, serial, b"", period)


class Town:
    """A host, and meters that it can reach."""

    def __init__(self, meters: int = 2, *, retries: int = 1, heard: float = 0.0) -> None:
        self.now = START
        self.meters = [Meter(number) for number in range(1, meters + 1)]
        self.by_source = {meter.source: meter for meter in self.meters}
        self.strangers_asked: list[ApTitle] = []
        ids = count(7)
        self.host = Host(
            HostConfig(HOST, retries=retries),
            Registrations(HouseRule()),
            self.partner_of,
            chance=lambda: next(ids) * 1_000_003 & 0xFFFF_FFFF,
            heard=heard,
        )

    def partner_of(self, title: ApTitle) -> Partner | None:
        for meter in self.meters:
            if meter.title.name == title.name:
                return Partner(meter.keys, KEY_ID)
        self.strangers_asked.append(title)
        return None

    def tell(self, meter: Meter, *requests: Request) -> tuple[Response, ...] | None:
        """Have a meter ask its host; return the answers, None: there were none."""
        meter.client.ask(*requests, now=self.now)
        for message in meter.client.data_to_send():
            for answer in self.host.receive(message, source=meter.source, now=self.now):
                meter.client.receive(answer, now=self.now)
        while (event := meter.client.next_event()) is not None:
            if isinstance(event, Answered):
                return event.responses
        return None

    def carry(self) -> int:
        """Bring what the host sends to the meters, and their answers back."""
        carried = 0
        while out := self.host.outgoing():
            for each in out:
                meter = self.by_source.get(each.to)
                if meter is None or not meter.reachable:
                    continue
                carried += 1
                for answer in meter.node.receive(each.message, source="host", now=self.now):
                    self.host.receive(answer, source=meter.source, now=self.now)
        return carried

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.host.handle_timer(now=self.now)

    def events(self) -> list[HostEvent]:
        return list(iter(self.host.next_event, None))
