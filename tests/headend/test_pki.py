"""What is issued, revoked and believed; lists are read by OpenSSL, too."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.pki import House, authorities_of

from openami.core.clock import ManualClock
from openami.core.errors import NotFoundError, SecurityError
from openami.crypto.certificates import Identity, Purpose, Validity, issue_ldevid, make_root
from openami.crypto.chains import verify
from openami.crypto.revocation import Revoked, make_crl
from openami.fleet.certificates import CertificateKind
from openami.headend.errors import RequestError
from openami.headend.security import anchors
from openami.headend.security import pki as pki_module
from openami.headend.security.authorities import DAY, lasting, new_key
from openami.headend.security.issued import IssuedCertificate, chain_pem, key_pem, serial_number
from openami.headend.security.pki import Pki
from openami.ssmp.server import Credential, Peer, identify

OPENSSL = shutil.which("openssl") or ""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return House.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def house(built: Path, tmp_path: Path, wall: ManualClock) -> Iterator[House]:
    house = House.copy(built, tmp_path, wall)
    yield house
    house.close()


@pytest.fixture
def pki(house: House) -> Pki:
    return house.pki()


@pytest.fixture
def other(house: House) -> Pki:
    """The same authorities in another process."""
    return house.pki()


def issued(pki: Pki, wall: ManualClock, uid: str = "D1") -> IssuedCertificate:
    return pki.issue_device(uid, new_key().public_key(), now=wall.now())


def refused(pki: Pki, certificate: x509.Certificate, now: float) -> str:
    with pytest.raises(SecurityError) as caught:
        pki.check(certificate, now=now)
    return caught.value.code


def listed(crl: bytes) -> dict[int, x509.ReasonFlags]:
    found = x509.load_der_x509_crl(crl)
    return {
        entry.serial_number: entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        for entry in found
    }


def number(crl: bytes) -> int:
    extensions = x509.load_der_x509_crl(crl).extensions
    return extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_devices_certificate_is_good_and_recorded(pki: Pki, wall: ManualClock) -> None:
    made = issued(pki, wall)
    pki.check(made.certificate, now=wall.now())
    assert pki.chain(made.serial) == made.chain
    (record,) = pki.certificates(kind=CertificateKind.DEVICE).items
    assert (record.serial, record.subject) == (made.serial, "D1")
    assert 364 < record.days_left(wall.now()) < 365.01
    with pytest.raises(NotFoundError):
        pki.chain(1)


def test_expired_unknown_and_others_certificates_are_refused(pki: Pki, wall: ManualClock) -> None:
    made = issued(pki, wall)
    assert refused(pki, made.certificate, wall.now() + 366 * DAY) == "certificate.expired"
    assert refused(pki, made.certificate, wall.now() - DAY) == "certificate.not-yet-valid"
    key, validity = new_key(), lasting(10, now=wall.now())
    forger = make_root("openami devices", key, serial=1, validity=validity)
    forged = issue_ldevid(forger, "D1", "urn:x", key.public_key(), serial=2, validity=validity)
    assert refused(pki, forged, wall.now()) == "certificate.untrusted"
    operator = pki.issue_operator("anna", key.public_key(), who="test", now=wall.now())
    assert refused(pki, operator.certificate, wall.now()) == "certificate.untrusted"


def test_a_revoked_certificate_is_refused_at_once(pki: Pki, wall: ManualClock) -> None:
    made = issued(pki, wall)
    assert not pki.is_revoked(made.serial)
    pki.revoke(made.serial, "keyCompromise", when=wall.now(), who="anna", why="stolen")
    assert pki.is_revoked(made.serial)
    assert refused(pki, made.certificate, wall.now()) == "certificate.revoked"


def test_revoking_again_changes_nothing(pki: Pki, house: House, wall: ManualClock) -> None:
    made = issued(pki, wall)
    for reason in ("keyCompromise", "superseded"):
        pki.revoke(made.serial, reason, when=wall.now(), who="anna", why="stolen")
    assert pki.certificate(made.serial).reason == "keyCompromise"
    (entry,) = house.store.audit.list(subject="dcu-D1").items
    assert (entry.who, entry.why) == ("anna", "stolen")
    assert entry.what == f"certificate.revoked {made.serial:x}: keyCompromise"


@pytest.mark.parametrize("reason", ["removeFromCRL", "certificateHold", "stolen", ""])
def test_what_is_revoked_stays_so(pki: Pki, wall: ManualClock, reason: str) -> None:
    made = issued(pki, wall)
    with pytest.raises(RequestError) as caught:
        pki.revoke(made.serial, reason, when=wall.now(), who="anna")
    assert caught.value.code == "request.reason"
    assert not pki.is_revoked(made.serial)
    with pytest.raises(NotFoundError):
        pki.revoke(1, "superseded", when=wall.now(), who="anna")


def test_what_another_process_revokes_is_seen(pki: Pki, other: Pki, wall: ManualClock) -> None:
    for _ in range(3):
        made = issued(pki, wall)
        other.revoke(made.serial, "superseded", when=wall.now(), who="anna")
        wall.advance(1)
        pki.refresh()
        assert pki.is_revoked(made.serial)


def test_revoked_ones_are_forgotten_once_expired(pki: Pki, wall: ManualClock) -> None:
    made = issued(pki, wall)
    pki.revoke(made.serial, "superseded", when=wall.now(), who="anna")
    wall.advance(366 * DAY)
    pki.refresh()
    assert not pki.is_revoked(made.serial)
    assert refused(pki, made.certificate, wall.now()) == "certificate.expired"
    assert listed(pki.crl("devices")) == {}


def test_a_list_holds_what_was_revoked(pki: Pki, other: Pki, wall: ManualClock) -> None:
    first, second = issued(pki, wall), issued(pki, wall, "D2")
    empty = pki.crl("devices")
    assert listed(empty) == {}
    assert pki.crl("devices") == empty == other.crl("devices")
    pki.revoke(first.serial, "superseded", when=wall.now(), who="anna")
    one = other.crl("devices")
    assert listed(one) == {first.serial: x509.ReasonFlags.superseded}
    other.revoke(second.serial, "keyCompromise", when=wall.now(), who="anna")
    both = pki.crl("devices")
    assert set(listed(both)) == {first.serial, second.serial}
    assert number(empty) < number(one) < number(both)
    assert listed(pki.crl("operators")) == {}
    with pytest.raises(NotFoundError):
        pki.crl("../devices")


def test_a_list_is_made_anew_before_it_ends(pki: Pki, wall: ManualClock) -> None:
    first = pki.crl("devices")
    wall.advance(3 * DAY)
    assert pki.crl("devices") == first
    wall.advance(DAY)
    second = x509.load_der_x509_crl(pki.crl("devices"))
    assert second.next_update_utc is not None
    assert second.next_update_utc.timestamp() > wall.now() + 6 * DAY


@pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")
def test_openssl_refuses_what_the_list_names(pki: Pki, wall: ManualClock, tmp_path: Path) -> None:
    good, bad = issued(pki, wall), issued(pki, wall, "D2")
    pki.revoke(bad.serial, "keyCompromise", when=wall.now(), who="anna")
    lists = b""
    for name in ("devices", "root"):
        found = x509.load_der_x509_crl(pki.crl(name))
        lists += found.public_bytes(Encoding.PEM)
    (tmp_path / "lists.pem").write_bytes(lists)
    (tmp_path / "clients.pem").write_bytes(pki.devices_pem() + pki.root_pem())

    def verify(made: IssuedCertificate) -> subprocess.CompletedProcess[str]:
        (tmp_path / "leaf.pem").write_bytes(chain_pem(made.chain[:1]))
        command = [OPENSSL, "verify", "-x509_strict", "-crl_check_all", "-purpose", "sslclient"]
        files = ["-CAfile", "clients.pem", "-CRLfile", "lists.pem", "leaf.pem"]
        return subprocess.run(
            [*command, *files], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert verify(good).stdout.strip() == "leaf.pem: OK"
    answer = verify(bad)
    assert answer.returncode != 0
    assert "certificate revoked" in answer.stderr


def maker(name: str, wall: ManualClock, *, age: float = 0) -> Identity:
    validity = lasting(100, now=wall.now() - age * DAY)
    return make_root(name, new_key(), serial=1, validity=validity)


def test_a_manufacturer_is_believed_while_it_is_an_anchor(
    pki: Pki, other: Pki, wall: ManualClock
) -> None:
    told: list[bytes] = []
    pki.watch_trust(lambda: told.append(pki.tls_authorities()))
    root = maker("Example Works", wall)
    anchor = other.add_anchor("Example  Works ", root.certificate_pem(), who="anna")
    assert anchor.manufacturer == "Example Works"
    pki.refresh()
    pki.refresh()
    assert len(told) == 1
    assert root.certificate_pem() in told[0]
    key = new_key().public_key()
    leaf = issue_ldevid(root, "D1", "urn:x", key, serial=5, validity=lasting(1, now=wall.now()))

    def peer() -> tuple[str, str]:
        found = identify(
            leaf,
            (),
            manufacturers=pki.manufacturer_trusts(),
            operational=pki.operational_trust(),
            now=wall.now(),
        )
        assert found.credential is Credential.FACTORY
        return found.uid, found.manufacturer

    assert peer() == ("D1", "Example Works")
    pki.remove_anchor(anchor.fingerprint.upper(), who="anna")
    with pytest.raises(SecurityError):
        peer()
    assert list(pki.anchors()) == []
    with pytest.raises(NotFoundError):
        pki.remove_anchor(anchor.fingerprint, who="anna")


def test_an_own_certificate_is_known_by_whom_it_is_shown(pki: Pki, wall: ManualClock) -> None:
    made = issued(pki, wall)

    def shown() -> Peer:
        return identify(
            made.certificate,
            (),
            manufacturers={},
            operational=pki.operational_trust(),
            now=wall.now(),
        )

    found = shown()
    assert (found.uid, found.credential) == ("D1", Credential.OPERATIONAL)
    pki.revoke(made.serial, "superseded", when=wall.now(), who="anna")
    with pytest.raises(SecurityError) as caught:
        shown()
    assert caught.value.code == "certificate.revoked"


def test_only_an_authority_can_be_an_anchor(pki: Pki, wall: ManualClock) -> None:
    root = maker("M", wall)
    leaf = issued(pki, wall)
    der = root.certificate.public_bytes(Encoding.DER)
    wrong = {
        "not an authority": leaf.chain[0],
        "is not a certificate": b"?",
        "has expired": maker("M", wall, age=101).certificate_pem(),
        "one certificate wanted": pki.devices_pem() + pki.root_pem(),
        "at most": der + bytes(20_000),
        "of this head-end": pki.root_pem(),
        "an authority of this": pki.devices_pem(),
    }
    for message, text in wrong.items():
        with pytest.raises(RequestError, match=message) as caught:
            pki.add_anchor("M", text, who="anna")
        assert caught.value.code == "request.anchor"
    for name in ("", " ", "M" * 65, "M\0"):
        with pytest.raises(RequestError):
            pki.add_anchor(name, der, who="anna")
    pki.add_anchor("M", der, who="anna")
    with pytest.raises(RequestError, match="already"):
        pki.add_anchor("Another", der, who="anna")


def test_there_are_so_many_anchors_at_most(
    pki: Pki, wall: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "ANCHORS", 1)
    pki.add_anchor("M", maker("M", wall).certificate_pem(), who="anna")
    with pytest.raises(RequestError, match="there are 1 trust anchors"):
        pki.add_anchor("N", maker("N", wall).certificate_pem(), who="anna")


def list_of(root: Identity, wall: ManualClock, *serials: int, age: float = 0) -> bytes:
    start = wall.now() - age * DAY
    revoked = [Revoked(serial, start) for serial in serials]
    made = make_crl(root, revoked, number=1, validity=Validity(start, start + 10 * DAY))
    return made.public_bytes(Encoding.DER)


def test_a_manufacturers_own_list_is_believed(pki: Pki, wall: ManualClock) -> None:
    root, other = maker("M", wall), maker("M", wall)
    pki.add_anchor("M", other.certificate_pem(), who="anna")
    pki.add_anchor("M", root.certificate_pem(), who="anna")
    key, long = new_key().public_key(), lasting(50, now=wall.now())
    leaf = issue_ldevid(root, "D1", "urn:x", key, serial=5, validity=long)
    neighbour = issue_ldevid(other, "D2", "urn:x", key, serial=5, validity=long)

    def judged(certificate: x509.Certificate) -> str:
        trust = pki.manufacturer_trusts()["M"]
        try:
            verify(certificate, (), trust, purpose=Purpose.CLIENT, now=wall.now())
        except SecurityError as error:
            return error.code
        return "good"

    assert judged(leaf) == "good"
    assert pki.take_anchor_list(list_of(root, wall, 9, age=1), who="anna").listed
    assert judged(leaf) == "good"
    pki.take_anchor_list(list_of(root, wall, 5), who="anna")
    assert judged(leaf) == "certificate.revoked"
    assert judged(neighbour) == "good"
    for text, message in {
        list_of(root, wall, age=2): "older",
        list_of(root, wall, age=11): "over",
        list_of(maker("M", wall), wall): "no trust anchor",
        b"?": "not a list",
        bytes(5 << 20): "at most",
    }.items():
        with pytest.raises(RequestError, match=message):
            pki.take_anchor_list(text, who="anna")
    wall.advance(11 * DAY)
    later = issue_ldevid(root, "D3", "urn:x", key, serial=6, validity=long)
    assert judged(later) == "certificate.crl"


def test_tls_believes_makers_and_ourselves(pki: Pki, wall: ManualClock) -> None:
    pki.add_anchor("M", maker("M", wall).certificate_pem(), who="anna")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=pki.tls_authorities().decode())
    assert len(context.get_ca_certs()) == 3


def test_an_operators_certificate_is_issued_and_noted(
    pki: Pki, house: House, wall: ManualClock
) -> None:
    key = new_key()
    made = pki.issue_operator("anna", key.public_key(), who="boss", now=wall.now())
    assert Identity.from_pem(key_pem(key) + made.pem()).certificate == made.certificate
    (entry,) = house.store.audit.list(subject="anna").items
    assert (entry.who, entry.what) == ("boss", f"certificate.issued {made.serial:x}")
    for name in ("", "a" * 65, "a\n"):
        with pytest.raises(RequestError):
            pki.issue_operator(name, key.public_key(), who="boss", now=wall.now())


def test_the_lifetime_of_certificates_is_a_setting(house: House, wall: ManualClock) -> None:
    short = house.pki(device_certificate_days=7)
    ends = issued(short, wall).certificate.not_valid_after_utc.timestamp()
    assert 6.9 < (ends - wall.now()) / DAY < 7.1
    devices = authorities_of(house.home).devices.certificate.not_valid_after_utc.timestamp()
    late = short.issue_device("D1", new_key().public_key(), now=devices - DAY)
    assert late.certificate.not_valid_after_utc.timestamp() == devices


def test_what_is_about_to_end_is_found(pki: Pki, wall: ManualClock) -> None:
    renewed, forgotten = issued(pki, wall), issued(pki, wall, "D2")
    pki.enroll("D3", now=wall.now())
    wall.advance(350 * DAY)
    pki.revoke(renewed.serial, "superseded", when=wall.now(), who="anna")

    def ending(days: float) -> list[int]:
        return [record.serial for record in pki.certificates(ending_days=days).items]

    assert ending(30) == [forgotten.serial]
    assert ending(10) == []
    wall.advance(20 * DAY)
    assert ending(30) == []


def test_what_has_expired_is_found_or_left_out(pki: Pki, wall: ManualClock) -> None:
    first, revoked = issued(pki, wall), issued(pki, wall, "D2")
    pki.revoke(revoked.serial, "superseded", when=wall.now(), who="anna")
    wall.advance(300 * DAY)
    later = issued(pki, wall)

    def found(*, expired: bool | None = None, gone: bool | None = None) -> set[int]:
        page = pki.certificates(kind=CertificateKind.DEVICE, expired=expired, revoked=gone)
        return {record.serial for record in page.items}

    assert found(expired=True) == set()
    wall.advance(100 * DAY)
    assert found(expired=True) == {first.serial, revoked.serial}
    assert found(expired=True, gone=False) == {first.serial}
    assert found(expired=False) == {later.serial}
    assert found() == {first.serial, revoked.serial, later.serial}
    soon = pki.certificates(expired=False, ending_days=300, kind=CertificateKind.DEVICE)
    assert [record.serial for record in soon.items] == [later.serial]
    with pytest.raises(RequestError) as caught:
        pki.certificates(expired=True, ending_days=5)
    assert caught.value.code == "request.expired"


def test_what_ended_long_ago_is_forgotten(
    pki: Pki, house: House, wall: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pki_module, "FORGOTTEN", 1)
    old = [issued(pki, wall).serial for _ in range(3)]
    wall.advance(364 * DAY)
    good = issued(pki, wall).serial
    wall.advance(90 * DAY)
    pki.forget()
    assert [pki.certificate(serial).serial for serial in old] == old
    wall.advance(2 * DAY)
    pki.forget()
    left = {record.serial for record in house.store.certificates.list(subject="D1").items}
    assert left == {good}


def numbers(pki: Pki) -> set[int]:
    return {one.serial_number for one in x509.load_der_x509_crl(pki.crl("devices"))}


def test_what_is_revoked_is_listed_once_after_its_end(pki: Pki, wall: ManualClock) -> None:
    """RFC 5280 3.3, also where nobody asked for a list between its revocation and its end."""
    one = issued(pki, wall).serial
    wall.advance(360 * DAY)
    late = issued(pki, wall, "D2").serial
    assert numbers(pki) == set()
    pki.revoke(one, "superseded", when=wall.now(), who="anna")
    pki.revoke(late, "superseded", when=wall.now(), who="anna")
    wall.advance(6 * DAY)
    assert numbers(pki) == {one, late}
    wall.advance(7 * DAY)
    assert numbers(pki) == {late}


def test_a_revocation_does_not_copy_all_that_there_are(pki: Pki, wall: ManualClock) -> None:
    known = pki.operational_trust().revoked
    serial = issued(pki, wall).serial
    pki.revoke(serial, "superseded", when=wall.now(), who="anna")
    pki.look("D1")
    assert serial in known
    assert pki.operational_trust().revoked is known


def test_numbers_are_read_as_people_write_them() -> None:
    assert serial_number("0A:1b") == serial_number("a1b") == 0xA1B
    for text in ("", "xyz", "1" * 41, "-1", "0x1"):
        with pytest.raises(NotFoundError):
            serial_number(text)
