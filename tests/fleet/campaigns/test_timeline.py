"""What happened to one device, said late, again and in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.fleet.campaigns.model import DeviceState
from openami.fleet.campaigns.timeline import MAX_MARKS, Mark, Timeline

D = DeviceState
WAY = (
    Mark(D.OFFERED, 1.0),
    Mark(D.DOWNLOADED, 2.0),
    Mark(D.TRANSFERRED, 3.0),
    Mark(D.FAILED, 4.0, code="firmware.hash"),
    Mark(D.OFFERED, 5.0, 2),
    Mark(D.VERIFIED, 6.0, 2),
)


def test_a_device_without_marks_waits() -> None:
    assert (Timeline("meter-A1").state, Timeline("meter-A1").code) == (D.WAITING, None)


@given(st.permutations(WAY), st.lists(st.sampled_from(WAY)))
def test_marks_come_in_any_order_and_again(order: list[Mark], again: list[Mark]) -> None:
    line = Timeline("meter-A1").with_marks(order[:3]).with_marks(again).with_marks(order)
    assert line.marks == WAY
    assert line.with_marks(again) is line
    assert (line.state, line.code) == (D.VERIFIED, None)


def test_the_first_word_holds() -> None:
    line = Timeline("meter-A1").with_marks(WAY[:4])
    assert (line.state, line.code) == (D.FAILED, "firmware.hash")
    assert line.with_marks([Mark(D.OFFERED, 99.0)]) is line


def test_marks_are_bounded() -> None:
    many = [Mark(D.OFFERED, float(attempt), attempt) for attempt in range(1, MAX_MARKS + 9)]
    line = Timeline("meter-A1").with_marks(many)
    assert line.marks == tuple(many[-MAX_MARKS:])


@pytest.mark.parametrize(
    ("state", "code", "attempt"), [(D.FAILED, None, 1), (D.OFFERED, "x", 1), (D.OFFERED, None, 0)]
)
def test_a_failure_has_a_code(state: DeviceState, code: str | None, attempt: int) -> None:
    with pytest.raises(ValueError, match="mark"):
        Mark(state, 1.0, attempt, code)


@pytest.mark.parametrize("reason", ["a\nb", "x" * 201])
def test_a_reason_is_one_line(reason: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        Mark(D.FAILED, 1.0, 1, "x", reason)
    with pytest.raises(ValueError, match="if it is a failure"):
        Mark(D.OFFERED, 1.0, 1, None, "because")
