"""Relays on real sockets: a chain of three, one of them killed, and what each remembers."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.c1222_device import KEY_ID, KEYS, METER, TableDevice
from tests.support.c1222_net import MASTER, MIDDLE, NEAR, OFFICE, Meter, register
from tests.transport.certificates import Authority

from openami.c1222.client import Answered, Client, ClientConfig
from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.node import Node, NodeConfig
from openami.c1222.segments import HEADERS_IPV4
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Failure,
    Identified,
    Identify,
    Read,
    Registered,
    Resolve,
    Resolved,
    TableData,
    Trace,
    Traced,
    Write,
)
from openami.c1222.station import Peer
from openami.core.errors import ConfigError, StoreError, TransportError
from openami.relay import run
from openami.relay.run import RelayRunner, RelaySettings
from openami.relay.state import load_rows, save_rows
from openami.transport.c1222 import Endpoint, EndpointConfig, open_client
from openami.transport.c1222.url import NodeUrl
from openami.transport.clock import SystemClock
from openami.transport.dtls import DtlsContext
from openami.transport.tls import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from openami.c1222.network.registrations import Row
    from openami.c1222.services import Request, Response

LOCAL: Final = (("127.0.0.1", 0),)
WHOLE: Final = bytes(range(250)) * 12
MTU: Final = 250
LARGEST: Final = MTU - HEADERS_IPV4
RELAY: Final = "from openami.cli.c1222_relay import relay; relay()"
KEY_FILE: Final = f'{KEY_ID} = "{bytes(range(16)).hex()}"\n'
MODES: Final = pytest.mark.parametrize("mode", SecurityMode)


async def eventually(done: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not done():
            await asyncio.sleep(0.01)


def url(address: NativeAddress, node: str, mode: SecurityMode, carrier: str = "tcp") -> NodeUrl:
    query = f"node={node}&title={OFFICE}&key={KEY_ID}&mode={int(mode)}"
    return NodeUrl.parse(f"c1222+{carrier}://127.0.0.1:{address.port}?{query}")


class MeterEnd:
    """A meter on a socket of its own, whose way out is one relay."""

    def __init__(self, station: Meter, endpoint: Endpoint) -> None:
        self.station = station
        self.endpoint = endpoint

    async def ask(self, request: Request) -> Response:
        client = self.station.client
        number = client.ask(request, now=SystemClock().now())
        self.endpoint.wake()
        found: list[Answered] = []

        def answered() -> bool:
            while (event := client.next_event()) is not None:
                if isinstance(event, Answered) and event.invocation_id == number:
                    found.append(event)
            return bool(found)

        await eventually(answered)
        return found[0].responses[0]


@asynccontextmanager
async def meter(
    relay: NativeAddress, mode: SecurityMode, carrier: Transport
) -> AsyncIterator[MeterEnd]:
    device = TableDevice()
    device.tables[64] = WHOLE
    node = Node(NodeConfig(METER, KEYS, mode), device, first_id=0x6000)
    config = ClientConfig(METER, MASTER, KEYS, KEY_ID, mode, timeout=2, retries=10)
    station = Meter(node, Client(config, first_id=0x5000), "")
    station.neighbour = replace(relay, transport=carrier)  # type: ignore[assignment]
    async with Endpoint(station, EndpointConfig(LOCAL), clock=SystemClock()) as endpoint:
        yield MeterEnd(station, endpoint)


def settings(
    title: Any,
    parent: NativeAddress | None,
    mode: SecurityMode,
    carrier: str = "tcp",
    *,
    state: Path | None = None,
    **sockets: Any,
) -> RelaySettings:
    above = None if parent is None else url(parent, str(MASTER), mode, carrier)
    return RelaySettings(
        *(title, EndpointConfig(LOCAL, **sockets)),
        master=above is None,
        parent=above,
        keys=KEYS,
        least=mode,
        period=600,
        state=state,
    )


def known(runner: RelayRunner, title: Any) -> bool:
    return runner.relay.registrations.find(title) is not None


@MODES
async def test_a_chain_of_three(mode: SecurityMode) -> None:
    """Office — TCP — master — TCP — middle — UDP in small packets — near — TCP — meter."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        master = await enter(RelayRunner(settings(MASTER, None, mode)))
        middle = await enter(
            RelayRunner(settings(MIDDLE, master.listening[0], mode, largest_ipv4=LARGEST))
        )
        near = await enter(
            RelayRunner(settings(NEAR, middle.listening[0], mode, "udp", largest_ipv4=LARGEST))
        )
        end = await enter(meter(near.listening[0], mode, Transport.TCP))
        await eventually(lambda: known(master, MIDDLE) and known(master, NEAR))
        assert isinstance(await end.ask(register(native=b"\x0a\x00\x00\x01")), Registered)
        assert all(known(each, METER) for each in (master, middle, near))
        to_meter = url(master.listening[0], str(METER), mode)
        async with open_client(to_meter, to_meter.client_config(KEYS)) as office:
            assert await office.ask(Read(64)) == (TableData(WHOLE),)
            (refused,) = await office.ask(Write(64, bytes(900)))  # as long a request goes there
            assert refused == Failure(ResponseCode.ISC)
            expected = () if mode else (MASTER, MIDDLE, NEAR)
            assert await office.ask(Trace(())) == (Traced(expected),)
        to_near = url(master.listening[0], str(NEAR), mode)
        async with open_client(to_near, to_near.client_config(KEYS)) as office:
            assert isinstance((await office.ask(Identify()))[0], Identified)
        to_master = url(master.listening[0], str(MASTER), mode, "udp")
        async with open_client(to_master, to_master.client_config(KEYS)) as office:
            assert await office.ask(Resolve(METER)) == (Resolved(b"\x0a\x00\x00\x01"),)
            assert await office.ask(Resolve(OFFICE)) == (Failure(ResponseCode.UAT),)
        assert await end.ask(Deregister(METER)) == Deregistered(METER)
        assert not known(master, METER)
        assert known(near, METER) is (mode is SecurityMode.ENCRYPTED)


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_a_relay_speaks_to_its_parent_inside_tls_and_dtls(
    tmp_path: Path, carrier: str
) -> None:
    mode, authority = SecurityMode.ENCRYPTED, Authority(tmp_path)
    pair = authority.issue("master")
    inside: dict[str, Any] = {
        "tls": server_context(pair.certificate, pair.key),
        "dtls": DtlsContext.server(pair.certificate, pair.key),
    }
    ours: dict[str, dict[str, Any]] = {
        "tls": {"dial_tls": client_context(authority.certificate)},
        "dtls": {"dial_dtls": DtlsContext.client(authority.certificate)},
    }
    # What speaks DTLS speaks nothing else over UDP.
    below = Transport.UDP if carrier == "tls" else Transport.TCP
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        master = await enter(RelayRunner(settings(MASTER, None, mode, **inside)))
        parent = master.listening[0]
        near = await enter(RelayRunner(settings(NEAR, parent, mode, carrier, **ours[carrier])))
        end = await enter(meter(near.listening[0], mode, below))
        assert isinstance(await end.ask(register()), Registered)
        entry = master.relay.registrations.find(METER)
        assert entry is not None
        assert isinstance(entry.source, Peer)
        assert entry.source.secure
        to_near = url(near.listening[0], str(MASTER), mode, below.name.lower())
        async with open_client(to_near, to_near.client_config(KEYS)) as office:
            assert isinstance((await office.ask(Identify()))[0], Identified)


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a relay as a process; give it, and its port."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RELAY, *arguments, "--json", "--log-level", "warning"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(30):
            said = json.loads(await child.stdout.readline())
        yield child, int(said["listening"][0].rpartition(":")[2])
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def test_a_relay_that_is_killed_comes_back(tmp_path: Path) -> None:
    """The relay in the middle dies at once; when it is there again, so is the meter."""
    mode = SecurityMode.ENCRYPTED
    keys, state = tmp_path / "keys.toml", tmp_path / "ways.json"
    keys.write_text(KEY_FILE)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        master = await enter(RelayRunner(settings(MASTER, None, mode)))
        parent = (
            f"c1222+tcp://127.0.0.1:{master.listening[0].port}?node={MASTER}&key={KEY_ID}&mode=2"
        )
        options = (
            *("--title", str(MIDDLE), "--key-file", str(keys), "--parent", parent),
            *("--mtu", str(MTU), "--state", str(state)),
        )
        async with process("--listen", "127.0.0.1:0", *options) as (child, port):
            at = NativeAddress.of("127.0.0.1", port)
            near = await enter(RelayRunner(settings(NEAR, at, mode, "udp", largest_ipv4=LARGEST)))
            end = await enter(meter(near.listening[0], mode, Transport.UDP))
            await eventually(lambda: known(master, MIDDLE) and known(master, NEAR))
            assert isinstance(await end.ask(register()), Registered)
            await eventually(lambda: str(METER) in {row.title for row in load_rows(state)})
            child.send_signal(signal.SIGKILL)
            await child.wait()
        to_meter = url(master.listening[0], str(METER), mode)
        config = to_meter.client_config(KEYS, timeout=1, retries=30)
        async with open_client(to_meter, config) as office:
            asked = asyncio.ensure_future(office.ask(Read(64)))
            async with process("--listen", f"127.0.0.1:{port}", *options) as (child, _):
                assert await asked == (TableData(WHOLE),)
                child.send_signal(signal.SIGTERM)
                assert await child.wait() == 0


async def test_a_node_whose_connection_ended_is_where_it_listens() -> None:
    mode = SecurityMode.ENCRYPTED
    async with RelayRunner(settings(MASTER, None, mode)) as master:
        async with meter(master.listening[0], mode, Transport.TCP) as end:
            at = end.endpoint.listening[0]
            assert isinstance(await end.ask(register(native=at.encode())), Registered)
            end.endpoint._streams.sweep(float("inf"))  # as after a long silence
            await eventually(lambda: master._endpoint.connections == 0)
            to_meter = url(master.listening[0], str(METER), mode)
            async with open_client(to_meter, to_meter.client_config(KEYS)) as office:
                assert await office.ask(Read(5)) == (TableData(b"8437"),)
                assert isinstance(await end.ask(register()), Registered)
                end.endpoint._streams.sweep(float("inf"))
                await eventually(lambda: master._endpoint.connections <= 2)
                master._endpoint._streams.sweep(float("inf"))
        to_meter = url(master.listening[0], str(METER), SecurityMode.CLEAR)
        async with open_client(to_meter, to_meter.client_config(KEYS)) as office:
            assert await office.ask(Read(5)) == (Failure(ResponseCode.NETR),)


async def test_a_master_remembers_over_a_restart(tmp_path: Path) -> None:
    mode, state = SecurityMode.AUTHENTICATED, tmp_path / "folder" / "ways.json"
    wanted = settings(MASTER, None, mode, state=state)
    async with (
        RelayRunner(wanted) as master,
        meter(master.listening[0], mode, Transport.UDP) as end,
    ):
        assert isinstance(await end.ask(register()), Registered)
        await eventually(state.exists)  # written while it runs
        first = load_rows(state)
        assert [row.title for row in first] == [str(METER)]
        async with RelayRunner(wanted) as again:
            assert again.relay.registrations.snapshot() == first
            to_meter = url(again.listening[0], str(METER), mode)
            async with open_client(to_meter, to_meter.client_config(KEYS)) as office:
                assert await office.ask(Read(5)) == (TableData(b"8437"),)
        assert isinstance(await end.ask(Deregister(METER)), Deregistered)
    assert load_rows(state) == []


@pytest.mark.parametrize(
    "content", ["{", "[1]", '[{"title": ".1"}]', '{"a": 1}', '"x"', '[{"native": 1}]']
)
async def test_a_file_that_holds_something_else(tmp_path: Path, content: str) -> None:
    state = tmp_path / "ways.json"
    state.write_text(content)
    with pytest.raises(ConfigError, match="holds no registrations"):
        async with RelayRunner(settings(MASTER, None, SecurityMode.CLEAR, state=state)):
            """It does not start."""


def test_rows_in_a_file(tmp_path: Path) -> None:
    state = tmp_path / "ways.json"
    assert load_rows(state) == []
    save_rows(state, [])
    assert load_rows(state) == []


async def test_what_cannot_be_saved_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[StoreError] = []

    def watched(path: Path, rows: Sequence[Row]) -> None:
        try:
            save_rows(path, rows)
        except StoreError as error:
            failed.append(error)
            raise

    monkeypatch.setattr(run, "SAVE_S", 0.02)
    monkeypatch.setattr(run, "save_rows", watched)
    mode, state = SecurityMode.CLEAR, tmp_path / "folder" / "ways.json"
    async with RelayRunner(settings(MASTER, None, mode, state=state)) as master:
        state.parent.write_bytes(b"no folder")
        async with meter(master.listening[0], mode, Transport.TCP) as end:
            assert isinstance(await end.ask(register()), Registered)
            await eventually(lambda: len(failed) > 2)
            state.parent.unlink()
            await eventually(state.exists)
    assert [row.title for row in load_rows(state)] == [str(METER)]


async def test_a_relay_that_stops_writes_its_file_once_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, under_way, most = Event(), Event(), 0, 0

    def slow(path: Path, rows: Sequence[Row]) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        begun.set()
        go_on.wait(20)
        save_rows(path, rows)
        under_way -= 1

    monkeypatch.setattr(run, "SAVE_S", 0.02)
    monkeypatch.setattr(run, "save_rows", slow)
    mode, state = SecurityMode.CLEAR, tmp_path / "ways.json"
    async with RelayRunner(settings(MASTER, None, mode, state=state)) as master:
        async with meter(master.listening[0], mode, Transport.TCP) as end:
            assert isinstance(await end.ask(register()), Registered)
            await asyncio.to_thread(begun.wait, 20)
            assert isinstance(await end.ask(Deregister(METER)), Deregistered)
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert (under_way, most) == (0, 1)
    assert load_rows(state) == []


async def test_what_a_master_took_before_a_restart_it_does_not_take_again(tmp_path: Path) -> None:
    mode, state = SecurityMode.ENCRYPTED, tmp_path / "ways.json"
    wanted = settings(MASTER, None, mode, state=state)
    config = ClientConfig(METER, MASTER, KEYS, KEY_ID, mode)
    now = SystemClock().now()
    client = Client(config)
    client.ask(Deregister(METER), now=now - 1)
    client.ask(register(), now=now)
    left, came = client.data_to_send()
    async with RelayRunner(wanted) as master:
        for message in (left, came):
            assert master.receive(message, source="meter", now=now)
    async with RelayRunner(wanted) as master:
        assert master.receive(left, source="thief", now=now + 1) == ()
        assert known(master, METER)


async def test_a_parent_that_nobody_knows() -> None:
    parent = NodeUrl.parse("c1222+tcp://no.such.host.invalid:1153?node=.123.1")
    wanted = RelaySettings(NEAR, EndpointConfig(LOCAL), parent=parent)
    with pytest.raises(TransportError) as caught:
        async with RelayRunner(wanted):
            """It does not start."""
    assert caught.value.code == "transport.unknown-host"
