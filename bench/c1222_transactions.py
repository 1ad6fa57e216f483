"""Read transactions of C12.22: on the wire codec, and end to end over loopback.

A transaction is one request that reads ST-05 (20 octets), protected, answered, and its answer
checked. Both ends run in one process on one core, so that a second of processor time pays for the
client and for the node: a node alone, or a head-end alone, does about twice as many. *Codec* is
without sockets; *loopback* is TCP or UDP with the event loop that the product runs on.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvloop

from openami.c1222.client import Answered, Client, ClientConfig
from openami.c1222.codes import ResponseCode, SecurityMode, Standard
from openami.c1222.node import Caller, Node, NodeConfig
from openami.c1222.security import Keys
from openami.c1222.services import Failure, Features, Identified, Read, Request, Response, TableData
from openami.c1222.titles import ApTitle
from openami.transport.c1222 import Endpoint, EndpointConfig, NodeUrl, open_client
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from openami.c1222.station import Outgoing

METER: Final = ApTitle.parse(".123.8437")
SERVER: Final = ApTitle.parse(".123.4")
KEY_ID: Final = 2
KEYS: Final = Keys({KEY_ID: bytes(range(16))})
TABLE: Final = 5
OCTETS: Final = b"8437".ljust(20)
GOALS: Final = {"codec": 5000.0, "tcp": 1500.0, "udp": 1500.0}
COUNT: Final = 10_000
ROUNDS: Final = 3
TOGETHER: Final = 8  # questions that one client has under way at a time over loopback
START: Final = 1_774_742_400.0


class Device:
    """One table."""

    def identify(self) -> Identified:
        return Identified(Standard.C12_22, 1, 0, Features(sessionless=True))

    def authorizes(self, user_id: int, password: bytes) -> bool:
        return user_id == 0 and hmac.compare_digest(password, bytes(20))

    def serve(self, request: Request, _: Caller, *, now: float) -> Response:  # noqa: ARG002 - as devices have it
        read = isinstance(request, Read) and request.table == TABLE
        return TableData(OCTETS) if read else Failure(ResponseCode.ONP)


class Station:
    """A node for an endpoint."""

    def __init__(self) -> None:
        self.node = Node(NodeConfig(METER, KEYS), Device(), first_id=1)
        self.receive = self.node.receive
        self.next_timer = self.node.next_timer
        self.handle_timer = self.node.handle_timer

    def outgoing(self) -> tuple[Outgoing, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Figure:
    """How many transactions a second of processor time pays for."""

    what: str
    mode: int
    rate: float


def codec(mode: SecurityMode, count: int) -> None:
    """Do transactions without sockets."""
    node = Node(NodeConfig(METER, KEYS), Device(), first_id=1)
    client = Client(ClientConfig(SERVER, METER, KEYS, KEY_ID, mode), first_id=1)
    now, request = START, Read(TABLE)
    for _ in range(count):
        client.ask(request, now=now)
        for message in client.data_to_send():
            for answer in node.receive(message, source="client", now=now):
                client.receive(answer, now=now)
        event = client.next_event()
        assert isinstance(event, Answered)
        assert event.responses == (TableData(OCTETS),)
        now += 0.01


async def loopback(carrier: str, mode: SecurityMode, count: int) -> float:
    """Do transactions over loopback; return the processor time."""
    config = EndpointConfig((("127.0.0.1", 0),))
    async with Endpoint(Station(), config, clock=SystemClock()) as endpoint:
        port = endpoint.listening[0].port
        url = NodeUrl.parse(
            f"c1222+{carrier}://127.0.0.1:{port}?node={METER}&title={SERVER}&key={KEY_ID}"
            f"&mode={mode.value}"
        )
        async with open_client(url, url.client_config(KEYS)) as client:

            async def some() -> None:
                for _ in range(count // TOGETHER):
                    (answer,) = await client.ask(Read(TABLE))
                    assert answer == TableData(OCTETS)

            began = time.process_time()
            await asyncio.gather(*(some() for _ in range(TOGETHER)))
            return time.process_time() - began


def measure(what: str, mode: SecurityMode, count: int) -> Figure:
    """Return the best of some rounds: whatever else the machine does only makes it worse."""
    times: list[float] = []
    for _ in range(ROUNDS):
        if what == "codec":
            began = time.process_time()
            codec(mode, count)
            times.append(time.process_time() - began)
            continue
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            times.append(runner.run(loopback(what, mode, count)))
    return Figure(what, mode.value, count / min(times))


def run(count: int = COUNT, **_: Any) -> list[Figure]:
    """Measure all cases."""
    modes = (SecurityMode.CLEAR, SecurityMode.ENCRYPTED)
    return [measure(what, mode, count) for what in GOALS for mode in modes]


def main() -> None:
    """Print the table."""
    print(f"{'case':<12}{'mode':>6}{'transactions per processor second':>36}{'goal':>8}")
    for found in run():
        print(f"{found.what:<12}{found.mode:>6}{found.rate:>36,.0f}{GOALS[found.what]:>8,.0f}")


if __name__ == "__main__":
    main()
