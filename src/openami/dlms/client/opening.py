"""The client side of an association: AARQ, AARE, the passes of HLS, and the ciphering of APDUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, LocalProtocolError, OpenAmiError, SecurityError
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.acse import Aare, Aarq, AssociationResult, Diagnostic, Mechanism, Rlrq
from openami.dlms.apdu.action import ActionRequestNormal, ActionResponseNormal
from openami.dlms.apdu.ciphered import CIPHERED_TAGS, CipheredApdu, Form
from openami.dlms.apdu.common import CONFIRMED, HIGH_PRIORITY
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError
from openami.dlms.apdu.initiate import (
    VERSION,
    ConfirmedServiceError,
    InitiateError,
    InitiateRequest,
    InitiateResponse,
    ServiceErrorKind,
)
from openami.dlms.association import (
    CHALLENGE,
    DEDICATED_KEY,
    GENERAL_OVERHEAD,
    MAX_CHALLENGE,
    MIN_CHALLENGE,
    PLAIN,
    SPECIFIC_OVERHEAD,
    Channel,
    Protection,
)
from openami.dlms.client.config import SecurityLevel
from openami.dlms.client.events import Agreement
from openami.dlms.cosem.association import CURRENT
from openami.dlms.cosem.security import KeptCounters
from openami.dlms.data import Data, octets
from openami.dlms.references import MethodRef
from openami.dlms.results import ActionResult
from openami.dlms.security import NOTHING, TITLE_SIZE, SecurityControl

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.apdu import Apdu
    from openami.dlms.client.config import ClientConfig
    from openami.dlms.cosem.security import InvocationCounters

_REPLY_TO_HLS: Final = MethodRef(15, CURRENT, 1)


class RefusedError(OpenAmiError):
    """The meter does not want us; ``code`` says why."""

    code = "association"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, code=code)


class Opening:
    """Makes what the client sends to associate, and reads what the meter answers.

    Args:
        config: how to associate.
        random_octets: returns that many random octets.
        counters: our own counters and the meter's.
    """

    def __init__(
        self,
        config: ClientConfig,
        random_octets: Callable[[int], bytes],
        counters: InvocationCounters | None,
    ) -> None:
        self._config = config
        self._counters = KeptCounters(config.invocation_counter, config.peer_counter)
        self._channel: Channel | None = None
        if config.needs_keys and config.keys is not None and config.title is not None:
            peer = config.server_title.raw if config.server_title else None
            self._channel = Channel(config.keys, config.title.raw, counters or self._counters, peer)
        self._dedicated = self._dedicated_key(random_octets)
        self._challenge = random_octets(CHALLENGE)

    def _dedicated_key(self, random_octets: Callable[[int], bytes]) -> bytes | None:
        if not (self._config.dedicated and self._config.is_ciphered):
            return None
        given = self._config.keys.dedicated if self._config.keys else None
        return given or random_octets(DEDICATED_KEY)

    @property
    def next_counter(self) -> int:
        """The next of our own counters, as far as they are kept here."""
        return self._counters.next

    @property
    def overhead(self) -> int:
        """Octets that protection adds at most."""
        if self._config.security is SecurityLevel.NONE:
            return 0
        return GENERAL_OVERHEAD if self._config.general else SPECIFIC_OVERHEAD

    # -- AARQ and AARE ---------------------------------------------------------------------

    def aarq(self, link_limit: int) -> bytes:
        """Return the AARQ; ``link_limit``: octets that an APDU may have on the link, 0 for any."""
        config = self._config
        sizes = [size for size in (config.max_pdu, link_limit) if size]
        request = InitiateRequest(config.conformance, min(sizes, default=0), self._dedicated)
        information = self._protect(request.encode(), dedicated=False)
        values = {
            Mechanism.NONE: (None, None),
            Mechanism.LLS: (Mechanism.LLS, config.secret),
            Mechanism.HLS_GMAC: (Mechanism.HLS_GMAC, self._challenge),
        }
        mechanism, value = values[config.mechanism]
        title = config.title.raw if config.needs_keys and config.title else None
        return Aarq(config.context, title, mechanism, value, information).encode()

    def aare(self, answer: bytes) -> tuple[Agreement, bytes | None]:
        """Read the meter's answer; return what it agrees to, and pass 3 for HLS.

        Raises:
            RefusedError: the meter refuses.
            DecodeError: it is no answer to an AARQ.
            SecurityError: it is not protected as it must be.
        """
        aare = decode_apdu(answer)
        if isinstance(aare, ExceptionResponse):
            raise RefusedError(*exception_text(aare))
        if not isinstance(aare, Aare):
            raise DecodeError("an AARE wanted")
        if self._channel is not None and aare.title is not None and len(aare.title) == TITLE_SIZE:
            self._channel.peer = aare.title
        if aare.result is not AssociationResult.ACCEPTED:
            raise self._refused(aare)
        response = self._initiate_response(aare)
        if self._dedicated is not None and self._channel is not None:
            self._channel.dedicate(self._dedicated)
        title = self._channel.peer if self._channel else aare.title
        agreement = Agreement(
            response.conformance & self._config.conformance, response.max_pdu, title
        )
        return agreement, self._pass_3(aare)

    def _refused(self, aare: Aare) -> RefusedError:
        if aare.user_information is not None:
            found = self._information(aare.user_information)
            if isinstance(found, ConfirmedServiceError):
                return _service_error(found)
        name = (
            aare.diagnostic.name.lower().replace("_", "-")
            if isinstance(aare.diagnostic, Diagnostic)
            else f"provider-{aare.diagnostic}"
        )
        return RefusedError(f"association.{name}", f"the meter refuses the association: {name}")

    def _information(self, information: bytes) -> object:
        """Return the user-information of a refusal, None if it cannot be read."""
        try:
            found = decode_apdu(information)
            if isinstance(found, CipheredApdu) and self._channel is not None:
                found = decode_apdu(self._channel.unprotect(found).apdu)
        except (DecodeError, SecurityError):
            return None
        return found

    def _initiate_response(self, aare: Aare) -> InitiateResponse:
        if aare.user_information is None:
            raise DecodeError("an AARE without an InitiateResponse")
        found = decode_apdu(self.decipher(aare.user_information))
        if isinstance(found, ConfirmedServiceError):
            raise _service_error(found)
        if not isinstance(found, InitiateResponse):
            raise DecodeError("an InitiateResponse wanted")
        if found.version != VERSION:
            raise DecodeError(f"DLMS version {found.version}")
        return found

    # -- HLS -------------------------------------------------------------------------------

    def _pass_3(self, aare: Aare) -> bytes | None:
        """Return the ACTION of pass 3 (Green Book 9.2.7.4); None without HLS."""
        if self._config.mechanism is not Mechanism.HLS_GMAC:
            if aare.diagnostic is Diagnostic.AUTHENTICATION_REQUIRED:
                raise self._refused(aare)  # accepted only for who knows HLS
            return None
        challenge = aare.authentication or b""
        if self._channel is None or not MIN_CHALLENGE <= len(challenge) <= MAX_CHALLENGE:
            raise SecurityError("the meter sends no challenge", code="security.hls")
        if self._channel.peer == self._channel.title or challenge == self._challenge:
            raise SecurityError("the meter reflects what we sent", code="security.hls")
        answer = octets(self._channel.hls_answer(challenge))
        return ActionRequestNormal(CONFIRMED | HIGH_PRIORITY, _REPLY_TO_HLS, answer).encode()

    def prove(self, plain: bytes) -> None:
        """Check pass 4.

        Raises:
            RefusedError: the meter did not take pass 3.
            SecurityError: the meter does not hold the keys.
        """
        found = decode_apdu(plain)
        if isinstance(found, ExceptionResponse | ConfirmedServiceError):
            raise RefusedError(
                "association.authentication-failure", "the meter refuses our answer to it"
            )
        if not isinstance(found, ActionResponseNormal) or self._channel is None:
            raise DecodeError("the answer to pass 3 wanted")
        if found.outcome.result is not ActionResult.SUCCESS:
            raise RefusedError("association.authentication-failure", "the meter refuses our keys")
        if not isinstance(found.outcome.data, Data):
            raise SecurityError("the meter does not prove its keys", code="security.hls")
        self._channel.hls_check(found.outcome.data.octets(), self._challenge)

    # -- protection ------------------------------------------------------------------------

    def protect(self, plain: bytes) -> bytes:
        """Return a request as it goes on the wire."""
        return self._protect(plain, dedicated=self._dedicated is not None)

    def _protect(self, plain: bytes, *, dedicated: bool) -> bytes:
        if self._config.security is SecurityLevel.NONE:
            return plain
        if self._channel is None:
            raise LocalProtocolError("ciphering without keys")
        form = _FORMS[self._config.general, dedicated]
        return self._channel.protect(plain, Protection(self._config.security.control, form))

    def decipher(self, answer: bytes) -> bytes:
        """Return an answer's plain octets.

        Raises:
            SecurityError: it is not protected as we want it to be, or not with our keys.
            DecodeError: it is no APDU.
        """
        wanted = self._config.security.control
        if not answer or answer[0] not in CIPHERED_TAGS:
            if not PLAIN.control.covers(wanted):
                raise SecurityError("an answer that is not protected", code="security.policy")
            return answer
        message = decode_apdu(answer)
        if self._channel is None or not isinstance(message, CipheredApdu):
            raise SecurityError("a ciphered answer, and no keys", code="security.key")
        found = self._channel.unprotect(message)
        if not found.control.covers(wanted):
            raise SecurityError(f"an answer that is only {found.control}", code="security.policy")
        return found.apdu

    def unasked(self, octets: bytes) -> tuple[bytes, SecurityControl]:
        """Return what the meter sent of its own accord, and how it was protected.

        Raises:
            SecurityError: it is ciphered, and less than we want answers to be, not with our keys,
                or was there before.
            DecodeError: it is no APDU.
        """
        message = decode_apdu(octets)
        if not isinstance(message, CipheredApdu):
            return octets, NOTHING
        wanted = self._config.security.control
        # Before the counter is looked at: what anybody can make must not use it up.
        if self._channel is None or not SecurityControl(message.security_control).covers(wanted):
            raise SecurityError("a push that is not protected", code="security.policy")
        found = self._channel.unprotect(message)
        return found.apdu, found.control

    def release(self) -> bytes:
        """Return the RLRQ."""
        return Rlrq().encode()


_FORMS: Final = {
    (False, False): Form.GLOBAL,
    (False, True): Form.DEDICATED,
    (True, False): Form.GENERAL_GLOBAL,
    (True, True): Form.GENERAL_DEDICATED,
}


def _service_error(found: ConfirmedServiceError) -> RefusedError:
    name = f"service-error-{found.kind}-{found.value}"
    if found.kind == ServiceErrorKind.INITIATE:
        known = {error.value: error.name.lower().replace("_", "-") for error in InitiateError}
        name = known.get(found.value, name)
    return RefusedError(f"association.{name}", f"the meter refuses the association: {name}")


def exception_text(found: Apdu) -> tuple[str, str]:
    """Return the code and the message of an error that came in place of an answer.

    Raises:
        DecodeError: it is none.
    """
    if isinstance(found, ConfirmedServiceError):
        name = f"service-error-{found.kind}-{found.value}"
    elif isinstance(found, ExceptionResponse):
        name = found.service.name.lower().replace("_", "-")
    else:
        raise DecodeError("an exception-response wanted")
    message = f"the meter refuses: {name}"
    if isinstance(found, ExceptionResponse) and (
        found.service is ServiceError.INVOCATION_COUNTER_ERROR
    ):
        message = f"{message}, it expects {found.invocation_counter}"
    return f"exception.{name}", message
