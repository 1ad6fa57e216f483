"""C12.22 on sockets: endpoints that run stations, and clients that ask nodes."""

from openami.c1222.station import Outgoing, Peer, Station
from openami.transport.c1222.config import EndpointConfig
from openami.transport.c1222.endpoint import Endpoint

__all__ = ["Endpoint", "EndpointConfig", "Outgoing", "Peer", "Station"]
