"""The contract of the store of certificates, on every backend."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet import registration as r
from openami.fleet.certificates import (
    AuthorityName,
    CertificateKind,
    CertificateRecord,
    RevocationList,
    TrustAnchor,
)
from openami.fleet.devices import AuditEntry

if TYPE_CHECKING:
    from openami.fleet.certificates import CertificateStore
    from openami.store.relational import RelationalStore

NOW = 1000.0
BIG = 2**159 - 1  # the largest number that RFC 5280 allows
ENTRY = AuditEntry("anna", NOW, "did", "it", "why")
ANCHOR = TrustAnchor("ab" * 32, "Example Works", b"der", NOW, "anna")
LIST = RevocationList(AuthorityName.DEVICES, 1, b"list", NOW, NOW + 10)


def record(serial: int, subject: str = "D1", **changes: float) -> CertificateRecord:
    made = CertificateRecord(serial, CertificateKind.DEVICE, subject, b"der", NOW, 2 * NOW)
    return replace(made, **changes)  # type: ignore[arg-type] # times, by name


@pytest.fixture
def certificates(store: RelationalStore) -> CertificateStore:
    return store.certificates


def test_a_certificate_is_kept_as_it_is(certificates: CertificateStore) -> None:
    certificates.add(record(BIG))
    assert certificates.get(BIG) == record(BIG)
    assert certificates.get(BIG).authority == AuthorityName.DEVICES
    with pytest.raises(ConflictError):
        certificates.add(record(BIG))
    with pytest.raises(NotFoundError):
        certificates.get(1)


def test_certificates_come_in_pages_the_last_first(certificates: CertificateStore) -> None:
    for serial in range(1, 6):
        certificates.add(record(serial, issued=NOW + serial // 2))
    first = certificates.list(limit=3)
    assert [item.serial for item in first.items] == [5, 4, 3]
    rest = certificates.list(after=first.next, limit=3)
    assert ([item.serial for item in rest.items], rest.next) == ([2, 1], None)


def test_certificates_are_found_by_what_they_are(certificates: CertificateStore) -> None:
    certificates.add(record(1))
    certificates.add(record(2, "D2"))
    certificates.add(replace(record(3, "anna"), kind=CertificateKind.OPERATOR), entry=ENTRY)
    certificates.revoke(2, "superseded", when=NOW, entry=ENTRY)

    def serials(**which: object) -> list[int]:
        return [item.serial for item in certificates.list(**which).items]  # type: ignore[arg-type] # by name

    assert serials(kind=CertificateKind.OPERATOR) == [3]
    assert serials(subject="D1") == [1]
    assert serials(revoked=True) == [2]
    assert serials(revoked=False) == [3, 1]
    certificates.add(record(4, not_after=NOW + 5))
    assert serials(ends=(NOW, NOW + 5)) == [4]
    assert serials(ends=(NOW + 5, NOW + 6)) == []


def test_a_certificate_is_revoked_once(
    certificates: CertificateStore, store: RelationalStore
) -> None:
    certificates.add(record(7))
    assert certificates.revoke(7, "superseded", when=NOW + 5, entry=ENTRY)
    assert not certificates.revoke(7, "keyCompromise", when=NOW + 9, entry=ENTRY)
    kept = certificates.get(7)
    assert (kept.revoked, kept.reason, kept.days_left(NOW)) == (NOW + 5, "superseded", 0.0)
    assert len(store.audit.list(subject="it").items) == 1
    with pytest.raises(NotFoundError):
        certificates.revoke(8, "superseded", when=NOW, entry=ENTRY)


def test_what_is_revoked_is_told_until_it_expires(certificates: CertificateStore) -> None:
    for serial, when in ((1, NOW), (2, NOW + 5), (3, NOW + 9)):
        certificates.add(record(serial, not_after=NOW + 10 * serial))
        certificates.revoke(serial, "superseded", when=when, entry=ENTRY)

    def told(now: float, since: float = 0.0) -> list[int]:
        found = certificates.revoked(AuthorityName.DEVICES, now=now, since=since)
        return sorted(entry.serial for entry in found)

    assert told(NOW) == [1, 2, 3]
    assert told(NOW, since=NOW + 5) == [2, 3]
    assert told(NOW + 15) == [2, 3]
    assert certificates.revoked(AuthorityName.OPERATORS, now=NOW) == []
    certificates.add(record(4, "D2"))
    assert sorted(certificates.revoked_of("D1", now=NOW + 15)) == [2, 3]
    assert certificates.revoked_of("D2", now=NOW) == []


def test_what_is_over_is_forgotten_but_what_a_registration_names(store: RelationalStore) -> None:
    certificates: CertificateStore = store.certificates
    for serial in range(1, 8):
        certificates.add(record(serial, not_after=NOW + serial))
    claim = r.Claim(b"e", b"f", b"k", "Maker", "OA-DCU", "1", "0.2", NOW)
    offer = r.Offer(b"d", NOW, r.Issued(3, b"k"))
    named = r.Registration(
        "D1", r.Standing.LIVE, claim, b"g",
        offer=offer, certificate=r.Issued(1, b"k"), previous=r.Issued(2, b"k"),
    )  # fmt: skip
    store.registrations.put(named, replacing=None, effects=(), who="anna", when=NOW)
    assert certificates.forget(before=NOW + 7, limit=2) == 2
    assert certificates.forget(before=NOW + 7, limit=2) == 1
    assert certificates.forget(before=NOW + 7, limit=2) == 0
    assert {item.serial for item in certificates.list().items} == {1, 2, 3, 7}


def test_each_of_the_authorities_that_followed_each_other_has_its_own_list(
    certificates: CertificateStore,
) -> None:
    certificates.add(record(1))
    certificates.add(replace(record(2), number=2))
    assert certificates.get(2).authority == "devices-2"
    assert certificates.get(2).number == 2
    for serial in (1, 2):
        certificates.revoke(serial, "superseded", when=NOW, entry=ENTRY)
    for authority, serial in (("devices", 1), ("devices-2", 2)):
        (found,) = certificates.revoked(authority, now=NOW)
        assert found.serial == serial
        assert certificates.put_revocation_list(replace(LIST, authority=authority))
    second = certificates.revocation_list("devices-2")
    assert second == replace(LIST, authority="devices-2")


def test_a_list_follows_the_one_before(certificates: CertificateStore) -> None:
    assert certificates.revocation_list(AuthorityName.DEVICES) is None
    assert not certificates.put_revocation_list(replace(LIST, number=2))
    assert certificates.put_revocation_list(LIST)
    assert not certificates.put_revocation_list(replace(LIST, der=b"other"))
    assert certificates.revocation_list(AuthorityName.DEVICES) == LIST
    assert certificates.put_revocation_list(replace(LIST, number=2))
    assert certificates.revocation_list(AuthorityName.ROOT) is None


def test_anchors_are_kept_by_manufacturer(
    certificates: CertificateStore, store: RelationalStore
) -> None:
    other = replace(ANCHOR, fingerprint="cd" * 32, manufacturer="Another")
    assert certificates.add_anchor(ANCHOR, entry=ENTRY)
    assert certificates.add_anchor(other, entry=ENTRY)
    assert not certificates.add_anchor(replace(ANCHOR, manufacturer="Else"), entry=ENTRY)
    assert list(certificates.anchors()) == [other, ANCHOR]
    listing = replace(ANCHOR, listed=sha256(b"list").hexdigest(), list_ends=NOW + 5)
    assert certificates.anchor_list(ANCHOR.fingerprint) == b""
    taken = certificates.set_anchor_list(ANCHOR.fingerprint, b"list", ends=NOW + 5, entry=ENTRY)
    assert taken == listing
    assert list(certificates.anchors()) == [other, listing]
    assert certificates.anchor_list(ANCHOR.fingerprint) == b"list"
    assert certificates.remove_anchor(ANCHOR.fingerprint, entry=ENTRY) == listing
    with pytest.raises(NotFoundError):
        certificates.set_anchor_list(ANCHOR.fingerprint, b"list", ends=NOW, entry=ENTRY)
    with pytest.raises(NotFoundError):
        certificates.anchor_list(ANCHOR.fingerprint)
    with pytest.raises(NotFoundError):
        certificates.remove_anchor(ANCHOR.fingerprint, entry=ENTRY)
    assert len(store.audit.list(subject="it").items) == 4
