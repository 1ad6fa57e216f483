"""Addresses, frames and parameters of HDLC, and frames out of a stream."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.dlms.hdlc import Control, Frame, FrameKind, FrameReader, HdlcAddress, Limits
from openami.dlms.hdlc.parameters import HdlcParameters
from openami.wire.reader import Reader

VECTORS = Path(__file__).parent.parent / "vectors" / "han_frames.txt.gz"
HAN = [
    bytes.fromhex(line.split()[1])
    for line in gzip.decompress(VECTORS.read_bytes()).decode().splitlines()
]

addresses = st.one_of(
    st.builds(HdlcAddress, st.integers(0, 0x7F)),
    st.builds(HdlcAddress, st.integers(0, 0x7F), st.integers(0, 0x7F), st.just(2)),
    st.builds(HdlcAddress, st.integers(0, 0x3FFF), st.integers(0, 0x3FFF), st.just(4)),
)
frames = st.builds(
    Frame,
    destination=addresses,
    source=addresses,
    control=st.builds(Control, st.integers(0, 255)),
    info=st.one_of(
        st.binary(max_size=40), st.binary(min_size=250, max_size=2030), st.just(b"\x7e" * 9)
    ),
    segmented=st.booleans(),
)

# IEC 62056-46 6.4.2.3's example, and the forms between.
ADDRESSES = {
    "48 68 FE FF": HdlcAddress(0x1234, 0x3FFF, 4),
    "75": HdlcAddress(0x3A),
    "02 23": HdlcAddress(1, 0x11, 2),
    "00 02 00 23": HdlcAddress(1, 0x11, 4),
    "FF": HdlcAddress(0x7F),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_address_both_ways(text: str) -> None:
    raw = bytes.fromhex(text)
    assert HdlcAddress.decode(Reader(raw)) == ADDRESSES[text]
    assert ADDRESSES[text].encode() == raw
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            HdlcAddress.decode(Reader(raw[:size]))


@pytest.mark.parametrize("text", ["00 00 03", "02 02 02 02 03", "00 00 00 00"])
def test_address_of_other_sizes(text: str) -> None:
    with pytest.raises(DecodeError):
        HdlcAddress.decode(Reader(bytes.fromhex(text)))


@pytest.mark.parametrize(
    "parts",
    [
        (0x80, None, 1),
        (1, 1, 1),
        (1, None, 2),
        (0x80, 1, 2),
        (1, 0x4000, 4),
        (1, 1, 3),
        (-1, None, 1),
    ],
)
def test_address_that_does_not_fit(parts: tuple[int, int | None, int]) -> None:
    with pytest.raises(ValueError, match="HDLC address"):
        HdlcAddress(*parts)


def test_address_forms() -> None:
    assert HdlcAddress.server(1) == HdlcAddress(1)
    assert HdlcAddress.server(1, 17) == HdlcAddress(1, 17, 2)
    assert HdlcAddress.server(1, 200) == HdlcAddress(1, 200, 4)
    assert HdlcAddress.server(1, 17, size=4) == HdlcAddress(1, 17, 4)
    assert HdlcAddress(1, 0x3FFF, 4).is_broadcast
    assert HdlcAddress(0x7F, 1, 2).is_broadcast
    assert not HdlcAddress(0x7F, 1, 4).is_broadcast
    assert HdlcAddress(1, 1, 2).calling == 0x7E
    assert HdlcAddress(1, 1, 4).calling == 0x3FFE


# Control octets as the facts of the standard give them.
CONTROLS = {
    0x93: (FrameKind.SNRM, True, 0, 0),
    0x73: (FrameKind.UA, True, 0, 0),
    0x53: (FrameKind.DISC, True, 0, 0),
    0x1F: (FrameKind.DM, True, 0, 0),
    0x97: (FrameKind.FRMR, True, 0, 0),
    0x13: (FrameKind.UI, True, 0, 0),
    0x03: (FrameKind.UI, False, 0, 0),
    0x10: (FrameKind.I, True, 0, 0),
    0x54: (FrameKind.I, True, 2, 2),
    0xEE: (FrameKind.I, False, 7, 7),
    0x31: (FrameKind.RR, True, 0, 1),
    0xE5: (FrameKind.RNR, False, 0, 7),
}


@pytest.mark.parametrize("octet", CONTROLS)
def test_control_both_ways(octet: int) -> None:
    kind, final, ns, nr = CONTROLS[octet]
    control = Control(octet)
    assert (control.kind, control.final) == (kind, final)
    assert Control.of(kind, final=final, ns=ns, nr=nr) == control
    if kind is FrameKind.I:
        assert (control.ns, control.nr) == (ns, nr)


@pytest.mark.parametrize("octet", [0x09, 0x0D, 0x7F, 0xEF])
def test_unknown_control(octet: int) -> None:
    assert Control(octet).kind is FrameKind.UNKNOWN


def test_snrm_vector() -> None:
    raw = bytes.fromhex("7EA00802232193F3DB7E")  # to station 17, from client 16
    head = raw[1:-3]
    frame = Frame(HdlcAddress(1, 17, 2), HdlcAddress(16), Control.of(FrameKind.SNRM))
    assert frame.encode()[1:-3] == head
    assert Frame.decode(frame.encode()) == frame


@pytest.mark.parametrize("index", range(0, len(HAN), 97))
def test_truncated_telegrams(index: int) -> None:
    raw = HAN[index]
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            Frame.decode(raw[:size])


def test_real_telegrams_both_ways() -> None:
    assert len(HAN) == 600
    for raw in HAN:
        frame = Frame.decode(raw)
        assert frame.encode() == raw
        assert frame.info.startswith(bytes.fromhex("E6E7000F"))
        assert frame.destination.size == 1


def test_real_telegrams_as_a_stream() -> None:
    stream = b"".join(HAN)
    reader = FrameReader()
    found = [frame for octet in stream for frame in reader.feed(bytes((octet,)))]
    assert found == [Frame.decode(raw) for raw in HAN]
    assert (reader.frames, reader.errors) == (600, 0)


@given(frames)
@settings(max_examples=200)
def test_frame_both_ways(frame: Frame) -> None:
    raw = frame.encode()
    assert Frame.decode(raw) == frame
    assert FrameReader().feed(raw) == [frame]


@given(frames, st.data())
@settings(max_examples=100)
def test_mutated_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(frame.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecodeError):
        Frame.decode(bytes(raw))


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_noise_decodes_or_raises(noise: bytes) -> None:
    reader = FrameReader()
    reader.feed(noise)
    try:
        frame = Frame.decode(noise)
    except DecodeError:
        return
    assert frame.encode() == noise


def test_frame_too_long() -> None:
    frame = Frame(HdlcAddress(1), HdlcAddress(16), Control.of(FrameKind.UI), bytes(2047))
    with pytest.raises(ValueError, match="longer than 2047"):
        frame.encode()


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ("7EB0070321930F017E", "format type"),
        ("7EA0060321930F7E", "7 octets at least"),
        ("7EA00A0321930000000000007E", "octets between"),
        ("7EA0090321930000000000", "information after the HCS"),
        ("7EA007032193000000", "FCS"),
        ("FFA007032193000000", "opening flag"),
    ],
)
def test_refused_frames(raw: str, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        Frame.decode(bytes.fromhex(raw))


def frame_of(info: bytes) -> Frame:
    return Frame(HdlcAddress(16), HdlcAddress(1, 17, 4), Control.of(FrameKind.I), info)


@given(
    st.lists(
        st.tuples(st.binary(max_size=30).filter(lambda noise: b"\x7e" not in noise), frames),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(1, 50), max_size=30),
)
@settings(max_examples=150)
def test_frames_among_noise_in_any_slices(
    parts: list[tuple[bytes, Frame]], cuts: list[int]
) -> None:
    stream = b"".join(noise + frame.encode() for noise, frame in parts)
    reader = FrameReader()
    found: list[Frame] = []
    start = 0
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[start : start + cut])
        start += cut
    found += reader.feed(stream[start:])
    assert found == [frame for _, frame in parts]
    assert not reader.pending


def test_shared_flag() -> None:
    first, second = frame_of(b"one").encode(), frame_of(b"two\x7e").encode()
    assert FrameReader().feed(first + second[1:]) == [frame_of(b"one"), frame_of(b"two\x7e")]


def test_wrong_header_is_skipped_before_its_length_is_there() -> None:
    good = frame_of(b"good")
    broken = bytearray(frame_of(bytes(2000)).encode()[:40])
    broken[9] ^= 1
    reader = FrameReader()
    assert reader.feed(bytes(broken) + good.encode()) == [good]
    assert reader.errors >= 1


def test_length_that_lies_costs_at_most_one_frame() -> None:
    good = frame_of(b"good")
    cut = frame_of(bytes(100)).encode()[:60]  # its header is right, its end never comes
    reader = FrameReader()
    found = reader.feed(cut)
    for _ in range(8):
        found += reader.feed(good.encode())
    assert found == [good] * 8


def test_reader_keeps_one_frame_at_most() -> None:
    reader = FrameReader()
    for _ in range(200):
        reader.feed(b"\x7e\xa7\xff" + bytes(997))
        assert len(reader._buffer) <= 2049


def test_reset_forgets_a_frame_begun() -> None:
    reader = FrameReader()
    raw = frame_of(b"late").encode()
    reader.feed(raw[:10])
    begun = reader.pending
    reader.reset()
    assert (begun, reader.pending, reader.errors) == (True, False, 1)
    assert reader.feed(raw) == [frame_of(b"late")]


LIMITS = {
    "818012 050180 060180 070400000001 080400000001": Limits(128, 128, 1, 1),
    "818014 050207EE 060207EE 070400000007 080400000003": Limits(2030, 2030, 7, 3),
}


@pytest.mark.parametrize("text", LIMITS)
def test_limits_both_ways(text: str) -> None:
    raw = bytes.fromhex(text)
    assert Limits.decode(raw) == LIMITS[text]
    assert LIMITS[text].encode() == raw
    for size in range(1, len(raw)):
        with pytest.raises(DecodeError):
            Limits.decode(raw[:size])


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", Limits()),
        ("8180 03 050140", Limits(info_tx=64)),
        ("8180 06 050400000040", Limits(info_tx=64)),
        ("8180 0A 070105 080109 9901AA 00", None),
        ("8180 0B 070105 080109 990155 0400", Limits(window_tx=5, window_rx=7)),
        ("8180 03 050140 F0 02 0102", Limits(info_tx=64)),
        ("8180 04 0502FFFF", Limits(info_tx=2030)),
        ("8180 03 050100", None),
        ("8180 05 0503000001", None),
        ("8280 00", None),
    ],
)
def test_odd_limits(text: str, limits: Limits | None) -> None:
    if limits is None:
        with pytest.raises(DecodeError):
            Limits.decode(bytes.fromhex(text))
    else:
        assert Limits.decode(bytes.fromhex(text)) == limits


def test_smaller_limits_win_crosswise() -> None:
    ours = Limits(info_tx=512, info_rx=100, window_tx=7, window_rx=2)
    theirs = Limits(info_tx=90, info_rx=300, window_tx=1, window_rx=3)
    assert ours.agreed_with(theirs) == Limits(300, 90, 3, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_info_tx": 7},
        {"max_info_rx": 2031},
        {"window_tx": 0},
        {"window_rx": 8},
        {"retries": -1},
        {"response_timeout": 0.0},
        {"inactivity_timeout": -1.0},
    ],
)
def test_parameters_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        HdlcParameters(**wrong)
