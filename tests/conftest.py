"""What holds for every test.

Coverage is measured by the tests of the pure rooms, and of the meter, alone: they are what is to
tread every line of the pure rooms, and tracing would cost all others time. In CI no test is left
out: one that is skipped makes the run fail.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Final

import pytest
from argon2 import PasswordHasher

TESTS: Final = Path(__file__).parent
MEASURED: Final = frozenset(
    {
        "core",
        "wire",
        "crypto",
        "dlms",
        "c1222",
        "omadm",
        "ssmp",
        "firmware",
        "metrology",
        "mdm",
        "fleet",
        "meter",
    }
)

# As hard to guess as a test needs; head-ends in processes of their own take the real ones.
QUICK_HASHER: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
# Opening a lake takes DuckDB a third of a second, most of it to check the signatures of two
# extensions of 35 MB each, once in the processes that tests start as in every head-end. Here a lake
# is opened for hundreds of tests.
QUICK_LAKE: Final = {"allow_unsigned_extensions": "true", "threads": "1"}

WORKER: Final = "PYTEST_XDIST_WORKER"
CI: Final = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    # In a worker of xdist pytest-cov starts anew, and leaves going what it began with: whenever the
    # second is paused, the first goes on, and traces what is not to be traced.
    coverage = session.config.pluginmanager.get_plugin("_cov")
    if coverage is not None and coverage.cov_controller is not None and WORKER in os.environ:
        coverage.cov_controller.pause()
    # Tests by the thousand and all that they import stay to the end. To look for garbage among them
    # took a third of the time to find them, and a seventh of the time to run them.
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(TESTS).parts[0] not in MEASURED:
            item.add_marker("no_cover")
    # The longest begin first, whatever order chance gave. They wait for most of their time: xdist
    # deals a list out in pieces, so one worker waits with them while the others compute, and who
    # is done early takes some of them over.
    items.sort(key=may_take, reverse=True)


def may_take(item: pytest.Item) -> float:
    """Return the seconds that a test of the chain is given, and 0 for all others."""
    if item.get_closest_marker("chain") is None:
        return 0.0
    given = item.get_closest_marker("timeout")
    return float(given.args[0] if given else item.config.getini("timeout"))


@pytest.fixture(autouse=True)
def quick_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    if catalogue := sys.modules.get("openami.store.lake.catalogue"):
        for name, value in QUICK_LAKE.items():
            monkeypatch.setitem(catalogue._CONFIG, name, value)
    if passwords := sys.modules.get("openami.store.relational.passwords"):
        monkeypatch.setattr(passwords, "_HASHER", QUICK_HASHER)


@pytest.fixture(autouse=True)
def logs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command of this process send all later logs to what a test captures."""
    monkeypatch.setattr("openami.cli.run.configure_logs", lambda _: None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("error[tests.missing]: CI allows no skipped test")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
