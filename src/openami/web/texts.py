"""What pages say, in each language: a folder with one TOML file for each, such as ``ko.toml``.

A key is the path to a text, ``overview.title`` for ``title`` in the table ``[overview]``. A text
names what is put into it in braces: ``{kwh} kWh``. Where a number needs a word of its own for one,
the key's text for it stands beside it with ``_one`` at its end: ``days`` and ``days_one``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

DEFAULT: Final = "en"
ONE: Final = "_one"
# What browsers send is a few languages; whoever sends more than this wants nothing of it.
_HEADER_LENGTH: Final = 256


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; ``language`` is its tag, for ``<html lang>``."""

    language: str
    texts: Mapping[str, str] = field(repr=False)

    def __call__(self, key: str, **values: Any) -> str:
        """Return a text with values put into it; of ``n`` = 1 the text for one, if there is one.

        Raises:
            KeyError: there is no such text, or a value for it is missing.
        """
        single = values.get("n") == 1 and key + ONE in self.texts
        return self.texts[key + ONE if single else key].format_map(values)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self.texts

    def of(self, key: str, otherwise: str) -> str:
        """Return a text without values, or something else if there is none."""
        return self.texts.get(key, otherwise)

    def below(self, prefix: str) -> dict[str, str]:
        """Return the texts of a table by what follows its name, such as for a script."""
        start = prefix + "."
        return {
            key[len(start) :]: text for key, text in self.texts.items() if key.startswith(start)
        }


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The same texts in some languages."""

    languages: Mapping[str, Texts]

    def __getitem__(self, language: str) -> Texts:
        return self.languages[language]

    def __contains__(self, language: object) -> bool:
        return language in self.languages

    def choose(self, wanted: str | None, accepted: str | None) -> Texts:
        """Return the texts of the language that somebody wants.

        Args:
            wanted: what they have chosen, which counts if there is such a language.
            accepted: their browser's ``Accept-Language`` (RFC 9110, 12.5.4).
        """
        for tag in (wanted or "", *_accepted(accepted or ""), DEFAULT):
            if tag in self.languages:
                return self.languages[tag]
        return next(iter(self.languages.values()))


@cache
def catalogue(folder: Traversable) -> Catalogue:
    """Return the catalogue of a folder.

    Raises:
        ConfigError: ``texts``, a file cannot be read, or one language says what another does not.
    """
    found = {
        entry.name.removesuffix(".toml"): _texts(entry)
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
    first, *others = found.values()
    for other in others:
        _compare(first, other)
    return Catalogue(found)


def _texts(file: Traversable) -> Texts:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file.name} holds no texts: {error}", code="texts") from error
    return Texts(file.name.removesuffix(".toml"), dict(_flat(tables, "")))


def _flat(table: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, str(value)


def _compare(first: Texts, other: Texts) -> None:
    """Raise ConfigError unless both say the same things with the same values."""
    here, there = (
        {key: _names(text) for key, text in each.texts.items() if not key.endswith(ONE)}
        for each in (first, other)
    )
    different = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    if different:
        reason = f"{first.language} and {other.language} differ in {', '.join(different[:5])}"
        raise ConfigError(reason, code="texts")


def _names(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)


def _accepted(header: str) -> list[str]:
    """Return the primary tags of the languages that a browser accepts, the most wanted first."""
    ranges = []
    for place, item in enumerate(header[:_HEADER_LENGTH].split(",")):
        tag, _, weight = item.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        if quality > 0:
            ranges.append((-quality, place, tag.strip().lower().split("-")[0]))
    return [tag for _, _, tag in sorted(ranges)]
