"""What holds for every test: in CI none is left out, so a skipped one is a failed run."""

from __future__ import annotations

import os
from typing import Final

import pytest

CI: Final = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("error[tests.missing]: CI allows no skipped test")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
