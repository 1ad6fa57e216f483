"""The server's end of DLMS/COSEM: logical devices, associations, services.

::

    server = DlmsServer(LogicalDevice(objects), HdlcServerLink(16), random_octets=os.urandom)
    server.receive_data(octets, now=now)
    for piece in server.data_to_send(): …
    while (event := server.next_event()) is not None: …  # AssociationOpened, AttributeWritten, …
"""

from openami.dlms.server.device import MANAGEMENT_DEVICE, LogicalDevice
from openami.dlms.server.events import (
    ApduRefused,
    AssociationFailed,
    AssociationOpened,
    AssociationReleased,
    AttributeWritten,
    DecipheringFailed,
    MethodInvoked,
    ReplayRefused,
    ServerEvent,
)
from openami.dlms.server.machine import DlmsServer
from openami.dlms.server.throttle import FailureThrottle, Throttle

__all__ = [
    "MANAGEMENT_DEVICE",
    "ApduRefused",
    "AssociationFailed",
    "AssociationOpened",
    "AssociationReleased",
    "AttributeWritten",
    "DecipheringFailed",
    "DlmsServer",
    "FailureThrottle",
    "LogicalDevice",
    "MethodInvoked",
    "ReplayRefused",
    "ServerEvent",
    "Throttle",
]
