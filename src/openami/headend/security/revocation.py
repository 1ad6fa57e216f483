"""What the authorities have revoked: in memory for every request, and as signed lists."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from openami.core.errors import StoreError
from openami.crypto.certificates import Validity
from openami.crypto.revocation import Revoked, load_crl, make_crl
from openami.fleet.certificates import AuthorityName, RevocationList
from openami.headend.security.authorities import BACKDATE_S, DAY

if TYPE_CHECKING:
    from openami.fleet.certificates import CertificateStore
    from openami.headend.security.authorities import Authorities

CRL_DAYS: Final = 7  # who relies on a list can miss the head-end for half of that
OVERLAP_S: Final = 3600.0  # clocks of head-ends that share a database differ by less
WHOLE_S: Final = 3600.0  # how often everything is read anew, which forgets what has expired
_ATTEMPTS: Final = 10  # another head-end that makes the list at the same time makes ours needless


class Revocations:
    """The serial numbers of revoked certificates, read from the database now and then."""

    def __init__(self, store: CertificateStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._serials: frozenset[int] = frozenset()
        self._whole = self._looked = -WHOLE_S

    @property
    def serials(self) -> frozenset[int]:
        """What is known to be revoked and has not expired."""
        return self._serials

    def add(self, serial: int) -> None:
        """Take that a certificate has just been revoked."""
        with self._lock:
            self._serials |= {serial}

    def refresh(self, *, now: float) -> None:
        """Look what has been revoked, here or by another process."""
        with self._lock:
            whole = not 0 <= now - self._whole < WHOLE_S
            since = 0.0 if whole else self._looked - OVERLAP_S
            found = {
                entry.serial
                for name in AuthorityName
                for entry in self._store.revoked(name, now=now, since=since)
            }
            if whole:
                self._serials, self._whole = frozenset(found), now
            elif not found <= self._serials:
                self._serials |= found
            self._looked = now


class RevocationLists:
    """The lists of revoked certificates (CRL), each made anew when it has to be."""

    def __init__(self, store: CertificateStore, authorities: Authorities) -> None:
        self._store = store
        self._authorities = authorities
        self._lock = threading.Lock()
        self._listed: dict[tuple[AuthorityName, int], frozenset[int]] = {}

    def current(self, name: AuthorityName, *, now: float) -> bytes:
        """Return the list of an authority (DER): all that it has revoked until now.

        Raises:
            StoreError: other head-ends make it all the time (``store.busy``).
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                kept = self._store.revocation_list(name)
                if kept is not None and self._is_current(kept, now):
                    return kept.der
                made = self._make(name, kept.number + 1 if kept else 1, now)
                if self._store.put_revocation_list(made):
                    return made.der
        raise StoreError("the list of revoked certificates changes", code="store.busy")

    def _is_current(self, kept: RevocationList, now: float) -> bool:
        if not kept.made - BACKDATE_S <= now <= kept.ends - CRL_DAYS * DAY / 2:
            return False
        late = self._store.revoked(kept.authority, now=now, since=kept.made - OVERLAP_S)
        listed = self._serials_of(kept)
        return all(entry.serial in listed for entry in late)

    def _serials_of(self, kept: RevocationList) -> frozenset[int]:
        key = (kept.authority, kept.number)
        if key not in self._listed:
            others = {k: v for k, v in self._listed.items() if k[0] is not kept.authority}
            listed = frozenset(entry.serial_number for entry in load_crl(kept.der))
            self._listed = {**others, key: listed}
        return self._listed[key]

    def _make(self, name: AuthorityName, number: int, now: float) -> RevocationList:
        revoked = [
            Revoked(entry.serial, entry.when, x509.ReasonFlags(entry.reason))
            for entry in self._store.revoked(name, now=now)
        ]
        validity = Validity(now - BACKDATE_S, now + CRL_DAYS * DAY)
        made = make_crl(self._authorities.of(name), revoked, number=number, validity=validity)
        return RevocationList(name, number, made.public_bytes(Encoding.DER), now, validity.end)
