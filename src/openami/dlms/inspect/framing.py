"""HDLC frames and wrapper packets as trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.core.inspection import Node
from openami.dlms.hdlc.frame import CHECK_SIZE, FLAG_OCTET, Frame, FrameKind, read_format
from openami.dlms.hdlc.parameters import Limits
from openami.dlms.inspect.scan import Scan, u16
from openami.dlms.wrapper import Packet
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.dlms.hdlc.address import HdlcAddress
    from openami.dlms.inspect.inspector import Inspector

_LLC: Final[Mapping[bytes, str]] = {
    bytes.fromhex("E6E600"): "command",
    bytes.fromhex("E6E700"): "response",
}
_LLC_SIZE: Final = 3
_NUMBERED: Final = frozenset({FrameKind.I, FrameKind.RR, FrameKind.RNR})
_HEADER: Final = (u16("version"), u16("source"), u16("destination"), u16("length"))
# Segments of one APDU that are kept until its last; as many octets as a wrapper could carry.
_MAX_SEGMENTED: Final = 0x10000


class HdlcInspector:
    """Dissects frames of one line; segments are joined for each pair of addresses."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._segments: dict[tuple[HdlcAddress, HdlcAddress], bytes] = {}

    def frames(self, octets: bytes) -> Node:
        """Return the tree of all frames in ``octets``, and of what lies between them.

        Raises:
            DecodeError: there is no good frame at all.
        """
        nodes: list[Node] = []
        position = 0
        first_error: DecodeError | None = None
        while position < len(octets):
            try:
                node = self._frame(octets, position)
            except DecodeError as error:
                first_error = first_error or error
                end = octets.find(FLAG_OCTET, position + 1)
                end = len(octets) if end < 0 else end
                node = Node("no frame", None, position, octets[position:end], (), str(error))
            nodes.append(node)
            position += len(node.octets)
            if node.name == "frame" and octets[position : position + 1] != FLAG_OCTET:
                position -= _shared_flag(octets, position)
        if not any(node.name == "frame" for node in nodes):
            raise first_error or DecodeError("no octets")
        return Node("HDLC", None, 0, octets, tuple(nodes))

    def _frame(self, octets: bytes, start: int) -> Node:
        r = Reader(octets[start : start + 3], base=start)
        r.expect(FLAG_OCTET[0], "opening flag")
        length, _ = read_format(r)
        raw = octets[start : start + length + 2]
        try:
            frame = Frame.decode(raw)
        except DecodeError as error:
            raise DecodeError(error.reason, offset=start + error.offset) from None
        return Node("frame", None, start, raw, self._parts(frame, raw, start), _headline(frame))

    def _parts(self, frame: Frame, raw: bytes, start: int) -> tuple[Node, ...]:
        scan = Scan(raw, start)
        scan.r.u8()
        segmented = ", segmented" if frame.segmented else ""
        children = [
            scan.leaf("format", Reader.u16, lambda value: f"{value & 0x7FF} octets{segmented}"),
            _address(scan, "destination", frame.destination),
            _address(scan, "source", frame.source),
            scan.leaf("control", lambda r: r.take(1), lambda _: _control(frame)),
        ]
        if frame.info:
            children.append(scan.leaf("HCS", lambda r: r.take(CHECK_SIZE)))
            at = scan.r.offset
            children += self._information(frame, scan.r.take(len(frame.info)), at)
        children.append(scan.leaf("FCS", lambda r: r.take(CHECK_SIZE)))
        return tuple(children)

    def _information(self, frame: Frame, info: bytes, at: int) -> list[Node]:
        if frame.control.kind in (FrameKind.SNRM, FrameKind.UA):
            return [_parameters(info, at)]
        if frame.control.kind not in (FrameKind.I, FrameKind.UI):
            return [Node("information", info.hex().upper(), at, info)]
        pair = (frame.destination, frame.source)
        before = self._segments.pop(pair, b"")
        if frame.segmented:
            self._segments[pair] = (before + info)[:_MAX_SEGMENTED]
            return [Node("segment", info.hex().upper(), at, info)]
        if not before:
            return self._unit(info, at)
        joined = before + info
        segment = Node("segment", info.hex().upper(), at, info)
        note = f"{len(joined)} octets of all segments; offsets inside count from their start"
        return [segment, Node("joined", None, at, joined, tuple(self._unit(joined, 0)), note)]

    def _unit(self, octets: bytes, at: int) -> list[Node]:
        """Return the LLC header and the APDU after it."""
        llc = octets[:_LLC_SIZE]
        if llc not in _LLC:
            return [self._inspector.apdu_or_error(octets, at)]
        header = Node("LLC", llc.hex().upper(), at, llc, (), _LLC[llc])
        return [header, self._inspector.apdu_or_error(octets[_LLC_SIZE:], at + _LLC_SIZE)]


def _shared_flag(octets: bytes, position: int) -> int:
    """Return 1 if the flag before ``position`` closes one frame and opens the next."""
    following = octets[position - 1 : position + 2]
    try:
        read_format(Reader(following[1:]))
    except DecodeError:
        return 0
    return 1


def _headline(frame: Frame) -> str:
    return f"{frame.control.kind} from {_place(frame.source)} to {_place(frame.destination)}"


def _place(address: HdlcAddress) -> str:
    return str(address.upper) if address.lower is None else f"{address.upper}/{address.lower}"


def _address(scan: Scan, name: str, address: HdlcAddress) -> Node:
    return scan.leaf(name, lambda r: r.take(address.size), lambda _: _place(address))


def _control(frame: Frame) -> str:
    control = frame.control
    parts = [str(control.kind), "P/F" if control.final else "no P/F"]
    if control.kind is FrameKind.I:
        parts.append(f"N(S) {control.ns}")
    if control.kind in _NUMBERED:
        parts.append(f"N(R) {control.nr}")
    return ", ".join(parts)


def _parameters(info: bytes, at: int) -> Node:
    try:
        limits = Limits.decode(info)
    except DecodeError as error:
        return Node("parameters", info.hex().upper(), at, info, (), str(error))
    note = (
        f"information {limits.info_tx} sent, {limits.info_rx} taken; "
        f"window {limits.window_tx} sent, {limits.window_rx} taken"
    )
    return Node("parameters", info.hex().upper(), at, info, (), note)


def dissect_packets(octets: bytes, inspector: Inspector) -> Node:
    """Return the tree of all wrapper packets in ``octets``.

    Raises:
        DecodeError: the first packet is wrong or cut off.
    """
    scan = Scan(octets)
    nodes: list[Node] = []
    while scan.r.remaining or not nodes:
        start = scan.r.offset
        try:
            nodes.append(_packet(scan, octets, inspector))
        except DecodeError as error:
            if not nodes:
                raise
            nodes.append(Node("no packet", None, start, octets[start:], (), str(error)))
            break
    return Node("wrapper", None, 0, octets, tuple(nodes))


def _packet(scan: Scan, octets: bytes, inspector: Inspector) -> Node:
    start = scan.r.offset
    header = tuple(part(scan) for part in _HEADER)
    at = scan.r.offset
    apdu = scan.r.take(int(header[-1].value or 0))
    packet = Packet.decode(octets[start : scan.r.offset])
    inner = inspector.apdu_or_error(apdu, at)
    note = f"from {packet.source} to {packet.destination}"
    return Node("packet", None, start, scan.since(start), (*header, inner), note)
