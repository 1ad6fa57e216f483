"""Our client against our server over real sockets."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from openami.core.clock import ManualClock
from openami.core.errors import (
    RemoteProtocolError,
    SecurityError,
    TransportError,
    TransportTimeoutError,
)
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.cosem import (
    AssociationLn,
    ClientKind,
    Clock,
    DataObject,
    Register,
    SecuritySetup,
)
from openami.dlms.data import DataType, i8, i16, octets
from openami.dlms.hdlc import HdlcParameters, HdlcServerLink
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import DataAccessResult
from openami.dlms.security import Keys
from openami.dlms.server import DlmsServer, LogicalDevice
from openami.dlms.wrapper import WrapperParameters, WrapperServerLink
from openami.transport.driver import Driver
from openami.transport.session import DlmsSession, ServiceRefusedError, open_session
from openami.transport.tcp import TcpServer, listen_tcp
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.transport.channel import Channel

KEYS = Keys(guek=bytes(range(16)), gak=bytes(range(0xD0, 0xE0)))
TITLE = SystemTitle.of("CLI", 1)
ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
LONG = AttributeRef(1, Obis.parse("0.0.96.1.0.255"), 2)
ZONE = AttributeRef(8, Obis.parse("0.0.1.0.0.255"), 3)
SHIFT = MethodRef(8, Obis.parse("0.0.1.0.0.255"), 6)
NOTHING = AttributeRef(3, Obis.parse("1.0.99.99.99.255"), 2)

READER = ClientConfig(Mechanism.LLS, secret=b"12345678")


def managing(security: SecurityLevel, counter: int = 1, keys: Keys = KEYS) -> ClientConfig:
    return ClientConfig(
        Mechanism.HLS_GMAC,
        keys=keys,
        title=TITLE,
        security=security,
        invocation_counter=counter,
        timeout=5.0,
        max_pdu=1024,
    )


def make_device() -> LogicalDevice:
    security = SecuritySetup(keys=KEYS, title=SystemTitle.of("OAM", 1))
    return LogicalDevice(
        [
            Clock("0.0.1.0.0.255", ManualClock(1719800000.0), zone=-540),
            Register("1.0.1.8.0.255", lambda: 123456, unit=Unit.WH),
            DataObject("0.0.96.1.0.255", b"x" * 5000, DataType.OCTETS, writable=True),
            security,
            AssociationLn("0.0.40.0.1.255", client=16, kind=ClientKind.PUBLIC),
            AssociationLn(
                "0.0.40.0.2.255",
                client=2,
                kind=ClientKind.READER,
                mechanism=Mechanism.LLS,
                secret=b"12345678",
            ),
            AssociationLn(
                "0.0.40.0.3.255",
                client=1,
                kind=ClientKind.MANAGEMENT,
                mechanism=Mechanism.HLS_GMAC,
                contexts=(ApplicationContext.LN, ApplicationContext.LN_CIPHERED),
                security=security,
            ),
        ]
    )


@asynccontextmanager
async def meter(link: str = "dlms") -> AsyncIterator[str]:
    """Serve a meter; give its URL without the client."""
    device = make_device()

    async def handler(channel: Channel) -> None:
        line = HdlcServerLink(17) if link == "hdlc" else WrapperServerLink()
        server = DlmsServer(device, line, random_octets=os.urandom)
        await Driver(server, channel, on_event=lambda _: None).run()

    server: TcpServer
    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        address = "server=1:17&address_size=4" if link == "hdlc" else "server=1"
        yield f"{link}+tcp://127.0.0.1:{server.port}?{address}&client="


@pytest.mark.parametrize("link", ["dlms", "hdlc"])
@pytest.mark.parametrize("security", list(SecurityLevel))
async def test_all_services(link: str, security: SecurityLevel) -> None:
    progress: list[int] = []
    async with (
        meter(link) as url,
        open_session(
            MeterUrl.parse(f"{url}1"),
            managing(security),
            on_progress=progress.append,
            hdlc=HdlcParameters(max_info_tx=512, max_info_rx=512),
        ) as session,
    ):
        assert session.agreement is not None
        assert (await session.get(ENERGY)).native() == 123456
        assert await session.get_raw(ENERGY) == (await session.get(ENERGY)).encode()
        assert (await session.get(LONG)).native() == b"x" * 5000
        assert progress[-1] >= 5000
        assert len(progress) > 1
        await session.set(LONG, octets(b"y" * 3000))
        assert (await session.get(LONG)).native() == b"y" * 3000
        items = await session.get_list([ENERGY, NOTHING, ZONE])
        assert [item.ok for item in items] == [True, False, True]
        results = await session.set_list([(ZONE, i16(-60)), (ENERGY, i8(0))])
        assert [item.ok for item in results] == [True, False]
        assert (await session.get(ZONE)).native() == -60
        assert (await session.action(SHIFT, i16(5))).native() is None
        with pytest.raises(ServiceRefusedError) as caught:
            await session.get(NOTHING)
        assert caught.value.code == "dlms.object-undefined"
        assert caught.value.result is DataAccessResult.OBJECT_UNDEFINED
        with pytest.raises(ServiceRefusedError):
            await session.set(ENERGY, i8(0))
        with pytest.raises(ServiceRefusedError):
            await session.action(MethodRef(8, SHIFT.obis, 99))
        if security is not SecurityLevel.NONE:
            assert session.invocation_counter > 5


async def test_requests_at_the_same_time_wait_for_each_other() -> None:
    async with meter() as url, open_session(MeterUrl.parse(f"{url}2"), READER) as session:
        answers = await asyncio.gather(*(session.get(ENERGY) for _ in range(10)))
        assert [answer.native() for answer in answers] == [123456] * 10


async def test_a_cancelled_request_leaves_the_session_usable() -> None:
    async with meter() as url, open_session(MeterUrl.parse(f"{url}2"), READER) as session:
        task = asyncio.ensure_future(session.get(LONG))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await session.get(ENERGY)).native() == 123456


async def test_a_wrong_password() -> None:
    wrong = ClientConfig(Mechanism.LLS, secret=b"00000000")
    async with meter() as url:
        with pytest.raises(SecurityError) as caught:
            async with open_session(MeterUrl.parse(f"{url}2"), wrong):
                raise AssertionError
    assert caught.value.code.startswith("association.")
    assert "00000000" not in str(caught.value)


async def test_a_wrong_key() -> None:
    wrong = managing(SecurityLevel.BOTH, keys=Keys(guek=bytes(16), gak=bytes(16)))
    async with meter() as url:
        with pytest.raises(SecurityError):
            async with open_session(MeterUrl.parse(f"{url}1"), wrong):
                raise AssertionError


async def test_a_service_that_was_not_agreed_upon() -> None:
    async with meter() as url, open_session(MeterUrl.parse(f"{url}2"), READER) as session:
        with pytest.raises(ServiceRefusedError) as caught:
            await session.set(ZONE, i16(0))
        assert caught.value.code.startswith("dlms.exception.")
        assert (await session.get(ENERGY)).native() == 123456


async def test_one_channel_serves_one_session_after_another() -> None:
    async with meter("hdlc") as url:
        where = MeterUrl.parse(f"{url}2")
        from openami.transport.connect import client_link, open_channel

        channel = await open_channel(where)
        for _ in range(3):
            async with DlmsSession(channel, client_link(where), READER) as session:
                assert (await session.get(ENERGY)).native() == 123456
        assert not channel.closed
        channel.close()


async def refuse(handler: Any, url: str = "dlms+tcp", **parameters: Any) -> Exception:
    """Return the error of a session with a peer that is no meter."""
    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        where = MeterUrl.parse(f"{url}://127.0.0.1:{server.port}")
        with pytest.raises((TransportError, SecurityError, RemoteProtocolError)) as caught:
            async with open_session(where, ClientConfig(), **parameters):
                raise AssertionError
        return caught.value


async def test_peers_that_close_are_silent_or_speak_something_else() -> None:
    async def close(channel: Channel) -> None:
        await channel.read()

    async def be_silent(channel: Channel) -> None:
        await channel.wait_closed()

    async def babble(channel: Channel) -> None:
        await channel.read()
        channel.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await channel.wait_closed()

    error = await refuse(close)
    assert getattr(error, "code", "") == "transport.closed"
    quick = WrapperParameters(response_timeout=0.05)
    assert isinstance(await refuse(be_silent, wrapper=quick), TransportTimeoutError)
    brisk = HdlcParameters(response_timeout=0.05, retries=1)
    assert isinstance(await refuse(be_silent, "hdlc+tcp", hdlc=brisk), TransportTimeoutError)
    error = await refuse(babble)
    assert getattr(error, "code", "").startswith(("dlms.", "transport."))


async def test_the_line_breaks_during_a_session() -> None:
    channels: list[Channel] = []
    device = make_device()

    async def handler(channel: Channel) -> None:
        channels.append(channel)
        server = DlmsServer(device, WrapperServerLink(), random_octets=os.urandom)
        await Driver(server, channel, on_event=lambda _: None).run()

    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        where = MeterUrl.parse(f"dlms+tcp://127.0.0.1:{server.port}?client=2")
        async with open_session(where, READER) as session:
            assert (await session.get(ENERGY)).native() == 123456
            channels[0].close()
            for _ in range(2):
                with pytest.raises(TransportError) as caught:
                    await session.get(ENERGY)
                assert caught.value.code == "transport.closed"
