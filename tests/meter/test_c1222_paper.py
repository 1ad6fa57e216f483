"""The paper's test (Table 1), on real sockets, and what it could not do: Security, Resolve, Trace.

A meter 2.16.124.113620.1.22.0.123.8437 registers with …123.4 when it is powered; then each service
is asked of it, in every mode of security, directly and through the master relay.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.c1222_meter import IDENTITY, KEYS, PASSWORD, START

from openami.c1222.codes import NodeType, SecurityMode
from openami.c1222.native import NativeAddress
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Disconnect,
    Done,
    Identified,
    Identify,
    LoggedOn,
    Logoff,
    Logon,
    Read,
    Resolve,
    Resolved,
    Security,
    TableData,
    Terminate,
    Trace,
    Traced,
    Wait,
    Write,
)
from openami.c1222.tables import ProcedureRequest, ProcedureResponse, Result, Tables
from openami.c1222.titles import ApTitle
from openami.core.clock import ManualClock
from openami.meter.c1222.description import DESCRIPTION
from openami.meter.c1222.service import C1222Settings
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.relay.run import RelayRunner, RelaySettings
from openami.transport.c1222 import EndpointConfig, open_client
from openami.transport.c1222.url import NodeUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.c1222.network.registrations import Registration
    from openami.transport.c1222.client import AsyncClient

METER: Final = ApTitle.parse("2.16.124.113620.1.22.0.123.8437")
SERVER: Final = ApTitle.parse("2.16.124.113620.1.22.0.123.4")
ASKING: Final = ApTitle.parse("2.16.124.113620.1.22.0.123.9")
LOCAL: Final = (("127.0.0.1", 0),)
DIAGNOSTICS: Final = ProcedureRequest(11, 7)


class Network:
    """The metering server's side: a master relay, and a meter that has registered."""

    def __init__(self, relay: RelayRunner, meter: MeterRunner) -> None:
        self.relay = relay
        self.meter = meter

    @property
    def registered(self) -> Registration | None:
        return self.relay.relay.registrations.find(METER)

    @asynccontextmanager
    async def client(
        self,
        mode: SecurityMode,
        node: ApTitle = METER,
        *,
        through: bool = False,
        carrier: str = "tcp",
    ) -> AsyncIterator[AsyncClient]:
        """Give who asks; ``through``: the relay."""
        relay, meter = self.relay.listening[0], self.meter.listening.c1222[0]
        host, port = (str(relay.host), relay.port) if through else meter
        url = NodeUrl.parse(
            f"c1222+{carrier}://{host}:{port}?node={node}&title={ASKING}&key=2&mode={mode.value}"
        )
        async with open_client(url, url.client_config(KEYS, timeout=2.0)) as client:
            yield client


async def until(network: Network, *, registered: bool) -> None:
    """Wait until the registrar knows the meter, or does not."""
    async with asyncio.timeout(60):
        while (network.registered is not None) != registered:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def powered() -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        settings = RelaySettings(SERVER, EndpointConfig(LOCAL), master=True, keys=KEYS)
        relay = await stack.enter_async_context(RelayRunner(settings))
        port = relay.listening[0].port
        register = NodeUrl.parse(f"c1222+tcp://127.0.0.1:{port}?node={SERVER}")
        run = RunSettings(
            config=MeterConfig(IDENTITY),
            source=parse_source("constant:3600"),
            clock=ManualClock(START),
            c1222=C1222Settings(LOCAL, register),
        )
        meter = await stack.enter_async_context(MeterRunner(run))
        network = Network(relay, meter)
        await until(network, registered=True)
        yield network


@pytest.mark.parametrize("through", [False, True], ids=["directly", "relayed"])
@pytest.mark.parametrize("mode", SecurityMode)
async def test_every_service_of_table_1(mode: SecurityMode, through: bool) -> None:
    async with powered() as network, network.client(mode, through=through) as client:
        found = network.registered
        assert found is not None  # Register, when it was powered
        assert found.node_type is NodeType.END_DEVICE
        assert found.title.name == METER.name

        (identified,) = await client.ask(Identify())
        assert isinstance(identified, Identified)
        assert str(identified.features.identity) == "OAM00008437"

        config, identity = await client.ask(Read(0), Read(5))
        assert isinstance(config, TableData)
        assert identity == TableData(b"OAM00008437".ljust(20))
        tables = Tables.of_config(config.data, DESCRIPTION)

        assert await client.ask(Logon.of(2, b"utility", 60)) == (LoggedOn(60),)
        assert await client.ask(Security.of(PASSWORD.encode())) == (Done(),)
        assert await client.ask(Wait(120)) == (Done(),)
        name = b"SEOUL 1".ljust(20)
        assert await client.ask(Write(5, name), Read(5)) == (Done(), TableData(name))
        written, read = await client.ask(Write(7, DIAGNOSTICS.encode(tables)), Read(8))
        assert written == Done()
        assert isinstance(read, TableData)
        answer = ProcedureResponse.decode(tables, read.data)
        assert answer.answers(DIAGNOSTICS)
        assert answer.result == Result.DONE
        assert await client.ask(Logoff()) == (Done(),)

        await client.ask(Logon.of(2, b"utility", 60))
        assert await client.ask(Terminate()) == (Done(),)

        assert await client.ask(Trace(())) == (
            Traced((SERVER,) if through and mode is SecurityMode.CLEAR else ()),
        )
        password = Security.of(PASSWORD.encode(), 2)
        assert await client.ask(password, Disconnect()) == (Done(), Done())
        await until(network, registered=False)
        assert (await client.ask(Identify()) if not through else (identified,)) == (identified,)


@pytest.mark.parametrize("mode", [SecurityMode.AUTHENTICATED, SecurityMode.ENCRYPTED])
async def test_services_of_the_master_relay(mode: SecurityMode) -> None:
    async with powered() as network, network.client(mode, SERVER, through=True) as client:
        (resolved,) = await client.ask(Resolve(METER))
        assert isinstance(resolved, Resolved)
        native = NativeAddress.decode(resolved.native)
        host, port = network.meter.listening.c1222[0]
        assert (str(native.host), native.port) == (host, port)


async def test_a_node_deregisters_with_its_own_title() -> None:
    async with powered() as network:
        relay = network.relay.listening[0]
        url = NodeUrl.parse(f"c1222+tcp://{relay.host}:{relay.port}?node={SERVER}&key=2&mode=2")
        config = replace(url.client_config(KEYS, timeout=2.0), title=METER)
        async with open_client(url, config) as client:
            assert await client.ask(Deregister(METER)) == (Deregistered(METER),)
        await until(network, registered=False)


@pytest.mark.parametrize("carrier", ["tcp", "udp"])
async def test_a_load_profile_comes_over_either_transport(carrier: str) -> None:
    async with powered() as network:
        clock = network.meter._settings.clock
        assert isinstance(clock, ManualClock)
        clock.advance(3 * 86_400)
        network.meter.meter.refresh()
        mode = SecurityMode.ENCRYPTED
        async with network.client(mode, carrier=carrier) as client:
            (whole,) = await client.ask(Read(76))
            assert isinstance(whole, TableData)  # longer than a datagram: in segments
            assert len(whole.data) > 1000


async def test_a_meter_that_stops_deregisters() -> None:
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(powered())
        relay, meter = network.relay.relay, network.meter
        assert relay.registrations.find(METER) is not None
        await meter.__aexit__(None, None, None)
        assert relay.registrations.find(METER) is None
