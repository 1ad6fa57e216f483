"""Who is on this link: Identify to the group that all nodes listen to (RFC 6142)."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.apdu import Apdu
from openami.c1222.epsem import Epsem
from openami.c1222.native import MULTICAST_IPV4, MULTICAST_IPV6
from openami.c1222.security import protect, unprotect
from openami.c1222.services import Identified, Identify, decode_responses
from openami.c1222.stream import PORT
from openami.core.errors import ProtocolError, SecurityError
from openami.transport.c1222.datagrams import peer_of
from openami.transport.failures import transport_error
from openami.transport.sockets import link_of

if TYPE_CHECKING:
    from openami.c1222.native import NativeAddress
    from openami.c1222.titles import ApTitle

MAX_FOUND: Final = 1024
"""Nodes that one question finds: a link has fewer."""


@dataclass(frozen=True, slots=True)
class Found:
    """A node that answered: where it is, its ApTitle if it says one, and what it says it is."""

    address: NativeAddress
    title: ApTitle | None
    identified: Identified


class _Asker(asyncio.DatagramProtocol):
    """Gathers answers to one question, of each address the first."""

    def __init__(self, invocation_id: int) -> None:
        self._id = invocation_id
        self.found: dict[tuple[Any, ...], Found] = {}

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr in self.found or len(self.found) >= MAX_FOUND:
            return
        try:
            opened = unprotect(data)
            if opened.apdu.answers != self._id:
                return
            (answer,) = decode_responses(opened.epsem.services, (Identify(),))
        except (ProtocolError, SecurityError):  # no answer to what was asked
            return
        if isinstance(answer, Identified):
            self.found[addr] = Found(peer_of(addr, False).address, opened.apdu.calling, answer)


async def discover(
    title: ApTitle,
    *,
    invocation_id: int,
    host: str = "0.0.0.0",  # noqa: S104 - the system chooses the link
    port: int = PORT,
    wait_s: float = 2.0,
) -> list[Found]:
    """Ask all nodes of a link who they are; those that take nothing in clear stay silent.

    Args:
        title: our own ApTitle.
        invocation_id: of the question; from chance.
        host: our own address on that link, which says the version of IP, too.
        port: of the nodes.
        wait_s: how long answers are waited for.

    Raises:
        TransportError: there is no such link, or no multicast on it.
    """
    loop = asyncio.get_running_loop()
    version = ip_address(host).version
    group = MULTICAST_IPV4 if version == 4 else MULTICAST_IPV6
    message = protect(Apdu(invocation_id, calling=title), Epsem((Identify().encode(),)))
    try:
        transport, asker = await loop.create_datagram_endpoint(
            lambda: _Asker(invocation_id), local_addr=(host, 0)
        )
        try:
            _choose(transport.get_extra_info("socket"), host)
            transport.sendto(message, (group, port))
            await asyncio.sleep(wait_s)
        finally:
            transport.close()
    except OSError as error:
        raise transport_error(error, f"asking {group}") from error
    return list(asker.found.values())


def _choose(own: socket.socket, host: str) -> None:
    """Have what is sent to a group go to the link that an address is on."""
    address = ip_address(host)
    if address.is_unspecified:
        return
    if address.version == 4:
        own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address.packed)
    else:
        own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link_of(host))
