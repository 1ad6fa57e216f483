"""C12.22 on sockets: endpoints that run stations, and clients that ask nodes."""

from openami.c1222.station import Outgoing, Peer, Station
from openami.transport.c1222.client import AsyncClient, open_client
from openami.transport.c1222.config import EndpointConfig
from openami.transport.c1222.endpoint import Endpoint
from openami.transport.c1222.url import NodeUrl

__all__ = [
    "AsyncClient",
    "Endpoint",
    "EndpointConfig",
    "NodeUrl",
    "Outgoing",
    "Peer",
    "Station",
    "open_client",
]
