"""A head-end with a release to carry, and DCUs with meters that it fits."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.support.headend import dcu_client, meter_status, report
from tests.support.releases import approved, trust_vendor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

MODEL = "M"  # what the releases of ``tests.support.releases`` fit
OLD, SAME = "1.3.0", "1.4.0"  # what most meters run, and what they are to run


def offer(running: Running, folder: Path, version: str = SAME, **others: Any) -> int:
    """Put a release on the shelf, let it out, and return its number."""
    firmware = running.services.firmware
    if not firmware.keys.list():
        trust_vendor(firmware)
    (folder / version).mkdir()
    number = approved(firmware, folder / version, version, **others).number
    firmware.shelf.release(number, who="anna")
    return number


@asynccontextmanager
async def street(running: Running, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Let D1 tell of M01 to M10, of which M10 runs the new version already; give its client."""
    async with dcu_client(running, folder, "D1") as client:
        meters = [
            meter_status(f"M{n:02}", model=MODEL, firmware=SAME if n == 10 else OLD)
            for n in range(1, 11)
        ]
        answer = await client.post("/device/v1/report", json=report(*meters))
        assert answer.status_code == 200, answer.text
        yield client


async def tell(client: httpx.AsyncClient, campaign: str, number: int, **said: Any) -> Any:
    """Have a DCU say how far its meters are; return the head-end's answer."""
    told = {
        "campaign": campaign,
        "number": number,
        "codes": {},
        "failed": None,
        "marks": [],
        **said,
    }
    answer = await client.post("/device/v1/upgrade", json={"epoch": 0, "reports": [told]})
    assert answer.status_code == 200, answer.text
    return answer.json()
