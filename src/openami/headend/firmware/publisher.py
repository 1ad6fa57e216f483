"""The repository that devices fetch packages from: its keys, its documents, their renewal.

Snapshot and timestamp are always signed here. Who signs root and targets is a setting: ``vault``,
with keys that rest beside the online ones, for who runs everything on one machine; or ``offline``,
by keepers with keys of their own, who are given drafts and hand back what they signed.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from openami.core.errors import ConflictError, NotFoundError
from openami.firmware import repository as making
from openami.firmware.keys import ImageKey, private_key, signer
from openami.firmware.metadata import read
from openami.firmware.repository import Keeper, Online, Repository, RoleKeys
from openami.fleet.devices import AuditEntry
from openami.headend.security.authorities import DAY, new_key
from openami.headend.security.issued import key_pem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.firmware.target import TargetFile
    from openami.fleet.ports import Vault
    from openami.headend.firmware.ports import ReleaseStore

ROOT_LIFE_S: Final = 3650 * DAY
"""A device that slept in a store for years still follows: roots do not end while they are asked
for, and each is renewed when half of its life is over."""

TARGETS_LIFE_S: Final = 365 * DAY  # renewed after half a year where the vault signs

KEPT_S: Final = 30 * DAY
"""Of documents that were replaced: a DCU that has an earlier timestamp fetches what that names."""

_KIND: Final = "firmware-key"
_NAME: Final = "key"
_ONLINE: Final = ("snapshot", "timestamp")
_DOCUMENT: Final = re.compile(r"(?:([1-9][0-9]{0,9})\.)?(root|targets|snapshot|timestamp)\.json")


class Publisher:
    """Signs and publishes. Calls block.

    Args:
        store: keeps what is published.
        vault: keeps the keys, which are made where there are none.
        wall: the time of the machine.
        offline: whether keepers elsewhere sign root and targets.
    """

    def __init__(self, store: ReleaseStore, vault: Vault, *, wall: Clock, offline: bool) -> None:
        self._store = store
        self._vault = vault
        self._wall = wall
        self.offline = offline
        self._begun = False
        self.lock = threading.RLock()  # one change of the repository at a time

    def document(self, name: str) -> bytes:
        """Return a document by its name, such as ``1.root.json``; NotFoundError."""
        found = _DOCUMENT.fullmatch(name)
        if found is None or (found[2] != "timestamp") != (found[1] is not None):
            raise NotFoundError("the repository has no such document")
        if not self._begun:  # every DCU asks for documents: what is there is looked for once
            self._begun = self.present() is not None
        return self._store.document(found[2], int(found[1]) if found[1] else None)

    def present(self) -> Repository | None:
        """Return what is published; where the vault signs, an empty one is made at first."""
        found = self._store.repository()
        if found is not None or self.offline:
            return found
        with self.lock:
            return self._store.repository() or self._begin()

    def online_keys(self) -> Mapping[str, bytes]:
        """Return the public keys, in PEM, that a root has to name for what is signed here."""
        return {role: ImageKey(self._keeper(role).public).pem() for role in _ONLINE}

    def draft_root(
        self, root: RoleKeys, targets: RoleKeys, *, days: float = ROOT_LIFE_S / DAY
    ) -> bytes:
        """Return the next root, for its keepers to sign; ConfigError for keys that can not be."""
        present = self._store.repository()
        roles = {"root": root, "targets": targets, **self._online_roles()}
        version = 1 if present is None else len(present.roots) + 1
        return making.draft_root(roles, version=version, expires=self._wall.now() + days * DAY)

    def draft(self, files: Iterable[TargetFile]) -> bytes:
        """Return the next list of files, for its keepers to sign."""
        present = self._store.repository()
        version = 1 if present is None else read(present.targets, Targets).signed.version + 1
        expires = self._wall.now() + TARGETS_LIFE_S
        return making.draft_targets(files, version=version, expires=expires)

    def with_files(
        self, files: Sequence[TargetFile], signed: bytes | None, *, roots: Sequence[bytes] = ()
    ) -> Repository:
        """Return the repository that offers exactly these files; it is for the caller to keep.

        Args:
            files: all that devices are offered.
            signed: the list of them, from its keepers; None: the vault signs.
            roots: new ones, from their keepers.

        Raises:
            ConflictError: ``firmware.keys.offline``, keepers have to sign; ``firmware.keys.files``,
                what they signed lists other files; ``firmware.repository.version``, it is an old
                list.
            SecurityError, DecodeError: what they signed no device would take.
        """
        before = self.present()
        if signed is None:
            signed = self._sign_files(files)
        elif _listed(signed) != {(file.path, file.size, file.sha256) for file in files}:
            raise ConflictError(
                "what was signed lists other files than devices are to be offered",
                code="firmware.keys.files",
                hint="sign the draft of this release",
            )
        all_roots = (*(() if before is None else before.roots), *roots)
        if not all_roots:
            raise ConflictError("there is no root yet", code="firmware.keys.offline")
        return making.publish(
            before, roots=all_roots, targets=signed, online=self._online(), now=self._wall.now()
        )

    def take(self, *, root: bytes | None, targets: bytes | None, who: str) -> Repository:
        """Publish what keepers signed: a new root, a list of the same files, or both.

        Raises:
            ConflictError, SecurityError, DecodeError: as ``with_files``.
        """
        with self.lock:
            present = self._store.repository()
            signed = targets or (None if present is None else present.targets)
            roots = () if root is None else (root,)
            made = self.with_files(self._store.targets(), signed, roots=roots)
            now = self._wall.now()
            taken = [name for name, one in (("root", root), ("targets", targets)) if one]
            what = f"repository: {' and '.join(taken) or 'nothing'} of keepers published"
            self._store.publish(made, when=now, entry=AuditEntry(who, now, what, "releases"))
            return made

    def renew(self) -> int:
        """Sign anew what is about to end; return how many publications that took."""
        with self.lock:
            present, now = self._store.repository(), self._wall.now()
            if present is None:
                return 0
            self._store.forget(before=now - KEPT_S)
            ends = read(present.timestamp, Timestamp).signed.expires.timestamp()
            if ends - now > making.TIMESTAMP_LIFE_S / 2:
                return 0
            roots, targets = self._renewed(present, now)
            made = making.publish(
                present, roots=roots, targets=targets, online=self._online(), now=now
            )
            self._store.publish(made, when=now)
            return 1

    def ends(self) -> Mapping[str, tuple[int, float]]:
        """Return version and end of each document that is published; empty: there are none."""
        present = self.present()
        if present is None:
            return {}
        signed: dict[str, Any] = {
            "root": read(present.roots[-1], Root).signed,
            "targets": read(present.targets, Targets).signed,
            "snapshot": read(present.snapshot, Snapshot).signed,
            "timestamp": read(present.timestamp, Timestamp).signed,
        }
        return {role: (one.version, one.expires.timestamp()) for role, one in signed.items()}

    def _begin(self) -> Repository:
        now = self._wall.now()
        targets = making.draft_targets((), version=1, expires=now + TARGETS_LIFE_S)
        made = making.publish(
            None,
            roots=(self._sign_root(1),),
            targets=making.add_signature(targets, self._keeper("targets")),
            online=self._online(),
            now=now,
        )
        self._store.publish(made, when=now)
        return made

    def _renewed(self, present: Repository, now: float) -> tuple[tuple[bytes, ...], bytes]:
        """Return roots and targets; where the vault signs, with those whose half life is over."""
        roots, targets = present.roots, present.targets
        if self.offline:
            return roots, targets
        if read(roots[-1], Root).signed.expires.timestamp() - now < ROOT_LIFE_S / 2:
            roots = (*roots, self._sign_root(len(roots) + 1))
        if read(targets, Targets).signed.expires.timestamp() - now < TARGETS_LIFE_S / 2:
            targets = self._sign_files(self._store.targets())
        return roots, targets

    def _sign_root(self, version: int) -> bytes:
        roles = {role: RoleKeys((self._keeper(role).public,)) for role in ("root", "targets")}
        expires = self._wall.now() + ROOT_LIFE_S
        draft = making.draft_root(
            {**roles, **self._online_roles()}, version=version, expires=expires
        )
        return making.add_signature(draft, self._keeper("root"))

    def _sign_files(self, files: Iterable[TargetFile]) -> bytes:
        if self.offline:
            raise ConflictError(
                "the list of files has to be signed by its keepers",
                code="firmware.keys.offline",
                hint="openami release draft writes it, openami release sign signs it",
            )
        return making.add_signature(self.draft(files), self._keeper("targets"))

    def _online(self) -> Online:
        return Online((self._keeper("snapshot"),), (self._keeper("timestamp"),))

    def _online_roles(self) -> dict[str, RoleKeys]:
        return {role: RoleKeys((self._keeper(role).public,)) for role in _ONLINE}

    def _keeper(self, role: str) -> Keeper:
        with self.lock:
            sealed = self._vault.find(_KIND, role).get(_NAME)
            if sealed is None:
                key = new_key()
                self._vault.put(_KIND, role, _NAME, key_pem(key))
                return Keeper(key.public_key(), signer(key))
        found = private_key(sealed)
        return Keeper(found.public_key(), signer(found))


def _listed(signed: bytes) -> set[tuple[str, int, str]]:
    files = read(signed, Targets).signed.targets.values()
    return {(file.path, file.length, file.hashes.get("sha256", "")) for file in files}
