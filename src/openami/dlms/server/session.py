"""What the server keeps of one client: its association and the transfers under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.acse import ApplicationContext
from openami.dlms.association import MAX_APDU, PLAIN, Channel, Protection
from openami.dlms.cosem.base import Negotiated

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from openami.dlms.apdu.get import AttributeItem
    from openami.dlms.cosem.access import ClientKind
    from openami.dlms.cosem.association import AssociationLn
    from openami.dlms.cosem.base import Context
    from openami.dlms.cosem.security import SecuritySetup
    from openami.dlms.link import Peer
    from openami.dlms.references import MethodRef
    from openami.dlms.server.device import LogicalDevice
    from openami.dlms.server.events import ServerEvent


class State(Enum):
    """Where the association of one client stands."""

    IDLE = auto()
    PENDING = auto()
    ASSOCIATED = auto()


class Step(Enum):
    """What moves it."""

    ACCEPT = auto()
    CHALLENGE = auto()
    PROVE = auto()
    END = auto()


# Green Book 9.4.2, server side: a client is associated at once, or (HLS) challenged, and then
# associated by pass 3. A refused request, a wrong answer, a release, a lost link and a new request
# for an association all end what there was.
TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    (State.IDLE, Step.ACCEPT): State.ASSOCIATED,
    (State.IDLE, Step.CHALLENGE): State.PENDING,
    (State.PENDING, Step.PROVE): State.ASSOCIATED,
    (State.IDLE, Step.END): State.IDLE,
    (State.PENDING, Step.END): State.IDLE,
    (State.ASSOCIATED, Step.END): State.IDLE,
}


@dataclass(slots=True)
class Outgoing:
    """An answer that goes out in blocks; ``number`` is that of the last block sent."""

    octets: bytes
    action: bool
    offset: int = 0
    number: int = 0

    def take(self, size: int) -> tuple[bytes, bool]:
        """Return the next block and whether it is the last."""
        block = self.octets[self.offset : self.offset + size]
        self.offset += len(block)
        self.number += 1
        return block, self.offset >= len(self.octets)


@dataclass(slots=True)
class Incoming:
    """A request that comes in blocks; ``number`` is that of the last block that came."""

    items: tuple[AttributeItem, ...] | tuple[MethodRef, ...]
    listed: bool
    action: bool
    octets: bytearray = field(default_factory=bytearray)
    number: int = 0


@dataclass(slots=True)
class Session:
    """One client on one link.

    ``kinds`` are those of clients that may associate on it, None for all; ``notified`` counts
    what it was sent unasked.
    """

    peer: Peer
    device: LogicalDevice
    state: State = State.IDLE
    association: AssociationLn | None = None
    negotiated: Negotiated | None = None
    channel: Channel | None = None
    challenge: bytes = field(default=b"", repr=False)
    challenged: bytes = field(default=b"", repr=False)
    proved: bool = False
    outgoing: Outgoing | None = None
    incoming: Incoming | None = None
    kinds: Container[ClientKind] | None = None
    notified: int = 0

    @classmethod
    def standing(
        cls,
        peer: Peer,
        device: LogicalDevice,
        association: AssociationLn,
        security: SecuritySetup,
    ) -> Self:
        """Return a client whose association is pre-established."""
        negotiated = Negotiated(
            ApplicationContext.LN_CIPHERED,
            association.mechanism,
            association.conformance,
            association.max_pdu,
            0,
        )
        channel = Channel(security.keys, security.title.raw, security.counters)
        return cls(peer, device, State.ASSOCIATED, association, negotiated, channel)

    @property
    def ciphered(self) -> bool:
        """Whether its application context is a ciphered one."""
        negotiated = self.negotiated
        return negotiated is not None and negotiated.context == ApplicationContext.LN_CIPHERED

    @property
    def replaced(self) -> bool:
        """Whether the keys of the association are no longer those in force, and it must end."""
        association, channel = self.association, self.channel
        if association is None or channel is None or association.overlaps:
            return False
        security = association.security
        return security is not None and channel.keys.guek != security.keys.guek

    def step(self, step: Step) -> None:
        """Move on; the end forgets everything but who the client is."""
        self.state = TRANSITIONS[self.state, step]
        if step is Step.END:
            self.association = self.negotiated = self.channel = None
            self.challenge = self.challenged = b""
            self.proved = False
            self.outgoing = self.incoming = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, how the answer goes back, and whom to tell."""

    session: Session
    context: Context
    emit: Callable[[ServerEvent], None] = field(repr=False)
    protection: Protection = PLAIN

    @property
    def room(self) -> int:
        """Octets that the plain answer may have."""
        negotiated = self.session.negotiated
        most = negotiated.max_send if negotiated else 0
        return (most or MAX_APDU) - self.protection.overhead
