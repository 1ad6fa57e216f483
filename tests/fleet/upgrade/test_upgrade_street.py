"""Whole upgrades of a line: losses, makers' faults, kills; and what must hold whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tests.support.upgrade_meters import COSTS, ORDER, Killed, SimMeter, Street, serial_of

from openami.fleet.upgrade import (
    Activate,
    Ask,
    Bits,
    Blocks,
    Costs,
    Do,
    Initiate,
    Looked,
    Poll,
    RoundPolicy,
    Segment,
    Send,
    Stage,
    Status,
    Upgrade,
)

HARMLESS = (
    "gap",
    "lsb",
    "short",
    "long",
    "slow",
    "reset",
    "forgets",
    "no-status",
    "no-infos",
    "deaf",
    "busy-begin",
    "busy-activate",
    "silent-bitmap",
)
"""Faults with which a meter still ends on the new version."""
CLAIMS = {"short", "long"}
"""Together they show blocks that the meter lacks, which it finds when it verifies."""
ENDS = {
    "bad": (Stage.DISCARDED, "upgrade.verification"),
    "reverts": (Stage.REVERTED, "upgrade.reverted"),
    "reverts-silently": (Stage.REVERTED, "upgrade.reverted"),
    "refuses": (Stage.FAILED, "upgrade.initiate"),
    "hides": (Stage.FAILED, "upgrade.blocks"),
    "silent": (Stage.FAILED, "upgrade.expired"),
    "lost": (Stage.FAILED, "upgrade.activation"),
}


def meters_of(*faults: str, block_size: int = 100, clean: int = 4) -> list[SimMeter]:
    bad = [
        SimMeter(serial_of(number), block_size, frozenset({fault}))
        for number, fault in enumerate(faults)
    ]
    return bad + [SimMeter(serial_of(100 + number), block_size) for number in range(clean)]


def test_a_street_without_losses_hears_every_block_once() -> None:
    street = Street(meters_of(clean=20))
    street.run()
    sent = [number for work in street.log if isinstance(work, Blocks) for number in work.numbers]
    assert sent == list(range(50))
    assert not any(isinstance(work, Send) for work in street.log)
    for number in range(20):
        assert street.state(number).stage is Stage.CONFIRMED
        assert list(street.state(number).marks) == [
            *list(Stage)[: list(Stage).index(Stage.CONFIRMED) + 1]
        ]


@pytest.mark.parametrize("fault", HARMLESS)
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_fault_of_others_does_no_harm(fault: str, loss: float) -> None:
    street = Street(meters_of(fault, fault), loss=loss)
    street.run()
    assert {street.state(n).stage for n in range(6)} == {Stage.CONFIRMED}
    assert [meter.tried for meter in street.meters] == [1] * 6
    assert not any(meter.wrongs for meter in street.meters)


@pytest.mark.fums("DES-2")
@pytest.mark.parametrize("fault", ENDS)
def test_a_meter_that_cannot_be_upgraded_is_named_and_the_others_are(fault: str) -> None:
    street = Street(meters_of(fault))
    street.run()
    state = street.state(0)
    assert (state.stage, state.code) == ENDS[fault]
    assert {street.state(n).stage for n in range(1, 5)} == {Stage.CONFIRMED}
    assert street.meters[0].version == "1.0.0" or fault == "lost"


@pytest.mark.fums("UMS-2")
def test_silences_of_a_meter_that_is_filled_count_in_a_row() -> None:
    order = replace(ORDER, activate_at=None)
    state = replace(Upgrade.offer(serial_of(1), order, 0.0).at(Stage.TRANSFERRING, 1.0), failures=2)
    segment = Segment(order, [replace(state, block_size=100)], lambda _: COSTS)
    half = Bits(b"\xf0" * 7, 50)
    segment.told(state.serial, Looked("1.0.0", 100, Status.INITIATED, half), 2.0)
    assert segment.upgrades[state.serial].failures == 2  # it may be that it answers this, no more
    assert isinstance(segment.next(3.0), Blocks)
    assert segment.reported(state.serial, half, 4.0).failures == 0


def test_a_meter_that_reverts_says_why() -> None:
    street = Street(meters_of("reverts", clean=0))
    street.run()
    assert street.state(0).reason == "Failed Upgrade Process: no pulse from metrology"


def test_a_wrong_first_gap_is_noted_and_not_believed() -> None:
    street = Street(meters_of("gap", clean=1), loss=0.3, seed=3, kills=0.05)
    street.run()
    assert street.state(0).code == "upgrade.first-gap"
    assert street.state(0).stage is Stage.CONFIRMED


def test_groups_of_other_block_sizes_begin_when_the_one_before_is_full() -> None:
    sizes = (100, 100, 100, 64, 64, 333)
    street = Street([SimMeter(serial_of(n), size) for n, size in enumerate(sizes)], loss=0.1)
    street.run()
    sent = [work.block_size for work in street.log if isinstance(work, Blocks | Send)]
    assert sorted(set(sent), key=sent.index) == [100, 64, 333]
    assert sent == sorted(sent, key=[100, 64, 333].index)
    assert {street.state(n).stage for n in range(6)} == {Stage.CONFIRMED}


def test_meters_without_the_broadcast_key_are_visited() -> None:
    deaf = frozenset({serial_of(0)})
    street = Street(meters_of("deaf"), deaf=deaf)
    street.run()
    assert {work.serial for work in street.log if isinstance(work, Send)} == deaf
    assert street.state(0).stage is Stage.CONFIRMED


def test_where_a_visit_is_dear_the_last_gaps_are_filled_by_visits() -> None:
    street = Street(meters_of(clean=10), loss=0.1, costs=Costs(100.0, 101.0, 50.0, 1500.0), seed=1)
    street.run()
    assert any(isinstance(work, Send) for work in street.log)
    assert any(isinstance(work, Blocks) for work in street.log)


def test_a_meter_is_not_activated_before_its_time() -> None:
    street = Street(meters_of(clean=3), order=replace(ORDER, activate_at=None))
    street.run()
    assert {street.state(n).stage for n in range(3)} == {Stage.VERIFIED}
    street.segment.activate_at(50_000.0)
    street.run()
    assert street.now >= 50_000.0
    assert min(street.state(n).marks[Stage.ACTIVATING] for n in range(3)) >= 50_000.0


@pytest.mark.fums("DES-3")
def test_meters_that_verify_slowly_do_not_hold_up_the_others() -> None:
    meters = [SimMeter(serial_of(n), faults=frozenset({"slow"}), busy=20) for n in range(3)]
    meters += [SimMeter(serial_of(100 + n)) for n in range(3)]
    street = Street(meters, loss=0.4, policy=RoundPolicy(sample=2, chunk=1100.0))
    street.run()
    polls = [isinstance(work, Do) and isinstance(work.step, Poll) for work in street.log]
    assert sum(polls) > 10
    assert {street.state(n).stage for n in range(6)} == {Stage.CONFIRMED}


def test_a_kill_at_every_single_step_changes_nothing_in_the_end() -> None:
    """Killed once, at the n-th chance, for every n; before and after the meter is told."""
    chances = 0
    for wanted in range(10_000):
        street = Street(meters_of("slow", clean=1), policy=RoundPolicy(sample=1, chunk=20_000.0))
        count = 0

        def maybe(street: Street = street, wanted: int = wanted) -> None:
            nonlocal count
            count += 1
            if count == wanted + 1:
                raise Killed

        street._maybe_killed = maybe  # type: ignore[method-assign]
        street.run()
        assert [meter.tried for meter in street.meters] == [1, 1], wanted
        assert [meter.begun for meter in street.meters] == [0, 0], wanted
        assert {street.state(n).stage for n in range(2)} == {Stage.CONFIRMED}, wanted
        if count <= wanted:
            chances = wanted
            break
    assert chances > 20


# A falsified example is a street of hundreds of steps: shrinking one takes minutes.
@settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    faults=st.lists(
        st.sets(st.sampled_from((*HARMLESS, *ENDS)), max_size=2), min_size=1, max_size=6
    ),
    sizes=st.lists(st.sampled_from((64, 100, 333)), min_size=6, max_size=6),
    loss=st.sampled_from((0.0, 0.01, 0.1, 0.3)),
    kills=st.sampled_from((0.0, 0.01, 0.04)),
    seed=st.integers(0, 1 << 16),
)
@example(  # a meter that says it takes a block, never shows it, and answers only looks
    faults=[{"no-status", "refuses"}, {"reset", "long"}, {"silent-bitmap", "hides"}],
    sizes=[100, 64, 64, 64, 100, 100],
    loss=0.3,
    kills=0.01,
    seed=2467,
)
@example(  # two groups, each with a meter that answers only looks: they took turns for ever
    faults=[
        {"gap"},
        {"silent-bitmap", "deaf"},
        {"silent-bitmap", "lsb"},
        {"lsb", "busy-activate"},
        {"gap"},
        {"gap", "lost"},
    ],
    sizes=[100, 333, 64, 100, 100, 100],
    loss=0.01,
    kills=0.0,
    seed=2112,
)
def test_whatever_happens_it_ends_and_no_meter_is_upgraded_twice(
    faults: list[set[str]], sizes: list[int], loss: float, kills: float, seed: int
) -> None:
    meters = [
        SimMeter(serial_of(number), sizes[number], frozenset(some))
        for number, some in enumerate(faults)
    ]
    street = Street(meters, loss=loss, kills=kills, seed=seed)
    street.run()
    for number, meter in enumerate(street.meters):
        state = street.state(number)
        assert not meter.wrongs
        assert meter.tried <= 1
        assert state.initiations <= 3
        if state.stage is Stage.CONFIRMED:
            assert meter.tried == 1
            assert meter.version == ORDER.version
        elif meter.faults >= CLAIMS and not meter.faults & ENDS.keys():
            assert (state.stage, state.code) == ENDS["bad"]
        elif not meter.faults & ENDS.keys():
            pytest.fail(f"{meter.faults} ended as {state.stage} {state.code}")


def test_asks_and_steps_of_a_whole_upgrade_are_few() -> None:
    street = Street(meters_of(clean=40), loss=0.02, seed=5)
    street.run()
    asks = sum(isinstance(work, Ask) for work in street.log)
    steps = [work.step for work in street.log if isinstance(work, Do)]
    assert asks < 2 * 40
    assert sum(isinstance(step, Initiate) for step in steps) <= 44
    assert sum(isinstance(step, Activate) for step in steps) <= 44
