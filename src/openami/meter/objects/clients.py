"""The associations, their security and what a client must know before it has keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import (
    FOR_ALL,
    READING,
    AssociationLn,
    AttributeMode,
    ClientKind,
    DataObject,
    HdlcSetup,
    Rights,
    SapAssignment,
    SecuritySetup,
    TcpUdpSetup,
)
from openami.dlms.datatypes import DataType
from openami.dlms.security import Keys
from openami.meter.kept import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.dlms.cosem import AccessTable, CosemObject, InvocationCounters
    from openami.meter.objects.hooks import Hooks

MANAGEMENT_CLIENT: Final = 1
READING_CLIENT: Final = 2
PUBLIC_CLIENT: Final = 16
BROADCAST_CLIENT: Final = 102
"""Whoever speaks to all meters of a line; the number that other makers' meters have, too."""

MAX_APDU: Final = 4096
"""Octets of an APDU that the meter takes: a firmware block and its cipher, with room."""

CONNECTIONS: Final = 16
"""TCP clients at once: its head-end, a tool or two of its fitter, and some that have died."""

SENT_OCTETS: Final = 512  # of a frame: half a second at 9600 bit/s
TAKEN_OCTETS: Final = 1100  # a broadcast is one frame: with a firmware block, 1,081
INACTIVITY_S: Final = 1800
"""For which an association stays without a word: a DCU with a street to upgrade keeps them all."""

WINDOW: Final = 3

_PLAIN_AND_CIPHERED: Final = (ApplicationContext.LN, ApplicationContext.LN_CIPHERED)
_SEEN_BY_MANAGEMENT: Final[AccessTable] = {ClientKind.MANAGEMENT: Rights(AttributeMode.READ)}


class Setups(NamedTuple):
    """The clients' security.

    Keys are transferred through the management client's. The reader's has the same ones, without
    a policy, so that a reader may talk in the clear or ciphered, as its application context says.
    What all meters of a line hear has keys that all of them have, and no others.
    """

    management: SecuritySetup
    reader: SecuritySetup
    broadcast: SecuritySetup | None


def security_setups(hooks: Hooks) -> Setups:
    """Return the security of each kind of client."""
    title = hooks.config.identity.system_title
    reader = SecuritySetup(
        "0.0.43.0.2.255",
        keys=hooks.security.keys,
        title=title,
        counters=hooks.reader,
        access=_SEEN_BY_MANAGEMENT,
    )
    management = SecuritySetup(
        keys=hooks.security.keys,
        title=title,
        master=hooks.security.master,
        policy=0 if hooks.config.plain_management else hooks.security.policy,
        counters=hooks.management,
        keep=hooks.keep_security,
    )
    return Setups(management, reader, _broadcast_setup(hooks))


def _broadcast_setup(hooks: Hooks) -> SecuritySetup | None:
    who = hooks.config.identity
    if who.keys.gbak is None:
        return None
    return SecuritySetup(
        "0.0.43.0.1.255",
        keys=Keys(gbek=hooks.security.keys.gbek, gak=who.keys.gbak),
        title=who.system_title,
        policy=POLICY,
        counters=hooks.broadcast,
        access=_SEEN_BY_MANAGEMENT,
    )


def client_objects(hooks: Hooks, setups: Setups) -> Iterator[CosemObject]:
    """Yield associations, security setups and invocation counters."""
    management, reader, _ = setups
    yield from (management, reader)
    plain = hooks.config.plain_management
    yield AssociationLn(
        "0.0.40.0.1.255",
        client=PUBLIC_CLIENT,
        kind=ClientKind.PUBLIC,
        conformance=READING | Conformance.ACTION,  # displays are paired by it
        max_pdu=MAX_APDU,
    )
    yield AssociationLn(
        "0.0.40.0.2.255",
        client=READING_CLIENT,
        kind=ClientKind.READER,
        mechanism=Mechanism.LLS,
        secret=hooks.password,
        contexts=_PLAIN_AND_CIPHERED,
        security=reader,
        max_pdu=MAX_APDU,
        on_secret=hooks.keep_password,
    )
    yield AssociationLn(
        "0.0.40.0.3.255",
        client=MANAGEMENT_CLIENT,
        kind=ClientKind.MANAGEMENT,
        mechanism=Mechanism.HLS_GMAC,
        contexts=_PLAIN_AND_CIPHERED if plain else (ApplicationContext.LN_CIPHERED,),
        security=management,
        max_pdu=MAX_APDU,
    )
    yield _invocation_counter("0.0.43.1.0.255", hooks.management)
    yield _invocation_counter("0.0.43.1.2.255", hooks.reader)
    if setups.broadcast is not None:
        yield from _broadcast_objects(hooks, setups.broadcast)


def _broadcast_objects(hooks: Hooks, security: SecuritySetup) -> Iterator[CosemObject]:
    yield security
    yield AssociationLn(
        "0.0.40.0.4.255",
        client=BROADCAST_CLIENT,
        kind=ClientKind.BROADCAST,
        contexts=(ApplicationContext.LN_CIPHERED,),
        security=security,
        conformance=Conformance.ACTION,
        max_pdu=MAX_APDU,
        access=_SEEN_BY_MANAGEMENT,
        preestablished=True,
    )
    yield _invocation_counter("0.0.43.1.1.255", hooks.broadcast)


def _invocation_counter(name: str, counters: InvocationCounters) -> DataObject:
    """Return the object that shows the highest counter accepted: a client goes on above it."""
    return DataObject(name, lambda: max(counters.last, 0), DataType.UINT32, access=FOR_ALL)


def link_objects(hooks: Hooks) -> tuple[SapAssignment, HdlcSetup, TcpUdpSetup]:
    """Return the setups of the links."""
    who = hooks.config.identity
    return (
        SapAssignment({1: who.logical_device_name}, access=FOR_ALL),
        HdlcSetup(
            device_address=who.address,
            max_info_transmit=SENT_OCTETS,
            max_info_receive=TAKEN_OCTETS,
            window_transmit=WINDOW,
            window_receive=WINDOW,
            inactivity_timeout=INACTIVITY_S,
            access=hooks.access,
        ),
        TcpUdpSetup(connections=CONNECTIONS, access=hooks.access),
    )
