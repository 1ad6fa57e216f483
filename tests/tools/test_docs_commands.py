"""Every command that a page or a help text shows can be typed: names, options and choices exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import pytest

from openami.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
REFERENCE: Final = ROOT / "docs/reference/cli.md"


def typed(page: Path) -> Iterator[str]:
    """Yield the lines of openami that a page lets its reader type."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    if page == REFERENCE:
        yield from re.findall(r"^ +(openami .+)$", text, re.MULTILINE)
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^\$ (?:.+\| )?(openami .+)$", block, re.MULTILINE)


def parse(line: str) -> None:
    """Read a line as the command does, short of running it."""
    _, *words = shlex.split(re.split(r"[|<>]| &$", line)[0], comments=True)
    command: click.Command = cli
    context = click.Context(cli, info_name="openami")
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command = found
    if "--help" not in words:
        command.make_context(command.name, words, parent=context)


@pytest.fixture(autouse=True)
def _files_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, _param, _ctx: value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_lets_its_reader_type_is_a_command(page: Path) -> None:
    wrong = []
    for line in typed(page):
        try:
            parse(line)
        except (click.ClickException, AssertionError) as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []


def test_commands_are_found_at_all() -> None:
    assert sum(len(list(typed(page))) for page in PAGES) > 100
    with pytest.raises(click.NoSuchOption):
        parse("openami dm tree D1 --nothing")
