"""Every store keeps the contract that its users build against; mypy is what checks the details."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from openami.fleet import ports
from openami.fleet.alarms import AlarmStore
from openami.fleet.operators import OperatorStore
from openami.fleet.registration import ExpectedStore, RegistrationStore
from openami.headend.firmware.ports import ReleaseStore
from openami.metrology.memory import MeterMemory
from openami.store.lake import Lake
from openami.store.nvm import SqliteMemory
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from pathlib import Path

    from openami.store.relational import RelationalStore


def public(kind: object) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_the_relational_store(store: RelationalStore) -> None:
    devices: ports.DeviceStore = store.devices
    jobs: ports.JobStore = store.jobs
    events: ports.EventStore = store.events
    operators: OperatorStore = store.operators
    audit: ports.AuditLog = store.audit
    registrations: RegistrationStore = store.registrations
    expected: ExpectedStore = store.expected
    alarms: AlarmStore = store.alarms
    releases: ReleaseStore = store.releases
    for part, port in (
        (registrations, RegistrationStore),
        (expected, ExpectedStore),
        (alarms, AlarmStore),
        (releases, ReleaseStore),
        (devices, ports.DeviceStore),
        (jobs, ports.JobStore),
        (events, ports.EventStore),
        (operators, OperatorStore),
        (audit, ports.AuditLog),
    ):
        assert public(port) <= public(part)


def test_the_stores_of_files(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", threads=1)
    memory = SqliteMemory(tmp_path / "nvm")
    vault = FileVault(tmp_path / "vault", kek=tmp_path / "kek")
    readings: ports.ReadingStore = lake
    meters: MeterMemory = memory
    secrets: ports.Vault = vault
    assert public(ports.ReadingStore) <= public(readings)
    assert public(MeterMemory) <= public(meters)
    assert public(ports.Vault) <= public(secrets)
    for part in (lake, memory, vault):
        part.close()
