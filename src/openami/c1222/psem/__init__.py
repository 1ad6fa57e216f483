"""C12.18 and C12.21: the services of C12.22 on an optical port, a serial line or a modem.

There are no titles and no EAX' here: one caller, one device, a password.
"""

from openami.c1222.psem.client import PsemAnswered, PsemClient, PsemEvent, PsemFailed
from openami.c1222.psem.link import Link, LinkParameters
from openami.c1222.psem.server import PsemServer, ServerLimits
from openami.c1222.psem.services import Negotiate, Negotiated, TimingSet, TimingSetup

__all__ = [
    "Link",
    "LinkParameters",
    "Negotiate",
    "Negotiated",
    "PsemAnswered",
    "PsemClient",
    "PsemEvent",
    "PsemFailed",
    "PsemServer",
    "ServerLimits",
    "TimingSet",
    "TimingSetup",
]
