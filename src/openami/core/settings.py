"""Settings of an application: a TOML file, under the environment, under options."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
)

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# What pydantic says of a model's fields is said of settings here.
_WORDS: Final = {"missing": "is required", "extra_forbidden": "there is no such setting"}


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""A list of words; in the environment they stand with commas between."""


class Settings(BaseSettings):
    """Base of every application's settings; a value that an error may name is never shown."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the constructor is given: ``load`` gathers it from where it stands."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def load(cls, file: Path | None = None, **options: Any) -> Self:
        """Return the settings of ``file``, under the environment, under ``options`` not None.

        Raises:
            ConfigError: a setting is missing, unknown or has a value that it can not have.
        """
        given = {name: value for name, value in options.items() if value is not None}
        try:
            base = tomllib.loads(file.read_text("utf-8")) if file else {}
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: {error}", code="config.file") from error
        try:
            return cls(**{**base, **EnvSettingsSource(cls)(), **given})
        except ValidationError as error:
            raise ConfigError(
                _explain(error),
                hint="an option, NAME in --set or in a --config file; see --help",
                code="config.setting",
            ) from error


def _explain(error: ValidationError) -> str:
    """Return what is wrong with which setting, without the values: one may be a password."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: "
        + _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
