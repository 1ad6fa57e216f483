"""Who is visited next: priorities, fairness, backoff and probing, in simulated time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.lines import swept

from openami.fleet.collection import (
    Line,
    MeterStatus,
    Moment,
    Outcome,
    Plan,
    Policy,
    Probe,
    Progress,
    Rest,
    Visit,
)

LOAD = Plan("load", settle_s=0, spread_s=0, repeat_s=300)
LOG = Plan("log", period_s=3600, settle_s=0, spread_s=0, chases=False)
T0 = 1_700_000_100 // 3600 * 3600
POLICY = Policy(
    backoff_first_s=10,
    backoff_most_s=100,
    demand_burst=2,
    visits_per_probe=2,
    probe_rest_s=50,
    eager_rounds=1,
)


def at(seconds: float) -> Moment:
    return Moment(T0 + seconds, 1000 + seconds)


def line(*meters: str, addresses: tuple[int, ...] = (), policy: Policy = POLICY) -> Line:
    made = Line([LOAD, LOG], policy=policy, addresses=addresses)
    for place, serial in enumerate(meters):
        made.add(serial, 16 + place, jitter=0)
    return made


def read(made: Line, step: object, moment: Moment) -> Visit:
    """Visit successfully, up to the last boundary."""
    assert isinstance(step, Visit)
    made.visited(step, moment, {"load": Outcome(int(moment.wall) // 900 * 900)})
    return step


def test_a_new_meter_is_due_for_everything() -> None:
    made = line("A")
    assert made.next(at(0)) == Visit("A", 16, ("load", "log"))
    assert made.status("A") is MeterStatus.DISCOVERED


def test_every_meter_once_and_then_a_rest_until_the_boundary() -> None:
    made = line("A", "B", "C")
    assert [read(made, made.next(at(t)), at(t)).serial for t in (0, 1, 2)] == ["A", "B", "C"]
    assert made.next(at(3)) == Rest(T0 + 900, None)
    assert made.next(at(900)) == Visit("A", 16, ("load",))
    assert made.status("B") is MeterStatus.OK


def test_the_longest_overdue_goes_first() -> None:
    made = line("A", "B")
    read(made, made.next(at(0)), at(0))
    made.visited(Visit("B", 17, ("load", "log")), at(1), {"load": Outcome(T0, again=T0 + 500.0)})
    assert made.status("B") is MeterStatus.READING
    assert made.next(at(499)) == Rest(T0 + 500)
    assert made.next(at(901)) == Visit("B", 17, ("load",))


def test_known_cursors_are_kept() -> None:
    made = line()
    made.add("A", 16, jitter=0, progress={"load": Progress(T0)})
    assert made.progress("A") == {"load": Progress(T0)}
    read(made, made.next(at(950)), at(950))
    assert made.progress("A")["load"] == Progress(T0 + 900, T0 + 950.0)
    made.visited(Visit("A", 16, ("load",)), at(960), {})
    assert made.progress("A")["load"] == Progress(T0 + 900, T0 + 960.0)


def test_on_demand_reads_go_first_and_take_what_is_due_along() -> None:
    made = line("A", "B", "C")
    assert made.demand("j1", "C")
    assert made.demand("j2", "C")
    assert made.demand("j3", "B")
    assert not made.demand("j4", "nobody")
    assert made.next(at(0)) == Visit("C", 18, ("load", "log"), ("j1", "j2"))


def test_on_demand_reads_do_not_starve_the_schedule() -> None:
    made = line("A", "B")
    for number in range(9):
        made.demand(f"j{number}", "B")
    order = []
    for second in range(3):
        step = made.next(at(second))
        assert isinstance(step, Visit)
        order.append(step.serial)
        if step.serial == "A":
            read(made, step, at(second))
    assert order == ["B", "B", "A"]


def test_jobs_that_are_done_or_whose_meter_is_gone_are_dropped() -> None:
    made = line("A", "B")
    for second in (0, 1):
        read(made, made.next(at(second)), at(second))
    made.demand("j1", "A")
    made.demand("j2", "B")
    made.withdraw("j1")
    made.forget("B")
    assert made.next(at(3)) == Rest(T0 + 900)


def test_a_failing_meter_is_left_alone_longer_and_longer_and_tried_for_ever() -> None:
    made = line("A")
    now, waits = 0.0, []
    for _ in range(8):
        step = made.next(at(now))
        assert isinstance(step, Visit)
        waits.append(made.failed("A", at(now), jitter=0))
        assert made.next(at(now)) == Rest(None, 1000 + now + waits[-1])
        now += waits[-1]
    assert waits == [10, 20, 40, 80, 100, 100, 100, 100]
    assert made.status("A") is MeterStatus.UNREACHABLE
    read(made, made.next(at(now)), at(now))
    assert made.status("A") is MeterStatus.OK


def test_what_was_read_before_a_failure_counts() -> None:
    made = line("A")
    made.failed("A", at(0), jitter=1, outcomes={"log": Outcome()})
    assert made.next(at(5)) == Visit("A", 16, ("load",))
    assert made.status("A") is MeterStatus.DISCOVERED


def test_a_refused_meter_can_be_woken() -> None:
    made = line("A")
    made.failed("A", at(0), jitter=0, refused=True)
    assert made.status("A") is MeterStatus.REFUSED
    assert isinstance(made.next(at(1)), Rest)
    made.wake("A")
    made.wake("nobody")
    assert isinstance(made.next(at(1)), Visit)


def test_a_meter_that_is_spared_has_not_failed_and_is_tried_when_it_is_woken() -> None:
    made = line("A", "B")
    made.spare("A", until=at(60).tick)
    made.spare("nobody", until=at(60).tick)
    assert read(made, made.next(at(0)), at(0)).serial == "B"
    assert made.next(at(0)) == Rest(at(900).wall, at(60).tick)
    assert made.status("A") is MeterStatus.DISCOVERED
    made.wake("A")
    assert read(made, made.next(at(1)), at(1)).serial == "A"
    made.spare("A", until=at(960).tick)
    assert read(made, made.next(at(901)), at(901)).serial == "B"
    assert read(made, made.next(at(961)), at(961)).serial == "A"


def test_an_on_demand_read_goes_to_a_meter_that_is_left_alone() -> None:
    made = line("A")
    made.failed("A", at(0), jitter=0)
    made.demand("j", "A")
    assert made.next(at(1)) == Visit("A", 16, ("load", "log"), ("j",))


def test_failures_of_meters_that_are_gone_are_ignored() -> None:
    made = line()
    assert made.failed("A", at(0), jitter=0) == 0
    made.visited(Visit("A", 16, ()), at(0), {})
    assert made.meters() == ()
    assert made.address("A") is None
    assert made.progress("A") == {}
    with pytest.raises(KeyError):
        made.status("A")


def test_a_meter_moves_and_another_takes_its_place() -> None:
    made = line("A", "B")
    read(made, made.next(at(0)), at(0))
    made.add("A", 17, jitter=0)
    assert made.meters() == ("A",)
    assert made.address("A") == 17
    assert made.progress("A")["load"].cursor == T0
    assert made.address("B") is None


def test_the_first_sweep_goes_on_without_a_rest() -> None:
    made = line(addresses=(30, 31, 32))
    probed = []
    for second in range(3):
        assert not swept(made)
        step = made.next(at(second))
        assert isinstance(step, Probe)
        probed.append(step.address)
        made.probed(step.address, at(second))
    assert probed == [30, 31, 32]
    assert swept(made)
    assert made.next(at(3)) == Rest(None, 1000 + 2 + 50)
    assert made.next(at(52)) == Probe(30)
    made.probed(99, at(52))
    assert made.next(at(200)) == Probe(30)


def test_eager_rounds_come_first() -> None:
    made = line(addresses=(30, 31), policy=Policy(eager_rounds=2, probe_rest_s=50))
    probed = []
    for second in range(4):
        step = made.next(at(second))
        assert isinstance(step, Probe)
        probed.append(step.address)
        made.probed(step.address, at(second))
    assert probed == [30, 31, 30, 31]
    assert made.next(at(4)) == Rest(None, 1000 + 3 + 50)


def test_a_meter_may_be_held_until_it_is_woken() -> None:
    made = line()
    made.add("A", 16, jitter=0, free_at=1000 + 30)
    assert made.next(at(0)) == Rest(None, 1000 + 30)
    made.wake("A")
    assert isinstance(made.next(at(0)), Visit)


def test_known_addresses_are_not_probed_and_a_sweep_round_them_ends() -> None:
    made = line("A", "B", addresses=(16, 17))
    assert swept(made)
    assert made.next(at(0)) == Visit("A", 16, ("load", "log"))
    made.forget("A")
    assert not swept(made)
    read(made, made.next(at(0)), at(0))
    assert made.next(at(0)) == Probe(16)
    made.probed(16, at(0))
    assert made.next(at(50)) == Probe(16)
    made.probed(16, at(50))
    assert swept(made)
    assert made.next(at(51)) == Rest(T0 + 900, 1000 + 100)


def test_probes_and_visits_take_turns() -> None:
    made = line(*"ABCDEF", addresses=tuple(range(16, 40)))
    order = ""
    for second in range(9):
        step = made.next(at(second))
        if isinstance(step, Probe):
            order += "."
            made.probed(step.address, at(second))
        else:
            order += read(made, step, at(second)).serial
    assert order == "AB.CD.EF."


def test_without_plans_only_jobs_and_probes_are_left() -> None:
    made = Line([], policy=POLICY)
    made.add("A", 16, jitter=0)
    assert made.next(at(0)) == Rest()
    made.demand("j", "A")
    assert made.next(at(0)) == Visit("A", 16, (), ("j",))


@settings(max_examples=25, deadline=None)
@given(
    dead=st.sets(st.integers(0, 11)),
    cost=st.floats(5, 60),
    demands=st.lists(st.tuples(st.floats(0, 14_000), st.integers(0, 11)), max_size=20),
)
def test_nobody_starves(dead: set[int], cost: float, demands: list[tuple[float, int]]) -> None:
    """Twelve meters, some dead, on a line that takes ``cost`` seconds for whatever it does."""
    names = [f"m{number:02}" for number in range(12)]
    made = line(*names, addresses=tuple(range(16, 36)))
    waiting = sorted(demands)
    now, visits, probes = 0.0, Counter[str](), Counter[int]()
    while now < 14_400:
        while waiting and waiting[0][0] <= now:
            made.demand(f"{waiting[0]}", names[waiting[0][1]])
            waiting.pop(0)
        step = made.next(at(now))
        if isinstance(step, Rest):
            walls = [T0 + 14_400.0 if step.wall is None else step.wall]
            ticks = [1000 + 14_400.0 if step.tick is None else step.tick]
            until = min(min(walls) - T0, min(ticks) - 1000)
            assert until > now
            now = min([until, *(d[0] for d in waiting[:1])])
            continue
        now += cost
        if isinstance(step, Probe):
            probes[step.address] += 1
            made.probed(step.address, at(now))
            continue
        visits[step.serial] += 1
        for job in step.jobs:
            made.withdraw(job)
        if names.index(step.serial) in dead:
            made.failed(step.serial, at(now), jitter=0.5)
        else:
            read(made, step, at(now))
    rounds = 14_400 / max(900, 12 * 1.5 * cost * 2)
    for number, name in enumerate(names):
        assert visits[name] >= (rounds // 2 if number not in dead else 5)
        wanted = MeterStatus.UNREACHABLE if number in dead else MeterStatus.OK
        assert made.status(name) in {wanted, MeterStatus.READING}
    assert all(probes[address] >= 3 for address in range(28, 36))
    assert not any(probes[address] for address in range(16, 28))


@pytest.mark.parametrize(
    "bad",
    [{"backoff_first_s": 0}, {"backoff_first_s": 99, "backoff_most_s": 9}, {"demand_burst": 0}],
)
def test_policies_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"backoff|counts"):
        Policy(**bad)  # type: ignore[arg-type] # wrong on purpose


def test_everything_is_due_when_somebody_says_so() -> None:
    made = line("A", "B")
    read(made, made.next(at(0)), at(0))
    read(made, made.next(at(0)), at(0))
    made.failed("B", at(1), jitter=0)
    assert isinstance(made.next(at(2)), Rest)
    made.hasten(at(3))
    visits = [read(made, made.next(at(3)), at(3)) for _ in range(2)]
    assert {v.serial for v in visits} == {"A", "B"}
    assert {v.subjects for v in visits} == {("load", "log")}
    assert isinstance(made.next(at(4)), Rest)


def test_without_a_schedule_meters_are_read_when_somebody_says_so() -> None:
    made = Line([LOAD, LOG], policy=POLICY, scheduled=False)
    made.add("A", 16, jitter=0)
    assert made.next(at(0)) == Rest(float("inf"), None)
    assert made.demand("job", "A")
    step = made.next(at(1))
    assert step == Visit("A", 16, (), ("job",))
    made.withdraw("job")
    made.hasten(at(10_000))
    assert read(made, made.next(at(10_000)), at(10_000)).subjects == ("load", "log")
    assert isinstance(made.next(at(99_999)), Rest)


def test_a_search_goes_round_again_without_rests() -> None:
    made = line(addresses=(16, 17))
    for address in (16, 17):
        assert made.next(at(0)) == Probe(address)
        made.probed(address, at(0))
    assert isinstance(made.next(at(1)), Rest)
    made.search()
    for address in (16, 17):
        assert made.next(at(1)) == Probe(address)
        made.probed(address, at(1))
    assert isinstance(made.next(at(2)), Rest)


# -- errands -------------------------------------------------------------------------------------


def settled(made: Line, moment: Moment) -> None:
    """Read everything, so that nothing is due."""
    for _ in made.meters():
        read(made, made.next(moment), moment)
    assert isinstance(made.next(moment), Rest)


def test_an_urgent_errand_goes_before_everything() -> None:
    made = line("A", "B", "C")
    made.demand("j1", "A")
    made.errand("C", due=T0, urgent=True)
    made.errand("B", due=T0 - 5, urgent=True)
    assert read(made, made.next(at(0)), at(0)) == Visit("B", 17, ()), "C does not wait for its rows"
    assert read(made, made.next(at(1)), at(1)) == Visit("C", 18, ())
    assert made.urgent(at(2)) is None
    step = made.next(at(2))
    assert isinstance(step, Visit)
    assert step.jobs == ("j1",)


def test_another_errand_waits_for_what_is_due_and_goes_along_with_it() -> None:
    made = line("A", "B")
    made.errand("A", due=T0)
    made.errand("B", due=T0)
    assert [read(made, made.next(at(t)), at(t)).subjects for t in (0, 1)] == [("load", "log")] * 2
    assert isinstance(made.next(at(2)), Rest), "a visit that goes well settles an errand"
    made.errand("B", due=T0)
    assert made.next(at(3)) == Visit("B", 17, ())
    made.settle("B")
    assert isinstance(made.next(at(3)), Rest)


def test_a_rest_ends_when_an_errand_is_due() -> None:
    made = line("A")
    settled(made, at(0))
    made.errand("A", due=T0 + 60)
    made.errand("Z", due=T0 + 30, urgent=True)
    assert made.next(at(1)) == Rest(T0 + 60, None), "nobody knows Z here yet"
    assert made.next(at(60)) == Visit("A", 16, ())
    made.add("Z", 30, jitter=0)
    assert made.next(at(60)) == Visit("Z", 30, ())


def test_an_errand_to_a_meter_that_fails_is_made_again_after_its_wait() -> None:
    made = line("A", "B")
    settled(made, at(0))
    made.errand("A", due=T0, urgent=True)
    assert made.next(at(1)) == Visit("A", 16, ())
    made.failed("A", at(1), jitter=0)
    step = made.next(at(2))
    assert isinstance(step, Rest)
    assert step.tick == 1011
    made.wake("A")
    assert made.next(at(2)) == Visit("A", 16, ()), "what is new is tried at once"
