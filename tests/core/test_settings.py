from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from openami.core.errors import ConfigError
from openami.core.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


class Example(Settings):
    model_config = SettingsConfigDict(env_prefix="OPENAMI_EXAMPLE_", extra="forbid", frozen=True)

    rows: int = Field(default=1, ge=1)
    name: str
    password: SecretStr | None = None


def test_options_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "example.toml"
    file.write_text('rows = 2\nname = "file"\n')
    assert (Example.load(file).rows, Example.load(file).name) == (2, "file")
    monkeypatch.setenv("OPENAMI_EXAMPLE_ROWS", "3")
    assert Example.load(file).rows == 3
    assert Example.load(file, rows=4, name=None).rows == 4
    assert Example.load(file, rows=4, name=None).name == "file"


def test_what_is_missing_or_wrong_is_named() -> None:
    with pytest.raises(ConfigError, match="name: is required") as caught:
        Example.load()
    assert caught.value.code == "config.setting"
    with pytest.raises(ConfigError, match="rows"):
        Example.load(name="n", rows=0)
    with pytest.raises(ConfigError, match="other"):
        Example.load(name="n", other=1)


def test_a_wrong_value_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Example.load(name="n", password=["hunter2"])
    assert "hunter2" not in str(caught.value)
    assert "password" in str(caught.value)


@pytest.mark.parametrize("content", [None, "rows = ", "\xff"])
def test_a_file_that_can_not_be_read(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "example.toml"
    if content is not None:
        file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        Example.load(file)
    assert caught.value.code == "config.file"
