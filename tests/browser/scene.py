"""A head-end in a process of its own, and what a DCU tells it, without an event loop of ours.

Playwright's synchronous interface has a loop in the test's thread already.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from tests.support.headend import PASSWORD, PERIOD, START, batch_headers

from openami.mdm.readings import ChannelValues, join, profile_table, to_ipc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
NOW = START + 86_400  # what the head-end's clock shows
LOAD_PROFILE = "1.0.99.1.0.255"
ENERGIES = tuple(f"1.0.{quantity}.29.0.255" for quantity in (1, 2, 3, 4))


def load_profile(meter: str, first: int, values: Sequence[int]) -> pa.Table:
    """Return a load profile whose intervals follow ``first``, with a little export at noon."""
    imported = np.asarray(values, np.int64)
    time = np.arange(1, len(imported) + 1, dtype=np.int64) * PERIOD + first
    hour = time % 86_400 // 3600
    exported = np.where((hour > 9) & (hour < 15), imported // 3, 0)
    columns = (imported, exported, imported // 5, imported // 9)
    channels = [
        ChannelValues(channel, 0, 30 if place < 2 else 32, column)
        for place, (channel, column) in enumerate(zip(ENERGIES, columns, strict=True))
    ]
    status = np.zeros(len(imported), np.uint8)
    return profile_table(meter, LOAD_PROFILE, time=time, status=status, channels=channels)


def registers(meter: str, at: int) -> pa.Table:
    """Return one row of daily registers, with a scaler below and one above zero."""
    channels = [
        ChannelValues("1.0.1.8.0.255", 0, 30, np.array([123_456_789])),
        ChannelValues("1.0.2.8.0.255", -1, 30, np.array([98_765])),
        ChannelValues("1.0.32.7.0.255", -2, 35, np.array([23_041])),
        ChannelValues("1.0.1.8.1.255", 3, 30, np.array([1_234])),
    ]
    return profile_table(
        meter,
        "1.0.99.2.0.255",
        time=np.array([at]),
        status=np.zeros(1, np.uint8),
        channels=channels,
    )


@dataclass(frozen=True)
class Scene:
    """A head-end that runs, its administrator and ways to be a DCU."""

    url: str
    device_url: str
    authority: Path
    admin: httpx.Client
    folder: Path

    @contextmanager
    def dcu(self, name: str) -> Iterator[Dcu]:
        """Enrol a DCU and connect as it."""
        issued = self.admin.post("/api/v1/dcus", json={"dcu": name, "why": "test"}).json()
        pem = issued["key"] + issued["certificate"]
        chain = self.folder / f"{hashlib.sha256(pem.encode()).hexdigest()[:12]}.pem"
        chain.write_text(pem)
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(chain)
        with httpx.Client(
            base_url=self.device_url, verify=context, trust_env=False, timeout=60
        ) as client:
            yield Dcu(client)


@dataclass(frozen=True)
class Dcu:
    """A DCU as the head-end knows it."""

    client: httpx.Client

    def upload(self, batch: str, *tables: pa.Table, kind: str = "readings") -> None:
        body = to_ipc(join(tables) if kind == "readings" else tables[0])
        answer = self.client.post(
            f"/device/v1/batches/{batch}", content=body, headers=batch_headers(body, kind)
        )
        assert answer.json()["status"] == "stored", answer.text

    def report(self, *meters: dict[str, Any], **figures: Any) -> None:
        dcu = {
            "version": "0.1.0",
            "uptime_s": 90_061.0,
            "spool_batches": 2,
            "spool_octets": 70_000,
            "line": {"frames": 120_000, "errors": 31},
            **figures,
        }
        answer = self.client.post("/device/v1/report", json={"dcu": dcu, "meters": meters})
        assert answer.status_code == 200, answer.text

    def work(self) -> list[dict[str, Any]]:
        """Return the jobs for this DCU, once there are any."""
        jobs: list[dict[str, Any]] = self.client.get("/device/v1/work?wait=20").json()["jobs"]
        return jobs

    def answer(self, job: str, **said: Any) -> None:
        answer = self.client.post(f"/device/v1/jobs/{job}", json=said)
        assert answer.status_code == 200, answer.text


@contextmanager
def scene(folder: Path, **options: Any) -> Iterator[Scene]:
    """Run a head-end over ``folder`` for as long as the block lasts."""
    command = [
        sys.executable,
        "-m",
        "tests.support.headend_process",
        str(folder),
        json.dumps(options),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            facts = json.loads(child.stdout.readline())
            authority = Path(facts["authority"])
            context = ssl.create_default_context(cafile=str(authority))
            with httpx.Client(
                base_url=facts["url"], verify=context, trust_env=False, timeout=60
            ) as admin:
                said = admin.post("/api/v1/login", json={"name": "admin", "password": PASSWORD})
                admin.headers["X-CSRF-Token"] = said.json()["csrf_token"]
                yield Scene(facts["url"], facts["device_url"], authority, admin, folder)
        finally:
            child.kill()


@contextmanager
def office(folder: Path) -> Iterator[str]:
    """Run a head-end with devices to decide on; return its address."""
    command = [sys.executable, "-m", "tests.support.office_process", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            # Before the address, the log says what has happened.
            yield next(line[1:].strip() for line in child.stdout if line.startswith("@"))
        finally:
            child.kill()
