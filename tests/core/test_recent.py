"""How much is remembered."""

from openami.core.recent import Recent


def test_what_was_set_longest_ago_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"] = 1, 2
    recent["a"] = 3
    recent["c"] = 4
    assert dict(recent) == {"a": 3, "c": 4}
    del recent["a"]
    recent["d"] = 5
    assert dict(recent) == {"c": 4, "d": 5}
