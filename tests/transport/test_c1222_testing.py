"""The conformance tester over real sockets, against a healthy node on an endpoint."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_defects import START, HealthyNode, target

from openami.c1222.codes import SecurityMode
from openami.c1222.conformance import CASES, Report, Run, Verdict
from openami.core.clock import ManualClock
from openami.core.errors import TransportError, TransportTimeoutError
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.c1222.testing import UDP_RETRIES, Line, largest_datagram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


QUICK = [case for case in CASES if case.name != "security-pause"]
"""All but the one that waits for silence."""


@asynccontextmanager
async def serving(node: HealthyNode, host: str = "127.0.0.1") -> AsyncIterator[int]:
    config = EndpointConfig(listen=((host, 0),))
    async with Endpoint(node, config, clock=ManualClock(START)) as endpoint:
        port = endpoint.listening[0].port
        assert port is not None
        yield port


async def report_of(
    node: HealthyNode,
    *,
    host: str = "127.0.0.1",
    udp: bool = False,
    cases: Any = QUICK,
    **options: Any,
) -> Report:
    given: dict[str, Any] = {"stream": not udp, "timeout": 20.0}
    if udp:
        given |= {"largest": largest_datagram(host), "retries": UDP_RETRIES}
    async with serving(node, host) as port:
        run = Run(target(**(given | options)), QUICK, first_id=1, intrusive=True)
        await Line(host, port, datagrams=udp).drive(run, clock=ManualClock(START))
        return run.report(f"{host}:{port}", now=START)


@pytest.mark.parametrize("mode", SecurityMode)
@pytest.mark.parametrize(
    ("host", "udp"), [("127.0.0.1", False), ("127.0.0.1", True), ("::1", True)]
)
async def test_a_healthy_node_passes_on_every_line(
    host: str, udp: bool, mode: SecurityMode
) -> None:
    report = await report_of(HealthyNode(), host=host, udp=udp, mode=mode)
    assert [(each.case.name, each.code, each.words) for each in report.findings] == []
    left = {each.case.name for each in report.results if each.verdict is not Verdict.PASS}
    assert left == ({"logon-connection"} if udp else set())


async def test_nobody_there() -> None:
    run = Run(target(timeout=0.2), CASES, first_id=1)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TransportTimeoutError) as silent:
        await Line("127.0.0.1", port).drive(run, clock=ManualClock(START))
    assert silent.value.code == "c1222.unanswered"
    server.close()
    await server.wait_closed()
    with pytest.raises(TransportError) as refused:
        await Line("127.0.0.1", port).drive(run, clock=ManualClock(START))
    assert refused.value.code == "transport.refused"
