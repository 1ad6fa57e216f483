"""The bootstrap block: what a device needs to be managed, in eight fields of fixed size.

The sizes are those of the 2011 paper's figure 2; which field is which is this project's choice and
is explained in ``docs/ssmp.md``. Texts are printable ASCII, filled up with zero octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self
from urllib.parse import urlsplit

from openami.core.clock import utc
from openami.core.errors import DecodeError
from openami.wire.reader import Reader
from openami.wire.writer import Writer

ADDRESS: Final = 16
PORT: Final = 6
NAME: Final = 128
PASSWORD: Final = 128
URL: Final = 256
VALIDITY: Final = 30
BLOCK: Final = ADDRESS + PORT + NAME + PASSWORD + URL + NAME + PASSWORD + VALIDITY

HTTPS: Final = 443  # the port of a URL that names none (RFC 9110 4.2.2)
LEAST_PASSWORD: Final = 22  # characters: 128 bits of chance in base64url

_NONE: Final = bytes(ADDRESS)
_TEXT: Final = re.compile(rb"([!-~]*)\0*")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
# Both ends of an account are named in access control lists and URLs of the management tree,
# where + = & * / ? and # mean something; a colon ends the name in "name:password" (OMA DM
# security 5.3).
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Base64url and base64 fit.
_SECRET: Final = re.compile(r"[A-Za-z0-9._~+/=-]{22,128}")
_MOMENT: Final = re.compile(r"[0-9]{14}Z")


@dataclass(frozen=True, slots=True)
class BootstrapBlock:
    """The accounts of a device and of its server with each other.

    Args:
        address: where the server is, if its URL names an address and no host; or None.
        port: the port at ``address``; None without one.
        server_id: who the server is.
        server_password: how the server proves it.
        server_url: where device management is, with ``https``.
        client_id: who the device is.
        client_password: how the device proves it.
        not_before: from when on the block may be acknowledged, in whole UTC seconds.
        not_after: until when.

    Raises:
        ValueError: a field does not fit its form; the message names the field, not its value.
    """

    server_id: str
    server_password: str = field(repr=False)
    server_url: str
    client_id: str
    client_password: str = field(repr=False)
    not_before: int
    not_after: int
    address: IPv4Address | IPv6Address | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        for problem, name in (
            (not _ID.fullmatch(self.server_id), "server id"),
            (not _SECRET.fullmatch(self.server_password), "server password"),
            (not _is_url(self.server_url), "server URL"),
            (not _ID.fullmatch(self.client_id), "client id"),
            (not _SECRET.fullmatch(self.client_password), "client password"),
            (self.server_password == self.client_password, "pair of passwords"),
            (not _is_address(self.address, self.port), "address and port"),
            (not 0 <= self.not_before < self.not_after < 253_402_300_800, "validity"),
        ):
            if problem:
                raise ValueError(f"not a {name} of a bootstrap block")

    def encode(self) -> bytes:
        """Return the block's 820 octets."""
        writer = Writer().raw(_packed(self.address))
        writer.raw(_text("" if self.port is None else str(self.port), PORT))
        writer.raw(_text(self.server_id, NAME)).raw(_text(self.server_password, PASSWORD))
        writer.raw(_text(self.server_url, URL))
        writer.raw(_text(self.client_id, NAME)).raw(_text(self.client_password, PASSWORD))
        return writer.raw(_moment(self.not_before)).raw(_moment(self.not_after)).bytes()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a block.

        Raises:
            DecodeError: it is none; nothing of what it holds stands in the message.
        """
        reader = Reader(octets)
        block = cls.read(reader)
        reader.finish()
        return block

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read a block where it stands in a message; DecodeError as in ``decode``."""
        start = reader.offset
        address = _unpacked(reader.take(ADDRESS))
        port = _read_text(reader, PORT)
        try:
            return cls(
                server_id=_read_text(reader, NAME),
                server_password=_read_text(reader, PASSWORD),
                server_url=_read_text(reader, URL),
                client_id=_read_text(reader, NAME),
                client_password=_read_text(reader, PASSWORD),
                not_before=_read_moment(reader),
                not_after=_read_moment(reader),
                address=address,
                port=_read_port(port),
            )
        except ValueError as error:
            # The messages of this module's own ValueErrors hold no value.
            raise DecodeError(str(error), offset=start) from None


def address_in(url: str) -> tuple[IPv4Address | IPv6Address, int] | tuple[None, None]:
    """Return the address that a URL names, and its port; None where it names a host."""
    try:
        parts = urlsplit(url)
        found = ip_address(parts.hostname or "")
        port = parts.port or HTTPS
    except ValueError:
        return None, None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found, port


def _is_url(text: str) -> bool:
    if len(text) > URL or not _TEXT.fullmatch(text.encode("ascii", "replace")):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.fragment or parts.query)
    return parts.scheme == "https" and bool(parts.hostname) and plain and text.isascii()


def _is_address(address: IPv4Address | IPv6Address | None, port: int | None) -> bool:
    if address is None or port is None:
        return address is None and port is None
    usable = not (address.is_unspecified or address.is_multicast)
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    return usable and not mapped and 0 < port < 65536


def _packed(address: IPv4Address | IPv6Address | None) -> bytes:
    if address is None:
        return _NONE
    # RFC 4291 2.5.5.2: an IPv4 address within an IPv6 one.
    return bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed


def _unpacked(octets: bytes) -> IPv4Address | IPv6Address | None:
    if octets == _NONE:
        return None
    address = IPv6Address(octets)
    return address.ipv4_mapped or ip_address(octets)


def _text(text: str, size: int) -> bytes:
    return text.encode("ascii").ljust(size, b"\0")


def _read_text(reader: Reader, size: int) -> str:
    found = _TEXT.fullmatch(reader.take(size))
    if found is None:
        raise reader.error(f"{size} octets of printable text and zeros wanted")
    return found[1].decode("ascii")


def _read_port(text: str) -> int | None:
    if text and not _PORT.fullmatch(text):
        raise ValueError("not a port of a bootstrap block")
    return int(text) if text else None


def _moment(seconds: int) -> bytes:
    # GeneralizedTime (X.680 46); strftime does not pad a year everywhere.
    return utc(seconds).replace(tzinfo=None).isoformat().translate(_BARE).encode() + b"Z"


_BARE: Final = str.maketrans("", "", "-:T")


def _read_moment(reader: Reader) -> int:
    text = reader.take(VALIDITY // 2).decode("ascii", "replace")
    if not _MOMENT.fullmatch(text):
        raise ValueError("not a validity of a bootstrap block")
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    moment = datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
    return int(moment.timestamp())
