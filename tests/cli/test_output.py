"""What commands print for people: columns, times, and nothing that moves the cursor."""

from __future__ import annotations

import sys

import pytest

from openami.cli import output
from openami.cli.output import LEAST, Table, moment, table


def test_columns_are_aligned_and_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    table(["uid", "octets"], [["D1", 7], ["DCU-12", 12345], ["D3", None]])
    assert capsys.readouterr().out.splitlines() == [
        "uid     octets", "D1           7", "DCU-12   12345", "D3",
    ]  # fmt: skip


def test_a_long_list_is_printed_as_it_comes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "HELD_ROWS", 2)
    with Table(["uid", "state"]) as rows:
        rows.add(["D1", "live"])
        assert capsys.readouterr().out == ""
        rows.add(["D2", "live"])
        assert capsys.readouterr().out.splitlines() == ["uid  state", "D1   live", "D2   live"]
        rows.add(["D30000", "live"])
        assert capsys.readouterr().out == "D30000  live\n"


def test_long_cells_are_cut_on_a_terminal_and_nowhere_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed() -> list[str]:
        table(["node", "value", "by"], [["./A/Long", "v" * 90, "anna"]], cut=["value"])
        return capsys.readouterr().out.splitlines()

    whole = f"./A/Long  {'v' * 90}  anna"
    assert printed()[1] == whole
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    head, row = printed()
    assert row == f"./A/Long  {'v' * 33}…  anna"
    assert (len(row), head.split()) == (50, ["node", "value", "by"])
    monkeypatch.setenv("COLUMNS", "10")
    assert len(printed()[1]) == 8 + 2 + LEAST + 2 + 4  # an address and who it was are never cut
    monkeypatch.setenv("COLUMNS", "200")
    assert printed()[1] == whole


def test_an_empty_list_says_so_beside_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    table(["uid", "state"], [], nothing="no alarms")
    assert capsys.readouterr() == ("uid  state\n", "no alarms\n")


def test_what_came_before_an_error_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def fail_after(*rows: list[object]) -> None:
        with Table(["uid"], nothing="none") as printed:
            for row in rows:
                printed.add(row)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after(["D1"])
    assert capsys.readouterr() == ("uid\nD1\n", "")
    with pytest.raises(ZeroDivisionError):
        fail_after()
    assert capsys.readouterr() == ("", "")


def test_what_a_device_said_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table(["model"], [["\x1b[2JOA\r\nfake"]])
    assert capsys.readouterr().out == "model\n\\x1b[2JOA\\r\\nfake\n"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-01-05T01:49:26.899753Z", "2026-01-05T01:49:26Z"),
        ("2026-01-05T01:49:26Z", "2026-01-05T01:49:26Z"),
        (None, ""),
    ],
)
def test_times_are_shown_to_the_second(told: str | None, shown: str) -> None:
    assert moment(told) == shown
