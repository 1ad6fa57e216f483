"""A meter's optical port: C12.18 on a serial line, beside its node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.support.c1222_meter import IDENTITY, PASSWORD, START, MeterBench

from openami.c1222.codes import ResponseCode, Standard
from openami.c1222.psem import LinkParameters, Negotiate, Negotiated, PsemAnswered, PsemClient
from openami.c1222.services import (
    Done,
    Failure,
    Identified,
    Identify,
    Logon,
    Read,
    Security,
    TableData,
    Trace,
    Write,
)
from openami.c1222.tables import Procedure, ProcedureRequest, ProcedureResponse, Result
from openami.core.clock import ManualClock
from openami.core.errors import StoreError
from openami.meter.c1222.optical import OpticalPort
from openami.meter.c1222.service import C1222Settings
from openami.meter.management import NOTICE_S
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.metrology.events import Event, Ring
from openami.metrology.memory import VolatileMemory
from openami.transport.c1222.optical import optical_session
from openami.transport.serial import open_pty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.c1222.psem.services import PsemRequest
    from openami.c1222.services import Response
    from openami.metrology.memory import MeterCommit

NAME: Final = b"KEPT".ljust(20)
LOGON: Final = Logon.of(2, b"reader", 0)


class Line:
    """A caller at a meter's port."""

    def __init__(self, bench: MeterBench, *, number: int = 0, asked: int = 0) -> None:
        self.bench = bench
        self.port = OpticalPort(bench.station, number=number)
        self.caller = PsemClient(LinkParameters(identity=asked))

    def ask(self, request: PsemRequest) -> Response | None:
        """Return the answer; None: nobody hears."""
        now = self.bench.clock.now()
        self.caller.ask(request, now=now)
        answer = None
        for _ in range(200):
            there, back = self.caller.data_to_send(), self.port.data_to_send()
            for piece in there:
                self.port.receive_data(piece, now=now)
            for piece in back:
                self.caller.receive_data(piece, now=now)
            while (event := self.caller.next_event()) is not None:
                assert isinstance(event, PsemAnswered)
                answer = event.response
            if not there and not back:
                break
        return answer

    def begin(self, password: str = PASSWORD) -> Response | None:
        assert isinstance(self.ask(Identify()), Identified)
        assert isinstance(self.ask(Negotiate(1024, 64)), Negotiated)
        assert self.ask(LOGON) == Done()
        return self.ask(Security.of(password.encode()))


class Full(VolatileMemory):
    """A memory that can be full."""

    full = False

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        if self.full:
            raise StoreError("full", code="store.full")
        super().commit(commits)


def test_the_tables_of_the_node() -> None:
    bench = MeterBench()
    line = Line(bench)
    named = line.ask(Identify())
    assert isinstance(named, Identified)
    assert named.standard == Standard.C12_18
    line = Line(bench)
    assert line.begin() == Done()
    (over_network,) = bench.ask(Read(23))
    assert line.ask(Read(23)) == over_network
    assert line.ask(Write(5, NAME)) == Done()
    assert bench.ask(Read(5)) == (TableData(NAME),)
    assert line.ask(Trace(())) == Failure(ResponseCode.SNS)
    diagnose = ProcedureRequest(Procedure.EXECUTE_DIAGNOSTICS, 9)
    assert line.ask(Write(7, diagnose.encode(bench.tables))) == Done()
    came = line.ask(Read(8))
    assert isinstance(came, TableData)
    assert ProcedureResponse.decode(bench.tables, came.data).result == Result.DONE


def test_on_a_modem_that_several_share_only_the_device_of_the_number_answers() -> None:
    bench = MeterBench()
    named = Line(bench, number=5, asked=5).ask(Identify())
    assert isinstance(named, Identified)
    assert named.standard == Standard.C12_21
    assert Line(bench, number=5, asked=6).ask(Identify()) is None
    assert Line(bench, number=5).ask(Identify()) is None


def test_a_wrong_password_is_written_down() -> None:
    bench = MeterBench()
    line = Line(bench)
    assert line.begin("guess") == Failure(ResponseCode.ISC)
    assert line.ask(Write(5, NAME)) == Failure(ResponseCode.ISC)
    assert Event.AUTHENTICATION_FAILED in bench.events(Ring.SECURITY_LOG)


def test_what_cannot_be_kept_is_not_done_silently() -> None:
    memory = Full()
    line = Line(MeterBench(memory=memory))
    assert line.begin() == Done()
    memory.full = True
    assert line.ask(Write(5, NAME)) == Failure(ResponseCode.BSY)
    memory.full = False
    assert line.ask(Write(5, NAME)) == Done()


def test_while_management_is_away_nobody_hears_and_the_session_is_over_then() -> None:
    bench = MeterBench()
    line = Line(bench)
    assert line.begin() == Done()
    bench.meter.management.restart()
    bench.advance(NOTICE_S + 1)
    assert bench.meter.management.away
    assert line.ask(Read(5)) is None
    line.port.handle_timer(now=bench.clock.now())
    assert line.port.next_timer() is None  # nothing keeps its driver busy
    bench.advance(60)
    bench.advance(60)
    line.caller = PsemClient()
    assert line.ask(Read(5)) == Failure(ResponseCode.ISSS)
    line.caller = PsemClient()
    assert line.begin() == Done()


@pytest.mark.parametrize("number", [0, 5])
async def test_a_meter_on_a_line(number: int) -> None:
    channel, path = open_pty()
    asked = LinkParameters(identity=number)
    settings = RunSettings(
        config=MeterConfig(IDENTITY),
        source=parse_source("constant:3600"),
        clock=ManualClock(START),
        c1222=C1222Settings((), lines=(path,), number=number),
    )
    async with MeterRunner(settings) as runner:
        assert (runner.listening.c1218, runner.listening.c1222) == ((path,), ())
        async with optical_session(channel, password=PASSWORD.encode(), parameters=asked) as client:
            assert await client.ask(Write(5, NAME), Read(5)) == (Done(), TableData(NAME))
    channel.close()
