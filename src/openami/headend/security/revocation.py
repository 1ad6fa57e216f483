"""What the authorities have revoked: in memory for every request, and as signed lists."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from openami.core.errors import NotFoundError, StoreError
from openami.crypto.certificates import Validity
from openami.crypto.revocation import Revoked, load_crl, make_crl
from openami.fleet.certificates import RevocationList
from openami.headend.security.authorities import AUTHORITIES_HINT, BACKDATE_S, DAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from openami.crypto.certificates import Identity
    from openami.fleet.certificates import CertificateStore
    from openami.headend.security.authorities import AuthorityKeeper

CRL_DAYS: Final = 7  # who relies on a list can miss the head-end for half of that
OVERLAP_S: Final = 3600.0  # a clock that is set back by less hides nothing
WHOLE_S: Final = 3600.0  # how often everything is read anew, which forgets what has expired
KEPT_S: Final = 90.0 * DAY  # after its end: a person may still ask what a certificate was
FORGOTTEN: Final = 1000  # at once: the database is others' meanwhile
_ATTEMPTS: Final = 10  # a command beside us that makes the list meanwhile makes ours needless


class Revocations:
    """The serial numbers of revoked certificates, read from the database now and then."""

    def __init__(self, store: CertificateStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._serials: set[int] = set()  # grows in place: a fleet's is too large to copy each time
        self._whole = self._looked = -WHOLE_S

    @property
    def serials(self) -> AbstractSet[int]:
        """What is known to be revoked and has not expired."""
        return self._serials

    def add(self, serial: int) -> None:
        """Take that a certificate has just been revoked."""
        with self._lock:
            self._serials.add(serial)

    def look(self, uid: str, *, now: float) -> None:
        """Look what has been revoked of one device."""
        found = self._store.revoked_of(uid, now=now)
        with self._lock:
            self._serials.update(found)

    def refresh(self, authorities: Iterable[str], *, now: float) -> None:
        """Look what these have revoked, here or in another process."""
        with self._lock:
            whole = not 0 <= now - self._whole < WHOLE_S
            since = 0.0 if whole else self._looked - OVERLAP_S
            found = {
                entry.serial
                for authority in authorities
                for entry in self._store.revoked(authority, now=now, since=since)
            }
            if whole:
                self._serials, self._whole = found, now
            else:
                self._serials.update(found)
            self._looked = now


class RevocationLists:
    """The lists of revoked certificates (CRL), each made anew when it has to be."""

    def __init__(self, store: CertificateStore, authorities: AuthorityKeeper) -> None:
        self._store = store
        self._authorities = authorities
        self._lock = threading.Lock()
        self._listed: dict[tuple[str, int], frozenset[int]] = {}

    def current(self, name: str, *, now: float) -> bytes:
        """Return the list of an authority (DER): all that it has revoked until now.

        Raises:
            NotFoundError: there is none of that name, or it is over as all that it has signed.
            StoreError: others make it all the time (``store.busy``).
        """
        authority = self._authority(name, now)
        with self._lock:
            for _ in range(_ATTEMPTS):
                kept = self._store.revocation_list(name)
                if kept is not None and self._is_current(kept, _end(authority), now):
                    return kept.der
                made = self._make(name, authority, kept, now)
                if self._store.put_revocation_list(made):
                    return made.der
        raise StoreError("the list of revoked certificates changes", code="store.busy")

    def _authority(self, name: str, now: float) -> Identity:
        authority = self._authorities.present.by_id().get(name)
        if authority is None:
            raise NotFoundError(f"there is no authority {name!r}", hint=AUTHORITIES_HINT)
        if _end(authority) < now:
            raise NotFoundError("this authority is over, and so is all that it has signed")
        return authority

    def _is_current(self, kept: RevocationList, end: float, now: float) -> bool:
        """Tell whether a list of an authority that is over at ``end`` need not be made anew."""
        renewed = kept.ends if kept.ends >= end else kept.ends - CRL_DAYS * DAY / 2
        if not kept.made - BACKDATE_S <= now <= renewed:
            return False
        late = self._store.revoked(kept.authority, now=now, since=kept.made - OVERLAP_S)
        listed = self._serials_of(kept)
        return all(entry.serial in listed for entry in late)

    def _serials_of(self, kept: RevocationList) -> frozenset[int]:
        key = (kept.authority, kept.number)
        if key not in self._listed:
            others = {k: v for k, v in self._listed.items() if k[0] != kept.authority}
            listed = frozenset(entry.serial_number for entry in load_crl(kept.der))
            self._listed = {**others, key: listed}
        return self._listed[key]

    def _make(
        self, name: str, authority: Identity, kept: RevocationList | None, now: float
    ) -> RevocationList:
        number = 1 if kept is None else kept.number + 1
        # RFC 5280 3.3: an entry stays until a list has it that was made after its end.
        good_at = now if kept is None else min(now, kept.made)
        revoked = [
            Revoked(entry.serial, entry.when, x509.ReasonFlags(entry.reason))
            for entry in self._store.revoked(name, now=good_at)
        ]
        validity = Validity(now - BACKDATE_S, min(now + CRL_DAYS * DAY, _end(authority)))
        made = make_crl(authority, revoked, number=number, validity=validity)
        return RevocationList(name, number, made.public_bytes(Encoding.DER), now, validity.end)


def _end(authority: Identity) -> float:
    return authority.certificate.not_valid_after_utc.timestamp()
