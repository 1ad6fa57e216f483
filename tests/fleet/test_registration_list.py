"""The list of expected devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import ConfigError
from openami.fleet import expected as e

PRINT = "AB" * 32


def test_a_list() -> None:
    text = (
        "\ufeffUID, manufacturer,model,fingerprint,approval,region,label\r\n"
        f'D1,Maker,OA-DCU,{":".join(["AB"] * 32)},manual,서울,"Pole 17, left"\r\n'
        "\r\n"
        "D2,,,,,,\r\n"
    )
    assert e.read_expected(text) == (
        e.ExpectedDevice(
            "D1", "Maker", "OA-DCU", b"\xab" * 32, e.Approval.MANUAL, "서울", "Pole 17, left"
        ),
        e.ExpectedDevice("D2"),
    )


def test_a_list_of_names_alone() -> None:
    assert e.read_expected("uid\nD1\n") == (e.ExpectedDevice("D1"),)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("model\nX\n", 1),
        ("uid,uid\nA,B\n", 1),
        ("uid,password\nA,B\n", 1),
        ("uid,model\nD1\n", 2),
        ("uid\nD1\nnot a serial\n", 3),
        ("uid\nD1\n\nD1\n", 4),
        ("uid,approval\nD1,perhaps\n", 2),
        ("uid,fingerprint\nD1,AB\n", 2),
        (f"uid,fingerprint\nD1,{PRINT[:-1]}G\n", 2),
        ("uid,label\nD1," + "x" * 129 + "\n", 2),
        ("uid,label\nD1,\x07\n", 2),
        ('uid,label\nD1,"open\n', 2),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_taken(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"line {line} ") as caught:
        e.read_expected(text)
    assert caught.value.code == "request.expected"


def test_a_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e, "EXPECTED", 2)
    assert len(e.read_expected("uid\nA\nB\n")) == 2
    with pytest.raises(ConfigError, match="line 4 "):
        e.read_expected("uid\nA\nB\nC\n")


@given(st.text(max_size=80))
def test_any_text_is_a_list_or_the_one_error(text: str) -> None:
    try:
        devices = e.read_expected("uid,label\n" + text)
    except ConfigError:
        return
    assert len({device.uid for device in devices}) == len(devices)
