"""What a group is sent: chunks, questions, visits; and metering's share of the line."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tests.support.upgrade_meters import COSTS, ORDER, SimMeter, Street, serial_of

from openami.fleet.collection import Line, Moment, Outcome, Plan, Visit
from openami.fleet.upgrade import (
    Ask,
    Bits,
    Blocks,
    Costs,
    Do,
    Initiate,
    Look,
    Rest,
    RoundPolicy,
    Rounds,
    Segment,
    Send,
    Stage,
    Upgrade,
)
from openami.fleet.upgrade.ledger import MAX_METERS, Ledger, Place


def bits_of(has: set[int], blocks: int = 50) -> Bits:
    there = [number in has for number in range(blocks)]
    return Bits(np.packbits(there).tobytes(), blocks)


def group_of(count: int = 3, costs: Costs = COSTS, **policy: float) -> Rounds:
    group = Rounds(50, 100, costs, policy=RoundPolicy(**policy))  # type: ignore[arg-type]
    for number in range(count):
        group.add(serial_of(number))
    return group


def send_all(group: Rounds) -> list[int]:
    """Carry out broadcasts until something else is wanted."""
    sent: list[int] = []
    while isinstance(turn := group.next(), Blocks):
        sent += turn.numbers
        group.sent(turn.numbers)
    return sent


def test_no_turn_is_longer_than_a_chunk_or_than_there_is_room() -> None:
    group = group_of(chunk=4000.0)
    assert group.next() == Blocks(100, (0, 1, 2))
    assert group.next(2500.0) == Blocks(100, (0, 1))
    assert group.next(1099.0) is None
    assert send_all(group) == list(range(50))
    assert group.next(COSTS.ask) == Ask(serial_of(0))
    assert group.next(COSTS.ask - 1) is None


def test_a_block_larger_than_a_chunk_is_sent_all_the_same() -> None:
    group = group_of(chunk=10.0)
    assert group.next() == Blocks(100, (0,))


def test_a_block_that_no_broadcast_can_carry_goes_to_each_meter() -> None:
    group = group_of(costs=replace(COSTS, broadcast=math.inf))
    assert isinstance(group.next(), Send)
    assert group.next(1149.0) is None


def test_what_one_meter_lacks_is_sent_before_the_next_is_asked() -> None:
    group = group_of(20, sample=1)
    send_all(group)
    first = group.next()
    assert isinstance(first, Ask)
    group.reported(first.serial, bits_of(set(range(50)) - {7, 30}))
    assert send_all(group) == [7, 30]
    second = group.next()
    assert isinstance(second, Ask)
    assert second.serial != first.serial


def test_with_much_loss_everything_is_sent_again_unasked() -> None:
    group = group_of(200, sample=4)
    send_all(group)
    for _ in range(4):
        turn = group.next()
        assert isinstance(turn, Ask)
        group.reported(turn.serial, bits_of(set(range(0, 50, 2)) | set(range(1, 40, 2))))
    assert set(send_all(group)) == set(range(50))


def test_blocks_are_not_sent_unasked_for_ever() -> None:
    group = group_of(400, sample=1, blind=2)
    sent = send_all(group)
    group.reported(serial_of(0), bits_of(set(range(10))))
    sent += send_all(group)
    assert len(sent) <= 3 * 50
    assert isinstance(group.next(), Ask)


def test_a_meter_that_hears_nothing_is_visited_and_the_others_are_not() -> None:
    group = group_of(3, sample=3)
    send_all(group)
    group.reported(serial_of(0), bits_of(set()))
    for number in (1, 2):
        group.reported(serial_of(number), bits_of(set(range(50))))
    assert group.deaf(serial_of(0))
    assert not group.deaf(serial_of(1))
    turn = group.next()
    assert isinstance(turn, Send)
    for number in turn.numbers:
        group.delivered(turn.serial, number)
    while isinstance(turn := group.next(), Send):
        for number in turn.numbers:
            group.delivered(turn.serial, number)
    assert turn == Ask(serial_of(0))
    group.reported(serial_of(0), bits_of(set(range(50))))
    assert group.next() is None
    assert group.place(serial_of(0)) is Place.FULL


def test_a_meter_that_is_asked_too_often_is_visited() -> None:
    group = group_of(1, asks=2)
    lacking = {3, 4, 5}
    send_all(group)
    for _ in range(2):
        send_all(group)
        group.reported(serial_of(0), bits_of(set(range(50)) - lacking))
        lacking.pop()
    assert isinstance(group.next(), Send)


def test_a_silent_meter_is_set_aside_after_the_others_had_their_turn() -> None:
    group = group_of(2, sample=2)
    send_all(group)
    assert group.next() == Ask(serial_of(0))
    group.silent(serial_of(0))
    assert group.next() == Ask(serial_of(1))
    group.reported(serial_of(1), bits_of(set(range(50))))
    for _ in range(2):
        group.silent(serial_of(0))
    assert group.place(serial_of(0)) is Place.SILENT
    assert group.next() is None


def test_a_meter_that_goes_silent_during_its_visit_is_set_aside() -> None:
    group = group_of(0)
    group.add(serial_of(0), hears=False)
    assert isinstance(group.next(), Send)
    for _ in range(3):
        group.silent(serial_of(0))
    assert group.next() is None
    group.add(serial_of(0), bits_of({0, 1}), hears=False)
    assert group.next() == Send(serial_of(0), 100, (2, 3, 4))


def test_strangers_and_the_dropped_change_nothing() -> None:
    group = group_of(2)
    group.drop(serial_of(1))
    for serial in (serial_of(1), serial_of(9)):
        group.silent(serial)
        group.delivered(serial, 1)
        group.reported(serial, bits_of(set(range(50))))
    assert group.place(serial_of(1)) is Place.SILENT
    assert group.place(serial_of(9)) is None
    assert group._ledger.loss == RoundPolicy().loss
    assert send_all(group) == list(range(50))
    assert group.next() == Ask(serial_of(0))


def test_a_latecomer_is_sent_what_it_missed() -> None:
    group = group_of(1)
    group.sent(tuple(range(30)))
    group.add(serial_of(5))
    assert set(send_all(group)) == set(range(50))


def test_a_group_is_bounded() -> None:
    with pytest.raises(ValueError, match="blocks wanted"):
        Ledger(0, loss=0.1)
    with pytest.raises(ValueError, match="blocks wanted"):
        Ledger((1 << 17) + 1, loss=0.1)
    ledger = Ledger(1, loss=0.1)
    for number in range(MAX_METERS):
        ledger.add(serial_of(number), None, Place.HEARS)
    with pytest.raises(ValueError, match="too many"):
        ledger.add(serial_of(MAX_METERS), None, Place.HEARS)


@pytest.mark.parametrize("wrong", [{"sample": 0}, {"chunk": 0.0}, {"loss": 1.0}, {"likely": 0.0}])
def test_a_policy_makes_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"policy's|chunk"):
        RoundPolicy(**wrong)  # type: ignore[arg-type]


# On a line.


@pytest.mark.fums("UC1-reading")
def test_metering_waits_for_no_more_than_one_turn() -> None:
    """The line's own plan goes first: a due visit waits for the turn that is under way."""
    rate, chunk = 675.0, 2 * 1100.0  # octets a second, octets
    meters = [SimMeter(serial_of(number)) for number in range(10)]
    street = Street(meters, loss=0.1, policy=RoundPolicy(sample=2, chunk=chunk))
    line = Line([Plan("profile", period_s=60, settle_s=0, spread_s=0, chases=False)])
    for number, meter in enumerate(meters):
        line.add(meter.serial, number + 16, jitter=0.0)
    began, late, visits = street.now, [], 0
    while not street.segment.done:
        moment = Moment(street.now, street.now)
        visit = line.next(moment)
        if isinstance(visit, Visit):
            line.visited(visit, moment, {subject: Outcome() for subject in visit.subjects})
            visits += 1
            street.now += 0.1
            continue
        before = street.now
        assert street._step()
        turn = street.log[-1]
        if isinstance(turn, Rest):  # the line is free: metering is asked again at once
            street.now = min(street.now, before + 1.0)
            continue
        octets = len(turn.numbers) * 1100 if isinstance(turn, Blocks | Send) else 400
        street.now = before + octets / rate
        late.append(octets / rate)
        street.now = before + late[-1]
    assert max(late) <= chunk / rate
    assert visits >= 10 * (street.now - began) // 60
    assert {street.state(number).stage for number in range(10)} == {Stage.CONFIRMED}


def test_a_segment_holds_one_order() -> None:
    other = replace(ORDER, id="another")
    with pytest.raises(ValueError, match="another order"):
        Segment(ORDER, [Upgrade.offer(serial_of(1), other, 0.0)], lambda _: COSTS)


@pytest.mark.parametrize("restarts", [False, True])
def test_meters_for_which_a_group_has_no_room_fail_and_the_others_do_not(
    monkeypatch: pytest.MonkeyPatch, *, restarts: bool
) -> None:
    street = Street([SimMeter(serial_of(number)) for number in range(5)])
    while restarts and not any(isinstance(work, Blocks) for work in street.log):
        assert street._step()
    monkeypatch.setattr("openami.fleet.upgrade.ledger.MAX_CELLS", 3 * 50)
    if restarts:
        street.boot()
    street.run()
    ends = Counter((street.state(n).stage, street.state(n).code) for n in range(5))
    assert ends == {(Stage.CONFIRMED, ""): 3, (Stage.FAILED, "upgrade.block-size"): 2}


def test_answers_before_anything_was_sent_change_nothing() -> None:
    street = Street([SimMeter(serial_of(0))])
    segment, serial = street.segment, serial_of(0)
    assert segment.next(street.now) == Do(serial, Look())
    assert segment.sent(Blocks(100, (0,)), street.now) == ()
    for state in (
        segment.reported(serial, bits_of({0}), street.now),
        segment.silent(serial, street.now),
        segment.delivered(serial, 0, street.now),
    ):
        assert state == street.state(0)
    assert segment.expire(ORDER.until)[0].stage is Stage.FAILED
    assert segment.next(street.now) == Rest(None)


def test_meters_of_another_block_size_are_not_told_to_begin_yet() -> None:
    street = Street([SimMeter(serial_of(n), 64 if n == 2 else 100) for n in range(3)])
    while not any(isinstance(work, Blocks) for work in street.log):
        assert street._step()
    told = {w.serial for w in street.log if isinstance(w, Do) and isinstance(w.step, Initiate)}
    assert told == {serial_of(0), serial_of(1)}
