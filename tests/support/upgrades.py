"""Meters that are upgraded: their maker, images with applications of every kind, a client."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tests.support.firmware import private_key
from tests.support.meter_bench import MANAGEMENT, Bench
from tests.support.metering import events

from openami.dlms import data as d
from openami.dlms.cosem import ImageStatus
from openami.dlms.results import ActionResult
from openami.firmware.payload import Payload, SelfTest
from openami.firmware.sparse import SparseFlash
from openami.firmware.version import Version
from openami.meter.board import BLOCK_SIZE, GEOMETRY, Board
from openami.meter.device import Meter
from openami.meter.maker import Maker, factory_payload
from openami.metrology.events import Event, Ring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.meter_bench import Session

    from openami.firmware.flash import Flash

MAKER: Final = Maker(private_key("meter maker"))
IMAGE: Final = "18/0.0.44.0.0.255"
SCHEDULE: Final = "22/0.0.15.0.2.255"
IDENTIFIER: Final = "1/1.0.0.2.0.255"
WHY: Final = "1/0.0.96.128.0.255"
INITIATE, BLOCK, VERIFY, ACTIVATE = 1, 2, 3, 4
BUSY: Final = ActionResult.TEMPORARY_FAILURE
RESTART_S: Final = 5.0
CHECK_S: Final = 3.0

# What is put behind the factory's application, by the kind of fault.
FAULTS: Final = {
    "raises-at-import": "raise RuntimeError('import')\n",
    "exits-at-import": "raise SystemExit(3)\n",
    "is-no-python": "def (:\n",
    "has-no-entry": "del start\n",
    "raises-in-start": "def start(hardware):\n    raise OSError('start')\n",
    "starts-nothing": "def start(hardware):\n    return None\n",
    "says-no": "def _no(self):\n    yield\n    return False\nManagementApplication.self_test = _no\n",
    "says-nothing": "def _no(self):\n    yield\nManagementApplication.self_test = _no\n",
    "self-test-raises": (
        "def _no(self):\n    yield\n    raise ValueError\nManagementApplication.self_test = _no\n"
    ),
    "never-ends": (
        "def _no(self):\n    while True:\n        yield\nManagementApplication.self_test = _no\n"
    ),
    "lacks-an-object": (
        "_whole = build_objects\n"
        "def build_objects(hooks):\n"
        "    import dataclasses\n"
        "    model = _whole(hooks)\n"
        "    return dataclasses.replace(model, every=model.every[:20])\n"
    ),
    "has-an-object-that-cannot-be-read": (
        "def _yes(self):\n    yield\n    return True\nManagementApplication.self_test = _yes\n"
        "def start(hooks):\n"
        "    model = build_objects(hooks)\n"
        "    energy = next(o for o in model.every if str(o.obis) == '1.0.1.8.0.255')\n"
        "    energy.read = lambda *_: 1 // 0\n"
        "    return ManagementApplication(model)\n"
    ),
}
LATER: Final = """\
class _Broken(ManagementApplication):
    pass

def start(hardware):
    model = build_objects(hardware)
    def broken(*_):
        raise ZeroDivisionError
    next(o for o in model.every if str(o.obis) == "0.0.96.13.0.255")._write = broken
    return _Broken(model)
"""


@cache
def image(
    version: str = "2.0.0",
    behind: str = "",
    *,
    counter: int = 1,
    key: str = "meter maker",
    trial_s: int = 5,
    deadline_s: int = 60,
    padding: int = 0,
) -> bytes:
    """Return an image of the factory's application, of another version, with more behind it."""
    factory = factory_payload()
    test = SelfTest(deadline_s, trial_s, factory.about.self_test.objects)
    about = replace(factory.about, version=Version.parse(version), self_test=test)
    source = factory.application + b"\n" + behind.encode() + b"# padding\n" * (padding // 10)
    return Maker(private_key(key)).sign(Payload(about, source), counter=counter)


@dataclass
class Ticks:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class UpgradeBench(Bench):
    """A meter on a bench, with its flash, and real seconds that are the test's."""

    def __init__(self, flash: Flash | None = None, **settings: Any) -> None:
        self.ticks = Ticks()
        self.flash: Flash = SparseFlash(GEOMETRY, MAKER.pages) if flash is None else flash
        super().__init__(**{"restart_s": RESTART_S, "check_s": CHECK_S, **settings})

    def _make(self) -> Meter:
        return Meter(
            self.config,
            memory=self.memory,
            source=self.source,
            clock=self.clock.now,
            board=Board(self.flash, (MAKER.public,)),
            ticks=self.ticks,
        )

    def run(self, seconds: float) -> None:
        """Let time pass, for the meter and for whoever waits for it."""
        self.ticks.now += seconds
        super().run(seconds)

    def live(self, seconds: int) -> None:
        """Let time pass as a runner does, second by second."""
        for _ in range(seconds):
            self.run(1)

    def manager(self) -> Session:
        return self.client(MANAGEMENT).opened()

    @property
    def firmware(self) -> str:
        """The identifier that the meter shows, read by its manager."""
        return self.manager().data(IDENTIFIER).octets().decode()

    @property
    def log(self) -> list[Event]:
        """What the standard event log holds of its firmware."""
        codes = events(self.meter.engine, Ring.STANDARD_LOG)
        return [Event(code) for code in codes if code in FIRMWARE_EVENTS]


FIRMWARE_EVENTS: Final = frozenset({15, 17, 18, 51, *range(210, 220)})
GOOD: Final = [
    Event.FIRMWARE_TRANSFER_BEGAN,
    Event.FIRMWARE_READY,
    Event.FIRMWARE_ACTIVATED,
    Event.FIRMWARE_TRIAL_BEGAN,
    Event.FIRMWARE_SELF_TEST_PASSED,
    Event.FIRMWARE_CONFIRMED,
]
BACK: Final = [Event.FIRMWARE_REVERTED, Event.FIRMWARE_DISCARDED, Event.FAILED_UPGRADE_PROCESS]


def blocks(octets: bytes) -> Iterator[tuple[int, d.Data]]:
    for number, start in enumerate(range(0, len(octets), BLOCK_SIZE)):
        part = octets[start : start + BLOCK_SIZE]
        yield number, d.structure(d.u32(number), d.octets(part))


def begin(session: Session, octets: bytes, name: bytes = b"new") -> ActionResult:
    return ActionResult(
        session.invoke(IMAGE, INITIATE, d.structure(d.octets(name), d.u32(len(octets)))).result
    )


def status(session: Session) -> ImageStatus:
    return ImageStatus(session.data(IMAGE, 6).integer())


def fill(session: Session, octets: bytes) -> None:
    for _, block in blocks(octets):
        assert session.invoke(IMAGE, BLOCK, block).ok


def transfer(bench: UpgradeBench, octets: bytes) -> Session:
    """Take the steps up to the verification, with all that a client has to ask."""
    session = bench.manager()
    assert begin(session, octets) is ActionResult.SUCCESS
    fill(session, octets)
    assert session.data(IMAGE, 4).integer() == -(-len(octets) // BLOCK_SIZE)
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is BUSY
    while status(session) is ImageStatus.VERIFICATION_INITIATED:
        bench.run(1)
    return session


def activate(bench: UpgradeBench, octets: bytes) -> None:
    """Take all steps: after this the meter is about to restart."""
    session = transfer(bench, octets)
    assert status(session) is ImageStatus.VERIFICATION_SUCCESSFUL
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is BUSY
    assert status(session) is ImageStatus.ACTIVATION_INITIATED
