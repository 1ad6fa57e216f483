"""``openami c1222`` and ``openami read`` against a node on real sockets."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.c1219 import config, shrunk, value_of
from tests.support.c1222_device import KEY_ID, METER, PASSWORD, TableDevice
from tests.support.c1222_station import NodeStation, url_of

from openami.c1222.codes import ResponseCode
from openami.c1222.psem import PsemServer
from openami.c1222.services import (
    Deregistered,
    Disconnect,
    Failure,
    Read,
    ReadIndex,
    ReadOffset,
    Resolved,
    TableData,
    Traced,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.tables import TableMemory, Tables, serve, standard
from openami.c1222.titles import ApTitle
from openami.cli.c1222_tables import complete_tables
from openami.cli.main import main
from openami.core.errors import TransportError
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.c1222.optical import serve_optical
from openami.transport.clock import SystemClock
from openami.transport.serial import open_pty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from openami.c1222.node import Caller
    from openami.c1222.services import Request, Response

    Run = Callable[..., Coroutine[None, None, tuple[int, str, str]]]

USED: Final = frozenset({0, 1, 5, 6, 21, 22, 23})
PASSWORD_TEXT: Final = PASSWORD.decode().strip()


class MemoryDevice(TableDevice):
    """Holds tables of C12.19; who writes shows a password first."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest
        chance = Random(1222)
        tables = Tables.of_values(config(used=USED, ni1=8))
        small = shrunk(value_of(tables.layout(standard(21)), chance), chance)
        dims = tables.encode(standard(21), {**small, "NBR_SUMMATIONS": 3})
        tables = tables.learn(standard(21), dims)
        self.memory = TableMemory(tables, {standard(21): dims})
        for number in USED - {21}:
            table = standard(number)
            value = tables.known[table] if not number else value_of(tables.layout(table), chance)
            self.memory.contents[table] = tables.encode(table, value)

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        if isinstance(request, Read | ReadIndex | ReadOffset):
            answer = serve(self.memory, request)
            long = isinstance(answer, TableData) and len(answer.data) > self.largest
            return Failure(ResponseCode.RSTL, self.largest) if long else answer
        if isinstance(request, Write | WriteIndex | WriteOffset):
            allowed = caller.authorized
            return serve(self.memory, request) if allowed else Failure(ResponseCode.ISC)
        return super().serve(request, caller, now=now)


class Bench:
    """A node that runs, and its URL."""

    def __init__(self, endpoint: Endpoint, device: MemoryDevice, keys: Path) -> None:
        self.endpoint = endpoint
        self.device = device
        self.keys = str(keys)

    def url(self, carrier: str = "tcp", mode: int = 2) -> str:
        found = url_of(self.endpoint.listening[0], carrier, mode)
        return f"c1222+{carrier}://{found.host}:{found.port}?node={METER}&key={KEY_ID}&mode={mode}"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    station = NodeStation()
    device = MemoryDevice(largest=200)
    station.node._device = station.device = device
    keys = tmp_path / "keys.toml"
    keys.write_text(f'{KEY_ID} = "{bytes(range(16)).hex()}"\n')
    where = EndpointConfig((("127.0.0.1", 0),))
    async with Endpoint(station, where, clock=SystemClock()) as endpoint:
        yield Bench(endpoint, device, keys)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def call(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.mark.parametrize("carrier", ["tcp", "udp"])
@pytest.mark.parametrize("mode", [0, 1, 2])
async def test_tables_as_values(bench: Bench, run: Run, carrier: str, mode: int) -> None:
    arguments = (bench.url(carrier, mode), "ST1", "ST6", "ST23", "--key-file", bench.keys)
    status, out, _ = await run("c1222", "read", *arguments, "--json")
    assert status == 0
    first, second, third = json.loads(out)
    assert (first["table"], first["name"]) == ("ST1", "GENERAL_MFG_ID")
    memory = bench.device.memory
    assert first["values"] == {**memory.tables.decode(standard(1), memory.read(standard(1)))}
    assert len(third["values"]["TOT_DATA_BLOCK"]["SUMMATIONS"]) == 3
    assert second["values"]["OWNER_NAME"] is not None
    assert (await run("read", *arguments, "--json"))[1] == out
    _, text, _ = await run("read", *arguments)
    assert text.splitlines()[0].split() == ["table", "element", "value"]
    assert "TOT_DATA_BLOCK.SUMMATIONS[2]" in text


async def test_octets_and_parts(bench: Bench, run: Run) -> None:
    octets = bench.device.memory.read(standard(1))
    url = bench.url(mode=0)
    _, out, _ = await run("c1222", "read", url, "ST1", "--raw")
    assert octets.hex(" ") in out
    _, out, _ = await run("c1222", "read", url, "ST1", "--offset", "1", "--count", "3")
    assert out.strip() == octets[1:4].hex(" ")
    _, out, _ = await run("c1222", "read", url, "ST1", "--index", "0", "--json")
    assert json.loads(out) == {"table": "ST1", "octets": octets[:4].hex()}


async def test_what_a_device_refuses_is_told(bench: Bench, run: Run) -> None:
    status, out, err = await run("c1222", "read", bench.url(mode=0), "ST64", "ST5", "MT9")
    assert status == 0
    assert "[c1222.onp]" in out
    assert "the device has no such table" in err
    status, out, _ = await run("c1222", "read", bench.url(mode=0), "MT9", "--json")
    assert status == 3
    assert json.loads(out)[0]["error"] == "c1222.onp"
    status, _, err = await run("c1222", "read", bench.url(mode=0), "ST1", "--index", "99")
    assert status == 3
    assert "error[c1222.iar]" in err


async def test_writes(bench: Bench, run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    url, memory = bench.url(), bench.device.memory
    keys = ("--key-file", bench.keys)
    status, _, err = await run("c1222", "write", url, "ST6", "--set", "OWNER_NAME=ACME", *keys)
    assert (status, "error[c1222.isc]" in err, "password" in err) == (4, True, True)
    password = tmp_path / "password"
    password.write_text(PASSWORD_TEXT + "\n")
    allowed = (*keys, "--password-file", str(password))
    before = memory.read(standard(6))
    status, _, err = await run("c1222", "write", url, "ST6", "--set", "OWNER_NAME=ACME", *allowed)
    assert (status, err.splitlines()[-1]) == (0, f"{len(before)} octets written to ST6")
    assert memory.tables.decode(standard(6), memory.read(standard(6)))["OWNER_NAME"] == "ACME"
    await run("c1222", "write", url, "ST6", "--hex", "41 42", "--offset", "0", *allowed)
    assert memory.read(standard(6)).startswith(b"ABME")
    monkeypatch.setenv("OPENAMI_METER_PASSWORD", PASSWORD_TEXT)
    await run("c1222", "write", url, "ST6", "--hex", before[:20].hex(), "--index", "0", *keys)
    assert memory.read(standard(6)) == before
    _, out, _ = await run("c1222", "read", url, "ST6", "--json", *keys)
    values = tmp_path / "values.json"
    values.write_text(json.dumps({**json.loads(out)[0]["values"], "TARIFF_ID": "A1"}))
    await run("c1222", "write", url, "ST6", "--values", str(values), *keys)
    assert memory.tables.decode(standard(6), memory.read(standard(6)))["TARIFF_ID"] == "A1"
    event = "000102030405"
    octets = memory.read(standard(5)).hex()
    await run("c1222", "write", url, "ST5", "--hex", octets, "--event", event, *keys)
    _, out, _ = await run("c1222", "read", url, "ST5", "--pending", "--json", *keys)
    assert json.loads(out)[0]["octets"] == event + octets


async def test_tables_that_a_maker_describes(bench: Bench, run: Run, tmp_path: Path) -> None:
    url, text = bench.url(mode=0), tmp_path / "maker.txt"
    given = ("ST5", "--description", str(text))
    text.write_text("table ST5 OURS\n    HEAD text(3)\n    REST text(17)\n")
    status, out, _ = await run("c1222", "read", url, *given, "--json")
    (found,) = json.loads(out)
    assert (status, found["name"], list(found["values"])) == (0, "OURS", ["HEAD", "REST"])
    status, _, err = await run("c1222", "write", url, *given, "--set", "HEAD=A")
    assert (status, "error[c1222.isc]" in err) == (4, True), "it was encoded, and refused"
    text.write_text("table")
    status, _, err = await run("c1222", "read", url, *given)
    assert (status, "error[c1219.description]: line 1" in err) == (2, True)
    text.write_bytes(b"\xff")
    status, _, err = await run("c1222", "read", url, *given)
    assert (status, "error[config.file]" in err) == (2, True)


async def test_a_wrong_password(bench: Bench, run: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAMI_METER_PASSWORD", "guess")
    status, _, err = await run("c1222", "identify", bench.url(mode=0))
    assert status == 4
    assert "error[c1222.isc]: the password of user 2" in err
    assert "guess" not in err


async def test_the_network(bench: Bench, run: Run) -> None:
    url, keys = bench.url(), ("--key-file", bench.keys, "--json")
    _, out, _ = await run("c1222", "identify", url, *keys)
    assert json.loads(out) == {
        "standard": "C12.22", "version": "1.0", "sessions": 4, "sessionless": True,
    }  # fmt: skip
    _, out, _ = await run("c1222", "register", url, "--native", "127.0.0.1:1153", *keys)
    assert json.loads(out) == {"title": ".123.9", "delay": 30, "period": 3600, "info": []}
    _, out, _ = await run("c1222", "resolve", url, ".123.8437", *keys)
    assert json.loads(out) == {"title": ".123.8437", "address": "192.168.1.100:1153"}
    _, out, _ = await run("c1222", "deregister", url, ".123.9", *keys)
    assert json.loads(out) == {"deregistered": ".123.9"}
    _, out, _ = await run("c1222", "trace", url, *keys)
    assert json.loads(out) == {"titles": []}
    _, out, err = await run("c1222", "trace", url, "--key-file", bench.keys)
    assert (out.split(), err.strip()) == (["hop", "title"], "no relay on the way")


async def test_answers_of_other_networks(bench: Bench, run: Run, monkeypatch: Any) -> None:
    answers = [Resolved(b"\x01\x02"), Traced((ApTitle.parse(".123.1"),)), Deregistered()]
    monkeypatch.setattr(bench.device, "serve", lambda *_, **__: answers.pop(0))
    url = bench.url(mode=0)
    assert "01 02" in (await run("c1222", "resolve", url, ".123.4"))[1]
    assert "1  .123.1" in (await run("c1222", "trace", url))[1]
    assert ".123.4" in (await run("c1222", "deregister", url, ".123.4"))[1]
    answers.append(Failure(ResponseCode.UAT))
    status, _, err = await run("c1222", "resolve", url, ".123.4")
    assert (status, "error[c1222.uat]" in err) == (3, True)
    assert not isinstance(bench.device, Disconnect)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("read", "c1222+tcp://localhost", "ST1"), "config.url"),
        (("read", "c1222+ftp://localhost", "ST1"), "config.url"),
        (("read", "c1222+tcp://u:p@localhost?node=.1", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost?node=.1&node=.2", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost?node=x", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost?node=.1&mode=3", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost?pass=1", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost/a?node=.1", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost?node=.1#a", "ST1"), "config.url"),
        (("read", "c1222+tcp://?node=.1", "ST1"), "config.url"),
        (("read", "c1222+serial://x", "ST1"), "config.url"),
        (("read", "c1222+tcp://localhost?node=.1&mode=2", "ST1"), "config.key"),
        (("read", "c1222+tcp://localhost?node=.1", "ST9999"), "c1219.table"),
        (("read", "c1222+tcp://localhost?node=.1", "ST1", "--index", "a"), "config"),
        (("read", "c1222+tcp://h?node=.1", "ST1", "--index", "0", "--offset", "0"), "usage"),
        (("read", "c1222+tcp://h?node=.1", "ST1", "ST2", "--offset", "0"), "usage"),
        (("write", "c1222+tcp://h?node=.1", "ST1"), "usage"),
        (("write", "c1222+tcp://h?node=.1", "ST1", "--set", "A=1", "--offset", "0"), "usage"),
        (("write", "c1222+tcp://h?node=.1", "ST1", "--hex", "00", "--event", "00"), "config"),
        (("write", "c1222+tcp://h?node=.1", "ST1", "--set", "=1"), "config"),
        (("identify", "c1222+tcp://h?node=.1", "--certificate", "x"), "config"),
        (("resolve", "c1222+tcp://h?node=.1", "x"), "config"),
        (("register", "c1222+tcp://h?node=.1", "--native", "x:1"), "config"),
        (("register", "c1222+tcp://h?node=.1", "--device-class", "x"), "config"),
    ],
)
async def test_mistakes(run: Run, arguments: tuple[str, ...], told: str) -> None:
    status, _, err = await run("c1222", *arguments)
    assert status == 2
    assert f"error[{told}]" in err


async def test_a_read_without_tables_and_nobody_there(run: Run) -> None:
    assert (await run("read", "c1222+tcp://127.0.0.1?node=.1"))[0] == 2
    status, _, err = await run("read", "c1222+tcp://127.0.0.1:1?node=.1", "ST1")
    assert (status, "error[transport.refused]" in err) == (5, True)


def test_names_of_tables_are_completed() -> None:
    found = complete_tables(None, None, "st2")  # type: ignore[arg-type]  # looks at neither
    assert {str(item.value) for item in found} >= {"ST23", "ST21"}
    assert all(item.help for item in found)


async def test_a_serial_line(bench: Bench, run: Run) -> None:
    """The same commands over C12.18, the same tables."""
    channel, path = open_pty()
    server = PsemServer(bench.device)
    serving = asyncio.ensure_future(serve_optical(channel, server, clock=SystemClock()))
    url = f"c1222+serial:{path}"
    status, out, err = await run("c1222", "read", url, "ST1", "--raw")
    assert (status, err) == (0, "")
    assert bench.device.memory.read(standard(1)).hex(" ") in out
    _, out, _ = await run("c1222", "identify", url, "--json")
    channel.close()
    await serving


async def test_the_nodes_of_a_link(run: Run) -> None:
    station = NodeStation()
    where = EndpointConfig((("127.0.0.1", 0),), multicast=True)
    try:
        served = await Endpoint(station, where, clock=SystemClock()).__aenter__()
    except TransportError:
        pytest.skip("no multicast on the loopback of this machine")
    port = str(served.listening[0].port)
    asked = ("c1222", "discover", "--from", "127.0.0.1", "--port", port, "--wait", "0.3")
    _, out, _ = await run(*asked, "--json")
    assert json.loads(out) == [
        {"address": f"127.0.0.1:{port}/udp", "title": ".123.8437", "identity": ""}
    ]
    assert ".123.8437" in (await run(*asked))[1]
    await served.__aexit__()
    assert "no node answers" in (await run(*asked))[2]
    assert (await run("c1222", "discover", "--from", "x"))[0] == 2
