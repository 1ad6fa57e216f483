"""The authorities' keys rest in the vault, also those of an installation that had them in files."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.headend import settings_in
from tests.support.killed import run_and_kill
from tests.support.pki import authorities_of

from openami.core.errors import ConfigError
from openami.crypto.certificates import Identity, make_authority, make_root
from openami.fleet.certificates import AuthorityName
from openami.headend.files import write_whole
from openami.headend.installation import Installation, open_installation
from openami.headend.offline import open_offline
from openami.headend.security.authorities import Authorities, lasting, new_key, open_authorities
from openami.store.vault import FileVault

NOW = time.time()


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return open_installation(tmp_path / "headend")


def old_files(home: Installation) -> tuple[Identity, Identity]:
    """Put an installation's authorities where they were before there was a vault for them."""
    validity = lasting(100, now=NOW)
    root = make_root("openami root", new_key(), serial=1, validity=validity)
    devices = make_authority(root, "openami devices", new_key(), serial=2, validity=validity)
    write_whole(home.pki / "root.pem", root.pem())
    write_whole(home.pki / "devices.pem", devices.pem())
    write_whole(home.authority, root.certificate_pem())
    return root, devices


def shown(authorities: Authorities) -> Sequence[bytes]:
    return [authorities.of(name).certificate.public_bytes(Encoding.DER) for name in AuthorityName]


def left(home: Installation) -> list[str]:
    return [path.name for path in home.pki.iterdir()]


def test_each_authority_is_signed_by_the_root(home: Installation) -> None:
    made = authorities_of(home)
    for name in AuthorityName:
        made.of(name).certificate.verify_directly_issued_by(made.root.certificate)
    assert shown(authorities_of(home)) == shown(made)


def test_no_key_rests_in_the_clear(tmp_path: Path) -> None:
    with open_offline(settings_in(tmp_path)) as offline:
        made = authorities_of(offline.home)
        secrets = [
            made.of(name).key.private_numbers().private_value.to_bytes(32, "big")
            for name in AuthorityName
        ]
        assert "PRIVATE" not in repr(offline)
        assert "PRIVATE" not in repr(made)
        for path in offline.home.root.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert b"PRIVATE KEY" not in content, path
            assert not any(secret in content for secret in secrets), path


def test_the_keys_of_an_older_installation_move_into_the_vault(home: Installation) -> None:
    root, devices = old_files(home)
    moved = authorities_of(home)
    assert moved.root.certificate == root.certificate
    assert moved.devices.certificate == devices.certificate
    assert moved.devices.key.private_numbers() == devices.key.private_numbers()
    assert left(home) == []
    assert shown(authorities_of(home)) == shown(moved)


@pytest.mark.parametrize("keys", [1, 2, 3, 4])
def test_a_move_that_was_killed_is_finished(home: Installation, keys: int) -> None:
    root, devices = old_files(home)
    chance = random.Random(keys)
    arguments = (str(home.root), str(keys))
    lines = run_and_kill("tests.support.pki_child", *arguments, after_lines=keys, chance=chance)
    assert lines[:2] == ["authority root key", "authority devices key"][:keys]
    moved = authorities_of(home)
    assert moved.root.certificate == root.certificate
    assert moved.devices.certificate == devices.certificate
    assert left(home) == []


def test_a_first_start_that_was_killed_is_finished(home: Installation) -> None:
    chance = random.Random(1)
    run_and_kill("tests.support.pki_child", str(home.root), "2", after_lines=2, chance=chance)
    made = authorities_of(home)
    made.servers.certificate.verify_directly_issued_by(made.root.certificate)
    made.devices.certificate.verify_directly_issued_by(made.root.certificate)


def test_two_that_start_at_once_make_one_root(home: Installation) -> None:
    with (
        closing(FileVault(home.vault, kek=home.kek)) as one,
        closing(FileVault(home.vault, kek=home.kek)) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        made = list(pool.map(lambda vault: open_authorities(home, vault, now=NOW), (one, other)))
    assert shown(made[0]) == shown(made[1])


def test_another_root_in_a_file_is_not_thrown_away(home: Installation) -> None:
    authorities_of(home)
    other = make_root("other", new_key(), serial=1, validity=lasting(1, now=NOW))
    write_whole(home.pki / "root.pem", other.pem())
    with pytest.raises(ConfigError, match="holds another authority") as caught:
        authorities_of(home)
    assert caught.value.code == "config.pki"
    assert left(home) == ["root.pem"]


def test_a_lost_vault_does_not_bring_a_new_root(home: Installation) -> None:
    made = authorities_of(home)
    write_whole(home.authority, made.root.certificate_pem())
    home.vault.unlink()
    with pytest.raises(ConfigError, match="does not hold its key"):
        authorities_of(home)


def test_an_authority_ends_with_its_root(home: Installation) -> None:
    root, _ = old_files(home)
    made = authorities_of(home)
    assert made.servers.certificate.not_valid_after_utc == root.certificate.not_valid_after_utc
