"""docs/reference/fums-requirements.md: which test shows which requirement.

Tests say so by ``@pytest.mark.fums("SM-3", …)``. Marks are read from the source: no test is
imported or run.
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
LIST: Final = ROOT / "tools/fums.toml"
MARK: Final = "pytest.mark.fums"

INTRODUCTION: Final = """\
What NEMA SG-AMI 1-2009, *Requirements for Smart Meter Upgradeability*, and the design of a firmware
upgrade management system that follows it ask for, in our own words, and the tests that show it. A
test names what it shows by `@pytest.mark.fums("SM-3")`; the list is `tools/fums.toml`. All of these
tests run in `make test`. Where the source speaks of the home network, too (NET-1, SEC-7), what is
shown is the utility's side: meters have no home network yet.
"""
NONE_OPEN: Final = "None: every requirement has a test.\n"
OPEN: Final = "No test shows these yet:\n"


def marks(folder: Path) -> Mapping[str, list[tuple[Path, str]]]:
    """Return the tests below a folder by the requirements that they name.

    Raises:
        SystemExit: a mark names something by other means than a text.
    """
    found: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for file in sorted(folder.rglob("test_*.py")):
        text = file.read_text("utf-8")
        if MARK in text:
            for name, id_ in _marked(ast.parse(text), file):
                found[id_].append((file, name))
    return found


def _marked(tree: ast.Module, file: Path) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == MARK:
                yield from ((node.name, _text(each, file)) for each in decorator.args)


def _text(argument: ast.expr, file: Path) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise SystemExit(f"error[docs.fums]: {file}: a mark names its requirements as texts")


def parts() -> list[dict[str, Any]]:
    """Return the parts of the list, each with its requirements."""
    return list(tomllib.loads(LIST.read_text("utf-8"))["part"])


def page(tests: Path = ROOT / "tests") -> str:
    """Return the page without its first line.

    Raises:
        SystemExit: a test names a requirement that there is none of.
    """
    found, every = marks(tests), parts()
    known = [id_ for part in every for id_ in part["requirements"]]
    for id_ in found.keys() - set(known):
        raise SystemExit(f"error[docs.fums]: {found[id_][0][0]} names {id_}, which there is not")
    missing = [id_ for id_ in known if id_ not in found]
    lines = ["# Requirements of upgrades and their tests\n", INTRODUCTION]
    lines.append(f"{len(known)} requirements, {len(known) - len(missing)} shown.\n")
    for part in every:
        lines.extend(_part(part, found, tests.parent))
    lines.append("## Open\n")
    lines.append(OPEN + "\n" + ", ".join(missing) + "\n" if missing else NONE_OPEN)
    return "\n".join(lines)


def _part(
    part: Mapping[str, Any], found: Mapping[str, list[tuple[Path, str]]], root: Path
) -> Iterator[str]:
    yield f"## {part['title']}\n\nIn the source: {part['source']}.\n"
    yield "| | what is asked | shown by |\n|---|---|---|"
    for id_, words in part["requirements"].items():
        yield f"| {id_} | {words} | {_links(found.get(id_, ()), root)} |"
    yield ""


def _links(tests: Iterable[tuple[Path, str]], root: Path) -> str:
    links = [
        f"[{name.removeprefix('test_').replace('_', ' ')}](../../{file.relative_to(root)})"
        for file, name in tests
    ]
    return "<br>".join(links) or "**open**"
