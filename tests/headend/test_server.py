"""A head-end as a process: started, stopped, killed, started again."""

import asyncio
import gc
import ssl
from pathlib import Path

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.headend import (
    PASSWORD,
    START,
    day,
    login,
    operator_client,
    running_headend,
    settings_in,
    upload,
)
from tests.support.headend_process import Process, process

from openami.core.errors import ConfigError, StoreError, TransportError
from openami.crypto.certificates import Identity
from openami.fleet.certificates import AuthorityName
from openami.fleet.operators import Role
from openami.headend import chores, server
from openami.headend.files import write_whole
from openami.headend.installation import LOCAL_NAMES, RENEW_DAYS, Installation
from openami.headend.management.wake import SHARE
from openami.headend.offline import open_offline
from openami.headend.readings import Span
from openami.headend.security.pki import SERVER_DAYS
from openami.headend.server import Running, headend, load_web, run
from openami.mdm.readings import to_ipc
from openami.transport.clock import SystemClock
from openami.transport.descriptors import allow_descriptors
from openami.transport.web import HttpLimits


def enrolled(folder: Path, dcu: str = "D1") -> Path:
    """Enroll a DCU beside the head-end, and return the file of its certificate and key."""
    with open_offline(settings_in(folder)) as offline:
        issued = offline.registry.enroll_dcu(dcu, who="test")
    chain = folder / f"{dcu}.pem"
    chain.write_bytes(issued.key + issued.certificate)
    return chain


def test_the_vaults_key_is_changed_beside_a_head_end(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with open_offline(settings) as running, open_offline(settings) as beside:
        running.vault.put("meter", "M1", "guek", b"secret")
        kek = running.home.kek.read_bytes()
        assert beside.rekey(who="anna") == 1 + len(AuthorityName)
        assert running.home.kek.read_bytes() != kek
        assert running.vault.get("meter", "M1", "guek") == b"secret"
        (entry,) = running.audit.list(subject="vault").items
    assert (entry.who, entry.what) == ("anna", "vault sealed with a new key: 5 secrets")


def dcu_of(running: Process, chain: Path) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(running.authority))
    context.load_cert_chain(chain)
    return httpx.AsyncClient(
        base_url=running.device_url,
        verify=context,
        trust_env=False,
        timeout=60,
        limits=httpx.Limits(max_connections=8),  # as many as one certificate may have
    )


async def test_a_killed_head_end_has_all_it_acknowledged_and_nothing_twice(tmp_path: Path) -> None:
    chain = enrolled(tmp_path)
    bodies = {f"b{n}": to_ipc(day([f"M{n % 5}"], start=START + n * 86_400)) for n in range(60)}
    acknowledged: set[str] = set()
    for round_ in range(3):
        async with process(tmp_path) as running, dcu_of(running, chain) as dcu:

            async def send(name: str, dcu: httpx.AsyncClient = dcu) -> None:
                try:
                    answer = await upload(dcu, name, bodies[name])
                except httpx.TransportError:
                    return
                assert answer.status_code == 200
                if name in acknowledged:
                    assert answer.json()["status"] == "repeated"
                acknowledged.add(name)

            sending = [asyncio.create_task(send(name)) for name in bodies]
            if round_ < 2:
                target = len(acknowledged) + 5
                while len(acknowledged) < target and not all(task.done() for task in sending):
                    await asyncio.sleep(0)
                await running.kill()
            await asyncio.gather(*sending)
    assert acknowledged == set(bodies)
    async with running_headend(tmp_path) as again:
        counts, duplicates = again.services.readings.counts(Span())
        assert (counts.readings, counts.versions, counts.batches) == (60 * 96, 60 * 96, 60)
        assert duplicates == 0


async def test_sigterm_stops_it_cleanly_with_open_connections(tmp_path: Path) -> None:
    chain = enrolled(tmp_path)
    async with process(tmp_path) as running, dcu_of(running, chain) as dcu:
        context = ssl.create_default_context(cafile=str(running.authority))
        async with httpx.AsyncClient(
            base_url=running.url, verify=context, trust_env=False, timeout=60
        ) as browser:
            await login(browser)
            poll = asyncio.create_task(dcu.get("/device/v1/work", params={"wait": "25"}))
            stored = await upload(dcu, "b1", day(["M1"]))
            assert stored.json()["status"] == "stored"
            async with browser.stream("GET", "/api/v1/live") as live:
                assert await running.terminate() == 0
                assert [line async for line in live.aiter_lines()][:1] == ["retry: 2000"]
            assert (await poll).json()["jobs"] == []
    async with running_headend(tmp_path) as again:
        assert again.services.statistics.overview().store.readings == 96


async def test_an_installation_is_used_by_one_head_end(tmp_path: Path) -> None:
    async with running_headend(tmp_path):
        with pytest.raises(StoreError) as caught:
            async with running_headend(tmp_path):
                pass
        assert caught.value.code == "store.busy"
        with open_offline(settings_in(tmp_path)) as offline:
            assert offline.registry.enroll_dcu("D5", who="test").key.startswith(b"-----BEGIN")


async def test_an_address_in_use_is_said(tmp_path: Path) -> None:
    async with running_headend(tmp_path / "one") as first:
        listen = first.url.removeprefix("https://")
        with pytest.raises(TransportError) as caught:
            async with running_headend(tmp_path / "two", listen=listen):
                pass
        assert caught.value.code == "transport.in-use"
    async with running_headend(tmp_path / "two", listen=listen) as second:
        assert second.url == first.url


@pytest.mark.parametrize("name", ["", "openami", "openami.nowhere:x", "openami.web.app:nothing"])
def test_a_web_application_that_is_none(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_web(name)
    assert caught.value.code == "config.web"


async def test_the_first_password_is_made_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, admin_password=None)
    async with headend(settings) as first:
        assert first.first_password == first.home.admin_password.read_text().strip()
        assert first.first_password not in repr(first)
        async with operator_client(first) as browser:
            await login(browser, password=first.first_password)
            change = {"old": first.first_password, "new": PASSWORD}
            assert (await browser.post("/api/v1/password", json=change)).status_code == 204
        assert not first.home.admin_password.exists()
    async with headend(settings) as second:
        assert second.first_password is None
        async with operator_client(second) as browser:
            await login(browser)


async def test_the_first_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the deployment\n")
    settings = settings_in(
        tmp_path, admin_password=None, admin_password_file=file, admin_name="root"
    )
    async with headend(settings) as running, operator_client(running) as browser:
        assert running.first_password is None
        await login(browser, "root", "from the deployment")
        assert not running.home.admin_password.exists()


async def test_an_account_made_offline_is_there(tmp_path: Path) -> None:
    with open_offline(settings_in(tmp_path)) as offline:
        offline.operators.ensure_first()
        offline.operators.add("eve", PASSWORD, Role.VIEWER, who="test")
    async with running_headend(tmp_path) as running, operator_client(running) as browser:
        await login(browser, "eve")


async def test_connections_are_as_many_as_is_said(tmp_path: Path) -> None:
    """One address has half of the operators'; who is turned away is in the log and counted."""
    with structlog.testing.capture_logs() as logs:
        async with (
            running_headend(tmp_path, connections=4) as running,
            operator_client(running) as first,
            operator_client(running) as second,
            operator_client(running) as third,
        ):
            for client in (first, second):
                await login(client)
            for _ in range(2):
                with pytest.raises(httpx.TransportError):
                    await login(third)
            assert (await first.get("/health")).status_code == 200
            figures = running.services.metrics.exposition().decode()
    assert 'openami_refusals_total{code="transport.full"} 2.0' in figures
    told = [line for line in logs if line.get("code") == "transport.full"]
    assert [(line["listener"], line["peer"]) for line in told] == [("operator", "127.0.0.1")]


def test_connections_leave_descriptors_for_the_rest(tmp_path: Path) -> None:
    operators, devices, security = server.connections(settings_in(tmp_path))
    assert 0 < operators == security < devices
    every = HttpLimits(connections=operators), HttpLimits(connections=devices)
    spent = sum(each.connections + each.handshakes for each in (*every, every[0]))
    assert spent <= allow_descriptors() * (1 - 1 / SHARE)
    with structlog.testing.capture_logs() as logs:
        given = server.connections(settings_in(tmp_path, device_connections=65_536))
    assert given[1] == 65_536
    assert [line["event"] for line in logs] == ["there are more connections than file descriptors"]


async def test_run_announces_and_ends(tmp_path: Path) -> None:
    stop = asyncio.Event()
    seen: list[Running] = []

    def announce(running: Running) -> None:
        seen.append(running)
        stop.set()

    before = gc.get_threshold()
    try:
        await run(settings_in(tmp_path), announce=announce, stop=stop)
        assert seen[0].url.startswith("https://127.0.0.1:")
        assert gc.get_threshold()[0] == server.COLLECT_AT
        stop.clear()
        asyncio.get_running_loop().call_soon(stop.set)
        await run(settings_in(tmp_path), stop=stop)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        gc.collect()  # what is left of this
        gc.freeze()  # and stays of all tests: see tests/conftest.py


async def test_a_running_head_end_renews_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New handshakes get the new certificate, and DCUs and browsers trust it as the old one."""
    monkeypatch.setattr(chores, "CERTIFICATE_EVERY_S", 0.01)
    async with running_headend(tmp_path) as running:
        pki = running.services.pki
        then = running.services.wall.now() - (SERVER_DAYS - 10) * 86_400
        ending = pki.issue_server(LOCAL_NAMES, now=then)
        write_whole(running.home.server, ending.pem() + pki.servers_pem())
        async with asyncio.timeout(60):
            while not await _is_served(running.url, running.home):
                await asyncio.sleep(0.01)
            while not await _is_served(running.device_url, running.home):
                await asyncio.sleep(0.01)
        assert days_left(running.home, running.services.wall.now()) > RENEW_DAYS


def days_left(home: Installation, now: float) -> float:
    ends = Identity.from_pem(home.server.read_bytes()).certificate.not_valid_after_utc
    return (ends.timestamp() - now) / 86_400


async def _is_served(url: str, home: Installation) -> bool:
    """Whether a handshake shows the certificate that is in the folder, one that is not ending."""
    host, port = url.removeprefix("https://").split(":")
    pem = await asyncio.to_thread(
        ssl.get_server_certificate, (host, int(port)), ca_certs=str(home.authority)
    )
    kept = Identity.from_pem(home.server.read_bytes())
    fresh = days_left(home, SystemClock().now()) > RENEW_DAYS
    return fresh and ssl.PEM_cert_to_DER_cert(pem) == kept.certificate.public_bytes(Encoding.DER)
