"""Native addresses: where a node is on the internet (RFC 6142, 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self

from openami.c1222.stream import PORT
from openami.core.errors import DecodeError

MULTICAST_IPV4: Final = "224.0.2.4"
MULTICAST_IPV6: Final = "FF02::204"
"""Where all nodes of a link listen (RFC 6142, 3.4)."""
_IPV4: Final = 4
_IPV6: Final = 16
_PORT: Final = 2
_MOST_PORT: Final = 0xFFFF


class Transport(IntEnum):
    """What carries messages: a number of IP."""

    TCP = 0x06
    UDP = 0x11


_TRANSPORTS: Final = frozenset(Transport)


@dataclass(frozen=True, slots=True)
class NativeAddress:
    """An address, and what of port and transport is said; without a port it is 1153.

    A transport is written only behind a port.
    """

    host: IPv4Address | IPv6Address
    port: int | None = None
    transport: Transport | None = None

    @classmethod
    def of(cls, host: str, port: int = PORT, transport: Transport | None = None) -> Self:
        """Return the address of a host that is given as text.

        Raises:
            ValueError: it is no address of IP, or no port.
        """
        if not 0 < port <= _MOST_PORT:  # RFC 6142, 3.3: port 0 is never sent
            raise ValueError(f"a port is 1 to {_MOST_PORT}")
        return cls(ip_address(host), port, transport)

    def __str__(self) -> str:
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        kind = "" if self.transport is None else f"/{self.transport.name.lower()}"
        return f"{host}:{self.port or PORT}{kind}"

    def encode(self) -> bytes:
        """Return its octets."""
        if not self.port:
            return self.host.packed
        kind = b"" if self.transport is None else bytes((self.transport,))
        return self.host.packed + self.port.to_bytes(_PORT) + kind

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return the address that ``octets`` are; a port of 0 says nothing.

        Raises:
            DecodeError: it is none of IP, or of another transport.
        """
        size = _IPV6 if len(octets) >= _IPV6 else _IPV4
        host, rest = octets[:size], octets[size:]
        if len(host) != size or len(rest) not in {0, _PORT, _PORT + 1}:
            raise DecodeError(f"no address of IP has {len(octets)} octets")
        if rest[_PORT:] and rest[_PORT] not in _TRANSPORTS:
            raise DecodeError(f"no transport has the number {rest[_PORT]:02X}", offset=size + _PORT)
        transport = Transport(rest[_PORT]) if rest[_PORT:] else None
        port = int.from_bytes(rest[:_PORT]) or None
        return cls(ip_address(host), port, transport if port else None)
