"""Package 0: the notification that wakes a device (OMA-TS-DM_Notification 1.2).

Sixteen octets of digest, then the trigger: version, user interaction, initiator, session, server
and what a vendor adds. The standard's digest is MD5. Between this project's own ends it is the
first sixteen octets of the same formula with SHA-256; the account says which one it accepts.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.crypto.compare import equal
from openami.omadm.auth import RESYNC_NONCE, Credentials, Hash
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Collection

CONTENT_TYPE: Final = "application/vnd.syncml.notification"
VERSION: Final = 11
"""Notification version 1.1, the one of DM 1.2."""
DIGEST: Final = 16
MAX_OCTETS: Final = 1024
"""Of a whole notification: it is made to fit a few short messages, and the head needs 279 at most.
"""
_MAX_ID: Final = 255  # its length is one octet


class UiMode(IntEnum):
    """How much the user shall notice."""

    UNSPECIFIED = 0
    BACKGROUND = 1
    INFORMATIVE = 2
    INTERACTION = 3


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notification says.

    Attributes:
        server_id: whose account it is for.
        session_id: of the session that it asks for, 0 to 65,535.
        ui_mode: how much the user shall notice.
        server_initiated: the server wants it; otherwise a user asked the server for it.
        vendor: what a vendor adds.
    """

    server_id: str
    session_id: int
    ui_mode: UiMode = UiMode.BACKGROUND
    server_initiated: bool = True
    vendor: bytes = b""

    @property
    def session(self) -> str:
        """The SessionID of its messages: upper-case hexadecimal without leading zeros."""
        return f"{self.session_id:X}"

    def trigger(self) -> bytes:
        """Return all that follows the digest.

        Raises:
            LocalProtocolError: something has no room in its field.
        """
        name = self.server_id.encode()
        if not 0 < len(name) <= _MAX_ID or not 0 <= self.session_id <= 0xFFFF:
            raise LocalProtocolError("a server of 1 to 255 octets and a session of 16 bits wanted")
        if DIGEST + 8 + len(name) + len(self.vendor) > MAX_OCTETS:
            raise LocalProtocolError(f"a notification has {MAX_OCTETS} octets at most")
        bits = VERSION << 30 | self.ui_mode << 28 | self.server_initiated << 27
        writer = Writer().uint(bits, 5).u16(self.session_id).u8(len(name))
        return writer.raw(name).raw(self.vendor).bytes()

    def build(self, password: str, nonce: bytes, how: Hash = Hash.SHA256) -> bytes:
        """Return the octets, authenticated with the server's password of this account."""
        trigger = self.trigger()
        return _digest(Credentials(self.server_id, password), nonce, trigger, how) + trigger

    @classmethod
    def parse(cls, octets: bytes) -> Notification:
        """Return what it says, whoever sent it.

        Raises:
            DecodeError: it is no notification; ``omadm.notification.version``: of another version.
        """
        if len(octets) > MAX_OCTETS:
            raise DecodeError(f"more than {MAX_OCTETS} octets", offset=MAX_OCTETS)
        reader = Reader(octets)
        reader.take(DIGEST)
        bits = reader.uint(5)
        if bits >> 30 != VERSION:
            raise DecodeError(
                f"version {bits >> 30}: only {VERSION} is known",
                offset=DIGEST,
                code="omadm.notification.version",
            )
        session = reader.u16()
        name = reader.take(reader.u8())
        try:
            server = name.decode()
        except UnicodeDecodeError as error:
            raise reader.error("the server's id is not UTF-8") from error
        if not server or ":" in server:
            raise reader.error("a server's id is not empty and holds no colon")
        mode, initiated = UiMode(bits >> 28 & 3), bool(bits >> 27 & 1)
        return cls(server, session, mode, initiated, reader.rest())


@dataclass(frozen=True, slots=True)
class Verified:
    """A notification that is the server's own, and new.

    Attributes:
        notification: what it says.
        resynchronise: it came with the nonce of an end that has lost its own: the session's
            credentials use that one too, and both ends give new ones in it.
    """

    notification: Notification
    resynchronise: bool


def _digest(credentials: Credentials, nonce: bytes, trigger: bytes, how: Hash) -> bytes:
    """Return H(B64(H(server:password)):nonce:B64(H(trigger))), sixteen octets of it."""
    secret, body = b64encode(how.of(credentials.plain)), b64encode(how.of(trigger))
    return how.of(b":".join((secret, nonce, body)))[:DIGEST]


def verify(
    octets: bytes,
    password: str,
    *,
    nonce: bytes,
    hashes: Collection[Hash],
    seen: Collection[int] = (),
) -> Verified:
    """Return a notification that holds.

    Args:
        octets: as received.
        password: the server's, of the account that the notification names.
        nonce: the one that the device gave this server last. It changes with every session, which
            makes an old notification stale.
        hashes: what the account accepts as H.
        seen: session ids of this server that were used lately; they refuse a repetition before
            the nonce has changed, and one with the resynchronisation nonce.

    Raises:
        DecodeError: it is no notification.
        SecurityError: ``omadm.notification.digest``: not the server's, or stale;
            ``omadm.notification.replayed``: this session was asked for before.
    """
    notification = Notification.parse(octets)
    credentials = Credentials(notification.server_id, password)
    claimed, trigger = octets[:DIGEST], octets[DIGEST:]
    for candidate in (nonce, RESYNC_NONCE):
        if any(equal(claimed, _digest(credentials, candidate, trigger, how)) for how in hashes):
            if notification.session_id in seen:
                raise SecurityError("repeated notification", code="omadm.notification.replayed")
            return Verified(notification, candidate != nonce)
    raise SecurityError(
        "not from this server, or stale",
        code="omadm.notification.digest",
        hint="if it goes on, the server has lost the nonce: it may send 00000000 as one",
    )
