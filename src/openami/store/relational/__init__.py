"""State in a relational database: SQLite embedded, PostgreSQL when outgrown."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from openami.store.relational.alarms import AlarmRepository
from openami.store.relational.audit import AuditRepository
from openami.store.relational.billable import BillableRepository
from openami.store.relational.campaigns import CampaignRepository
from openami.store.relational.certificates import CertificateRepository
from openami.store.relational.customers import CustomerRepository
from openami.store.relational.demand import DemandRepository
from openami.store.relational.devices import DeviceRepository
from openami.store.relational.engine import Transactions, open_engine, upgrade
from openami.store.relational.events import EventRepository
from openami.store.relational.expected import ExpectedRepository
from openami.store.relational.installation import InstallationRepository
from openami.store.relational.jobs import JobRepository
from openami.store.relational.management_accounts import AccountRepository
from openami.store.relational.management_dossiers import DossierRepository
from openami.store.relational.management_tasks import TaskRepository
from openami.store.relational.management_trees import TreeRepository
from openami.store.relational.nodes import NodeRepository
from openami.store.relational.operators import OperatorRepository
from openami.store.relational.registrations import RegistrationRepository
from openami.store.relational.releases import ReleaseRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from argon2 import PasswordHasher
    from sqlalchemy.engine import Engine

__all__ = ["RelationalStore", "open_engine", "upgrade"]


class RelationalStore:
    """The repositories of one database.

    Args:
        engine: of a database that ``upgrade`` has brought up to date.
        now: seconds since 1970-01-01T00:00:00Z, for what the ledger notes.
        hasher: of passwords; argon2's recommended settings if not given.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        now: Callable[[], float] = time.time,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._engine = engine
        transactions = Transactions(engine)
        self.devices = DeviceRepository(transactions)
        self.jobs = JobRepository(transactions)
        self.events = EventRepository(transactions, now)
        self.operators = OperatorRepository(transactions, hasher)
        self.customers = CustomerRepository(transactions, hasher)
        self.billable = BillableRepository(transactions)
        self.audit = AuditRepository(transactions)
        self.trees = TreeRepository(transactions)
        self.tasks = TaskRepository(transactions)
        self.dossiers = DossierRepository(transactions)
        self.registrations = RegistrationRepository(transactions)
        self.expected = ExpectedRepository(transactions)
        self.alarms = AlarmRepository(transactions)
        self.accounts = AccountRepository(transactions)
        self.certificates = CertificateRepository(transactions)
        self.releases = ReleaseRepository(transactions)
        self.campaigns = CampaignRepository(transactions)
        self.nodes = NodeRepository(transactions)
        self.demand = DemandRepository(transactions)
        self.installation = InstallationRepository(engine, transactions)

    @classmethod
    def open(cls, where: Path | str, *, now: Callable[[], float] = time.time) -> Self:
        """Open a SQLite file or a database URL, and bring it up to date."""
        engine = open_engine(where)
        upgrade(engine)
        return cls(engine, now=now)

    def close(self) -> None:
        self._engine.dispose()
