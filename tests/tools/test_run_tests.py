"""The runner of the tests, and the rule that CI leaves none out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools.run_tests import selects

ROOT = Path(__file__).parents[2]
SKIPPED = """
import pytest

@pytest.mark.skip(reason="not here")
def test_left_out(): ...

def test_done(): ...
"""


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_ci_only(tmp_path: Path, ci: str, status: int) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(SKIPPED)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        env={**os.environ, "CI": ci},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert ("error[tests.missing]" in done.stdout) == bool(status)


@pytest.mark.parametrize(
    ("argument", "selecting"),
    [
        ("tests/tools", True),
        ("tests/tools/test_run_tests.py::test_done", True),
        ("-k", True),
        ("-kdone", True),
        ("-x", False),
        ("--maxfail=1", False),
        ("3", False),
    ],
)
def test_the_floor_of_coverage_is_for_whole_runs(argument: str, *, selecting: bool) -> None:
    assert selects(argument) is selecting
