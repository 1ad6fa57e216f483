"""The other side of ``openami.firmware.trust``: a repository's metadata, made and signed.

Root and targets are signed offline, by several keepers at their own times: a draft goes from one to
the next and each adds a signature. Snapshot and timestamp are signed online, by ``publish``, which
is also what signs the timestamp anew before it expires. A private key is never here: whoever has
it, a file, a vault or a hardware module, signs a SHA-256 digest.

What is published was first verified as a DCU verifies it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from securesystemslib.signer import Signature
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.metadata import TargetFile as Listed

from openami.core.clock import utc
from openami.core.errors import ConfigError, ConflictError, SecurityError
from openami.firmware.keys import ImageKey
from openami.firmware.metadata import is_signed, key_of, read, read_any, signers_of
from openami.firmware.refresh import Refresh
from openami.firmware.trust import TARGETS_FILE, Trusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from openami.firmware.keys import Signer
    from openami.firmware.target import TargetFile

TIMESTAMP_LIFE_S: Final = 86_400.0
"""A day: how long a frozen copy passes for the repository, and how long the online keys may be out
of reach before updates stop."""

SNAPSHOT_LIFE_S: Final = 7 * 86_400.0
"""Renewed when half of it is over: two snapshots a week, each fetched by every DCU."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """One who signs for a role: the public key, and what signs a digest with the private one."""

    public: ec.EllipticCurvePublicKey
    sign: Signer = field(repr=False)


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """Whose signatures count for a role, and how many of them it takes."""

    keys: tuple[ec.EllipticCurvePublicKey, ...]
    threshold: int = 1


@dataclass(frozen=True, slots=True)
class Online:
    """Who signs what changes by itself, and for how long each holds."""

    snapshot: tuple[Keeper, ...]
    timestamp: tuple[Keeper, ...]
    snapshot_life: float = SNAPSHOT_LIFE_S
    timestamp_life: float = TIMESTAMP_LIFE_S


@dataclass(frozen=True, slots=True)
class Repository:
    """What a DCU may fetch: every root from the factory's on, and the three others as they are."""

    roots: tuple[bytes, ...] = field(repr=False)
    targets: bytes = field(repr=False)
    snapshot: bytes = field(repr=False)
    timestamp: bytes = field(repr=False)

    def files(self) -> dict[str, bytes]:
        """Return each document by where it is kept (TUF specification 6.2).

        A server adds them to those of before: a DCU that has an earlier timestamp still asks for
        what that names.
        """
        named: dict[str, bytes] = {}
        for data in self.roots:
            named[f"{read(data, Root).signed.version}.root.json"] = data
        named[f"{read(self.targets, Targets).signed.version}.targets.json"] = self.targets
        named[f"{read(self.snapshot, Snapshot).signed.version}.snapshot.json"] = self.snapshot
        named["timestamp.json"] = self.timestamp
        return named

    def verify(self, *, now: float) -> Trusted:
        """Return what a DCU that comes with the first root believes of it.

        Raises:
            SecurityError, DecodeError: as ``Trusted`` and ``Refresh``.
        """
        trusted = Trusted.start(self.roots[0])
        for root in self.roots[1:]:
            trusted = trusted.take_root(root)
        refresh = Refresh(trusted, now=now)
        files = self.files()
        while (wanted := refresh.wanted()) is not None:
            if wanted.name in files:
                refresh.receive(files[wanted.name])
            else:
                refresh.absent()
        return refresh.trusted


def draft_root(roles: Mapping[str, RoleKeys], *, version: int, expires: float) -> bytes:
    """Return a root that nobody has signed yet.

    Args:
        roles: the keys of ``root``, ``timestamp``, ``snapshot`` and ``targets``.
        version: one more than that of the root before.
        expires: seconds since 1970-01-01T00:00:00Z.

    Raises:
        ConfigError: a role is missing, or has fewer keys than its threshold, or one on another
            curve than P-256.
    """
    keys = {
        name: [key_of(ImageKey(public).public) for public in role.keys]
        for name, role in roles.items()
    }
    for name, role in roles.items():
        if not 1 <= role.threshold <= len({key.keyid for key in keys[name]}):
            raise _unusable(f"the role {name} can not have {role.threshold} signatures")
    try:
        root = Root(
            version=version,
            expires=utc(expires),
            keys={key.keyid: key for several in keys.values() for key in several},
            roles={
                name: Role([key.keyid for key in keys[name]], role.threshold)
                for name, role in roles.items()
            },
            consistent_snapshot=True,
        )
    except ValueError as error:
        raise _unusable(str(error)) from None
    return Metadata(root).to_bytes()


def draft_targets(targets: Iterable[TargetFile], *, version: int, expires: float) -> bytes:
    """Return a list of all the repository's files that nobody has signed yet."""
    files = {
        target.path: Listed(target.size, {"sha256": target.sha256}, target.path)
        for target in targets
    }
    return Metadata(Targets(version=version, expires=utc(expires), targets=files)).to_bytes()


def add_signature(data: bytes, keeper: Keeper) -> bytes:
    """Return a draft with one more signature, checked before it is taken.

    Raises:
        SecurityError: what signs does not have the key (``firmware.repository.signature``).
        DecodeError: ``data`` is no metadata.
    """
    document = read_any(data)
    digest = hashlib.sha256(document.payload).digest()
    signature = keeper.sign(digest)
    if not ImageKey(keeper.public).verifies(digest, signature):
        raise SecurityError("not a signature of this key", code="firmware.repository.signature")
    name = key_of(keeper.public).keyid
    signatures = {**document.signatures, name: Signature(name, signature.hex())}
    return Metadata(document.signed, signatures).to_bytes()


def signatures_missing(data: bytes, root: bytes) -> int:
    """Return how many more keepers have to sign a draft before ``root`` takes it.

    A new root has to be taken by the one before and by itself.

    Raises:
        DecodeError: one of them is no metadata.
    """
    authority = read(root, Root).signed
    document = read_any(data)
    role = document.signed.type
    return max(0, authority.roles[role].threshold - signers_of(document, role, authority))


def publish(
    before: Repository | None,
    *,
    roots: Sequence[bytes],
    targets: bytes,
    online: Online,
    now: float,
) -> Repository:
    """Return the repository with these roots and targets, and a new timestamp.

    With the roots and targets of ``before`` this is what keeps a repository from expiring: the
    snapshot stays while half of its life is left.

    Args:
        before: what was published last.
        roots: every root from the factory's on.
        targets: the signed list of files.
        online: who signs.
        now: seconds since 1970-01-01T00:00:00Z.

    Raises:
        ConflictError: the targets are older than those before, or others of the same version
            (``firmware.repository.version``).
        SecurityError, DecodeError: a DCU would refuse it.
    """
    if before is not None:
        _check_newer(before.targets, targets)
    snapshot = _snapshot(before, roots[-1], targets, online, now)
    version = 1 if before is None else read(before.timestamp, Timestamp).signed.version + 1
    meta = MetaFile.from_data(read(snapshot, Snapshot).signed.version, snapshot, ["sha256"])
    timestamp = Timestamp(
        version=version, expires=utc(now + online.timestamp_life), snapshot_meta=meta
    )
    signed = _sign(Metadata(timestamp), online.timestamp)
    published = Repository(tuple(roots), targets, snapshot, signed)
    published.verify(now=now)
    return published


def _snapshot(
    before: Repository | None, root: bytes, targets: bytes, online: Online, now: float
) -> bytes:
    version = 1
    if before is not None:
        old = read(before.snapshot, Snapshot)
        left = old.signed.expires.timestamp() - now
        same = before.targets == targets and is_signed(old, read(root, Root).signed)
        if same and left > online.snapshot_life / 2:
            return before.snapshot
        version = old.signed.version + 1
    listed = read(targets, Targets).signed.version
    meta = {TARGETS_FILE: MetaFile.from_data(listed, targets, ["sha256"])}
    expires = utc(now + online.snapshot_life)
    return _sign(Metadata(Snapshot(version=version, expires=expires, meta=meta)), online.snapshot)


def _check_newer(before: bytes, targets: bytes) -> None:
    old, new = read(before, Targets).signed.version, read(targets, Targets).signed.version
    if new < old or (new == old and before != targets):
        raise ConflictError(
            f"targets of version {new} after version {old}", code="firmware.repository.version"
        )


def _sign(metadata: Metadata[Any], keepers: Iterable[Keeper]) -> bytes:
    data = metadata.to_bytes()
    for keeper in keepers:
        data = add_signature(data, keeper)
    return data


def _unusable(message: str) -> ConfigError:
    return ConfigError(message, code="config.firmware-roles")
