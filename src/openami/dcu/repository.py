"""The packages that a DCU trusts: its head-end's repository, verified in full (TUF, clause 5).

The first root came with the device from the factory; what was verified since is on the disk before
anything is done with it, and is never let go: a restart, or a server, does not roll it back. Every
``find`` asks what the repository is now, so that a release that was withdrawn is not found.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlsplit

import structlog
from tuf.api.metadata import Root

from openami.core.errors import (
    DecodeError,
    NotFoundError,
    RemoteProtocolError,
    SecurityError,
    TransportError,
)
from openami.dcu.download import Downloader, Loaded, Means
from openami.dcu.headend import PREFIX
from openami.firmware import delta, packages
from openami.firmware.metadata import MAX_SIZE
from openami.firmware.refresh import Refresh
from openami.firmware.trust import Trusted
from openami.omadm.download.descriptor import origin_of
from openami.omadm.download.ends import End
from openami.omadm.download.machine import Policy
from openami.store.whole import read_whole, replace_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.dcu.threads import WorkThread
    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.packages import Package, PackageId
    from openami.firmware.target import TargetFile
    from openami.store.partial import PartialFile
    from openami.transport.http import HttpClient

ROOT_FILE: Final = "1.root.json"
"""The first root, in the factory's folder."""
TYPES: Final = frozenset({"application/octet-stream"})
"""Files of packages are octets, whatever is in them; what they are says the manifest."""

_TRUSTED_MOST: Final = sum(MAX_SIZE.values()) + 64
_RATE: Final = re.compile(r"[1-9][0-9]{0,11}")
_EPOCH: Final = re.compile(r"[?&]epoch=([0-9]{1,18})(?=[&#]|$)", re.ASCII)
_ANSWER_S: Final = 60.0  # as long as a download waits for the head of an answer
_OVER: Final = frozenset({404, 410})
_KEPT_OUT: Final = frozenset({401, 403})
_PIECE: Final = 256 * 1024
_UNPATCHED: Final = frozenset({End.CORRUPT, End.MISMATCH, End.MISSING})

log = structlog.get_logger("dcu.packages")


@dataclass(frozen=True, slots=True)
class Access:
    """How a DCU comes to its packages.

    Attributes:
        root: file of the first root, from the factory.
        folder: of what has been verified.
        origin: returns the head-end's, as in ``https://headend:8443``; empty: there is none yet.
        connect: returns a client of an origin, with the device's identity.
        wall: the true time, by which documents are good, as certificates are.
        thread: where the disk and the digests are waited for.
        chance: returns a number from 0 to 1.
        first_s, most_s, tries: of downloads, as in ``Policy``.
    """

    root: Path
    folder: Path
    origin: Callable[[], str]
    connect: Callable[[str], HttpClient]
    wall: Clock
    thread: WorkThread
    chance: Callable[[], float]
    first_s: float = 5.0
    most_s: float = 1800.0
    tries: int = 16

    @property
    def policy(self) -> Policy:
        """What downloads accept now: files of the head-end's own."""
        origin = origin_of(f"{self.origin()}/")
        origins = frozenset() if origin is None else frozenset({origin})
        return Policy(origins, TYPES, self.first_s, self.most_s, self.tries)


class Repository:
    """The trusted repository; see ``openami.dcu.ports.Packages``."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._refreshing = asyncio.Lock()

    async def find(self, package: PackageId) -> tuple[Package, Manifest]:
        """See ``Packages.find``."""
        access = self._access
        async with self._refreshing, access.connect(self._origin()) as client:
            trusted = await self._refreshed(client)
            known = await access.thread.do(_packages, trusted, access.wall.now())
            found = known.get(package)
            if found is None:
                raise _absent(package)
            path = f"targets/{quote(found.manifest.stored_path)}"
            document = await self._get(client, path, found.manifest.size)
        if document is None:
            raise _absent(package)
        return found, await access.thread.do(found.read_manifest, document)

    async def load(
        self,
        package: Package,
        image: Attachment,
        place: PartialFile,
        stop: Stop,
        *,
        rate: int | None = None,
        installed: Path | None = None,
    ) -> Loaded:
        """See ``Packages.load``."""
        do = self._access.thread.do
        has = None if installed is None else await do(_digest, installed)
        file = package.least(image, has)
        if installed is not None and file.path != package.full[image.name].path:
            if await do(_holds, place, image):
                return Loaded(End.OK, place.path)
            patch = place.beside("delta")
            loaded = await self._download(package, file, patch, stop, rate)
            if loaded.end is not End.OK and loaded.end not in _UNPATCHED:
                return Loaded(loaded.end, None)
            if loaded.end is End.OK and await do(_apply, patch, place, file, image, installed):
                return Loaded(End.OK, place.path)
            file = package.full[image.name]
        return await self._download(package, file, place, stop, rate)

    async def _download(
        self, package: Package, file: TargetFile, place: PartialFile, stop: Stop, rate: int | None
    ) -> Loaded:
        access = self._access
        means = Means(place, access.thread, access.connect, access.policy, access.chance, rate=rate)
        url = f"{address(self._origin(), package.id)}?target={quote(file.path)}"
        return await Downloader(means).load(url, file, stop)

    async def _refreshed(self, client: HttpClient) -> Trusted:
        """Return what is trusted once everything is seen that the repository has."""
        do = self._access.thread.do
        trust = await do(self._recall)
        while (wanted := trust.refresh.wanted()) is not None:
            document = await self._get(client, wanted.name, wanted.limit)
            await do(trust.take, document)
        return trust.refresh.trusted

    def _recall(self) -> _Trust:
        """Begin a refresh from what has been verified so far; at first, from the factory's root."""
        first = read_whole(self._access.root, most=MAX_SIZE[Root.type] + 1)
        if not first:
            message = f"the factory gave this device no {ROOT_FILE}"
            raise SecurityError(message, code="firmware.trust.root")
        # A device that gets another root from its maker begins anew with it.
        name = f"trusted-{hashlib.sha256(first).hexdigest()[:16]}"
        kept = self._access.folder / name
        return _Trust(kept, Refresh(_trusted(first, kept), now=self._access.wall.now()))

    async def _get(self, client: HttpClient, name: str, limit: int) -> bytes | None:
        """Return a file of the repository; None: it does not have it."""
        path = f"{PREFIX}/repository/{name}"
        try:
            answer = await client.get(path, timeout_s=_ANSWER_S, max_octets=limit)
        except RemoteProtocolError as error:
            if error.code != "http.too-large":
                raise
            message = f"{name} has more than {limit} octets"
            raise SecurityError(message, code="firmware.trust.endless") from error
        if answer.ok:
            return answer.body
        if answer.status in _OVER:
            return None
        if answer.status in _KEPT_OUT:
            raise SecurityError(f"{path}: HTTP {answer.status}", code="dcu.package.forbidden")
        if answer.status == 429 or answer.status >= 500:
            raise TransportError(f"{path}: HTTP {answer.status}", code="dcu.package.away")
        raise RemoteProtocolError(f"{path}: HTTP {answer.status}", code="http")

    def _origin(self) -> str:
        origin = self._access.origin()
        if not origin:
            raise TransportError("this device has no head-end", code="dcu.package.away")
        return origin


@dataclass(slots=True)
class _Trust:
    """A refresh whose every step is in the file ``kept`` before the next."""

    kept: Path
    refresh: Refresh

    def take(self, document: bytes | None) -> None:
        """Take what was wanted; None: the repository does not have it."""
        before = self.refresh.trusted
        if document is None:
            self.refresh.absent()
        else:
            self.refresh.receive(document)
        if self.refresh.trusted is not before:
            replace_whole(self.kept, self.refresh.trusted.encode())


def _trusted(first: bytes, kept: Path) -> Trusted:
    octets = read_whole(kept, most=_TRUSTED_MOST)
    if not octets:
        return Trusted.start(first)
    try:
        return Trusted.restore(octets)
    except (DecodeError, SecurityError) as error:
        # A disk that lost it is all that does this; who trusted nothing more could not be mended.
        log.error("what was trusted is lost", code=error.code, error=error.message)  # noqa: TRY400 -- not a bug of ours
        return Trusted.start(first)


def address(origin: str, package: PackageId) -> str:
    """Return where the head-end describes the files of a package: its PkgURL."""
    return f"{origin}{PREFIX}/descriptors/{package}"


def package_of(url: str, origin: str) -> PackageId:
    """Return the package of a PkgURL, whose last three segments name it.

    Args:
        url: what a server set.
        origin: the head-end's, as in ``https://headend:8443``; no other has the packages.

    Raises:
        DecodeError: it names no package, or another server (``dcu.package.url``).
    """
    home = origin_of(f"{origin}/")
    if home is None or origin_of(url) != home:
        raise DecodeError("not an address of this device's head-end", code="dcu.package.url")
    parts = urlsplit(url).path.split("/")
    try:
        return packages.Place.parse(f"{'/'.join(parts[-3:])}/manifest.json").package
    except DecodeError:
        raise DecodeError("the address names no package", code="dcu.package.url") from None


def rate_of(url: str) -> int | None:
    """Return how many octets a second a PkgURL allows (``?rate=20000``); None: it says nothing.

    Raises:
        DecodeError: it says what is no rate (``dcu.package.url``).
    """
    told = parse_qs(urlsplit(url).query, keep_blank_values=True).get("rate")
    if told is None:
        return None
    if len(told) != 1 or not _RATE.fullmatch(told[0]):
        raise DecodeError("the address allows a rate that is none", code="dcu.package.url")
    return int(told[0])


def epoch_of(url: str) -> int | None:
    """Return the fleet's epoch in which a PkgURL was set (``?epoch=3``); None: it says none."""
    told = _EPOCH.search(url)
    return None if told is None else int(told[1])


def _packages(trusted: Trusted, now: float) -> dict[PackageId, Package]:
    return packages.packages(trusted.all_targets(now=now))


def _absent(package: PackageId) -> NotFoundError:
    return NotFoundError(f"the repository does not have {package}", code="dcu.package")


def _digest(file: Path) -> str | None:
    """Return the SHA-256 of a file in hex; None: it cannot be read, so that no delta is for it."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        log.warning("the installed image cannot be read", error=str(error))
        return None


def _holds(place: PartialFile, image: Attachment) -> bool:
    return place.size() == image.size and _digest(place.path) == image.sha256


def _apply(
    patch: PartialFile, place: PartialFile, file: TargetFile, image: Attachment, installed: Path
) -> bool:
    """Make the image out of a delta and what is installed; False: it does not come out."""
    try:
        made = packages.unpack(
            file, b"".join(patch.pieces()), image, read_whole(installed, most=delta.MAX_FILE)
        )
    except (SecurityError, DecodeError) as error:
        log.warning("a delta does not fit", target=file.path, code=error.code)
        return False
    place.clear()
    place.cut(0)
    for at in range(0, len(made), _PIECE):
        place.keep(made[at : at + _PIECE])
    patch.clear()
    return True
