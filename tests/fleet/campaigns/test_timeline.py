"""Marks of what happened to one device."""

from __future__ import annotations

import pytest

from openami.fleet.campaigns.model import DeviceState
from openami.fleet.campaigns.timeline import Mark

D = DeviceState


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
