"""The security listener over real mutual TLS: SSMP from the first request to renewal."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from tests.support.factory import DAY, INFO, FactoryDevice, Maker, client_of, context_of
from tests.support.headend import running_headend
from tests.support.pki import authorities_of, issue_by_hand

from openami.core.clock import ManualClock
from openami.core.errors import ConfigError
from openami.crypto import certificates as c
from openami.crypto.requests import make_request
from openami.fleet.certificates import AuthorityName
from openami.fleet.devices import LifecycleState
from openami.fleet.expected import ExpectedDevice
from openami.headend.bus import Topic
from openami.headend.offline import open_offline
from openami.ssmp import messages as m
from openami.ssmp.client import Client, Step, begin
from openami.transport.clock import SystemClock
from openami.web import security_api

if TYPE_CHECKING:
    from pathlib import Path

    from openami.headend.server import Running


@pytest.fixture
def maker(running: Running) -> Maker:
    maker = Maker(SystemClock().now())
    maker.trusted_by(running)
    return maker


@pytest.fixture
def device(running: Running, maker: Maker) -> FactoryDevice:
    running.services.registrations.expect([ExpectedDevice("D1", region="Seoul")], who="test")
    return FactoryDevice(running, maker)


def answered(answer: httpx.Response) -> m.Message:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == m.MEDIA_TYPE
    return m.decode(answer.content)


def reason_of(answer: httpx.Response) -> m.Reason:
    refused = answered(answer)
    assert isinstance(refused, m.Refused)
    return refused.reason


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_expected_device_registers_and_is_managed(
    running: Running, device: FactoryDevice
) -> None:
    await device.register()
    block = device.client.state.block
    assert block is not None
    assert block.server_url == f"{running.device_url}/dm"
    leaf, authority = device.client.state.chain
    assert running.services.pki.authorities()[AuthorityName.DEVICES] == c.load_certificate(
        authority
    )
    registered = running.services.registry.dcu("D1")
    assert (registered.state, registered.region) == (LifecycleState.COMMISSIONED, "Seoul")
    # What it was given opens the devices' listener.
    identity = c.Identity(c.load_certificate(leaf), device.key).pem()
    async with client_of(running, identity, running.device_url) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_tls_are_spoken_with_devices(
    running: Running, device: FactoryDevice, version: ssl.TLSVersion
) -> None:
    """A device that knows no newer one registers, renews and works over it."""
    device.newest = version
    await device.register()
    identity = c.Identity(c.load_certificate(device.client.state.chain[0]), device.key).pem()
    device.renew()
    await device.ask()
    assert device.step is Step.LIVE
    assert device.spoken == {version.name.replace("_", ".")}
    async with client_of(running, identity, running.device_url, newest=version) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200


def speak_old_tls(context: ssl.SSLContext) -> None:
    """Let a side of a connection speak TLS 1.1 and nothing else."""
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL has no hash for it at any higher level
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1


async def test_older_tls_is_refused_by_every_listener(running: Running, maker: Maker) -> None:
    async def spoken(port: int | None) -> str | None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        version: str | None = writer.get_extra_info("ssl_object").version()
        writer.close()
        return version

    client = context_of(running, FactoryDevice(running, maker).identity())
    speak_old_tls(client)
    for url in (running.url, running.device_url, running.security_url):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await spoken(httpx.URL(url).port)
    permissive = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    permissive.load_cert_chain(running.home.server)
    speak_old_tls(permissive)
    async with await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=permissive
    ) as server:
        assert await spoken(server.sockets[0].getsockname()[1]) == "TLSv1.1"  # it would speak it


async def test_a_request_comes_twice_and_is_answered_twice_the_same(
    device: FactoryDevice,
) -> None:
    for _ in range(3):
        asked = device.client.next_request(device.now)
        assert asked is not None
        first = await device.ask()
        assert (await device.post(asked)).content == first.content or device.step is Step.LIVE
        device.reboot()
    assert device.step is Step.LIVE


async def test_a_device_that_nobody_expects_waits_for_a_person(
    running: Running, maker: Maker
) -> None:
    device = FactoryDevice(running, maker)
    with running.services.bus.subscribe(
        lambda event: event.topic in {Topic.REGISTRATION, Topic.DEVICE}
    ) as news:
        pending = answered(await device.ask())
        assert pending == m.Pending(device.client.state.exchange, 5)
        told = await news.next(10)
        assert told is not None
        assert (told.topic, told.subject, told.data["standing"]) == (
            "registration", "D1", "pending",
        )  # fmt: skip
        known = await asyncio.to_thread(running.services.registrations.approve, "D1", who="anna")
        assert known.registration.standing == "approved"
        seen = [await news.next(10), await news.next(10)]
        assert [event.topic for event in seen if event] == ["registration", "device"]
    await device.register()


async def test_a_refused_device_is_told_why(running: Running, maker: Maker) -> None:
    device = FactoryDevice(running, maker)
    await device.ask()
    await asyncio.to_thread(running.services.registrations.refuse, "D1", who="anna", why="no")
    assert reason_of(await device.ask()) is m.Reason.OPERATOR
    device.client.next_event()


async def test_an_offer_that_has_expired_is_made_anew(
    running: Running, device: FactoryDevice
) -> None:
    offering = running.services.registrar._offering
    terms, offering._terms = offering._terms, replace(offering._terms, offer_s=1.0)
    await device.ask()
    await device.ask()
    offering._terms = terms
    block = device.client.state.block
    assert block is not None
    while running.services.wall.now() <= block.not_after:
        await asyncio.sleep(0.05)
    assert reason_of(await device.ask()) is m.Reason.EXPIRED
    assert device.step is Step.REGISTERING
    assert running.services.registrations.get("D1").registration.live is None
    await device.register()


@pytest.mark.fums("SEC-8")
async def test_a_clone_blocks_both_and_the_first_is_kept(
    running: Running, device: FactoryDevice, maker: Maker
) -> None:
    await device.register()
    clone = FactoryDevice(running, maker, factory=device.factory)
    assert reason_of(await clone.ask()) is m.Reason.TWICE
    (alarm,) = running.services.alarms.list(only_open=True).items
    assert alarm.code == "registration.twice"
    assert running.services.registry.dcu("D1").state is LifecycleState.SUSPENDED
    identity = c.Identity(c.load_certificate(device.client.state.chain[0]), device.key).pem()
    async with client_of(running, identity, running.device_url) as client:
        assert code_of(await client.get("/device/v1/cursors")) == (403, "fleet.shut-out")
        await asyncio.to_thread(
            running.services.registrations.keep, "D1", who="anna", why="seen on the pole"
        )
        assert (await client.get("/device/v1/cursors")).status_code == 200
    assert reason_of(await clone.ask()) is m.Reason.STALE


async def test_a_certificate_is_renewed_and_the_one_before_ends(
    running: Running, device: FactoryDevice
) -> None:
    await device.register()
    old = c.Identity(c.load_certificate(device.client.state.chain[0]), device.key)
    key = device.renew()
    await device.ask()
    assert device.step is Step.LIVE
    device.key = key
    new = c.Identity(c.load_certificate(device.client.state.chain[0]), key)
    async with client_of(running, old.pem(), running.device_url) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200
        async with client_of(running, new.pem(), running.device_url) as renewed:
            assert (await renewed.get("/device/v1/cursors")).status_code == 200
        refused = await client.get("/device/v1/cursors")
        assert code_of(refused) == (403, "certificate.revoked")
        assert refused.headers["connection"] == "close"
    assert running.services.alarms.list().items == ()


async def test_a_copy_that_renews_after_the_device_has_raises_an_alarm(
    running: Running, device: FactoryDevice
) -> None:
    await device.register()
    copied = device.disk
    key = device.renew()
    await device.ask()
    new = c.Identity(c.load_certificate(device.client.state.chain[0]), key)
    async with client_of(running, new.pem(), running.device_url) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200
    device.disk = copied
    device.reboot()
    device.renew()
    for _ in range(2):
        assert code_of(await device.ask()) == (403, "certificate.revoked")
    (alarm,) = running.services.alarms.list().items
    assert (alarm.code, alarm.subject) == ("certificate.revoked", "dcu-D1")


async def test_who_is_shut_out_and_revoked_raises_no_alarm(
    running: Running, device: FactoryDevice
) -> None:
    await device.register()
    device.renew()
    running.services.registrations.retire("D1", who="anna", why="scrapped")
    assert code_of(await device.ask()) == (403, "certificate.revoked")
    assert running.services.alarms.list().items == ()


async def test_who_is_revoked_renews_nothing(running: Running, device: FactoryDevice) -> None:
    await device.register()
    serial = c.load_certificate(device.client.state.chain[0]).serial_number
    running.services.pki.revoke(serial, "keyCompromise", when=device.now, who="anna")
    device.renew()
    answer = await device.ask()
    assert code_of(answer) == (403, "certificate.revoked")


async def test_a_factory_certificate_renews_nothing_and_an_operational_one_registers_nothing(
    running: Running, device: FactoryDevice
) -> None:
    await device.register()
    renew = m.encode(m.Renew(b"e" * 16, make_request("D1", device.key)))
    assert reason_of(await device.post(renew)) is m.Reason.CERTIFICATE
    register = Client(begin(b"e" * 16, make_request("D1", device.key)), uid="D1", info=INFO)
    asked = register.next_request(device.now)
    assert asked is not None
    device.renew()
    assert reason_of(await device.post(asked)) is m.Reason.CERTIFICATE


async def test_a_maker_that_signs_by_line_is_trusted_by_its_root(running: Running) -> None:
    maker = Maker(SystemClock().now(), line=True)
    maker.trusted_by(running)
    running.services.registrations.expect([ExpectedDevice("D1", manufacturer="Maker")], who="test")
    await FactoryDevice(running, maker).register()


async def test_a_maker_of_whom_nobody_has_heard_gets_no_connection(running: Running) -> None:
    maker = Maker(SystemClock().now())
    device = FactoryDevice(running, maker)
    with pytest.raises(httpx.TransportError):
        await device.ask()
    maker.trusted_by(running)  # taken at once
    assert isinstance(answered(await device.ask()), m.Pending)
    print_of = hashlib.sha256(c_der(maker)).hexdigest()
    running.services.pki.remove_anchor(print_of, who="anna")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert code_of(await device.ask()) == (403, "certificate.untrusted")
    assert len([line for line in logs if line["event"] == "registration refused"]) == 1


def c_der(maker: Maker) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return maker.root.certificate.public_bytes(Encoding.DER)


async def test_who_shows_no_certificate_gets_no_connection(running: Running) -> None:
    with structlog.testing.capture_logs() as logs:
        async with client_of(running, None) as client:
            for _ in range(3):
                with pytest.raises(httpx.TransportError):
                    await client.post("/ssmp", content=b"")
    assert [(line["listener"], line["message"]) for line in logs] == [
        ("security", "no certificate")
    ]
    figures = running.services.metrics.exposition().decode()
    assert 'openami_refusals_total{code="transport.certificate"} 3.0' in figures


async def test_who_comes_with_an_expired_certificate_gets_no_connection(running: Running) -> None:
    now = running.services.wall.now()
    chain, key = issue_by_hand(
        authorities_of(running.home).devices, "D1", now=now,
        validity=c.Validity(now - 2 * DAY, now - DAY),
    )  # fmt: skip
    with structlog.testing.capture_logs() as logs:
        for url in (running.device_url, running.security_url):
            async with client_of(running, key + chain, url) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get("/")
    assert [(line["listener"], line["peer"], line["message"]) for line in logs] == [
        ("device", "127.0.0.1", "certificate has expired"),
        ("security", "127.0.0.1", "certificate has expired"),
    ]


@pytest.mark.parametrize(
    ("body", "media", "status", "code"),
    [
        (b"SSMP", m.MEDIA_TYPE, 400, "request.ssmp"),
        (b"SSMP\x02" + bytes(20), m.MEDIA_TYPE, 400, "request.ssmp"),
        (m.encode(m.Pending(b"e" * 16, 5)), m.MEDIA_TYPE, 400, "request.ssmp"),
        (bytes(m.MAX_MESSAGE + 1), m.MEDIA_TYPE, 413, "request.too-large"),
        (b"{}", "application/json", 415, "request.type"),
    ],
)
async def test_what_is_no_request_is_refused(
    device: FactoryDevice, body: bytes, media: str, status: int, code: str
) -> None:
    assert code_of(await device.post(body, media)) == (status, code)
    await device.register()  # and harms nobody


async def test_what_cannot_be_read_is_told_of_once(running: Running, device: FactoryDevice) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await device.post(bytes(m.MAX_MESSAGE + 1))
    (told,) = logs
    leaf = device.factory.certificate
    assert (told["event"], told["code"]) == ("registration refused", "request.too-large")
    assert told["peer"] == c.fingerprint(leaf).hex()[:16]


async def test_who_is_slow_is_sent_away_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_api, "BODY_S", 0.5)
    async with running_headend(tmp_path) as running:
        maker = Maker(SystemClock().now())
        maker.trusted_by(running)
        running.services.registrations.expect([ExpectedDevice("D2")], who="test")
        slow = FactoryDevice(running, maker)
        tls = context_of(running, slow.identity())
        port = httpx.URL(running.security_url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        head = f"POST /ssmp HTTP/1.1\r\nHost: x\r\nContent-Type: {m.MEDIA_TYPE}\r\n"
        with structlog.testing.capture_logs() as logs:
            writer.write(head.encode() + b"Content-Length: 600\r\n\r\nSSMP")
            await FactoryDevice(running, maker, "D2").register()
            async with asyncio.timeout(30):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        assert "request.slow" in [line.get("code") for line in logs]


async def test_who_is_refused_is_told_of_once_and_others_are_let_in(
    running: Running, maker: Maker, device: FactoryDevice
) -> None:
    """One that is not as expected: 200 with the reason, in the log, an alarm, and no more."""
    running.services.registrations.expect([ExpectedDevice("D9", model="Other")], who="test")
    wrong = FactoryDevice(running, maker, "D9")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert reason_of(await wrong.ask()) is m.Reason.MISMATCH
    told = [line for line in logs if line["event"] == "registration refused"]
    assert [(line["peer"], line["code"], line["message"]) for line in told] == [
        ("D9", "ssmp.refused", "mismatch")
    ]
    (alarm,) = running.services.alarms.list().items
    assert (alarm.code, alarm.subject) == ("registration.mismatch", "dcu-D9")
    await device.register()


async def test_a_clone_harms_nobody_else(
    running: Running, maker: Maker, device: FactoryDevice
) -> None:
    running.services.registrations.expect([ExpectedDevice("D2")], who="test")
    await device.register()
    other = FactoryDevice(running, maker, "D2")
    await other.ask()
    with structlog.testing.capture_logs() as logs:
        assert reason_of(await FactoryDevice(running, maker).ask()) is m.Reason.TWICE
    assert "registration.twice" in [line.get("code") for line in logs if line["event"] == "alarm"]
    for _ in range(2):
        await other.ask()
    assert other.step is Step.LIVE


async def test_who_signs_is_followed_while_the_head_end_runs(
    running: Running, maker: Maker, device: FactoryDevice
) -> None:
    """Another process makes the authority; this one takes it over and lets nobody wait."""
    await device.register()
    old = c.Identity(c.load_certificate(device.client.state.chain[0]), device.key)
    with open_offline(running.services.settings) as beside:
        beside.follow("devices", who="anna", why="it ends")
        made, making = beside.audit.list(subject="pki").items
    assert (made.who, made.what, made.why) == ("anna", "authority.made devices-2", "it ends")
    assert making.what == "authority.making devices-2"
    await asyncio.to_thread(running.services.pki.refresh)
    async with client_of(running, old.pem(), running.device_url) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200
    key = device.renew()
    await device.ask()
    assert device.step is Step.LIVE
    new = c.Identity(c.load_certificate(device.client.state.chain[0]), key)
    assert new.certificate.issuer == running.services.pki.authorities()["devices-2"].subject
    async with client_of(running, new.pem(), running.device_url) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200
    device.key = key
    assert running.services.pki.is_revoked(old.certificate.serial_number)
    device.renew()  # it is known by its new certificate, and has it for no hour yet
    assert reason_of(await device.ask()) is m.Reason.SOON
    running.services.registrations.expect([ExpectedDevice("D2")], who="test")
    await FactoryDevice(running, maker, "D2").register()


async def test_a_connection_ends_with_its_certificate(
    running: Running, device: FactoryDevice
) -> None:
    await device.register()
    made = c.Identity(c.load_certificate(device.client.state.chain[0]), device.key)
    async with client_of(running, made.pem(), running.device_url) as client:
        assert (await client.get("/device/v1/cursors")).status_code == 200
        wall = ManualClock(made.certificate.not_valid_after_utc.timestamp() + 1)
        object.__setattr__(running.services, "wall", wall)
        answer = await client.get("/device/v1/cursors")
        assert code_of(answer) == (403, "certificate.expired")
        assert answer.headers["connection"] == "close"
    device.renew()
    assert code_of(await device.ask()) == (403, "certificate.expired")


async def test_too_many_at_once_are_told_to_come_back(
    device: FactoryDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_api, "AT_ONCE", 0)
    answer = await device.ask()
    assert code_of(answer) == (503, "busy.security")
    assert answer.headers["retry-after"] == "10"


async def test_one_device_does_not_take_the_places_of_others(
    running: Running, maker: Maker, device: FactoryDevice
) -> None:
    running.services.registrations.expect([ExpectedDevice("D2")], who="test")
    asked = device.client.next_request(device.now)
    assert asked is not None
    with running.services.registrar._changes.alone("D1"):  # nothing of D1 is answered
        posts = {asyncio.create_task(device.post(asked)) for _ in range(security_api.OF_ONE + 1)}
        done, waiting = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        assert [code_of(post.result()) for post in done] == [(503, "busy.security")]
        other = FactoryDevice(running, maker, "D2")
    await other.register()
    for answer in await asyncio.gather(*waiting):
        assert isinstance(answered(answer), m.Approved)
    assert isinstance(answered(await device.post(asked)), m.Approved)


async def test_answers_are_counted(running: Running, device: FactoryDevice) -> None:
    await device.register()
    figures = running.services.metrics.exposition().decode()
    for answer in ("approved", "bootstrap", "confirmed"):
        assert f'openami_ssmp_answers_total{{answer="{answer}"}} 1.0' in figures
    assert 'openami_registrations{standing="live"} 1.0' in figures
    assert "openami_alarms_open 0.0" in figures


async def test_many_devices_register_at_once(running: Running, maker: Maker) -> None:
    uids = [f"D{number}" for number in range(12)]
    running.services.registrations.expect([ExpectedDevice(uid) for uid in uids], who="test")
    devices = [FactoryDevice(running, maker, uid) for uid in uids]
    await asyncio.gather(*(device.register() for device in devices))
    passwords = {device.client.state.block.client_password for device in devices}  # type: ignore[union-attr] # they are live
    assert len(passwords) == 12


async def test_the_address_of_management_is_the_one_that_is_set(tmp_path: Path) -> None:
    url = "https://dm.example:9/dm"
    async with running_headend(tmp_path, dm_url=url) as running:
        maker = Maker(SystemClock().now())
        maker.trusted_by(running)
        running.services.registrations.expect([ExpectedDevice("D1")], who="test")
        device = FactoryDevice(running, maker)
        await device.register()
        assert device.client.state.block is not None
        assert device.client.state.block.server_url == url


async def test_an_address_of_management_that_can_not_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        async with running_headend(tmp_path, dm_url="http://dm.example/dm"):
            pass
    assert caught.value.code == "config.dm-url"
