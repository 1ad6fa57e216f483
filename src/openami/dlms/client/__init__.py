"""The client's end of DLMS/COSEM.

::

    link = HdlcClientLink(1, HdlcAddress(1, 17))
    client = DlmsClient(link, ClientConfig(…), random_octets=os.urandom)
    client.open(now=now)                                            # Opened or Closed
    client.request(GetAttribute(AttributeRef(3, obis, 2)), now=now)  # Answered, Failed or Closed
    client.close(now=now)                                           # Closed
"""

from openami.dlms.client.broadcast import broadcast_action
from openami.dlms.client.config import (
    PROPOSED,
    PUBLIC_CLIENT,
    ClientConfig,
    SecurityLevel,
)
from openami.dlms.client.events import (
    Agreement,
    Answered,
    ClientEvent,
    Closed,
    Failed,
    Item,
    Notified,
    Opened,
    Progress,
)
from openami.dlms.client.machine import DlmsClient
from openami.dlms.client.requests import (
    GetAttribute,
    GetList,
    InvokeList,
    InvokeMethod,
    Request,
    SetAttribute,
    SetList,
)

__all__ = [
    "PROPOSED",
    "PUBLIC_CLIENT",
    "Agreement",
    "Answered",
    "ClientConfig",
    "ClientEvent",
    "Closed",
    "DlmsClient",
    "Failed",
    "GetAttribute",
    "GetList",
    "InvokeList",
    "InvokeMethod",
    "Item",
    "Notified",
    "Opened",
    "Progress",
    "Request",
    "SecurityLevel",
    "SetAttribute",
    "SetList",
    "broadcast_action",
]
