"""A head-end with a release to carry and a DCU that does as it is told: a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser.children import child, say
from tests.support.headend import PASSWORD, START, running_headend
from tests.support.planned import offer, street, tell
from tests.support.releases import handed_over

from openami.firmware import manifest_codec
from openami.firmware.manifest import Problem
from openami.fleet.operators import Role

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import httpx

ROUND_S = 0.3
BAD = "M03"  # refuses what it is sent


def _lay_out(folder: Path) -> None:
    """Put a release's files where a vendor would have them."""
    manifest, files = handed_over("1.5.0", counter=6, problems=(Problem("PR-31", "Dim."),))
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest_codec.encode(manifest))
    for name, octets in files.items():
        (folder / name).write_bytes(octets)


async def _work(dcu: httpx.AsyncClient) -> None:
    """Verify on all meters, wait for the word, and confirm; one meter refuses."""
    number = 0
    while True:
        answer = await dcu.post("/device/v1/upgrade", json={"epoch": 0, "reports": []})
        for order in answer.json()["orders"]:
            number += 1
            reached = "confirmed" if order["activate"] else "verified"
            marks = [_mark(meter, reached) for meter in order["meters"]]
            bad = sum(meter == BAD for meter in order["meters"])
            counts = {reached: len(marks) - bad, "failed": bad}
            codes = {"upgrade.verification": 1} if bad else {}
            await tell(dcu, order["campaign"], number, counts=counts, codes=codes, marks=marks)
        await asyncio.sleep(ROUND_S)


def _mark(meter: str, reached: str) -> dict[str, Any]:
    mark = {"meter": meter, "at": START + 86_400.0, "attempt": 1, "reason": ""}
    if meter == BAD:
        return {**mark, "state": "failed", "code": "upgrade.verification"}
    return {**mark, "state": reached, "code": None}


async def _serve(folder: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_headend(folder) as running:
        for number, version in enumerate(("1.3.5", "1.4.0"), 4):
            offer(running, folder, version, counter=number)
        _lay_out(folder / "vendor")
        for name, role in (("boris", Role.OPERATOR), ("looker", Role.VIEWER)):
            running.services.operators.add(name, PASSWORD, role, who="test")
        async with street(running, folder) as dcu:
            work = asyncio.create_task(_work(dcu))
            say(running.url)
            ended = asyncio.create_task(stop.wait())
            await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
            work.cancel()


def campaigning(folder: Path) -> AbstractContextManager[str]:
    """Run it; return the address of its console. A vendor's files are in ``folder/vendor``."""
    return child("campaigning", folder)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
