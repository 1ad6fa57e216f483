"""The first start makes an installation, and every later one finds it."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from pydantic import SecretStr
from tests.support.pki import authorities_of

from openami.core.clock import ManualClock, utc
from openami.core.errors import ConfigError
from openami.crypto.certificates import Identity, names_of
from openami.headend.files import write_whole
from openami.headend.installation import (
    Installation,
    first_password,
    open_installation,
    publish,
    read_password,
)
from openami.headend.security.pki import Pki
from openami.headend.settings import HeadendSettings
from openami.headend.stores import open_records, open_stores
from openami.store.relational import RelationalStore

NOW = 1_790_000_000.0
DAY = 86_400
NAMES = ("head.example", "192.0.2.1")


@contextmanager
def opened(root: Path, *, names: tuple[str, ...] = NAMES, now: float = NOW) -> Iterator[Pki]:
    """Start what a head-end starts with, as its first steps."""
    home = open_installation(root)
    with open_records(home) as records:
        settings = HeadendSettings(state=root)
        pki = Pki.open(
            home, records.certificates, records.vault, settings=settings, wall=ManualClock(now)
        )
        publish(home, pki, names=names, now=now)
        yield pki


def start(root: Path, *, names: tuple[str, ...] = NAMES, now: float = NOW) -> Installation:
    with opened(root, names=names, now=now):
        return Installation(root)


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return start(tmp_path / "state")


def contents(home: Installation) -> dict[str, bytes]:
    files = (home.server, home.authority, home.clients, home.kek)
    return {str(path): path.read_bytes() for path in files}


def server_of(home: Installation) -> x509.Certificate:
    return Identity.from_pem(home.server.read_bytes()).certificate


def test_private_files_are_their_owners_only(home: Installation) -> None:
    modes = {home.root: 0o700, home.pki: 0o700, home.server: 0o600, home.kek: 0o600}
    for path, mode in {**modes, home.authority: 0o644, home.clients: 0o644}.items():
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert [path.name for path in home.pki.iterdir()] == ["server.pem"]


def test_a_second_start_changes_nothing(home: Installation) -> None:
    before = contents(home)
    start(home.root, names=("head.example",), now=NOW + DAY)
    assert contents(home) == before


@pytest.mark.parametrize("lost", ["pki/server.pem", "ca.pem", "clients.pem"])
def test_what_a_killed_start_did_not_make_is_made(home: Installation, lost: str) -> None:
    before = authorities_of(home)
    (home.root / lost).unlink()
    start(home.root)
    assert (home.root / lost).exists()
    assert authorities_of(home).root.certificate == before.root.certificate
    verify_dcu(home, "D1")


def test_the_servers_certificate_follows_names_and_time(home: Installation) -> None:
    first = server_of(home)
    assert names_of(first) == {"localhost", "127.0.0.1", "::1", "head.example", "192.0.2.1"}
    start(home.root, names=("other.example",))
    second = server_of(home)
    assert "other.example" in names_of(second)
    start(home.root, names=("other.example",), now=NOW + 380 * DAY)
    third = server_of(home)
    assert third.not_valid_after_utc.timestamp() > NOW + 680 * DAY
    assert third != second


def test_a_revoked_servers_certificate_is_replaced(home: Installation) -> None:
    first = server_of(home)
    with opened(home.root) as pki:
        pki.revoke(first.serial_number, "keyCompromise", when=NOW, who="anna")
    start(home.root)
    assert server_of(home) != first


def test_the_server_is_verified_by_name(home: Installation) -> None:
    server, authority = x509.load_pem_x509_certificates(home.server.read_bytes())
    verifier = (
        PolicyBuilder()
        .store(Store(x509.load_pem_x509_certificates(home.authority.read_bytes())))
        .time(utc(NOW))
        .build_server_verifier(x509.DNSName("head.example"))
    )
    assert verifier.verify(server, [authority])[0] == server


def verify_dcu(home: Installation, dcu: str) -> x509.Certificate:
    with opened(home.root) as pki:
        credentials = pki.enroll(dcu, now=NOW)
    leaf, authority = x509.load_pem_x509_certificates(credentials.certificate)
    root = x509.load_pem_x509_certificates(credentials.authority)
    verifier = PolicyBuilder().store(Store(root)).time(utc(NOW)).build_client_verifier()
    verified = verifier.verify(leaf, [authority])
    assert verified.subjects == [x509.UniformResourceIdentifier(f"urn:openami:dcu:{dcu}")]
    return leaf


def test_a_dcus_certificate_says_who_it_is(home: Installation) -> None:
    leaf = verify_dcu(home, "DCU-7")
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    with opened(home.root) as pki:
        credentials = pki.enroll("DCU-7", now=NOW)
        assert Identity.from_pem(credentials.key + credentials.certificate)
        assert "PRIVATE" not in repr(credentials)
        with pytest.raises(ConfigError) as caught:
            pki.enroll("../etc", now=NOW)
    assert caught.value.code == "config.dcu"


def test_the_first_password_is_kept_until_changed(home: Installation) -> None:
    password = first_password(home)
    assert len(password) == 20
    assert first_password(home) == password
    assert stat.S_IMODE(home.admin_password.stat().st_mode) == 0o600


def test_a_password_file_must_hold_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_password(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError):
        read_password(tmp_path / "empty")
    (tmp_path / "good").write_text("correct horse\nsecond line")
    assert read_password(tmp_path / "good") == "correct horse"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"\xff\xfe"])
def test_a_damaged_key_file_is_a_config_error(home: Installation, content: bytes) -> None:
    home.server.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        start(home.root)
    assert caught.value.code == "config.pki"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert target.read_bytes() == b"old"


def test_a_database_of_another_installation_is_refused(tmp_path: Path) -> None:
    first, second = (open_installation(tmp_path / name) for name in ("first", "second"))
    database = SecretStr(f"sqlite:///{first.database}")
    with open_stores(first):
        pass
    with open_stores(first, database):  # its own, named otherwise
        pass
    for opening in (open_stores, open_records):
        with pytest.raises(ConfigError) as raised, opening(second, database):
            pytest.fail("it was opened")
        assert raised.value.code == "config.installation"
    name = first.name.read_text().strip()
    assert name in raised.value.message
    assert f"put {name} into {second.name}" in (raised.value.hint or "")
    # Who means it takes its place.
    second.name.write_text(f"{name}\n")
    with open_stores(second, database):
        pass
    second.name.write_text("\n")
    with pytest.raises(ConfigError) as raised, open_records(second):
        pytest.fail("it was opened")
    assert raised.value.code == "config.installation"


def test_a_database_from_before_it_had_a_name_becomes_the_folders(tmp_path: Path) -> None:
    home = open_installation(tmp_path / "state")
    RelationalStore.open(home.database).close()
    with open_stores(home), open_records(home):  # and a command beside the head-end
        pass
    assert stat.S_IMODE(home.name.stat().st_mode) == 0o600
    with (
        pytest.raises(ConfigError),
        open_records(
            open_installation(tmp_path / "other"), SecretStr(f"sqlite:///{home.database}")
        ),
    ):
        pytest.fail("it was opened")
