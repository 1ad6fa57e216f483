"""Whom a DCU believes about packages: TUF's client checks, each a function of octets and ``now``.

``Trusted`` is a value: what has been verified so far. Each ``take_…`` gives the next one or refuses
and leaves the one before as it was; a DCU stores what ``encode`` gives and goes on from it with
``restore``. The first root comes from the factory, every later one by its keys.

What is refused, and how (TUF specification 1.0, 1.5.2 names the attacks; clauses stand at the
checks). All are ``SecurityError`` but the malformed, which is ``DecodeError``:

=============================  ====================================================================
``firmware.trust.signatures``  arbitrary metadata: not signed by as many of the role's keys as the
                               root demands, or a root that the one before did not sign
``firmware.trust.order``       a root that is not the very next one
``firmware.trust.expired``     freeze: a document whose time is over
``firmware.trust.rollback``    a version lower than one that was seen, or a document that vanished
``firmware.trust.mixed``       mix and match: not the document that timestamp or snapshot names
``firmware.trust.endless``     more octets than may come
``firmware.trust.malformed``   not a document of the role
``firmware.trust.payload``     arbitrary package: a file whose digest or size is another
``firmware.trust.target``      a file that targets does not name
``firmware.trust.absent``      the repository does not have what it has to have (``refresh``)
=============================  ====================================================================

Targets are signed by one role; delegated roles are not followed, so that what they name is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self, TypeVar

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.metadata import TargetFile as Listed

from openami.core.clock import isoformat, utc
from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.firmware.documents import SHA256
from openami.firmware.metadata import Document, is_signed, read
from openami.firmware.target import TargetFile
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

TARGETS_FILE: Final = "targets.json"

_STATE: Final = b"openami trust 1\n"
_ONLINE: Final = (Timestamp.type, Snapshot.type)


@dataclass(frozen=True, slots=True)
class Trusted:
    """What has been verified: a root, and what of the three others came after it.

    Made by ``start``, ``restore`` and the ``take_…`` alone.
    """

    root: Document[Root]
    timestamp: Document[Timestamp] | None = None
    snapshot: Document[Snapshot] | None = None
    targets: Document[Targets] | None = None

    @classmethod
    def start(cls, root: bytes) -> Self:
        """Return the trust that a device leaves the factory with (5.2).

        Raises:
            SecurityError, DecodeError: ``root`` is no root that signs itself.
        """
        document = read(root, Root)
        _check_signed(document, document.signed)
        return cls(document)

    def take_root(self, data: bytes) -> Self:
        """Return the trust with the next root (5.3).

        Whether it has expired is checked when the timestamp comes: an expired one may be followed
        by one that has not.

        Raises:
            SecurityError, DecodeError: as above.
        """
        document = read(data, Root)
        old, new = self.root.signed, document.signed
        _check_signed(document, old)  # 5.3.4: by the keys of the one before, and by its own
        _check_signed(document, new)
        if new.version != old.version + 1:  # 5.3.5
            raise _refused("order", f"root {new.version} came where {old.version + 1} was to come")
        return replace(self, root=document)._kept(old)  # noqa: SLF001 - the same class

    def take_timestamp(self, data: bytes, *, now: float) -> Self:
        """Return the trust with a timestamp (5.4); the same one if it was known already.

        Raises:
            SecurityError, DecodeError: as above.
        """
        _check_fresh(self.root, now)  # 5.3.10
        document = read(data, Timestamp)
        _check_signed(document, self.root.signed)  # 5.4.2
        old, new = self.timestamp, document.signed
        if old is not None:
            _check_not_older("timestamp", new.version, old.signed.version)  # 5.4.3.1
            if new.version == old.signed.version:
                _check_fresh(old, now)
                return self
            was, is_now = old.signed.snapshot_meta, new.snapshot_meta
            _check_not_older("snapshot", is_now.version, was.version)  # 5.4.3.2
        _check_fresh(document, now)  # 5.4.4
        return replace(self, timestamp=document)

    def take_snapshot(self, data: bytes, *, now: float) -> Self:
        """Return the trust with the snapshot that the timestamp names (5.5).

        Raises:
            SecurityError, DecodeError: as above.
            LocalProtocolError: no timestamp has come.
        """
        timestamp = _there(self.timestamp, Timestamp)
        _check_fresh(timestamp, now)
        document = self._named(data, Snapshot, timestamp.signed.snapshot_meta)
        _meta_of(document.signed)
        if self.snapshot is not None:
            _check_none_older(self.snapshot.signed, document.signed)  # 5.5.5
        _check_fresh(document, now)  # 5.5.6
        return replace(self, snapshot=document)

    def take_targets(self, data: bytes, *, now: float) -> Self:
        """Return the trust with the targets that the snapshot names (5.6).

        Raises:
            SecurityError, DecodeError: as above.
            LocalProtocolError: no snapshot has come, or not the one of the timestamp.
        """
        snapshot = self._current_snapshot(now)
        document = self._named(data, Targets, _meta_of(snapshot.signed))
        _check_fresh(document, now)  # 5.6.5
        return replace(self, targets=document)

    def snapshot_meta(self) -> MetaFile:
        """Return what the timestamp says of the snapshot."""
        return _there(self.timestamp, Timestamp).signed.snapshot_meta

    def targets_meta(self) -> MetaFile:
        """Return what the snapshot says of the targets."""
        return _meta_of(_there(self.snapshot, Snapshot).signed)

    def has_snapshot(self, *, now: float) -> bool:
        """Tell whether the snapshot is here already that the timestamp names, and still holds.

        Raises:
            SecurityError: it is here and has expired.
        """
        return _is_here(self.snapshot, self.snapshot_meta(), now)

    def has_targets(self, *, now: float) -> bool:
        """Tell the same of the targets that the snapshot names."""
        return _is_here(self.targets, _meta_of(self._current_snapshot(now).signed), now)

    def all_targets(self, *, now: float) -> Iterator[TargetFile]:
        """Give every file of the repository whose name and digest we can use.

        Raises:
            SecurityError: a document has expired since it was taken (``firmware.trust.expired``).
            LocalProtocolError: not all four have come.
        """
        return filter(None, map(_target, self._current_targets(now).targets.values()))

    def target(self, path: str, *, now: float) -> TargetFile:
        """Return one file (5.7).

        Raises:
            SecurityError: there is none of this path (``firmware.trust.target``); or as above.
            LocalProtocolError: not all four have come.
        """
        found = self._current_targets(now).targets.get(path)
        target = found and _target(found)
        if not target:
            raise _refused("target", f"targets does not name {path[:200]!a}")
        return target

    def encode(self) -> bytes:
        """Return the octets that a device stores."""
        writer = Writer().raw(_STATE)
        for document in (self.root, self.timestamp, self.snapshot, self.targets):
            data = b"" if document is None else document.data
            writer.uint(len(data), 4).raw(data)
        return writer.bytes()

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """Return the trust that ``encode`` gave; every signature is checked again.

        Raises:
            SecurityError, DecodeError: it was changed since.
        """
        reader = Reader(data)
        if reader.remaining < len(_STATE) or reader.take(len(_STATE)) != _STATE:
            raise DecodeError("not a stored trust", code="firmware.trust.malformed")
        root, *others = (reader.take(reader.u32()) for _ in range(4))
        if reader.remaining:
            raise reader.error("octets behind a stored trust")
        trusted = cls.start(root)
        timestamp, snapshot, targets = others
        return replace(
            trusted,
            timestamp=trusted._stored(timestamp, Timestamp),  # noqa: SLF001 - the same class
            snapshot=trusted._stored(snapshot, Snapshot),  # noqa: SLF001
            targets=trusted._stored(targets, Targets),  # noqa: SLF001
        )

    def _stored(self, data: bytes, role: type[S]) -> Document[S] | None:
        if not data:
            return None
        document = read(data, role)
        _check_signed(document, self.root.signed)
        return document

    def _kept(self, old: Root) -> Self:
        """Forget what the keys of a new root no longer sign.

        5.3.11: with a key of timestamp or snapshot gone both are forgotten, or whoever had the key
        could have pushed their versions out of reach for good (fast forward).
        """
        new = self.root.signed
        revoked = any(set(old.roles[one].keyids) - set(new.roles[one].keyids) for one in _ONLINE)
        return replace(
            self,
            timestamp=None if revoked else _still(self.timestamp, new),
            snapshot=None if revoked else _still(self.snapshot, new),
            targets=_still(self.targets, new),
        )

    def _named(self, data: bytes, role: type[S], meta: MetaFile) -> Document[S]:
        """Read a document that another one names, and check that it is the one (5.5.2, 5.6.2)."""
        _check_meta(data, meta, role.type)
        document = read(data, role)
        _check_signed(document, self.root.signed)  # 5.5.3, 5.6.3
        if document.signed.version != meta.version:  # 5.5.4, 5.6.4
            raise _refused("mixed", f"{role.type} is not of the version that names it")
        return document

    def _current_snapshot(self, now: float) -> Document[Snapshot]:
        _check_fresh(self.root, now)
        _check_fresh(_there(self.timestamp, Timestamp), now)
        snapshot = _there(self.snapshot, Snapshot)
        if not self.has_snapshot(now=now):
            raise LocalProtocolError("the snapshot of the timestamp has not come")
        return snapshot

    def _current_targets(self, now: float) -> Targets:
        targets = _there(self.targets, Targets)
        if not self.has_targets(now=now):
            raise LocalProtocolError("the targets of the snapshot have not come")
        return targets.signed


def _refused(code: str, message: str) -> SecurityError:
    return SecurityError(message, code=f"firmware.trust.{code}")


def _there(document: Document[S] | None, role: type[S]) -> Document[S]:
    if document is None:
        raise LocalProtocolError(f"no {role.type} has come")
    return document


def _check_signed(document: Document[S], root: Root) -> None:
    if not is_signed(document, root):
        role = document.signed.type
        raise _refused("signatures", f"{role} is not signed by {root.roles[role].threshold} keys")


def _check_fresh(document: Document[S], now: float) -> None:
    if document.signed.is_expired(utc(now)):
        until = isoformat(document.signed.expires.timestamp())
        raise _refused("expired", f"{document.signed.type} was good until {until}")


def _check_not_older(what: str, version: int, seen: int) -> None:
    if version < seen:
        raise _refused("rollback", f"{what} is of version {version}; {seen} was seen")


def _check_none_older(old: Snapshot, new: Snapshot) -> None:
    for name, meta in old.meta.items():
        if name not in new.meta:
            raise _refused("rollback", f"{name[:80]!a} is not in the snapshot any more")
        _check_not_older(ascii(name[:80]), new.meta[name].version, meta.version)


def _check_meta(data: bytes, meta: MetaFile, what: str) -> None:
    try:
        meta.verify_length_and_hashes(data)
    except LengthOrHashMismatchError:
        raise _refused("mixed", f"{what} is not the one that is named") from None


def _meta_of(snapshot: Snapshot) -> MetaFile:
    meta = snapshot.meta.get(TARGETS_FILE)
    if meta is None:
        raise _refused("mixed", f"the snapshot does not name {TARGETS_FILE}")
    return meta


def _is_here(document: Document[S] | None, meta: MetaFile, now: float) -> bool:
    if document is None or document.signed.version != meta.version:
        return False
    try:
        meta.verify_length_and_hashes(document.data)
    except LengthOrHashMismatchError:
        return False
    _check_fresh(document, now)
    return True


def _still(document: Document[S] | None, root: Root) -> Document[S] | None:
    return document if document is not None and is_signed(document, root) else None


def _target(file: Listed) -> TargetFile | None:
    sha256 = file.hashes.get("sha256", "")
    return TargetFile(file.path, file.length, sha256) if SHA256.fullmatch(sha256) else None
