"""Services over real stores in a folder of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.headend import START, settings_in

from openami.core.clock import ManualClock
from openami.headend.bus import LocalBus
from openami.headend.installation import open_installation
from openami.headend.metrics import Metrics
from openami.headend.services import Context, Services, Stores, build
from openami.headend.stores import open_stores
from openami.transport.clock import SystemClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 86_400.0)


@pytest.fixture
def wall() -> ManualClock:
    return ManualClock(SystemClock().now())


@pytest.fixture
def context(tmp_path: Path, clock: ManualClock, wall: ManualClock) -> Context:
    settings = settings_in(tmp_path, login_attempts=2)
    home = open_installation(settings.state)
    return Context(settings, home, clock, wall, LocalBus(), Metrics())


@pytest.fixture
def stores(context: Context) -> Iterator[Stores]:
    with open_stores(context.home) as stores:
        yield stores


@pytest.fixture
def services(context: Context, stores: Stores) -> Services:
    return build(context, stores)
