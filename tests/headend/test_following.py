"""Authorities that follow each other, and certificates over the years."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.pki import House

from openami.core.clock import ManualClock
from openami.core.errors import NotFoundError, SecurityError
from openami.headend.errors import RequestError
from openami.headend.installation import publish
from openami.headend.security import authorities
from openami.headend.security.authorities import DAY, new_key
from openami.headend.security.issued import IssuedCertificate
from openami.headend.security.pki import Pki

YEAR = 365 * DAY


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


def issued(pki: Pki, wall: ManualClock, uid: str = "D1") -> IssuedCertificate:
    return pki.issue_device(uid, new_key().public_key(), now=wall.now())


def judged(pki: Pki, made: IssuedCertificate, wall: ManualClock) -> str:
    try:
        pki.check(made.certificate, now=wall.now())
    except SecurityError as error:
        return error.code
    return "good"


def listed(crl: bytes) -> set[int]:
    return {entry.serial_number for entry in x509.load_der_x509_crl(crl)}


def test_who_follows_signs_and_what_was_signed_before_stays_good(
    house: House, pki: Pki, wall: ManualClock
) -> None:
    old = issued(pki, wall)
    assert pki.follow("devices") == "devices-2"
    new = issued(pki, wall)
    assert [judged(pki, one, wall) for one in (old, new)] == ["good", "good"]
    shown = pki.authorities()
    assert list(shown) == ["root", "devices", "devices-2", "servers", "operators"]
    for made, by in ((old, "devices"), (new, "devices-2")):
        made.certificate.verify_directly_issued_by(shown[by])
        assert pki.certificate(made.serial).authority == by
        assert pki.chain(made.serial) == made.chain
    shown["devices-2"].verify_directly_issued_by(shown["root"])
    # After a restart all is as before.
    assert dict(house.pki().authorities()) == dict(shown)
    assert pki.follow("devices") == "devices-3"
    assert len(x509.load_pem_x509_certificates(pki.devices_pem())) == 3


def test_each_lists_what_it_has_revoked(pki: Pki, wall: ManualClock) -> None:
    old = issued(pki, wall)
    pki.follow("devices")
    new = issued(pki, wall)
    for made in (old, new):
        pki.revoke(made.serial, "superseded", when=wall.now(), who="anna")
        assert judged(pki, made, wall) == "certificate.revoked"
    for made, by in ((old, "devices"), (new, "devices-2")):
        crl = x509.load_der_x509_crl(pki.crl(by))
        assert listed(pki.crl(by)) == {made.serial}
        assert crl.issuer == pki.authorities()[by].subject == made.certificate.issuer
        assert crl.is_signature_valid(pki.authorities()[by].public_key())  # type: ignore[arg-type] # on P-256
    with pytest.raises(NotFoundError):
        pki.crl("devices-3")


def test_a_process_that_runs_takes_over_who_follows(
    house: House, pki: Pki, wall: ManualClock
) -> None:
    told: list[bytes] = []
    pki.watch_trust(lambda: told.append(pki.devices_pem()))
    house.pki().follow("devices")
    pki.refresh()
    pki.refresh()
    assert told == [house.pki().devices_pem()]
    assert pki.certificate(issued(pki, wall).serial).authority == "devices-2"


def test_servers_get_a_certificate_of_who_follows(
    house: House, pki: Pki, wall: ManualClock
) -> None:
    def served() -> x509.Certificate:
        publish(house.home, pki, now=wall.now())
        certificate, authority = x509.load_pem_x509_certificates(house.home.server.read_bytes())
        certificate.verify_directly_issued_by(authority)
        return certificate

    first = served()
    assert served() == first
    pki.follow("servers")
    assert served().issuer == pki.authorities()["servers-2"].subject


@pytest.mark.parametrize("name", ["root", "devices-2", "nobody"])
def test_not_everything_can_be_followed(pki: Pki, name: str) -> None:
    with pytest.raises(RequestError if name == "root" else NotFoundError):
        pki.follow(name)
    assert "devices-2" not in pki.authorities()


def test_there_are_not_too_many(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "FOLLOWING", 2)
    pki.follow("servers")
    with pytest.raises(RequestError) as caught:
        pki.follow("servers")
    assert caught.value.code == "request.authority"


def test_the_years_of_a_device_and_of_its_authorities(pki: Pki, wall: ManualClock) -> None:
    """A device renews its certificate; before the authority ends another follows it."""
    ends = pki.authorities()["devices"].not_valid_after_utc.timestamp()
    wall.set(ends - YEAR / 2)
    short = issued(pki, wall)
    assert short.certificate.not_valid_after_utc.timestamp() == ends, "it cannot outlive its issuer"
    pki.follow("devices")
    renewed = issued(pki, wall)
    assert renewed.certificate.not_valid_after_utc.timestamp() == wall.now() + YEAR
    assert judged(pki, short, wall) == "good"
    wall.set(ends + 1)
    pki.refresh()
    assert [judged(pki, one, wall) for one in (short, renewed)] == ["certificate.expired", "good"]
    shown = pki.authorities()
    assert shown["devices-2"].not_valid_after_utc > shown["devices"].not_valid_after_utc


def test_an_authority_that_is_over_vouches_for_nothing_and_lists_nothing(
    house: House, pki: Pki, wall: ManualClock
) -> None:
    made = issued(pki, wall)
    pki.revoke(issued(pki, wall, "D2").serial, "superseded", when=wall.now(), who="anna")
    assert len(listed(pki.crl("devices"))) == 1
    ends = pki.authorities()["devices"].not_valid_after_utc.timestamp()
    wall.set(ends - DAY)
    last = issued(pki, wall, "D3")
    crl = x509.load_der_x509_crl(pki.crl("devices"))
    assert crl.next_update_utc is not None
    assert crl.next_update_utc.timestamp() == ends, "no list is longer in force than who signed it"
    assert pki.crl("devices") == crl.public_bytes(Encoding.DER), "and it is not made again for that"
    wall.set(ends + 1)
    assert {judged(pki, one, wall) for one in (made, last)} == {"certificate.expired"}
    for asked in (pki, house.pki()):
        with pytest.raises(NotFoundError, match="over"):
            asked.crl("devices")
