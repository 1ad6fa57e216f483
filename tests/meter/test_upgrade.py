"""A meter's firmware: images by class 18, restart, trial, return; what is measured goes on."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.firmware import imgtool_signed, make_image, private_pem
from tests.support.meter_bench import (
    MANAGEMENT,
    PUBLIC,
    READER,
    START,
    FailingMemory,
    Session,
    reference,
)
from tests.support.metering import columns
from tests.support.upgrades import (
    ACTIVATE,
    BACK,
    BLOCK,
    BUSY,
    FAULTS,
    GOOD,
    IDENTIFIER,
    IMAGE,
    INITIATE,
    LATER,
    MAKER,
    RESTART_S,
    SCHEDULE,
    VERIFY,
    WHY,
    UpgradeBench,
    activate,
    begin,
    blocks,
    fill,
    image,
    status,
    transfer,
)

from openami.core.errors import SecurityError, StoreFullError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.client import Answered, Closed, Failed, GetAttribute, InvokeMethod, Opened
from openami.dlms.cosem import ImageStatus
from openami.dlms.cosem.schedule import Execution
from openami.dlms.datatypes import BitString
from openami.dlms.datetime import CosemDate, CosemTime
from openami.dlms.references import MethodRef
from openami.dlms.results import ActionResult
from openami.firmware.flash import RamFlash
from openami.firmware.image import Image
from openami.firmware.payload import Payload
from openami.firmware.slot import Slot
from openami.firmware.sparse import SparseFlash, split
from openami.meter.board import BLOCK_SIZE, GEOMETRY, WRITE_UNIT, Board, factory_flash
from openami.meter.images import MOST_A_DAY
from openami.meter.loader import LOADER, MOST_PROGRAMS, Loader
from openami.meter.management import NOTICE_S
from openami.metrology.energy import Channel
from openami.metrology.events import Event, Ring
from openami.metrology.memory import MeterCommit

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = ActionResult.OTHER_REASON
MESSAGE = "1/0.0.96.13.0.255"
ENERGY = "3/1.0.1.8.0.255"
FACTORY = "openami-0.1.0"


# The way of an image.


@pytest.mark.fums("SM-1", "UC3-stored", "UC3-status", "UC5-alone", "UC6-at-once")
def test_an_image_takes_all_steps_and_is_kept() -> None:
    bench = UpgradeBench()
    session = bench.manager()
    assert session.data(IDENTIFIER).octets().decode() == FACTORY
    assert session.data("1/1.0.0.2.8.255").octets() == MAKER_DIGEST
    assert session.data(IMAGE, 2).integer() == BLOCK_SIZE
    assert BLOCK_SIZE % GEOMETRY.write_unit == 0
    assert status(session) is ImageStatus.NOT_INITIATED
    new = image()
    activate(bench, new)
    info = bench.manager().data(IMAGE, 7).items()[0].items()
    assert (info[0].integer(), info[1].octets()) == (len(new), b"new")
    assert info[2].octets() == Image.decode(new).signature
    bench.live(int(NOTICE_S))
    assert bench.meter.management.away
    bench.live(int(RESTART_S))
    assert bench.firmware == "openami-2.0.0"
    assert status(bench.manager()) is ImageStatus.ACTIVATION_INITIATED
    bench.live(30)
    assert status(bench.manager()) is ImageStatus.ACTIVATION_SUCCESSFUL
    assert bench.log == GOOD
    bench.restart()
    assert bench.firmware == "openami-2.0.0"
    assert bench.log == GOOD


MAKER_DIGEST = Image.decode(MAKER.factory[: len(MAKER.factory)], padded=True).digest


@pytest.mark.fums("SM-6", "SM-7", "MET-1", "MET-2", "UC1-readings", "UC5-unchanged")
def test_energy_settings_keys_and_profiles_stay_to_the_watt_hour() -> None:
    bench = UpgradeBench()
    bench.run(86_400)
    session = bench.manager()
    assert session.set(MESSAGE, 2, d.octets(b"hello")).ok
    before = {ring: bench.meter.engine.rows[ring].entries() for ring in Ring}
    security = bench.meter._kept.security
    activate(bench, image())
    seconds = 0
    while bench.log != GOOD:
        bench.run(1)
        seconds += 1
        engine = bench.meter.engine
        passed = bench.clock.now() - START
        assert engine.state.energy.register(Channel.IMPORT) == int(passed * 1000) // 3600
    bench.run(7200)
    total = int((bench.clock.now() - START) * 1000) // 3600
    session = bench.manager()
    assert session.data(ENERGY).integer() == total
    assert sum(row.values[0] for row in columns(bench.meter.engine, Ring.LOAD_PROFILE)) == (
        bench.meter.captured(Channel.IMPORT)
    )
    for ring, rows in before.items():
        assert bench.meter.engine.rows[ring].entries()[: len(rows)] == rows
    assert bench.meter._kept.security == security
    assert session.data(MESSAGE).octets() == b"hello"
    assert bench.meter.engine.state.counts.power_failures == 0


def test_nobody_is_heard_while_management_is_away() -> None:
    bench = UpgradeBench()
    direct = Session(bench, READER, bench.config_of(READER)).opened()
    on_line = Session(bench, READER, bench.config_of(READER), hdlc=True).opened()
    activate(bench, image())
    assert direct.data(ENERGY).integer() == 0
    bench.live(int(NOTICE_S))
    for session in (direct, on_line):
        session.server.receive_data(b"\x7e anything \x7e", now=1.0)
        assert session.server.data_to_send() == ()
        assert session.server.next_timer() is None
        session.server.handle_timer(now=2.0)
    fresh = Session(bench, READER, bench.config_of(READER), hdlc=True)
    fresh.machine.open(now=0.0)
    fresh.step()
    assert not fresh.events
    bench.live(int(RESTART_S))
    for session in (direct, on_line):  # what was open is over, and may be opened again
        session.server.receive_data(b"", now=20.0)
        assert not session.server._server.associated
    again = Session(bench, READER, bench.config_of(READER), hdlc=True)
    again.server.link.forget()
    assert isinstance(again.open(), Opened)


@pytest.mark.fums("SM-9")
def test_an_image_that_is_right_is_activated_by_the_calendar() -> None:
    bench = UpgradeBench()
    session = transfer(bench, image())
    at = Execution(CosemTime(10, 0, 0, 0), CosemDate(2026, 3, 29))
    assert session.set(SCHEDULE, 4, d.array(at.encode())).ok
    for _ in range(59):
        bench.run(60)  # Seoul: from nine to ten
    assert bench.log == GOOD[:2]
    bench.run(60)
    bench.live(30)
    assert bench.log == GOOD
    bench.run(86_400)
    assert bench.log == GOOD


@pytest.mark.fums("SM-3")
def test_the_calendar_activates_nothing_that_is_not_whole() -> None:
    bench = UpgradeBench()
    session = bench.manager()
    begin(session, image())
    at = Execution(CosemTime(10, 0, 0, 0), CosemDate())
    session.set(SCHEDULE, 4, d.array(at.encode()))
    other = d.structure(d.octets(bytes((0, 0, 10, 0, 106, 255))), d.u16(1))
    bench.run(4000)
    assert not bench.meter.management.away
    fill(bench.manager(), image())
    bench.manager().set(SCHEDULE, 2, other)  # a script of another table
    bench.run(86_400)
    assert not bench.meter.management.away
    assert bench.firmware == FACTORY


def test_an_image_that_imgtool_signed_runs(tmp_path: Path) -> None:
    """As docs/how-to/load-firmware.md tells makers."""
    payload = Payload.of(Image.decode(image(trial_s=0)))
    payload = replace(payload, about=replace(payload.about, hardware=("OA1-100",)))
    key = private_pem(tmp_path, "meter maker")
    options = ("--version", "2.0.0", "--security-counter", 1, "--custom-tlv", "0x00a0", "OA1-100")
    made = imgtool_signed(tmp_path, payload.encode(), "--key", key, *options, "--header-size", 32)
    bench = UpgradeBench()
    activate(bench, made)
    bench.live(30)
    assert bench.log == GOOD
    assert bench.firmware == "openami-2.0.0"


# What is refused.


@pytest.mark.fums("SM-10", "SEC-4")
@pytest.mark.parametrize("client", [PUBLIC, READER])
def test_who_has_not_proved_itself_transfers_nothing(client: int) -> None:
    bench = UpgradeBench(public_reads=True)
    session = bench.client(client).opened()
    given = {INITIATE: d.structure(d.octets(b"x"), d.u32(9)), BLOCK: next(blocks(b"x"))[1]}
    for method in (INITIATE, BLOCK, VERIFY, ACTIVATE):
        ref = MethodRef(18, Obis.parse("0.0.44.0.0.255"), method)
        session.machine.request(InvokeMethod(ref, given.get(method, d.i8(0))), now=0.0)
        session.step()
        answer = session.events[-1]
        if client == PUBLIC:  # a display is paired by ACTION: here it has no right to any
            assert isinstance(answer, Answered)
            assert [item.result for item in answer.items] == [ActionResult.READ_WRITE_DENIED]
        else:  # it has not even agreed on ACTION
            assert isinstance(answer, Failed)
            assert answer.code == "exception.service-not-supported"
    assert status(bench.manager()) is ImageStatus.NOT_INITIATED


def test_what_is_read_of_an_image_is_not_for_strangers() -> None:
    bench = UpgradeBench()
    assert not bench.client(PUBLIC).opened().get(IMAGE, 6).ok
    assert bench.client(READER).opened().get(IMAGE, 6).ok


def wrong() -> dict[str, tuple[bytes, str]]:
    good = image()
    models = ("OA1-100", "OA3-100")
    key = "meter maker"
    return {
        "flipped": (good[:200] + bytes([good[200] ^ 1]) + good[201:], "firmware.hash"),
        "another-maker": (image(key="somebody"), "firmware.key"),
        "not-newer": (image("0.1.0"), "firmware.version"),
        "other-hardware": (make_image("2.0.0", key=key), "firmware.hardware"),
        "no-payload": (make_image("2.0.0", key=key, hardware=models), "firmware.payload"),
        "no-image": (bytes(300), "firmware.magic"),
        "cut": (good[:-1], "protocol.decode"),
    }


@pytest.mark.fums("SM-4", "SM-5", "SM-11", "UC4-error", "UC4-refused", "UC7-inactive")
@pytest.mark.parametrize("kind", list(wrong()))
def test_an_image_that_is_not_right_is_not_installed_and_that_is_told(kind: str) -> None:
    bench = UpgradeBench()
    octets, code = wrong()[kind]
    session = transfer(bench, octets)
    assert status(session) is ImageStatus.VERIFICATION_FAILED
    assert session.data(IMAGE, 7).items() == ()
    said = session.data(WHY).octets().decode()
    assert said == code or said.startswith("firmware.")
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is OTHER
    assert bench.log[:2] == [Event.FIRMWARE_TRANSFER_BEGAN, Event.FIRMWARE_VERIFICATION_FAILED]
    bench.run(60)
    assert bench.firmware == FACTORY
    bench.restart()
    assert status(bench.manager()) is ImageStatus.VERIFICATION_FAILED
    assert bench.manager().data(WHY).octets().decode() == said


def test_a_lower_security_counter_never_goes_in() -> None:
    bench = UpgradeBench()
    activate(bench, image(counter=5))
    bench.live(30)
    session = transfer(bench, image("9.0.0", counter=4))
    assert status(session) is ImageStatus.VERIFICATION_FAILED
    assert session.data(WHY).octets() == b"firmware.counter"
    session = transfer(bench, image("9.0.0", counter=5))
    assert status(session) is ImageStatus.VERIFICATION_SUCCESSFUL


@pytest.mark.fums("SM-3", "SM-10")
def test_the_order_of_steps_is_kept() -> None:
    bench = UpgradeBench()
    session = bench.manager()
    new = image()
    _, block = next(blocks(new))
    for method, parameter in ((BLOCK, block), (VERIFY, d.i8(0)), (ACTIVATE, d.i8(0))):
        assert session.invoke(IMAGE, method, parameter).result is OTHER
    assert begin(session, bytes(481 << 10)) is OTHER  # longer than the slot
    assert begin(session, new) is ActionResult.SUCCESS
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is OTHER
    fill(session, new)
    fill(session, new)  # again: nothing changes
    changed = d.structure(d.u32(0), d.octets(bytes(BLOCK_SIZE)))
    assert session.invoke(IMAGE, BLOCK, changed).result is OTHER
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is BUSY
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is BUSY
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is BUSY
    assert begin(session, new) is BUSY
    bench.run(3)
    assert status(session) is ImageStatus.VERIFICATION_SUCCESSFUL
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).ok
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is BUSY
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is BUSY
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is OTHER
    assert begin(session, new) is BUSY


def test_an_image_is_verified_with_its_activation_if_it_was_not() -> None:
    bench = UpgradeBench(check_s=0.0)
    session = bench.manager()
    begin(session, image())
    fill(session, image())
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is BUSY
    bench.live(30)
    assert bench.log == GOOD
    session = bench.manager()
    begin(session, bytes(300))
    fill(session, bytes(300))
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is OTHER
    assert session.invoke(IMAGE, ACTIVATE, d.i8(0)).result is OTHER
    assert not bench.meter.management.away


def test_blocks_in_any_order_and_after_a_power_cut() -> None:
    bench = UpgradeBench()
    new = image(padding=8000)
    given = list(blocks(new))
    session = bench.manager()
    begin(session, new)
    for _, block in given[::-2]:
        session.invoke(IMAGE, BLOCK, block)
    bench.restart()
    session = bench.manager()
    assert status(session) is ImageStatus.INITIATED
    bits = session.data(IMAGE, 3).value
    assert isinstance(bits, BitString)
    assert [bits[number] for number in range(len(bits))].count(True) == len(given) // 2
    assert session.data(IMAGE, 4).integer() == len(given) % 2
    for number, block in given:
        if not bits[number]:
            session.invoke(IMAGE, BLOCK, block)
    assert session.data(IMAGE, 4).integer() == len(given)
    assert session.invoke(IMAGE, VERIFY, d.i8(0)).result is BUSY
    bench.restart()  # in the middle of the check: it is asked for again
    session = bench.manager()
    assert status(session) is ImageStatus.INITIATED
    session.invoke(IMAGE, VERIFY, d.i8(0))
    bench.run(3)
    bench.restart()
    assert status(bench.manager()) is ImageStatus.VERIFICATION_SUCCESSFUL
    assert len(bench.manager().data(IMAGE, 7).items()) == 1


def test_a_transfer_that_is_begun_again_forgets_the_one_before() -> None:
    bench = UpgradeBench()
    session = transfer(bench, image())
    assert begin(session, bytes(600), b"other") is ActionResult.SUCCESS
    assert status(session) is ImageStatus.INITIATED
    assert session.data(IMAGE, 4).integer() == 0
    assert session.data(IMAGE, 7).items() == ()
    assert bench.log.count(Event.FIRMWARE_TRANSFER_BEGAN) == 2
    assert begin(session, bytes(600), b"other") is ActionResult.SUCCESS  # the answer was lost
    assert bench.log.count(Event.FIRMWARE_TRANSFER_BEGAN) == 2


def test_flash_is_not_worn_out_by_who_begins_again_and_again() -> None:
    bench = UpgradeBench()
    session = bench.manager()
    for number in range(MOST_A_DAY):
        assert begin(session, bytes(300 + number)) is ActionResult.SUCCESS
    assert begin(session, bytes(999)) is BUSY
    bench.restart()
    assert begin(bench.manager(), bytes(999)) is BUSY
    bench.run(86_400)
    assert begin(bench.manager(), bytes(999)) is ActionResult.SUCCESS


class SmallFlash(SparseFlash):
    """A flash on a disk that can be full."""

    full = False

    def keep(self, pages: Mapping[int, bytes]) -> None:
        if self.full:
            raise StoreFullError(f"no room for {len(pages)} pages")


def test_a_disk_without_room_is_no_fault_of_who_sends_a_block() -> None:
    flash = SmallFlash(GEOMETRY, MAKER.pages)
    session = UpgradeBench(flash).manager()
    octets = image()
    assert begin(session, octets) is ActionResult.SUCCESS
    flash.full = True
    for _, block in blocks(octets):
        assert session.invoke(IMAGE, BLOCK, block).result is BUSY
    flash.full = False
    fill(session, octets)


def test_a_transfer_that_was_torn_too_often_has_to_begin_anew() -> None:
    bench = UpgradeBench()
    octets = image()
    assert begin(bench.manager(), octets) is ActionResult.SUCCESS
    journal = Board(bench.flash, ()).layout().transfer
    torn = b"\x01torn..." * (journal.size // WRITE_UNIT)
    record = 88  # octets before the entries
    bench.flash.write(journal.start + record, torn[: journal.size - record])
    bench.restart()
    session = bench.manager()
    assert session.invoke(IMAGE, BLOCK, next(blocks(octets))[1]).result is OTHER
    assert begin(session, octets, b"anew") is ActionResult.SUCCESS
    fill(session, octets)


def test_a_meter_that_takes_no_images_says_so_and_remembers() -> None:
    bench = UpgradeBench()
    session = bench.manager()
    assert session.set(IMAGE, 5, d.boolean(False)).ok
    assert begin(session, image()) is ActionResult.READ_WRITE_DENIED
    bench.restart()
    session = bench.manager()
    assert begin(session, image()) is ActionResult.READ_WRITE_DENIED
    assert session.set(IMAGE, 5, d.boolean(True)).ok
    assert begin(session, image()) is ActionResult.SUCCESS


def test_while_an_image_is_on_trial_no_other_is_begun() -> None:
    bench = UpgradeBench()
    activate(bench, image(trial_s=600))
    assert begin(bench.manager(), image("2.1.0")) is BUSY  # it is about to restart
    bench.live(60)
    session = bench.manager()
    assert status(session) is ImageStatus.ACTIVATION_INITIATED
    assert begin(session, image("2.1.0")) is BUSY
    bench.live(600)
    assert begin(bench.manager(), image("2.1.0")) is ActionResult.SUCCESS


def test_what_runs_as_the_last_resort_lets_a_better_image_in() -> None:
    bench = UpgradeBench()
    activate(bench, image(trial_s=600))
    bench.live(60)
    assert bench.firmware == "openami-2.0.0"
    Board(bench.flash, ()).layout().slots[0].erase(0)  # what it would go back to
    bench.restart()
    assert bench.firmware == "openami-2.0.0"
    assert status(bench.manager()) is ImageStatus.ACTIVATION_INITIATED
    activate(bench, image("2.1.0"))
    bench.live(60)
    assert bench.firmware == "openami-2.1.0"
    assert status(bench.manager()) is ImageStatus.ACTIVATION_SUCCESSFUL


# What does not pass its trial.


@pytest.mark.fums("SM-2", "SM-5", "UC3-again", "UC6-at-once", "UC7-before", "UC6-usual")
@pytest.mark.parametrize("kind", list(FAULTS))
def test_an_application_that_fails_is_reverted_discarded_and_logged(kind: str) -> None:
    bench = UpgradeBench()
    bench.run(3600)
    activate(bench, image(behind=FAULTS[kind], deadline_s=20))
    bench.live(60)
    assert bench.firmware == FACTORY
    session = bench.manager()
    assert status(session) is ImageStatus.ACTIVATION_FAILED
    fault = Event.WATCHDOG_ERROR if kind == "never-ends" else Event.APPLICATION_FAILED
    assert bench.log == [*GOOD[:4], fault, *BACK]
    assert session.data(WHY).octets().startswith(b"firmware.")
    total = int((bench.clock.now() - START) * 1000) // 3600
    assert session.data(ENERGY).integer() == total
    bench.restart()
    assert bench.firmware == FACTORY
    assert bench.log == [*GOOD[:4], fault, *BACK]
    bench.live(1)
    activate(bench, image("2.1.0"))  # and the next one is taken
    bench.live(40)
    assert bench.firmware == "openami-2.1.0"


def test_an_application_that_fails_later_in_its_trial_is_reverted() -> None:
    bench = UpgradeBench()
    activate(bench, image(behind=LATER, trial_s=3600))
    bench.live(30)
    assert bench.log[-1] is Event.FIRMWARE_SELF_TEST_PASSED
    session = bench.manager()
    assert session.set(MESSAGE, 2, d.octets(b"now")).result == BUSY
    bench.live(20)
    assert bench.firmware == FACTORY
    assert bench.log[-4:] == [Event.APPLICATION_FAILED, *BACK]


def test_one_that_is_kept_and_fails_is_started_again() -> None:
    bench = UpgradeBench()
    activate(bench, image(behind=LATER))
    bench.live(60)
    assert bench.log == GOOD
    for _ in range(2):
        bench.manager().set(MESSAGE, 2, d.octets(b"now"))
        bench.live(1)
        assert bench.meter.management.away
        bench.live(int(RESTART_S))
        assert bench.firmware == "openami-2.0.0"
    assert bench.log == [*GOOD, Event.APPLICATION_FAILED, Event.APPLICATION_FAILED]
    assert bench.manager().data(WHY).octets() == b""


@pytest.mark.fums("SM-7")
def test_settings_that_a_bad_image_does_not_take_are_there_after_it() -> None:
    bench = UpgradeBench()
    bench.manager().set(MESSAGE, 2, d.octets(b"stays"))
    deaf = (
        "def start(hardware):\n"
        "    from openami.dlms.cosem import AccessError\n"
        "    from openami.dlms.results import DataAccessResult\n"
        "    model = build_objects(hardware)\n"
        "    def refuse(_):\n"
        "        raise AccessError(DataAccessResult.OTHER_REASON)\n"
        "    next(o for o in model.every if str(o.obis) == '0.0.96.13.0.255')._write = refuse\n"
        "    return ManagementApplication(model)\n"
    )
    activate(bench, image(behind=deaf + FAULTS["says-no"]))
    bench.live(60)
    assert bench.manager().data(MESSAGE).octets() == b"stays"


# Power.


@pytest.mark.fums("SM-2")
@pytest.mark.parametrize("seconds", range(14))
def test_the_power_goes_at_any_second_of_an_activation(seconds: int) -> None:
    """It ends on one of the two, and what it says of that is right and said once."""
    bench = UpgradeBench()
    bench.run(3600)
    activate(bench, image())
    bench.live(seconds)
    bench.restart(after=60)
    bench.live(60)
    log, firmware = bench.log, bench.firmware
    confirmed = log.count(Event.FIRMWARE_CONFIRMED)
    failed = log.count(Event.FAILED_UPGRADE_PROCESS)
    assert (firmware, confirmed, failed) in {("openami-2.0.0", 1, 0), (FACTORY, 0, 1)}
    assert log.count(Event.FIRMWARE_ACTIVATED) == 1
    total = int((bench.clock.now() - START - 60) * 1000) // 3600
    shown = bench.manager().data(ENERGY).integer()
    assert total - 3 <= shown <= total  # what a cut may cost: persist_s
    if failed:
        assert bench.manager().data(WHY).octets() == b"firmware.trial"


class _PowerCutError(BaseException):
    """Nothing that runs on a meter notices that the power goes."""


class CutFlash(SparseFlash):
    """A flash before, or after, one of whose operations the power goes."""

    def __init__(self, operation: int, *, done: bool) -> None:
        super().__init__(GEOMETRY, MAKER.pages)
        self.left = operation
        self.done = done

    def keep(self, pages: Mapping[int, bytes]) -> None:
        self.left -= 1
        if self.left == 0:
            if self.done:
                self._pages.update(pages)
            raise _PowerCutError


@pytest.mark.fums("UC1-end")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("good", [False, True])
def test_the_power_goes_at_any_operation_of_the_flash(*, good: bool, done: bool) -> None:
    """From the activation on; the operations of a transfer are cut in tests/firmware."""
    new = image(behind="" if good else FAULTS["says-no"])
    cuts = 0
    for operation in range(1, 100):
        flash = CutFlash(0, done=done)
        bench = UpgradeBench(flash, persist_s=0.5)
        session = transfer(bench, new)
        flash.left = operation
        try:
            with suppress(AssertionError):  # the answer that the power took with it
                session.invoke(IMAGE, ACTIVATE, d.i8(0))
            bench.live(60)
        except _PowerCutError:
            cuts += 1
            bench.restart(after=60)
            bench.live(60)
        flash.left = 0
        activated = bench.log.count(Event.FIRMWARE_ACTIVATED)
        confirmed = bench.log.count(Event.FIRMWARE_CONFIRMED)
        failed = bench.log.count(Event.FAILED_UPGRADE_PROCESS)
        state = status(bench.manager())
        if bench.firmware == "openami-2.0.0":
            assert good
            assert (activated, confirmed, failed) == (1, 1, 0)
            assert state is ImageStatus.ACTIVATION_SUCCESSFUL
        elif state is ImageStatus.VERIFICATION_SUCCESSFUL:
            assert (activated, confirmed, failed) == (0, 0, 0)
        else:
            assert state is ImageStatus.ACTIVATION_FAILED
            assert (confirmed, failed) == (0, 1)
        # Of energy a cut costs at most what was measured since the last that was kept.
        metered = int((bench.clock.now() - START - 60 * (operation <= cuts)) * 1000) // 3600
        assert metered - 1 <= bench.manager().data(ENERGY).integer() <= metered
        if operation > cuts:
            break
    assert cuts >= 3


def test_a_full_memory_stops_no_upgrade() -> None:
    memory = FailingMemory()
    bench = UpgradeBench(memory=memory)
    activate(bench, image())
    memory.full = True
    for _ in range(40):
        bench.ticks.now += 1
        bench.clock.advance(1)
        bench.meter.measure(bench.clock.now())
        bench.meter.management.step()
    memory.full = False
    bench.run(1)
    assert bench.firmware == "openami-2.0.0"
    assert bench.log == GOOD


def test_a_meter_of_before_has_no_record_of_upgrades() -> None:
    bench = UpgradeBench()
    bench.run(3600)
    kept = bench.memory.load(bench.meter.serial)
    assert kept is not None
    snapshot = json.loads(kept.snapshot)
    del snapshot["upgrade"]
    bench.memory.commit([MeterCommit(bench.meter.serial, json.dumps(snapshot).encode())])
    bench.restart()
    assert bench.firmware == FACTORY


# What boots.


@pytest.mark.fums("SM-4", "SEC-7")
def test_what_was_changed_in_the_flash_is_not_run() -> None:
    pages = dict(MAKER.pages)
    pages[0] = pages[0][:500] + bytes([pages[0][500] ^ 1]) + pages[0][501:]
    with pytest.raises(SecurityError) as raised:
        UpgradeBench(SparseFlash(GEOMETRY, pages))
    assert raised.value.code == "firmware.none"


def test_a_last_resort_runs_and_gives_way_to_a_better_image() -> None:
    """Its confirmation was cut, and there is nothing to go back to (ADR 0012)."""
    flash = RamFlash(GEOMETRY)
    slot = Slot(Board(flash, ()).layout().slots[0])
    factory = MAKER.factory
    flash.write(0, factory[:4096])
    slot.set_pending()
    slot.set_tried()
    bench = UpgradeBench(flash)
    bench.live(20)
    bench.restart()
    assert bench.log == [Event.FIRMWARE_RESCUED] * 2
    assert bench.firmware == FACTORY
    bench.live(1)
    activate(bench, image())
    bench.live(40)
    assert bench.firmware == "openami-2.0.0"
    assert bench.log[2:] == GOOD
    bench.restart()  # now there is a better one, the last resort goes
    assert bench.log[2:] == [*GOOD, Event.FIRMWARE_REVERTED, Event.FIRMWARE_DISCARDED]
    assert status(bench.manager()) is ImageStatus.ACTIVATION_SUCCESSFUL


def test_an_application_that_never_starts_is_told() -> None:
    flash = factory_flash(image(behind=FAULTS["raises-in-start"]))
    with pytest.raises(SecurityError) as raised:
        UpgradeBench(SparseFlash(GEOMETRY, split(flash, GEOMETRY)))
    assert raised.value.code == "firmware.application"


def test_an_application_is_loaded_once_and_few_are_held() -> None:
    payload = Payload.of(Image.decode(image()))
    loader = Loader()
    first = loader.load(b"0", lambda: payload)
    assert loader.load(b"0", lambda: pytest.fail("read again")) is first
    for number in range(1, MOST_PROGRAMS + 1):
        loader.load(bytes([number]), lambda: payload)
    assert loader.load(b"0", lambda: payload) is not first
    one, two = UpgradeBench(), UpgradeBench()
    assert one.meter.management._trial is None
    assert LOADER.load(one.meter.management._booted.digest, lambda: pytest.fail("read")) is (
        LOADER.load(two.meter.management._booted.digest, lambda: pytest.fail("read"))
    )


def test_associations_are_over_after_a_restart() -> None:
    bench = UpgradeBench()
    session = bench.client(MANAGEMENT).opened()
    activate(bench, image())
    bench.live(int(NOTICE_S + RESTART_S) + 1)

    session.machine.request(GetAttribute(reference(ENERGY, 2)), now=0.0)
    session.step()
    assert not isinstance(session.events[-1], Answered | Closed)


def test_every_event_stands_in_the_reference() -> None:
    page = Path("docs/reference/meter-events.md")
    text = (Path(__file__).parents[2] / page).read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("|")]
    known = {int(code) for row in rows for code in re.findall(r"\b\d{1,3}\b(?![.\d])", row)}
    assert {int(event) for event in Event} <= known
