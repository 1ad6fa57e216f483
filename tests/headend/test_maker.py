"""A manufacturer's tools make what devices need to register."""

import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.support.hardware import hardware_of
from tests.support.repositories import Office

from openami.cli.main import main
from openami.core.errors import ConfigError, SecurityError
from openami.crypto.certificates import NO_EXPIRY, Purpose, uid_of
from openami.crypto.chains import Trust, verify
from openami.fleet.expected import read_expected
from openami.headend.security.maker import DeviceType, make_device, make_maker, numbered

NOW = 1_800_000_000.0
URL = "https://headend.example:8445"


@pytest.fixture
def maker(tmp_path: Path) -> Path:
    make_maker(tmp_path / "maker", "Example Works", now=NOW)
    return tmp_path / "maker"


def kind(maker: Path, url: str = URL) -> DeviceType:
    return DeviceType(url, (maker / "anchor.pem").read_bytes())


def test_a_factory_identity_is_one(maker: Path, tmp_path: Path) -> None:
    make_device(maker, "DCU-1", kind(maker, URL + "/"), tmp_path / "d", now=NOW)
    folder = tmp_path / "d"
    assert sorted(path.name for path in folder.iterdir()) == [
        "authority.pem",
        "certificate.pem",
        "device.toml",
        "key.pem",
    ]
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    leaf = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert key.public_key() == leaf.public_key()
    assert uid_of(leaf.subject) == "DCU-1"
    assert leaf.not_valid_after_utc.timestamp() == NO_EXPIRY
    module = hardware_of(leaf)
    assert module is not None
    assert module.serial == b"DCU-1"
    anchor = x509.load_pem_x509_certificate((maker / "anchor.pem").read_bytes())
    verify(leaf, (), Trust((anchor,)), purpose=Purpose.CLIENT, now=NOW)
    with pytest.raises(SecurityError):
        verify(leaf, (), Trust((anchor,)), purpose=Purpose.SERVER, now=NOW)
    assert tomllib.loads((folder / "device.toml").read_text()) == {
        "uid": "DCU-1",
        "security_url": URL,
        "maker": "Example Works",
        "model": "OA-DCU",
        "hardware": "1",
    }


def test_a_device_knows_by_whom_packages_are(maker: Path, tmp_path: Path) -> None:
    office = Office()
    office.publish()
    told = replace(kind(maker), packages=office.roots[0])
    make_device(maker, "DCU-1", told, tmp_path / "d", now=NOW)
    assert (tmp_path / "d" / "1.root.json").read_bytes() == office.roots[0]
    for wrong in (b"{}", office.roots[0].replace(b"sig", b"gis")):
        with pytest.raises(ConfigError, match="no root"):
            make_device(maker, "DCU-2", replace(told, packages=wrong), tmp_path / "e", now=NOW)


def test_a_maker_is_made_once(maker: Path) -> None:
    before = (maker / "maker.pem").read_bytes()
    assert stat.S_IMODE((maker / "maker.pem").stat().st_mode) == 0o600
    (maker / "anchor.pem").unlink()
    make_maker(maker, "Example Works", now=NOW + 1)
    assert (maker / "maker.pem").read_bytes() == before
    assert (maker / "anchor.pem").read_bytes() in before
    with pytest.raises(ConfigError, match="belongs to Example Works"):
        make_maker(maker, "Another", now=NOW)


def test_a_factory_identity_is_never_overwritten(maker: Path, tmp_path: Path) -> None:
    make_device(maker, "DCU-1", kind(maker), tmp_path / "d", now=NOW)
    with pytest.raises(ConfigError, match="holds something"):
        make_device(maker, "DCU-1", kind(maker), tmp_path / "d", now=NOW)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("uid", "url", "model"),
    [
        ("../D", URL, "M"),
        ("D", "http://headend", "M"),
        ("D", "https://", "M"),
        ("D", URL, ""),
        ("D", URL, "M" * 65),
        ("D", URL, 'M"\n'),
    ],
)
def test_what_no_device_can_be_is_refused(
    maker: Path, tmp_path: Path, uid: str, url: str, model: str
) -> None:
    wanted = DeviceType(url, (maker / "anchor.pem").read_bytes(), model)
    with pytest.raises(ConfigError) as caught:
        make_device(maker, uid, wanted, tmp_path / "d", now=NOW)
    assert caught.value.code == "config.maker"
    assert not (tmp_path / "d").exists()


def test_no_trust_no_maker(maker: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no certificate"):
        make_device(maker, "D", DeviceType(URL, b"?"), tmp_path / "d", now=NOW)
    with pytest.raises(ConfigError, match="no maker"):
        make_device(tmp_path / "none", "D", kind(maker), tmp_path / "d", now=NOW)


def test_uids_are_counted_on() -> None:
    assert numbered("DCU-008", 3) == ["DCU-008", "DCU-009", "DCU-010"]
    assert numbered("X", 1) == ["X"]
    with pytest.raises(ConfigError):
        numbered("X", 2)


def test_the_printed_list_is_one_of_expected_devices(
    maker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--trust", str(maker / "anchor.pem"), "--security-url", URL]
    out = tmp_path / "factory"
    made = ["pki", "factory", str(maker), "--uid", "D1", "--count", "2", "--out", str(out)]
    assert main([*made, *arguments]) == 0
    expected = read_expected(capsys.readouterr().out)
    assert [device.uid for device in expected] == ["D1", "D2"]
    for device in expected:
        pem = (out / device.uid / "certificate.pem").read_bytes()
        digest = x509.load_pem_x509_certificate(pem).fingerprint(SHA256())
        assert device.fingerprint == digest
        assert device.manufacturer == "Example Works"
    assert main([*made, *arguments]) == 2
