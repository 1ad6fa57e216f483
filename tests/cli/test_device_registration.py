"""``openami device``: registrations, expected devices and alarms, against a head-end that runs."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pytest
from tests.support.factory import FactoryDevice, Maker

from openami.cli import device_registration
from openami.cli.device_registration import split_list
from openami.fleet.expected import read_expected
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunMain

    from openami.headend.server import Running


@pytest.fixture
def run(run_main: RunMain) -> RunMain:
    """Return what runs ``openami device``."""
    return functools.partial(run_main, "device")


@pytest.fixture
def maker(running: Running) -> Maker:
    maker = Maker(SystemClock().now())
    maker.trusted_by(running)
    return maker


async def test_a_list_is_imported_and_shown(run: RunMain, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("\ufeffuid,region,approval\nD1,Seoul,auto\nD2,Busan,manual\n")
    assert await run("register", str(file)) == (0, [], "2 devices expected\n")
    status, _, said = await run("register", "--uid", "D3", "--label", "Pole 3")
    assert (status, said) == (0, "1 device expected\n")
    status, lines, _ = await run("expected", "--json")
    items = [json.loads(line) for line in lines]
    assert [(item["uid"], item["region"], item["label"]) for item in items] == [
        ("D1", "Seoul", ""), ("D2", "Busan", ""), ("D3", "", "Pole 3"),
    ]  # fmt: skip
    status, lines, _ = await run("expected", "--most", "1")
    assert lines[0].split() == [
        "uid", "manufacturer", "model", "approval", "region", "label", "fingerprint",
    ]  # fmt: skip
    assert len(lines) == 2


async def test_a_wrong_list_is_refused_before_anything_is_sent(
    run: RunMain, tmp_path: Path, running: Running
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("uid\nD1\nD1\n")
    status, _, said = await run("register", str(file))
    assert (status, "line 3 of the list" in said) == (2, True)
    file.write_bytes(b"uid\n\xff\n")
    status, _, said = await run("register", str(file))
    assert (status, said.startswith("error[config.file]")) == (2, True)
    for arguments in ((), (str(file), "--uid", "D1"), (str(file), "--region", "x")):
        status, _, said = await run("register", *arguments)
        assert (status, said.startswith("error[usage]")) == (2, True)
    status, _, said = await run("register", "--uid", "a b")
    assert (status, said.startswith("error[config.name]: 'a b' is not a serial number")) == (
        2,
        True,
    )
    assert running.services.registrations.expected().items == ()


async def test_devices_are_decided_on(run: RunMain, running: Running, maker: Maker) -> None:
    first, second = FactoryDevice(running, maker), FactoryDevice(running, maker, "D2")
    await first.ask()
    await second.ask()
    status, lines, _ = await run("registrations", "--standing", "pending")
    assert [line.split()[:5] for line in lines[1:]] == [
        ["D1", "pending", "Maker", "OA-DCU", "0.2"], ["D2", "pending", "Maker", "OA-DCU", "0.2"],
    ]  # fmt: skip
    assert await run("approve", "D1", "D2") == (0, [], "D1 is approved\nD2 is approved\n")
    for decision in ("refuse", "retire", "reopen"):
        status, _, said = await run(decision, "D1")
        assert (status, "Missing option '--why'" in said) == (2, True)
    await first.register()
    status, _, said = await run("approve", "D1")
    assert (status, said.split(":")[0]) == (1, "error[registration.transition]")
    assert "hint: openami device registration UID" in said
    assert await run("suspend", "D1", "--why", "moved") == (0, [], "D1 is suspended\n")
    assert await run("resume", "D1", "--why", "back") == (0, [], "D1 is live\n")
    told = await run("reopen", "D1", "--why", "new hardware")
    assert told == (0, [], "D1 may register anew\n")
    assert await run("refuse", "D2", "--why", "stolen") == (0, [], "D2 is refused\n")
    status, lines, _ = await run("retire", "D2", "--why", "stolen", "--json")
    assert json.loads(lines[0])["standing"] == "retired"
    status, _, said = await run("retire", "D9", "--why", "stolen")
    assert (status, said.split(":")[0]) == (1, "error[registration.unknown]")
    assert "hint: openami device registrations" in said
    status, _, said = await run("approve", "../D1")
    assert (status, said.split(":")[0]) == (2, "error[config.name]")
    status, lines, _ = await run("registration", "D1")
    shown = dict(line.split(maxsplit=1) for line in lines)
    assert (shown["standing"], shown["claim.manufacturer"]) == ("live", "Maker")
    assert not any("BEGIN" in line for line in lines)
    assert shown["certificate.days_left"].isdigit()
    status, lines, _ = await run("registration", "D1", "--json")
    assert json.loads(lines[0])["certificate"]["subject"] == "D1"
    status, lines, _ = await run("registrations", "--json")
    assert [json.loads(line)["standing"] for line in lines] == ["live", "retired"]
    status, lines, _ = await run("registrations")
    assert lines[0].split()[:3] == ["uid", "standing", "device"]
    assert lines[1].split()[:3] == ["D1", "live", "commissioned"]


async def test_who_asks_to_register_anew_is_listed(
    run: RunMain, running: Running, maker: Maker
) -> None:
    await run("register", "--uid", "D1")
    device = FactoryDevice(running, maker)
    await device.register()
    assert (await run("registrations", "--asking"))[2] == "no such registrations\n"
    await device.ask_anew()
    _, lines, _ = await run("registrations", "--asking", "--json")
    (item,) = map(json.loads, lines)
    assert (item["uid"], item["standing"]) == ("D1", "live")
    _, lines, _ = await run("registrations")
    assert lines[0].split()[-3:] == ["asked", "anew", "reason"]
    assert lines[1].split()[-1] == item["asks_anew"].partition(".")[0].removesuffix("Z") + "Z"
    _, lines, _ = await run("registration", "D1")
    assert any(line.startswith("asks_anew") for line in lines)


async def test_a_clone_is_alarmed_and_decided_on(
    run: RunMain, running: Running, maker: Maker
) -> None:
    await run("register", "--uid", "D1")
    first = FactoryDevice(running, maker)
    await first.register()
    second = FactoryDevice(running, maker, factory=first.factory)
    await second.ask()
    _, lines, _ = await run("alarms")
    assert lines[1].split()[:3] == ["1", "registration.twice", "dcu-D1"]
    assert await run("keep", "D1", "--why", "seen") == (0, [], "D1 is live\n")
    assert (await run("clear-alarm", "1", "--why", "seen"))[2] == (
        "alarm 1 (registration.twice) is cleared\n"
    )
    assert len((await run("alarms", "--device", "dcu-D1"))[1]) == 1
    _, lines, _ = await run("alarms", "--all", "--json")
    assert json.loads(lines[0])["cleared_by"] == "anna"
    third = FactoryDevice(running, maker, factory=first.factory)
    await third.ask()
    _, lines, _ = await run("clear-alarm", "2", "--json")
    assert json.loads(lines[0])["id"] == 2
    assert await run("take-rival", "D1", "--why", "seen") == (0, [], "D1 is approved\n")
    await third.register()


async def test_a_long_list_says_how_far_it_is(
    run: RunMain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_registration, "PART_OCTETS", 20)
    file = tmp_path / "list.csv"
    file.write_text("uid\n" + "".join(f"DCU-{number}\n" for number in range(10, 14)))
    status, _, said = await run("register", str(file))
    assert (status, said.splitlines()[0]) == (0, "part 1 of 2: 2 devices so far")
    assert said.endswith("\n4 devices expected\n")


def test_a_long_list_is_sent_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_registration, "PART_OCTETS", 100)
    lines = [f"D{number},Pole {number}\n" for number in range(30)]
    lines[6] = 'D6,"Pole, 6 and a text that is longer than what is left of a part of a list"\n'
    text = "uid,label\n" + "".join(lines)
    parts = list(split_list(text))
    assert len(parts) > 3
    assert all(len(part) <= 220 for part in parts)
    found = [device for part in parts for device in read_expected(part)]
    assert tuple(found) == read_expected(text)
    assert list(split_list("uid\n")) == ["uid\n"]
