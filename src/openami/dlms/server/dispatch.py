"""What a server does with one APDU: associations, deciphering, services, and the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import DecodeError, SecurityError, StoreError
from openami.dlms.apdu import action, decode_apdu, get
from openami.dlms.apdu import set as set_
from openami.dlms.apdu.acse import Aarq, Mechanism, ReleaseResponseReason, Rlre, Rlrq
from openami.dlms.apdu.ciphered import CipheredApdu
from openami.dlms.apdu.common import CONFIRMED
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from openami.dlms.association import PLAIN, Protection
from openami.dlms.conformance import Conformance
from openami.dlms.cosem.access import ClientKind
from openami.dlms.cosem.association import CURRENT
from openami.dlms.cosem.base import Context
from openami.dlms.references import MethodRef
from openami.dlms.security import SecurityControl
from openami.dlms.server import actions, services
from openami.dlms.server.admission import Admission, RefusalError, refusal
from openami.dlms.server.events import (
    ApduRefused,
    AssociationFailed,
    AssociationOpened,
    AssociationReleased,
    DecipheringFailed,
    ReplayRefused,
)
from openami.dlms.server.session import Call, Session, State, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.dlms.apdu import Apdu
    from openami.dlms.server.events import ServerEvent
    from openami.dlms.server.throttle import Throttle

NOT_ALLOWED: Final = ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE
)
NOT_SUPPORTED: Final = ExceptionResponse(
    StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED
)
NOT_NEGOTIATED: Final = ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.SERVICE_NOT_SUPPORTED
)
MALFORMED: Final = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.OTHER_REASON)
UNDECIPHERED: Final = ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.DECIPHERING_ERROR
)

_LISTS: Final = Conformance.MULTIPLE_REFERENCES
_SET_BLOCKS: Final = Conformance.SET | Conformance.BLOCK_TRANSFER_WITH_SET
_ACTION_BLOCKS: Final = Conformance.ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION

# What is done for each request, and what must have been negotiated for it.
SERVICES: Final[Mapping[type, tuple[Callable[[Call, Any], Any], Conformance]]] = {
    get.GetRequestNormal: (services.get_normal, Conformance.GET),
    get.GetRequestNext: (services.get_next, Conformance.GET | Conformance.BLOCK_TRANSFER_WITH_GET),
    get.GetRequestWithList: (services.get_with_list, Conformance.GET | _LISTS),
    set_.SetRequestNormal: (services.set_normal, Conformance.SET),
    set_.SetRequestFirstBlock: (services.set_first_block, _SET_BLOCKS),
    set_.SetRequestBlock: (services.set_block, _SET_BLOCKS),
    set_.SetRequestWithList: (services.set_with_list, Conformance.SET | _LISTS),
    set_.SetRequestWithListFirstBlock: (services.set_list_first_block, _SET_BLOCKS | _LISTS),
    action.ActionRequestNormal: (actions.action_normal, Conformance.ACTION),
    action.ActionRequestNext: (actions.action_next, _ACTION_BLOCKS),
    action.ActionRequestWithList: (actions.action_with_list, Conformance.ACTION | _LISTS),
    action.ActionRequestFirstBlock: (actions.action_first_block, _ACTION_BLOCKS),
    action.ActionRequestWithListFirstBlock: (
        actions.action_list_first_block,
        _ACTION_BLOCKS | _LISTS,
    ),
    action.ActionRequestBlock: (actions.action_block, _ACTION_BLOCKS),
}
_CONTINUATIONS: Final = (
    get.GetRequestNext,
    set_.SetRequestBlock,
    action.ActionRequestNext,
    action.ActionRequestBlock,
)
# A GET without the confirmed bit is answered all the same: old clients never set it, and a GET
# that is not answered would make no sense.
_UNCONFIRMABLE: Final = tuple(
    kind for kind, (_, needed) in SERVICES.items() if Conformance.GET not in needed
)


class Dispatcher:
    """Answers APDUs, each by its kind and by where the client's session stands.

    Args:
        emit: is told what happened.
        random_octets: returns that many octets from a cryptographic source.
        throttle: slows guessing of passwords down.
    """

    def __init__(
        self,
        emit: Callable[[ServerEvent], None],
        random_octets: Callable[[int], bytes],
        throttle: Throttle,
    ) -> None:
        self._emit = emit
        self._random = random_octets
        self._throttle = throttle

    def end(self, session: Session, code: str) -> None:
        """End the session's association, if it has one."""
        if session.state is State.ASSOCIATED:
            self._emit(AssociationReleased(session.peer, code))
        session.step(Step.END)

    def answer(self, session: Session, octets: bytes, now: float) -> bytes:
        """Return what goes back: nothing for an unconfirmed request."""
        most = session.negotiated.max_receive if session.negotiated else 0
        if 0 < most < len(octets):  # Green Book 9.5, server-max-receive-pdu-size
            self._emit(ApduRefused(session.peer, "pdu-too-long"))
            return services.TOO_LONG.encode()
        try:
            return self._decoded(session, decode_apdu(octets), now)
        except DecodeError as error:
            self._emit(ApduRefused(session.peer, error.code))
            unknown = error.code == "protocol.decode.tag"
            return (NOT_SUPPORTED if unknown else MALFORMED).encode()
        except (SecurityError, StoreError) as error:  # our counters are used up, or not to be kept
            self._emit(ApduRefused(session.peer, error.code))
            return NOT_ALLOWED.encode()

    def _decoded(self, session: Session, apdu: Apdu, now: float) -> bytes:
        match apdu:
            case Aarq():
                return self._associate(session, apdu, now)
            case Rlrq():
                return self._release(session, apdu)
            case CipheredApdu():
                return self._ciphered(session, apdu, now)
        return self._plain(session, apdu, now)

    # -- association -----------------------------------------------------------------------

    def _associate(self, session: Session, aarq: Aarq, now: float) -> bytes:
        self.end(session, "replaced")
        admission = Admission(session, self._throttle, self._random)
        try:
            aare, step = admission.admit(aarq, now=now)
        except RefusalError as error:
            mechanism = aarq.mechanism if isinstance(aarq.mechanism, Mechanism) else Mechanism.NONE
            self._emit(AssociationFailed(session.peer, mechanism, error.code))
            session.step(Step.END)
            return refusal(aarq, error).encode()
        session.step(step)
        if step is Step.ACCEPT:
            self._opened(session)
        return aare.encode()

    def _opened(self, session: Session) -> None:
        if session.association is None or session.negotiated is None:
            return
        session.negotiated = replace(session.negotiated, established=True)
        self._emit(AssociationOpened(session.peer, session.association.mechanism))

    def _release(self, session: Session, rlrq: Rlrq) -> bytes:
        """End the association (Green Book 9.4.3); a ciphered InitiateRequest must be ours."""
        try:
            information = self._release_information(session, rlrq.user_information or b"")
        except SecurityError:
            return Rlre(ReleaseResponseReason.NOT_FINISHED).encode()
        self.end(session, "released")
        return Rlre(user_information=information).encode()

    def _release_information(self, session: Session, octets: bytes) -> bytes | None:
        """Return the InitiateResponse that answers a ciphered InitiateRequest; None for none."""
        channel, negotiated = session.channel, session.negotiated
        apdu = decode_apdu(octets) if octets else None
        if channel is None or negotiated is None or not isinstance(apdu, CipheredApdu):
            return None
        protection, inner = self._decipher(session, apdu)
        if not isinstance(decode_apdu(inner), InitiateRequest):
            raise DecodeError("an InitiateRequest wanted")
        response = InitiateResponse(negotiated.conformance, negotiated.max_receive)
        return channel.protect(response.encode(), protection)

    # -- services --------------------------------------------------------------------------

    def _decipher(self, session: Session, apdu: CipheredApdu) -> tuple[Protection, bytes]:
        """Return how ``apdu`` was protected and what it says.

        Raises:
            SecurityError: it is not right, and an event tells of it.
        """
        association, channel = session.association, session.channel
        if association is None or association.security is None or channel is None:
            raise SecurityError("no ciphered association", code="security.context")
        if session.replaced:
            self.end(session, "keys")
            raise SecurityError("the keys are no longer in force", code="security.key")
        try:
            found = channel.unprotect(apdu, newer=association.security.keys)
        except SecurityError as error:
            self._emit(
                ReplayRefused(session.peer, apdu.invocation_counter)
                if error.code == "security.replay"
                else DecipheringFailed(session.peer, error.code)
            )
            raise
        return Protection(found.control, found.form), found.apdu

    def _ciphered(self, session: Session, message: CipheredApdu, now: float) -> bytes:
        if session.state is State.IDLE or not session.ciphered:
            self._emit(ApduRefused(session.peer, "state"))
            return NOT_ALLOWED.encode()
        try:
            protection, inner = self._decipher(session, message)
        except SecurityError as error:
            if error.code == "security.replay" and session.channel is not None:
                # Green Book 9.5, ExceptionResponse: the counter that would have been accepted.
                return ExceptionResponse(
                    StateError.SERVICE_NOT_ALLOWED,
                    ServiceError.INVOCATION_COUNTER_ERROR,
                    session.channel.expected(message),
                ).encode()
            return UNDECIPHERED.encode()
        return self._plain(session, decode_apdu(inner), now, protection)

    def _plain(
        self, session: Session, apdu: Any, now: float, protection: Protection = PLAIN
    ) -> bytes:
        """Do what a request asks for, if it may be asked, and return the protected answer."""
        service = SERVICES.get(type(apdu))
        refused = self._refusal(session, apdu, protection.control)
        if service is None or refused is not None:
            self._emit(ApduRefused(session.peer, "service" if not service else "state"))
            return (refused or NOT_SUPPORTED).encode()
        if not isinstance(apdu, _CONTINUATIONS):  # a new request ends a transfer under way
            session.outgoing = session.incoming = None
        back = self._answering(session, protection)
        answer = service[0](self._call(session, protection, back, now), apdu)
        silent = type(apdu) in _UNCONFIRMABLE and not apdu.invoke_id & CONFIRMED
        octets = b"" if silent else self._protected(session, answer, back)
        self._proved(session)
        return octets

    def _refusal(
        self, session: Session, apdu: Any, control: SecurityControl
    ) -> ExceptionResponse | None:
        """Return why a request is not even looked at; None if it is."""
        service = SERVICES.get(type(apdu))
        association, negotiated = session.association, session.negotiated
        if service is None:
            return NOT_SUPPORTED
        if association is None or negotiated is None:
            return NOT_ALLOWED
        if session.state is State.PENDING and not _is_pass_3(session, apdu):
            return NOT_ALLOWED  # Green Book 9.2.2.2.3: only pass 3 is let through
        if service[1] not in negotiated.conformance and session.state is not State.PENDING:
            return NOT_NEGOTIATED
        if session.ciphered and association.security is not None:
            wanted = association.security.request_control
            if not control.covers(wanted):
                self._emit(DecipheringFailed(session.peer, "security.policy"))
                return NOT_ALLOWED
        return None

    def _answering(self, session: Session, protection: Protection) -> Protection:
        """Return how the answer is protected: as the request, and as the policy wants."""
        association = session.association
        if association is None or association.security is None or not session.ciphered:
            return protection
        return protection.stronger(association.security.response_control)

    def _call(self, session: Session, protection: Protection, back: Protection, now: float) -> Call:
        association = session.association
        context = Context(
            session.peer.client,
            ClientKind.PUBLIC if association is None else association.kind,
            now,
            authenticated=protection.control.authenticated,
            encrypted=protection.control.encrypted,
            association=None if association is None else association.obis,
            negotiated=session.negotiated,
            hls=self._hls(session) if session.state is State.PENDING else None,
        )
        return Call(session, context, self._emit, back)

    def _hls(self, session: Session) -> Callable[[bytes], bytes | None]:
        """Return what checks pass 3 and makes pass 4 (Green Book 9.2.7.4)."""

        def check(answer: bytes) -> bytes | None:
            channel = session.channel
            challenge, session.challenge = session.challenge, b""  # one attempt for each challenge
            if channel is None or not challenge:
                return None
            try:
                channel.hls_check(answer, challenge)
            except SecurityError:
                return None
            session.proved = True
            return channel.hls_answer(session.challenged)

        return check

    def _protected(self, session: Session, answer: Any, back: Protection) -> bytes:
        octets: bytes = answer.encode()
        if isinstance(answer, ExceptionResponse) or session.channel is None:
            return octets
        return session.channel.protect(octets, back)

    def _proved(self, session: Session) -> None:
        """Move on after pass 3: one wrong answer ends the association."""
        if session.state is not State.PENDING:
            return
        if session.proved:
            session.step(Step.PROVE)
            self._opened(session)
        else:
            self._emit(AssociationFailed(session.peer, Mechanism.HLS_GMAC, "hls"))
            session.step(Step.END)

    def answer_nobody(self, session: Session, octets: bytes, now: float) -> None:
        """Execute a request that was sent to all stations.

        Only unconfirmed SET and ACTION make sense there (Green Book 9.3.2).
        """
        try:
            apdu = decode_apdu(octets)
        except DecodeError as error:
            self._emit(ApduRefused(session.peer, error.code))
            return
        if type(apdu) in (CipheredApdu, *_UNCONFIRMABLE):
            self.answer(session, octets, now)

    def broadcast(self, session: Session, octets: bytes, now: float) -> None:
        """Execute what was sent to all stations for a pre-established association.

        It must be an unconfirmed ACTION or SET in one APDU, ciphered with the broadcast key as the
        policy wants it, and its counter higher than any before. What is not is dropped. It is no
        fraud either: a line may repeat a frame, and neighbours have keys of their own.
        """
        try:
            protection, apdu = self._broadcasted(session, octets)
        except (DecodeError, SecurityError, StoreError) as error:
            self._emit(ApduRefused(session.peer, error.code))
            return
        service = SERVICES.get(type(apdu))
        allowed = session.negotiated.conformance if session.negotiated else Conformance(0)
        silent = type(apdu) in _UNCONFIRMABLE and not apdu.invoke_id & CONFIRMED
        if service is None or not silent or service[1] not in allowed:
            self._emit(ApduRefused(session.peer, "service"))
            return
        service[0](self._call(session, protection, PLAIN, now), apdu)

    def _broadcasted(self, session: Session, octets: bytes) -> tuple[Protection, Any]:
        """Return how a broadcast was protected, and what it asks for.

        Raises:
            DecodeError: it is no APDU.
            SecurityError: it is not protected as it must be, or was there before.
        """
        message = decode_apdu(octets)
        security = session.association.security if session.association else None
        if not isinstance(message, CipheredApdu) or security is None or session.channel is None:
            raise SecurityError("a ciphered broadcast wanted", code="security.policy")
        control = SecurityControl(message.security_control)
        # Before the counter is looked at: what anybody can make must not use it up.
        if not (control.broadcast and control.covers(security.request_control)):
            raise SecurityError("the broadcast key wanted", code="security.policy")
        found = session.channel.unprotect(message, newer=security.keys)
        return Protection(found.control, found.form), decode_apdu(found.apdu)


def _is_pass_3(session: Session, apdu: Any) -> bool:
    if not isinstance(apdu, action.ActionRequestNormal) or session.association is None:
        return False
    names = (CURRENT, session.association.obis)
    return apdu.ref in [MethodRef(15, name, 1) for name in names]
