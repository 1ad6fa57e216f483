"""The demo's home measures as a meter does: by the samples of its converter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from openami.cli.demo.home import Home
from openami.meter.making import ensure_identity

if TYPE_CHECKING:
    from pathlib import Path

    from openami.cli.demo.chain import Chain


class Processes:
    """Takes note of what is started, and starts nothing."""

    def __init__(self) -> None:
        self.started: dict[str, tuple[str, ...]] = {}

    async def start(self, name: str, *arguments: str) -> None:
        self.started[name] = arguments

    async def ready(self, name: str) -> dict[str, Any]:
        return {"url": "http://127.0.0.1:1/"} if name == "display" else {"serial": "OAM00000007"}


async def test_the_homes_meter_has_a_converter(tmp_path: Path) -> None:
    ensure_identity(tmp_path / "meter", number=7)
    processes = Processes()
    chain = cast("Chain", SimpleNamespace(processes=processes, say=lambda _: None))
    home = Home(chain, tmp_path, 7)
    found = await home.start("Asia/Seoul", "system", since=1_774_742_400.0, maker=tmp_path / "key")
    assert found["serial"] == home.serial == "OAM00000007"
    line = processes.started["home"]
    assert line[:2] == ("meter", "run")
    assert line[line.index("--adc") + 1] == "sigma-delta"
    assert line[line.index("--source") + 1].startswith(
        f"file:{tmp_path / 'past.csv'} then command:"
    )
