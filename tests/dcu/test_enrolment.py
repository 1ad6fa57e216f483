"""A DCU registers at a real security listener, killed at every step, and renews."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from tests.support.forks import ROOT, forks
from tests.support.headend import running_headend
from tests.support.secured import Utility
from tests.support.slow_disk import SlowDisk

from openami.core.clock import ManualClock
from openami.core.errors import SecurityError, TransportError
from openami.crypto.certificates import Identity, key_fingerprint
from openami.dcu import enrolment as enrolments
from openami.dcu.enrolment import _HINTS, Enrolment
from openami.dcu.flow import Stop
from openami.dcu.module import client as modules
from openami.dcu.module.client import SecurityModule
from openami.fleet.expected import ExpectedDevice
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.headend.security.offers import ACCOUNT, OFFER
from openami.ssmp import client as ssmp
from openami.ssmp import messages as m
from openami.ssmp.client import ClientState, Step
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from tests.support.forks import Forks

    from openami.dcu.module.client import CertificateFacts
    from openami.headend.server import Running

DAY = 86_400.0


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_headend(tmp_path) as running:
        make_maker(tmp_path / "maker", "Maker", now=running.services.wall.now())
        anchor = (tmp_path / "maker" / "anchor.pem").read_bytes()
        running.services.pki.add_anchor("Maker", anchor, who="test")
        yield running


async def no() -> None:
    """Take no account."""


def noting(taken: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """Return what takes an account by setting an event."""

    async def take() -> None:
        taken.set()

    return take


class Place:
    """Where one DCU is."""

    def __init__(self, running: Running, folder: Path, uid: str, *, expected: bool = True) -> None:
        self.uid = uid
        self.state = folder / f"{uid}-state"
        self.state.mkdir()
        self.factory = folder / f"{uid}-factory"
        kind = DeviceType(running.security_url, running.home.authority.read_bytes())
        make_device(folder / "maker", uid, kind, self.factory, now=running.services.wall.now())
        if expected:
            running.services.registrations.expect([ExpectedDevice(uid)], who="test")

    @asynccontextmanager
    async def enrolment(self, **options: Any) -> AsyncIterator[tuple[SecurityModule, Enrolment]]:
        async with SecurityModule.start(self.state, self.factory) as module:
            with Enrolment(module, self.state, **options) as enrolment:
                yield module, enrolment

    def kept(self) -> ClientState:
        with closing(
            FileVault(self.state / "registration.sqlite", kek=self.state / "registration.kek")
        ) as vault:
            return ClientState.decode(vault.get("registration", self.uid, "state"))

    def keys(self) -> dict[str, bytes]:
        folder = self.state / "module"
        with closing(FileVault(folder / "vault.sqlite", kek=folder / "kek")) as vault:
            return dict(vault.find("identity", self.uid))


def check_registered_once(running: Running, place: Place) -> None:
    """Assert that both sides have the same account, certificate and key, and no other."""
    services, kept = running.services, place.kept()
    assert kept.step is Step.LIVE
    assert kept.block is not None
    registration = services.registrations.get(place.uid).registration
    assert registration.live == kept.digest
    with closing(FileVault(running.home.vault, kek=running.home.kek)) as vault:
        assert vault.find(OFFER, place.uid) == {}
        ((digest, text),) = vault.find(ACCOUNT, place.uid).items()
    account = json.loads(text)
    assert digest == kept.digest.hex()
    for name in ("server_id", "server_password", "client_id", "client_password", "server_url"):
        assert account[name] == getattr(kept.block, name)
    issued = services.pki.certificates(subject=place.uid, revoked=False).items
    assert [one.der for one in issued] == [kept.chain[0]]
    assert set(place.keys()) == {"current"}
    identity = Identity.from_pem(place.keys()["current"])
    assert key_fingerprint(identity.key.public_key()) == registration.claim.key
    assert identity.certificate.serial_number == issued[0].serial
    assert services.alarms.list().items == ()


async def life(forks: Forks, place: Place, number: int) -> int:
    """Let a DCU live that is killed at step ``number``; return how it ended."""
    process, _ = await forks.start(str(place.state), str(place.factory), str(number))
    ended = await process.ended()
    assert ended in {0, -9}, "".join(process.output)
    return ended


STEPS = 18
"""Before and after a key, four commits, three requests, a certificate."""


async def test_a_dcu_that_is_killed_at_any_step_is_registered_once(
    running: Running, tmp_path: Path
) -> None:
    async with forks("tests.support.enrol_child") as dcus:
        for number in range(STEPS):
            place = Place(running, tmp_path, f"D{number}")
            assert await life(dcus, place, number) == -9
            async with place.enrolment() as (_, enrolment):
                await enrolment.register(Stop())
            check_registered_once(running, place)
        assert await life(dcus, Place(running, tmp_path, "D"), STEPS) == 0  # there are no more
        place = Place(running, tmp_path, "E")  # and again and again
        killed = 0
        while await life(dcus, place, 5) != 0:
            killed += 1
        assert killed > 1
        check_registered_once(running, place)


MODULE_STEPS = 12
"""Before and after three answers, two commits and a deletion."""


async def test_a_module_that_is_killed_at_any_step_has_one_key(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    monkeypatch.setattr(ssmp, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(modules, "_FIRST_WAIT_S", 0.01)
    for number in range(MODULE_STEPS):
        place = Place(running, tmp_path, f"D{number}")
        command = (sys.executable, "-m", "tests.support.module_child",
                   str(tmp_path / place.uid), str(number))  # fmt: skip
        async with SecurityModule.start(place.state, place.factory, command=command) as module:
            first = module.pid
            with Enrolment(module, place.state) as enrolment:
                await enrolment.register(Stop())
            await module.certificate()
            assert module.pid != first
        check_registered_once(running, place)


async def test_what_is_registered_is_told_and_the_block_is_forgotten_when_it_is_taken(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1")
    steps: list[Step] = []
    with structlog.testing.capture_logs() as logs:
        async with place.enrolment(told=steps.append) as (module, enrolment):
            await enrolment.register(Stop())
            block = enrolment.block
            assert block is not None
            assert block.server_url == f"{running.device_url}/dm"
            async with module.operational_client(running.device_url) as client:
                assert (await client.get("/device/v1/cursors")).ok
            text = repr(logs)
            assert block.client_password not in text
            assert block.server_password not in text
        async with place.enrolment() as (_, enrolment):
            await enrolment.register(Stop())  # there is nothing to do
            assert enrolment.block == block
            await enrolment.forget()
            assert enrolment.step is Step.LIVE
        async with place.enrolment() as (_, enrolment):
            assert enrolment.block is None
            assert enrolment.step is Step.LIVE
    assert steps == [Step.REGISTERING, Step.FETCHING, Step.ACKNOWLEDGING, Step.LIVE]
    said = [line["event"] for line in logs if line["event"] != "registration"]  # the head-end's
    assert said[:5] == [
        "registers", "registration approved", "accounts received", "registered",
        "certificate in use",
    ]  # fmt: skip
    assert block.client_password.encode() not in b"".join(
        file.read_bytes() for file in place.state.iterdir() if file.is_file()
    )


async def until_said(logs: Sequence[Mapping[str, Any]], event: str) -> None:
    async with asyncio.timeout(30):
        while not any(line["event"] == event for line in logs):
            await asyncio.sleep(0.01)


async def test_who_is_not_expected_waits_for_a_person_and_ends_when_it_is_to(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1", expected=False)
    with structlog.testing.capture_logs() as logs:
        async with place.enrolment() as (_, enrolment):
            stop = Stop()
            registering = asyncio.ensure_future(enrolment.register(stop))
            await until_said(logs, "pending approval")
            assert enrolment.step is Step.REGISTERING
            stop.set()
            await registering
            assert enrolment.block is None
    await asyncio.to_thread(running.services.registrations.approve, "D1", who="anna")
    async with place.enrolment() as (_, enrolment):
        await enrolment.register(Stop())
    check_registered_once(running, place)


async def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1")
    wall = ManualClock(running.services.wall.now())
    async with place.enrolment(wall=wall) as (module, enrolment):
        await enrolment.register(Stop())
        before = await module.certificate()
        assert before is not None
        stop = Stop()
        wall.set(before.not_after - 0.37 * (before.not_after - before.not_before))
        assert await enrolment._towards_fresh(1 / 3, no) == enrolments.CHECK_S
        assert await module.certificate() == before
        wall.set(before.not_after - 0.3 * (before.not_after - before.not_before))
        renewing = asyncio.ensure_future(enrolment.renew(stop, no))
        async with asyncio.timeout(30):
            while (after := await module.certificate()) == before:
                await asyncio.sleep(0.01)
        stop.set()
        await renewing
        assert after is not None
        async with module.operational_client(running.device_url) as client:
            assert (await client.get("/device/v1/cursors")).ok
        await asyncio.to_thread(running.services.pki.refresh)
        assert running.services.pki.is_revoked(before.serial)
        assert not running.services.pki.is_revoked(after.serial)
    assert set(place.keys()) == {"current"}


async def test_a_renewal_that_is_cut_short_is_taken_up(running: Running, tmp_path: Path) -> None:
    place = Place(running, tmp_path, "D1")
    wall = ManualClock(running.services.wall.now())
    async with place.enrolment(wall=wall) as (module, enrolment):
        await enrolment.register(Stop())
        before = await module.certificate()
        assert before is not None
        wall.set(before.not_after - 60)
        assert await enrolment._towards_fresh(1 / 3, no) == 0  # the key is made, and kept
        assert enrolment.step is Step.RENEWING
    async with place.enrolment(wall=wall) as (module, enrolment):
        await enrolment.register(Stop())  # goes on with the certificate that it has
        assert await module.certificate() == before
        assert await enrolment._towards_fresh(1 / 3, no) == 0  # asks
        assert enrolment.step is Step.LIVE  # and is killed before it is installed
    async with place.enrolment() as (module, enrolment):
        await enrolment.register(Stop())
        after = await module.certificate()
        assert after is not None
        assert after.serial != before.serial
    assert set(place.keys()) == {"current"}


async def test_while_a_step_is_kept_the_dcu_goes_on(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(running, tmp_path, "D1")
    disk = SlowDisk(monkeypatch, place.state / "registration.sqlite")
    async with place.enrolment() as (_, enrolment):
        disk.hold()
        registering = asyncio.ensure_future(enrolment.register(Stop()))
        try:
            await disk.holds()
            assert enrolment.step is None  # nothing is asked before it is durable
        finally:
            disk.let_go()
        await asyncio.wait_for(registering, 60)
    check_registered_once(running, place)


class Answers:
    """A security server that answers what it is told, once each, as an ASGI application."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        event = await receive()
        self.asked.append(event["body"])
        status, body = self.answers.pop(0)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


async def test_what_is_no_answer_is_asked_for_again_octet_for_octet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssmp, "FIRST_RETRY_S", 0.01)
    utility, stop = Utility(tmp_path / "utility"), Stop()
    busy = json.dumps({"error": {"code": "busy.security"}}).encode()
    app = Answers(
        (503, busy), (500, b"?"), (500, b"[]"), (200, b""), (200, b"SSMP\x01"),
        (200, bytes(m.MAX_MESSAGE + 1)), (200, m.encode(m.Confirmed(bytes(16), bytes(32)))),
    )  # fmt: skip
    state = tmp_path / "state"
    with structlog.testing.capture_logs() as logs:
        async with (
            utility.serving(app) as server,
            SecurityModule.start(state, utility.device(server.url)) as module,
        ):
            with Enrolment(module, state) as enrolment:
                registering = asyncio.ensure_future(enrolment.register(stop))
                async with asyncio.timeout(30):
                    while app.answers:
                        await asyncio.sleep(0.01)
                stop.set()
                await registering
                assert enrolment.step is Step.REGISTERING
    assert len(set(app.asked)) == 1
    codes = [line["code"] for line in logs if line["event"] == "registration interrupted"]
    assert codes[:6] == ["ssmp.http"] * 3 + ["protocol.decode"] * 2 + ["http.too-large"]
    assert logs[1]["message"] == "HTTP 503: busy.security"


@pytest.mark.parametrize(
    ("reason", "hint"),
    [(m.Reason.STALE, {"hint": _HINTS[m.Reason.STALE]}), (m.Reason.OPERATOR, {})],
)
async def test_a_refusal_is_said_with_what_to_do(
    tmp_path: Path, reason: m.Reason, hint: dict[str, str]
) -> None:
    utility, stop = Utility(tmp_path / "utility"), Stop()
    state = tmp_path / "state"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked = m.decode((await receive())["body"])
            answer = m.encode(m.Refused(asked.exchange, reason, 600))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": answer})

    with structlog.testing.capture_logs() as logs:
        async with (
            utility.serving(app) as server,
            SecurityModule.start(state, utility.device(server.url)) as module,
        ):
            with Enrolment(module, state) as enrolment:
                registering = asyncio.ensure_future(enrolment.register(stop))
                await until_said(logs, "registration refused")
                stop.set()
                await registering
    refused = next(line for line in logs if line["event"] == "registration refused")
    assert refused["reason"] == reason.name.lower()
    assert 590 <= refused["again_s"] <= 600
    assert {name: said for name, said in refused.items() if name == "hint"} == hint


def check_registered_anew(running: Running, place: Place, before: CertificateFacts) -> None:
    """Assert that there is one certificate, another than before, and one account."""
    kept, services = place.kept(), running.services
    assert kept.step is Step.LIVE
    (good,) = services.pki.certificates(subject=place.uid, revoked=False).items
    assert (good.der, good.serial != before.serial) == (kept.chain[0], True)
    with closing(FileVault(running.home.vault, kek=running.home.kek)) as vault:
        assert list(vault.find(ACCOUNT, place.uid)) == [kept.digest.hex()]
    assert set(place.keys()) == {"current"}
    assert services.alarms.list().items == ()


async def test_a_dcu_that_lost_its_key_registers_anew_once_it_is_opened(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1")
    async with place.enrolment() as (module, enrolment):
        await enrolment.register(Stop())
        before = await module.certificate()
        assert before is not None
    for file in (place.state / "module").glob("vault.sqlite*"):
        file.unlink()
    (place.state / "module" / "kek").unlink()
    async with place.enrolment() as (_, enrolment):
        with pytest.raises(SecurityError) as caught:
            await enrolment._install()
        assert caught.value.code == "module.certificate"
        await enrolment.register(Stop())  # is no reason to collect no more
        assert enrolment.step is Step.REGISTERING
        assert await enrolment._towards_fresh(1 / 3, no) > 0
        assert enrolment.step is Step.REGISTERING  # nobody has opened it
    assert running.services.alarms.list().items == ()
    await asyncio.to_thread(running.services.registrations.reopen, "D1", who="anna", why="lost")
    async with place.enrolment() as (_, enrolment):
        stop, taken = Stop(), asyncio.Event()
        renewing = asyncio.ensure_future(enrolment.renew(stop, noting(taken)))
        await asyncio.wait_for(taken.wait(), 30)
        stop.set()
        await renewing
        assert enrolment.block is not None
    check_registered_anew(running, place, before)


async def test_a_dcu_that_is_refused_asks_and_stays_what_it_is_until_it_is_opened(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1")
    async with place.enrolment() as (module, enrolment):
        await enrolment.register(Stop())
        await enrolment.forget()
        before = await module.certificate()
        assert before is not None
        stop, taken = Stop(), asyncio.Event()
        with structlog.testing.capture_logs() as logs:
            renewing = asyncio.ensure_future(enrolment.renew(stop, noting(taken)))
            enrolment.doubt()
            await until_said(logs, "registration refused")
            async with asyncio.timeout(30):
                while enrolment.step is not Step.LIVE:
                    await asyncio.sleep(0.01)
            enrolment.doubt()  # too soon
            assert not enrolment._doubted.is_set()
            assert await module.certificate() == before
            assert running.services.alarms.list().items == ()
            reopen = running.services.registrations.reopen
            await asyncio.to_thread(reopen, "D1", who="anna", why="refused")
            enrolment.trust()
            enrolment.doubt()
            await asyncio.wait_for(taken.wait(), 30)
        stop.set()
        await renewing
        assert await module.certificate() != before
    check_registered_anew(running, place, before)


async def test_a_dcu_that_is_suspended_while_it_registers_anew_is_no_clone(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was let in, and has not heard of it."""
    place, registrations = Place(running, tmp_path, "D1"), running.services.registrations
    async with place.enrolment() as (module, enrolment):
        await enrolment.register(Stop())
        await enrolment.forget()
        before = await module.certificate()
        assert before is not None
        await asyncio.to_thread(registrations.reopen, "D1", who="anna", why="refused")
        carry, lost = enrolment._carry, [TransportError("cut", code="transport.closed")]

        async def losing(step: Step, request: bytes) -> bytes:
            answer = await carry(step, request)
            if lost:
                raise lost.pop()
            return answer

        monkeypatch.setattr(enrolment, "_carry", losing)
        enrolment.doubt()
        assert await enrolment._towards_fresh(1 / 3, no) == 0  # it is about to ask
        with pytest.raises(TransportError):
            await enrolment._towards_fresh(1 / 3, no)
        await asyncio.to_thread(registrations.suspend, "D1", who="anna", why="stolen?")
        assert await enrolment._towards_fresh(1 / 3, no) > 0
        assert place.kept().step is Step.REGISTERING
        await asyncio.to_thread(registrations.resume, "D1", who="anna", why="it is there")
        assert enrolment._client is not None
        monkeypatch.setattr(enrolment._client, "_wake_at", 0.0)
        while enrolment.step is not Step.LIVE or not enrolment._installed:
            await enrolment._towards_fresh(1 / 3, no)
    assert running.services.alarms.list().items == ()
    check_registered_anew(running, place, before)


async def test_a_dcu_whose_certificate_ran_out_asks_by_its_factory_identity(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1")
    wall = ManualClock(running.services.wall.now())
    async with place.enrolment(wall=wall) as (module, enrolment):
        await enrolment.register(Stop())
        before = await module.certificate()
        assert before is not None
        wall.set(before.not_after + 1)
        assert await enrolment._towards_fresh(1 / 3, no) == 0
        assert enrolment.step is Step.REGISTERING
        assert await enrolment._towards_fresh(1 / 3, no) > 0  # the server's clock is another
        assert enrolment.step is Step.REGISTERING
        wall.set(before.not_after - 3600)
    async with place.enrolment() as (module, enrolment):
        assert await enrolment._towards_fresh(1 / 3, no) == 0  # its clock was set
        assert enrolment.step is Step.LIVE
        assert await module.certificate() == before
    assert running.services.alarms.list().items == ()


async def test_a_dcu_that_lost_what_it_knew_of_its_registration_goes_on(
    running: Running, tmp_path: Path
) -> None:
    place = Place(running, tmp_path, "D1")
    wall = ManualClock(running.services.wall.now())
    async with place.enrolment() as (module, enrolment):
        await enrolment.register(Stop())
        before = await module.certificate()
        assert before is not None
    for file in place.state.glob("registration.*"):
        file.unlink()
    for _ in range(2):
        async with place.enrolment(wall=wall) as (module, enrolment):
            await enrolment.register(Stop())
            assert enrolment.step is Step.LIVE
            assert await module.certificate() == before
    async with place.enrolment(wall=wall) as (module, enrolment):
        await enrolment.register(Stop())
        wall.set(before.not_after - 60)
        for _ in range(3):  # begins to renew, asks, installs
            await enrolment._towards_fresh(1 / 3, no)
        assert (await module.certificate() or before).serial != before.serial
    assert running.services.alarms.list().items == ()
