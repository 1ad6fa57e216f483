"""Every alarm that can be raised is explained to whoever sees it, and no other is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openami.headend.management import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src/openami"

# Which argument is the code, by what is called.
RAISING: Final = {"about_dcu": 1, "about": 1, "Alarm": 0}
# Takes its codes from a table by the error's code.
BY_TABLE: Final = {("watch.py", "code"): {code for code, _ in watch._ALARMS.values()}}


def raised() -> set[str]:
    """Return the codes of every place of the source that raises an alarm."""
    return {code for file in SOURCES.rglob("*.py") for code in codes_of(file)}


def codes_of(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    constants = {
        name.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for name in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(name, ast.Name)
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if called in RAISING:
            code = call.args[RAISING[called]]
            if isinstance(code, ast.Constant):
                yield str(code.value)
            elif isinstance(code, ast.Name) and code.id in constants:
                yield str(constants[code.id])
            else:
                yield from BY_TABLE[file.name, ast.unparse(code)]


def test_the_page_explains_every_alarm_and_no_other() -> None:
    page = (ROOT / "docs/reference/alarms.md").read_text()
    explained = re.findall(r"^\| `([a-z.-]+)` \|", page, re.MULTILINE)
    assert explained == sorted(set(explained))
    assert set(explained) == raised()


def test_who_looks_for_alarms_finds_the_page() -> None:
    for page in ("docs/README.md", "docs/how-to/run-a-headend.md"):
        assert "reference/alarms.md" in (ROOT / page).read_text()
