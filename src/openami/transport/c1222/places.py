"""Where the station of a URL is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from openami.c1222.native import NativeAddress, Transport
from openami.transport.c1222.url import Carrier
from openami.transport.failures import transport_error

if TYPE_CHECKING:
    from openami.transport.c1222.url import NodeUrl

_DATAGRAMS: Final = frozenset({Carrier.UDP, Carrier.DTLS})


async def native_address(url: NodeUrl) -> NativeAddress:
    """Return the address of a station on the network; a name is looked up.

    Raises:
        TransportError: ``transport.unknown-host``.
    """
    kind = Transport.UDP if url.carrier in _DATAGRAMS else Transport.TCP
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port)
    except OSError as error:
        raise transport_error(error, f"looking for {url.host}") from error
    return NativeAddress.of(str(found[0][4][0]), url.port, kind)
