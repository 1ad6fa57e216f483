"""Every request and every answer of C12.22, and their octets."""

from __future__ import annotations

from typing import Final

from openami.c1222.codes import Connection, NodeType, ResponseCode, Standard
from openami.c1222.services import (
    MANUFACTURER,
    Deregister,
    Deregistered,
    Disconnect,
    Done,
    Failure,
    Features,
    Identified,
    Identify,
    Identity,
    LoggedOn,
    Logoff,
    Logon,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    Register,
    Registered,
    Request,
    Resolve,
    Resolved,
    Response,
    Security,
    TableData,
    Terminate,
    Trace,
    Traced,
    Wait,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.titles import MECHANISM, ApTitle

METER: Final = ApTitle.parse(".123.8437")
RELAY: Final = ApTitle.parse("2.16.124.113620.1.22.0.123.1")
NATIVE: Final = bytes.fromhex("c0a801640481")
TITLE: Final = "80037bc175"
ABSOLUTE: Final = "060a607c86f7540116007b01"

# Named after C12.22, 5.3.2.4; Register is a captured one, Security and reads are in c1222.json too.
REQUESTS: Final[list[tuple[Request, str]]] = [
    (Identify(), "20"),
    (Terminate(), "21"),
    (Disconnect(), "22"),
    (Logoff(), "52"),
    (Deregister(METER), "24" + TITLE),
    (Resolve(METER), "25" + TITLE),
    (Trace((METER, RELAY)), "26" + TITLE + ABSOLUTE),
    (Trace(()), "26"),
    (
        Register(
            NodeType.END_DEVICE,
            Connection(0x53),
            b"ACME",
            METER,
            METER.absolute(),
            NATIVE,
            3600,
        ),
        "27205341434d4580037bc175060b607c86f7540116007bc17506c0a801640481000e10",
    ),
    (
        Register(
            NodeType.RELAY | NodeType.DOMAIN_PATTERN,
            Connection(0),
            bytes(4),
            METER,
            METER,
            b"",
            0xFFFFFF,
            b"\x7b",
        ),
        "27810000000000" + TITLE + TITLE + "00ffffff017b",
    ),
    (Read(MANUFACTURER | 5), "300805"),
    (ReadIndex(23, (1,), 2), "310017" + "0001" + "0002"),
    (ReadIndex(23, tuple(range(9)), 2), "390017000000010002000300040005000600070008" + "0002"),
    (ReadDefault(), "3e"),
    (ReadOffset(64, 0x010203, 500), "3f004001020301f4"),
    (Write(7, bytes.fromhex("1a00000200")), "40000700051a00000200e4"),
    (WriteIndex(52, (1, 2), b"\x01"), "42003400010002" + "000101ff"),
    (WriteOffset(52, 3, b""), "4f0034000003" + "000000"),
    (Logon.of(2, b"reader", 60), "500002" + b"reader    ".hex() + "003c"),
    (Security.of(b"PASSWORD"), "51" + b"PASSWORD".ljust(20).hex()),
    (Security.of(b"PASSWORD", 2), "51" + b"PASSWORD".ljust(20).hex() + "0002"),
    (Wait(255), "70ff"),
]
MECHANISM_FEATURE: Final = "04" + ApTitle(MECHANISM, relative=False).encode().hex()
FEATURES: Final = Features(
    ApTitle(MECHANISM, relative=False), 4, True, METER, Identity(1, b"OAMI"), b""
)
RESPONSES: Final[list[tuple[int, Response, str]]] = [
    (0x21, Done(), "00"),
    (0x24, Deregistered(), "00"),
    (0x24, Deregistered(METER), "00" + TITLE),
    (0x20, Identified(Standard.C12_22, 1, 0), "0003010000"),
    (
        0x20,
        Identified(3, 1, 0, FEATURES),
        f"00030100{MECHANISM_FEATURE}058406{TITLE}0705014f414d4900",
    ),
    (0x20, Identified(3, 1, 0, Features(unknown=b"\x09\x01\x00")), "00030100" + "090100"),
    (0x25, Resolved(NATIVE), "0006c0a801640481"),
    (0x26, Traced((RELAY, METER)), "00" + ABSOLUTE + TITLE),
    (0x27, Registered(METER, 30, 3600, Connection.BROADCAST), "00" + TITLE + "001e000e1001"),
    (0x30, TableData(b"MANUFACTURER SN "), "0000104d414e55464143545552455220534e2092"),
    (0x50, LoggedOn(60), "00003c"),
    (0x30, Failure(ResponseCode.ISC), "03"),
    (0x30, Failure(ResponseCode.RSTL, 500), "10000001f4"),
    (0x30, Failure(ResponseCode.RQTL), "0f"),
    (0x30, Failure(ResponseCode.SGERR, detail=b"why"), "12776879"),
    (0x26, Failure(ResponseCode.NETR, titles=(RELAY,)), "0e" + ABSOLUTE),
    (0x26, Failure(ResponseCode.RQTL, 9, titles=(RELAY,)), "0f00000009" + ABSOLUTE),
]
