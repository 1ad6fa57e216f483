"""What a server tells the application that runs it: for event logs, and for what must be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openami.dlms.apdu.acse import Mechanism
    from openami.dlms.data import Data
    from openami.dlms.link import Peer
    from openami.dlms.references import AttributeRef, MethodRef
    from openami.dlms.results import ActionResult, DataAccessResult


@dataclass(frozen=True, slots=True)
class AssociationOpened:
    """A client has shown who it is (for HLS: pass 3 was right)."""

    peer: Peer
    mechanism: Mechanism


@dataclass(frozen=True, slots=True)
class AssociationFailed:
    """A client was refused.

    ``code`` is stable: ``client``, ``context``, ``mechanism``, ``title``, ``deciphering``,
    ``replay``, ``policy``, ``throttled``, ``password``, ``hls``, ``initiate``, ``store``.
    """

    peer: Peer
    mechanism: Mechanism
    code: str


@dataclass(frozen=True, slots=True)
class AssociationReleased:
    """An association has ended: ``code`` is ``released``, ``replaced`` or the link's."""

    peer: Peer
    code: str


@dataclass(frozen=True, slots=True)
class AttributeWritten:
    """A client wrote an attribute, or tried to. ``value`` may be a secret: it is not shown."""

    peer: Peer
    ref: AttributeRef
    result: DataAccessResult
    value: Data = field(repr=False)


@dataclass(frozen=True, slots=True)
class MethodInvoked:
    """A client invoked a method, or tried to."""

    peer: Peer
    ref: MethodRef
    result: ActionResult
    parameter: Data | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ReplayRefused:
    """An APDU came whose invocation counter had been used before."""

    peer: Peer
    counter: int


@dataclass(frozen=True, slots=True)
class DecipheringFailed:
    """An APDU came that was not protected with our keys, or not as the policy wants it."""

    peer: Peer
    code: str


@dataclass(frozen=True, slots=True)
class ApduRefused:
    """An APDU came that could not be decoded or is not allowed now; ``code`` as the error's."""

    peer: Peer
    code: str


ServerEvent = (
    AssociationOpened
    | AssociationFailed
    | AssociationReleased
    | AttributeWritten
    | MethodInvoked
    | ReplayRefused
    | DecipheringFailed
    | ApduRefused
)
