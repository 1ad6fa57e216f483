"""How the xDLMS services look inside: their parts, by tag and choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.inspection import Node
from openami.dlms.apdu.common import CONFIRMED, HIGH_PRIORITY, Tag
from openami.dlms.apdu.exception import ServiceError, StateError
from openami.dlms.apdu.initiate import InitiateError, ServiceErrorKind
from openami.dlms.conformance import read_conformance
from openami.dlms.datetime import CosemDateTime
from openami.dlms.inspect.scan import (
    Part,
    Scan,
    data,
    field,
    flag,
    obis_words,
    octet_string,
    optional,
    sequence_of,
    u8,
    u16,
    u32,
)
from openami.dlms.results import ActionResult, DataAccessResult
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import IntEnum

_CLASSES: Final[Mapping[int, str]] = {
    1: "data",
    3: "register",
    4: "extended register",
    5: "demand register",
    6: "register activation",
    7: "profile generic",
    8: "clock",
    9: "script table",
    10: "schedule",
    11: "special days",
    15: "association LN",
    17: "SAP assignment",
    18: "image transfer",
    19: "IEC local port",
    20: "activity calendar",
    21: "register monitor",
    22: "single action schedule",
    23: "IEC HDLC set-up",
    40: "push set-up",
    41: "TCP-UDP set-up",
    64: "security set-up",
    70: "disconnect control",
    71: "limiter",
    72: "M-Bus client",
}


def words(kind: type[IntEnum]) -> Callable[[int], str]:
    """Return what names the values of ``kind``."""
    names = {member.value: member.name.lower().replace("_", "-") for member in kind}
    return lambda value: names.get(value, "unknown")


def _invoke_words(octet: int) -> str:
    service = "confirmed" if octet & CONFIRMED else "unconfirmed"
    priority = "high" if octet & HIGH_PRIORITY else "normal"
    return f"id {octet & 0x0F}, {service}, {priority} priority"


_INVOKE: Final = u8("invoke-id-and-priority", _invoke_words)
_OBIS: Final = field("instance-id", lambda r: r.take(6), obis_words)
_CLASS: Final = u16("class-id", lambda number: _CLASSES.get(number, "unknown"))
_NUMBER: Final = u32("block-number")
_RAW: Final = octet_string("raw-data")
_BLOCK: Final[tuple[Part, ...]] = (flag("last-block"), _NUMBER, _RAW)
_ACCESS_RESULT: Final = u8("data-access-result", words(DataAccessResult))
_ACTION_RESULT: Final = u8("action-result", words(ActionResult))


def _signed(name: str) -> Part:
    return field(name, lambda r: r.sint(1))


def _descriptor(name: str, member: str) -> Part:
    parts = (_CLASS, _OBIS, _signed(member))
    return lambda scan: scan.group(name, parts)


_ATTRIBUTE: Final = _descriptor("attribute", "attribute-id")
_METHOD: Final = _descriptor("method", "method-id")


def _selective(scan: Scan) -> Node:
    return scan.group("access", (u8("access-selector"), data))


_SELECTION: Final = optional("access-selection", _selective)


def choice(name: str, choices: Mapping[int, Part]) -> Part:
    """Return a part that begins with the octet of a CHOICE."""

    def scan_choice(scan: Scan) -> Node:
        start = scan.r.offset
        inner = choices[scan.r.u8()](scan)
        return Node(name, None, start, scan.since(start), (inner,))

    return scan_choice


_RESULT: Final = choice("result", {0: data, 1: _ACCESS_RESULT})
_BLOCK_RESULT: Final = choice("result", {0: _RAW, 1: _ACCESS_RESULT})


def _selected(scan: Scan) -> Node:
    return scan.group("attribute-with-selection", (_ATTRIBUTE, _SELECTION))


def _outcome(scan: Scan) -> Node:
    return scan.group("response", (_ACTION_RESULT, optional("return-parameters", _RESULT)))


_ATTRIBUTES: Final = sequence_of("attributes", _selected)
_METHODS: Final = sequence_of("methods", _METHOD)
_VALUES: Final = sequence_of("values", data)
_RESULTS: Final = sequence_of("results", _ACCESS_RESULT)

# The name and the parts after the invoke-id of each choice of each service.
_CHOICES: Final[Mapping[int, Mapping[int, tuple[str, tuple[Part, ...]]]]] = {
    Tag.GET_REQUEST: {
        1: ("get-request-normal", (_ATTRIBUTE, _SELECTION)),
        2: ("get-request-next", (_NUMBER,)),
        3: ("get-request-with-list", (_ATTRIBUTES,)),
    },
    Tag.GET_RESPONSE: {
        1: ("get-response-normal", (_RESULT,)),
        2: ("get-response-with-datablock", (flag("last-block"), _NUMBER, _BLOCK_RESULT)),
        3: ("get-response-with-list", (sequence_of("results", _RESULT),)),
    },
    Tag.SET_REQUEST: {
        1: ("set-request-normal", (_ATTRIBUTE, _SELECTION, data)),
        2: ("set-request-with-first-datablock", (_ATTRIBUTE, _SELECTION, *_BLOCK)),
        3: ("set-request-with-datablock", _BLOCK),
        4: ("set-request-with-list", (_ATTRIBUTES, _VALUES)),
        5: ("set-request-with-list-and-first-datablock", (_ATTRIBUTES, *_BLOCK)),
    },
    Tag.SET_RESPONSE: {
        1: ("set-response-normal", (_ACCESS_RESULT,)),
        2: ("set-response-datablock", (_NUMBER,)),
        3: ("set-response-last-datablock", (_ACCESS_RESULT, _NUMBER)),
        4: ("set-response-last-datablock-with-list", (_RESULTS, _NUMBER)),
        5: ("set-response-with-list", (_RESULTS,)),
    },
    Tag.ACTION_REQUEST: {
        1: ("action-request-normal", (_METHOD, optional("parameters", data))),
        2: ("action-request-next-pblock", (_NUMBER,)),
        3: ("action-request-with-list", (_METHODS, _VALUES)),
        4: ("action-request-with-first-pblock", (_METHOD, *_BLOCK)),
        5: ("action-request-with-list-and-first-pblock", (_METHODS, *_BLOCK)),
        6: ("action-request-with-pblock", _BLOCK),
    },
    Tag.ACTION_RESPONSE: {
        1: ("action-response-normal", (_outcome,)),
        2: ("action-response-with-pblock", _BLOCK),
        3: ("action-response-with-list", (sequence_of("responses", _outcome),)),
        4: ("action-response-next-pblock", (_NUMBER,)),
    },
}


def _service(tag: int) -> Part:
    choices = _CHOICES[tag]

    def scan_service(scan: Scan) -> Node:
        start = scan.r.offset
        scan.r.u8()
        name, parts = choices[scan.r.u8()]
        children = tuple([part(scan) for part in (_INVOKE, *parts)])
        return Node(name, None, start, scan.since(start), children)

    return scan_service


def _tagged(name: str, *parts: Part) -> Part:
    def scan_tagged(scan: Scan) -> Node:
        start = scan.r.offset
        scan.r.u8()
        children = tuple([part(scan) for part in parts])
        return Node(name, None, start, scan.since(start), children)

    return scan_tagged


def _moment_words(octets: bytes) -> str:
    return str(CosemDateTime.decode(octets)) if octets else "not specified"


def _notification_time(scan: Scan) -> Node:
    def read(r: Reader) -> bytes:
        if r.peek() == 0x09:
            r.u8()
        return r.take(r.length())

    return scan.leaf("date-time", read, _moment_words)


def _conformance(scan: Scan) -> Node:
    start = scan.r.offset
    found = read_conformance(scan.r)
    return Node(
        "conformance", found.octets.hex().upper(), start, scan.since(start), (),
        ", ".join(found.names()),
    )  # fmt: skip


def secret(name: str) -> Part:
    """Return a part that is an octet-string of which only the length is shown."""

    def scan_secret(scan: Scan) -> Node:
        start = scan.r.offset
        size = len(scan.r.take(scan.r.length()))
        return Node(name, None, start, b"", (), f"{size} octets, not shown")

    return scan_secret


def _exception(scan: Scan) -> Node:
    parts: tuple[Part, ...] = (
        u8("state-error", words(StateError)),
        u8("service-error", words(ServiceError)),
    )
    start = scan.r.offset
    scan.r.u8()
    children = [part(scan) for part in parts]
    if scan.r.remaining:
        children.append(scan.leaf("invocation-counter", Reader.u32))
    return Node("exception-response", None, start, scan.since(start), tuple(children))


def _service_error(scan: Scan) -> Node:
    start = scan.r.offset
    scan.r.u8()
    service = u8("service", lambda value: "initiate" if value == 1 else "")(scan)
    kind = u8("kind", words(ServiceErrorKind))(scan)
    is_initiate = kind.value == ServiceErrorKind.INITIATE
    error = u8("error", words(InitiateError) if is_initiate else None)(scan)
    return Node("confirmed-service-error", None, start, scan.since(start), (service, kind, error))


_QUALITY: Final = optional("quality-of-service", _signed("value"))
_VERSION: Final = u8("dlms-version-number")

SERVICES: Final[Mapping[int, Part]] = {
    **{tag: _service(tag) for tag in _CHOICES},
    Tag.INITIATE_REQUEST: _tagged(
        "initiate-request",
        optional("dedicated-key", secret("key")),
        optional("response-allowed", flag("value")),
        _QUALITY,
        _VERSION,
        _conformance,
        u16("client-max-receive-pdu-size"),
    ),
    Tag.INITIATE_RESPONSE: _tagged(
        "initiate-response",
        _QUALITY,
        _VERSION,
        _conformance,
        u16("server-max-receive-pdu-size"),
        u16("vaa-name", lambda name: f"{name:04X}"),
    ),
    Tag.CONFIRMED_SERVICE_ERROR: _service_error,
    Tag.EXCEPTION_RESPONSE: _exception,
    Tag.DATA_NOTIFICATION: _tagged(
        "data-notification",
        u32("long-invoke-id-and-priority"),
        _notification_time,
        data,
    ),
    Tag.EVENT_NOTIFICATION: _tagged(
        "event-notification-request",
        optional("time", octet_string("value", _moment_words)),
        _ATTRIBUTE,
        data,
    ),
    Tag.GENERAL_BLOCK_TRANSFER: _tagged(
        "general-block-transfer",
        u8(
            "block-control",
            lambda octet: (
                f"window {octet & 0x3F}"
                + (", streaming" if octet & 0x40 else "")
                + (", last block" if octet & 0x80 else "")
            ),
        ),
        u16("block-number"),
        u16("block-number-ack"),
        octet_string("block-data"),
    ),
}
