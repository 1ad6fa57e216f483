"""A repository of packages with its keepers, whose keys are the same in every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from openami.firmware.keys import signer
from openami.firmware.packages import list_files
from openami.firmware.refresh import Refresh
from openami.firmware.repository import (
    Keeper,
    Online,
    Repository,
    RoleKeys,
    add_signature,
    draft_root,
    draft_targets,
    publish,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.firmware.trust import Trusted

NOW: Final = 1_790_000_000.0
DAY: Final = 86_400.0
FILES: Final[Mapping[str, bytes]] = {"one": b"first", "folder/two": b"second" * 100}


def keeper(number: int) -> Keeper:
    """Return a keeper of the key whose private number is ``number``."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    return Keeper(key.public_key(), signer(key))


ROOT: Final = (keeper(11), keeper(12), keeper(13))
TARGETS: Final = (keeper(21), keeper(22))
SNAPSHOT: Final = (keeper(31),)
TIMESTAMP: Final = (keeper(41),)
STRANGER: Final = keeper(666)


def publics(keepers: Iterable[Keeper]) -> tuple[ec.EllipticCurvePublicKey, ...]:
    return tuple(one.public for one in keepers)


def sign(draft: bytes, keepers: Iterable[Keeper]) -> bytes:
    for one in keepers:
        draft = add_signature(draft, one)
    return draft


@dataclass
class Office:
    """Who keeps what; changed between two publications as a utility would."""

    root: tuple[Keeper, ...] = ROOT
    targets: tuple[Keeper, ...] = TARGETS
    snapshot: tuple[Keeper, ...] = SNAPSHOT
    timestamp: tuple[Keeper, ...] = TIMESTAMP
    life: float = 365 * DAY
    now: float = NOW
    roots: list[bytes] = field(default_factory=list)
    published: Repository | None = None
    version: int = 0

    def roles(self) -> dict[str, RoleKeys]:
        return {
            "root": RoleKeys(publics(self.root), 2),
            "targets": RoleKeys(publics(self.targets), len(self.targets)),
            "snapshot": RoleKeys(publics(self.snapshot), len(self.snapshot)),
            "timestamp": RoleKeys(publics(self.timestamp), len(self.timestamp)),
        }

    def add_root(self, *, also: Iterable[Keeper] = ()) -> bytes:
        """Make the next root, signed by its keepers and by ``also``, those of the one before."""
        draft = draft_root(self.roles(), version=len(self.roots) + 1, expires=self.now + self.life)
        self.roots.append(sign(draft, [*self.root, *also]))
        return self.roots[-1]

    def list(self, files: Mapping[str, bytes]) -> bytes:
        """Make and sign the next list of files."""
        self.version += 1
        draft = draft_targets(list_files(files), version=self.version, expires=self.now + 90 * DAY)
        return sign(draft, self.targets)

    def publish(self, files: Mapping[str, bytes] | None = None) -> Repository:
        """Publish these files; the same as before, signed anew, for None."""
        if not self.roots:
            self.add_root()
        if files is None and self.published is not None:
            targets = self.published.targets
        else:
            targets = self.list(FILES if files is None else files)
        online = Online(self.snapshot, self.timestamp)
        self.published = publish(
            self.published, roots=self.roots, targets=targets, online=online, now=self.now
        )
        return self.published


def fetch(trusted: Trusted, files: Mapping[str, bytes], *, now: float) -> tuple[Refresh, list[str]]:
    """Run one refresh against ``files``; return it, and the names it asked for that were there."""
    refresh, names = Refresh(trusted, now=now), []
    while (wanted := refresh.wanted()) is not None:
        if wanted.name in files:
            names.append(wanted.name)
            refresh.receive(files[wanted.name])
        else:
            refresh.absent()
    return refresh, names
