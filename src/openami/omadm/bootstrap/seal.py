"""The authentication of a bootstrap document (OMA-TS-DM_Security 1.2, clause 5.7.2.3.1).

Its Content-Type names what the key is and carries a MAC over the octets: here, unlike in sessions,
a genuine HMAC-SHA1 (RFC 2104).
"""

from __future__ import annotations

import hmac
import re
from enum import StrEnum
from typing import Final

from openami.core.errors import DecodeError, SecurityError
from openami.crypto.compare import equal

MAX_HEADER: Final = 512
"""Characters of the Content-Type; a media type, a method and a MAC need 110."""
_MAC: Final = re.compile(r"[0-9A-Fa-f]{40}")


class Method(StrEnum):
    """What the key is, which both sides know already."""

    NETWORK = "NETWORKID"
    PIN = "USERPIN"
    PIN_NETWORK = "USERPIN_NETWORKID"


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha1")


def seal(media_type: str, body: bytes, method: Method, key: bytes) -> str:
    """Return the Content-Type of a document."""
    return f"{media_type}; SEC={method}; MAC={_mac(body, key).hex().upper()}"


def check_seal(content_type: str, body: bytes, method: Method, key: bytes) -> str:
    """Return the media type of a document that is authentic.

    Raises:
        DecodeError: the header is none of a bootstrap document.
        SecurityError: ``omadm.bootstrap.mac``: it was sealed with another method or key.
    """
    if len(content_type) > MAX_HEADER:
        raise DecodeError("Content-Type too long", offset=MAX_HEADER)
    media_type, *rest = (part.strip() for part in content_type.split(";"))
    parameters: dict[str, str] = {}
    for part in rest:
        name, sign, value = part.partition("=")
        if not sign or name.strip().upper() in parameters:
            raise DecodeError("Content-Type: not name=value, or twice")
        parameters[name.strip().upper()] = value.strip().strip('"')
    claimed = parameters.get("MAC", "")
    if "SEC" not in parameters or not _MAC.fullmatch(claimed):
        raise DecodeError("Content-Type: no SEC and MAC of a bootstrap document")
    right = equal(bytes.fromhex(claimed), _mac(body, key))
    if parameters["SEC"].upper() != method or not right:
        raise SecurityError("not sealed with this key", code="omadm.bootstrap.mac")
    return media_type.lower()
