"""Sockets that are bound before anything is built on them."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from openami.transport.failures import transport_error

_ADDRESSES: Final = Path("/proc/net/if_inet6")  # of Linux: address, link, …


def bind(host: str, port: int, kind: socket.SocketKind, *, apart: bool = False) -> socket.socket:
    """Return a non-blocking socket bound to the first address of ``host``.

    Args:
        host: a name or an address.
        port: 0: any free one.
        kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
        apart: an address of IPv6 takes nothing of IPv4, which has a socket of its own.

    Raises:
        TransportError: ``transport.in-use``, ``transport.denied``, ``transport.unknown-host``, ….
    """
    what = f"listening on {host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=kind, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise transport_error(exc, what) from exc
    try:
        if kind is socket.SOCK_STREAM:  # a restart need not wait for old connections to fade
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if apart and family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError as exc:
        bound.close()
        raise transport_error(exc, what) from exc
    return bound


def link_of(host: str) -> int:
    """Return the number of the link that an address of this machine is on; 0: nobody says."""
    wanted = IPv6Address(host.partition("%")[0]).packed.hex()
    try:
        lines = _ADDRESSES.read_text("ascii").splitlines()
    except OSError:
        return 0
    rows = [line.split() for line in lines]
    return next((int(row[1], 16) for row in rows if row[0] == wanted), 0)
