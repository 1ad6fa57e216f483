"""Download descriptors as DCUs ask for them, and what they tell of their downloads."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.support.dcu_releases import offer, withdraw

from openami.firmware.packages import packages
from openami.fleet.devices import LifecycleState
from openami.omadm.download.descriptor import MEDIA_TYPE, Descriptor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import httpx

    from openami.firmware.packages import Package
    from openami.headend.server import Running

BASE = "/device/v1/descriptors"
IMAGE = random.Random(3).randbytes(20_000)


def released(running: Running, folder: Path, *versions: str) -> Sequence[Package]:
    """Offer releases to devices; return their packages as the repository names them."""
    for version in versions:
        offer(running, folder, IMAGE + version.encode(), version)
    now = running.services.wall.now()
    repository = running.services.firmware.publisher.present()
    assert repository is not None
    trusted = repository.verify(now=now)
    return sorted(packages(trusted.all_targets(now=now)).values(), key=lambda one: one.id)


async def test_a_descriptor_is_of_exactly_one_file(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    first, second = released(running, tmp_path, "1.4.0", "1.5.0")
    assert second.deltas
    for package in (first, second):
        for file in (*package.full.values(), *package.deltas.values(), package.manifest):
            answer = await dcu.get(f"{BASE}/{package.id}", params={"target": file.path})
            assert answer.headers["content-type"] == MEDIA_TYPE
            told = Descriptor.decode(answer.content)
            assert (told.size, told.types) == (file.size, ("application/octet-stream",))
            assert told.object_uri.startswith(str(dcu.base_url).rstrip("/"))
            got = await dcu.get(told.object_uri)
            assert file.check(got.content) == got.content
    plain = Descriptor.decode((await dcu.get(f"{BASE}/{second.id}")).content)
    assert plain.object_uri.endswith(second.full["image"].stored_path)


async def test_what_is_not_offered_has_none(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    first, second = released(running, tmp_path, "1.4.0", "1.5.0")
    other = first.full["image"].path
    for path in (
        f"{BASE}/{first.id.kind}/{first.id.name}/9.9.9",
        f"{BASE}/no-kind/x/1.0.0",
        f"{BASE}/{second.id}?target={other}",
        f"{BASE}/{second.id}?target={second.id}/full/b.img",
        f"{BASE}/{second.id}?target={second.id}/{'x' * 4000}",
    ):
        answer = await dcu.get(path)
        assert answer.status_code == 404, path
    withdraw(running, second.id)
    for path in (f"{BASE}/{second.id}", f"{BASE}/{second.id}?target={second.full['image'].path}"):
        answer = await dcu.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "firmware.withdrawn")
    assert (await dcu.get(f"{BASE}/{first.id}")).status_code == 200


async def test_how_a_download_ended_is_counted(running: Running, dcu: httpx.AsyncClient) -> None:
    path = f"{BASE}/dcu-firmware/openami/1.0.0/status"
    assert (await dcu.post(path, content=b"900 Success\r\n")).status_code == 200
    assert (await dcu.post(path, content=b"905")).status_code == 200
    assert (await dcu.post(path, content=b"no status")).status_code == 422
    assert (await dcu.post(path, content=b"900" + b" " * 600)).status_code == 413
    assert (await dcu.post(f"{BASE}/x/y/z/status", content=b"900")).status_code == 404
    figures = running.services.metrics.exposition().decode()
    for status in ("success", "attribute_mismatch"):
        line = f'openami_downloads_total{{kind="dcu-firmware",status="{status}"}} 1.0'
        assert line in figures


async def test_strangers_are_told_nothing(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    (package,) = released(running, tmp_path, "1.4.0")
    running.services.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why="stolen")
    assert (await dcu.get(f"{BASE}/{package.id}")).status_code == 403
    assert (await dcu.post(f"{BASE}/{package.id}/status", content=b"900")).status_code == 403
