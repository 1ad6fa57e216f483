"""The HDLC data link of IEC 62056-46: frames, and both ends of a link."""

from openami.dlms.hdlc.address import (
    CLIENT_MANAGEMENT,
    CLIENT_PUBLIC,
    SERVER_MANAGEMENT,
    HdlcAddress,
)
from openami.dlms.hdlc.client import HdlcClientLink
from openami.dlms.hdlc.counters import LinkCounters
from openami.dlms.hdlc.frame import Control, Frame, FrameKind
from openami.dlms.hdlc.parameters import HdlcParameters, Limits
from openami.dlms.hdlc.reader import FrameReader
from openami.dlms.hdlc.server import HdlcServerLink

__all__ = [
    "CLIENT_MANAGEMENT",
    "CLIENT_PUBLIC",
    "SERVER_MANAGEMENT",
    "Control",
    "Frame",
    "FrameKind",
    "FrameReader",
    "HdlcAddress",
    "HdlcClientLink",
    "HdlcParameters",
    "HdlcServerLink",
    "Limits",
    "LinkCounters",
]
