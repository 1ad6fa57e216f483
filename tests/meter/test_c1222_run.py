"""A meter that runs: DLMS and C12.22 side by side, as a process, over power cuts."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_meter import HOST, IDENTITY, KEYS, PASSWORD, START, TITLE
from tests.support.upgrades import MAKER, image
from tests.transport.certificates import Authority

from openami.c1222.codes import SecurityMode
from openami.c1222.security import Keys
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    Security,
    TableData,
    Write,
    WriteOffset,
)
from openami.c1222.tables import Procedure, ProcedureRequest, Tables, standard
from openami.c1222.titles import ApTitle
from openami.cli.main import main
from openami.core.clock import ManualClock
from openami.core.errors import ConfigError, TransportError
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig
from openami.dlms.cosem import ImageStatus
from openami.dlms.references import AttributeRef
from openami.meter.board import BLOCK_SIZE
from openami.meter.c1222.description import DESCRIPTION, IMAGE
from openami.meter.c1222.service import C1222Settings
from openami.meter.c1222.station import StationConfig
from openami.meter.identity import load_identity
from openami.meter.kept import C1222Record
from openami.meter.making import ensure_identity
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.relay.run import RelayRunner, RelaySettings
from openami.transport.c1222 import EndpointConfig, open_client
from openami.transport.c1222.discovery import discover
from openami.transport.c1222.url import NodeUrl
from openami.transport.clock import SystemClock
from openami.transport.dtls import DtlsContext
from openami.transport.session import open_session
from openami.transport.tls import client_context, server_context
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openami.transport.c1222.client import AsyncClient

LOCAL = (("127.0.0.1", 0),)
ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
READER = ClientConfig(mechanism=Mechanism.LLS, secret=IDENTITY.keys.lls)
CLI = "from openami.cli.main import main; main()"


def settings(clock: ManualClock | None = None, **changes: Any) -> RunSettings:
    base = RunSettings(
        config=MeterConfig(IDENTITY, restart_s=0.2),
        source=parse_source("constant:3600"),
        clock=clock or ManualClock(START),
        c1222=C1222Settings(LOCAL),
    )
    return replace(base, **changes)


@asynccontextmanager
async def asking(
    host: str, port: int, *, carrier: str = "tcp", keys: Keys = KEYS, title: str = str(TITLE)
) -> AsyncIterator[AsyncClient]:
    url = NodeUrl.parse(f"c1222+{carrier}://{host}:{port}?node={title}&key=2&mode=2")
    async with open_client(url, url.client_config(keys, timeout=5.0)) as client:
        yield client


async def tables_of(client: AsyncClient) -> Tables:
    config, registers = await client.ask(Read(0), Read(21))
    assert isinstance(config, TableData)
    assert isinstance(registers, TableData)
    tables = Tables.of_config(config.data, DESCRIPTION)
    return tables.learn(standard(21), registers.data)


async def energy(client: AsyncClient) -> int:
    tables = await tables_of(client)
    (found,) = await client.ask(Read(23))
    assert isinstance(found, TableData)
    values = tables.decode(standard(23), found.data)
    return int(values["TOT_DATA_BLOCK"]["SUMMATIONS"][0])


@pytest.mark.parametrize("carrier", ["tcp", "udp"])
async def test_both_protocols_read_the_same_watt_hours(carrier: str) -> None:
    clock = ManualClock(START)
    async with MeterRunner(settings(clock, wrapper=LOCAL)) as runner:
        (host, wrapper), (_, port) = runner.listening.wrapper[0], runner.listening.c1222[0]
        url = MeterUrl.parse(f"dlms+tcp://{host}:{wrapper}?client=2")
        async with asking(host, port, carrier=carrier) as client:
            for seconds in (1234, 86_400, 1):
                clock.advance(seconds)
                async with open_session(url, READER) as session:
                    assert await energy(client) == (await session.get(ENERGY)).integer()
            assert await energy(client) == 1234 + 86_400 + 1


async def test_it_is_deaf_while_management_restarts_and_back_after_it() -> None:
    clock = ManualClock(START)
    async with MeterRunner(settings(clock)) as runner, asking(*runner.listening.c1222[0]) as client:
        tables = await tables_of(client)
        request = ProcedureRequest(Procedure.WARM_START, 1)
        password = Security.of(PASSWORD.encode(), 2)
        answers = await client.ask(password, Write(7, request.encode(tables)))
        assert answers == (Done(), Done())
        management, restarts = runner.meter.management, runner.meter.management.restarts
        async with asyncio.timeout(60):
            while management.restarts < restarts + 2:
                await asyncio.sleep(0.02)
        clock.advance(1000)
        assert await energy(client) == 1000


async def test_a_meter_without_material_does_not_speak_it() -> None:
    plain = MeterConfig(replace(IDENTITY, c1222=None))
    with pytest.raises(ConfigError) as caught:
        async with MeterRunner(settings(config=plain)):
            raise AssertionError("it runs")
    assert caught.value.code == "config.c1222"


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_a_meter_registers_over_what_it_has(carrier: str) -> None:
    register = NodeUrl.parse(f"c1222+{carrier}://127.0.0.1:1153?node=.123.4")
    with pytest.raises(ConfigError):
        async with MeterRunner(settings(c1222=C1222Settings(LOCAL, register))):
            raise AssertionError("it runs")


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_all_of_it_goes_inside_tls_and_dtls(carrier: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node")
    inside = EndpointConfig(
        tls=server_context(pair.certificate, pair.key),
        dtls=DtlsContext.server(pair.certificate, pair.key),
    )
    ours: dict[str, Any] = {
        "dial_tls": client_context(authority.certificate) if carrier == "tls" else None,
        "dial_dtls": DtlsContext.client(authority.certificate) if carrier == "dtls" else None,
    }
    relaying = RelaySettings(HOST, replace(inside, listen=LOCAL), master=True, keys=KEYS)
    async with RelayRunner(relaying) as relay:
        port = relay.listening[0].port
        register = NodeUrl.parse(f"c1222+{carrier}://127.0.0.1:{port}?node={HOST}")
        speaking = C1222Settings(LOCAL, register, sockets=replace(inside, **ours))
        async with MeterRunner(settings(c1222=speaking)) as runner:
            async with asyncio.timeout(60):
                while relay.relay.registrations.find(TITLE) is None:
                    await asyncio.sleep(0.01)
            host, own = runner.listening.c1222[0]
            url = NodeUrl.parse(f"c1222+{carrier}://{host}:{own}?node={TITLE}&key=2&mode=2")
            how: dict[str, Any] = {
                "tls": ours["dial_tls"],
                "dtls": ours["dial_dtls"],
            }
            async with open_client(url, url.client_config(KEYS), **how) as client:
                assert await client.ask(Read(5)) == (TableData(b"OAM00008437".ljust(20)),)


async def test_a_registrar_that_nobody_knows_is_told() -> None:
    register = NodeUrl.parse("c1222+tcp://no-such-host.invalid:1153?node=.123.4")
    with pytest.raises(TransportError) as caught:
        async with MeterRunner(settings(c1222=C1222Settings(LOCAL, register))):
            raise AssertionError("it runs")
    assert caught.value.code == "transport.unknown-host"


@pytest.mark.parametrize("carrier", ["tcp", "udp"])
async def test_a_meter_that_only_calls_is_reached_over_its_own_connection(carrier: str) -> None:
    relaying = RelaySettings(HOST, EndpointConfig(LOCAL), master=True, keys=KEYS)
    async with RelayRunner(relaying) as relay:
        port = relay.listening[0].port
        register = NodeUrl.parse(f"c1222+{carrier}://localhost:{port}")
        async with MeterRunner(settings(c1222=C1222Settings((), register))):
            async with asyncio.timeout(60):
                while relay.relay.registrations.find(TITLE) is None:
                    await asyncio.sleep(0.01)
            async with asking("127.0.0.1", port or 0) as client:
                (answer,) = await client.ask(Read(5))
                assert answer == TableData(b"OAM00008437".ljust(20))


class Process:
    """``openami meter run`` as a process."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, Any]) -> None:
        self.process = process
        self.said = said

    @classmethod
    async def start(cls, state: Path, *options: str) -> Process:
        arguments = ("meter", "run", "--state", str(state), "--number", "8437", "--json")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CLI,
            *arguments,
            "--source",
            "constant:3600",
            "--c1222",
            "127.0.0.1:0",
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        return cls(process, json.loads(line))

    async def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 20)

    @property
    def where(self) -> tuple[str, int]:
        host, _, port = self.said["c1222"][0].rpartition(":")
        return host, int(port)


async def test_a_meter_as_a_process_keeps_what_it_was_told(tmp_path: Path) -> None:
    meter = await Process.start(tmp_path)
    identity = load_identity(tmp_path / "meter.json")
    material = identity.c1222
    assert material is not None
    assert meter.said["ap_title"] == material.title == ".123.1.8437"
    assert meter.said["wrapper"] == []
    keys, password = Keys(material.keys), Security.of(material.password.encode(), material.user)
    name = b"KEPT".ljust(20)
    async with asking(*meter.where, keys=keys, title=material.title) as client:
        assert await client.ask(Read(5)) == (TableData(b"OAM00008437".ljust(20)),)
        assert await client.ask(password, Write(5, name)) == (Done(), Done())
        strange = Security.of(b"guess", material.user)
        refused, _ = await client.ask(strange, Read(5))
        assert isinstance(refused, Failure)
        before = await energy(client)
    await meter.stop(signal.SIGKILL)
    killed = int(SystemClock().now())
    meter = await Process.start(tmp_path)
    while int(SystemClock().now()) <= killed:  # what it may have taken before is not taken again
        await asyncio.sleep(0.05)
    async with asking(*meter.where, keys=keys, title=material.title, carrier="udp") as client:
        assert await client.ask(Read(5)) == (TableData(name),)
        assert await energy(client) >= before
    assert await meter.stop() == 0


async def test_least_mode_of_a_process(tmp_path: Path) -> None:
    meter = await Process.start(tmp_path, "--c1222-least", "1")
    host, port = meter.where
    url = NodeUrl.parse(f"c1222+tcp://{host}:{port}?node={meter.said['ap_title']}")
    config = url.client_config(timeout=0.3, retries=0)
    assert config.mode is SecurityMode.CLEAR
    async with open_client(url, config) as client:
        with pytest.raises(TransportError) as caught:
            await client.ask(Read(5))
    assert caught.value.code == "c1222.unanswered"
    assert await meter.stop() == 0


@pytest.mark.parametrize("carrier", ["tcp", "udp"])
async def test_firmware_comes_over_either_transport(carrier: str) -> None:
    octets, password = image(padding=60_000), Security.of(PASSWORD.encode(), 2)
    changed = settings(maker=MAKER, config=MeterConfig(IDENTITY, check_s=0.0, restart_s=0.1))
    async with MeterRunner(changed) as runner:
        host, port = runner.listening.c1222[0]
        async with asking(host, port, carrier=carrier) as client:
            tables = await tables_of(client)
            begin = ProcedureRequest(0, 1, {"SIZE": len(octets), "IDENTIFIER": b"2"}, True)
            assert await client.ask(password, Write(7, begin.encode(tables))) == (Done(), Done())
            for at in range(0, len(octets), 16 * BLOCK_SIZE):
                piece = WriteOffset(IMAGE.wire, at, octets[at : at + 16 * BLOCK_SIZE])
                assert await client.ask(password, piece) == (Done(), Done())
            verify = ProcedureRequest(1, 2, {}, True)
            asked = await client.ask(password, Write(7, verify.encode(tables)), Read(8))
            assert asked[2] == TableData(b"\x01\x08\x02\x00")  # MP-1, sequence 2, done
        assert runner.meter.management.images.status is ImageStatus.VERIFICATION_SUCCESSFUL


def test_nothing_shows_a_secret() -> None:
    material = IDENTITY.c1222
    assert material is not None
    shown = repr((settings(), StationConfig(material), material, C1222Record(tables={"ST5": "41"})))
    assert PASSWORD not in shown
    assert repr(material.keys[2])[2:-1] not in shown
    assert material.keys[2].hex() not in shown


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_a_process_inside_tls_that_registers(carrier: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node")
    server = EndpointConfig(
        LOCAL,
        tls=server_context(pair.certificate, pair.key),
        dtls=DtlsContext.server(pair.certificate, pair.key),
    )
    state = tmp_path / "state"
    identity = ensure_identity(state, number=8437, c1222=True)
    assert identity.c1222 is not None
    keys, title = Keys(identity.c1222.keys), ApTitle.parse(identity.c1222.title)
    async with RelayRunner(RelaySettings(HOST, server, master=True, keys=keys)) as relay:
        url = f"c1222+{carrier}://127.0.0.1:{relay.listening[0].port}"
        files = ("--c1222-certificate", str(pair.certificate), "--c1222-ca")
        key = ("--c1222-certificate-key", str(pair.key))
        options = ("--c1222-register", url, *files, str(authority.certificate), *key)
        meter = await Process.start(state, *options)
        async with asyncio.timeout(60):
            while relay.relay.registrations.find(title) is None:
                await asyncio.sleep(0.01)
        assert await meter.stop() == 0
        assert relay.relay.registrations.find(title) is None


def test_a_certificate_wants_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "certificate.pem"
    file.write_text("")
    options = ["--c1222", "127.0.0.1:0", "--c1222-certificate", str(file)]
    assert main(["meter", "run", "--state", str(tmp_path / "state"), *options]) == 2
    assert "go together" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


async def test_a_meter_is_found_on_its_link() -> None:
    sockets = EndpointConfig(multicast=True)
    try:
        runner = await MeterRunner(
            settings(c1222=C1222Settings(LOCAL, sockets=sockets))
        ).__aenter__()
    except TransportError:
        pytest.skip("no multicast on the loopback of this machine")
    host, port = runner.listening.c1222[0]
    async with asyncio.timeout(60):
        found = await discover(HOST, invocation_id=7, host=host, port=port, wait_s=0.5)
    await runner.__aexit__(None, None, None)
    assert [(str(each.title), each.address.port) for each in found] == [(str(TITLE), port)]
