"""Settings come from a file, the environment and options, in that order."""

from pathlib import Path

import pytest

from openami.core.errors import ConfigError
from openami.headend.settings import HeadendSettings, address


def test_options_win_over_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "headend.toml"
    file.write_text('listen = "[::1]:1"\ncommit_batches = 7\nnames = ["a", "b"]\nbatch_rows = 5\n')
    monkeypatch.setenv("OPENAMI_HEADEND_COMMIT_BATCHES", "8")
    monkeypatch.setenv("OPENAMI_HEADEND_BATCH_ROWS", "6")
    settings = HeadendSettings.load(file, batch_rows=9, state=None)
    assert (settings.listen, settings.commit_batches, settings.batch_rows) == ("[::1]:1", 8, 9)
    assert settings.names == ("a", "b")
    monkeypatch.setenv("OPENAMI_HEADEND_NAMES", "x.example, y.example")
    assert HeadendSettings.load(file).names == ("x.example", "y.example")


def test_every_setting_is_described() -> None:
    for name, field in HeadendSettings.model_fields.items():
        assert field.description, name


def test_a_wrong_setting_is_named_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "headend.toml"
    file.write_text('listenn = "hunter2"\n')
    with pytest.raises(ConfigError) as caught:
        HeadendSettings.load(file)
    assert caught.value.code == "config.setting"
    assert "listenn" in caught.value.message
    assert "hunter2" not in caught.value.message
    file.write_text("[broken")
    with pytest.raises(ConfigError) as caught:
        HeadendSettings.load(file)
    assert caught.value.code == "config.file"
    monkeypatch.setenv("OPENAMI_HEADEND_LISTEN", "nowhere")
    with pytest.raises(ConfigError, match="HOST:PORT"):
        HeadendSettings.load()


def test_a_password_is_not_shown() -> None:
    settings = HeadendSettings.load(admin_password="hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:80", ("localhost", 80)),
        ("[::1]:0", ("::1", 0)),
        (":443", ("0.0.0.0", 443)),
    ],
)
def test_addresses(text: str, parts: tuple[str, int]) -> None:
    assert address(text) == parts


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "a:65536", "a:-1", "a:b"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        address(text)


@pytest.mark.parametrize("name", ["a:b", "a b", "a+b", "", ".a", "x" * 129])
def test_a_server_id_that_no_account_may_have(name: str) -> None:
    """No colon, which ends a name in credentials; nothing that an access control list splits at."""
    with pytest.raises(ValueError, match="dm_server_id"):
        HeadendSettings(dm_server_id=name)


@pytest.mark.parametrize("text", ['["127.0.0.1:*"]', "127.0.0.1", "a:b", "http://a:80", "a:*,b"])
def test_nodes_that_may_be_tested_are_places(text: str) -> None:
    with pytest.raises(ConfigError):
        HeadendSettings.load(c1222_test_allowed=text)


def test_nodes_that_may_be_tested_are_told_by_host_and_port() -> None:
    text = "127.0.0.1:*, [::1]:*,node.example:1153"
    found = HeadendSettings.load(c1222_test_allowed=text)
    assert found.c1222_test_allowed == ("127.0.0.1:*", "[::1]:*", "node.example:1153")
