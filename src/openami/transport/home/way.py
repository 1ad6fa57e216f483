"""How a display reaches its meter: the seam between what it says and what carries that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from openami.dlms.gateway import GatewayClientLink
from openami.dlms.server import MANAGEMENT_DEVICE
from openami.dlms.wrapper import WrapperClientLink, WrapperParameters
from openami.transport.tcp import open_tcp

if TYPE_CHECKING:
    from openami.dlms.link import ClientLink
    from openami.transport.channel import Channel
    from openami.transport.home.target import HomeTarget

ANSWER_S: Final = 10.0
"""Seconds that a meter in the house may take to answer."""

GATEWAY_S: Final = 75.0
"""Seconds that a gateway may take: a request waits there for a turn on the street's line."""


@dataclass(frozen=True, slots=True)
class HomeLine:
    """A line to the meter: an open channel, and the client's end of the data link on it.

    Args:
        channel: closed by whoever opened the line.
        link: carries APDUs; what a gateway wants around them it puts there and takes away.
        pushes: whether the meter's pushes come here; if not, they are read for.
        answer_s: seconds that an answer may take.
    """

    channel: Channel
    link: ClientLink
    pushes: bool = True
    answer_s: float = ANSWER_S


class HomeWay(Protocol):
    """Opens lines to one meter."""

    async def open(self, client: int) -> HomeLine:
        """Return a new line for the client with this SAP.

        Raises:
            TransportError: there is none.
        """
        ...


class DirectWay:
    """To a meter's home port: the wrapper over TCP.

    Args:
        host: the meter.
        port: its home port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def open(self, client: int) -> HomeLine:
        channel = await open_tcp(self._host, self._port)
        parameters = WrapperParameters(response_timeout=ANSWER_S, pushes=True)
        return HomeLine(channel, WrapperClientLink(client, MANAGEMENT_DEVICE, parameters))


class GatewayWay:
    """To a meter behind a DCU's gateway: the same with the gateway's prefix, and no pushes.

    Args:
        host: the DCU.
        port: its gateway.
        serial: the meter's serial number.
    """

    def __init__(self, host: str, port: int, serial: str) -> None:
        self._host = host
        self._port = port
        self._serial = serial

    async def open(self, client: int) -> HomeLine:
        channel = await open_tcp(self._host, self._port)
        parameters = WrapperParameters(response_timeout=GATEWAY_S)
        wrapper = WrapperClientLink(client, MANAGEMENT_DEVICE, parameters)
        link = GatewayClientLink(wrapper, self._serial.encode("ascii"))
        return HomeLine(channel, link, pushes=False, answer_s=GATEWAY_S)


def way_to(target: HomeTarget) -> HomeWay:
    """Return the way to ``target``."""
    if target.serial is None:
        return DirectWay(target.host, target.port)
    return GatewayWay(target.host, target.port, target.serial)
