"""Pages that must say what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import generate_docs

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return the check of a tree with one generated page."""
    monkeypatch.setattr(generate_docs, "ROOT", tmp_path)
    monkeypatch.setattr(generate_docs, "PAGES", {"docs/page.md": lambda: "as the code says\n"})
    monkeypatch.setattr("sys.argv", ["generate_docs.py", "--check"])
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text("as the code says\n")
    return generate_docs.main


def test_a_fresh_page_passes(check: Callable[[], int]) -> None:
    assert check() == 0


def test_a_stale_and_a_lost_page_are_named(
    check: Callable[[], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs/page.md"
    page.write_text("as the code said\n")
    assert check() == 1
    page.unlink()
    assert check() == 1
    assert capsys.readouterr().out == "stale: docs/page.md: run `make docs`\n" * 2


def test_a_link_that_leads_nowhere_is_named(
    check: Callable[[], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("[there](docs/page.md) [not](docs/other.md)")
    assert check() == 1
    assert capsys.readouterr().out == "broken link: README.md: docs/other.md\n"


_DEVICE_PARTS = ("device_api", "device_demand", "packages_api")


def test_the_page_of_the_device_api_has_every_route() -> None:
    page = (ROOT / "docs/reference/device-api.md").read_text("utf-8")
    modules = (ROOT / f"src/openami/web/{name}.py" for name in _DEVICE_PARTS)
    code = "".join(module.read_text("utf-8") for module in modules)
    routes = re.findall(r'Route\(\s*"(/device/v1/[^"]+)".*?methods=\["(\w+)"\]', code)
    told = re.findall(r"`(GET|POST) (/device/v1/[^`?]+)[^`]*`", page)

    def shape(path: str) -> str:
        return re.sub(r"\{\w+(:path)?\}", "{}", path)

    assert routes
    assert {(method, shape(path)) for path, method in routes} == {
        (method, shape(path)) for method, path in told
    }
