"""What an operator does to an installation from its own machine, with or without it running."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.fleet.devices import AuditEntry
from openami.headend.audit import AuditTrail
from openami.headend.bus import LocalBus
from openami.headend.c1222.directory import Directory
from openami.headend.installation import open_installation, publish_authorities
from openami.headend.metrics import Metrics
from openami.headend.operators import Operators
from openami.headend.ownership import Ownership
from openami.headend.registry import Registry
from openami.headend.security.pki import Pki
from openami.headend.shipments import Shipments
from openami.headend.stores import open_records
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.fleet.ports import AuditLog, Vault
    from openami.headend.installation import Installation
    from openami.headend.settings import HeadendSettings


@dataclass(frozen=True, slots=True)
class Offline:
    """The services that need neither listeners nor the lake."""

    home: Installation
    pki: Pki
    registry: Registry
    shipments: Shipments
    operators: Operators
    vault: Vault = field(repr=False)
    audit: AuditLog

    def rekey(self, *, who: str) -> int:
        """Change the key that seals the vault; return how many secrets were sealed anew."""
        count = self.vault.rotate()
        what = f"vault sealed with a new key: {count} secrets"
        self.audit.add(AuditEntry(who, SystemClock().now(), what, "vault"))
        return count

    def adopt(self, *, who: str, why: str) -> AuditEntry:
        """Take the audit log's chain as the database has it: see ``AuditTrail.adopt``."""
        return AuditTrail(self.audit, self.vault, wall=SystemClock()).adopt(who=who, why=why)

    def follow(self, authority: str, *, who: str, why: str) -> str:
        """Let an authority be followed by a new one; return what names that.

        Keys and audit log are two stores: the log says first what is to be, and then that it is.

        Raises:
            NotFoundError: there is no such authority.
            RequestError: ``request.authority``, nothing can follow it.
        """

        def note(what: str) -> None:
            self.audit.add(AuditEntry(who, SystemClock().now(), what, "pki", why))

        made = self.pki.follow(authority, announce=lambda name: note(f"authority.making {name}"))
        note(f"authority.made {made}")
        publish_authorities(self.home, self.pki)
        return made


@contextmanager
def open_offline(settings: HeadendSettings) -> Iterator[Offline]:
    """Open an installation, making it if it is not there, beside a head-end that may be running.

    Raises:
        ConfigError: a file of it can not be used.
        StoreError: the database can not be used.
    """
    wall = SystemClock()
    home = open_installation(settings.state)
    with open_records(home, settings.database) as records:
        ownership = Ownership(records.devices, clock=wall)
        pki = Pki.open(home, records.certificates, records.vault, settings=settings, wall=wall)
        publish_authorities(home, pki)
        yield Offline(
            home,
            pki,
            Registry(
                records.devices,
                records.audit,
                ownership,
                bus=LocalBus(),
                clock=wall,
                wall=wall,
                pki=pki,
            ),
            Shipments(
                records.devices,
                records.vault,
                records.audit,
                Directory.of(records, settings, wall=wall),
                clock=wall,
                wall=wall,
            ),
            Operators(
                records.operators,
                records.audit,
                wall=wall,
                metrics=Metrics(),
                settings=settings,
                home=home,
            ),
            records.vault,
            records.audit,
        )
