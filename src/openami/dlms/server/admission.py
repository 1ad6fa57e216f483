"""Whether a client may associate: every check of an AARQ with its diagnostic (Green Book 9.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, SecurityError, StoreError
from openami.core.identifiers import SystemTitle
from openami.crypto.compare import equal
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.acse import (
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    Mechanism,
)
from openami.dlms.apdu.ciphered import CipheredApdu
from openami.dlms.apdu.initiate import (
    VERSION,
    ConfirmedServiceError,
    InitiateError,
    InitiateRequest,
    InitiateResponse,
)
from openami.dlms.association import (
    BLOCK_OVERHEAD,
    CHALLENGE,
    DEDICATED_KEY,
    GENERAL_OVERHEAD,
    MAX_CHALLENGE,
    MIN_CHALLENGE,
    PLAIN,
    Channel,
    Protection,
)
from openami.dlms.conformance import Conformance
from openami.dlms.cosem.base import Negotiated
from openami.dlms.security import NOTHING, TITLE_SIZE
from openami.dlms.server.session import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.cosem.association import AssociationLn
    from openami.dlms.server.session import Session
    from openami.dlms.server.throttle import Throttle

# A block must have room for one octet at least.
MIN_PDU: Final = BLOCK_OVERHEAD + 1
MIN_CIPHERED_PDU: Final = MIN_PDU + GENERAL_OVERHEAD


class RefusalError(Exception):
    """A client is not admitted; never leaves the server."""

    def __init__(
        self,
        code: str,
        diagnostic: Diagnostic,
        *,
        result: AssociationResult = AssociationResult.REJECTED_PERMANENT,
        error: InitiateError | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.diagnostic = diagnostic
        self.result = result
        self.error = error


@dataclass(frozen=True, slots=True)
class Proposal:
    """The client's InitiateRequest and how it came."""

    request: InitiateRequest
    protection: Protection


class Admission:
    """Admits one client, or refuses it.

    Args:
        session: the client's; what is agreed on is put there.
        throttle: slows guessing down.
        octets: returns that many random octets.
    """

    def __init__(
        self, session: Session, throttle: Throttle, octets: Callable[[int], bytes]
    ) -> None:
        self._session = session
        self._throttle = throttle
        self._octets = octets

    def admit(self, aarq: Aarq, *, now: float) -> tuple[Aare, Step]:
        """Check everything, fill the session in, and return the answer and the step.

        Raises:
            RefusalError: with the diagnostic to answer.
        """
        association = self._association()
        context = self._context(aarq, association)
        self._mechanism(aarq, association)
        channel = self._channel(aarq, association, context)
        self._session.association, self._session.channel = association, channel
        proposal = self._proposal(aarq, association, context, channel)
        self._authenticate(aarq, association, now=now)
        negotiated = self._negotiate(proposal, association, context, channel)
        if channel is not None and association.security and channel.peer:
            association.security.client_title = SystemTitle(channel.peer)
        self._session.negotiated = negotiated
        return self._accept(aarq, association, negotiated, proposal.protection)

    def _association(self) -> AssociationLn:
        session = self._session
        found = session.device.associations.get(session.peer.client)
        known = found is not None and (session.kinds is None or found.kind in session.kinds)
        if found is None or not known or found.preestablished:
            raise RefusalError("client", Diagnostic.NO_REASON_GIVEN)
        return found

    def _context(self, aarq: Aarq, association: AssociationLn) -> ApplicationContext:
        context = aarq.context
        security = association.security
        if not isinstance(context, ApplicationContext) or context not in association.contexts:
            raise RefusalError("context", Diagnostic.CONTEXT_NAME_NOT_SUPPORTED)
        if context is ApplicationContext.LN and security is not None and security.demands:
            raise RefusalError("context", Diagnostic.CONTEXT_NAME_NOT_SUPPORTED)
        return context

    def _mechanism(self, aarq: Aarq, association: AssociationLn) -> None:
        if aarq.mechanism is None:
            if association.mechanism is Mechanism.NONE:
                return
            if aarq.authentication is not None:
                raise RefusalError("mechanism", Diagnostic.MECHANISM_NAME_REQUIRED)
            raise RefusalError("mechanism", Diagnostic.AUTHENTICATION_REQUIRED)
        if aarq.mechanism is not association.mechanism:
            raise RefusalError("mechanism", Diagnostic.MECHANISM_NAME_NOT_RECOGNIZED)

    def _channel(
        self, aarq: Aarq, association: AssociationLn, context: ApplicationContext
    ) -> Channel | None:
        security = association.security
        ciphered = context is ApplicationContext.LN_CIPHERED
        if security is None or not (ciphered or association.mechanism is Mechanism.HLS_GMAC):
            return None
        own = security.title.raw
        if aarq.title is None or len(aarq.title) != TITLE_SIZE or aarq.title == own:
            raise RefusalError("title", Diagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED)
        return Channel(security.keys, own, security.counters, aarq.title)

    def _proposal(
        self,
        aarq: Aarq,
        association: AssociationLn,
        context: ApplicationContext,
        channel: Channel | None,
    ) -> Proposal:
        """Return the InitiateRequest, deciphered."""
        security = association.security
        try:
            apdu = decode_apdu(aarq.user_information or b"")
            protection = PLAIN
            if isinstance(apdu, CipheredApdu) and channel and context in _CIPHERED:
                found = channel.unprotect(apdu)
                protection = Protection(found.control, found.form)
                apdu = decode_apdu(found.apdu)
        except DecodeError:
            raise RefusalError("initiate", Diagnostic.NO_REASON_GIVEN) from None
        except StoreError:
            raise RefusalError(
                "store", Diagnostic.NO_REASON_GIVEN, result=AssociationResult.REJECTED_TRANSIENT
            ) from None
        except SecurityError as error:
            code = "replay" if error.code == "security.replay" else "deciphering"
            raise RefusalError(code, Diagnostic.AUTHENTICATION_FAILURE) from None
        if not isinstance(apdu, InitiateRequest):
            raise RefusalError("initiate", Diagnostic.NO_REASON_GIVEN)
        wanted = security.request_control if security and context in _CIPHERED else NOTHING
        if not protection.control.covers(wanted):
            raise RefusalError("policy", Diagnostic.AUTHENTICATION_FAILURE)
        return Proposal(apdu, protection)

    def _authenticate(self, aarq: Aarq, association: AssociationLn, *, now: float) -> None:
        """Check the password of LLS, or take the challenge of HLS (Green Book 9.2.2.2)."""
        client = self._session.peer.client
        if association.mechanism is Mechanism.LLS:
            if not self._throttle.allows(client, now=now):
                raise RefusalError(
                    "throttled",
                    Diagnostic.AUTHENTICATION_FAILURE,
                    result=AssociationResult.REJECTED_TRANSIENT,
                )
            if not equal(aarq.authentication or b"", association.secret):
                self._throttle.failed(client, now=now)
                raise RefusalError("password", Diagnostic.AUTHENTICATION_FAILURE)
            self._throttle.succeeded(client)
        elif association.mechanism is Mechanism.HLS_GMAC:
            challenge = aarq.authentication or b""
            if not MIN_CHALLENGE <= len(challenge) <= MAX_CHALLENGE:
                raise RefusalError("hls", Diagnostic.AUTHENTICATION_FAILURE)
            self._session.challenged = challenge
            self._session.challenge = self._octets(CHALLENGE)

    def _negotiate(
        self,
        proposal: Proposal,
        association: AssociationLn,
        context: ApplicationContext,
        channel: Channel | None,
    ) -> Negotiated:
        """Agree on services and sizes (Green Book 9.4.6.1 and 9.5, InitiateRequest)."""
        request = proposal.request
        ciphered = context in _CIPHERED
        smallest = MIN_CIPHERED_PDU if ciphered else MIN_PDU
        common = request.conformance & association.conformance
        services = Conformance.GET | Conformance.SET | Conformance.ACTION
        if request.version < VERSION:
            raise _initiate(InitiateError.DLMS_VERSION_TOO_LOW)
        if not common & services:
            raise _initiate(InitiateError.INCOMPATIBLE_CONFORMANCE)
        if 0 < request.max_pdu < smallest:
            raise _initiate(InitiateError.PDU_SIZE_TOO_SHORT)
        key = request.dedicated_key
        if key is not None and channel is not None and ciphered:
            if len(key) != DEDICATED_KEY:
                raise _initiate(InitiateError.OTHER)
            channel.dedicate(key)
        return Negotiated(
            context,
            association.mechanism,
            common,
            association.max_pdu,
            request.max_pdu,
            established=False,
        )

    def _accept(
        self,
        aarq: Aarq,
        association: AssociationLn,
        negotiated: Negotiated,
        protection: Protection,
    ) -> tuple[Aare, Step]:
        session, security = self._session, association.security
        hls = association.mechanism is Mechanism.HLS_GMAC
        answer = InitiateResponse(negotiated.conformance, association.max_pdu).encode()
        if session.channel is not None and negotiated.context in _CIPHERED and security:
            answer = session.channel.protect(answer, protection.stronger(security.response_control))
        title = session.channel.title if session.channel else None
        diagnostic = Diagnostic.AUTHENTICATION_REQUIRED if hls else Diagnostic.NULL
        aare = Aare(
            aarq.context,
            AssociationResult.ACCEPTED,
            diagnostic,
            title=title,
            mechanism=association.mechanism if hls else None,
            authentication=session.challenge if hls else None,
            user_information=answer,
        )
        return aare, Step.CHALLENGE if hls else Step.ACCEPT


_CIPHERED: Final = frozenset({ApplicationContext.LN_CIPHERED})


def _initiate(error: InitiateError) -> RefusalError:
    return RefusalError("initiate", Diagnostic.NO_REASON_GIVEN, error=error)


def refusal(aarq: Aarq, error: RefusalError) -> Aare:
    """Return the AARE that refuses.

    The context's name is the one that was proposed, or LN if that was none of ours; so is the
    InitiateResponse missing: there is nothing to agree on.
    """
    context = aarq.context if isinstance(aarq.context, ApplicationContext) else None
    information = None if error.error is None else ConfirmedServiceError.initiate(error.error)
    return Aare(
        context or ApplicationContext.LN,
        error.result,
        error.diagnostic,
        user_information=None if information is None else information.encode(),
    )
