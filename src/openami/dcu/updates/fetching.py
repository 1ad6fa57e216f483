"""From a PkgURL to the image on the disk, or to the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import (
    DecodeError,
    NotFoundError,
    OpenAmiError,
    RemoteProtocolError,
    SecurityError,
    StoreError,
    StoreFullError,
    TransportError,
    TransportTimeoutError,
)
from openami.dcu.flow import Patience
from openami.dcu.repository import package_of, rate_of
from openami.firmware.manifest import Finding
from openami.omadm.download.ends import End

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.dcu.flow import Stop
    from openami.dcu.ports import Packages
    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.packages import Package, PackageId
    from openami.store.partial import PartialFile

FLOOR_OCTETS: Final = 16 * 2**20
"""What stays free beside packages: the tree and its journal, and some hours of readings."""
TRIES: Final = 16
FIRST_S: Final = 5.0
MOST_S: Final = 1800.0
"""As a download's own: a repository that is out of reach is asked again as patiently."""

_ENDS: Final[tuple[tuple[type[OpenAmiError], End], ...]] = (
    (NotFoundError, End.MISSING),
    (StoreFullError, End.NO_ROOM),
    (StoreError, End.ABORTED),
    (TransportTimeoutError, End.TIMEOUT),
    (TransportError, End.NETWORK),
    (DecodeError, End.UNTRUSTED),
    (RemoteProtocolError, End.SERVER),
)
_CODES: Final = {"dcu.package.url": End.BAD_URL, "dcu.package.away": End.UNAVAILABLE}
_AGAIN: Final = frozenset({End.TIMEOUT, End.NETWORK, End.UNAVAILABLE, End.SERVER})

log = structlog.get_logger("dcu.updates")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of it.

    Attributes:
        end: how it ended; None: the device ends first.
        words: a code and words, if it did not end well.
        misfit: why the device must not take it, if that is why it did not.
        package, manifest, image: of it, if it ended well.
    """

    end: End | None
    words: str = ""
    misfit: Finding | None = None
    package: Package | None = None
    manifest: Manifest | None = None
    image: Attachment | None = None


class Fetching:
    """Fetches one package's image at a time into one place.

    Args:
        packages: those that are trusted.
        place: where the image goes.
        origin: returns the head-end's, as in ``https://headend:8443``.
        stop: the wish that the device ends.
        chance: returns a number from 0 to 1.
    """

    def __init__(
        self,
        packages: Packages,
        place: PartialFile,
        origin: Callable[[], str],
        stop: Stop,
        chance: Callable[[], float],
    ) -> None:
        self._packages = packages
        self._place = place
        self._origin = origin
        self._stop = stop
        self._chance = chance

    async def fetch(
        self,
        url: str,
        choose: Callable[[Manifest], Attachment | Finding],
        installed: Path | None = None,
    ) -> Fetched:
        """Fetch what a PkgURL names, or go on where it was left.

        Args:
            url: of the package.
            choose: returns the image that this device takes of a release, or why it takes none.
            installed: a file that a delta may be for.
        """
        try:
            id_, rate = package_of(url, self._origin()), rate_of(url)
            found = await self._find(id_)
            if found is None:
                return Fetched(None)
            package, manifest = found
            chosen = choose(manifest)
            if isinstance(chosen, Finding):
                return Fetched(End.BAD_TYPE, f"{chosen.code} {chosen.text}", misfit=chosen)
            loaded = await self._packages.load(
                package, chosen, self._place, self._stop, rate=rate, installed=installed
            )
        except OpenAmiError as error:
            return Fetched(end_of(error), f"{error.code} {error.message}")
        if loaded.end is not End.OK:
            return Fetched(loaded.end, "" if loaded.end is None else loaded.end.value)
        return Fetched(End.OK, package=package, manifest=manifest, image=chosen)

    async def _find(self, package: PackageId) -> tuple[Package, Manifest] | None:
        """Return a package once the repository can be asked; None: the device ends first."""
        patience = Patience(FIRST_S, MOST_S, self._chance)
        while not self._stop:
            try:
                return await self._packages.find(package)
            except OpenAmiError as error:
                wait = patience.failed()
                if end_of(error) not in _AGAIN or patience.failures >= TRIES:
                    raise
                log.info("the repository is asked again", code=error.code, wait_s=round(wait))
            await self._stop.sleep(wait)
        return None


def end_of(error: OpenAmiError) -> End:
    """Return how a download ends that an error ends."""
    if error.code in _CODES:
        return _CODES[error.code]
    if isinstance(error, SecurityError):
        return End.UNTRUSTED if error.code.startswith("firmware.") else End.FORBIDDEN
    return next((end for kind, end in _ENDS if isinstance(error, kind)), End.ABORTED)
