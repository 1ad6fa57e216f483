"""A real head-end in the test's loop, and clients of both its listeners over real TLS."""

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from openami.core.clock import ManualClock
from openami.core.identifiers import SystemTitle
from openami.fleet.operators import Role
from openami.fleet.shipment import Shipment, ShippedMeter
from openami.headend.server import Running, headend
from openami.headend.settings import HeadendSettings
from openami.mdm.readings import (
    CONTENT_TYPE,
    ChannelValues,
    events_table,
    join,
    profile_table,
    to_ipc,
)
from openami.store.lake import Lake
from openami.store.relational import RelationalStore

START = 1_780_000_200  # a quarter hour of 2026-05-28
PERIOD = 900
PASSWORD = "correct horse battery staple"
LOAD_PROFILE = "1.0.99.1.0.255"
CHANNEL = "1.0.1.29.0.255"
EVENT_LOG = "0.0.99.98.0.255"


@cache
def new_database() -> bytes:
    """Return a database that was just made, which takes longer than most tests."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "database"
        RelationalStore.open(file).close()
        return file.read_bytes()


@cache
def new_lake() -> bytes:
    """Return the catalogue of a lake that was just made; nothing else is in it yet."""
    with TemporaryDirectory() as folder:
        Lake(Path(folder)).close()
        return (Path(folder) / "catalogue.sqlite").read_bytes()


def settings_in(folder: Path, **options: Any) -> HeadendSettings:
    """Return the settings of a head-end in a folder, where its stores already are."""
    state = folder / "headend"
    if "database" not in options and not state.exists():
        state.mkdir(mode=0o700, parents=True)
        _put(state / "openami.sqlite", new_database())
        (state / "lake").mkdir()
        _put(state / "lake" / "catalogue.sqlite", new_lake())
    base: dict[str, Any] = {
        "state": folder / "headend",
        "listen": "127.0.0.1:0",
        "device_listen": "127.0.0.1:0",
        "security_listen": "127.0.0.1:0",
        "admin_password": PASSWORD,
        "drain_s": 1.0,
    }
    return HeadendSettings(**{**base, **options})


def _put(file: Path, octets: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(octets)


@asynccontextmanager
async def running_headend(
    folder: Path, *, clock: ManualClock | None = None, **options: Any
) -> AsyncIterator[Running]:
    clock = clock or ManualClock(START + 86_400.0)
    async with headend(settings_in(folder, **options), clock=clock) as running:
        yield running


def trust(running: Running) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(running.home.authority))


def operator_client(running: Running, **options: Any) -> httpx.AsyncClient:
    options.setdefault("base_url", running.url)
    return httpx.AsyncClient(verify=trust(running), trust_env=False, timeout=60, **options)


async def login(client: httpx.AsyncClient, name: str = "admin", password: str = PASSWORD) -> str:
    """Log in and return the CSRF token, which the client sends from then on."""
    answer = await client.post("/api/v1/login", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["csrf_token"]
    client.headers["X-CSRF-Token"] = token
    return token


def token_client(running: Running, role: Role, name: str | None = None) -> httpx.AsyncClient:
    """Return a client with an API token of a new operator of a role."""
    operators = running.services.operators
    who = name or f"{role.value}-1"
    if all(o.name != who for o in operators.list().items):
        operators.add(who, PASSWORD, role, who="test")
    granted = operators.make_token(who, label="test", days=1)
    return operator_client(running, headers={"Authorization": f"Bearer {granted.secret}"})


def dcu_client(running: Running, folder: Path, dcu: str, **options: Any) -> httpx.AsyncClient:
    """Return a client with a new certificate of a DCU, which is enrolled for it."""
    issued = running.services.registry.enroll_dcu(dcu, who="test")
    return client_with(running, folder, issued.certificate, issued.key, **options)


def client_with(
    running: Running, folder: Path, certificate: bytes, key: bytes, **options: Any
) -> httpx.AsyncClient:
    chain = folder / f"{hashlib.sha256(certificate).hexdigest()[:12]}.pem"
    chain.write_bytes(key + certificate)
    context = trust(running)
    context.load_cert_chain(chain)
    options.setdefault("limits", httpx.Limits(max_connections=8))
    return httpx.AsyncClient(
        base_url=running.device_url, verify=context, trust_env=False, timeout=60, **options
    )


def day(
    meters: Sequence[str], *, start: int = START, intervals: int = 96, value: int = 100
) -> pa.Table:
    """Return a load profile of one channel for some meters."""
    time = np.arange(1, intervals + 1, dtype=np.int64) * PERIOD + start
    tables = [
        profile_table(
            meter,
            LOAD_PROFILE,
            time=time,
            status=np.zeros(intervals, np.uint8),
            channels=[ChannelValues(CHANNEL, 0, 30, np.full(intervals, value, np.int64))],
        )
        for meter in meters
    ]
    return join(tables)


def some_events(meter: str, count: int = 3) -> pa.Table:
    return events_table(
        {
            "meter": meter,
            "log": EVENT_LOG,
            "time": START + n,
            "code": n + 1,
            "ordinal": 0,
            "detail": None,
        }
        for n in range(count)
    )


def batch_headers(body: bytes, kind: str = "readings") -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return {
        "Content-Type": CONTENT_TYPE,
        "OpenAMI-Kind": kind,
        "Content-Digest": f"sha-256=:{digest}:",
    }


async def upload(
    client: httpx.AsyncClient, batch: str, table: pa.Table | bytes, kind: str = "readings"
) -> httpx.Response:
    body = table if isinstance(table, bytes) else to_ipc(table)
    return await client.post(
        f"/device/v1/batches/{batch}", content=body, headers=batch_headers(body, kind)
    )


def shipped(number: int, **changes: Any) -> ShippedMeter:
    fields: dict[str, Any] = {
        "serial": f"M{number}",
        "system_title": SystemTitle.of("OAM", number),
        "logical_device_name": f"OAM{number:013d}",
        "model": "OA1-100",
        "firmware": "1.0",
        "phases": 1,
        "address": 16 + number,
        "keys": {
            "master": bytes([number, 1] * 8),
            "guek": bytes([number, 2] * 8),
            "gak": bytes([number, 3] * 8),
            "hls": bytes([number, 4] * 8),
        },
    }
    return ShippedMeter(**{**fields, **changes})


def shipment(*meters: ShippedMeter) -> bytes:
    return Shipment(meters).encode()


def meter_status(serial: str, **changes: Any) -> dict[str, Any]:
    return {
        "serial": serial,
        "system_title": None,
        "logical_device_name": f"LDN-{serial}",
        "address": 17,
        "model": "OA1",
        "firmware": "1.0",
        "state": "ok",
        "last_read": "2026-05-29T20:15:00Z",
        "clock_offset_s": 0.5,
        "error": None,
        **changes,
    }


def report(*meters: dict[str, Any]) -> dict[str, Any]:
    dcu = {
        "version": "0.1.0",
        "uptime_s": 12.5,
        "spool_batches": 2,
        "spool_octets": 4096,
        "line": {"frames": 1000, "errors": 3},
    }
    return {"dcu": dcu, "meters": list(meters)}
