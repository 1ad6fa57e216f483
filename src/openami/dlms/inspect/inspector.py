"""Octets of APDUs, frames and packets into trees, deciphered where the keys are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from openami.core.errors import DecodeError, SecurityError
from openami.core.inspection import Node
from openami.crypto.gcm import TAG_SIZE, Gcm
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.acse import Aare, Aarq
from openami.dlms.apdu.ciphered import CipheredApdu, Form
from openami.dlms.apdu.common import Tag
from openami.dlms.apdu.initiate import InitiateRequest
from openami.dlms.inspect.acse import ACSE, dissect_acse
from openami.dlms.inspect.scan import Scan, octet_string, u8, u32
from openami.dlms.inspect.services import SERVICES
from openami.dlms.security import Keys, SecurityControl, unprotect

# An APDU may hold a ciphered one and that a plain one; nobody sends more.
_MAX_NESTING: Final = 4

_FROM_CLIENT: Final = frozenset(
    {Tag.INITIATE_REQUEST, Tag.GET_REQUEST, Tag.SET_REQUEST, Tag.ACTION_REQUEST}
)


class Inspector:
    """Dissects messages of one association one after another, and learns from them.

    System titles are taken from AARQ, AARE and the general forms, the dedicated key from a
    deciphered InitiateRequest. No key and no password gets into a tree.

    Args:
        keys: those that are known; what needs others stays ciphered.
        client_title: the client's system title.
        server_title: the server's system title.
    """

    def __init__(
        self,
        keys: Keys | None = None,
        *,
        client_title: bytes | None = None,
        server_title: bytes | None = None,
    ) -> None:
        self._keys = keys or Keys()
        self._client_title = client_title
        self._server_title = server_title

    def apdu(self, octets: bytes, offset: int = 0) -> Node:
        """Return the tree of one APDU that begins at ``offset`` of a message.

        Raises:
            DecodeError: the octets are none.
        """
        return self._apdu(octets, offset, 0)

    def apdu_or_error(self, octets: bytes, offset: int = 0) -> Node:
        """Return the tree of one APDU, or one element that says why there is none."""
        return self._apdu_or_error(octets, offset, 0)

    def _apdu_or_error(self, octets: bytes, offset: int, depth: int) -> Node:
        if depth > _MAX_NESTING:
            return Node("error", None, offset, octets, (), "APDUs nested too deep")
        try:
            return self._apdu(octets, offset, depth)
        except DecodeError as error:
            return Node("error", None, offset, octets, (), str(error))

    def _apdu(self, octets: bytes, offset: int, depth: int) -> Node:
        apdu = decode_apdu(octets)
        scan = Scan(octets, offset)
        if isinstance(apdu, CipheredApdu):
            return self._ciphered(scan, apdu, depth)
        if isinstance(apdu, InitiateRequest) and apdu.dedicated_key is not None:
            self._learn_key(apdu.dedicated_key)
        if octets[0] in ACSE:
            if isinstance(apdu, Aarq):
                self._client_title = apdu.title or self._client_title
            elif isinstance(apdu, Aare):
                self._server_title = apdu.title or self._server_title
            return dissect_acse(scan, lambda part, at: self._apdu_or_error(part, at, depth + 1))
        return SERVICES[octets[0]](scan)

    def _learn_key(self, key: bytes) -> None:
        try:
            self._keys = replace(self._keys, dedicated=key)
        except SecurityError:  # a key of no suite: what it ciphers stays closed
            self._keys = replace(self._keys, dedicated=None)

    def _ciphered(self, scan: Scan, apdu: CipheredApdu, depth: int) -> Node:
        start = scan.r.offset
        scan.r.u8()
        children: list[Node] = []
        if apdu.form.general:
            children.append(octet_string("system-title")(scan))
        scan.r.length()
        children += [
            u8("security-control", lambda octet: str(SecurityControl(octet)))(scan),
            u32("invocation-counter")(scan),
        ]
        at = scan.r.offset
        scan.r.rest()
        children.append(self._content(apdu, at, depth))
        name = f"{apdu.form.value}-ciphering" if apdu.form.general else _ciphered_name(apdu)
        return Node(name, None, start, scan.since(start), tuple(children))

    def _content(self, apdu: CipheredApdu, offset: int, depth: int) -> Node:
        """Return the plain APDU, offsets inside from its own start, or the ciphertext and why."""
        try:
            plain, note = self._open(apdu)
        except SecurityError as error:
            note = f"{error.code}: {error.message}"
            return Node("ciphertext", apdu.payload.hex().upper(), offset, apdu.payload, (), note)
        inner = self._apdu_or_error(plain, 0, depth + 1)
        return Node("deciphered", None, offset, plain, (inner,), note)

    def _open(self, apdu: CipheredApdu) -> tuple[bytes, str]:
        title = self._title(apdu)
        control = SecurityControl(apdu.security_control)
        unchecked = control.authenticated and control.encrypted and self._keys.gak is None
        if not unchecked:
            found = unprotect(apdu, self._keys, title=None if apdu.title else title)
            return found.apdu, ""
        key = self._keys.encryption(control, apdu.form)
        if title is None or len(apdu.payload) < TAG_SIZE:
            raise SecurityError("no system title or no tag", code="security.title")
        nonce = title + apdu.invocation_counter.to_bytes(4, "big")
        plain = Gcm(key).crypt(nonce, apdu.payload[:-TAG_SIZE])
        return plain, "the tag was not checked: no authentication key"

    def _title(self, apdu: CipheredApdu) -> bytes | None:
        if apdu.title:
            return apdu.title
        if apdu.plain_tag in _FROM_CLIENT:
            return self._client_title or self._server_title
        return self._server_title or self._client_title


def _ciphered_name(apdu: CipheredApdu) -> str:
    plain = Tag(apdu.plain_tag or 0).name.lower().replace("_", "-")
    return f"{'ded' if apdu.form is Form.DEDICATED else 'glo'}-{plain}"
