"""The TCP/UDP wrapper (IEC 62056-47): one header before each APDU.

::

    version 0001 | source wPort u16 | destination wPort u16 | length u16 | APDU

Over TCP the headers delimit the APDUs in the stream: when one is wrong, nothing after it can be
trusted and the connection is of no use any more. Over UDP a datagram holds one APDU; it may be
lost, come late or come twice:

* The client sends again, a few times, only what harms nothing when it is done twice: AARQ, RLRQ
  and the plain get-request. A ciphered request is not sent again, since its invocation counter
  is spent, nor one that writes or acts. What answers an earlier request is dropped.
* The server knows a repeated datagram where repetition is certain, by an invocation counter or
  the like, and gives the answer that it gave before. A plain get-request is simply done again.
"""

from openami.dlms.wrapper.client import WrapperClientLink
from openami.dlms.wrapper.packet import (
    BROADCAST,
    MAX_APDU,
    NO_STATION,
    PORT,
    Packet,
    PacketReader,
    WrapperParameters,
)
from openami.dlms.wrapper.server import WrapperServerLink

__all__ = [
    "BROADCAST",
    "MAX_APDU",
    "NO_STATION",
    "PORT",
    "Packet",
    "PacketReader",
    "WrapperClientLink",
    "WrapperParameters",
    "WrapperServerLink",
]
