"""When which meter is visited."""

from __future__ import annotations

from openami.headend.c1222.rounds import Pace, Rounds

PACE = Pace(900.0, 10.0, 600.0, first=30.0, most=120.0)


def test_meters_are_due_at_their_own_place_of_each_period() -> None:
    places = {f"M{number}": PACE.due(f"M{number}", 9000.0) for number in range(200)}
    for meter, due in places.items():
        assert 9000 < due <= 9900
        assert 10 <= due % 900 <= 610
        assert PACE.due(meter, due) == due + 900
        assert PACE.due(meter, due - 0.5) == due
    assert max(places.values()) - min(places.values()) > 500


def test_visits_are_taken_in_turn_and_come_again() -> None:
    rounds = Rounds(PACE)
    assert (rounds.next(), rounds.take(0.0)) == (None, None)
    rounds.call("A", 20.0)
    rounds.call("B", 10.0)
    rounds.call("B", 15.0)
    assert (rounds.next(), rounds.take(9.0), rounds.take(10.0), rounds.take(19.0)) == (
        10.0, None, "B", None,
    )  # fmt: skip
    assert rounds.take(20.0) == "A"
    rounds.came("B", 12.0)
    assert rounds.next() == PACE.due("B", 12.0)
    rounds.came("A", 21.0, again=25.0)
    assert rounds.next() == 25.0


def test_who_calls_during_a_visit_is_visited_again_at_once() -> None:
    rounds = Rounds(PACE)
    rounds.call("A", 0.0)
    assert rounds.take(0.0) == "A"
    rounds.call("A", 4.0)
    rounds.call("A", 1.0)
    rounds.call("A", 2.0)
    assert rounds.next() is None
    rounds.came("A", 5.0)
    assert (rounds.next(), rounds.take(5.0)) == (1.0, "A")
    rounds.call("A", 6.0)
    rounds.dropped("A")
    assert rounds.take(6.0) == "A"
    rounds.dropped("A")
    assert rounds.next() is None


def test_who_fails_is_left_alone_for_longer_and_longer() -> None:
    rounds, now, pauses = Rounds(PACE), 0.0, []
    rounds.call("A", now)
    for times in range(1, 6):
        assert rounds.take(now) == "A"
        assert rounds.failed("A", now) == times
        due = rounds.next()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == sorted(pauses)
    assert pauses[0] <= 30
    assert pauses[-1] <= 120
    assert rounds.take(now) == "A"
    rounds.came("A", now)
    rounds.call("A", now)
    assert rounds.take(now) == "A"
    assert rounds.failed("A", now) == 1


def test_the_heap_does_not_grow_with_calls() -> None:
    rounds = Rounds(PACE)
    for time in range(10_000, 0, -1):
        rounds.call("A", float(time))
    assert len(rounds._heap) < 200
    rounds.forget("A")
    assert rounds.next() is None


def test_a_clock_that_is_set_back_leaves_nobody_out() -> None:
    rounds, ahead, now = Rounds(PACE), 2e9, 1e9
    rounds.call("A", ahead)
    rounds.call("B", ahead)
    assert (rounds.take(ahead), rounds.take(ahead)) == ("A", "B")
    rounds.came("A", ahead)
    due = rounds.next()
    assert due is not None
    assert rounds.take(ahead - 1) is None
    assert rounds.next() == due, "a clock that is corrected a little moves nothing"
    assert rounds.take(now) is None
    moved = rounds.next()
    assert moved is not None
    assert moved - now == due - (ahead - 1)
    assert rounds.take(moved) == "A"
    rounds.failed("B", moved)
    assert rounds.next() == moved + PACE.pause("B", 1)
