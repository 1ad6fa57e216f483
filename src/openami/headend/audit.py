"""The audit log as a chain: laid by one chore after the commit, signed, exported.

Whoever changes something writes its entry in the same transaction. The chain is laid over the
entries that are committed, by one writer, so that no transaction waits for another's hash.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from openami.core.errors import ConfigError, ConflictError, NotFoundError
from openami.firmware.keys import ImageKey, signer
from openami.fleet.audit import (
    AuditError,
    Head,
    begin_line,
    entry_line,
    extend,
    head_line,
    sign,
)
from openami.fleet.devices import AuditEntry
from openami.fleet.ports import MAX_PAGE
from openami.headend.security.authorities import new_key
from openami.headend.security.issued import key_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from openami.core.clock import Clock
    from openami.fleet.ports import AuditLog, Vault
    from openami.headend.security.alarms import Alarms

AT_ONCE: Final = 250
"""Entries that one transaction lays: ten milliseconds or so, for which others wait to write in
SQLite. An older log of millions is laid within minutes, and others have their turns in between."""

ALARM: Final = "audit.broken"

_KIND: Final = "audit-key"
_OWNER: Final = "chain"
_KEY: Final = "key"
_BEGUN: Final = "begun"


@dataclass(frozen=True, slots=True)
class AuditState:
    """How far the chain goes.

    Args:
        head: None: nothing has been laid yet.
        waiting: entries that have no place yet.
        fault: what is wrong with the chain; None: nothing that was seen.
    """

    head: Head | None
    waiting: int
    fault: str | None


class AuditTrail:
    """Lays the chain and gives it away. Calls block.

    Args:
        log: the entries.
        vault: has the key, which is made where there is none.
        wall: the time of the machine.
        alarms: where it is told that the chain is broken; None: only whoever calls is.
    """

    def __init__(
        self, log: AuditLog, vault: Vault, *, wall: Clock, alarms: Alarms | None = None
    ) -> None:
        self.log = log
        self._vault = vault
        self._alarms = alarms
        self._wall = wall
        self._lock = threading.Lock()
        self._keys: tuple[ImageKey, Callable[[bytes], bytes]] | None = None
        self._fault: str | None = None
        self._begun = False

    def seal(self) -> int:
        """Give what has been committed since its place; return how many entries that were.

        Raises:
            AuditError: ``audit.broken``, ``audit.signature``, the chain is not what was signed. An
                alarm is raised, and nothing is laid on top of it.
        """
        done = 0
        try:
            while laid := self.log.lay(self._chain, most=AT_ONCE):
                self._remember()
                done += laid
        except AuditError as error:
            self._fault = error.message
            if self._alarms is not None:
                self._alarms.about("audit", ALARM, error.message)
            raise
        self._fault = None
        return done

    def adopt(self, *, who: str, why: str) -> AuditEntry:
        """Take the chain as the database has it, signed anew; return the entry that says so.

        For what no backup mends. Nothing is made good: whoever kept a head from before, or an
        export, sees as before what is not the same.

        Raises:
            ConflictError: ``audit.whole``, nothing is wrong with how the chain ends.
        """
        try:
            self.seal()
            self._ours(self.log.end())  # with nothing to lay, nobody has looked
        except AuditError as error:
            fault = error.message
        else:
            raise ConflictError("nothing is wrong with the chain's end", code="audit.whole")

        def said(number: int) -> AuditEntry:
            what = f"audit.adopted after entry {number}: {fault}"
            return AuditEntry(who, self._wall.now(), what, "audit", why)

        return self.log.adopt(self._signed, said)

    def state(self) -> AuditState:
        """Return how far the chain goes."""
        return AuditState(self.log.head(), self.log.waiting(), self._fault)

    def public(self) -> ImageKey:
        """Return the key that heads are checked with."""
        return self._signing()[0]

    def head(self) -> Head:
        """Return a head of what is laid, signed now.

        Raises:
            AuditError: ``audit.broken``, ``audit.signature``, the one that is kept is not ours.
        """
        kept = self._ours(self.log.head())
        return self._signed(kept.number, kept.hash)

    def export(self, *, after: int = 0) -> Iterator[str]:
        """Return the lines of an export: entries beyond a number, and a head that is signed now.

        Of a chain that is broken, the head is the one that the database has, so that who verifies
        the export is told what is wrong.

        Raises:
            NotFoundError: the chain does not go as far as ``after``.
        """
        begin = self._before(after)
        try:
            self.seal()
            end = self.head()
        except AuditError:
            end = self.log.head() or Head()
        return self._lines(begin, end)

    def _before(self, after: int) -> Head:
        if after == 0:
            return Head()
        found = self.log.chained(after=after - 1, limit=1)
        if not found or found[0].number != after or found[0].hash is None:
            raise NotFoundError(f"the audit log has no entry {after}")
        return Head(after, found[0].hash)

    def _lines(self, begin: Head, end: Head) -> Iterator[str]:
        yield begin_line(begin)
        at = begin.number
        while at < end.number:
            entries = self.log.chained(after=at, limit=min(MAX_PAGE, end.number - at))
            if not entries:  # the verifier of the export tells what that means
                break
            for entry in entries:
                at = entry.number or at
                yield entry_line(entry)
        yield head_line(end)

    def _chain(
        self, kept: Head | None, entries: Sequence[AuditEntry]
    ) -> tuple[Sequence[AuditEntry], Head]:
        laid = extend(self._ours(kept), entries)
        last = laid[-1]
        assert last.number is not None
        assert last.hash is not None
        return laid, self._signed(last.number, last.hash)

    def _ours(self, kept: Head | None) -> Head:
        """Return the head that is kept, if this head-end signed it or never signed any."""
        if kept is not None:
            kept.check(self.public())
        elif _BEGUN in self._vault.find(_KIND, _OWNER):
            raise AuditError("the signed head of the audit log is gone", code="audit.broken")
        return kept or Head()

    def _signed(self, number: int, last: bytes) -> Head:
        key, by = self._signing()
        return sign(number, last, when=self._wall.now(), key=key.id, by=by)

    def _remember(self) -> None:
        """Know, where the database does not, that there has been a signed head."""
        if not self._begun:
            self._vault.put(_KIND, _OWNER, _BEGUN, b"1")
            self._begun = True

    def _signing(self) -> tuple[ImageKey, Callable[[bytes], bytes]]:
        with self._lock:
            if self._keys is None:
                self._keys = self._load()
            return self._keys

    def _load(self) -> tuple[ImageKey, Callable[[bytes], bytes]]:
        sealed = self._vault.find(_KIND, _OWNER).get(_KEY)
        if sealed is None:
            made = new_key()
            self._vault.put(_KIND, _OWNER, _KEY, key_pem(made))
            return ImageKey(made.public_key()), signer(made)
        key = serialization.load_pem_private_key(sealed, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError("the vault's key for the audit log is none", code="config.audit-key")
        return ImageKey(key.public_key()), signer(key)
