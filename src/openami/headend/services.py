"""The services of one head-end, wired to its stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.fleet.devices import ReadSchedule
from openami.fleet.registration import RegistrationPolicy
from openami.headend.audit import AuditTrail
from openami.headend.billing import FleetBilling
from openami.headend.c1222.directory import Directory
from openami.headend.c1222.supply import Supply
from openami.headend.campaigns.build import Upgrades, build_upgrades
from openami.headend.credentials import Credentials
from openami.headend.customers import Customers
from openami.headend.demand.facade import Demand, build_demand
from openami.headend.firmware.facade import Firmware, build_firmware
from openami.headend.health import Health, disk_probe
from openami.headend.homes import Homes
from openami.headend.ingest import Ingest
from openami.headend.jobs import Jobs
from openami.headend.management.facade import Management, build_management
from openami.headend.management.planner import TreePlanner
from openami.headend.management.troubles import Troubles
from openami.headend.node_tests import NodeTests
from openami.headend.operators import Operators
from openami.headend.ownership import Ownership
from openami.headend.readings import Readings
from openami.headend.registry import Registry
from openami.headend.reports import Reports
from openami.headend.security.alarms import Alarms
from openami.headend.security.authorities import DAY
from openami.headend.security.changes import Changes
from openami.headend.security.offering import Terms
from openami.headend.security.offers import Offers
from openami.headend.security.pki import Pki
from openami.headend.security.registrar import Registrar
from openami.headend.security.registrations import Registrations
from openami.headend.shipments import Shipments
from openami.headend.similar import Similar
from openami.headend.statistics import Statistics
from openami.headend.supplies import Supplies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.clock import Clock
    from openami.fleet.accounts import AccountStore
    from openami.fleet.alarms import AlarmStore
    from openami.fleet.billable import BillableStore
    from openami.fleet.certificates import CertificateStore
    from openami.fleet.customers import CustomerStore
    from openami.fleet.dossiers import Dossiers
    from openami.fleet.management import TaskRecords, TreeRecords
    from openami.fleet.nodes import NodeStore
    from openami.fleet.operators import OperatorStore
    from openami.fleet.ports import (
        AuditLog,
        DeviceStore,
        EventStore,
        JobStore,
        ReadingStore,
        Vault,
    )
    from openami.fleet.registration import ExpectedStore, RegistrationStore
    from openami.headend.bus import Bus
    from openami.headend.campaigns.facade import Campaigns
    from openami.headend.campaigns.ports import CampaignStore
    from openami.headend.demand.ports import DemandStore
    from openami.headend.firmware.ports import ReleaseStore
    from openami.headend.installation import Installation
    from openami.headend.metrics import Metrics
    from openami.headend.settings import HeadendSettings


@dataclass(frozen=True, slots=True)
class Stores:
    """What the services keep things in."""

    devices: DeviceStore
    jobs: JobStore
    events: EventStore
    operators: OperatorStore
    customers: CustomerStore
    billable: BillableStore
    audit: AuditLog
    certificates: CertificateStore
    registrations: RegistrationStore
    expected: ExpectedStore
    alarms: AlarmStore
    accounts: AccountStore
    trees: TreeRecords
    tasks: TaskRecords
    dossiers: Dossiers
    releases: ReleaseStore
    campaigns: CampaignStore
    nodes: NodeStore
    demand: DemandStore
    vault: Vault = field(repr=False)
    readings: ReadingStore


@dataclass(frozen=True, slots=True)
class Context:
    """What the services share.

    Attributes:
        clock: the time of meters and readings; a demonstration scales it.
        wall: the time of the machine, which people and certificates go by.
    """

    settings: HeadendSettings
    home: Installation
    clock: Clock
    wall: Clock
    bus: Bus
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Services:
    """What a head-end can do."""

    settings: HeadendSettings
    clock: Clock
    wall: Clock
    bus: Bus
    metrics: Metrics
    home: Installation
    pki: Pki
    registrar: Registrar
    registrations: Registrations
    alarms: Alarms
    audit: AuditTrail
    management: Management
    firmware: Firmware
    upgrades: Upgrades
    ownership: Ownership
    registry: Registry
    credentials: Credentials
    shipments: Shipments
    reports: Reports
    ingest: Ingest
    readings: Readings
    jobs: Jobs
    nodes: Directory
    supply: Supply
    demand: Demand
    supplies: Supplies
    operators: Operators
    customers: Customers
    homes: Homes
    billing: FleetBilling
    similar: Similar
    statistics: Statistics
    health: Health
    node_tests: NodeTests

    @property
    def campaigns(self) -> Campaigns:
        """What operators do with campaigns."""
        return self.upgrades.campaigns


def build(context: Context, stores: Stores) -> Services:
    """Return the services over ``stores``; nothing runs yet."""
    settings, clock, wall = context.settings, context.clock, context.wall
    bus, metrics, home = context.bus, context.metrics, context.home
    devices, audit, vault = stores.devices, stores.audit, stores.vault
    ownership = Ownership(devices, clock=clock)
    pki = Pki.open(home, stores.certificates, vault, settings=settings, wall=wall)
    alarms = Alarms(stores.alarms, bus=bus, wall=wall)
    registrar, registrations = _registration(context, stores, pki, alarms)
    registry = Registry(
        devices, audit, ownership, bus=bus, clock=clock, wall=wall, pki=pki,
        registrations=registrations,
    )  # fmt: skip
    credentials = Credentials(devices, vault, audit, ownership, wall=wall)
    reports = Reports(devices, ownership, credentials, bus=bus, clock=clock, alarms=alarms)
    statistics = _statistics(context, stores, reports)
    nodes = Directory.of(stores, settings, wall=wall)
    jobs = Jobs(stores.jobs, registry, bus=bus, wall=wall, metrics=metrics, settings=settings)
    demand = build_demand(context, stores, registry, ownership, jobs, alarms=alarms)
    supply = Supply(registry, audit, wall=wall)
    services = Services(
        settings=settings, clock=clock, wall=wall, bus=bus, metrics=metrics, home=home, pki=pki,
        registrar=registrar, registrations=registrations, alarms=alarms,
        audit=AuditTrail(audit, vault, alarms=alarms, wall=wall),
        management=_management(context, stores, alarms),
        firmware=build_firmware(
            stores.releases, vault, home, alarms=alarms, settings=settings, wall=wall
        ),
        upgrades=build_upgrades(
            context, stores, alarms=alarms, schedule=_schedule(context)
        ),
        ownership=ownership, registry=registry, credentials=credentials,
        shipments=Shipments(devices, vault, audit, nodes, clock=clock, wall=wall),
        reports=reports,
        ingest=_ingest(context, stores, ownership),
        readings=Readings(stores.readings, stores.events, registry, page_rows=settings.page_rows),
        jobs=jobs,
        nodes=nodes,
        supply=supply,
        demand=demand,
        supplies=Supplies(supply, demand.orders, registry),
        operators=Operators(
            stores.operators, audit, wall=wall, metrics=metrics, settings=settings, home=home
        ),
        customers=Customers(
            stores.customers, clock=clock, wall=wall, metrics=metrics, settings=settings
        ),
        homes=Homes(stores.readings, clock=clock),
        billing=FleetBilling(stores.billable, stores.readings),
        similar=Similar(
            devices, stores.readings, stores.customers, clock=clock, timezone=settings.timezone
        ),
        statistics=statistics,
        health=_health(context, stores),
        node_tests=NodeTests(
            stores.nodes, vault, audit, allowed=settings.c1222_test_allowed, wall=wall
        ),
    )  # fmt: skip
    _watch(services, stores)
    _follow(services)
    return services


def _follow(services: Services) -> None:
    """Let campaigns learn what becomes of releases and devices, and DCUs of their orders."""
    upgrades = services.upgrades
    services.firmware.shelf.on_withdrawn(upgrades.campaigns.withdraw)
    services.reports.on_seen(upgrades.rounds.seen)
    services.registry.on_moved(upgrades.rounds.moved)
    services.registry.on_moved(services.nodes.moved)
    services.registry.on_moved(services.demand.moved)
    services.demand.book.similar = services.similar
    services.similar.on_change = services.demand.compared
    upgrades.fleet.on_change(services.jobs.wake)


def _watch(services: Services, stores: Stores) -> None:
    """Let the metrics ask for what is counted only when somebody looks."""
    metrics = services.metrics
    metrics.watch_devices(services.statistics.device_counts)
    metrics.watch_listeners(services.bus.listeners)
    metrics.watch_alarms(stores.alarms.open_count)
    metrics.watch_registrations(services.registrations.counts)
    metrics.watch_campaigns(stores.campaigns.counts)


def _statistics(context: Context, stores: Stores, reports: Reports) -> Statistics:
    return Statistics(
        stores.devices,
        stores.readings,
        stores.events,
        reports,
        clock=context.clock,
        wall=context.wall,
        schedule=_schedule(context),
    )


def _schedule(context: Context) -> ReadSchedule:
    return ReadSchedule(period=context.settings.read_every_s)


def _health(context: Context, stores: Stores) -> Health:
    return Health(
        {
            "database": lambda: f"{len(stores.devices.list(limit=1).items)} row read",
            "lake": lambda: f"{stores.readings.counts().readings} readings",
            "disk": disk_probe(context.home.root),
            "campaigns": lambda: _campaigns_words(stores.campaigns.counts()),
        }
    )


def _campaigns_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _management(context: Context, stores: Stores, alarms: Alarms) -> Management:
    return build_management(
        stores.accounts,
        stores.vault,
        TreePlanner(stores.dossiers, bus=context.bus, troubles=Troubles(alarms, context.metrics)),
        trees=stores.trees,
        tasks=stores.tasks,
        alarms=alarms,
        metrics=context.metrics,
        settings=context.settings,
        wall=context.wall,
    )


def _registration(
    context: Context, stores: Stores, pki: Pki, alarms: Alarms
) -> tuple[Registrar, Registrations]:
    settings, offers = context.settings, Offers(stores.vault)
    changes = Changes(
        stores.registrations,
        stores.devices,
        offers,
        bus=context.bus,
        wall=context.wall,
        revoked=pki.look,
    )
    terms = Terms(
        server_id=settings.dm_server_id,
        offer_s=settings.offer_days * DAY,
        pending_s=settings.pending_retry_s,
        refused_s=settings.refused_retry_s,
        policy=RegistrationPolicy(hold_unexpected=settings.hold_unexpected),
    )
    registrar = Registrar(changes, stores.expected, offers, pki, alarms, terms=terms)
    registrations = Registrations(
        changes, stores.registrations, stores.expected, pki, wall=context.wall
    )
    return registrar, registrations


def _ingest(context: Context, stores: Stores, ownership: Ownership) -> Ingest:
    return Ingest(
        stores.readings,
        stores.events,
        ownership,
        bus=context.bus,
        clock=context.clock,
        metrics=context.metrics,
        settings=context.settings,
    )
