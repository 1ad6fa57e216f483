"""How an endpoint of C12.22 behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.c1222.segments import HEADERS_IPV4, HEADERS_IPV6, MTU_IPV4, MTU_IPV6

if TYPE_CHECKING:
    import ssl

    from openami.transport.dtls import DtlsContext

LARGEST_IPV4: Final = MTU_IPV4 - HEADERS_IPV4
LARGEST_IPV6: Final = MTU_IPV6 - HEADERS_IPV6
"""Octets of a message in a datagram that every path carries (RFC 6142, 3.5)."""


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where an endpoint listens, and how much it bears. Times are in real seconds.

    Attributes:
        listen: hosts and ports, for TCP and UDP alike; port 0: one that is free. Empty: it only
            calls others.
        multicast: join 224.0.2.4 and FF02::204 (RFC 6142, 3.4).
        tls: the server's side of TLS: what listens on TCP speaks nothing else.
        dtls: the server's side of DTLS: what listens on UDP speaks nothing else.
        dial_tls: the client's side of TLS, for TCP connections that the endpoint opens itself.
        dial_dtls: the client's side of DTLS, for datagrams to who did not speak first.
        connections: of TCP, and likewise of DTLS, at a time.
        of_address: of those, of one host: a relay or a modem pool has many.
        handshakes: of TLS, and likewise of DTLS, under way at a time.
        handshake_s: how long one may take.
        idle_s: a connection is closed after so long without a message, either way.
        begin_s: how long a message may take from its first octet to its last.
        connect_s: how long opening a connection may take.
        largest_ipv4: octets of the longest message in a datagram of IPv4.
        largest_ipv6: likewise, of IPv6.
    """

    listen: tuple[tuple[str, int], ...] = ()
    multicast: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    dtls: DtlsContext | None = field(default=None, repr=False)
    dial_tls: ssl.SSLContext | None = field(default=None, repr=False)
    dial_dtls: DtlsContext | None = field(default=None, repr=False)
    connections: int = 256
    of_address: int = 64
    handshakes: int = 64
    handshake_s: float = 10.0
    idle_s: float = 300.0
    begin_s: float = 30.0
    connect_s: float = 10.0
    largest_ipv4: int = LARGEST_IPV4
    largest_ipv6: int = LARGEST_IPV6

    @property
    def of_certificate(self) -> int:
        """Connections of one certificate."""
        return self.of_address

    def largest(self, version: int) -> int:
        """Return the octets of the longest message in a datagram of an IP version."""
        return self.largest_ipv6 if version == 6 else self.largest_ipv4
