"""Stations of C12.22 on real sockets, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.c1222_device import KEY_ID, KEYS, METER, SERVER, TableDevice

from openami.c1222.codes import SecurityMode
from openami.c1222.node import Node, NodeConfig
from openami.transport.c1222.url import NodeUrl
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.c1222.client import ClientConfig
    from openami.c1222.native import NativeAddress
    from openami.c1222.station import Outgoing


@dataclass
class NodeStation:
    """A node with a device in memory; ``out`` goes to others, ``sources`` are who spoke."""

    least: SecurityMode = SecurityMode.CLEAR
    out: list[Outgoing] = field(default_factory=list)
    sources: list[Hashable] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    timer: float | None = None
    fired: int = 0
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.device = TableDevice()
        self.node = Node(NodeConfig(METER, KEYS, self.least), self.device, first_id=1)

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        if self.failure is not None:
            raise self.failure
        self.sources.append(source)
        self.heard.append(data)
        return self.node.receive(data, source=source, now=now, largest=largest)

    def outgoing(self) -> tuple[Outgoing, ...]:
        out, self.out = tuple(self.out), []
        return out

    def next_timer(self) -> float | None:
        timers = [each for each in (self.timer, self.node.next_timer()) if each is not None]
        return min(timers, default=None)

    def handle_timer(self, *, now: float) -> None:
        self.node.handle_timer(now=now)
        if self.timer is not None and self.timer <= now:
            self.timer = None
            self.fired += 1


CLOCK = SystemClock()


def url_of(address: NativeAddress, carrier: str = "tcp", mode: int = 2) -> NodeUrl:
    """Return the URL of the node at an address."""
    host = f"[{address.host}]" if address.host.version == 6 else str(address.host)
    query = f"node={METER}&title={SERVER}&key={KEY_ID}&mode={mode}"
    return NodeUrl.parse(f"c1222+{carrier}://{host}:{address.port}?{query}")


def config_of(url: NodeUrl, *, timeout: float = 5.0, retries: int = 1) -> ClientConfig:
    """Return how tests ask."""
    return url.client_config(KEYS, timeout=timeout, retries=retries)
