"""Downloads over real HTTPS from a server that does everything wrong that one can."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.download_server import DownloadServer, Fault, downloads
from tests.support.small_disk import kinds, small_disk
from tests.transport.certificates import Authority, Pem

from openami.core.errors import LocalProtocolError, StoreError, StoreFullError
from openami.dcu.download import CHUNK, Downloader, Loaded, Means
from openami.dcu.flow import Stop
from openami.dcu.threads import WorkThread
from openami.firmware.target import TargetFile
from openami.omadm.download.ends import End, InstallStatus
from openami.omadm.download.machine import Policy
from openami.omadm.download.state import Download
from openami.store.partial import PartialFile
from openami.transport.http import HttpClient
from openami.transport.tls import client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CONTENT = random.Random(4).randbytes(400_000)
ROOT = Path(__file__).resolve().parents[2]


def target_of(content: bytes) -> TargetFile:
    digest = hashlib.sha256(content).hexdigest()
    return TargetFile("dcu/openami/2.0.0/full/agent", len(content), digest)


@dataclass
class Device:
    """A DCU as far as it fetches files."""

    folder: Path
    authority: Path
    pem: Pem | None
    thread: WorkThread
    options: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    floor: int = 0
    stop: Stop = field(default_factory=Stop)
    kept: list[int] = field(default_factory=list)
    at: Callable[[int], None] = lambda _octets: None
    loader: Downloader | None = None

    @property
    def place(self) -> PartialFile:
        return PartialFile(self.folder, floor=self.floor)

    def start(self, server: DownloadServer) -> Downloader:
        """Return what the device has after it was switched on."""
        pem = self.pem
        tls = client_context(
            self.authority,
            certificate=None if pem is None else pem.certificate,
            key=None if pem is None else pem.key,
        )
        origins = frozenset({server.origin})
        policy = Policy(origins, frozenset({"application/zip"}), first_s=0.002, most_s=0.01)
        self.stop = Stop()
        self.loader = Downloader(
            Means(
                self.place,
                self.thread,
                lambda origin: HttpClient(origin, tls=tls),
                replace(policy, **self.policy),
                chance=lambda: 0.5,
                **self.options,
            )
        )
        return self.loader

    async def load(self, server: DownloadServer, content: bytes = CONTENT) -> Loaded:
        return await self.start(server).load(
            server.url, target_of(content), self.stop, progress=self._progress
        )

    def _progress(self, octets: int, _size: int) -> None:
        self.kept.append(octets)
        self.at(octets)

    def state(self) -> Download:
        return Download.decode(self.place.state())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def pems(authority: Authority) -> tuple[Pem, Pem]:
    return authority.issue("server"), authority.issue("dcu", "urn:openami:dcu:d1")


@pytest.fixture
async def server(authority: Authority, pems: tuple[Pem, Pem]) -> AsyncIterator[DownloadServer]:
    async with downloads(CONTENT, pems[0], authority.certificate) as running:
        yield running


@pytest.fixture
async def device(
    tmp_path: Path, authority: Authority, pems: tuple[Pem, Pem]
) -> AsyncIterator[Device]:
    thread = WorkThread("disk")
    yield Device(tmp_path / "download", authority.certificate, pems[1], thread)
    thread.close()


def expect(device: Device, loaded: Loaded, content: bytes = CONTENT) -> None:
    assert loaded.end is End.OK
    assert loaded.path is not None
    assert loaded.path.read_bytes() == content


async def test_a_file_is_fetched_once_and_its_success_told(
    server: DownloadServer, device: Device
) -> None:
    expect(device, await device.load(server))
    expect(device, await device.load(server))
    assert len(server.objects) == 1
    assert server.objects[0].line == "GET /object?id=1 HTTP/1.1"
    assert server.told == [InstallStatus.SUCCESS.encode()]
    assert device.kept == [CHUNK, len(CONTENT)]


async def test_cuts_at_every_twentieth_bring_each_octet_once(
    server: DownloadServer, device: Device
) -> None:
    step = len(CONTENT) // 20
    server.faults.extend(Fault(most=step) for _ in range(19))
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [step * n for n in range(20)]
    assert server.sent - len(server._described()) == len(CONTENT)
    assert device.state().restarts == 0


@pytest.mark.parametrize("most", range(0, len(CONTENT), len(CONTENT) // 20))
async def test_a_cut_anywhere_repeats_nothing(
    server: DownloadServer, device: Device, most: int
) -> None:
    server.faults.append(Fault(most=most))
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, most]


async def test_a_server_that_ignores_ranges_sends_all_of_it_anew(
    server: DownloadServer, device: Device
) -> None:
    server.faults.extend([Fault(most=300_000), Fault(ignore_range=True)])
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, 300_000]
    assert device.state().restarts == 1


async def test_without_a_validator_nothing_is_joined(
    server: DownloadServer, device: Device
) -> None:
    server.etag = None
    server.faults.append(Fault(most=300_000))
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, 0]


@pytest.mark.parametrize("etag", ['"v2"', '"v1"'], ids=["seen", "unseen"])
async def test_a_file_that_changes_in_between_is_fetched_anew(
    server: DownloadServer, device: Device, etag: str
) -> None:
    """Where the server does not say so, the digest does."""

    def change() -> None:
        server.content, server.etag = CONTENT, etag

    server.content = CONTENT[::-1]
    server.faults.extend([Fault(most=300_000), Fault(before=change)])
    expect(device, await device.load(server))
    assert device.state().restarts == 1


async def test_a_file_that_became_shorter_is_fetched_anew(
    server: DownloadServer, device: Device
) -> None:
    def shrink() -> None:
        server.content = CONTENT[:1000]

    def grow() -> None:
        server.content = CONTENT

    server.faults.extend([Fault(most=300_000), Fault(before=shrink), Fault(before=grow)])
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, 300_000, 0]


@pytest.mark.parametrize(
    ("fault", "end", "status"),
    [
        (Fault(headers={"content-length": str(len(CONTENT) + 5)}), End.MISMATCH, 905),
        (Fault(headers={"content-length": str(len(CONTENT) - 5)}), End.MISMATCH, 905),
        (Fault(headers={"content-type": "text/html"}), End.MISMATCH, 905),
        (Fault(tail=b"x" * 16_384), End.MISMATCH, 905),
        (Fault(headers={"content-encoding": "gzip"}), End.SERVER, 954),
        (Fault(status=404), End.MISSING, 954),
        (Fault(status=401), End.FORBIDDEN, 954),
        (Fault(status=302, headers={"location": "https://elsewhere/"}), End.SERVER, 954),
    ],
    ids=["too long", "too short", "a page", "endless", "packed", "404", "401", "302"],
)
async def test_what_ends_it(
    server: DownloadServer, device: Device, fault: Fault, end: End, status: int
) -> None:
    server.faults.append(fault)
    assert await device.load(server) == Loaded(end, None)
    assert [InstallStatus.decode(body) for body in server.told] == [status]
    assert len(server.objects) == 1
    assert not device.place.path.exists()


async def test_a_file_of_the_right_size_that_is_another_is_refused(
    server: DownloadServer, device: Device
) -> None:
    server.content = CONTENT[::-1]
    assert (await device.load(server)).end is End.CORRUPT
    assert server.told == [InstallStatus.ATTRIBUTE_MISMATCH.encode()]


@pytest.mark.parametrize("chunked", [False, True])
async def test_less_than_was_stated_is_a_cut(
    server: DownloadServer, device: Device, chunked: bool
) -> None:
    server.faults.append(Fault(most=123_456, chunked=chunked))
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, 123_456]


async def test_a_busy_server_is_asked_again(server: DownloadServer, device: Device) -> None:
    busy = Fault(status=503, headers={"retry-after": "0"})
    server.dd_faults.append(busy)
    server.faults.extend([Fault(most=300_000), busy, busy])
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, 300_000, 300_000, 300_000]


async def test_a_server_that_stays_busy_is_given_up(server: DownloadServer, device: Device) -> None:
    device.policy["tries"] = 3
    server.faults.extend([Fault(status=503)] * 3)
    assert (await device.load(server)).end is End.UNAVAILABLE
    assert server.told == [InstallStatus.LOSS_OF_SERVICE.encode()]


@pytest.mark.parametrize("where", ["descriptor", "head", "body"])
async def test_a_server_that_stays_silent_is_hung_up_on(
    server: DownloadServer, device: Device, where: str
) -> None:
    device.options["silence_s"] = 0.3
    if where == "descriptor":
        server.dd_faults.append(Fault(crawl=True))
    else:
        server.faults.append(Fault(crawl=True) if where == "head" else Fault(most=9_999, hold=True))
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == {
        "descriptor": [0], "head": [0, 0], "body": [0, 9_999]
    }[where]  # fmt: skip


async def test_a_server_that_trickles_is_hung_up_on(server: DownloadServer, device: Device) -> None:
    ticks = count(step=40)
    device.options["now"] = lambda: float(next(ticks))
    server.faults.append(Fault(trickle=True))
    expect(device, await device.load(server))
    assert len(server.objects) == 2
    assert 0 < server.objects[1].first < 1024


async def test_no_more_comes_than_the_rate_allows(server: DownloadServer, device: Device) -> None:
    device.options["rate"] = len(CONTENT) / 1.5
    began = asyncio.get_running_loop().time()
    expect(device, await device.load(server))
    assert asyncio.get_running_loop().time() - began > 0.4  # the first second's worth is at once


async def test_the_device_ends_and_goes_on_after_its_next_start(
    server: DownloadServer, device: Device
) -> None:
    """What nobody said was durable is cut off; what was is not fetched again."""
    device.at = lambda _octets: device.stop.set()
    server.faults.append(Fault(most=300_000, hold=True))
    assert await device.load(server) == Loaded(None, None)
    assert device.kept == [CHUNK]
    with device.place.path.open("ab") as file:
        file.write(b"torn")
    device.at = lambda _octets: None
    expect(device, await device.load(server))
    assert [one.first for one in server.objects] == [0, CHUNK]
    assert len([one for one in server.asked if one.line.startswith("GET /dd")]) == 1


@pytest.mark.parametrize("damage", ["octets", "state", "file"])
async def test_what_flash_has_damaged_is_fetched_anew(
    server: DownloadServer, device: Device, damage: str
) -> None:
    device.at = lambda _octets: device.stop.set()
    server.faults.append(Fault(most=300_000, hold=True))
    await device.load(server)
    device.at = lambda _octets: None
    if damage == "octets":
        device.place.path.write_bytes(b"\0" * CHUNK)
    elif damage == "state":
        (device.folder / "state").write_bytes(b"x")
    else:
        device.place.path.unlink()
    expect(device, await device.load(server))


async def test_another_file_takes_the_place_of_one(server: DownloadServer, device: Device) -> None:
    expect(device, await device.load(server))
    server.content, server.etag = b"another", '"v9"'
    expect(device, await device.load(server, b"another"), b"another")


async def test_one_that_could_not_be_had_is_tried_anew(
    server: DownloadServer, device: Device
) -> None:
    server.faults.append(Fault(status=404))
    assert (await device.load(server)).end is End.MISSING
    expect(device, await device.load(server))


async def test_a_file_that_is_gone_is_fetched_again(server: DownloadServer, device: Device) -> None:
    expect(device, await device.load(server))
    device.place.path.unlink()
    expect(device, await device.load(server))


async def test_cancelled(server: DownloadServer, device: Device) -> None:
    server.faults.append(Fault(most=300_000, hold=True))
    loader = device.start(server)
    task = asyncio.ensure_future(
        loader.load(server.url, target_of(CONTENT), device.stop, progress=device._progress)
    )
    await server.held.wait()
    was_busy = loader.busy
    with pytest.raises(LocalProtocolError):
        await loader.load(server.url, target_of(CONTENT), device.stop)
    loader.cancel()
    loader.cancel(End.ABORTED)  # it is over already
    assert await task == Loaded(End.CANCELLED, None)
    assert server.told == [InstallStatus.USER_CANCELLED.encode()]
    assert not device.place.path.exists()
    assert (was_busy, loader.busy) == (True, False)
    loader.cancel()  # there is none


async def test_a_status_is_posted_until_it_is_taken(server: DownloadServer, device: Device) -> None:
    server.told_faults.extend([Fault(status=503), Fault(crawl=True)])
    device.options["silence_s"] = 0.3
    expect(device, await device.load(server))
    assert server.told == [InstallStatus.SUCCESS.encode()] * 3
    assert device.state().told


async def test_a_status_that_nobody_took_is_told_after_the_next_start(
    server: DownloadServer, device: Device
) -> None:
    device.policy["first_s"] = device.policy["most_s"] = 600.0
    server.told_faults.append(Fault(status=503))
    task = asyncio.ensure_future(device.load(server))
    while not (device.folder / "state").exists() or not device.state().failures:
        await asyncio.sleep(0.01)
    device.stop.set()
    expect(device, await task)
    expect(device, await device.load(server))
    assert server.told == [InstallStatus.SUCCESS.encode()] * 2


@pytest.mark.parametrize(
    ("change", "end", "told"),
    [
        ({"types": ("text/html",)}, End.BAD_TYPE, 953),
        ({"object_uri": "https://127.0.0.1:1/object"}, End.BAD_URL, 954),
        ({"size": 5}, End.MISMATCH, 905),
        ({"version": "1.9", "install_notify_uri": "https://127.0.0.1:1/"}, End.OK, None),
    ],
)
async def test_what_descriptors_say(
    server: DownloadServer, device: Device, change: dict[str, Any], end: End, told: int | None
) -> None:
    server.descriptor = lambda one: replace(one, **change)
    assert (await device.load(server)).end is end
    assert [InstallStatus.decode(body) for body in server.told] == ([told] if told else [])


async def test_a_device_without_a_certificate_gets_nothing(
    server: DownloadServer, device: Device
) -> None:
    device.pem, device.policy["tries"] = None, 2
    assert (await device.load(server)).end is End.NETWORK
    assert not server.asked


@pytest.mark.parametrize("kind", kinds())
async def test_a_disk_that_is_full_ends_it_and_gets_its_room_back(
    server: DownloadServer, device: Device, tmp_path: Path, kind: str
) -> None:
    """Somebody else takes the room in between; the floor stays free all the same."""
    filler = tmp_path / "small" / "filler"

    def fill(_octets: int) -> None:
        filler.write_bytes(bytes(300_000))

    with small_disk(kind, tmp_path / "small", {"tmpfs": 1_500_000, "limit": 300_000}[kind]) as disk:
        device.folder = disk.path / "download"
        if kind == "tmpfs":
            device.floor = 800_000
            device.at = fill
        assert await device.load(server) == Loaded(End.NO_ROOM, None)
        assert device.kept == [CHUNK]
        assert not device.place.path.exists()
        free = os.statvfs(disk.path)
        assert free.f_bavail * free.f_frsize >= device.floor
        assert server.told == [InstallStatus.INSUFFICIENT_MEMORY.encode()]
        disk.grow()
        filler.unlink(missing_ok=True)
        device.at = lambda _octets: None
        expect(device, await device.load(server))


async def test_a_disk_without_room_asks_for_nothing(server: DownloadServer, device: Device) -> None:
    device.floor = 2**62
    assert (await device.load(server)).end is End.NO_ROOM
    assert not server.objects


class FullDisk(PartialFile):
    """Has no room for a word."""

    def note(self, state: bytes) -> None:
        raise StoreFullError(f"no room for {len(state)} octets")


async def test_a_disk_without_room_for_a_word_is_full(
    server: DownloadServer, device: Device
) -> None:
    loader = device.start(server)
    loader._means = replace(loader._means, place=FullDisk(device.folder, floor=0))
    loaded = await loader.load(server.url, target_of(CONTENT), device.stop)
    assert loaded == Loaded(End.NO_ROOM, None)
    assert not loader.busy
    assert not server.asked


async def test_a_disk_that_does_not_work_is_said(server: DownloadServer, device: Device) -> None:
    device.folder.write_bytes(b"")  # is no folder
    with pytest.raises(StoreError):
        await device.load(server)
    assert device.loader is not None
    assert not device.loader.busy


class BadDisk(PartialFile):
    """Takes words and no octets."""

    def keep(self, octets: bytes | bytearray) -> None:
        raise StoreError(f"{len(octets)} octets could not be written")


async def test_a_disk_that_takes_no_octets_ends_it(server: DownloadServer, device: Device) -> None:
    loader = device.start(server)
    loader._means = replace(loader._means, place=BadDisk(device.folder, floor=0))
    loaded = await loader.load(server.url, target_of(CONTENT), device.stop)
    assert loaded == Loaded(End.ABORTED, None)
    assert server.told == [InstallStatus.DEVICE_ABORTED.encode()]
    assert len(server.objects) == 1


async def test_a_disk_that_fails_for_good_is_said(server: DownloadServer, device: Device) -> None:
    def fail(_octets: int) -> None:
        device.place.path.unlink()
        device.place.path.mkdir()

    device.at = fail
    with pytest.raises(StoreError):
        await device.load(server)


async def test_a_kill_in_the_middle_repeats_at_most_a_chunk(
    server: DownloadServer, device: Device
) -> None:
    """The server has sent three chunks and a half when the device dies without warning."""
    content = random.Random(5).randbytes(6 * CHUNK)
    sent = 3 * CHUNK + CHUNK // 2
    server.content = content
    server.faults.append(Fault(most=sent, hold=True))
    assert device.pem is not None
    target = target_of(content)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.download_child",
        str(device.folder), server.url, str(target.size), target.sha256,
        str(device.authority), str(device.pem.certificate), str(device.pem.key),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout is not None
    durable = [await child.stdout.readline() for _ in range(3)]
    child.kill()
    assert await child.wait() == -9
    assert durable == [f"kept {n * CHUNK}\n".encode() for n in (1, 2, 3)]
    expect(device, await device.load(server, content), content)
    assert [one.first for one in server.objects] == [0, 3 * CHUNK]
    assert sent - server.objects[1].first < CHUNK


class _PowerCutError(Exception):
    """The power is gone."""


class FragileFile(PartialFile):
    """Loses its power at one of the changes that it makes; half of what is appended is there."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder, floor=0)
        self.left = after

    def note(self, state: bytes) -> None:
        self._change()
        super().note(state)

    def cut(self, octets: int) -> None:
        self._change()
        super().cut(octets)

    def drop(self) -> None:
        self._change()
        super().drop()

    def keep(self, octets: bytes | bytearray) -> None:
        if self.left == 0:
            super().keep(octets[: len(octets) // 2])
        self._change()
        super().keep(octets)

    def _change(self) -> None:
        if self.left == 0:
            raise _PowerCutError
        self.left -= 1


async def test_power_cut_at_every_change_of_the_disk(
    server: DownloadServer, device: Device, tmp_path: Path
) -> None:
    """Nothing that was durable is fetched again, and the file is whole in the end."""
    cuts = 0
    for after in count():
        device.folder = tmp_path / f"cut-{after}"
        server.asked.clear()
        device.kept.clear()
        loader = device.start(server)
        fragile = FragileFile(device.folder, after)
        loader._means = replace(loader._means, place=fragile)
        try:
            await loader.load(
                server.url, target_of(CONTENT), device.stop, progress=device._progress
            )
        except _PowerCutError:
            cuts += 1
        durable = max(device.kept, default=0)
        requests = len(server.objects)
        expect(device, await device.load(server))
        assert all(one.first >= durable for one in server.objects[requests:])
        if fragile.left:
            break
    assert cuts > 8
