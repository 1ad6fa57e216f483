"""A head-end that runs for a test, and clients of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.support.headend import dcu_client, operator_client, running_headend, token_client

from openami.fleet.operators import Role
from openami.headend.server import Running


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_headend(tmp_path) as running:
        yield running


@pytest.fixture
async def dcu(running: Running, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with dcu_client(running, tmp_path, "D1") as client:
        yield client


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies and is not logged in."""
    async with operator_client(running) as client:
        yield client


@pytest.fixture
async def viewer(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with token_client(running, Role.VIEWER) as client:
        yield client


@pytest.fixture
async def operator(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with token_client(running, Role.OPERATOR) as client:
        yield client


@pytest.fixture
async def admin(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with token_client(running, Role.ADMIN, "admin") as client:
        yield client
