"""A display's library: places, files, and meters that are none."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.home import CODE, IDENTITY
from tests.support.meter_bench import START

from openami.core.clock import ManualClock
from openami.core.errors import (
    ConfigError,
    DecodeError,
    RemoteProtocolError,
    SecurityError,
    TransportError,
)
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.crypto.pairing import Pairing
from openami.dlms import data as d
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import (
    FOR_ALL,
    READING,
    ActionError,
    AssociationLn,
    ClientKind,
    MemoryProfile,
    ProfileGeneric,
)
from openami.dlms.cosem.base import Method
from openami.dlms.cosem.pairing import HomePairing
from openami.dlms.home.messages import Begin, Confirmed, Place
from openami.dlms.references import CLOCK_COLUMN, CaptureObject
from openami.dlms.results import ActionResult
from openami.dlms.security import Keys
from openami.dlms.server import DlmsServer, LogicalDevice
from openami.dlms.wrapper import WrapperServerLink
from openami.meter.identity import seeded
from openami.transport.driver import Driver
from openami.transport.home import HomeTarget, Paired, pair
from openami.transport.home.energy import read_energy
from openami.transport.home.way import DirectWay
from openami.transport.session import DlmsSession
from openami.transport.tcp import listen_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from openami.dlms.cosem import Context, CosemObject
    from openami.dlms.data import Data, Encodable
    from openami.transport.channel import Channel

METER, OTHER = SystemTitle.of("OAM", 1), SystemTitle.of("OAM", 2)
PAIRED = Paired(
    "OAM00000001", METER, 0x30, OTHER, Keys(guek=bytes(range(16)), gak=bytes(16)), 7, 256
)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tcp://192.168.1.20:4060", HomeTarget("192.168.1.20", 4060)),
        ("tcp://[::1]:4060/", HomeTarget("::1", 4060)),
        ("tcp://Meter.local:4060", HomeTarget("meter.local", 4060)),
        ("gateway://h:4061/OAM00000001", HomeTarget("h", 4061, "OAM00000001")),
    ],
)
def test_targets_are_read(text: str, target: HomeTarget) -> None:
    assert HomeTarget.parse(text) == target
    assert HomeTarget.parse(str(target)) == target
    assert target.direct is (target.serial is None)


@pytest.mark.parametrize(
    "text",
    [
        "", "tcp://", "tcp://h", "tcp://h:0", "tcp://h:99999", "tcp://:5", "tcp://h:5/x",
        "tcp://h:5?x=1", "tcp://u@h:5", "http://h:5", "gateway://h:5", "gateway://h:5/",
        "gateway://h:5/a/b", "gateway://h:5/no serial", "[",
    ],
)  # fmt: skip
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HomeTarget.parse(text)
    assert caught.value.code == "config.url"


def test_a_pairing_goes_both_ways_and_shows_no_key() -> None:
    assert Paired.of(PAIRED.data()) == PAIRED
    assert PAIRED.at(512).counter == 512
    assert (PAIRED.keys.guek or b"").hex() not in repr(PAIRED)


@pytest.mark.parametrize(
    "changes",
    [
        {"guek": "00"}, {"guek": "xx"}, {"gak": None}, {"serial": ""}, {"title": "00"},
        {"client": 1 << 16}, {"counter": -1}, {"counter": (1 << 32) + 1}, {"since": "now"},
    ],
)  # fmt: skip
def test_what_is_no_pairing(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Paired.of({**PAIRED.data(), **changes})
    assert caught.value.code == "config.paired"
    lacking = PAIRED.data()
    lacking.pop(next(iter(changes)))
    with pytest.raises(ConfigError):
        Paired.of(lacking)


# Meters that are none.


class Impostor(HomePairing):
    """Answers as a meter does, with a code that it guesses, and takes any proof."""

    def __init__(
        self, *, code: bytes = b"00000000", place: bytes = b"", refuses: ActionResult | None = None
    ) -> None:
        self.desk = self  # type: ignore[assignment]  # only its title is asked for
        super().__init__(self, os.urandom)  # type: ignore[arg-type]  # as above
        self.title = METER
        self._code = code
        self._place = place
        self._refuses = refuses

    def begin(self, parameter: Data | None, _: Context) -> Encodable:
        assert parameter is not None
        asked = Begin.of(parameter)
        side = Pairing(self._code, asked.title.raw, METER.raw, begins=False, octets=os.urandom)
        self.agreed = side.agree(asked.message, asked.context)
        return d.octets(side.message)

    def confirm(self, _parameter: Data | None, _: Context) -> Encodable:
        if self._refuses is not None:
            raise ActionError(self._refuses)
        return Confirmed(self.agreed.second, self.agreed.seal(self._place)).data()

    METHODS = {  # noqa: RUF012 - as the class it is one of
        index: type(method)(method.name, call, method.types)
        for (index, method), call in zip(
            list(HomePairing.METHODS.items())[:2], (begin, confirm), strict=True
        )
    }


@asynccontextmanager
async def serving(*objects: CosemObject) -> AsyncIterator[HomeTarget]:
    """Serve objects to the public client."""
    public = AssociationLn(
        "0.0.40.0.1.255",
        client=16,
        kind=ClientKind.PUBLIC,
        mechanism=Mechanism.NONE,
        conformance=READING | Conformance.ACTION,
    )
    device = LogicalDevice([public, *objects])

    async def serve(channel: Channel) -> None:
        server = DlmsServer(device, WrapperServerLink(), random_octets=os.urandom)
        await Driver(server, channel, on_event=lambda _: None).run()

    async with await listen_tcp("127.0.0.1", 0, serve) as listener:
        yield HomeTarget(listener.host, listener.port)


async def paired_at(target: HomeTarget, **changes: Any) -> Paired:
    return await pair(
        target,
        CODE,
        name="Wall",
        random_octets=os.urandom,
        clock=ManualClock(START),
        **changes,
    )


def place(meter: SystemTitle = METER, serial: str = "OAM00000001") -> bytes:
    return Place.draw(0x30, meter, serial, seeded("place")).encode()


async def test_who_does_not_know_the_code_is_no_meter() -> None:
    async with serving(Impostor(place=place())) as target:
        with pytest.raises(SecurityError) as caught:
            await paired_at(target)
    assert caught.value.code == "home.meter"


async def test_a_seal_without_a_proof_is_not_believed() -> None:
    class Unproved(Impostor):
        def confirm(self, parameter: Data | None, context: Context) -> Encodable:
            self.agreed = replace(self.agreed, second=bytes(32))
            return super().confirm(parameter, context)

        METHODS = {  # noqa: RUF012 - as the class it is one of
            **Impostor.METHODS,
            2: Method("confirm", confirm, Impostor.METHODS[2].types),
        }

    async with serving(Unproved(code=CODE.encode(), place=place())) as target:
        with pytest.raises(SecurityError) as caught:
            await paired_at(target)
    assert caught.value.code == "home.meter"


async def test_who_knows_the_code_is_believed() -> None:
    async with serving(Impostor(code=CODE.encode(), place=place())) as target:
        found = await paired_at(target, title=OTHER)
    assert (found.serial, found.meter_title, found.title) == ("OAM00000001", METER, OTHER)
    assert (found.client, found.since, found.counter) == (0x30, START, 0)


@pytest.mark.parametrize("sealed", [b"", place()[:-1], place(meter=OTHER)])
async def test_a_place_that_is_none(sealed: bytes) -> None:
    async with serving(Impostor(code=CODE.encode(), place=sealed)) as target:
        with pytest.raises(DecodeError):
            await paired_at(target)


async def test_another_meter_than_was_asked_for() -> None:
    async with serving(Impostor(code=CODE.encode(), place=place())) as target:
        with pytest.raises(SecurityError) as caught:
            await paired_at(
                HomeTarget(target.host, target.port, IDENTITY.serial),
                way=DirectWay(target.host, target.port),
            )
    assert caught.value.code == "home.meter"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (ActionResult.READ_WRITE_DENIED, "home.code"),
        (ActionResult.TEMPORARY_FAILURE, "home.locked"),
        (ActionResult.OBJECT_UNAVAILABLE, "home.full"),
    ],
)
async def test_refusals_have_codes(result: ActionResult, code: str) -> None:
    async with serving(Impostor(refuses=result)) as target:
        with pytest.raises(SecurityError) as caught:
            await paired_at(target)
    assert caught.value.code == code
    assert caught.value.hint


async def test_other_refusals_are_the_meters_fault() -> None:
    async with serving(Impostor(refuses=ActionResult.OTHER_REASON)) as target:
        with pytest.raises(RemoteProtocolError):
            await paired_at(target)


async def test_nobody_there() -> None:
    async with serving() as target:
        pass
    with pytest.raises(TransportError):
        await paired_at(target)


# Load profiles that are none.

STATUS = CaptureObject(1, Obis.parse("0.0.96.10.1.255"), 2)
IMPORT = CaptureObject(3, Obis.parse("1.0.1.29.0.255"), 2)
EXPORT = CaptureObject(3, Obis.parse("1.0.2.29.0.255"), 2)


def profile(columns: tuple[CaptureObject, ...], *rows: tuple[Data, ...]) -> ProfileGeneric:
    buffer = MemoryProfile(10)
    for number, row in enumerate(rows):
        buffer.append(START + number, [cell.encode() for cell in row])
    return ProfileGeneric("1.0.99.1.0.255", buffer, columns, access=FOR_ALL)


@pytest.mark.parametrize(
    "make",
    [
        lambda: profile((CLOCK_COLUMN, IMPORT, EXPORT)),
        lambda: profile(
            (CLOCK_COLUMN, STATUS, IMPORT, EXPORT),
            (
                d.octets(bytes.fromhex("07ea031dff000000ff000000")),
                d.u8(0),
                d.visible("x"),
                d.u32(0),
            ),
        ),
    ],
    ids=["no status", "no number"],
)
async def test_a_load_profile_of_other_columns(make: Callable[[], ProfileGeneric]) -> None:
    async with serving(make()) as target:
        line = await DirectWay(target.host, target.port).open(16)
        async with DlmsSession(line.channel, line.link, ClientConfig()) as session:
            with pytest.raises(DecodeError):
                await read_energy(session, int(START), int(START) + 10)
        line.channel.close()
