"""Two homes behind a head-end: one for all tests of a module that only look, or one of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.support.portal import KIM, signed_in, two_homes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One head-end for all tests that only look."""
    async with two_homes(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def looker(shared: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(shared, KIM) as client:
        yield client


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with two_homes(tmp_path) as running:
        yield running


@pytest.fixture
async def kim(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(running, KIM) as client:
        yield client
