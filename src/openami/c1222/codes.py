"""The numbers of C12.22: services, answers, security, and what a message says of itself."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class ServiceCode(IntEnum):
    """The first octet of a request (C12.22, 5.3.2.4); tables by index have nine codes each."""

    IDENTIFY = 0x20
    TERMINATE = 0x21
    DISCONNECT = 0x22
    DEREGISTER = 0x24
    RESOLVE = 0x25
    TRACE = 0x26
    REGISTER = 0x27
    READ = 0x30
    READ_INDEX = 0x31
    READ_DEFAULT = 0x3E
    READ_OFFSET = 0x3F
    WRITE = 0x40
    WRITE_INDEX = 0x41
    WRITE_OFFSET = 0x4F
    LOGON = 0x50
    SECURITY = 0x51
    LOGOFF = 0x52
    WAIT = 0x70


MAX_INDEXES = 9
"""Of one request by index: its code is 30 or 40 and their number."""


class ResponseCode(IntEnum):
    """The first octet of an answer (C12.22, 5.3.2.3)."""

    OK = 0x00
    ERR = 0x01
    SNS = 0x02
    ISC = 0x03
    ONP = 0x04
    IAR = 0x05
    BSY = 0x06
    DNR = 0x07
    DLK = 0x08
    RNO = 0x09
    ISSS = 0x0A
    SME = 0x0B
    UAT = 0x0C
    NETT = 0x0D
    NETR = 0x0E
    RQTL = 0x0F
    RSTL = 0x10
    SGNP = 0x11
    SGERR = 0x12

    @property
    def meaning(self) -> str:
        """What it says, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    ResponseCode.OK: "done",
    ResponseCode.ERR: "error",
    ResponseCode.SNS: "service not supported",
    ResponseCode.ISC: "insufficient security clearance",
    ResponseCode.ONP: "operation not possible",
    ResponseCode.IAR: "inappropriate action requested",
    ResponseCode.BSY: "device busy",
    ResponseCode.DNR: "data not ready",
    ResponseCode.DLK: "data locked",
    ResponseCode.RNO: "renegotiate request",
    ResponseCode.ISSS: "invalid service sequence state",
    ResponseCode.SME: "security mechanism error",
    ResponseCode.UAT: "unknown application title",
    ResponseCode.NETT: "network time-out",
    ResponseCode.NETR: "network not reachable",
    ResponseCode.RQTL: "request too large",
    ResponseCode.RSTL: "response too large",
    ResponseCode.SGNP: "segmentation not possible",
    ResponseCode.SGERR: "segmentation error",
}


class SecurityMode(IntEnum):
    """How a message is protected (C12.22, 5.3.3); a higher one protects more."""

    CLEAR = 0
    AUTHENTICATED = 1
    ENCRYPTED = 2


class ResponseControl(IntEnum):
    """When a request is answered (C12.22, 5.3.3)."""

    ALWAYS = 0
    ON_EXCEPTION = 1
    NEVER = 2


class Qualifier(IntFlag):
    """The bits of the calling AE qualifier (C12.22, 5.3.4.7)."""

    TEST = 0x01
    URGENT = 0x02
    NOTIFICATION = 0x04


class NodeType(IntFlag):
    """What a node that registers is."""

    RELAY = 0x01
    MASTER_RELAY = 0x02
    HOST = 0x04
    NOTIFICATION_HOST = 0x08
    AUTHENTICATION_HOST = 0x10
    END_DEVICE = 0x20
    DOMAIN_PATTERN = 0x80


class Connection(IntFlag):
    """What a node that registers can do, and what its registrar tells it to."""

    BROADCAST = 0x01
    ACCEPTANCE_WINDOW = 0x02
    PLAYBACK_REJECTION = 0x04
    CONNECTIONLESS = 0x10
    ACCEPTS_CONNECTIONLESS = 0x20
    CONNECTED = 0x40
    ACCEPTS_CONNECTIONS = 0x80


class Standard(IntEnum):
    """Which protocol a device speaks, as Identify answers; a peer may name any."""

    C12_18 = 0
    C12_21 = 2
    C12_22 = 3
