"""What gurux-dlms writes we read, decipher and write the same; what we write it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from openami.dlms import data as d
from openami.dlms.apdu import Apdu, decode_apdu
from openami.dlms.apdu.acse import Aarq, ApplicationContext, Mechanism
from openami.dlms.apdu.action import ActionRequestNormal
from openami.dlms.apdu.ciphered import CipheredApdu
from openami.dlms.apdu.get import GetRequestNormal
from openami.dlms.apdu.initiate import InitiateRequest
from openami.dlms.apdu.set import SetRequestNormal
from openami.dlms.conformance import Conformance
from openami.dlms.data import decode_data
from openami.dlms.references import EntrySelection, RangeSelection
from openami.dlms.security import Keys, unprotect
from openami.dlms.wrapper import Packet

pytestmark = pytest.mark.peer

PEER: Final = Path(__file__).with_name("gurux_codec.py")
PEER_TIMEOUT_S: Final = 120.0
PROFILE: Final = "1.0.99.1.0.255"
GUEK, GAK = bytes(range(16)), bytes(range(0xD0, 0xE0))
KEYS: Final = Keys(guek=GUEK, gak=GAK)
TITLE: Final = b"MMM12345"
DATA: Final = (
    d.null(),
    d.boolean(True),
    d.i8(-5),
    d.i16(-500),
    d.i32(-50000),
    d.i64(-5_000_000_000),
    d.u8(200),
    d.u16(60000),
    d.u32(4_000_000_000),
    d.u64(2**63),
    d.f32(1.5),
    d.f64(3.25),
    d.octets(b"\x01\xff"),
    d.octets(bytes(300)),
    d.visible("Hello"),
    d.utf8("Hello"),
    d.bits("1010010111100001"),  # the peer forgets unused bits when it writes
    d.array(d.u8(1), d.u8(2)),
    d.structure(d.u32(7), d.array(d.i16(-1)), d.visible("x")),
)


@pytest.fixture(scope="module")
def peer() -> Any:
    """Return all that the peer says, in one run of its process."""
    plan = {
        "title": TITLE.hex(),
        "guek": GUEK.hex(),
        "gak": GAK.hex(),
        "profile": PROFILE,
        "data": [data.encode().hex() for data in DATA],
    }
    done = subprocess.run(
        [sys.executable, str(PEER)],
        input=json.dumps(plan).encode(),
        capture_output=True,
        timeout=PEER_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def only(peer: Any, name: str) -> Apdu:
    """Return the APDU of the one packet, which must encode to itself."""
    (message,) = peer["messages"][name]
    octets = Packet.decode(bytes.fromhex(message)).apdu
    apdu = decode_apdu(octets)
    assert apdu.encode() == octets
    return apdu


def test_association_requests(peer: Any) -> None:
    plain = only(peer, "plain")
    assert isinstance(plain, Aarq)
    assert (plain.mechanism, plain.context) == (None, ApplicationContext.LN)
    low = only(peer, "low")
    assert isinstance(low, Aarq)
    assert (low.mechanism, low.authentication) == (Mechanism.LLS, b"12345678")
    assert low.user_information is not None
    initiate = decode_apdu(low.user_information)
    assert isinstance(initiate, InitiateRequest)
    assert Conformance.GET in initiate.conformance


def test_a_ciphered_association_request(peer: Any) -> None:
    apdu = only(peer, "ciphered")
    assert isinstance(apdu, Aarq)
    assert (apdu.title, apdu.mechanism) == (TITLE, Mechanism.HLS_GMAC)
    assert apdu.context is ApplicationContext.LN_CIPHERED
    assert apdu.user_information is not None
    ciphered = decode_apdu(apdu.user_information)
    assert isinstance(ciphered, CipheredApdu)
    initiate = decode_apdu(unprotect(ciphered, KEYS, title=TITLE).apdu)
    assert isinstance(initiate, InitiateRequest)


def test_requests(peer: Any) -> None:
    whole = only(peer, "whole")
    assert isinstance(whole, GetRequestNormal)
    assert str(whole.ref) == f"7/{PROFILE}/2"
    entries = only(peer, "entries")
    assert isinstance(entries, GetRequestNormal)
    assert isinstance(entries.selection, EntrySelection)
    assert entries.selection.first == 3
    rows = only(peer, "rows")
    assert isinstance(rows, GetRequestNormal)
    assert isinstance(rows.selection, RangeSelection)
    assert rows.selection.start.datetime().year == 2024
    reset = only(peer, "reset")
    assert isinstance(reset, ActionRequestNormal)
    assert reset.parameters == d.i8(0)
    written = only(peer, "written")
    assert isinstance(written, SetRequestNormal)
    assert written.value == d.u32(5)


@pytest.mark.parametrize("number", range(len(DATA)), ids=[data.type.name for data in DATA])
def test_data_is_read_by_the_peer(peer: Any, number: int) -> None:
    """And what the peer writes of it again, where it keeps the type, is ours."""
    data, found = DATA[number], peer["data"][number]
    assert ours(found["value"]) == data.native()
    if not isinstance(data.value, tuple):
        assert decode_data(bytes.fromhex(found["written"])) == data


def ours(value: Any) -> Any:
    """Return what the peer read in our terms."""
    if isinstance(value, list):
        return [ours(item) for item in value]
    return bytes.fromhex(value["octets"]) if isinstance(value, dict) else value
