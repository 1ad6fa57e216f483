"""The HDLC client against frames written by hand."""

from __future__ import annotations

import pytest

from openami.core.errors import LocalProtocolError
from openami.dlms.hdlc import (
    Control,
    Frame,
    FrameKind,
    HdlcAddress,
    HdlcClientLink,
    HdlcParameters,
    Limits,
)
from openami.dlms.hdlc.turns import State
from openami.dlms.link import ApduReceived, LinkDown, LinkEvent, LinkUp

CLIENT = HdlcAddress(16)
SERVER = HdlcAddress(1, 17, 2)
LLC = bytes.fromhex("E6E700")


class Bench:
    """A client, and a test that plays its server."""

    def __init__(self, **parameters: float) -> None:
        self.link = HdlcClientLink(16, SERVER, HdlcParameters(**parameters))  # type: ignore[arg-type]  # floats and ints by name
        self.now = 0.0

    def give(self, kind: FrameKind, info: bytes = b"", **control: int) -> None:
        more = bool(control.pop("more", False))
        final = bool(control.pop("final", True))
        frame = Frame(CLIENT, SERVER, Control.of(kind, final=final, **control), info, more)
        self.link.receive_data(frame.encode(), now=self.now)

    def taken(self) -> list[tuple[FrameKind, bool, int, int]]:
        frames = [Frame.decode(piece) for piece in self.link.data_to_send()]
        assert all((frame.destination, frame.source) == (SERVER, CLIENT) for frame in frames)
        return [
            (
                frame.control.kind,
                frame.control.final,
                frame.control.ns if frame.control.kind is FrameKind.I else 0,
                0 if frame.control.kind in (FrameKind.SNRM, FrameKind.DISC) else frame.control.nr,
            )
            for frame in frames
        ]

    def events(self) -> list[LinkEvent]:
        found = []
        while (event := self.link.next_event()) is not None:
            found.append(event)
        return found

    def wait(self) -> None:
        timer = self.link.next_timer()
        assert timer is not None
        self.now = timer
        self.link.handle_timer(now=timer)

    def connected(self, limits: Limits | None = None) -> Bench:
        self.link.connect(now=self.now)
        self.give(FrameKind.UA, limits.encode() if limits else b"")
        assert self.events() == [LinkUp(65536)]
        self.taken()
        return self

    def asked(self, apdu: bytes = b"ask", limits: Limits | None = None) -> Bench:
        self.connected(limits)
        self.link.send(apdu, now=self.now)
        self.taken()
        return self


def test_snrm_proposes_our_limits() -> None:
    bench = Bench(max_info_tx=300, window_rx=4)
    bench.link.connect(now=0)
    frame = Frame.decode(bench.link.data_to_send()[0])
    assert frame.control == Control(0x93)
    assert Limits.decode(frame.info) == Limits(300, 128, 1, 4)
    bench.give(FrameKind.UA, Limits(64, 64, 7, 7).encode())
    assert bench.link.limits == Limits(64, 64, 1, 4)


def test_ua_without_limits_means_the_defaults() -> None:
    bench = Bench(max_info_tx=300, max_info_rx=300, window_tx=4, window_rx=4).connected()
    assert bench.link.limits == Limits()


def test_refused() -> None:
    bench = Bench()
    bench.link.connect(now=0)
    bench.give(FrameKind.DM)
    assert bench.events() == [LinkDown("refused", "the station refuses the link (DM)")]


def test_ua_with_nonsense() -> None:
    bench = Bench()
    bench.link.connect(now=0)
    bench.give(FrameKind.UA, b"nonsense")
    (event,) = bench.events()
    assert isinstance(event, LinkDown)
    assert event.code == "protocol"
    assert bench.link.counters.errors == 1


def test_commands_out_of_order() -> None:
    bench = Bench()
    with pytest.raises(LocalProtocolError):
        bench.link.send(b"x", now=0)
    bench.link.connect(now=0)
    with pytest.raises(LocalProtocolError):
        bench.link.connect(now=0)
    bench.give(FrameKind.UA)
    bench.link.send(b"x", now=0)
    with pytest.raises(LocalProtocolError):
        bench.link.send(b"y", now=0)


def test_a_new_link_starts_its_numbers_anew() -> None:
    bench = Bench().asked()
    bench.give(FrameKind.I, LLC + b"one", nr=1)
    bench.link.disconnect(now=0)
    bench.give(FrameKind.UA)
    assert bench.events() == [ApduReceived(b"one"), LinkDown("disconnected")]
    bench.asked()
    bench.give(FrameKind.I, LLC + b"two", nr=1)
    assert bench.events()[-1] == ApduReceived(b"two")


def test_answer_in_segments_and_windows() -> None:
    bench = Bench(window_rx=2).asked(limits=Limits(128, 128, 2, 2))
    bench.give(FrameKind.I, LLC + b"on", ns=0, nr=1, more=1, final=0)
    bench.give(FrameKind.I, b"e ", ns=1, nr=1, more=1)
    assert bench.taken() == [(FrameKind.RR, True, 0, 2)]
    assert bench.events() == []
    bench.give(FrameKind.I, b"two", ns=2, nr=1)
    assert bench.events() == [ApduReceived(b"one two")]
    bench.link.send(b"x", now=0)
    assert bench.taken() == [(FrameKind.I, True, 1, 3)]


def test_request_in_windows() -> None:
    bench = Bench(window_tx=2, max_info_tx=10).connected(Limits(10, 10, 2, 2))
    bench.link.send(bytes(30), now=0)  # 33 octets with LLC: 4 segments
    assert bench.taken() == [(FrameKind.I, False, 0, 0), (FrameKind.I, True, 1, 0)]
    bench.give(FrameKind.RR, nr=2)
    assert bench.taken() == [(FrameKind.I, False, 2, 0), (FrameKind.I, True, 3, 0)]
    bench.give(FrameKind.RR, nr=3)  # the last one is lost
    assert bench.taken() == [(FrameKind.I, True, 3, 0)]
    assert bench.link.counters.repeats == 1
    bench.give(FrameKind.I, LLC + b"ok", nr=4)
    assert bench.events() == [ApduReceived(b"ok")]


def test_window_lost_altogether_is_asked_after() -> None:
    bench = Bench(window_tx=2, max_info_tx=10).connected(Limits(10, 10, 2, 2))
    bench.link.send(bytes(15), now=0)
    bench.taken()
    bench.wait()
    assert bench.taken() == [(FrameKind.RR, True, 0, 0)]
    bench.give(FrameKind.RR, nr=0)
    assert bench.taken() == [(FrameKind.I, False, 0, 0), (FrameKind.I, True, 1, 0)]
    assert bench.link.counters.repeats == 3


def test_first_of_a_window_lost() -> None:
    bench = Bench(window_tx=2, max_info_tx=10).connected(Limits(10, 10, 2, 2))
    bench.link.send(bytes(15), now=0)
    bench.taken()
    bench.give(FrameKind.RR, nr=0)
    assert bench.taken() == [(FrameKind.I, False, 0, 0), (FrameKind.I, True, 1, 0)]


def test_nothing_gets_through() -> None:
    """RR arrives and long frames never do: that ends, too."""
    bench = Bench(retries=2).asked()
    for _ in range(2):
        bench.wait()
        bench.give(FrameKind.RR, nr=0)
    assert not bench.events()
    bench.wait()
    (event,) = bench.events()
    assert isinstance(event, LinkDown)
    assert event.code == "timeout"


def test_answers_that_bring_nothing_end() -> None:
    bench = Bench(retries=2, window_tx=2, max_info_tx=10).connected(Limits(10, 10, 2, 2))
    bench.link.send(bytes(15), now=0)
    for _ in range(3):
        bench.give(FrameKind.RR, nr=0)
    assert bench.events() == [LinkDown("timeout", "the station answers and nothing gets through")]


def test_echo_of_an_earlier_turn_is_no_answer() -> None:
    bench = Bench().asked()
    bench.give(FrameKind.I, LLC + b"one", ns=0, nr=1)
    bench.link.send(b"second", now=0)
    bench.taken()
    bench.give(FrameKind.I, LLC + b"one", ns=0, nr=1)
    bench.give(FrameKind.RR, nr=1)
    assert bench.taken() == []
    bench.give(FrameKind.I, LLC + b"two", ns=1, nr=2)
    assert bench.events() == [ApduReceived(b"one"), ApduReceived(b"two")]
    bench.give(FrameKind.I, LLC + b"two", ns=1, nr=2)
    assert bench.events() == []


def test_first_of_an_answer_lost() -> None:
    bench = Bench(window_rx=3).asked(limits=Limits(128, 128, 3, 3))
    bench.give(FrameKind.I, b"b", ns=1, nr=1, more=1, final=0)
    bench.give(FrameKind.I, b"c", ns=2, nr=1)
    assert bench.taken() == [(FrameKind.RR, True, 0, 0)]
    for ns, part in enumerate((LLC + b"a", b"b", b"c")):
        bench.give(FrameKind.I, part, ns=ns, nr=1, more=ns < 2, final=ns == 2)
    assert bench.events() == [ApduReceived(b"abc")]


def test_final_bit_lost() -> None:
    """A server that ends with RR, whose RR is lost: the APDU is whole, the timeout hands it on."""
    bench = Bench().asked()
    bench.give(FrameKind.I, LLC + b"whole", nr=1, final=0)
    assert bench.events() == []
    bench.wait()
    assert bench.events() == [ApduReceived(b"whole")]
    assert bench.link.state is State.IDLE


def test_server_that_ends_with_rr() -> None:
    bench = Bench().asked()
    bench.give(FrameKind.I, LLC + b"whole", nr=1, final=0)
    bench.give(FrameKind.RR, nr=1)
    assert bench.events() == [ApduReceived(b"whole")]


def test_busy_server() -> None:
    bench = Bench(busy_poll=0.5).asked()
    bench.give(FrameKind.RNR, nr=1)
    assert bench.taken() == []
    bench.wait()
    assert bench.now == 0.5
    assert bench.taken() == [(FrameKind.RR, True, 0, 0)]
    bench.give(FrameKind.RR, nr=1)  # nothing yet
    bench.wait()
    assert bench.taken() == [(FrameKind.RR, True, 0, 0)]
    bench.give(FrameKind.I, LLC + b"ok", nr=1)
    assert bench.events() == [ApduReceived(b"ok")]


def test_server_busy_before_it_took_the_request() -> None:
    bench = Bench().asked()
    bench.give(FrameKind.RNR, nr=0)
    bench.wait()
    bench.give(FrameKind.RR, nr=0)
    assert bench.taken() == [(FrameKind.RR, True, 0, 0), (FrameKind.I, True, 0, 0)]


def test_server_busy_for_too_long() -> None:
    bench = Bench(busy_timeout=5.0, busy_poll=1.0).asked()
    for _ in range(5):
        bench.give(FrameKind.RNR, nr=1)
        bench.wait()
    bench.give(FrameKind.RNR, nr=1)
    assert bench.events() == [LinkDown("timeout", "the station stays busy")]


@pytest.mark.parametrize(
    ("kind", "code"), [(FrameKind.DM, "disconnected"), (FrameKind.FRMR, "rejected")]
)
def test_link_ended_by_the_server(kind: FrameKind, code: str) -> None:
    bench = Bench().asked()
    bench.give(kind, b"\x10\x00\x01" if kind is FrameKind.FRMR else b"")
    (event,) = bench.events()
    assert isinstance(event, LinkDown)
    assert event.code == code
    bench.connected()


@pytest.mark.parametrize(
    ("info", "numbers"),
    [
        (LLC + b"x", {"nr": 3}),  # acknowledges what was not sent
        (b"\xe6\xe6\x00x", {"nr": 1}),  # a command's LLC header
        (b"E", {"nr": 1}),
        (b"", {"nr": 1}),
    ],
)
def test_breaches(info: bytes, numbers: dict[str, int]) -> None:
    bench = Bench().asked()
    bench.give(FrameKind.I, info, **numbers)
    (event,) = bench.events()
    assert isinstance(event, LinkDown)
    assert event.code == "protocol"


def test_endless_apdu() -> None:
    bench = Bench(max_info_rx=2030).asked()
    for number in range(40):
        bench.give(FrameKind.I, LLC + bytes(2000), ns=number % 8, nr=1, more=1)
    (event,) = bench.events()
    assert isinstance(event, LinkDown)
    assert "65536" in event.message


def test_endless_apdus() -> None:
    bench = Bench().asked()
    for number in range(20):
        bench.give(FrameKind.I, LLC + b"x", ns=number % 8, nr=1, final=0)
    (event,) = bench.events()
    assert isinstance(event, LinkDown)
    assert event.code == "protocol"


def test_endless_noise_does_not_hold_the_line() -> None:
    bench = Bench(retries=0).asked()
    start = b"\x7e\xa7"  # looks like a frame's begin
    while not bench.events():
        bench.link.receive_data(start, now=bench.now)
        bench.now += 1.0
        bench.link.handle_timer(now=bench.now)
        assert bench.now < 40
    assert bench.now == pytest.approx(30.0)


def test_slow_answer_is_waited_for() -> None:
    bench = Bench(retries=0).asked()
    raw = Frame(CLIENT, SERVER, Control.of(FrameKind.I, nr=1), LLC + b"slow").encode()
    for octet in raw:
        bench.now += 1.0
        bench.link.handle_timer(now=bench.now)
        bench.link.receive_data(bytes((octet,)), now=bench.now)
    assert bench.events() == [ApduReceived(b"slow")]


def test_unconfirmed_from_the_server() -> None:
    bench = Bench().asked()
    bench.give(FrameKind.UI, LLC + b"event", final=0)
    bench.give(FrameKind.UI, b"nonsense", final=0)
    assert bench.events() == [ApduReceived(b"event")]
    assert bench.link.counters.errors == 1
    bench.give(FrameKind.I, LLC + b"answer", nr=1)
    assert bench.events() == [ApduReceived(b"answer")]


def test_frames_of_others_are_ignored() -> None:
    bench = Bench()
    bench.link.connect(now=0)
    for destination, source in (
        (HdlcAddress(17), SERVER),
        (CLIENT, HdlcAddress(1, 18, 2)),
        (SERVER, CLIENT),
    ):
        bench.link.receive_data(Frame(destination, source, Control(0x73)).encode(), now=0)
    assert bench.events() == []
    assert bench.link.counters.received == 3


def test_end_of_the_stream() -> None:
    bench = Bench().connected()
    bench.link.receive_eof(now=0)
    bench.link.receive_eof(now=0)
    assert bench.events() == [LinkDown("closed", "the line was closed")]
    assert bench.link.next_timer() is None
    bench.link.handle_timer(now=100)


def test_early_timer_does_nothing() -> None:
    bench = Bench().asked()
    bench.link.handle_timer(now=1.0)
    assert bench.taken() == []
