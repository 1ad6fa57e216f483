"""``openami device`` beside registrations, and how it is told which head-end to ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from openami.cli.api import head_end_url, segment
from openami.cli.main import main
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from tests.cli.conftest import RunMain

    from openami.headend.server import Running


async def test_a_device_is_described_and_then_found_by_its_region(
    running: Running, run_main: RunMain
) -> None:
    running.services.registry.enroll_dcu("D1", who="test")
    told = await run_main("device", "describe", "dcu-D1", "--region", "Seoul", "--label", "Pole 7")
    assert told == (0, [], "dcu-D1: region Seoul, label Pole 7\n")
    told = await run_main("device", "describe", "dcu-D1", "--label", "")
    assert told == (0, [], "dcu-D1: region Seoul, label –\n")
    status, lines, _ = await run_main("device", "describe", "dcu-D1", "--region", "North", "--json")
    assert (status, json.loads(lines[0])["region"]) == (0, "North")
    status, lines, _ = await run_main("device", "list")
    assert "North" in lines[1].split()
    status, lines, _ = await run_main("device", "show", "dcu-D1")
    assert "[" not in "".join(lines)
    status, _, said = await run_main("device", "describe", "dcu-D1")
    assert (status, said) == (2, "error[config.option]: name --region or --label\n")


async def test_a_bare_serial_number_is_told_how_devices_are_called(run_main: RunMain) -> None:
    for arguments in (
        ("show", "D1"), ("describe", "D1", "--label", "x"), ("move", "D1", "retired", "--why", "x"),
    ):  # fmt: skip
        status, _, said = await run_main("device", *arguments)
        assert (status, said.split(":")[0]) == (2, "error[config.name]")
        assert "such as dcu-D1" in said
    status, lines, said = await run_main("device", "list", "--search", "nothing")
    assert (status, len(lines), said) == (0, 1, "no such devices\n")


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:8443", "http://h:1", "https://", "https://[::1", "https://h:x",
     "https://h:0", "https://h:70000", "https://h/?a=b", "https://h/#a", "https://h /"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no address") as caught:
        head_end_url(text)
    assert caught.value.code == "config.url"


def test_an_address_with_a_password_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        head_end_url("https://anna:secret@host:8443")
    assert "secret" not in caught.value.message


def test_an_address_has_no_slash_at_its_end() -> None:
    assert head_end_url("https://[::1]:8443/") == "https://[::1]:8443"
    assert head_end_url("https://ami.example/head-end/") == "https://ami.example/head-end"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\nb"])
def test_what_is_no_name_is_no_segment_of_a_path(name: str) -> None:
    with pytest.raises(ConfigError, match="no name"):
        segment(name)


def test_what_is_no_token_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAMI_TOKEN", "sec\nret")
    assert main(["device", "list", "--url", "https://127.0.0.1:1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error[config.login]")
    assert not {"sec", "ret"} & set(said.replace("\n", " ").split())
