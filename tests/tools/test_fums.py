"""The matrix of requirements says what the marks of the tests say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools import fums

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, marks: str) -> Path:
    (folder / "tests/room").mkdir(parents=True)
    text = f"import pytest\n\n\n{marks}\nasync def test_it_holds(x: int) -> None:\n    pass\n"
    (folder / "tests/room/test_it.py").write_text(text)
    return folder / "tests"


def test_a_requirement_leads_to_the_tests_that_name_it(tmp_path: Path) -> None:
    marks = '@pytest.mark.fums("SM-1", "UC4-log")\n@pytest.mark.parametrize("x", [1])'
    page = fums.page(written(tmp_path, marks))
    link = "[it holds](../../tests/room/test_it.py)"
    assert f"| SM-1 | Says, when asked, which version each of its parts runs. | {link} |" in page
    assert page.count(link) == 2
    assert " 2 shown.\n" in page
    opened = page.partition("## Open\n")[2]
    assert "SM-2" in opened
    assert "SM-1," not in opened


def test_where_every_requirement_is_shown_none_is_open(tmp_path: Path) -> None:
    every = [f'"{id_}"' for part in fums.parts() for id_ in part["requirements"]]
    page = fums.page(written(tmp_path, f"@pytest.mark.fums({', '.join(every)})"))
    assert page.endswith(fums.NONE_OPEN)
    assert "**open**" not in page


@pytest.mark.parametrize("mark", ['@pytest.mark.fums("SM-99")', "@pytest.mark.fums(THESE)"])
def test_a_mark_that_names_no_requirement_is_refused(tmp_path: Path, mark: str) -> None:
    with pytest.raises(SystemExit, match=r"error\[docs.fums\]"):
        fums.page(written(tmp_path, mark))


def test_ids_are_given_once() -> None:
    every = [id_ for part in fums.parts() for id_ in part["requirements"]]
    assert len(every) == len(set(every)) > 40


def test_every_requirement_is_shown() -> None:
    assert fums.page().endswith(fums.NONE_OPEN)
