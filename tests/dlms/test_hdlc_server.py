"""An HDLC station against frames written by hand."""

from __future__ import annotations

import pytest

from openami.dlms.hdlc import (
    Control,
    Frame,
    FrameKind,
    HdlcAddress,
    HdlcParameters,
    HdlcServerLink,
    Limits,
)
from openami.dlms.hdlc.server import MAX_LINKS
from openami.dlms.link import (
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
    ServerLinkEvent,
)

CLIENT = HdlcAddress(16)
SERVER = HdlcAddress(1, 17, 2)
PEER = Peer(16, 1)
LLC = bytes.fromhex("E6E600")
ANSWER_LLC = bytes.fromhex("E6E700")


class Bench:
    """A station, and a test that plays its client."""

    def __init__(self, *, alone: bool = False, **parameters: float) -> None:
        self.link = HdlcServerLink(17, (1, 2), HdlcParameters(**parameters), alone=alone)  # type: ignore[arg-type]  # floats and ints by name
        self.now = 0.0

    def give(
        self,
        kind: FrameKind,
        info: bytes = b"",
        *,
        to: HdlcAddress = SERVER,
        by: HdlcAddress = CLIENT,
        more: bool = False,
        final: bool = True,
        ns: int = 0,
        nr: int = 0,
    ) -> list[Frame]:
        control = Control.of(kind, final=final, ns=ns, nr=nr)
        self.link.receive_data(Frame(to, by, control, info, more).encode(), now=self.now)
        return self.said()

    def said(self) -> list[Frame]:
        return [Frame.decode(piece) for piece in self.link.data_to_send()]

    def events(self) -> list[ServerLinkEvent]:
        found = []
        while (event := self.link.next_event()) is not None:
            found.append(event)
        return found

    def connected(self, limits: Limits | None = None) -> Bench:
        (ua,) = self.give(FrameKind.SNRM, (limits or Limits()).encode())
        assert ua.control == Control(0x73)
        assert self.events() == [PeerConnected(PEER)]
        return self


def test_ua_names_what_was_agreed() -> None:
    bench = Bench(max_info_tx=200, max_info_rx=300, window_tx=3, window_rx=4)
    (ua,) = bench.give(FrameKind.SNRM, Limits(250, 100, 7, 1).encode())
    assert (ua.destination, ua.source) == (CLIENT, SERVER)
    assert Limits.decode(ua.info) == Limits(info_tx=100, info_rx=250, window_tx=1, window_rx=4)


def test_snrm_without_limits_means_the_defaults() -> None:
    (ua,) = Bench(max_info_tx=2030, window_tx=7).give(FrameKind.SNRM)
    assert Limits.decode(ua.info) == Limits()


@pytest.mark.parametrize("kind", [FrameKind.I, FrameKind.RR, FrameKind.DISC, FrameKind.RNR])
def test_without_a_link_everything_is_answered_by_dm(kind: FrameKind) -> None:
    bench = Bench()
    info = LLC + b"x" if kind is FrameKind.I else b""
    assert [frame.control for frame in bench.give(kind, info)] == [Control(0x1F)]
    assert bench.give(kind, info, final=False) == []
    assert bench.events() == []


def test_snrm_that_is_not_in_order() -> None:
    bench = Bench()
    assert [frame.control for frame in bench.give(FrameKind.SNRM, b"what?")] == [Control(0x1F)]
    assert bench.give(FrameKind.SNRM, final=False) == []
    assert bench.events() == []
    assert bench.link.counters.errors == 1


def test_reconnected() -> None:
    bench = Bench().connected()
    bench.give(FrameKind.SNRM)
    assert bench.events() == [PeerDisconnected(PEER, "reconnected"), PeerConnected(PEER)]


def test_question_and_answer() -> None:
    bench = Bench().connected()
    assert bench.give(FrameKind.I, LLC + b"ask") == []
    assert bench.events() == [PeerApduReceived(PEER, b"ask")]
    bench.link.send(PEER, b"answer", now=0)
    (frame,) = bench.said()
    assert frame.control == Control.of(FrameKind.I, nr=1)
    assert frame.info == ANSWER_LLC + b"answer"
    for _ in range(2):  # asked again, it says the same again
        (again,) = bench.give(FrameKind.RR, nr=0)
        assert again == frame
    (ready,) = bench.give(FrameKind.RR, nr=1)
    assert ready.control == Control.of(FrameKind.RR, nr=1)
    assert bench.link.counters.repeats == 2


def test_silent_unless_polled() -> None:
    bench = Bench(window_rx=2).connected(Limits(window_tx=2))
    assert bench.give(FrameKind.I, LLC + b"as", more=True, final=False) == []
    assert bench.give(FrameKind.RR, final=False) == []
    (ready,) = bench.give(FrameKind.I, b"k", ns=1, more=True)
    assert ready.control == Control.of(FrameKind.RR, nr=2)
    assert bench.give(FrameKind.I, b"!", ns=2, final=False) == []
    assert bench.events() == [PeerApduReceived(PEER, b"ask!")]
    bench.link.send(PEER, b"answer", now=0)
    assert bench.said() == []
    (frame,) = bench.give(FrameKind.RR)
    assert frame.info == ANSWER_LLC + b"answer"


def test_late_answer_waits_for_the_next_poll() -> None:
    """By then the client may have given the line to another station."""
    bench = Bench(response_timeout=2.0).connected()
    bench.give(FrameKind.I, LLC + b"ask")
    bench.link.send(PEER, b"answer", now=2.1)
    assert bench.said() == []
    (frame,) = bench.give(FrameKind.RR)
    assert frame.info == ANSWER_LLC + b"answer"


def test_repeated_question_while_the_answer_is_being_made() -> None:
    bench = Bench().connected()
    bench.give(FrameKind.I, LLC + b"ask")
    assert bench.give(FrameKind.I, LLC + b"ask") == []
    bench.link.send(PEER, b"answer", now=0)
    assert len(bench.said()) == 1
    assert bench.events() == [PeerApduReceived(PEER, b"ask")]
    (frame,) = bench.give(FrameKind.I, LLC + b"ask")
    assert frame.info == ANSWER_LLC + b"answer"
    assert bench.events() == []


def test_frame_out_of_sequence() -> None:
    bench = Bench(window_rx=3).connected(Limits(window_tx=3))
    (ready,) = bench.give(FrameKind.I, b"second", ns=1)
    assert ready.control == Control.of(FrameKind.RR, nr=0)
    assert bench.events() == []


def test_answer_in_windows() -> None:
    bench = Bench(window_tx=3, max_info_tx=10).connected(Limits(info_rx=10, window_rx=3))
    bench.give(FrameKind.I, LLC + b"ask")
    bench.link.send(PEER, bytes(40), now=0)
    numbers = [(f.control.ns, f.control.final, f.segmented) for f in bench.said()]
    assert numbers == [(0, False, True), (1, False, True), (2, True, True)]
    numbers = [(f.control.ns, f.control.final, f.segmented) for f in bench.give(FrameKind.RR, nr=2)]
    assert numbers == [(2, False, True), (3, False, True), (4, True, False)]


def test_busy_client() -> None:
    bench = Bench().connected()
    bench.give(FrameKind.I, LLC + b"ask", final=False)
    bench.link.send(PEER, b"answer", now=0)
    (ready,) = bench.give(FrameKind.RNR)
    assert ready.control.kind is FrameKind.RR
    (frame,) = bench.give(FrameKind.RR)
    assert frame.info == ANSWER_LLC + b"answer"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Frame(SERVER, CLIENT, Control(0x19)), 0x01),
        (Frame(SERVER, CLIENT, Control(0x73)), 0x01),
        (Frame(SERVER, CLIENT, Control.of(FrameKind.I), bytes(200)), 0x04),
        (Frame(SERVER, CLIENT, Control.of(FrameKind.I), b"\xe6\xe7\x00wrong way"), 0x04),
        (Frame(SERVER, CLIENT, Control.of(FrameKind.RR, nr=5)), 0x08),
    ],
)
def test_breaches_are_rejected_and_end_the_link(frame: Frame, reason: int) -> None:
    bench = Bench().connected()
    bench.link.receive_data(frame.encode(), now=0)
    (frmr,) = bench.said()
    assert frmr.control == Control(0x97)
    assert (frmr.info[0], frmr.info[2]) == (frame.control.octet, reason)
    assert bench.events() == [PeerDisconnected(PEER, "rejected")]
    assert [f.control for f in bench.give(FrameKind.RR)] == [Control(0x1F)]


def test_endless_apdu() -> None:
    bench = Bench(max_info_rx=2030).connected(Limits(info_tx=2030))
    for number in range(34):
        said = bench.give(FrameKind.I, bytes(2000), ns=number % 8, more=True)
    assert bench.events() == [PeerDisconnected(PEER, "rejected")]
    assert said[0].control == Control(0x1F)


def test_links_are_bounded() -> None:
    bench = Bench()
    for sap in range(1, MAX_LINKS + 1):
        bench.give(FrameKind.SNRM, by=HdlcAddress(sap))
    (dm,) = bench.give(FrameKind.SNRM, by=HdlcAddress(100))
    assert dm.control == Control(0x1F)
    assert len(bench.events()) == MAX_LINKS
    bench.give(FrameKind.DISC, by=HdlcAddress(1))
    (ua,) = bench.give(FrameKind.SNRM, by=HdlcAddress(100))
    assert ua.control == Control(0x73)


def test_links_end_by_silence_one_by_one() -> None:
    bench = Bench(inactivity_timeout=10.0)
    bench.give(FrameKind.SNRM)
    bench.now = 5.0
    bench.give(FrameKind.SNRM, by=HdlcAddress(2))
    assert bench.link.next_timer() == 10.0
    bench.link.handle_timer(now=10.0)
    assert bench.events()[2:] == [PeerDisconnected(PEER, "inactivity")]
    assert bench.link.next_timer() == 15.0


@pytest.mark.parametrize(
    "to",
    [
        HdlcAddress(1, 18, 2),
        HdlcAddress(3, 17, 2),
        HdlcAddress(1),
        HdlcAddress(1, 0x7F, 2),
        HdlcAddress(0x7F, 17, 2),
        HdlcAddress(0x3FFF, 0x3FFF, 4),
        HdlcAddress(0x7F),
    ],
)
def test_not_for_this_station(to: HdlcAddress) -> None:
    bench = Bench()
    assert bench.give(FrameKind.SNRM, to=to) == []
    assert bench.events() == []


@pytest.mark.parametrize("by", [HdlcAddress(0), HdlcAddress(0x7F), HdlcAddress(1, 16, 2)])
def test_not_by_a_client(by: HdlcAddress) -> None:
    bench = Bench()
    assert bench.give(FrameKind.SNRM, by=by) == []
    assert bench.events() == []


def test_alone_it_takes_the_short_form() -> None:
    (ua,) = Bench(alone=True).give(FrameKind.SNRM, to=HdlcAddress(2))
    assert ua.source == HdlcAddress(2)


@pytest.mark.parametrize(
    ("to", "devices"),
    [
        (HdlcAddress(0x3FFF, 0x3FFF, 4), [1, 2]),
        (HdlcAddress(0x7F), [1, 2]),
        (HdlcAddress(2, 0x7F, 2), [2]),
        (HdlcAddress(1, 17, 4), [1]),
        (HdlcAddress(1, 18, 4), []),
    ],
)
def test_unconfirmed(to: HdlcAddress, devices: list[int]) -> None:
    bench = Bench()
    for llc in (LLC, b"\xff\xe6\x00"):
        assert bench.give(FrameKind.UI, llc + b"hear", to=to) == []
        assert bench.events() == [
            PeerApduReceived(Peer(16, device), b"hear", broadcast=True) for device in devices
        ]
    bench.give(FrameKind.UI, b"nonsense", to=to)
    assert bench.link.counters.errors == bool(devices)


def test_sending_to_nobody() -> None:
    bench = Bench()
    bench.link.send(PEER, b"answer", now=0)
    assert bench.said() == []


def test_silence_ends_a_frame_that_has_begun() -> None:
    bench = Bench(inter_frame=0.5)
    snrm = Frame(SERVER, CLIENT, Control.of(FrameKind.SNRM), Limits().encode()).encode()
    bench.link.receive_data(snrm[:20], now=0.0)
    bench.link.receive_data(snrm, now=1.0)
    assert len(bench.said()) == 1
    bench.link.receive_data(snrm[:20], now=2.0)
    bench.link.receive_data(snrm[20:], now=2.4)
    assert len(bench.said()) == 1


def test_a_frame_read_elsewhere() -> None:
    bench = Bench()
    bench.link.receive_frame(Frame(SERVER, CLIENT, Control.of(FrameKind.SNRM)), now=0)
    assert len(bench.said()) == 1


def test_a_station_that_restarts_knows_nobody() -> None:
    bench = Bench().connected()
    bench.link.receive_data(b"\x7e\xa0", now=0.0)
    bench.link.receive_data(Frame(SERVER, CLIENT, Control.of(FrameKind.RR)).encode(), now=0.0)
    bench.link.forget()
    assert (bench.said(), bench.events()) == ([], [])
    (answer,) = bench.give(FrameKind.RR)
    assert answer.control.kind is FrameKind.DM
