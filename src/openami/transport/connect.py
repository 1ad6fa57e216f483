"""From a meter's URL to a channel and a data link on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters
from openami.dlms.wrapper import WrapperClientLink, WrapperParameters
from openami.transport.serial import open_serial
from openami.transport.tcp import CONNECT_TIMEOUT_S, open_tcp
from openami.transport.udp import open_udp
from openami.transport.url import Carrier, LinkKind, MeterUrl

if TYPE_CHECKING:
    from openami.dlms.link import ClientLink
    from openami.transport.channel import Channel


async def open_channel(url: MeterUrl, *, timeout_s: float = CONNECT_TIMEOUT_S) -> Channel:
    """Open what carries the data link: a connection, a flow of datagrams or a serial line.

    Raises:
        TransportError: it cannot be opened: ``transport.refused``, ``transport.missing``, ….
    """
    if url.carrier is Carrier.SERIAL:
        mode = url.mode
        return open_serial(
            url.device,
            baud=mode.baud,
            parity=mode.parity,
            data_bits=mode.data_bits,
            stop_bits=mode.stop_bits,
        )
    if url.carrier is Carrier.UDP:
        return await open_udp(url.host, url.port)
    return await open_tcp(url.host, url.port, timeout_s=timeout_s)


def client_link(
    url: MeterUrl,
    *,
    hdlc: HdlcParameters | None = None,
    wrapper: WrapperParameters | None = None,
) -> ClientLink:
    """Return the client's end of the data link that the URL names.

    Args:
        url: the meter.
        hdlc: limits and times with HDLC.
        wrapper: times with the wrapper; stream or datagrams is as the URL says.
    """
    if url.link is LinkKind.HDLC:
        server = HdlcAddress(url.server, url.station, url.address_size)
        return HdlcClientLink(url.client, server, hdlc)
    datagrams = url.carrier is Carrier.UDP
    parameters = replace(wrapper or WrapperParameters(), datagrams=datagrams)
    return WrapperClientLink(url.client, url.server, parameters)
