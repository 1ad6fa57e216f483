"""HDLC client and stations back to back on a line with faults, in virtual time."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.hdlc_line import Fault, Kind, Line

from openami.core.errors import LocalProtocolError
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters, HdlcServerLink
from openami.dlms.link import (
    ApduReceived,
    LinkDown,
    LinkUp,
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
)

STATION = 17
CODES = {"timeout", "disconnected", "refused"}


def apdu_of(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size)


def line_of(
    parameters: HdlcParameters | None = None,
    station_parameters: HdlcParameters | None = None,
    *,
    answer_size: int | None = None,
    faults: list[Fault] | None = None,
    delays: list[float] | None = None,
) -> Line:
    def answer(apdu: bytes) -> bytes:
        size = len(apdu) if answer_size is None else answer_size
        return hashlib.shake_128(apdu).digest(size)

    client = HdlcClientLink(16, HdlcAddress(1, STATION, 4), parameters)
    station = HdlcServerLink(STATION, (1,), station_parameters or parameters)
    return Line(client, [station], answer=answer, faults=faults or [], delays=delays or [])


@pytest.mark.parametrize("info", [128, 2030])
@pytest.mark.parametrize("window", range(1, 8))
def test_long_apdus_both_ways(window: int, info: int) -> None:
    parameters = HdlcParameters(info, info, window, window)
    line = line_of(parameters, answer_size=10_000)
    assert line.connect() == LinkUp(65536)
    for turn in range(3):
        apdu = apdu_of(10_000 - turn, turn)
        assert line.ask(apdu) == ApduReceived(line.application.answer(apdu))
        assert line.application.received[-1] == apdu
    assert line.client.counters.repeats == 0
    assert line.client.counters.errors == 0
    frames = [len(piece) for piece in line.wire]
    assert max(frames) <= info + 15


@pytest.mark.parametrize("sizes", [(128, 512, 7, 1), (2030, 60, 2, 6)])
def test_ends_with_different_limits(sizes: tuple[int, int, int, int]) -> None:
    line = line_of(HdlcParameters(*sizes), HdlcParameters(300, 200, 3, 5), answer_size=3000)
    line.connect()
    assert line.client.limits.info_tx == min(sizes[0], 200)
    assert line.client.limits.info_rx == min(sizes[1], 300)
    assert line.client.limits.window_tx == min(sizes[2], 5)
    assert line.client.limits.window_rx == min(sizes[3], 3)
    apdu = apdu_of(3000)
    assert line.ask(apdu) == ApduReceived(line.application.answer(apdu))


def test_release() -> None:
    line = line_of()
    line.connect()
    line.client.disconnect(now=line.now)
    assert line.next_event() == LinkDown("disconnected")
    peer = Peer(16, 1)
    assert line.application.events == [PeerConnected(peer), PeerDisconnected(peer, "disconnected")]
    assert line.connect() == LinkUp(65536)


def test_late_application() -> None:
    """An answer that comes before the timeout uses the P; one after it is fetched by RR."""
    for delay in (1.0, 4.0, 20.0):
        line = line_of(delays=[delay])
        line.connect()
        assert line.ask(b"now?") == ApduReceived(line.application.answer(b"now?"))
        assert line.now == pytest.approx(delay, abs=0.2)
        assert line.ask(b"again") == ApduReceived(line.application.answer(b"again"))
        assert line.application.received == [b"now?", b"again"]


def test_application_that_never_answers() -> None:
    parameters = HdlcParameters(busy_timeout=10.0)
    line = line_of(parameters, delays=[1000.0])
    line.connect()
    assert line.ask(b"anybody?") == LinkDown("timeout", "the station stays busy")
    assert line.now < 20


def test_nobody_there() -> None:
    line = Line(HdlcClientLink(16, HdlcAddress(1, 99, 2)), [HdlcServerLink(STATION)])
    event = line.connect()
    assert isinstance(event, LinkDown)
    assert event.code == "timeout"
    assert len(line.wire) == 4


def test_many_stations() -> None:
    stations = [HdlcServerLink(number, (1, 2)) for number in (16, 17, 0x3FFD)]
    for number in (16, 17, 0x3FFD):
        line = Line(HdlcClientLink(1, HdlcAddress(2, number, 4)), stations)
        line.connect()
        assert line.ask(b"you") == ApduReceived(b"uoy")
        heard = [application.received for application in line.applications]
        assert heard.count([b"you"]) == 1
        assert heard.count([]) == 2


def test_many_clients() -> None:
    station = HdlcServerLink(STATION, (1,))
    lines = [Line(HdlcClientLink(sap, HdlcAddress(1, STATION, 2)), [station]) for sap in (1, 2, 16)]
    for line in lines:
        assert line.connect() == LinkUp(65536)
    for turn in range(4):
        for number, line in enumerate(lines):
            assert line.ask(bytes((turn, number))) == ApduReceived(bytes((number, turn)))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_address_forms(size: int) -> None:
    address = HdlcAddress(1, None if size == 1 else STATION, size)
    line = Line(HdlcClientLink(16, address), [HdlcServerLink(STATION, alone=True)])
    assert line.connect() == LinkUp(65536)
    assert line.ask(b"ab") == ApduReceived(b"ba")


def test_broadcast_reaches_every_station() -> None:
    stations = [HdlcServerLink(number, (1, 2)) for number in (16, 17)]
    line = Line(HdlcClientLink(1, HdlcAddress(0x3FFF, 0x3FFF, 4)), stations)
    line.client.send_unconfirmed(b"set the clock")
    line.until(wanted=lambda: all(application.events for application in line.applications))
    for application in line.applications:
        assert application.events == [
            PeerApduReceived(Peer(1, device), b"set the clock", broadcast=True) for device in (1, 2)
        ]
    assert len(line.wire) == 1


def test_unconfirmed_must_fit_and_find_the_line_free() -> None:
    line = line_of(delays=[1.0])
    with pytest.raises(LocalProtocolError):
        line.client.send_unconfirmed(bytes(126))
    line.connect()
    line.client.send(b"question", now=0)
    with pytest.raises(LocalProtocolError):
        line.client.send_unconfirmed(b"x")


def test_both_ends_notice_silence() -> None:
    line = line_of(HdlcParameters(inactivity_timeout=30.0))
    line.connect()
    line.ask(b"x")
    event = line.next_event()
    assert isinstance(event, LinkDown)
    assert event.code == "inactivity"
    line.until(wanted=lambda: len(line.application.events) == 3)
    assert line.application.events[-1] == PeerDisconnected(Peer(16, 1), "inactivity")
    assert line.now == pytest.approx(30.0)


def test_no_inactivity_timeout() -> None:
    line = line_of(HdlcParameters(inactivity_timeout=0.0))
    line.connect()
    assert line.client.next_timer() is None
    assert line.stations[0].next_timer() is None
    line.stations[0].handle_timer(now=1e9)
    assert line.ask(b"x") == ApduReceived(line.application.answer(b"x"))


def test_station_forgot_the_link() -> None:
    line = line_of()
    line.connect()
    line.stations[0].receive_eof(now=0)
    event = line.ask(b"x")
    assert isinstance(event, LinkDown)
    assert event.code == "disconnected"
    assert line.application.events[1] == PeerDisconnected(Peer(16, 1), "closed")


@pytest.mark.parametrize("lost", range(1, 16))
def test_any_one_frame_lost(lost: int) -> None:
    """SNRM, UA, any I frame, the final one, RR: whatever is lost once, the answer comes."""
    for kind in (Kind.DROP, Kind.FLIP, Kind.TWICE, Kind.CUT):
        faults = [Fault(Kind.PASS)] * (lost - 1) + [Fault(kind, at=9)]
        parameters = HdlcParameters(64, 64, 3, 3)
        line = line_of(parameters, faults=faults)
        assert line.connect() == LinkUp(65536)
        for turn in range(2):
            apdu = apdu_of(300, turn)
            assert line.ask(apdu) == ApduReceived(line.application.answer(apdu))
        assert line.application.received == [apdu_of(300, 0), apdu_of(300, 1)]


def test_line_that_dies() -> None:
    line = line_of(faults=[Fault(Kind.PASS)] * 3 + [Fault(Kind.DROP)] * 1000)
    line.connect()
    event = line.ask(b"x")
    assert event == LinkDown("timeout", "the station does not answer")
    assert line.now == pytest.approx(12.0)
    line.client.connect(now=line.now)
    assert line.next_event() == LinkDown("timeout", "the station does not answer SNRM")
    line.client.disconnect(now=line.now)
    assert line.next_event() == LinkDown("disconnected")


def test_release_that_nobody_answers() -> None:
    line = line_of(faults=[Fault(Kind.PASS)] * 2 + [Fault(Kind.DROP)] * 1000)
    line.connect()
    line.client.disconnect(now=line.now)
    line.client.disconnect(now=line.now)
    assert line.next_event() == LinkDown("timeout", "the station does not answer DISC")


faults = st.one_of(
    st.just(Fault(Kind.PASS)),
    st.builds(Fault, st.sampled_from(list(Kind)), st.integers(0, 5000), st.binary(max_size=20)),
)
delays = st.sampled_from([0.0, 0.0, 0.1, 2.0, 3.5, 8.0])


@given(
    script=st.lists(faults, max_size=60),
    late=st.lists(delays, max_size=4),
    windows=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    sizes=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 2)), min_size=1, max_size=5),
    answer_size=st.sampled_from([None, 1, 500]),
)
@example(
    script=[Fault(Kind.PASS)] * 2 + [Fault(Kind.TWICE)] * 40,
    late=[3.5, 3.5],
    windows=(1, 1),
    sizes=[(100, 0)] * 4,
    answer_size=None,
)
@settings(max_examples=300, deadline=None)
def test_right_answer_or_link_down(
    script: list[Fault],
    late: list[float],
    windows: tuple[int, int],
    sizes: list[tuple[int, int]],
    answer_size: int | None,
) -> None:
    """Whatever the line does, an answer is the right one, comes once, and nothing hangs."""
    parameters = HdlcParameters(40, 40, *windows)
    line = line_of(parameters, answer_size=answer_size, faults=script, delays=late)
    asked: list[bytes] = []
    up = False
    for size, seed in sizes:
        if not up:
            event = line.connect()
            up = isinstance(event, LinkUp)
        if not up:
            assert isinstance(event, LinkDown)
            continue
        apdu = len(asked).to_bytes(1, "big") + apdu_of(size, seed)
        asked.append(apdu)
        event = line.ask(apdu)
        if isinstance(event, LinkDown):
            assert event.code in CODES
            up = False
        else:
            assert event == ApduReceived(line.application.answer(apdu))
    assert line.now < 400
    assert not line.events
    received = line.application.received
    assert received == [apdu for apdu in asked if apdu in received]  # in order, each once


def test_faults_over_with_the_link_up_leave_no_trace() -> None:
    """Echoes of an exchange with early timeouts don't outlive the next one."""
    line = line_of(delays=[3.5, 0.0, 0.0, 0.0])
    line.connect()
    for turn in range(4):
        apdu = apdu_of(20, turn)
        assert line.ask(apdu) == ApduReceived(line.application.answer(apdu))
    wire = len(line.wire)
    line.ask(b"x")
    assert len(line.wire) == wire + 2
