"""Opening the stores of an installation."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.headend.installation import claim
from openami.headend.services import Stores
from openami.store.lake import Lake
from openami.store.relational import RelationalStore
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr

    from openami.fleet.certificates import CertificateStore
    from openami.fleet.nodes import NodeStore
    from openami.fleet.operators import OperatorStore
    from openami.fleet.ports import AuditLog, DeviceStore, Vault
    from openami.headend.installation import Installation


@dataclass(frozen=True, slots=True)
class Records:
    """The stores that several processes may use at once."""

    devices: DeviceStore
    operators: OperatorStore
    audit: AuditLog
    certificates: CertificateStore
    nodes: NodeStore
    vault: Vault = field(repr=False)


@contextmanager
def open_stores(home: Installation, database: SecretStr | None = None) -> Iterator[Stores]:
    """Open every store, for this process alone.

    Raises:
        StoreError: one can not be used; ``store.busy``, another head-end has the lake or the
            database.
        ConfigError: ``vault.kek``, ``config.installation``, or a part of DuckDB is missing.
    """
    with ExitStack() as stack:
        # First, since it tells whether another head-end runs here.
        lake = stack.enter_context(closing(Lake(home.lake)))
        relational = stack.enter_context(_relational(home, database))
        stack.enter_context(relational.installation.alone())
        vault = stack.enter_context(closing(FileVault(home.vault, kek=home.kek)))
        yield Stores(
            devices=relational.devices,
            jobs=relational.jobs,
            events=relational.events,
            operators=relational.operators,
            customers=relational.customers,
            billable=relational.billable,
            audit=relational.audit,
            certificates=relational.certificates,
            registrations=relational.registrations,
            expected=relational.expected,
            alarms=relational.alarms,
            accounts=relational.accounts,
            trees=relational.trees,
            tasks=relational.tasks,
            dossiers=relational.dossiers,
            releases=relational.releases,
            campaigns=relational.campaigns,
            nodes=relational.nodes,
            demand=relational.demand,
            vault=vault,
            readings=lake,
        )


@contextmanager
def open_records(home: Installation, database: SecretStr | None = None) -> Iterator[Records]:
    """Open the stores that need no head-end to stop.

    Raises:
        StoreError: one can not be used.
        ConfigError: ``vault.kek``, ``config.installation``.
    """
    with (
        _relational(home, database) as relational,
        closing(FileVault(home.vault, kek=home.kek)) as vault,
    ):
        yield Records(
            devices=relational.devices,
            operators=relational.operators,
            audit=relational.audit,
            certificates=relational.certificates,
            nodes=relational.nodes,
            vault=vault,
        )


@contextmanager
def _relational(home: Installation, database: SecretStr | None) -> Iterator[RelationalStore]:
    where = database.get_secret_value() if database else home.database
    with closing(RelationalStore.open(where)) as relational:
        claim(home, relational.installation)
        yield relational
