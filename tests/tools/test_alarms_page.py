"""Every alarm that can be raised is explained to whoever sees it, and no other is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openami.headend.management import watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    raising = dict(RAISING)
    if "meter" in file.relative_to(SOURCES).parts:  # its Alarm is a register of its own
        return
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args]
        for code in codes_in(function, RAISING):
            if isinstance(code, ast.Name) and code.id in names:  # it passes on what it is given
                raising[function.name] = names.index(code.id)
    for code in codes_in(tree, raising):
        if isinstance(code, ast.Constant):
            yield str(code.value)
        elif (found := constant(tree, code)) is not None:
            yield found
        elif raising == RAISING:
            yield from BY_TABLE[file.name, ast.unparse(code)]


def codes_in(tree: ast.AST, raising: Mapping[str, int]) -> Iterator[ast.expr]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if called in raising:
            yield call.args[raising[called]]


def constant(tree: ast.Module, code: ast.expr) -> str | None:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if ast.unparse(code) in map(ast.unparse, targets):
                return str(node.value.value)
    return None


def test_the_page_explains_every_alarm_and_no_other() -> None:
    page = (ROOT / "docs/reference/alarms.md").read_text()
    explained = re.findall(r"^\| `([a-z.-]+)` \|", page, re.MULTILINE)
    assert explained == sorted(set(explained))
    assert set(explained) == raised()


def test_who_looks_for_alarms_finds_the_page() -> None:
    for page in ("docs/README.md", "docs/how-to/run-a-headend.md"):
        assert "reference/alarms.md" in (ROOT / page).read_text()
