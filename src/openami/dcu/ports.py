"""What a managed DCU needs of others: keys, a registration, packages, slots for its software."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from openami.dcu.download import Loaded
    from openami.dcu.flow import Stop
    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.packages import Package, PackageId
    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.ssmp.messages import DeviceInfo
    from openami.store.partial import PartialFile
    from openami.transport.http import HttpClient


class Identity(Protocol):
    """Who this device is; the security module."""

    @property
    def uid(self) -> str: ...

    @property
    def info(self) -> DeviceInfo: ...

    def operational_client(self, url: str) -> HttpClient:
        """Return a client of a server that proves this device by its operational certificate."""

    async def trust(self, anchors: str) -> None:
        """Believe servers whom one of these authorities has certified, or the factory's.

        It replaces those that were told before; connections of before end if it is another set.

        Args:
            anchors: certificates in PEM; empty: only the factory's.

        Raises:
            SecurityError: they are not certificates of authorities.
            StoreError: it cannot be kept.
            TransportError: the security module is down.
        """


class Registration(Protocol):
    """How this device comes to its accounts and its certificate."""

    @property
    def block(self) -> BootstrapBlock | None:
        """The accounts of a registration that is live, until ``forget``."""

    async def register(self, stop: Stop) -> None:
        """Return when the device is registered, or shall end."""

    async def forget(self) -> None:
        """Forget the block: its accounts are where they belong."""

    async def renew(self, stop: Stop, taken: Callable[[], Awaitable[None]]) -> None:
        """Keep certificate and accounts good until the device shall end.

        ``taken`` is called when there is a ``block``.
        """

    def doubt(self) -> None:
        """Take that a server does not let this device in."""

    def trust(self) -> None:
        """Take that the server has let this device in."""


@dataclass(frozen=True, slots=True)
class Running:
    """The software that this process is.

    Attributes:
        version: of it.
        counter: its release counter; nothing with a lower one is installed.
        sha256: of the image that it was installed from; None: it is the factory's.
        image: where that image is, for a delta; None: it is not kept.
        on_trial: it is not confirmed yet.
    """

    version: str
    counter: int
    sha256: str | None = None
    image: Path | None = None
    on_trial: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the trial of an image ended.

    Attributes:
        confirmed: it is what runs from now on; else the one before runs again.
        sha256: of the image that was tried.
        code: what was wrong with it, as ``slots.health``; empty: nothing.
        words: the same for a person.
    """

    confirmed: bool
    sha256: str
    code: str = ""
    words: str = ""


class Slots(Protocol):
    """Where this device keeps two of its own softwares; all calls wait for the disk.

    There is none where the process was not started by the launcher that chooses between them.
    """

    @property
    def running(self) -> Running: ...

    def stage(self, image: Path, manifest: Manifest) -> None:
        """Put an image into the slot that does not run; durable when it returns.

        Raises:
            SecurityError: it is not an image of ``manifest`` for this device, or its counter is
                lower than that of what runs.
            StoreFullError, StoreError: there is no room, or the disk does not work.
        """

    def arm(self) -> None:
        """Have what is staged tried at the next start; a repeat changes nothing.

        Raises:
            ConflictError: nothing is staged.
            StoreError: the disk does not work.
        """

    def drop(self) -> None:
        """Forget what is staged, if something is and is not being tried; StoreError."""

    @property
    def outcome(self) -> Outcome | None:
        """How the last trial ended, until ``told``; None: there was none, or it goes on."""

    def told(self) -> None:
        """Forget the outcome: whoever had to know of it does, or will; StoreError."""


class Health(Protocol):
    """What is watched while a new software is on trial; both may be called any number of times."""

    def session_held(self) -> None:
        """Take that a session with the server went well."""

    def collecting(self) -> None:
        """Take that collection is up."""


class Packages(Protocol):
    """The packages that the device trusts: those of the head-end's TUF repository."""

    async def find(self, package: PackageId) -> tuple[Package, Manifest]:
        """Return a package as the repository has it now, and what its vendor says of it.

        Raises:
            NotFoundError: the repository does not have it, or no longer (``dcu.package``).
            SecurityError, DecodeError: the repository is not believed (``firmware.trust.…``,
                ``firmware.package.…``).
            TransportError, RemoteProtocolError: the head-end is out of reach, or does not answer
                as it should.
            StoreError: what is trusted cannot be kept.
        """

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
        """Fetch an image, or go on where it was left; return when it is whole or shall not be.

        With ``Loaded.end`` OK the image, verified, is ``Loaded.path``, which is in the folder of
        ``place`` until the next ``load`` there. One call at a time and place; ``stop`` ends it
        so that the next call goes on (``Loaded.end`` is None), and so does a cancelled task.

        Args:
            package: as ``find`` gave it.
            image: which, of its manifest.
            place: where the file goes.
            stop: the wish that this ends.
            rate: octets a second; None: as fast as they come.
            installed: a file that a delta may be for.

        Raises:
            StoreError: the disk does not work.
        """
