"""Groups, shares and windows as people type them."""

from __future__ import annotations

import pytest

from openami.fleet.campaigns.model import Areas, Cells, Rest, Share
from openami.fleet.campaigns.spoken import (
    clock_words,
    read_clock,
    read_groups,
    read_share,
    read_window,
    read_windows,
    rule_words,
    share_words,
    window_words,
)
from openami.fleet.campaigns.windows import Window


@pytest.mark.parametrize(
    ("text", "parts"), [("1%", 100), ("0.5 %", 50), ("2.25%", 225), (" 100% ", 10_000), ("0%", 0)]
)
def test_a_share(text: str, parts: int) -> None:
    assert read_share(text) == parts
    assert read_share(share_words(parts)) == parts


def test_groups_in_a_line() -> None:
    found = list(read_groups("1%, pilot: cell plc-7,areas Seoul + Busan\nrest,"))
    assert found == [
        ("1%", Share(100)),
        ("pilot", Cells(frozenset({"plc-7"}))),
        ("areas Seoul + Busan", Areas(frozenset({"Seoul", "Busan"}))),
        ("rest", Rest()),
    ]
    words = [rule_words(rule) for _, rule in found]
    assert words == ["1%", "cell plc-7", "area Busan + Seoul", "rest"]
    assert [rule for _, rule in read_groups(", ".join(words))] == [rule for _, rule in found]


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("01:00-05:00", Window(60, 300)),
        ("22:00 - 02:30 sat+sun", Window(1320, 150, frozenset({5, 6}))),
        ("0:00-24:00 Mon-Friday", Window(0, 1440, frozenset(range(5)))),
        ("1:00-2:00 fri-mon", Window(60, 120, frozenset({4, 5, 6, 0}))),
    ],
)
def test_a_window(text: str, window: Window) -> None:
    assert read_window(text) == window
    assert read_window(window_words(window)) == window


def test_windows_in_a_text() -> None:
    assert list(read_windows("")) == []
    assert list(read_windows("01:00-02:00,\n03:00-04:00 ")) == [Window(60, 120), Window(180, 240)]


def test_a_clock() -> None:
    assert read_clock("23:59") == 1439
    assert clock_words(1440) == "24:00"


@pytest.mark.parametrize(
    "text", ["", "5", "101%", "1.234%", "area", "cell +", "pilot: ", "no group", "0%"]
)
def test_what_is_no_group(text: str) -> None:
    with pytest.raises(ValueError, match=r"no |more|a share|a group"):
        list(read_groups(text or "%"))


@pytest.mark.parametrize(
    "text",
    ["1-2", "25:00-26:00", "01:60-02:00", "01:00-02:00 someday", "24:00-01:00", "1:00-2:00 -"],
)
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match=r"no |a window"):
        read_window(text)


@pytest.mark.parametrize("text", ["", "12", "12:5", "x:00", "24:01", "12:xx"])
def test_what_is_no_clock(text: str) -> None:
    with pytest.raises(ValueError, match="no time of day"):
        read_clock(text)
