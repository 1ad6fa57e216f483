"""What the DCU and its security module say to each other, on a socket pair that only they have.

A frame is a length of four octets and that many octets of JSON. The module speaks first: its
``status``. Then it answers each request, in order, with the request's ``id``. No request has an
answer with a private key in it.

| request | with | answer |
|---|---|---|
| ``status`` | | ``uid``, what the device is, ``security_url``, ``certificate`` |
| ``new-key`` | | ``request``: PKCS #10 of the key that waits for its certificate |
| ``install`` | ``chain`` | ``certificate`` |
| ``open`` | ``identity``, ``host``, ``port`` | nothing: there is a relay at ``socket_name`` |

Octets are in base64.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from openami.core import errors
from openami.core.errors import DecodeError, LocalProtocolError, OpenAmiError

if TYPE_CHECKING:
    import asyncio

MAX_FRAME: Final = 64 * 1024
"""Octets: a chain of the largest certificates has 16 kB in base64."""

_LENGTH: Final = 4

_KINDS: Final = {
    kind.__name__: kind
    for kind in (
        errors.ConfigError,
        errors.LocalProtocolError,
        errors.SecurityError,
        errors.StoreError,
        errors.TransportError,
    )
}


class IdentityName(StrEnum):
    """As whom a relay connects."""

    FACTORY = "factory"
    OPERATIONAL = "operational"


def socket_name(identity: IdentityName, host: str, port: int) -> str:
    """Return the file name of the relay to ``host`` and ``port``."""
    digest = hashlib.sha256(f"{host}\n{port}".encode()).hexdigest()
    return f"{identity}-{digest[:16]}.sock"


def pack(message: dict[str, Any]) -> bytes:
    """Return a frame.

    Raises:
        LocalProtocolError: the message is too large.
    """
    octets = json.dumps(message, separators=(",", ":")).encode()
    if len(octets) > MAX_FRAME:
        raise LocalProtocolError("a frame is too large", code="module.frame")
    return len(octets).to_bytes(_LENGTH, "big") + octets


async def receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next message.

    Raises:
        EOFError: the other side has gone (``asyncio.IncompleteReadError``).
        DecodeError: what came is no frame.
    """
    size = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if size > MAX_FRAME:
        raise DecodeError("a frame is too large", code="module.frame")
    try:
        message = json.loads(await reader.readexactly(size))
    except (ValueError, RecursionError):
        # Not the cause: it would show what came.
        raise DecodeError("not JSON", code="module.frame") from None
    if not isinstance(message, dict):
        raise DecodeError("not an object", code="module.frame")
    return message


def octets_of(text: Any) -> bytes:
    """Return the octets that ``text_of`` wrote.

    Raises:
        DecodeError: it is something else.
    """
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise DecodeError("not base64", code="module.frame") from None


def text_of(octets: bytes) -> str:
    """Return octets as JSON can carry them."""
    return b64encode(octets).decode()


def error_of(error: OpenAmiError) -> dict[str, Any]:
    """Return an error as a message."""
    kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "")
    return {"kind": kind, "code": error.code, "message": error.message, "hint": error.hint}


def raised(message: dict[str, Any]) -> OpenAmiError:
    """Return the error that ``error_of`` wrote."""
    kind = _KINDS.get(message["kind"], OpenAmiError)
    return kind(message["message"], hint=message["hint"], code=message["code"])
