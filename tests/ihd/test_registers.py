"""What registers say of the time since the last interval."""

from __future__ import annotations

import pytest
from tests.ihd.test_ledger import QUARTER, intervals
from tests.support.ihd import live_at

from openami.ihd.ledger import Ledger
from openami.ihd.registers import Reading, Registers, used

START = 1_790_000_100 // QUARTER * QUARTER


@pytest.mark.parametrize(
    ("before", "after", "seconds", "wh"),
    [
        (1000, 1500, 3600, 500),
        (1000, 1000, 0, 0),
        (99_999_900, 100, 3600, 200),  # eight digits
        (2**32 - 50, 50, 3600, 100),
        (1_000_000, 10, 3600, None),  # another meter: no home draws that in an hour
        (0, 10**7, 3600, None),
    ],
)
def test_a_register_that_rolls_over(before: int, after: int, seconds: int, wh: int | None) -> None:
    assert used(before, after, seconds) == wh


def test_from_a_boundary_on_it_is_exact() -> None:
    registers, ledger = Registers(QUARTER), Ledger(intervals(START, [100]))
    registers.saw(live_at(START + QUARTER, imported=5100))
    live = live_at(START + QUARTER + 60, imported=5123, exported=7)
    registers.saw(live)
    found = registers.running(ledger, live)
    assert (found.since, found.until, found.imported, found.exported) == (
        START + QUARTER,
        START + QUARTER + 60,
        23,
        7,
    )


def test_a_boundary_between_two_pushes_is_taken_as_between_them() -> None:
    registers, ledger = Registers(QUARTER), Ledger(intervals(START, [100]))
    registers.saw(live_at(START + QUARTER - 30, imported=5000))
    live = live_at(START + QUARTER + 30, imported=5060)
    registers.saw(live)
    assert registers.running(ledger, live).imported == 30


def test_before_a_boundary_was_seen_power_is_all_there_is() -> None:
    registers, ledger = Registers(QUARTER), Ledger(intervals(START, [100]))
    live = live_at(START + QUARTER + 360, imported=5060, watts=1000)
    registers.saw(live)
    assert registers.running(ledger, live).imported == 100


def test_after_the_link_was_lost_for_hours_intervals_make_up_for_it() -> None:
    registers = Registers(QUARTER, Reading(START, 4000, 0))
    live = live_at(START + 4 * QUARTER + 100, imported=4000 + 400 + 12)
    registers.saw(live)
    ledger = Ledger(intervals(START, [100] * 4))
    assert registers.running(ledger, live).imported == 12
    assert registers.anchor == Reading(START, 4000, 0)


def test_what_is_missing_of_the_profile_is_not_taken_for_todays() -> None:
    registers = Registers(QUARTER, Reading(START - 40 * QUARTER, 4000, 0))
    live = live_at(START + QUARTER + 36, imported=90_000, watts=1000)
    registers.saw(live)
    assert registers.running(Ledger(intervals(START, [100])), live).imported == 10


def test_a_new_meter_begins_anew() -> None:
    registers = Registers(QUARTER, Reading(START + QUARTER, 8_000_000, 0))
    live = live_at(START + QUARTER + 36, imported=3, watts=1000)
    registers.saw(live)
    assert registers.running(Ledger(intervals(START, [100])), live).imported == 3


def test_until_the_interval_has_come_the_boundary_before_counts() -> None:
    registers, ledger = Registers(QUARTER), Ledger(intervals(START - QUARTER, [100]))
    registers.saw(live_at(START, imported=1000))
    registers.saw(live_at(START + QUARTER, imported=1080))
    live = live_at(START + QUARTER + 5, imported=1082)
    registers.saw(live)
    assert registers.running(ledger, live).imported == 82
    found = registers.running(ledger.merged(intervals(START, [80])), live)
    assert found.imported == 2


def test_a_meter_that_has_just_been_made_has_used_no_more_than_its_register_says() -> None:
    """It began a minute ago, in the middle of an interval: power all along would be 8 Wh."""
    registers = Registers(QUARTER)
    live = live_at(START + 60, imported=1, watts=500)
    registers.saw(live)
    nothing = intervals(START - QUARTER, [0])
    assert registers.running(Ledger(nothing), live).imported == 1
    assert registers.running(Ledger(intervals(START - QUARTER, [1])), live).imported == 0
    sending = live_at(START + 120, watts=-500, exported=2)
    registers = Registers(QUARTER)
    registers.saw(sending)
    assert registers.running(Ledger(nothing), sending).exported == 2


def test_what_follows_the_first_push_of_an_interval_is_by_the_register() -> None:
    """A kettle at the end of an interval does not count for all of it."""
    registers, ledger = Registers(QUARTER), Ledger(intervals(START, [100]))
    registers.saw(live_at(START + QUARTER + 360, imported=5060, watts=1000))
    live = live_at(START + QUARTER + 720, imported=5090, watts=3000)
    registers.saw(live)
    assert registers.running(ledger, live).imported == 100 + 30


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    registers, ledger = Registers(QUARTER), Ledger(intervals(START, [100] * 100))
    registers.saw(live_at(START + 100 * QUARTER, imported=10_000))
    live = live_at(START + 2 * QUARTER + 60, imported=10_001)
    registers.saw(live)
    # The profile of this time is known already, and is replaced when the interval ends again.
    assert registers.running(ledger, live).imported == 0
    registers.saw(live_at(START + 3 * QUARTER, imported=10_050))
    live = live_at(START + 3 * QUARTER + 60, imported=10_055)
    early = Ledger(intervals(START, [100] * 3)).merged(intervals(START + 50 * QUARTER, [100] * 50))
    assert registers.running(early, live).imported == 5
