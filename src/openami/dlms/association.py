"""What client and server share of an association: how its APDUs are protected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import SecurityError
from openami.dlms.apdu.ciphered import Form
from openami.dlms.security import (
    NOTHING,
    Keys,
    ReplayGuard,
    SecurityControl,
    Unprotected,
    check_hls_pass,
    hls_pass,
    protect,
    unprotect,
)

if TYPE_CHECKING:
    from openami.dlms.apdu.ciphered import CipheredApdu
    from openami.dlms.cosem.security import InvocationCounters

# Green Book 9.2.2.2.3: challenges of HLS have 8 to 64 octets.
MIN_CHALLENGE: Final = 8
MAX_CHALLENGE: Final = 64
CHALLENGE: Final = 16
DEDICATED_KEY: Final = 16
# The header of a ciphered APDU: tag, length of up to 3 octets, SC, counter, authentication tag …
SPECIFIC_OVERHEAD: Final = 1 + 3 + 5 + 12
# … and in the general forms the system title with its length.
GENERAL_OVERHEAD: Final = SPECIFIC_OVERHEAD + 9
# Tag, choice, invoke-id, last, number, choice, length of up to 3 octets: what is around a block.
BLOCK_OVERHEAD: Final = 13
# The length field of the wrapper has 16 bits; an association without a limit keeps to it.
MAX_APDU: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Protection:
    """How one APDU came or is to go; without a form it is plain."""

    control: SecurityControl = NOTHING
    form: Form | None = None

    @property
    def overhead(self) -> int:
        """Octets that it adds at most."""
        if self.form is None:
            return 0
        return GENERAL_OVERHEAD if self.form.general else SPECIFIC_OVERHEAD

    def stronger(self, control: SecurityControl) -> Protection:
        """Return this protection with what ``control`` wants besides."""
        if self.control.covers(control):
            return self
        octet = self.control.octet | control.octet
        return Protection(SecurityControl(octet), self.form or Form.GLOBAL)


PLAIN: Final = Protection()


class Channel:
    """The ciphering of one association, at either end.

    Args:
        keys: the global keys, and the dedicated one if there is one.
        title: own system title.
        counters: own counters, and those accepted from the peer.
        peer: the peer's system title, when it is known.
    """

    def __init__(
        self,
        keys: Keys,
        title: bytes,
        counters: InvocationCounters,
        peer: bytes | None = None,
    ) -> None:
        self.keys = keys
        self.title = title
        self.peer = peer
        self._counters = counters
        self._global = ReplayGuard(counters.last)
        self._dedicated = ReplayGuard()

    def dedicate(self, key: bytes) -> None:
        """Use a dedicated key from now on; its counters begin anew.

        Raises:
            SecurityError: it is no key.
        """
        self.keys = replace(self.keys, dedicated=key)
        self._dedicated = ReplayGuard()

    def protect(self, apdu: bytes, protection: Protection) -> bytes:
        """Return ``apdu`` as it goes on the wire.

        Raises:
            SecurityError: a key is missing, or the counters are used up.
        """
        if protection.form is None:
            return apdu
        return protect(
            apdu,
            self.keys,
            control=protection.control,
            title=self.title,
            counter=self._counters.take(),
            form=protection.form,
        )

    def unprotect(self, message: CipheredApdu, *, newer: Keys | None = None) -> Unprotected:
        """Return what ``message`` ciphers, its counter accepted.

        Args:
            message: as it was decoded.
            newer: keys that have replaced ours in the meantime: the peer may use either.

        Raises:
            SecurityError: it is not right; ``security.replay`` if only its counter is not.
        """
        try:
            found = unprotect(message, self.keys, title=self.peer)
        except SecurityError:
            keys = self._replaced(newer)
            if keys is None:
                raise
            found = unprotect(message, keys, title=self.peer)
            self.keys = keys
            self._global = ReplayGuard(self._counters.last)
        self._accept(found, kept=self._replaced(newer) is None)
        return found

    def _replaced(self, newer: Keys | None) -> Keys | None:
        """Return the newer global keys with our dedicated one; None if there are none."""
        if newer is None:
            return None
        keys = replace(newer, dedicated=self.keys.dedicated)
        return None if keys == self.keys else keys

    def _accept(self, found: Unprotected, *, kept: bool) -> None:
        if found.form.dedicated:
            self._dedicated.accept(found.counter)
            return
        self._global.accept(found.counter)
        # The counters that are kept belong to the keys in force; and a counter without a tag over
        # it may be anybody's: keeping it would let them lock the client out.
        if kept and found.control.authenticated:
            self._counters.accept(found.counter)

    def expected(self, message: CipheredApdu) -> int:
        """Return the lowest counter that is accepted from the peer with the key of ``message``."""
        if message.form.dedicated:
            return self._dedicated.last + 1
        return max(self._global.last, self._counters.last) + 1

    def hls_answer(self, challenge: bytes) -> bytes:
        """Return f(challenge) of HLS-5 for the peer's challenge.

        Raises:
            SecurityError: a key is missing, or the counters are used up.
        """
        return hls_pass(challenge, self.keys, title=self.title, counter=self._counters.take())

    def hls_check(self, answer: bytes, challenge: bytes) -> None:
        """Check the peer's f(challenge).

        Its counter is not compared with those of APDUs: our challenge is fresh, and the APDU that
        carries the answer has a counter of its own.

        Raises:
            SecurityError: it is not right.
        """
        if self.peer is None:
            raise SecurityError("the peer's system title is not known", code="security.title")
        check_hls_pass(answer, challenge, self.keys, title=self.peer)
