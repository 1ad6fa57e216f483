"""A meter's home port over real sockets: pairing, pushes, what displays may do, and strangers."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.support.home import (
    CODE,
    IDENTITY,
    WRONG,
    link_of,
    paired_with,
    settings,
    some,
    target_of,
)
from tests.support.meter_bench import START, FailingMemory

from openami.core.clock import ManualClock
from openami.core.errors import (
    OpenAmiError,
    SecurityError,
    StoreError,
    TransportError,
    TransportTimeoutError,
)
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.apdu.notification import DataNotification
from openami.dlms.client import ClientConfig, Notified, SecurityLevel
from openami.dlms.cosem.pairing import PAIRING_OBIS, HomePairing
from openami.dlms.cosem.response import RESPONSE_OBIS, Answer
from openami.dlms.data import array, null, structure, u8, u16, u32
from openami.dlms.home import LIVE_OBIS, Live
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.security import AUTHENTICATED, BOTH, NOTHING, Keys
from openami.meter.counters import RESERVE
from openami.meter.device import Meter
from openami.meter.home import port as home_port
from openami.meter.home.port import HomePort
from openami.meter.run import MeterRunner
from openami.meter.settings import MeterConfig
from openami.metrology.events import Event, Ring
from openami.metrology.sources import ConstantSource, Sample
from openami.transport.home import HomeLine, HomeLink, HomeTarget, Paired, pair
from openami.transport.home.way import DirectWay
from openami.transport.session import ServiceRefusedError, open_session
from openami.transport.tcp import open_tcp
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
MANAGER = ClientConfig(
    mechanism=Mechanism.HLS_GMAC,
    keys=Keys(guek=IDENTITY.keys.guek, gak=IDENTITY.keys.gak),
    title=SystemTitle.of("CLI", 1),
    security=SecurityLevel.BOTH,
    invocation_counter=1,
)
READER = ClientConfig(mechanism=Mechanism.LLS, secret=IDENTITY.keys.lls)
FORGET = MethodRef(HomePairing.CLASS_ID, PAIRING_OBIS, 3)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Push twenty times a second: nothing here depends on how often."""
    monkeypatch.setattr("openami.meter.home.port.PUSH_S", 0.05)


@pytest.fixture
async def runner(clock: ManualClock) -> AsyncIterator[MeterRunner]:
    async with MeterRunner(settings(clock=clock)) as found:
        clock.advance(60)
        yield found


def url(runner: MeterRunner, client: int, *, home: bool = False) -> MeterUrl:
    host, port = runner.listening.home if home else runner.listening.wrapper[0]  # type: ignore[misc]  # it has one
    return MeterUrl.parse(f"dlms+tcp://{host}:{port}?client={client}")


def events(runner: MeterRunner) -> list[int]:
    rows = runner.meter.engine.rows[Ring.SECURITY_LOG]
    return [row[-1] for row in rows.entries(1, len(rows))]


async def test_a_display_is_paired_and_pushed_to(runner: MeterRunner) -> None:
    paired = await paired_with(runner)
    assert (paired.serial, paired.meter_title) == (IDENTITY.serial, IDENTITY.system_title)
    assert Paired.of(paired.data()) == paired
    assert events(runner) == [Event.DISPLAY_PAIRED]
    async with link_of(runner, paired) as link:
        first, second = await some(link, 2)
        assert (link.serial, link.period) == (IDENTITY.serial, 900)
        assert link.heard_at == START
    assert (first.active, first.reactive, first.apparent) == (3_600_000, 1_200_000, 3_794_733)
    assert first.imported == 60
    assert (first.limit, first.supply, first.revision) == (None, 1, 0)
    assert first.at == second.at == START + 60


async def test_what_is_pushed_follows_the_meter(runner: MeterRunner, clock: ManualClock) -> None:
    async with link_of(runner, await paired_with(runner)) as link:
        (before,) = await some(link, 1)
        clock.advance(3600)
        after = (await some(link, 2))[-1]
        assert after.imported - before.imported == 3600
        energy = await link.energy(int(START), int(START) + 3600)
        assert energy.imported.tolist() == [900] * len(energy)
        assert energy.time.tolist() == [START + 900 * n for n in (1, 2, 3, 4)]
        assert len(await link.energy(0, 900)) == 0
        assert (await link.said()).events == ()


def tapped(runner: MeterRunner, paired: Paired, seen: list[bytes]) -> HomeLink:
    """Return a link of which a relay sees what comes."""

    class Tapped(DirectWay):
        async def open(self, client: int) -> HomeLine:
            line = await super().open(client)
            feed = line.channel._feed

            def tap(data: bytes) -> None:
                seen.append(data)
                feed(data)

            line.channel._feed = tap  # type: ignore[method-assign]
            return line

    host, port = runner.listening.home or ("", 0)
    return HomeLink(
        target_of(runner),
        paired,
        clock=ManualClock(),
        keep_counter=lambda _: None,
        way=Tapped(host, port),
    )


async def test_nothing_on_the_line_is_plain(runner: MeterRunner) -> None:
    """What passes is seen by a relay: no register, no name of the network."""
    seen: list[bytes] = []
    async with tapped(runner, await paired_with(runner), seen) as link:
        (live,) = await some(link, 1)
    octets = b"".join(seen)
    assert live.data().encode()[2:] not in octets
    assert live.active.to_bytes(4, "big") not in octets
    assert bytes((0xDB, 8)) + IDENTITY.system_title.raw in octets


async def test_a_push_that_was_recorded_is_worth_nothing(
    runner: MeterRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played again it is no push; those that follow are taken as if nothing had been."""
    seen: list[bytes] = []
    taken: list[int] = []
    notified = HomeLink._notified

    def noted(link: HomeLink, event: Notified) -> None:
        assert isinstance(event.notification, DataNotification)
        taken.append(event.notification.invoke_id & 0xFFFFFF)
        notified(link, event)

    monkeypatch.setattr(HomeLink, "_notified", noted)
    async with tapped(runner, await paired_with(runner), seen) as link:
        await some(link, 2)
        pushed = next(each for each in reversed(seen) if bytes((0xDB, 8)) in each)
        for _ in range(3):
            link._session.channel._feed(pushed)
        await some(link, 2)
    assert len(taken) >= 4
    assert taken == list(range(1, len(taken) + 1))


async def test_wrong_codes_lead_to_a_pause_that_a_restart_does_not_end(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with MeterRunner(settings(tmp_path, clock)) as runner:
        for _ in range(3):
            with pytest.raises(SecurityError) as caught:
                await paired_with(runner, code=WRONG)
            assert caught.value.code == "home.code"
        with pytest.raises(SecurityError) as caught:
            await paired_with(runner)
        assert caught.value.code == "home.locked"
        assert events(runner) == [Event.PAIRING_REFUSED]  # once a minute
    clock.advance(25)
    async with MeterRunner(settings(tmp_path, clock)) as runner:
        with pytest.raises(SecurityError) as caught:
            await paired_with(runner)
        assert caught.value.code == "home.locked"
        clock.advance(5)
        runner.meter.refresh()
        await paired_with(runner, code=f"{CODE[:4]} {CODE[4:]}")


@pytest.mark.parametrize("code", ["1234567", "123456789", "1234567x", "\uff11" * 8, ""])
async def test_what_is_no_code_does_not_leave_the_display(runner: MeterRunner, code: str) -> None:
    with pytest.raises(SecurityError) as caught:
        await paired_with(runner, code=code)
    assert caught.value.code == "home.code"
    assert runner.meter.home.record.throttle.failures == 0


async def test_two_displays_have_keys_of_their_own(runner: MeterRunner) -> None:
    kitchen, hall = await paired_with(runner), await paired_with(runner, "Hall")
    assert (kitchen.client, hall.client) == (0x30, 0x31)
    assert kitchen.keys != hall.keys
    async with link_of(runner, kitchen) as one, link_of(runner, hall) as other:
        first, second = await asyncio.gather(some(one, 2), some(other, 2))
        assert [live.active for live in first] == [live.active for live in second]
        assert (one.refused, other.refused) == (0, 0)
    for stranger in (
        replace(hall, keys=kitchen.keys),
        replace(hall, client=0x32),
        replace(hall, title=kitchen.title, keys=Keys(guek=bytes(16), gak=bytes(16))),
    ):
        with pytest.raises((SecurityError, TransportError)) as caught:
            async with link_of(runner, stranger):
                raise AssertionError
        assert isinstance(caught.value, SecurityError)


async def test_a_fifth_display_finds_no_place_until_one_is_forgotten(runner: MeterRunner) -> None:
    four = [await paired_with(runner, f"Display {n}") for n in range(4)]
    with pytest.raises(SecurityError) as caught:
        await paired_with(runner, "Another")
    assert caught.value.code == "home.full"
    again = await paired_with(runner, "Renamed", title=four[2].title)
    assert again.client == four[2].client
    async with open_session(url(runner, 1), MANAGER) as session:
        listed = await session.get(AttributeRef(HomePairing.CLASS_ID, PAIRING_OBIS, 6))
        assert [row[2] for row in listed.native()] == [
            "Display 0", "Display 1", "Renamed", "Display 3",
        ]  # fmt: skip
        await session.action(FORGET, u16(four[1].client))
    assert (await paired_with(runner, "Another")).client == four[1].client
    assert Event.DISPLAY_FORGOTTEN in events(runner)


async def test_who_is_forgotten_is_out_at_once(runner: MeterRunner) -> None:
    paired = await paired_with(runner)
    async with link_of(runner, paired) as link:
        await some(link, 1)
        async with open_session(url(runner, 1), MANAGER) as session:
            await session.action(FORGET, u16(0))
        with pytest.raises(OpenAmiError):
            await link.energy(0, 1)
    with pytest.raises(SecurityError):
        async with link_of(runner, paired):
            raise AssertionError
    assert runner.meter.home.displays == []


async def test_who_only_listens_is_put_out_when_forgotten(runner: MeterRunner) -> None:
    paired = await paired_with(runner)
    async with link_of(runner, paired) as link:
        await some(link, 1)
        runner.meter.home.forget(paired.client)
        with pytest.raises(TransportError) as caught:
            async for _ in link.lives():
                pass
        assert caught.value.code == "transport.closed"


async def test_a_display_has_no_other_rights(runner: MeterRunner) -> None:
    """No keys, no switching, no setting, and nothing of the utility's."""
    paired = await paired_with(runner)
    config = ClientConfig(
        mechanism=Mechanism.HLS_GMAC,
        keys=paired.keys,
        title=paired.title,
        security=SecurityLevel.BOTH,
        pushes=True,
    )
    switch, clock = Obis.parse("0.0.96.3.10.255"), Obis.parse("0.0.1.0.0.255")
    async with open_session(url(runner, paired.client, home=True), config) as session:
        assert (await session.get(ENERGY)).integer() == 60
        for class_id, name, attribute in (
            (70, "0.0.96.3.10.255", 3), (71, "0.0.17.0.0.255", 3), (8, "0.0.1.0.0.255", 2),
            (7, "1.0.99.2.0.255", 2), (7, "0.0.98.1.0.255", 2), (40, "0.0.25.9.0.255", 2),
            (1, "0.0.96.14.0.255", 2), (8193, str(RESPONSE_OBIS), 3),
        ):  # fmt: skip
            await session.get(AttributeRef(class_id, Obis.parse(name), attribute))
        pushed = Live.of(await session.get(AttributeRef(1, LIVE_OBIS, 2)))
        assert pushed.active == 3_600_000
        for index in (1, 2):
            with pytest.raises(ServiceRefusedError):
                await session.action(MethodRef(70, switch, index))
        for ref, value in (
            (AttributeRef(8, clock, 3), u16(0)),
            (AttributeRef(71, Obis.parse("0.0.17.0.0.255"), 4), u32(1)),
            (AttributeRef(70, switch, 4), u8(0)),
        ):
            with pytest.raises(ServiceRefusedError):
                await session.set(ref, value)
        for ref in (
            AttributeRef(64, Obis.parse("0.0.43.0.0.255"), 2),
            AttributeRef(64, Obis.parse("0.0.43.0.5.255"), 4),
            AttributeRef(7, Obis.parse("0.0.99.98.6.255"), 2),
            AttributeRef(HomePairing.CLASS_ID, PAIRING_OBIS, 6),
            AttributeRef(18, Obis.parse("0.0.44.0.0.255"), 6),
        ):
            with pytest.raises(ServiceRefusedError):
                await session.get(ref)
        for method, parameter in (
            (MethodRef(64, Obis.parse("0.0.43.0.5.255"), 2), array()),
            (FORGET, u16(0)),
            (MethodRef(8193, RESPONSE_OBIS, 1), structure()),
            (MethodRef(7, Obis.parse("1.0.99.1.0.255"), 1), u8(0)),
        ):
            with pytest.raises(ServiceRefusedError):
                await session.action(method, parameter)


async def test_answers_and_reconnection_go_to_the_meter(runner: MeterRunner) -> None:
    async with link_of(runner, await paired_with(runner)) as link:
        with pytest.raises(ServiceRefusedError):
            await link.answer("none", Answer.ACCEPTED)
        with pytest.raises(ServiceRefusedError):
            await link.reconnect()  # it is connected


@pytest.mark.parametrize(("client", "config"), [(1, MANAGER), (2, READER), (102, ClientConfig())])
async def test_utilities_clients_are_not_let_in(
    runner: MeterRunner, client: int, config: ClientConfig
) -> None:
    with pytest.raises(SecurityError):
        async with open_session(url(runner, client, home=True), config):
            raise AssertionError


async def test_the_public_client_sees_there_what_it_sees_elsewhere(runner: MeterRunner) -> None:
    async with open_session(url(runner, 16, home=True), ClientConfig()) as session:
        serial = await session.get(AttributeRef(1, Obis.parse("0.0.96.1.0.255"), 2))
        assert serial.octets().decode() == IDENTITY.serial
        with pytest.raises(ServiceRefusedError):
            await session.get(ENERGY)
        with pytest.raises(ServiceRefusedError):
            await session.get(AttributeRef(1, LIVE_OBIS, 2))


async def test_a_display_is_known_on_other_links_and_reads_for_what_is_not_pushed(
    runner: MeterRunner,
) -> None:
    """As through a gateway: the same keys, no pushes."""
    paired = await paired_with(runner)

    class Unpushed(DirectWay):
        async def open(self, client: int) -> HomeLine:
            return replace(await super().open(client), pushes=False)

    host, port = runner.listening.wrapper[0]
    link = HomeLink(
        target_of(runner),
        paired,
        clock=ManualClock(),
        keep_counter=lambda _: None,
        way=Unpushed(host, port),
    )
    async with link:
        found = []
        async for live in link.lives(every_s=0.01):
            found.append(live)
            if len(found) == 3:
                break
        assert {live.active for live in found} == {3_600_000}


async def test_counters_are_kept_before_they_are_used(runner: MeterRunner) -> None:
    paired = await paired_with(runner)
    keep: list[int] = []
    async with link_of(runner, paired, keep):
        assert keep == [256]
    with pytest.raises(SecurityError):  # a display that forgot what it used
        async with link_of(runner, paired):
            raise AssertionError
    async with link_of(runner, paired.at(keep[-1]), keep):
        assert keep == [256, 512]


async def test_counters_go_on_where_they_were_when_the_power_went(tmp_path: Path) -> None:
    async with MeterRunner(settings(tmp_path)) as runner:
        paired = await paired_with(runner)
        async with link_of(runner, paired) as link:
            await some(link, 2)
    async with MeterRunner(settings(tmp_path)) as runner:
        [kept] = runner.meter.home.record.displays
        assert 2 < kept.counter < RESERVE  # none twice, and what was not used was given back
        with pytest.raises(SecurityError):
            async with link_of(runner, paired):  # what was said before is worth nothing
                raise AssertionError
        async with link_of(runner, paired.at(256)) as link:
            await some(link, 1)


async def test_who_is_paired_again_begins_with_new_keys_and_new_counters(
    runner: MeterRunner,
) -> None:
    paired = await paired_with(runner)
    async with link_of(runner, paired) as link:
        await some(link, 1)
    again = await paired_with(runner, title=paired.title)
    assert (again.client, again.counter) == (paired.client, 0)
    assert not {again.keys.guek, again.keys.gak} & {paired.keys.guek, paired.keys.gak}
    async with link_of(runner, again) as link:
        await some(link, 1)
    [kept] = runner.meter.home.record.displays
    assert kept.counter > 0
    assert kept.accepted >= 0  # the memory has the counters that the new keys are used with
    with pytest.raises(SecurityError):
        async with link_of(runner, paired.at(512)):
            raise AssertionError


async def test_a_meter_that_stops_is_noticed(clock: ManualClock) -> None:
    async with MeterRunner(settings(clock=clock)) as runner:
        link = link_of(runner, await paired_with(runner))
        await link.__aenter__()
        lives = link.lives()
        await anext(lives)
    with pytest.raises(TransportError):
        async for _ in lives:
            pass
    await link.__aexit__()


async def test_a_slow_display_gets_the_newest_and_no_queue(
    runner: MeterRunner, clock: ManualClock
) -> None:
    """It stops reading: the meter leaves pushes out, and goes on when it reads again."""

    def told(logs: Sequence[Mapping[str, object]]) -> int:
        return sum("reads slowly" in str(each["event"]) for each in logs)

    paired = await paired_with(runner)
    displays = HomePort(runner.meter)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await displays.listen("127.0.0.1", 0))

        class Narrow(DirectWay):
            async def open(self, client: int) -> HomeLine:
                line = await super().open(client)
                sock = line.channel._transport.get_extra_info("socket")  # type: ignore[attr-defined]
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                return line

        link = HomeLink(
            target_of(runner),
            paired,
            clock=ManualClock(),
            keep_counter=lambda _: None,
            way=Narrow(server.host, server.port),
        )
        await stack.enter_async_context(link)
        channel = link._session.channel
        channel.hold("asleep")
        with capture_logs() as logs:
            pushed = 0
            while not told(logs):
                clock.advance(1)
                displays.push()
                pushed += 1
                await asyncio.sleep(0)
            sent = int(clock.now())
            clock.advance(1000)
            for _ in range(100):
                displays.push()
        assert told(logs) == 1
        channel.release("asleep")
        waited = 0
        live = (await some(link, 1))[0]
        while live.at < sent + 1000:
            waited += 1
            displays.push()
            live = (await some(link, 1))[0]
        assert waited <= pushed, "none of the hundred waited in a queue"


async def test_who_proves_nothing_is_put_out(
    runner: MeterRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.meter.server.PATIENCE_S", 0.5)
    async with open_session(url(runner, 16, home=True), ClientConfig()) as session:
        await session.channel.wait_closed()
    paired = await paired_with(runner)
    async with link_of(runner, paired) as link:
        await some(link, 1)


async def test_strangers_that_fill_the_port_make_room_and_displays_do_not(
    runner: MeterRunner,
) -> None:
    host, port = runner.listening.home or ("", 0)
    paired = await paired_with(runner)
    async with link_of(runner, paired) as link:
        strangers = [await open_tcp(host, port) for _ in range(home_port.CONNECTIONS + 1)]
        await strangers[0].wait_closed()  # the oldest of them; then there are as many as fit
        second = await paired_with(runner, "Second")
        async with link_of(runner, second) as other:
            await some(other, 1)
        await some(link, 1)
    for channel in strangers:
        channel.close()


async def test_displays_alone_fill_the_port(runner: MeterRunner) -> None:
    host, port = runner.listening.home or ("", 0)
    paired = await paired_with(runner)
    async with AsyncExitStack() as stack:
        places = [paired, *[await paired_with(runner, f"Display {n}") for n in (2, 3, 4)]]
        limits = home_port.CONNECTIONS // len(places)
        for each in (at.at(256 * turn) for turn in range(limits) for at in places):
            await stack.enter_async_context(link_of(runner, each))
        nobody = await open_tcp(host, port)
        await nobody.wait_closed()
        assert len(runner.meter.home.displays) == len(places)


async def test_a_full_memory_does_not_stop_the_pushes() -> None:
    memory, clock = FailingMemory(), ManualClock(START)
    source = ConstantSource(Sample(1_000_000, 0))
    meter = Meter(MeterConfig(IDENTITY), memory=memory, source=source, clock=clock.now)
    displays = HomePort(meter)
    async with await displays.listen("127.0.0.1", 0) as server:
        target = HomeTarget("127.0.0.1", server.port)
        paired = await pair(
            target, CODE, name="Wall", random_octets=os.urandom, clock=ManualClock(START)
        )
        link = HomeLink(target, paired, clock=clock, keep_counter=lambda _: None)
        async with link:
            memory.full = True
            clock.advance(86_400)
            for _ in range(2):
                displays.push()
                assert (await some(link, 1))[0].at == START + 86_400
            memory.full = False


def test_what_cannot_be_kept_is_not_given() -> None:
    memory = FailingMemory()
    source = ConstantSource(Sample(1_000_000, 0))
    meter = Meter(MeterConfig(IDENTITY), memory=memory, source=source, clock=lambda: START)
    title = SystemTitle.of("DSP", 1)
    memory.full = True
    with pytest.raises(StoreError):
        meter.home.take(title, "Wall")
    assert meter.home.displays == []
    assert meter.home.lock(0x30).keys == Keys()
    with pytest.raises(StoreError):
        meter.home.failed()
    assert meter.home.record.throttle.failures == 1  # it counts all the same
    memory.full = False
    place = meter.home.take(title, "Wall")
    assert place is not None
    assert meter.home.record.throttle.failures == 0  # the code was right
    memory.full = True
    with pytest.raises(StoreError):
        meter.home.forget(None)
    assert [each.title for each in meter.home.displays] == [title]
    assert meter.home.lock(0x30).keys == place.keys
    again = Meter(MeterConfig(IDENTITY), memory=memory, source=source, clock=lambda: START)
    assert again.home.record == meter.home.record
    assert (place.keys.guek or b"").hex() not in repr(meter.home.record)


def test_a_meter_whose_memory_is_full_starts_after_a_display_was_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = FailingMemory()
    source = ConstantSource(Sample(1_000_000, 0))

    def started() -> Meter:
        return Meter(MeterConfig(IDENTITY), memory=memory, source=source, clock=lambda: START)

    meter = started()
    monkeypatch.setattr(meter.home, "_unlogged", 1)  # as ``openami meter displays --forget`` does
    meter.commit()
    memory.full = True
    meter = started()
    memory.full = False
    meter.commit()
    log = started().engine.rows[Ring.SECURITY_LOG]
    assert [row[-1] for row in log.entries(1, len(log))].count(Event.DISPLAY_FORGOTTEN) == 1


def test_memory_holds_no_key_that_reads_without_the_makers() -> None:
    memory = FailingMemory()
    source = ConstantSource(Sample(1_000_000, 0))
    meter = Meter(MeterConfig(IDENTITY), memory=memory, source=source, clock=lambda: START)
    place = meter.home.take(SystemTitle.of("DSP", 1), "Wall")
    image = memory.load(IDENTITY.serial)
    assert image is not None
    assert place is not None
    for key in (place.keys.guek, place.keys.gak):
        assert key is not None
        assert key.hex().encode() not in image.snapshot.lower()
    assert CODE.encode() not in image.snapshot


async def test_silence_is_noticed(runner: MeterRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.meter.home.port.PUSH_S", 3600.0)
    monkeypatch.setattr("openami.transport.home.link.SILENCE_S", 0.01)
    async with link_of(runner, await paired_with(runner)) as link:
        with pytest.raises(TransportTimeoutError):
            async for _ in link.lives():
                pass


async def test_what_is_no_push_is_counted(runner: MeterRunner) -> None:
    """A live value in the clear is none, and neither is a ciphered one of another form."""
    async with link_of(runner, await paired_with(runner)) as link:
        (live,) = await some(link, 1)
        bad = (
            (structure(), BOTH),
            (null(), BOTH),
            (live.data(), NOTHING),
            (live.data(), AUTHENTICATED),
        )
        for body, control in bad:
            link._notified(Notified(DataNotification(1, None, body), control))
        assert link.refused == len(bad)
        assert (await some(link, 1))[0] == live
