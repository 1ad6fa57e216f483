"""The vault of secrets."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConfigError, NotFoundError, SecurityError, StoreError
from openami.store import vault as module
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from pathlib import Path

SECRET = bytes(range(16))


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return opened(tmp_path)


def opened(folder: Path) -> FileVault:
    return FileVault(folder / "vault", kek=folder / "kek")


def test_secrets_are_found_by_owner_and_name(vault: FileVault) -> None:
    vault.put("meter", "A1", "guek", SECRET)
    vault.put("meter", "A1", "gak", b"")
    vault.put("meter", "A2", "guek", b"other")
    vault.put("meter", "A1", "guek", SECRET[::-1])
    assert vault.get("meter", "A1", "guek") == SECRET[::-1]
    assert vault.find("meter", "A1") == {"gak": b"", "guek": SECRET[::-1]}
    assert vault.find("dcu", "A1") == {}
    vault.delete("meter", "A1", "guek")
    vault.delete("meter", "A1", "guek")
    with pytest.raises(NotFoundError):
        vault.get("meter", "A1", "guek")
    vault.close()


def test_secrets_outlive_a_restart_and_rest_only_encrypted(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put("meter", "A1", "guek", SECRET)
    vault.close()
    assert SECRET not in (tmp_path / "vault").read_bytes()
    assert SECRET.hex() not in (tmp_path / "kek").read_text()
    assert (tmp_path / "kek").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o600
    again = opened(tmp_path)
    assert again.get("meter", "A1", "guek") == SECRET
    assert SECRET.hex() not in repr(again)
    again.close()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    opened(tmp_path).close()
    (tmp_path / "kek").chmod(mode)
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path)
    assert refused.value.code == "vault.kek"


@pytest.mark.parametrize("text", ["", "x", "0" * 16 + " " + "0" * 63 + "\n", "é\n"])
def test_what_is_no_key_file_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "kek").write_text(text, "utf-8")
    (tmp_path / "kek").chmod(0o600)
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path)
    assert not text.strip() or text.strip() not in str(refused.value).replace("kek", "")


def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kek").mkdir()
    with pytest.raises(ConfigError):
        opened(tmp_path)
    with pytest.raises(StoreError):
        FileVault(tmp_path / "vault", kek=tmp_path / "none" / "kek")


def test_a_sealed_secret_opens_only_where_it_belongs(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put("meter", "A1", "guek", SECRET)
    vault.put("meter", "A2", "guek", SECRET)
    vault.close()
    with sqlite3.connect(tmp_path / "vault") as connection:
        connection.execute(
            "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE owner = 'A2')"
            " WHERE owner = 'A1'"
        )
    connection.close()
    again = opened(tmp_path)
    with pytest.raises(SecurityError):
        again.get("meter", "A1", "guek")
    assert again.get("meter", "A2", "guek") == SECRET
    again.close()


def test_another_key_file_opens_nothing(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.put("meter", "A1", "guek", SECRET)
    vault.close()
    FileVault(tmp_path / "other", kek=tmp_path / "other kek").close()
    (tmp_path / "other kek").replace(tmp_path / "kek")
    again = opened(tmp_path)
    with pytest.raises(SecurityError) as refused:
        again.find("meter", "A1")
    assert refused.value.code == "vault.kek"
    again.close()


def test_a_vault_without_its_key_file_gets_no_new_one(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "kek").unlink()
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path)
    assert refused.value.code == "vault.kek"
    assert not (tmp_path / "kek").exists()


def test_who_makes_the_key_file_second_takes_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first = module._written, []

    def overtaken(file: Path, keks: dict[str, bytes]) -> Path:
        monkeypatch.setattr(module, "_written", real)
        first.append(opened(tmp_path))
        first[0].put("meter", "A1", "guek", SECRET)
        return real(file, keks)

    monkeypatch.setattr(module, "_written", overtaken)
    second = opened(tmp_path)
    assert second.get("meter", "A1", "guek") == SECRET
    second.put("meter", "A2", "guek", SECRET)
    assert first[0].get("meter", "A2", "guek") == SECRET
    assert {file.name.partition("-")[0] for file in tmp_path.iterdir()} == {"kek", "vault"}
    first[0].close()
    second.close()


def test_the_key_may_be_changed_while_another_has_the_vault_open(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.put("meter", "A1", "guek", SECRET)
    other.rotate()
    one.put("meter", "A2", "guek", SECRET)
    other.rotate()
    assert one.find("meter", "A1") == one.find("meter", "A2") == {"guek": SECRET}
    one.rotate()
    assert other.get("meter", "A2", "guek") == SECRET
    assert len((tmp_path / "kek").read_text().splitlines()) == 1
    one.close()
    other.close()


def test_the_key_is_changed_under_all_secrets(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    for n in range(5):
        vault.put("meter", f"A{n}", "guek", bytes([n]) * 16)
    before = (tmp_path / "kek").read_text()
    assert vault.rotate() == 5
    after = (tmp_path / "kek").read_text()
    assert len(after.splitlines()) == 1
    assert after != before
    assert vault.get("meter", "A3", "guek") == b"\3" * 16
    vault.close()
    again = opened(tmp_path)
    assert again.get("meter", "A4", "guek") == b"\4" * 16
    again.close()


@pytest.mark.parametrize("step", [1, 2])
def test_a_change_of_the_key_may_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At either writing of the key file: every secret opens before and after a second try."""
    vault = opened(tmp_path)
    vault.put("meter", "A1", "guek", SECRET)
    real, calls = module._write, []

    def fails(file: Path, keks: dict[str, bytes]) -> None:
        calls.append(file)
        if len(calls) == step:
            raise StoreError("the power went")
        real(file, keks)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", fails)
        with pytest.raises(StoreError):
            vault.rotate()
    vault.close()
    again = opened(tmp_path)
    assert again.get("meter", "A1", "guek") == SECRET
    again.rotate()
    assert again.get("meter", "A1", "guek") == SECRET
    assert len((tmp_path / "kek").read_text().splitlines()) == 1
    again.close()
