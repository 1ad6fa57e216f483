"""Packages that a DCU trusts, from a real head-end that is sometimes wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_releases import offer
from tests.support.dcu_updates import equip
from tests.support.headend import running_headend

from openami.core.errors import DecodeError, NotFoundError, SecurityError, TransportError
from openami.dcu.flow import Stop
from openami.dcu.repository import (
    ROOT_FILE,
    Access,
    Repository,
    address,
    epoch_of,
    package_of,
    rate_of,
)
from openami.dcu.threads import WorkThread
from openami.firmware import delta
from openami.fleet.devices import LifecycleState
from openami.omadm.download.ends import End
from openami.store.partial import PartialFile
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.dcu_managed import Made

    from openami.dcu.download import Loaded
    from openami.firmware.packages import PackageId
    from openami.headend.server import Running

NOISE = random.Random(8).randbytes(50_000)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_headend(tmp_path) as running:
        yield running


@pytest.fixture
def made(running: Running, tmp_path: Path) -> Made:
    return equip(running, tmp_path)


@pytest.fixture
def access(running: Running, made: Made) -> Iterator[Access]:
    thread = WorkThread("packages")
    yield Access(
        root=made.state / ROOT_FILE,
        folder=made.state / "packages",
        origin=lambda: running.device_url,
        connect=made.identity.operational_client,
        wall=SystemClock(),
        thread=thread,
        chance=lambda: 0.5,
        first_s=0.01,
        tries=2,
    )
    thread.close()


async def load(access: Access, package: PackageId, place: PartialFile, **options: Any) -> Loaded:
    repository = Repository(access)
    found, manifest = await repository.find(package)
    return await repository.load(found, manifest.images[0], place, Stop(), **options)


async def test_a_delta_is_taken_where_it_fits(
    running: Running, access: Access, tmp_path: Path
) -> None:
    offer(running, tmp_path, NOISE, "1.0.0")
    package = offer(running, tmp_path, NOISE + b"more", "1.1.0")
    installed = tmp_path / "installed"
    installed.write_bytes(NOISE)
    asked: list[str] = []
    shelf: Any = running.services.firmware.shelf
    real = shelf.target

    def target(path: str) -> Any:
        asked.append(path)
        return real(path)

    shelf.target = target
    place = PartialFile(tmp_path / "place", floor=0)
    for _ in range(2):  # what is here is not fetched again
        loaded = await load(access, package, place, installed=installed)
        assert loaded.end is End.OK
        assert place.path.read_bytes() == NOISE + b"more"
    images = [path for path in asked if not path.endswith("manifest.json")]
    assert ["/delta/" in path for path in images] == [True]
    assert not list((tmp_path / "place" / "delta").glob("object"))


async def test_where_it_does_not_fit_all_of_it_is_fetched(
    running: Running, access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(running, tmp_path, NOISE, "1.0.0")
    package = offer(running, tmp_path, NOISE + b"more", "1.1.0")
    installed = tmp_path / "installed"
    installed.write_bytes(NOISE)

    def refuse(*_: Any, **__: Any) -> bytes:
        raise DecodeError("no delta", code="firmware.delta.malformed")

    monkeypatch.setattr(delta, "apply", refuse)
    place = PartialFile(tmp_path / "place", floor=0)
    assert (await load(access, package, place, installed=installed)).end is End.OK
    assert place.path.read_bytes() == NOISE + b"more"
    other = PartialFile(tmp_path / "other", floor=0)
    assert (await load(access, package, other, installed=tmp_path / "none")).end is End.OK


async def test_what_was_seen_holds_over_a_restart(
    running: Running, access: Access, tmp_path: Path
) -> None:
    package = offer(running, tmp_path, NOISE)
    await Repository(access).find(package)
    (kept,) = access.folder.glob("trusted-*")
    publisher: Any = running.services.firmware.publisher
    real = publisher.document
    old = publisher.present().files()
    offer(running, tmp_path, NOISE, "2.0.0")
    await Repository(access).find(package)
    publisher.document = lambda name: (
        old["timestamp.json"] if name == "timestamp.json" else real(name)
    )
    with pytest.raises(SecurityError) as caught:
        await Repository(access).find(package)
    assert caught.value.code == "firmware.trust.rollback"
    # A disk that lost it is begun anew from the factory's root.
    kept.write_bytes(b"damaged")
    await Repository(access).find(package)


async def test_what_the_server_gets_wrong_is_told_apart(
    running: Running, access: Access, tmp_path: Path
) -> None:
    package = offer(running, tmp_path, NOISE)
    publisher: Any = running.services.firmware.publisher
    real = publisher.document

    async def code(document: Any) -> str:
        publisher.document = document
        try:
            with pytest.raises((SecurityError, TransportError, DecodeError)) as caught:
                await Repository(access).find(package)
        finally:
            publisher.document = real
        return caught.value.code

    def away(name: str) -> bytes:
        raise TransportError("busy", code="store.busy") if name else NotFoundError("")

    def gone(name: str) -> bytes:
        if name == "timestamp.json":
            raise NotFoundError("gone")
        return bytes(real(name))

    assert await code(away) == "dcu.package.away"
    assert await code(gone) == "firmware.trust.absent"
    assert await code(lambda _name: b"x" * 100_000) == "firmware.trust.endless"
    assert await code(lambda _name: b"x") == "firmware.trust.malformed"
    nowhere = replace(access, origin=lambda: "")
    with pytest.raises(TransportError) as caught:
        await Repository(nowhere).find(package)
    assert caught.value.code == "dcu.package.away"
    await Repository(access).find(package)


async def test_who_is_not_let_in_is_told_so(
    running: Running, access: Access, tmp_path: Path
) -> None:
    package = offer(running, tmp_path, NOISE)
    running.services.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why="stolen")
    with pytest.raises(SecurityError) as caught:
        await Repository(access).find(package)
    assert caught.value.code == "dcu.package.forbidden"


def test_an_address_names_a_package_of_the_own_head_end() -> None:
    origin = "https://headend:8444"
    good = f"{origin}/device/v1/descriptors/dcu-firmware/openami-dcu/1.4.0"
    package = package_of(good, origin)
    assert str(package) == "dcu-firmware/openami-dcu/1.4.0"
    assert address(origin, package) == good
    assert package_of(good.replace(":8444", ":443"), "https://headend") == package
    for wrong in (
        good.replace("8444", "8445"),
        good.replace("https", "http"),
        good.replace("headend", "user@headend"),
        f"{origin}/x",
        f"{origin}/dcu-firmware/../1.4.0",
        "",
    ):
        with pytest.raises(DecodeError) as caught:
            package_of(wrong, origin)
        assert caught.value.code == "dcu.package.url"
    with pytest.raises(DecodeError):
        package_of(good, "")
    assert package_of(f"{good}?rate=20000", origin) == package


@pytest.mark.parametrize(
    ("query", "rate"), [("", None), ("?target=x", None), ("?rate=20000", 20_000), ("?rate=1", 1)]
)
def test_an_address_says_how_fast_the_package_may_come(query: str, rate: int | None) -> None:
    assert rate_of(f"https://headend/a/b/c{query}") == rate


@pytest.mark.parametrize(
    ("query", "epoch"),
    [
        ("", None),
        ("?epoch=0", 0),
        ("?epoch=12&rate=20000", 12),
        ("?rate=20000&epoch=3#x", 3),
        ("?epoch=", None),
        ("?epoch=-1", None),
        ("?epoch=1.5", None),
        ("?epoch=\u0663", None),
        (f"?epoch={10**18}", None),
        ("?an-epoch=3", None),
    ],
)
def test_an_address_says_of_which_epoch_it_is(query: str, epoch: int | None) -> None:
    assert epoch_of(f"https://headend/a/b/c{query}") == epoch
    assert epoch_of(f"http://[{query}") == epoch  # whatever else it is


@pytest.mark.parametrize("rate", ["", "0", "-1", "1.5", "٣", "1" * 13, "1&rate=2"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(DecodeError) as caught:
        rate_of(f"https://headend/a/b/c?rate={rate}")
    assert caught.value.code == "dcu.package.url"
