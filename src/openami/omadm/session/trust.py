"""Both halves of authentication: to check the peer, and to prove oneself.

A nonce is spent by the proof that was accepted with it, and by that only. What answers a failed
proof is a nonce of this session, never of the account, so that nobody without the password can
put the two ends out of step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, RemoteProtocolError, SecurityError
from openami.omadm.auth import (
    MAX_NONCE,
    AuthPolicy,
    AuthType,
    Credentials,
    HmacHeader,
    Scheme,
    basic,
    check_basic,
    check_digest,
    digest,
    sign,
)
from openami.omadm.codes import Status
from openami.omadm.messages.model import Chal, Cred, Meta

if TYPE_CHECKING:
    from openami.omadm.messages.model import StatusReport

Nonces = Callable[[], bytes]
"""Gives a nonce that was never used: sixteen random octets."""

MAX_FAILURES: Final = 2
"""Failed proofs in one session: the first may be a stale nonce, the next is a wrong password."""
_FORMAT: Final = "b64"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the SyncHdr's Status says of a message."""

    status: Status
    chal: Chal | None = None

    @property
    def trusted(self) -> bool:
        return self.status < Status.BAD_REQUEST

    @property
    def last(self) -> bool:
        """Whether it was refused for good."""
        return not self.trusted and self.chal is None


class Guard:
    """Check the peer's proofs.

    Attributes:
        nonce: of the account: what the peer's next proof is expected to hold.
        failures: how often a proof was missing or wrong, since one was right.
        scheme: the one that the peer has proved itself by.
    """

    def __init__(
        self, credentials: Credentials, policy: AuthPolicy, nonce: bytes, nonces: Nonces
    ) -> None:
        self._credentials = credentials
        self._policy = policy
        self._nonces = nonces
        self._expected = nonce
        self._mac_only = False
        self._for_session = False
        self.nonce = nonce
        self.failures = 0
        self.scheme: Scheme | None = None

    def check(self, cred: Cred | None, body: bytes, hmac: str | None) -> Verdict:
        """Return what the Status of this message's header says.

        Raises:
            RemoteProtocolError: ``omadm.auth.downgrade``: a MAC was asked for, and something else
                came (OMA-TS-DM_Security 1.2, 5.3.2.3: the session ends).
        """
        if self._for_session:
            return Verdict(Status.AUTHENTICATED)
        if self._mac_only and hmac is None:
            raise RemoteProtocolError(
                "a MAC was asked for, and none came", code="omadm.auth.downgrade"
            )
        scheme = self._accepted(cred, body, hmac)
        if scheme is None:
            return self._challenge(missing=cred is None and hmac is None)
        return self._accept(scheme)

    def _accepted(self, cred: Cred | None, body: bytes, hmac: str | None) -> Scheme | None:
        """Return the scheme of a proof that holds."""
        if hmac is not None:
            return self._mac(body, hmac)
        scheme = self._policy.best(AuthType.of(cred.meta.type) if cred else None)
        if cred is None or scheme is None or scheme.type is AuthType.MAC:
            return None
        if scheme is Scheme.BASIC:
            return scheme if check_basic(cred.data, self._credentials) else None
        held = check_digest(cred.data, self._credentials, self._expected, scheme.hash)
        return scheme if held else None

    def _mac(self, body: bytes, hmac: str) -> Scheme | None:
        try:
            header = HmacHeader.parse(hmac)
        except DecodeError:
            return None  # no proof is a wrong one: 401, as the standard has it
        for scheme in self._policy.schemes:
            if scheme.type is AuthType.MAC and scheme.hash is header.algorithm:
                return scheme if header.check(self._credentials, self._expected, body) else None
        return None

    def _accept(self, scheme: Scheme) -> Verdict:
        self.failures = 0
        self.scheme = scheme
        if scheme is Scheme.BASIC:
            self._for_session = True
            return Verdict(Status.AUTHENTICATED)
        self.nonce = self._expected = self._nonces()
        chal = self._chal(scheme.type)
        if scheme.type is AuthType.MAC:
            self._mac_only = True
            return Verdict(Status.OK, chal)
        self._for_session = True
        return Verdict(Status.AUTHENTICATED, chal)

    def _challenge(self, *, missing: bool) -> Verdict:
        self.failures += 1
        status = Status.MISSING_CREDENTIALS if missing else Status.INVALID_CREDENTIALS
        if self.failures > MAX_FAILURES:
            return Verdict(status)
        kind = self._policy.preferred.type
        self._mac_only = kind is AuthType.MAC
        if kind is not AuthType.BASIC:
            self._expected = self._nonces()
        return Verdict(status, self._chal(kind))

    def _chal(self, kind: AuthType) -> Chal:
        nonce = None if kind is AuthType.BASIC else self._expected
        return Chal(Meta(format=_FORMAT, type=kind, next_nonce=nonce))


class Prover:
    """Prove oneself to the peer.

    Attributes:
        nonce: of the account: what the next proof holds.
    """

    def __init__(self, credentials: Credentials, policy: AuthPolicy, nonce: bytes) -> None:
        self._credentials = credentials
        self._policy = policy
        self._scheme = policy.preferred
        self._now = nonce
        self._for_session = False
        self._failures = 0
        self.nonce = nonce

    @property
    def name(self) -> str:
        """What Source/LocName says; the MAC's header names the same."""
        return self._credentials.name

    def follow(self, scheme: Scheme | None) -> None:
        """Prove oneself as the peer has: a scheme that it knows, and that the account accepts."""
        if scheme is not None and not self._for_session:
            self._scheme = scheme

    def cred(self) -> Cred | None:
        """Return the Cred of the next message."""
        scheme = self._scheme
        if self._for_session or scheme.type is AuthType.MAC:
            return None
        if scheme is Scheme.BASIC:
            data = basic(self._credentials)
        else:
            data = digest(self._credentials, self._now, scheme.hash)
        return Cred(Meta(format=_FORMAT, type=scheme.type), data)

    def hmac(self, body: bytes) -> str | None:
        """Return the MAC header of the next message."""
        if self._for_session or self._scheme.type is not AuthType.MAC:
            return None
        return str(sign(self._credentials, self._now, body, self._scheme.hash))

    def take(self, status: StatusReport, *, trusted: bool) -> bool:
        """Read the Status of one's own header; tell whether the proof was accepted.

        Args:
            status: the Status.
            trusted: the message it came in is the peer's own: its nonce is the account's.

        Raises:
            RemoteProtocolError: ``omadm.auth.challenge``: it asks for what the account does not
                accept, or holds no nonce where one must be.
            SecurityError: ``omadm.auth.refused``: the peer accepts no proof of ours.
        """
        if self._for_session and status.data < Status.BAD_REQUEST:
            return True
        nonce = self._next_nonce(status)
        if status.data in {Status.INVALID_CREDENTIALS, Status.MISSING_CREDENTIALS}:
            self._challenged(status, nonce)
            return False
        if status.data >= Status.BAD_REQUEST:
            raise SecurityError(
                f"the peer refuses the session: {status.data}", code="omadm.auth.refused"
            )
        if self._scheme.type is AuthType.MAC and nonce is None:
            raise RemoteProtocolError("a MAC without a next nonce", code="omadm.auth.challenge")
        self._for_session = status.data == Status.AUTHENTICATED
        if nonce is not None:
            self._now = nonce
            if trusted:
                self.nonce = nonce
        return True

    def _next_nonce(self, status: StatusReport) -> bytes | None:
        nonce = status.chal.meta.next_nonce if status.chal else None
        if nonce is not None and len(nonce) > MAX_NONCE:
            raise RemoteProtocolError(
                f"a nonce of more than {MAX_NONCE} octets", code="omadm.auth.challenge"
            )
        return nonce

    def _challenged(self, status: StatusReport, nonce: bytes | None) -> None:
        self._failures += 1
        if self._failures > MAX_FAILURES:
            raise SecurityError("the peer accepts no proof of ours", code="omadm.auth.refused")
        self._for_session = False
        if status.chal is None:
            raise SecurityError("refused without a challenge", code="omadm.auth.refused")
        kind = AuthType.of(status.chal.meta.type)
        fitting = [scheme for scheme in self._policy.schemes if scheme.type is kind]
        # A challenge for a MAC does not say which: the first failure may be a stale nonce, the next
        # is a peer that knows only the other.
        scheme = fitting[min(self._failures, len(fitting)) - 1] if fitting else None
        if scheme is None or (scheme is not Scheme.BASIC and nonce is None):
            raise RemoteProtocolError(
                "the peer asks for a proof that the account does not give",
                code="omadm.auth.challenge",
            )
        self._scheme = scheme
        self._now = nonce or b""
