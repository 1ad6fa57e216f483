from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openami.cli.secrets import gather
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

GUEK = "000102030405060708090A0B0C0D0E0F"
GAK = "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GUEK", "GAK", "DEDICATED", "GBEK", "METER_PASSWORD"):
        monkeypatch.delenv(f"OPENAMI_{name}", raising=False)


def test_options_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(
        f'guek = "{"AA" * 16}"\ngak = "{"BB" * 16}"\ndedicated = "{"CC" * 16}"\n'
        'password = "from the file"\nsystem_title = "4D4D4D0000000001"\n'
    )
    monkeypatch.setenv("OPENAMI_GAK", GAK)
    monkeypatch.setenv("OPENAMI_GUEK", "DD" * 16)
    found = gather([f"guek={GUEK}"], key_file=file)
    assert found.keys["guek"].hex().upper() == GUEK
    assert found.keys["gak"].hex().upper() == GAK
    assert found.keys["dedicated"] == b"\xcc" * 16
    assert found.password == b"from the file"
    assert found.system_title == bytes.fromhex("4D4D4D0000000001")


def test_a_password_file_wins_and_loses_its_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAMI_METER_PASSWORD", "environment")
    assert gather().password == b"environment"
    (tmp_path / "p").write_bytes(b"secret\r\n")
    assert gather(password_file=tmp_path / "p").password == b"secret"


@pytest.mark.parametrize(
    "pair", ["guek", f"other={GUEK}", "guek=00", "guek=not hexadecimal", "guek="]
)
def test_a_wrong_key_is_refused_without_being_named(pair: str) -> None:
    with pytest.raises(ConfigError) as caught:
        gather([pair])
    value = pair.partition("=")[2]
    assert not value or value not in str(caught.value)


def test_a_broken_file_does_not_leak_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f"guek = {GUEK}\n")
    with pytest.raises(ConfigError) as caught:
        gather(key_file=file)
    assert GUEK not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(ConfigError, match="No such file"):
        gather(key_file=tmp_path / "absent.toml")


def test_secrets_are_not_in_the_repr() -> None:
    assert GUEK not in repr(gather([f"guek={GUEK}"])).upper()


@pytest.mark.parametrize("title", ["00", "zz" * 8])
def test_a_system_title_has_eight_octets(title: str) -> None:
    with pytest.raises(ConfigError):
        gather(system_title=title)
