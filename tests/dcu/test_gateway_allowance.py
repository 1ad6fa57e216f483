"""What displays may have of a line in an hour."""

from openami.dcu.gateway.allowance import HOUR_S, Allowance, Limits

LIMITS = Limits(line_s=100.0, meter_s=60.0, requests=3)


def test_requests_of_a_meter_are_counted_and_come_back_with_time() -> None:
    allowance = Allowance(LIMITS, 0.0)
    assert [allowance.admits("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert allowance.admits("b", 0.0)
    assert not allowance.admits("a", HOUR_S / 3 - 1)
    assert allowance.admits("a", HOUR_S / 3)
    assert [allowance.admits("a", 9 * HOUR_S) for _ in range(4)] == [True, True, True, False]


def test_the_time_of_a_meter_may_be_overdrawn_once() -> None:
    allowance = Allowance(LIMITS, 0.0)
    allowance.spend("a", 90.0, 0.0)
    assert not allowance.admits("a", 0.0)
    assert allowance.admits("b", 0.0)
    assert not allowance.admits("a", HOUR_S / 2 - 1)
    assert allowance.admits("a", HOUR_S / 2)


def test_the_line_is_all_meters_together() -> None:
    allowance = Allowance(LIMITS, 0.0)
    for serial in ("a", "b", "c"):
        allowance.spend(serial, 40.0, 0.0)
    assert not allowance.admits("d", 0.0)
    assert allowance.admits("d", HOUR_S / 5)


def test_strangers_leave_half_to_displays_that_their_meter_has_let_in() -> None:
    allowance = Allowance(Limits(line_s=100.0, meter_s=60.0, requests=4), 0.0)
    strangers = [allowance.admits("a", 0.0, known=False) for _ in range(3)]
    assert strangers == [True, True, False]
    assert [allowance.admits("a", 0.0) for _ in range(3)] == [True, True, False]
    allowance.spend("b", 31.0, 0.0)
    assert not allowance.admits("b", 0.0, known=False)
    assert allowance.admits("b", 0.0)
    allowance.spend("c", 20.0, 0.0)  # 51 of the line's 100
    assert not allowance.admits("d", 0.0, known=False)
    assert allowance.admits("d", 0.0)
