"""Upgrades over real links: our client, a process that is killed, a street with one image."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.upgrades import MAKER, blocks, image

from openami.core.clock import ManualClock
from openami.core.errors import ConfigError, OpenAmiError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.cosem import ImageStatus
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import ActionResult
from openami.dlms.security import Keys
from openami.firmware.payload import Payload
from openami.meter.factory import FLASH_FILE, KEY_FILE, MAKER_FILE, STREET_FILE, new_board
from openami.meter.identity import generate_identity, seeded
from openami.meter.maker import Maker, factory_payload
from openami.meter.run import MeterRunner, RunSettings
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.meter.street import StreetMeter, StreetRunner, StreetSettings, prepare_identities
from openami.metrology.energy import Channel
from openami.transport.session import ServiceRefusedError, open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from pathlib import Path

    from openami.meter.identity import MeterIdentity
    from openami.transport.session import DlmsSession

START: Final = 1_774_742_400.0
HERE: Final = ("127.0.0.1", 0)
IMAGE: Final = Obis.parse("0.0.44.0.0.255")
FIRMWARE: Final = AttributeRef(1, Obis.parse("1.0.0.2.0.255"), 2)
STATUS: Final = AttributeRef(18, IMAGE, 6)
ENERGY: Final = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
TITLE: Final = SystemTitle.of("CLI", 3)


def manager(identity: MeterIdentity, counter: int) -> ClientConfig:
    keys = identity.keys
    return ClientConfig(
        Mechanism.HLS_GMAC,
        keys=Keys(guek=keys.guek, gak=keys.gak),
        title=TITLE,
        security=SecurityLevel.BOTH,
        invocation_counter=counter,
        timeout=5.0,
    )


async def invoke(session: DlmsSession, method: int, parameter: d.Data) -> ActionResult:
    try:
        await session.action(MethodRef(18, IMAGE, method), parameter)
    except ServiceRefusedError as error:
        return ActionResult(int(error.result or 0))
    return ActionResult.SUCCESS


async def ends(session: DlmsSession) -> None:
    """Ask until nobody answers any more."""
    while True:
        await status(session)
        await asyncio.sleep(0.02)


async def status(session: DlmsSession) -> ImageStatus:
    return ImageStatus((await session.get(STATUS)).integer())


async def load(session: DlmsSession, octets: bytes, *, begin: bool = True) -> None:
    """Take the steps 1 to 5: what is missing is asked for and sent."""
    if begin:
        size = d.structure(d.octets(b"new"), d.u32(len(octets)))
        assert await invoke(session, 1, size) is ActionResult.SUCCESS
    gap = (await session.get(AttributeRef(18, IMAGE, 4))).integer()
    for number, block in blocks(octets):
        if number >= gap:
            assert await invoke(session, 2, block) is ActionResult.SUCCESS
    assert await invoke(session, 3, d.i8(0)) is ActionResult.TEMPORARY_FAILURE
    while await status(session) is ImageStatus.VERIFICATION_INITIATED:
        await asyncio.sleep(0.05)
    assert await status(session) is ImageStatus.VERIFICATION_SUCCESSFUL


async def firmware(url: str, identity: MeterIdentity) -> str:
    """Ask a meter what it runs until it answers: it may be away."""
    reader = ClientConfig(Mechanism.LLS, secret=identity.keys.lls, timeout=2.0)
    while True:
        try:
            async with open_session(MeterUrl.parse(url), reader) as session:
                return (await session.get(FIRMWARE)).octets().decode()
        except OpenAmiError:
            await asyncio.sleep(0.1)


async def becomes(url: str, identity: MeterIdentity, wanted: str) -> None:
    while await firmware(url, identity) != wanted:
        await asyncio.sleep(0.1)


def run_settings(state: Path | None, clock: ManualClock) -> RunSettings:
    identity = generate_identity(3, seeded("links"), address=17)
    config = MeterConfig(identity, restart_s=0.2, check_s=0.1, started=START)
    return RunSettings(
        config,
        parse_source("constant:3600"),
        state=state,
        wrapper=(HERE,),
        hdlc=(HERE,),
        clock=clock,
        maker=MAKER,
    )


@pytest.mark.parametrize("link", ["dlms+tcp", "hdlc+tcp"])
async def test_a_meter_is_upgraded_over_its_links(link: str) -> None:
    clock = ManualClock(START)
    settings = run_settings(None, clock)
    identity = settings.config.identity
    async with MeterRunner(settings) as runner:
        found = runner.listening.wrapper if link == "dlms+tcp" else runner.listening.hdlc
        url = f"{link}://127.0.0.1:{found[0][1]}?"
        idle = await asyncio.open_connection(*found[0])
        clock.advance(1000)
        async with open_session(MeterUrl.parse(url + "client=1"), manager(identity, 1)) as session:
            await load(session, image(trial_s=0))
            assert await invoke(session, 4, d.i8(0)) is ActionResult.TEMPORARY_FAILURE
            assert (await session.get(ENERGY)).integer() == 1000
            clock.advance(500)
            with pytest.raises(OpenAmiError):  # the association ends with the restart
                await ends(session)
        assert await idle[0].read() == b""  # and so do connections of others
        idle[1].close()
        clock.advance(500)
        await becomes(url + "client=2", identity, "openami-2.0.0")
        clock.advance(1000)
        async with open_session(MeterUrl.parse(url + "client=1"), manager(identity, 9999)) as after:
            assert (await after.get(ENERGY)).integer() == 3000
            while await status(after) is not ImageStatus.ACTIVATION_SUCCESSFUL:
                await asyncio.sleep(0.05)


async def test_a_meter_in_a_folder_goes_on_where_it_was(tmp_path: Path) -> None:
    """Stopped in the middle of a transfer, and of what follows: each start finds it all."""
    clock = ManualClock(START)
    settings = run_settings(tmp_path, clock)
    identity, new = settings.config.identity, image(trial_s=0, padding=3000)
    half = [block for _, block in blocks(new)][:6]
    async with MeterRunner(settings) as runner:
        url = f"dlms+tcp://127.0.0.1:{runner.listening.wrapper[0][1]}?client=1"
        async with open_session(MeterUrl.parse(url), manager(identity, 1)) as session:
            await invoke(session, 1, d.structure(d.octets(b"new"), d.u32(len(new))))
            for block in half:
                await invoke(session, 2, block)
    assert not (tmp_path / MAKER_FILE).exists()
    assert (tmp_path / KEY_FILE).exists()
    settings = replace(settings, maker=None)  # only a new meter wants the maker's key
    async with MeterRunner(settings) as runner:
        url = f"dlms+tcp://127.0.0.1:{runner.listening.wrapper[0][1]}?client=1"
        async with open_session(MeterUrl.parse(url), manager(identity, 20_000)) as session:
            assert await status(session) is ImageStatus.INITIATED
            await load(session, new, begin=False)
            await invoke(session, 4, d.i8(0))
    async with MeterRunner(settings) as runner:  # stopped before it restarted by itself
        url = f"dlms+tcp://127.0.0.1:{runner.listening.wrapper[0][1]}?client=2"
        await becomes(url, identity, "openami-2.0.0")
        while runner.meter.management._trial is not None:
            await asyncio.sleep(0.05)
    async with MeterRunner(settings) as runner:
        url = f"dlms+tcp://127.0.0.1:{runner.listening.wrapper[0][1]}?client=2"
        assert await firmware(url, identity) == "openami-2.0.0"


async def test_a_meter_that_has_lost_its_flash_wants_its_maker(tmp_path: Path) -> None:
    settings = run_settings(tmp_path, ManualClock(START))
    async with MeterRunner(settings):
        pass
    (tmp_path / KEY_FILE).chmod(0o644)
    (tmp_path / FLASH_FILE).unlink()
    for maker in (None, Maker.generate()):
        with pytest.raises(OpenAmiError) as raised:
            async with MeterRunner(replace(settings, maker=maker)):
                raise AssertionError
        assert raised.value.code == "config.firmware-key"
    async with MeterRunner(settings):
        pass
    (tmp_path / KEY_FILE).unlink()
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        async with MeterRunner(settings):
            raise AssertionError


async def test_a_maker_of_its_own_is_kept_in_the_folder(tmp_path: Path) -> None:
    settings = replace(run_settings(tmp_path, ManualClock(START)), maker=None)
    async with MeterRunner(settings):
        pass
    made = Maker.load(tmp_path / MAKER_FILE)
    assert (tmp_path / MAKER_FILE).stat().st_mode & 0o077 == 0
    assert made.public.id == Maker.load(tmp_path / MAKER_FILE).public.id
    assert made.pem() not in repr(made).encode()
    (tmp_path / MAKER_FILE).write_bytes(b"no key")
    with pytest.raises(OpenAmiError) as raised:
        Maker.load(tmp_path / MAKER_FILE)
    assert raised.value.code == "config.firmware-key"


def street_settings(folder: Path, count: int, clock: ManualClock, *, state: bool) -> StreetSettings:
    identities = prepare_identities(folder, count, now=START, octets=seeded("upgrade street"))
    source = parse_source("constant:1000")
    return StreetSettings(
        tuple(
            StreetMeter(MeterConfig(one, started=START, restart_s=0.2, check_s=0.1), source)
            for one in identities
        ),
        state=folder if state else None,
        modem=HERE,
        maintenance=HERE,
        clock=clock,
        maker=MAKER,
    )


@pytest.mark.fums("NET-1")
async def test_a_street_of_fifty_with_one_image(tmp_path: Path) -> None:
    """All run the factory's image and take no room for it; some are upgraded, one by a bad one."""
    clock = ManualClock(START)
    settings = street_settings(tmp_path, 50, clock, state=True)
    good, bad = image(trial_s=0), image("3.0.0", "def start(hardware):\n    raise OSError\n")
    async with StreetRunner(settings) as street:
        assert (tmp_path / STREET_FILE).stat().st_size < 200_000
        clock.advance(3600)
        port, chosen = street.listening.wrapper[0][1], tuple(street.meters)[:6]
        for station in chosen:
            identity = street.meters[station].config.identity
            url = MeterUrl.parse(f"dlms+tcp://127.0.0.1:{port}?server={station}&client=1")
            async with open_session(url, manager(identity, 1)) as session:
                await load(session, bad if station == chosen[-1] else good)
                await invoke(session, 4, d.i8(0))
        modem = street.listening.hdlc[0][1]
        for station in chosen[:-1]:
            url_ = f"hdlc+tcp://127.0.0.1:{modem}?server=1:{station}&address_size=4&client=2"
            await becomes(url_, street.meters[station].config.identity, "openami-2.0.0")
        last = street.meters[chosen[-1]]
        while last.management.away or not last.management.restarts:
            await asyncio.sleep(0.05)
        while any(street.meters[one].management._trial for one in chosen):
            await asyncio.sleep(0.05)
        clock.advance(3600)
    async with StreetRunner(settings) as street:
        shown = [meter.management._booted.version.major for meter in street.meters.values()]
        assert shown == [2] * 5 + [0] * 45
        energy = {
            meter.engine.state.energy.whole(Channel.IMPORT) for meter in street.meters.values()
        }
        assert energy == {2000}


def test_meters_without_a_folder_share_what_they_were_made_with() -> None:
    one, two = new_board(), new_board()
    assert one.flash.read(0, 4096) == two.flash.read(0, 4096)
    assert getattr(one.flash, "pages") == 0  # noqa: B009
    assert Payload.decode(factory_payload().encode()) == factory_payload()
