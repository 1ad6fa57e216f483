"""What pages say in each language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConfigError
from openami.web.texts import catalogue

if TYPE_CHECKING:
    from pathlib import Path

EN = '[a]\nhello = "Hello {name}"\ndays = "{n} days"\ndays_one = "one day"\n'
KO = '[a]\nhello = "{name}님, 안녕하세요"\ndays = "{n}일"\n'


def folder(path: Path, **languages: str) -> Path:
    for name, text in languages.items():
        (path / f"{name}.toml").write_text(text, "utf-8")
    return path


def test_texts_take_values_and_one_has_a_word_of_its_own(tmp_path: Path) -> None:
    both = catalogue(folder(tmp_path, en=EN, ko=KO))
    assert both["en"]("a.hello", name="Kim") == "Hello Kim"
    assert both["ko"]("a.hello", name="Kim") == "Kim님, 안녕하세요"
    assert [both["en"]("a.days", n=n) for n in (1, 2)] == ["one day", "2 days"]
    assert both["ko"]("a.days", n=1) == "1일"
    assert both["ko"].below("a") == {"hello": "{name}님, 안녕하세요", "days": "{n}일"}
    assert both["ko"].of("a.none", "?") == "?"
    assert both["en"].has("a.days")


@pytest.mark.parametrize(
    ("wanted", "accepted", "expected"),
    [
        (None, "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        (None, "fr, en;q=0.3, ko;q=0.5", "ko"),
        (None, "ko;q=0, en;q=0.1", "en"),
        (None, "ko;q=much", "en"),
        (None, "fr", "en"),
        (None, None, "en"),
        ("ko", "en", "ko"),
        ("fr", "ko", "ko"),
    ],
)
def test_a_language_is_chosen(
    tmp_path: Path, wanted: str | None, accepted: str | None, expected: str
) -> None:
    both = catalogue(folder(tmp_path, en=EN, ko=KO))
    assert both.choose(wanted, accepted).language == expected


def test_without_the_default_the_first_is_taken(tmp_path: Path) -> None:
    assert catalogue(folder(tmp_path, ko=KO)).choose(None, "fr").language == "ko"


@pytest.mark.parametrize(
    "ko", ['[a]\nhello = "{name}"\n', KO.replace("{name}", "{who}"), "not toml"]
)
def test_languages_that_differ_are_refused(tmp_path: Path, ko: str) -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue(folder(tmp_path, en=EN, ko=ko))
    assert caught.value.code == "texts"
