"""What is told now and then, and how much is remembered."""

from openami.headend.seldom import Seldom


def test_what_repeats_itself_is_told_seldom_and_the_oldest_is_forgotten() -> None:
    told = Seldom(10.0, 2)
    assert [told.due("a", 0.0), told.due("a", 9.0), told.due("a", 10.0)] == [True, False, True]
    assert [told.due("b", 10.0), told.due("c", 10.0), told.due("a", 11.0)] == [True, True, True]
