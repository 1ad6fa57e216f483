"""Firmware over C12.22: by offset into a table, verified, activated, tried; and taken up again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.c1222_meter import MeterBench
from tests.support.upgrades import BACK, CHECK_S, FAULTS, GOOD, MAKER, image

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    Response,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.tables import Result
from openami.dlms.cosem import ImageStatus
from openami.firmware.sparse import SparseFlash
from openami.meter.board import BLOCK_SIZE, GEOMETRY, Board
from openami.meter.c1222.description import IMAGE, IMAGE_STATUS
from openami.metrology.events import Event, Ring

NAME = b"openami-2.0.0"
NOW = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
AHEAD = 10 * BLOCK_SIZE
"""Octets of one write: as long as a client likes."""
INITIATE, VERIFY, ACTIVATE = range(3)


def bench(**settings: Any) -> MeterBench:
    board = Board(SparseFlash(GEOMETRY, MAKER.pages), (MAKER.public,))
    return MeterBench(board=board, **{"check_s": 0.0, **settings})


def status(meter: MeterBench) -> dict[str, Any]:
    return meter.read(IMAGE_STATUS)


def begin(meter: MeterBench, octets: bytes, name: bytes = NAME) -> Result:
    return meter.result(INITIATE, {"SIZE": len(octets), "IDENTIFIER": name}, own=True)


def put(meter: MeterBench, at: int, octets: bytes) -> Response:
    return meter.as_user(WriteOffset(IMAGE.wire, at, octets))[0]


def send(meter: MeterBench, octets: bytes, start: int = 0) -> None:
    for at in range(start, len(octets), AHEAD):
        assert put(meter, at, octets[at : at + AHEAD]) == Done()


def activate(meter: MeterBench, at: datetime = NOW) -> Result:
    return meter.result(ACTIVATE, {"AT": at}, own=True)


def firmware_log(meter: MeterBench) -> list[Event]:
    codes = {*range(210, 220), 15, 17, 18, 51}
    return [event for event in meter.events(Ring.STANDARD_LOG) if event in codes]


def test_an_image_is_taken_over_and_runs() -> None:
    meter, octets = bench(), image()
    meter.advance(3600)
    assert begin(meter, octets) is Result.DONE
    assert status(meter) | {"BLOCKS": 0} == {
        "STATUS": ImageStatus.INITIATED,
        "TRIAL": 0,
        "BLOCK_SIZE": BLOCK_SIZE,
        "IMAGE_SIZE": len(octets),
        "FIRST_MISSING": 0,
        "BLOCKS": 0,
        "IDENTIFIER": NAME.ljust(64, b"\0"),
        "RUNNING": "openami-0.1.0",
        "REFUSAL": "",
    }
    send(meter, octets)
    assert status(meter)["FIRST_MISSING"] == len(octets)
    assert meter.result(VERIFY, own=True) is Result.DONE
    assert status(meter)["STATUS"] == ImageStatus.VERIFICATION_SUCCESSFUL
    assert activate(meter) is Result.ACCEPTED
    meter.live(30)  # the self-test reads some objects a second
    found = status(meter)
    assert (found["STATUS"], found["RUNNING"]) == (
        ImageStatus.ACTIVATION_SUCCESSFUL,
        "openami-2.0.0",
    )
    assert firmware_log(meter) == GOOD
    values = meter.read(1)
    assert (values["FW_VERSION_NUMBER"], values["FW_REVISION_NUMBER"]) == (2, 0)


def test_a_transfer_goes_on_where_it_was_after_a_power_cut() -> None:
    meter, octets = bench(), image(padding=50_000)
    begin(meter, octets)
    send(meter, octets[:AHEAD])
    assert put(meter, 3 * AHEAD, octets[3 * AHEAD : 3 * AHEAD + BLOCK_SIZE]) == Done()
    again = MeterBench(memory=meter.memory, board=meter.board, clock=meter.clock, check_s=0.0)
    again.advance(1)
    found = status(again)
    assert (found["IDENTIFIER"].rstrip(b"\0"), found["IMAGE_SIZE"]) == (NAME, len(octets))
    assert found["FIRST_MISSING"] == AHEAD
    assert found["BLOCKS"] == {*range(AHEAD // BLOCK_SIZE), 3 * AHEAD // BLOCK_SIZE}
    send(again, octets, found["FIRST_MISSING"])  # what it has comes again, and changes nothing
    assert again.result(VERIFY, own=True) is Result.DONE


def test_a_check_takes_its_time() -> None:
    meter, octets = bench(check_s=CHECK_S), image()
    begin(meter, octets)
    send(meter, octets)
    assert meter.result(VERIFY, own=True) is Result.ACCEPTED
    assert status(meter)["STATUS"] == ImageStatus.VERIFICATION_INITIATED
    assert begin(meter, octets) is Result.TIMING
    meter.live(int(CHECK_S) + 1)
    assert meter.result(VERIFY, own=True) is Result.DONE


def test_a_wrong_image_is_refused_with_its_reason() -> None:
    meter, octets = bench(), image(key="somebody else")
    begin(meter, octets)
    send(meter, octets)
    assert meter.result(VERIFY, own=True) is Result.BAD_PARAMETER
    found = status(meter)
    assert (found["STATUS"], found["REFUSAL"]) == (
        ImageStatus.VERIFICATION_FAILED,
        "firmware.key",
    )
    assert activate(meter) is Result.BAD_PARAMETER
    assert firmware_log(meter)[:2] == [
        Event.FIRMWARE_TRANSFER_BEGAN,
        Event.FIRMWARE_VERIFICATION_FAILED,
    ]


def test_firmware_that_fails_its_self_test_goes_and_the_one_before_runs() -> None:
    meter, octets = bench(), image(behind=FAULTS["says-no"])
    begin(meter, octets)
    send(meter, octets)
    assert activate(meter) is Result.ACCEPTED
    meter.live(30)
    found = status(meter)
    assert (found["STATUS"], found["RUNNING"], found["REFUSAL"]) == (
        ImageStatus.ACTIVATION_FAILED,
        "openami-0.1.0",
        "firmware.self-test",
    )
    assert firmware_log(meter)[-3:] == BACK


def test_an_image_is_activated_at_its_time() -> None:
    meter, octets = bench(), image()
    begin(meter, octets)
    send(meter, octets)
    meter.result(VERIFY, own=True)
    now = int(meter.clock.now())
    assert activate(meter, moment(now - 1)) is Result.TIMING
    assert activate(meter, moment(now + 120)) is Result.DONE
    assert meter.meter.model.image_schedule.executions
    meter.live(110)
    assert status(meter)["RUNNING"] == "openami-0.1.0"
    meter.live(40)
    assert status(meter)["RUNNING"] == "openami-2.0.0"


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("at", "size"),
    [(0, 0), (1, BLOCK_SIZE), (0, BLOCK_SIZE - 1), (0, 600 * BLOCK_SIZE), (512 << 10, 8)],
)
def test_what_is_no_block_is_refused(at: int, size: int) -> None:
    meter, octets = bench(), image()
    begin(meter, octets)
    if size > 0xFFFF:
        at, size = len(octets) // BLOCK_SIZE * BLOCK_SIZE, BLOCK_SIZE
    assert put(meter, at, bytes(size)) == Failure(ResponseCode.IAR)


def test_nothing_is_taken_before_a_transfer_or_for_another_image() -> None:
    meter, octets = bench(), image()
    assert put(meter, 0, octets[:BLOCK_SIZE]) == Failure(ResponseCode.IAR)
    assert meter.result(VERIFY, own=True) is Result.BAD_PARAMETER
    assert activate(meter) is Result.BAD_PARAMETER
    begin(meter, octets)
    assert put(meter, 0, octets[:BLOCK_SIZE]) == Done()
    assert put(meter, 0, bytes(BLOCK_SIZE)) == Failure(ResponseCode.IAR)
    assert begin(meter, bytes(1 << 20)) is Result.BAD_PARAMETER
    assert meter.result(INITIATE, {"SIZE": 0, "IDENTIFIER": b""}, own=True) is (
        Result.BAD_PARAMETER
    )


def test_the_image_is_written_by_offset_only_and_not_read() -> None:
    meter, octets = bench(), image()
    begin(meter, octets)
    refused = (Failure(ResponseCode.IAR),)
    assert meter.as_user(Write(IMAGE.wire, octets)) == refused
    assert meter.as_user(WriteIndex(IMAGE.wire, (0,), octets[:BLOCK_SIZE])) == refused
    assert meter.ask(Read(IMAGE.wire)) == refused


def test_transfers_of_a_day_are_bounded_and_can_be_shut_off() -> None:
    meter = bench()
    results = [begin(meter, bytes(1024 * (number + 1))) for number in range(21)]
    assert results == [Result.DONE] * 20 + [Result.TIMING]
    meter.meter.model.images.enabled = False
    assert begin(meter, bytes(10)) is Result.CONFLICT
    assert put(meter, 0, bytes(BLOCK_SIZE)) == Failure(ResponseCode.IAR)


def test_a_password_in_clear_is_not_enough() -> None:
    meter, octets = bench(mode=SecurityMode.CLEAR), image()
    assert begin(meter, octets) is Result.NO_AUTHORIZATION
    assert put(meter, 0, octets[:BLOCK_SIZE]) == Failure(ResponseCode.ISC)
    signed = bench(mode=SecurityMode.AUTHENTICATED)
    assert begin(signed, octets) is Result.DONE
    assert signed.ask(WriteOffset(IMAGE.wire, 0, octets[:BLOCK_SIZE])) == (
        Failure(ResponseCode.ISC),
    )


def test_a_restart_is_not_asked_for_during_a_trial() -> None:
    meter, octets = bench(), image(trial_s=3600)
    begin(meter, octets)
    send(meter, octets)
    activate(meter)
    meter.live(20)
    assert status(meter)["TRIAL"] != 0
    assert meter.result(1) is Result.TIMING
    assert meter.result(0) is Result.TIMING
