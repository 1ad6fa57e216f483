from __future__ import annotations

import random

import pytest
from tests.transport.machines import LineMachine

from openami.transport.medium import LineProfile, Medium
from openami.transport.memory import MemoryLine, VirtualTime


def perfect(**profile: float) -> Medium:
    return Medium(LineProfile(**profile), random.Random(1))  # type: ignore[arg-type] # a test's shorthand


def test_question_and_answer_take_virtual_time() -> None:
    time = VirtualTime(100.0)
    line = MemoryLine(time, perfect(propagation_s=3600.0))
    asker, answerer = LineMachine(), LineMachine(answers=True)
    ours = line.head(asker)
    theirs = line.join(answerer)
    asker.say("hello")
    ours.pump()
    assert time.run(until=lambda: ours.events)
    assert (ours.events, theirs.events) == (["HELLO"], ["hello"])
    assert time.now() == pytest.approx(7300.0)


def test_the_head_speaks_to_all_and_hears_each() -> None:
    time = VirtualTime()
    line = MemoryLine(time, perfect())
    asker = LineMachine()
    ours = line.head(asker)
    others = [line.join(LineMachine(answers=True)) for _ in range(3)]
    asker.say("hello")
    ours.pump()
    assert not time.run()
    assert ours.events == ["HELLO"] * 3
    assert [node.events for node in others] == [["hello"]] * 3


def test_streams_arrive_in_slices() -> None:
    time = VirtualTime()
    line = MemoryLine(time, perfect(), slice_octets=1)
    asker = LineMachine()
    ours = line.head(asker)
    theirs = line.join(LineMachine())
    asker.say("hello")
    ours.pump()
    time.run()
    assert theirs.events == ["hello"]


def test_timers_fire_at_their_time() -> None:
    time = VirtualTime()
    line = MemoryLine(time, perfect())
    asker = LineMachine()
    ours = line.head(asker)
    ticks: list[tuple[float, str]] = []
    line.join(LineMachine(period=900.0), on_event=lambda event: ticks.append((time.now(), event)))
    asker.say("start")
    ours.pump()
    time.run(seconds=3600.0)
    assert ticks == [(0.0, "start")] + [(900.0 * n, "tick") for n in range(1, 5)]
    assert time.now() == 3600.0


def test_a_cut_line_loses_what_is_under_way_and_may_be_mended() -> None:
    time = VirtualTime()
    line = MemoryLine(time, perfect(propagation_s=1.0))
    asker = LineMachine()
    ours = line.head(asker)
    theirs = line.join(LineMachine())

    def say(text: str) -> None:
        asker.say(text)
        ours.pump()

    say("under way")
    line.cut()
    say("cut")
    time.run()
    assert theirs.events == []
    line.mend()
    say("mended")
    time.run()
    assert theirs.events == ["mended"]
    line.cut(tell=True)
    assert theirs.events == ["mended", "end"]
    assert ours.events == ["end"]


def test_another_machine_may_take_the_head() -> None:
    time = VirtualTime()
    line = MemoryLine(time, perfect())
    answerer = LineMachine()
    theirs = line.join(answerer)
    answerer.say("nobody hears")
    theirs.pump()
    first, second = line.head(LineMachine()), line.head(LineMachine())
    answerer.say("heard")
    theirs.pump()
    time.run()
    assert (first.events, second.events) == ([], ["heard"])


def test_events_may_command_the_machine() -> None:
    time = VirtualTime()
    line = MemoryLine(time, perfect())
    asker, answerer = LineMachine(), LineMachine()
    ours = line.head(asker)

    def answer(event: str) -> None:
        answerer.say(f"you said {event}")
        theirs.pump()

    theirs = line.join(answerer, on_event=answer)
    asker.say("x")
    ours.pump()
    assert time.run(until=lambda: ours.events == ["you said x"])


def test_machines_that_never_rest_are_noticed() -> None:
    time = VirtualTime()

    def again() -> None:
        time.call_at(time.now(), again)

    again()
    with pytest.raises(RuntimeError, match="never"):
        time.run()
