"""What displays need: their associations, the object that pairs them, and what is pushed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import (
    READ_ONLY,
    READING,
    AssociationLn,
    AttributeMode,
    ClientKind,
    DataObject,
    ProfileGeneric,
    Rights,
    SecuritySetup,
)
from openami.dlms.cosem.pairing import HomePairing
from openami.dlms.cosem.push import PushSetup
from openami.dlms.home import LIVE_OBIS
from openami.dlms.references import CaptureObject
from openami.meter.home.desk import HOME_CLIENTS
from openami.meter.kept import POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from openami.dlms.cosem import AccessTable, CosemObject
    from openami.dlms.home import Live
    from openami.meter.home.desk import Lock
    from openami.meter.objects.hooks import Hooks

_FIRST: Final = 5
"""Value group E of the first place's association and security setup."""

_SEEN_BY_MANAGEMENT: Final[AccessTable] = {ClientKind.MANAGEMENT: Rights(AttributeMode.READ)}
_MAX_APDU: Final = 4096
_SERVICES: Final = (
    READING | Conformance.ACTION | Conformance.DATA_NOTIFICATION | Conformance.GENERAL_PROTECTION
)
_LOGS: Final = "0.0.99.98."


class HomeObjects(NamedTuple):
    """The objects of displays.

    Attributes:
        every: all of them.
        setups: keys and counters of each place, by its SAP.
        live: tells what flows now.
    """

    every: tuple[CosemObject, ...]
    setups: Mapping[int, SecuritySetup]
    live: Callable[[], Live]

    def unlock(self, client: int, lock: Lock) -> None:
        """Let who has a place now use it; whoever had it before is out."""
        setup = self.setups[client]
        setup.counters, setup.state = lock.counters, replace(setup.state, keys=lock.keys)


def home_objects(hooks: Hooks, live: Callable[[], Live]) -> HomeObjects:
    """Return what displays need of a meter."""
    setups = {client: _setup(hooks, client) for client in HOME_CLIENTS}
    access = {**hooks.access, ClientKind.HOME: READ_ONLY}
    shown = CaptureObject(1, LIVE_OBIS, 2)
    every = (
        *setups.values(),
        *(_association(client, setup) for client, setup in setups.items()),
        HomePairing(hooks.home, hooks.home.random),
        DataObject(LIVE_OBIS, lambda: live().data(), access=access),
        PushSetup((shown,), access=access),
    )
    return HomeObjects(every, setups, live)


def _setup(hooks: Hooks, client: int) -> SecuritySetup:
    lock = hooks.home.lock(client)
    return SecuritySetup(
        f"0.0.43.0.{_place(client)}.255",
        keys=lock.keys,
        title=hooks.config.identity.system_title,
        policy=POLICY,
        counters=lock.counters,
        access=_SEEN_BY_MANAGEMENT,
    )


def _association(client: int, setup: SecuritySetup) -> AssociationLn:
    return AssociationLn(
        f"0.0.40.0.{_place(client)}.255",
        client=client,
        kind=ClientKind.HOME,
        mechanism=Mechanism.HLS_GMAC,
        contexts=(ApplicationContext.LN_CIPHERED,),
        security=setup,
        conformance=_SERVICES,
        max_pdu=_MAX_APDU,
        overlaps=False,
    )


def _place(client: int) -> int:
    return _FIRST + HOME_CLIENTS.index(client)


def seen_at_home(items: Iterable[CosemObject]) -> Iterator[CosemObject]:
    """Yield ``items``, which displays may read; event logs are the utility's."""
    for item in items:
        if not (isinstance(item, ProfileGeneric) and str(item.obis).startswith(_LOGS)):
            item.access = {**item.access, ClientKind.HOME: READ_ONLY}
        yield item
