"""What a client needs to know to talk to one meter."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.dlms.apdu.acse import ApplicationContext, Mechanism
from openami.dlms.conformance import Conformance
from openami.dlms.security import AUTHENTICATED, BOTH, ENCRYPTED, NOTHING, Keys, SecurityControl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.identifiers import SystemTitle

PUBLIC_CLIENT: Final = 16
MAX_PDU: Final = 0xFFFF
# A year of a load profile has about 2 MiB; what goes on for longer is no answer any more.
MAX_ANSWER: Final = 16 << 20
# On a power line of 2.4 kbit/s the longest APDU of 2 KiB takes 7 s, more with repetitions; the
# link's own timers are shorter, this one only makes sure that nothing waits for ever.
TIMEOUT: Final = 120.0

PROPOSED: Final = (
    Conformance.GET
    | Conformance.SET
    | Conformance.ACTION
    | Conformance.SELECTIVE_ACCESS
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.PRIORITY_MANAGEMENT
)
"""What a client proposes if it is not told otherwise."""


class SecurityLevel(StrEnum):
    """How the client protects what it sends, and wants the answers protected."""

    NONE = "none"
    AUTHENTICATION = "authentication"
    ENCRYPTION = "encryption"
    BOTH = "both"

    @property
    def control(self) -> SecurityControl:
        """The security control octet of suite 0."""
        return _CONTROLS[self]


_CONTROLS: Final[Mapping[SecurityLevel, SecurityControl]] = {
    SecurityLevel.NONE: NOTHING,
    SecurityLevel.AUTHENTICATION: AUTHENTICATED,
    SecurityLevel.ENCRYPTION: ENCRYPTED,
    SecurityLevel.BOTH: BOTH,
}


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How to associate with one meter.

    Args:
        mechanism: none (lowest), LLS or HLS-5 GMAC.
        secret: the password of LLS.
        keys: guek and gak, for ciphering and for GMAC.
        title: own system title, for ciphering and for GMAC.
        security: how APDUs are protected; anything but ``NONE`` opens a ciphered context.
        ciphered: opens a ciphered context also without protection; by default only with it.
        dedicated: draws a key for this association and uses it.
        general: uses the general forms (general-glo, general-ded) instead of those per service.
        invocation_counter: the first of our own; above all that the meter has seen.
        peer_counter: the highest counter that was accepted from the meter, -1 if none.
        server_title: the meter's system title, for meters whose AARE does not tell it.
        conformance: what is proposed.
        max_pdu: octets of the longest APDU that we take, 0 for no limit.
        max_answer: octets of the longest answer that is put together from blocks.
        release: whether to end the association before the link.
        timeout: seconds for one answer.
        pushes: the meter pushes by general-glo-ciphering, and what comes so is never an answer.

    Raises:
        ConfigError: the parts do not fit together.
    """

    mechanism: Mechanism = Mechanism.NONE
    secret: bytes = field(default=b"", repr=False)
    keys: Keys | None = None
    title: SystemTitle | None = None
    security: SecurityLevel = SecurityLevel.NONE
    ciphered: bool | None = None
    dedicated: bool = False
    general: bool = False
    invocation_counter: int = 0
    peer_counter: int = -1
    server_title: SystemTitle | None = None
    conformance: Conformance = PROPOSED
    max_pdu: int = MAX_PDU
    max_answer: int = MAX_ANSWER
    release: bool = True
    timeout: float = TIMEOUT
    pushes: bool = False

    def __post_init__(self) -> None:
        if self.mechanism not in (Mechanism.NONE, Mechanism.LLS, Mechanism.HLS_GMAC):
            raise ConfigError("mechanisms are none, LLS and HLS-5 GMAC", code="config.mechanism")
        if self.mechanism is Mechanism.LLS and not self.secret:
            raise ConfigError("LLS wants a password", code="config.secret")
        if self.needs_keys and (self.keys is None or self.title is None):
            raise ConfigError(
                "ciphering and GMAC want keys and a system title", code="config.security"
            )
        if self.pushes and self.general:
            raise ConfigError("pushes and answers could not be told apart", code="config.security")
        if not 0 <= self.max_pdu <= MAX_PDU:
            raise ConfigError("a PDU has up to 65535 octets", code="config.max-pdu")

    @property
    def context(self) -> ApplicationContext:
        """The application context to propose."""
        if self.is_ciphered:
            return ApplicationContext.LN_CIPHERED
        return ApplicationContext.LN

    @property
    def is_ciphered(self) -> bool:
        """Whether a ciphered context is opened."""
        return self.security is not SecurityLevel.NONE if self.ciphered is None else self.ciphered

    @property
    def needs_keys(self) -> bool:
        """Whether keys and a system title are needed."""
        return self.is_ciphered or self.mechanism is Mechanism.HLS_GMAC
