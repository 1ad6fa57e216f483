"""Protection of messages: EAX' over the envelope and the EPSEM (C12.22, 5.3.4.13).

What is authenticated is not the message as it lies on the wire but its canonical form, in which
relative ApTitles are absolute, so that a relay may write them otherwise. The message carries four
octets of time; the same four and the key's id end the canonical form.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.c1222 import apdu as fields
from openami.c1222.apdu import Apdu, KeyUse, Part
from openami.c1222.codes import SecurityMode
from openami.c1222.epsem import Epsem, check_control, mode_of
from openami.c1222.limits import MAX_APDU
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.crypto.eax import TAG_SIZE, EaxPrime
from openami.wire import ber
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# C12.22, 5.3.4.13: the calling title comes last, after the head of the user information.
_ORDER: Final = (
    *(fields.CONTEXT, fields.CALLED, fields.ANSWERS, fields.QUALIFIER, fields.INVOCATION),
    *(fields.MECHANISM, fields.AUTHENTICATION, fields.INFORMATION, fields.CALLING),
)
_TITLES: Final = frozenset({fields.CALLED, fields.CALLING})


class Keys:
    """Keys of 16 octets by their id; nothing shows them.

    Raises:
        SecurityError: a key has another size (``security.key``).
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = {key_id: EaxPrime(key) for key_id, key in keys.items()}

    def __contains__(self, key_id: int) -> bool:
        return key_id in self._keys

    def __repr__(self) -> str:
        return f"Keys({sorted(self._keys)})"

    def eax(self, key_id: int) -> EaxPrime:
        """Return a key.

        Raises:
            SecurityError: there is none of that id (``security.key-id``).
        """
        found = self._keys.get(key_id)
        if found is None:
            raise SecurityError(f"no key has the id {key_id}", code="security.key-id")
        return found


NO_KEYS: Final = Keys({})


@dataclass(frozen=True, slots=True)
class Opened:
    """A message whose protection held.

    Attributes:
        apdu: its envelope.
        epsem: what it says, in clear.
        plain: the octets of that, after the control octet.
        key: what protected it: of this message, or remembered of the session; None in mode 0.
    """

    apdu: Apdu
    epsem: Epsem
    plain: bytes = field(repr=False)
    key: KeyUse | None = None


def canonical(octets: bytes, fields_of: tuple[Part, ...], body: int, key: KeyUse) -> bytes:
    """Return the cleartext of EAX'.

    Args:
        octets: a whole message.
        fields_of: where its fields stand.
        body: the offset of what is protected: it follows the control octet of EPSEM.
        key: its key, which it may leave out within a session.
    """
    pieces: dict[int, bytes] = {}
    for part in fields_of:
        if part.tag in _TITLES:
            title = ApTitle.read(Reader(octets[part.content : part.end], base=part.content))
            pieces[part.tag] = ber.wrap(part.tag, title.canonical)
        else:
            # Of the user information, the last field, only the head: nothing of it follows.
            pieces[part.tag] = octets[part.start : min(part.end, body)]
    return _joined(pieces, key)


def _joined(pieces: Mapping[int, bytes], key: KeyUse) -> bytes:
    whole = [pieces[tag] for tag in _ORDER if tag in pieces]
    return b"".join((*whole, bytes((key.key_id,)), key.iv))


_SEAL: Final[Mapping[SecurityMode, Callable[[EaxPrime, bytes, bytes], bytes]]] = {
    SecurityMode.AUTHENTICATED: EaxPrime.sign,
    SecurityMode.ENCRYPTED: EaxPrime.seal,
}
_OPEN: Final[Mapping[SecurityMode, Callable[[EaxPrime, bytes, bytes], bytes]]] = {
    SecurityMode.AUTHENTICATED: EaxPrime.verify,
    SecurityMode.ENCRYPTED: EaxPrime.open,
}


def protect(apdu: Apdu, epsem: Epsem, keys: Keys = NO_KEYS) -> bytes:
    """Return the message that says ``epsem`` in the envelope ``apdu``, whose own is not looked at.

    The caller never uses one key for the same invocation id and time again.

    Raises:
        LocalProtocolError: something does not fit, or a title or the key is not said in a message
            that is protected.
        SecurityError: there is no such key (``security.key-id``).
    """
    head, body = bytes((epsem.control,)), epsem.body()
    if epsem.mode is SecurityMode.CLEAR:
        return replace(apdu, information=head + body).encode()
    key = apdu.key
    if key is None or apdu.called is None or apdu.calling is None:
        # eprint 2012/018: what is authenticated is then long enough, whatever is in it.
        raise LocalProtocolError("a protected message says its key and both its ApTitles")
    eax = keys.eax(key.key_id)
    pieces = replace(apdu, information=head + body + bytes(TAG_SIZE)).pieces()
    draft = ber.wrap(fields.TAG, b"".join(pieces.values()))
    if len(draft) > MAX_APDU:
        raise LocalProtocolError(f"a message has {MAX_APDU} octets at most")
    cut = -len(body) - TAG_SIZE
    pieces[fields.INFORMATION] = pieces[fields.INFORMATION][:cut]
    pieces[fields.CALLED] = ber.wrap(fields.CALLED, apdu.called.canonical)
    pieces[fields.CALLING] = ber.wrap(fields.CALLING, apdu.calling.canonical)
    return draft[:cut] + _SEAL[epsem.mode](eax, _joined(pieces, key), body)


def unprotect(octets: bytes, keys: Keys = NO_KEYS, *, remembered: KeyUse | None = None) -> Opened:
    """Return what a message says, after its protection was checked; see ``unprotect_apdu``."""
    return unprotect_apdu(Apdu.decode(octets), keys, remembered=remembered)


def unprotect_apdu(apdu: Apdu, keys: Keys = NO_KEYS, *, remembered: KeyUse | None = None) -> Opened:
    """Return what a message says, after its protection was checked.

    Args:
        apdu: a whole message, no segment, as it was read.
        keys: the keys at hand.
        remembered: what protected the last message of its session that said so.

    Raises:
        DecodeError: it is none.
        SecurityError: ``security.tag``: its tag is not right; ``security.key-id``: there is no such
            key; ``security.nonce``: it is open to a forgery without the key.
    """
    octets = apdu.octets
    end = len(octets) - len(apdu.information)
    if apdu.total is not None:
        raise DecodeError("a segment is no message", offset=end)
    if not apdu.information:
        raise DecodeError("no EPSEM", offset=end)
    control, body = apdu.information[0], apdu.information[1:]
    check_control(control, end)
    mode = mode_of(control)
    if mode is SecurityMode.CLEAR:
        return Opened(apdu, Epsem.read(control, body, base=end + 1), body)
    key = apdu.key or remembered
    if key is None:
        raise SecurityError("the message does not say its key", code="security.key-id")
    eax = keys.eax(key.key_id)
    plain = _OPEN[mode](eax, canonical(octets, apdu.parts, end + 1, key), body)
    return Opened(apdu, Epsem.read(control, plain, base=end + 1), plain, key)
