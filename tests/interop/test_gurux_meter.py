"""Our client reads a meter that gurux-dlms serves, as far as that server works."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from openami.core.errors import SecurityError
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.peer

METER: Final = Path(__file__).with_name("gurux_meter.py")
PASSWORD: Final = "12345678"
START: Final = datetime(2024, 7, 1, tzinfo=UTC)


def ref(class_id: int, name: str, attribute: int = 2) -> AttributeRef:
    return AttributeRef(class_id, Obis.parse(name), attribute)


@asynccontextmanager
async def gurux_meter(password: str) -> AsyncIterator[MeterUrl]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(METER), password, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield MeterUrl.parse(f"dlms+tcp://127.0.0.1:{port}?client=2")
    finally:
        process.terminate()
        await process.wait()


def config(password: str) -> ClientConfig:
    mechanism = Mechanism.LLS if password else Mechanism.NONE
    return ClientConfig(mechanism, secret=password.encode(), timeout=20.0)


@pytest.mark.parametrize("password", ["", PASSWORD], ids=["lowest", "lls"])
async def test_reads(password: str) -> None:
    async with (
        gurux_meter(password) as url,
        open_session(url, config(password)) as session,
    ):
        assert (await session.get(ref(3, "1.0.1.8.0.255"))).native() == 123456
        assert (await session.get(ref(3, "1.0.1.8.0.255", 3))).native() == [1, 30]
        assert (await session.get(ref(1, "0.0.96.1.0.255"))).native() == "GRX12345"
        clock = (await session.get(ref(8, "0.0.1.0.0.255"))).octets()
        assert CosemDateTime.decode(clock).timestamp() == START.timestamp()
        columns = (await session.get(ref(7, "1.0.99.1.0.255", 3))).native()
        assert [column[0] for column in columns] == [8, 3]
        rows = (await session.get(ref(7, "1.0.99.1.0.255"))).native()
        assert [row[1] for row in rows] == list(range(1000, 1096))
        refs = [ref(3, "1.0.1.8.0.255"), ref(1, "0.0.96.1.0.255"), ref(3, "1.0.1.8.0.255", 3)]
        assert all(item.ok for item in await session.get_list(refs))


async def test_a_wrong_password() -> None:
    async with gurux_meter(PASSWORD) as url:
        with pytest.raises(SecurityError) as caught:
            async with open_session(url, config("87654321")):
                raise AssertionError
    assert caught.value.code.startswith("association.")
