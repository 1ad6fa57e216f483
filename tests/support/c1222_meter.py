"""A meter that speaks C12.22, and who asks it: back to back in a time of their own."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.client import Answered, Client, ClientConfig
from openami.c1222.codes import SecurityMode
from openami.c1222.repeats import counted
from openami.c1222.security import Keys
from openami.c1222.services import (
    Failure,
    Read,
    ReadOffset,
    Request,
    Response,
    Security,
    TableData,
    Write,
)
from openami.c1222.tables import (
    Procedure,
    ProcedureRequest,
    ProcedureResponse,
    Result,
    TableId,
    standard,
)
from openami.c1222.titles import ApTitle
from openami.core.clock import ManualClock
from openami.fleet.shipment import ShippedC1222
from openami.meter.c1222.station import MeterStation, StationConfig
from openami.meter.device import Meter
from openami.meter.factory import new_board
from openami.meter.identity import generate_identity, seeded
from openami.meter.settings import MeterConfig
from openami.metrology.events import Event, Ring
from openami.metrology.memory import VolatileMemory
from openami.metrology.sources import ConstantSource, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.meter.board import Board
    from openami.metrology.memory import MeterMemory
    from openami.metrology.sources import Source

START: Final = 1_772_416_800.0  # 2026-03-02T02:00:00Z, a Monday
TITLE: Final = ApTitle.parse(".123.8437")
HOST: Final = ApTitle.parse(".123.4")
KEY: Final = bytes(range(16))
KEYS: Final = Keys({2: KEY})
PASSWORD: Final = "8437-password"
MATERIAL: Final = ShippedC1222(".123.8437", {2: KEY}, 2, PASSWORD)
IDENTITY: Final = replace(generate_identity(8437, seeded("c1222")), c1222=MATERIAL)
SECURITY: Final = Security.of(PASSWORD.encode(), 2)
LOAD: Final = ConstantSource(Sample(1_800_000, 300_000))
PIECE: Final = 8192
"""Octets of a long table that are read at once."""


class MeterBench:
    """A meter, its station, and a client of the head-end's title.

    Args:
        mode: how the client protects its requests.
        source: what the meter measures.
        memory: its memory; what it holds is taken up.
        board: its flash.
        config: settings of the meter.
        station: settings of its station.
    """

    def __init__(
        self,
        mode: SecurityMode = SecurityMode.ENCRYPTED,
        *,
        source: Source = LOAD,
        memory: MeterMemory | None = None,
        board: Board | None = None,
        clock: ManualClock | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or ManualClock(START)
        self.ticks = ManualClock(1000.0)
        self.memory = memory or VolatileMemory()
        self.board = board or new_board()
        station = {name: settings.pop(name) for name in ("least", "registrar") if name in settings}
        self.meter = Meter(
            replace(MeterConfig(IDENTITY), **settings),
            memory=self.memory,
            source=source,
            clock=self.clock.now,
            board=self.board,
            ticks=self.ticks.now,
        )
        self.meter.refresh()
        self.station = MeterStation(
            self.meter, StationConfig(MATERIAL, **station), chance=lambda: 0.5
        )
        self.ids = counted(int(self.clock.now()))
        self.client = self.client_of(mode)
        self.tables = self.station.tables.memory.tables
        self.sequence = 0

    def client_of(self, mode: SecurityMode, *, keys: Keys = KEYS, title: ApTitle = HOST) -> Client:
        """Return another client."""
        return Client(ClientConfig(title, TITLE, keys, 2, mode), ids=self.ids)

    def advance(self, seconds: float) -> None:
        """Let the time pass, for the meter and its management."""
        self.clock.advance(seconds)
        self.ticks.advance(seconds)
        self.meter.refresh()

    def exchange(
        self, *requests: Request, client: Client | None = None
    ) -> tuple[Response, ...] | None:
        """Return the answers to one message; None: there was none."""
        asking = client or self.client
        asking.ask(*requests, now=self.clock.now())
        waiting = deque(asking.data_to_send())
        while waiting:
            sent = waiting.popleft()
            for answer in self.station.receive(sent, source="client", now=self.clock.now()):
                asking.receive(answer, now=self.clock.now())
        event = asking.next_event()
        return event.responses if isinstance(event, Answered) else None

    def ask(self, *requests: Request, client: Client | None = None) -> tuple[Response, ...]:
        """Return the answers to one message; there must be some."""
        found = self.exchange(*requests, client=client)
        assert found is not None
        return found

    def octets(self, table: TableId) -> bytes:
        """Return a table, whole or in pieces."""
        (answer,) = self.ask(Read(table.wire))
        if isinstance(answer, TableData):
            return answer.data
        size = self.tables.layout(table).size
        pieces = []
        for at in range(0, size, PIECE):
            (piece,) = self.ask(ReadOffset(table.wire, at, min(PIECE, size - at)))
            assert isinstance(piece, TableData)
            pieces.append(piece.data)
        return b"".join(pieces)

    def read(self, table: int | TableId) -> dict[str, Any]:
        """Return the values of a table."""
        number = standard(table) if isinstance(table, int) else table
        return self.tables.decode(number, self.octets(number))

    def as_user(self, *requests: Request, client: Client | None = None) -> tuple[Response, ...]:
        """Return the answers to requests that the password goes before."""
        return self.ask(SECURITY, *requests, client=client)[1:]

    def do(
        self,
        number: Procedure | int,
        parameters: Mapping[str, Any] | None = None,
        *,
        own: bool = False,
        client: Client | None = None,
    ) -> ProcedureResponse:
        """Run a procedure as the user; return what ST-08 says."""
        self.sequence = self.sequence % 255 + 1
        request = ProcedureRequest(int(number), self.sequence, parameters or {}, own)
        written, read = self.as_user(Write(7, request.encode(self.tables)), Read(8), client=client)
        assert not isinstance(written, Failure), written
        assert isinstance(read, TableData), read
        answer = ProcedureResponse.decode(self.tables, read.data)
        assert answer.answers(request)
        return answer

    def result(
        self, number: Procedure | int, parameters: Mapping[str, Any] | None = None, **how: Any
    ) -> Result:
        """Return the result of a procedure."""
        return Result(self.do(number, parameters, **how).result)

    def live(self, seconds: int) -> None:
        """Let time pass as a runner does, second by second."""
        for _ in range(seconds):
            self.advance(1)
            self.station.handle_timer(now=self.clock.now())

    def events(self, ring: Ring) -> list[Event]:
        """Return the events of a log."""
        return [Event(row[-1]) for row in self.meter.engine.rows[ring].entries()]
