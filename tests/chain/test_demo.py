"""``openami demo`` as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import openami

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.chain

OPTIONS: Final = (
    "--speed",
    "120",
    "--meters",
    "5",
    "--c1222",
    "1",
    "--dcus",
    "2",
    "--port",
    "0",
    "--json",
)
STEPS: Final = (
    "starts with its factory identity", "registered by SSMP", "first session", "configured:",
    "woken by a notification: has it", "collects:",
)  # fmt: skip
UPGRADED: Final = "upgraded over FUMO: slot switched, tried, confirmed; it says it is 0."
TOLD: Final = {"--factory", "--modem", "--wake", "--state", "--clock", "--log-level"}
BY_LAUNCHER: Final = {"--slots", "--beat"}
MADE: Final = {"1.root.json", "authority.pem", "certificate.pem", "device.toml", "key.pem"}
SIDES: Final = {
    "meters", "meters_read", "metered_wh", "stored_wh", "readings", "duplicates", "gaps",
}  # fmt: skip


@asynccontextmanager
async def demo(state: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the demo; whatever comes of it, nothing of it is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "openami", "demo", *OPTIONS, *options, "--state", str(state),
        stdout=PIPE, stderr=PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        for pid in (process.pid, *children(state)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await process.communicate()


def children(state: Path) -> list[int]:
    """Return the processes that were started with something in the demo's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and str(state).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def arguments(pid: int) -> list[str]:
    """Return the command line of a process."""
    return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode().split("\0")[:-1]


@pytest.mark.fums("DES-5", "UC1-readings", "UMS-1", "UMS-2")
@pytest.mark.timeout(900)
async def test_the_demo_upgrades_and_ends_with_equal_sides(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    async with demo(state, "--for", "15s") as process:
        output, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert children(state) == []
    result = json.loads(output.decode().splitlines()[-1])
    assert result.keys() >= SIDES
    assert result["meters"] == result["meters_read"] == 6
    assert result["metered_wh"] == result["stored_wh"] > 0
    assert result["duplicates"] == result["gaps"] == 0
    assert result["readings"] > 0
    assert "agree to the watt-hour" in said.decode()
    for uid, steps in {"DCU-1": (*STEPS, UPGRADED), "DCU-2": STEPS, "DCU-3": STEPS}.items():
        told = [line.split(maxsplit=1)[1] for line in said.decode().splitlines() if uid in line]
        assert [text.startswith(step) for text, step in zip(told, steps, strict=True)] == [
            True
        ] * len(steps)
    check_upgrades(result["upgrades"], said.decode())
    check_home(result["home"], said.decode())
    shipments = [json.loads(path.read_bytes()) for path in state.glob("*/**/shipment.json")]
    mains = [meter["grid"] for shipment in shipments for meter in shipment["meters"]]
    assert mains == ["220/60"] * 6  # Korea's, as their zone and their tariff


def check_home(came: dict[str, Any], said: str) -> None:
    """See that an event was carried to the home, obeyed there, and measured."""
    assert "paired by the eight digits of the meter's label" in said
    assert "the event stands in the meter, and on the display" in said
    assert came["least_w"] < 1500 < came["baseline_wh"] / came["length_s"] * 3600
    assert came["length_s"] == 7200
    assert came["days"] >= 5
    assert came["used_wh"] < came["baseline_wh"] / 2
    assert came["saved_wh"] == pytest.approx(came["baseline_wh"] - came["used_wh"])
    assert f"the home saved {came['saved_wh']:,.0f} Wh" in said


def check_upgrades(came: dict[str, Any], said: str) -> None:
    """See that what was told of upgrades is what came of them."""
    faulty, good, dcu = (came[name] for name in ("faulty", "good", "dcu"))
    first_street = {f"OAM{number:08}" for number in (1, 2, 3)}
    assert (faulty["state"], faulty["cause"]) == ("stopped", "campaign.errors")
    assert faulty["release_is"] == "withdrawn"
    assert faulty["reverted"] == dict.fromkeys(first_street, "upgrade.reverted")
    assert (faulty["devices"], faulty["asked"]) == (
        5,
        3,
    )  # street and home beside never heard of it
    assert (good["state"], good["devices"], good["confirmed"]) == ("finished", 3, 3)
    assert good["new_object"] == f"openami demo {good['version']}"
    assert good["runs"] == f"openami-{good['version']}" != faulty["runs"]
    assert faulty["runs"] == f"openami-{openami.__version__}"
    assert (dcu["state"], dcu["devices"]) == ("finished", 1)
    assert dcu["reports"] == dcu["version"] != openami.__version__
    assert len({faulty["campaign"], good["campaign"], dcu["campaign"]}) == 3
    assert "campaign  paused by itself: too many devices of a group have failed" in said
    for name, code in faulty["reverted"].items():
        assert f"{name} {code}" in said


@pytest.mark.timeout(600)
async def test_ctrl_c_ends_the_demo_in_good_order(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    async with demo(state, "--no-home") as process:
        assert process.stderr is not None
        while b"meters read" not in (line := await process.stderr.readline()):
            assert line, "the demo ended by itself"
        commands = [arguments(pid) for pid in children(state)]
        dcus = [command for command in commands if command[3:5] == ["dcu", "run"]]
        assert len(dcus) == 2
        for command in dcus:  # whom it serves it is not told
            assert {word for word in command if word.startswith("--")} == TOLD | BY_LAUNCHER
            factory = Path(command[command.index("--factory") + 1])
            assert {entry.name for entry in factory.iterdir()} == MADE
        # Itself, a head-end, two streets, two DCUs with their launchers and security modules, and
        # a meter that needs none.
        assert len(children(state)) == 11
        while b"canary activating" not in (line := await process.stderr.readline()):
            assert line, "the demo ended by itself"  # and meters restart when it is to end
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert children(state) == []
    result = json.loads(output.decode().splitlines()[-1])
    assert (result["agrees"], result["upgrades"], result["home"]) == (True, None, None)


@pytest.mark.parametrize(
    ("moment", "numbers"),
    [
        (b"street 1", (signal.SIGINT,)),  # nothing to compare yet
        (b"meters read", (signal.SIGINT, signal.SIGINT)),
        (b"meters read", (signal.SIGHUP,)),
    ],
)
async def test_it_ends_at_once_if_it_must_and_leaves_nothing(
    tmp_path: Path, moment: bytes, numbers: tuple[signal.Signals, ...]
) -> None:
    state = tmp_path / "demo"
    async with demo(state) as process:
        assert process.stderr is not None
        while moment not in (line := await process.stderr.readline()):
            assert line, "the demo ended by itself"
        assert len(children(state)) > 1
        process.send_signal(numbers[0])
        for number in numbers[1:]:
            while b"once more" not in (line := await process.stderr.readline()):
                assert line, "the demo ended at the first"
            process.send_signal(number)
        output, said = await process.communicate()
        assert process.returncode == 130, said.decode()
        assert (output, b"Traceback" in said) == (b"", False)
        assert children(state) == []


async def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with demo(tmp_path / "demo", "--port", port) as process:
            output, said = await process.communicate()
    assert (process.returncode, output) == (5, b"")
    assert said.startswith(b"error[transport.in-use]: the console can not listen on port")
    assert b"hint: --port 0" in said
    assert not (tmp_path / "demo").exists()
