"""The security module as a process, over real sockets and real TLS servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from cryptography import x509
from tests.support.secured import UID, Utility

from openami.core.errors import (
    ConfigError,
    OpenAmiError,
    SecurityError,
    StoreError,
    TransportError,
)
from openami.crypto.requests import make_request, read_request
from openami.dcu.module import client as asking
from openami.dcu.module import frames
from openami.dcu.module.client import SecurityModule
from openami.dcu.module.process import MAX_RELAYS
from openami.transport import relay as relays
from openami.transport.tls import server_context

if TYPE_CHECKING:
    from openami.transport.http import HttpClient


@pytest.fixture
def utility(tmp_path: Path) -> Utility:
    return Utility(tmp_path / "utility")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time-out end a test on a machine that is busy."""
    monkeypatch.setattr(asking, "CONTROL_S", 240.0)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ("long" * 25) / "state"  # longer than the path of a socket may be


def factory_serial(factory: Path) -> int:
    return x509.load_pem_x509_certificate((factory / "certificate.pem").read_bytes()).serial_number


async def serial_at(client: HttpClient) -> int:
    answer = await client.get("/who")
    assert answer.ok
    serial: int = answer.json()["serial"]
    return serial


async def test_the_factory_s_identity_is_shown_at_the_security_server(
    utility: Utility, state: Path
) -> None:
    async with utility.serving() as server:
        factory = utility.device(server.url)
        async with SecurityModule.start(state, factory) as module:
            assert (module.uid, module.info.manufacturer, module.info.model) == (
                UID, "Maker", "OA-DCU",
            )  # fmt: skip
            assert await module.certificate() is None
            async with module.factory_client() as client:
                answer = await client.post("/ssmp", content=b"12345")
                assert answer.json() == {
                    "serial": factory_serial(factory), "uris": [], "octets": 5, "path": "/ssmp",
                    "host": server.url.removeprefix("https://"),
                }  # fmt: skip


async def test_an_operational_certificate_is_used_once_it_is_there_and_after_a_restart(
    utility: Utility, state: Path
) -> None:
    async with utility.serving() as server:
        factory = utility.device(server.url)
        async with (
            SecurityModule.start(state, factory) as module,
            module.operational_client(server.url) as client,
        ):
            with pytest.raises(SecurityError) as caught:
                await client.get("/who")
            assert caught.value.code == "module.no-certificate"
            facts = await module.install(utility.certify(await module.new_key(), serial=500))
            assert (facts.uid, facts.serial) == (UID, 500)
            assert await serial_at(client) == 500
        async with SecurityModule.start(state, factory) as module:
            assert await module.certificate() == facts
            async with module.operational_client(server.url) as client:
                assert await serial_at(client) == 500
                second = utility.certify(await module.new_key(), serial=501)
                await module.install(second)
                assert await serial_at(client) == 501
                await module.install(second)
                assert await serial_at(client) == 501


async def test_a_key_waits_for_its_certificate_and_is_another_after_it(
    utility: Utility, state: Path
) -> None:
    factory = utility.device("https://127.0.0.1:1")
    async with SecurityModule.start(state, factory) as module:
        first = await module.new_key()
    async with SecurityModule.start(state, factory) as module:
        again = await module.new_key()
        assert read_request(again) == read_request(first)
        await module.install(utility.certify(again, serial=5))
        third = await module.new_key()
        assert read_request(third)[1] != read_request(first)[1]


async def test_certificates_that_are_not_ours_change_nothing(utility: Utility, state: Path) -> None:
    from tests.support.ssmp_office import make_key

    async with SecurityModule.start(state, utility.device("https://127.0.0.1:1")) as module:
        facts = await module.install(utility.certify(await module.new_key(), serial=5))
        pending = await module.new_key()
        others = (
            utility.certify(make_request(UID, make_key()), serial=6),
            utility.certify(pending, serial=7, uid="D2"),
            (),
            (b"x",),
            utility.certify(pending, serial=8) * 2,
        )
        codes = []
        for chain in others:
            with pytest.raises(SecurityError) as caught:
                await module.install(chain)
            codes.append(caught.value.code)
        wrong = "module.certificate"
        assert codes == [wrong, wrong, wrong, "certificate.form", wrong]
        assert await module.certificate() == facts


@pytest.mark.parametrize("wrong", ["authority", "name", "expired"])
async def test_a_wrong_server_is_refused_and_the_caller_learns_why(
    utility: Utility, state: Path, tmp_path: Path, wrong: str
) -> None:
    other = Utility(tmp_path / "other") if wrong == "authority" else utility
    name = "localhost" if wrong == "name" else "127.0.0.1"
    days = -1 if wrong == "expired" else 30
    async with (
        other.serving(name=name, days=days) as server,
        SecurityModule.start(state, utility.device(server.url)) as module,
        module.factory_client() as client,
    ):
        for _ in range(2):
            with pytest.raises(TransportError) as caught:
                await client.post("/ssmp", content=bytes(100_000))
            assert caught.value.code == "transport.tls"
            assert "certificate" in caught.value.message


async def test_a_server_that_does_not_trust_us_is_told_apart_from_one_that_is_away(
    utility: Utility, state: Path, tmp_path: Path
) -> None:
    context = server_context(*utility.server(), client_authority=Utility(tmp_path).authority)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        SecurityModule.start(state, utility.device(url)) as module,
        module.factory_client() as client,
    ):
        with listener:
            shaking = asyncio.create_task(asyncio.to_thread(shake_hands, listener, context))
            with pytest.raises(TransportError) as caught:
                await client.post("/ssmp", content=b"x")
            assert caught.value.code == "transport.tls"
            await shaking
        with pytest.raises(TransportError) as caught:
            await client.post("/ssmp", content=b"x")
        assert caught.value.code == "transport.refused"


async def test_a_server_that_closes_without_a_word_is_said_to_have_done_so(
    utility: Utility, state: Path, tmp_path: Path
) -> None:
    other = Utility(tmp_path / "other")
    async with (
        utility.serving(clients=other.authority) as server,  # sends no alert
        SecurityModule.start(state, utility.device(server.url)) as module,
        module.factory_client() as client,
    ):
        with pytest.raises(TransportError) as caught:
            await client.post("/ssmp", content=b"x")
        assert caught.value.code == "transport.closed"
        assert "may not trust our certificate" in caught.value.message


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Refuse a client's certificate as OpenSSL does: with an alert, after TLS 1.3's handshake."""
    peer, _ = listener.accept()
    with peer.dup() as kept:
        with peer, pytest.raises(ssl.SSLError):
            context.wrap_socket(peer, server_side=True)
        kept.shutdown(socket.SHUT_WR)
        kept.settimeout(60)
        while kept.recv(4096):  # closing over what was not read would take the alert along
            continue


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
async def test_a_name_that_can_be_no_host_s_is_said(
    utility: Utility, state: Path, host: str
) -> None:
    async with SecurityModule.start(state, utility.device("https://127.0.0.1:1")) as module:
        await module.install(utility.certify(await module.new_key(), serial=5))
        async with module.operational_client(f"https://{host}") as client:
            with pytest.raises(TransportError) as caught:
                await client.get("/who")
            assert caught.value.code.startswith("transport")
            assert "connecting to" in caught.value.message


async def test_large_bodies_pass_whole_in_both_directions(utility: Utility, state: Path) -> None:
    async with (
        utility.serving() as server,
        SecurityModule.start(state, utility.device(server.url)) as module,
        module.factory_client() as client,
    ):
        body = os.urandom(5_000_000)
        answers = await asyncio.gather(*(client.post("/echo", content=body) for _ in range(3)))
        assert all(answer.body == body for answer in answers)


async def test_a_module_that_is_killed_is_started_again(utility: Utility, state: Path) -> None:
    async with (
        utility.serving() as server,
        SecurityModule.start(state, utility.device(server.url)) as module,
    ):
        await module.install(utility.certify(await module.new_key(), serial=5))
        async with module.operational_client(server.url) as client:
            assert await serial_at(client) == 5
            for _ in range(2):
                killed = module.pid
                os.kill(killed, signal.SIGKILL)
                facts = await module.certificate()  # waits for the next one
                assert facts is not None
                assert facts.serial == 5
                assert module.pid != killed
                assert await serial_at(client) == 5


async def test_a_module_that_hangs_is_killed_and_started_again(
    utility: Utility, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SecurityModule.start(state, utility.device("https://127.0.0.1:1")) as module:
        os.kill(module.pid, signal.SIGSTOP)
        with monkeypatch.context() as patched:
            patched.setattr(asking, "CONTROL_S", 0.2)
            with pytest.raises(TransportError) as caught:
                await module.certificate()
        assert caught.value.code == "module.down"
        assert await module.certificate() is None


SLOW = """import pathlib, sys, time; from openami.dcu.module import process
while pathlib.Path(sys.argv[1], "wait").exists(): time.sleep(0.01)
process.main()
"""


async def test_a_module_that_starts_is_not_taken_for_one_that_hangs(
    utility: Utility, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, "-c", SLOW)
    factory = utility.device("https://127.0.0.1:1")
    async with SecurityModule.start(state, factory, command=command) as module:
        wait = state / "module" / "wait"
        wait.touch()
        killed = module.pid
        os.kill(killed, signal.SIGKILL)
        while module.pid == killed:
            await asyncio.sleep(0)
        starting = module.pid
        for _ in range(20):  # until its first word is waited for
            await asyncio.sleep(0)
        with monkeypatch.context() as patched:
            patched.setattr(asking, "CONTROL_S", 0.01)
            with pytest.raises(TransportError):
                await module.certificate()
        wait.unlink()
        assert await module.certificate() is None
        assert module.pid == starting


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(
    utility: Utility, state: Path
) -> None:
    async with SecurityModule.start(state, utility.device("https://127.0.0.1:1")) as module:
        for _ in range(5):
            task = asyncio.ensure_future(module.new_key())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            assert await module.certificate() is None


DCU = """import asyncio, sys; from pathlib import Path
from openami.dcu.module.client import SecurityModule
async def main():
    async with SecurityModule.start(*map(Path, sys.argv[1:])) as module:
        print(module.pid, flush=True); await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "signals",
    [
        # Signals to the whole terminal or service are the DCU's to answer.
        pytest.param((signal.SIGTERM, signal.SIGINT), id="running"),
        pytest.param((signal.SIGSTOP,), id="hanging"),
    ],
)
def test_the_module_ends_with_its_dcu(
    utility: Utility, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    factory = utility.device("https://127.0.0.1:1")
    with subprocess.Popen(
        [sys.executable, "-c", DCU, str(tmp_path / "s"), str(factory)], stdout=subprocess.PIPE
    ) as dcu:
        assert dcu.stdout is not None
        pid = int(dcu.stdout.readline())
        watched = os.pidfd_open(pid)
        for number in signals:
            os.kill(pid, number)
        dcu.kill()
        dcu.wait()
        assert ended(watched)


async def test_a_folder_of_state_serves_one_dcu_at_a_time(
    utility: Utility, state: Path, tmp_path: Path
) -> None:
    factory = utility.device("https://127.0.0.1:1")
    hasty = (
        sys.executable,
        "-c",
        "from openami.dcu.module import process; process.LOCK_S = 0.2; process.main()",
    )
    async with SecurityModule.start(state, factory) as module:
        with pytest.raises(StoreError) as caught:
            async with SecurityModule.start(state, factory, command=hasty):
                pass
        assert caught.value.code == "store.busy"
        assert await module.certificate() is None
    async with SecurityModule.start(state, factory, command=hasty) as module:
        assert await module.certificate() is None


def ended(descriptor: int) -> bool:
    import select

    try:
        return bool(select.select([descriptor], [], [], 30)[0])
    finally:
        os.close(descriptor)


async def test_nobody_else_may_use_what_the_module_has(utility: Utility, state: Path) -> None:
    async with (
        utility.serving() as server,
        SecurityModule.start(state, utility.device(server.url)) as module,
    ):
        await module.install(utility.certify(await module.new_key(), serial=5))
        async with module.operational_client(server.url) as one, module.factory_client() as two:
            await one.get("/who")
            await two.get("/who")
        folder = state / "module"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        sockets = list(folder.glob("*.sock"))
        assert len(sockets) == 2
        for file in folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            if file.is_file():
                assert b"PRIVATE KEY" not in file.read_bytes()


HARDENED = """import ctypes, sys
from openami.dcu.module import process
run = process._run
async def told(state, *rest):
    (state.parent / "dumpable").write_text(str(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)))
    await run(state, *rest)
process._run = told
process.main()
"""


async def test_its_memory_is_for_no_core_file_and_no_other_process(
    utility: Utility, state: Path
) -> None:
    factory, command = utility.device("https://127.0.0.1:1"), (sys.executable, "-c", HARDENED)
    async with SecurityModule.start(state, factory, command=command) as module:
        place = Path(f"/proc/{module.pid}")
        limits = (place / "limits").read_text().splitlines()
        (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        assert (state / "dumpable").read_text() == "0"  # PR_GET_DUMPABLE, prctl(2)
        # Who may not be traced has its files in /proc owned by root, proc(5).
        assert (place / "mem").stat().st_uid == 0
        if os.geteuid():  # root opens whatever it wants
            with pytest.raises(PermissionError), (place / "mem").open("rb"):
                pass


async def test_no_request_is_answered_with_a_private_key(utility: Utility, state: Path) -> None:
    """Everything that the module says, whatever it is asked."""
    async with SecurityModule.start(state, utility.device("https://127.0.0.1:1")) as module:
        said = []
        real = frames.receive

        async def overheard(reader: asyncio.StreamReader) -> dict[str, object]:
            message = await real(reader)
            said.append(json.dumps(message))
            return message

        from openami.dcu.module import client

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(client, "receive", overheard)
            request = await module.new_key()
            await module.install(utility.certify(request, serial=5))
            await module.certificate()
            for do in ("key", "get", "dump", "", None):
                with pytest.raises(OpenAmiError) as caught:
                    await module._call(do)  # type: ignore[arg-type]
                assert caught.value.code == "module.request"
        answers = [set(json.loads(text).get("ok", {"error": 0})) for text in said]
        assert answers == [
            {"request"}, {"certificate"}, {"uid", "info", "security_url", "certificate"},
            *[{"error"}] * 5,
        ]  # fmt: skip
        assert set(vars(module)).isdisjoint({"key", "keys"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"do": "open"},
        {"do": "open", "identity": "nobody", "host": "h", "port": 1},
        {"do": "open", "identity": ["factory"], "host": "h", "port": 1},
        {"do": "open", "identity": "factory", "host": 1, "port": 1},
        {"do": "open", "identity": "factory", "host": "h", "port": "1"},
        {"do": "install"},
        {"do": "install", "chain": [1]},
        {"do": "install", "chain": ["?"]},
    ],
)
async def test_what_is_no_request_is_refused_and_the_module_lives(
    utility: Utility, state: Path, arguments: dict[str, object]
) -> None:
    async with SecurityModule.start(state, utility.device("https://127.0.0.1:1")) as module:
        pid = module.pid
        with pytest.raises(OpenAmiError) as caught:
            await module._call(**arguments)  # type: ignore[arg-type]
        assert caught.value.code == "module.frame"
        assert await module.certificate() is None
        assert module.pid == pid


async def test_relays_are_bounded_and_the_oldest_makes_room(utility: Utility, state: Path) -> None:
    async with (
        utility.serving() as server,
        SecurityModule.start(state, utility.device(server.url)) as module,
        module.factory_client() as client,
    ):
        assert (await client.get("/who")).ok
        for port in range(1, MAX_RELAYS + 1):
            await module.open(frames.IdentityName.FACTORY, "127.0.0.1", port)
        assert len(list((state / "module").glob("*.sock"))) == MAX_RELAYS
        with pytest.raises(TransportError):
            await client.get("/who")
        assert (await client.get("/who")).ok  # it is there again


async def test_connections_are_bounded(
    utility: Utility, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openami.transport.http import HttpClient
    from openami.transport.tls import client_context

    monkeypatch.setattr(relays, "MAX_LINKS", 1)
    async with utility.serving() as server:
        factory = utility.device(server.url)
        context = client_context(
            utility.authority, certificate=factory / "certificate.pem", key=factory / "key.pem"
        )
        path = str(tmp_path / "r.sock")
        relay = relays.Relay("127.0.0.1", server.port, lambda: context)
        await relay.listen(path)
        try:
            first = HttpClient("http://relay", uds=path)
            second = HttpClient("http://relay", uds=path)
            async with first, second:
                assert (await first.get("/who")).ok
                assert len(relay) == 1
                refused = await second.get("/who")
                assert refused.headers[relays.FAILURE] == "transport.busy"
                await first.close()
                async with asyncio.timeout(60):
                    while len(relay):
                        await asyncio.sleep(0.01)
                assert (await second.get("/who")).ok
        finally:
            await relay.close()
        assert not Path(path).exists()


@pytest.mark.parametrize("spoil", ["missing", "other", "pair", "key", "toml", "uid", "large"])
async def test_a_factory_folder_that_can_not_be_used_is_said_at_once(
    utility: Utility, state: Path, spoil: str
) -> None:
    factory = utility.device("https://127.0.0.1:1")
    other = utility.device("https://127.0.0.1:1", "D2")
    facts = factory / "device.toml"
    match spoil:
        case "missing":
            (factory / "certificate.pem").unlink()
        case "other":
            (other / "certificate.pem").rename(factory / "certificate.pem")
        case "pair":
            for name in ("certificate.pem", "key.pem"):
                (other / name).rename(factory / name)
        case "key":
            (other / "key.pem").rename(factory / "key.pem")
        case "toml":
            facts.write_text("?")
        case "uid":
            facts.write_text("uid = 5")
        case _:
            facts.write_bytes(b"#" * 100_000)
    with pytest.raises(ConfigError) as caught:
        async with SecurityModule.start(state, factory):
            pass
    assert caught.value.code in {"config.factory", "config.tls"}
    assert "PRIVATE" not in caught.value.message


@pytest.mark.parametrize(
    ("command", "code"),
    [((sys.executable, "-c", "raise SystemExit(3)"), "module.down"),
     (("/no/such/program",), "transport.missing")],
)  # fmt: skip
async def test_a_module_that_can_not_start_is_said(
    utility: Utility, state: Path, command: tuple[str, ...], code: str
) -> None:
    with pytest.raises(TransportError) as caught:
        async with SecurityModule.start(
            state, utility.device("https://127.0.0.1:1"), command=command
        ):
            pass
    assert caught.value.code == code


async def test_a_module_that_does_not_start_again_is_tried_until_it_does(
    utility: Utility, state: Path, tmp_path: Path
) -> None:
    script = tmp_path / "module"
    real = f'#!/bin/sh\nexec "{sys.executable}" -m openami.dcu.module "$@"\n'
    script.write_text(real)
    script.chmod(0o700)
    factory = utility.device("https://127.0.0.1:1")
    with structlog.testing.capture_logs() as logs:
        async with SecurityModule.start(state, factory, command=(str(script),)) as module:
            hidden = script.rename(tmp_path / "hidden")
            os.kill(module.pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while not any("did not start" in line["event"] for line in logs):
                    await asyncio.sleep(0.01)
            hidden.rename(script)
            assert await module.certificate() is None


@pytest.mark.parametrize("lived", [False, True])
async def test_a_module_that_ends_soon_is_started_ever_more_seldom(
    utility: Utility, state: Path, monkeypatch: pytest.MonkeyPatch, *, lived: bool
) -> None:
    from openami.dcu.module import client

    said = frames.pack({"ok": {"uid": UID, "info": ["", "", "", ""], "security_url": ""}})
    code = f"import os; os.write(0, {said!r})"
    monkeypatch.setattr(client, "_FIRST_WAIT_S", 0.001)
    if lived:
        monkeypatch.setattr(client, "_LIVED_S", 0.0)
    factory, command = utility.device("https://127.0.0.1:1"), (sys.executable, "-c", code)
    with structlog.testing.capture_logs() as logs:
        async with SecurityModule.start(state, factory, command=command), asyncio.timeout(30):
            while sum("starts again" in line["event"] for line in logs) < 4:
                await asyncio.sleep(0.01)
    waits = [line["wait_s"] for line in logs if "starts again" in line["event"]]
    assert waits[:4] == ([0.001] * 4 if lived else [0.001, 0.002, 0.004, 0.008])
