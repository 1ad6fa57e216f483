"""The first start makes an installation, and every later one finds it."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from openami.core.clock import utc
from openami.core.errors import ConfigError
from openami.headend import pki
from openami.headend.files import write_whole
from openami.headend.installation import (
    Installation,
    first_password,
    open_installation,
    read_password,
)

NOW = 1_790_000_000.0
DAY = 86_400


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return open_installation(tmp_path / "state", names=("head.example", "192.0.2.1"), now=NOW)


def contents(home: Installation) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(home.root.rglob("*")) if p.is_file()}


def test_private_files_are_their_owners_only(home: Installation) -> None:
    public = {home.authority, home.clients}
    for path in home.root.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o644 if path in public else 0o600), path
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_a_second_start_changes_nothing(home: Installation) -> None:
    before = contents(home)
    open_installation(home.root, names=("head.example",), now=NOW + DAY)
    assert contents(home) == before


@pytest.mark.parametrize("lost", ["pki/server.pem", "ca.pem", "clients.pem", "pki/devices.pem"])
def test_what_a_killed_start_did_not_make_is_made(home: Installation, lost: str) -> None:
    root = (home.root / "pki" / "root.pem").read_bytes()
    (home.root / lost).unlink()
    open_installation(home.root, names=("head.example", "192.0.2.1"), now=NOW)
    assert (home.root / lost).exists()
    assert (home.root / "pki" / "root.pem").read_bytes() == root
    verify_dcu(home, "D1")


def test_the_servers_certificate_follows_names_and_time(home: Installation) -> None:
    first = pki.Identity.from_pem(home.server.read_bytes()).certificate
    assert pki.names_of(first) == {"localhost", "127.0.0.1", "::1", "head.example", "192.0.2.1"}
    open_installation(home.root, names=("other.example",), now=NOW)
    second = pki.Identity.from_pem(home.server.read_bytes())
    assert "other.example" in pki.names_of(second.certificate)
    open_installation(home.root, names=("other.example",), now=NOW + 380 * DAY)
    third = pki.Identity.from_pem(home.server.read_bytes())
    assert third.days_left(NOW + 380 * DAY) > 300
    assert third.certificate != second.certificate


def test_the_server_is_verified_by_name(home: Installation) -> None:
    server = pki.Identity.from_pem(home.server.read_bytes()).certificate
    verifier = (
        PolicyBuilder()
        .store(Store(x509.load_pem_x509_certificates(home.authority.read_bytes())))
        .time(utc(NOW))
        .build_server_verifier(x509.DNSName("head.example"))
    )
    assert verifier.verify(server, [])[0] == server


def verify_dcu(home: Installation, dcu: str) -> x509.Certificate:
    credentials = home.enroll_dcu(dcu, now=NOW)
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
    credentials = home.enroll_dcu("DCU-7", now=NOW)
    assert pki.Identity.from_pem(credentials.key + credentials.certificate)
    assert "PRIVATE" not in repr(credentials)
    with pytest.raises(ConfigError) as caught:
        home.enroll_dcu("../etc", now=NOW)
    assert caught.value.code == "config.dcu"


def test_keys_show_nowhere(home: Installation) -> None:
    identity = pki.Identity.from_pem(home.server.read_bytes())
    assert "key" not in repr(identity)
    assert len(home.fingerprint()) == 95


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
        open_installation(home.root, now=NOW)
    assert caught.value.code == "config.pki"


def test_a_key_of_another_certificate_is_refused(home: Installation) -> None:
    one, two = (pki.issue_server(pki.make_root("r", now=NOW), ["a"], now=NOW) for _ in range(2))
    with pytest.raises(ConfigError):
        pki.Identity.from_pem(one.key_pem() + two.certificate_pem())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert target.read_bytes() == b"old"
