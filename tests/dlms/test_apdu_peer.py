"""What gurux-dlms writes we read, decipher and write the same; what we write it reads."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

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
from openami.dlms.data import Data, decode_data
from openami.dlms.references import EntrySelection, RangeSelection
from openami.dlms.security import Keys, unprotect
from openami.dlms.wrapper import Packet

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.peer

gurux = pytest.importorskip("gurux_dlms")

PROFILE = "1.0.99.1.0.255"
KEYS = Keys(guek=bytes(range(16)), gak=bytes(range(0xD0, 0xE0)))
TITLE = b"MMM12345"


def client(authentication: str = "NONE", password: str | None = None) -> Any:
    from gurux_dlms.enums import Authentication, InterfaceType

    return gurux.GXDLMSClient(
        True, 16, 1, getattr(Authentication, authentication), password, InterfaceType.WRAPPER
    )


def secure_client() -> Any:
    from gurux_dlms.enums import Authentication, InterfaceType, Security
    from gurux_dlms.secure import GXDLMSSecureClient

    peer = GXDLMSSecureClient(True, 1, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER)
    peer.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    peer.ciphering.systemTitle = TITLE
    peer.ciphering.blockCipherKey = KEYS.guek
    peer.ciphering.authenticationKey = KEYS.gak
    return peer


def only(messages: Iterable[bytes]) -> Apdu:
    """Return the APDU of the one packet, which must encode to itself."""
    (message,) = messages
    octets = Packet.decode(bytes(message)).apdu
    apdu = decode_apdu(octets)
    assert apdu.encode() == octets
    return apdu


def test_association_requests() -> None:
    plain = only(client().aarqRequest())
    assert isinstance(plain, Aarq)
    assert (plain.mechanism, plain.context) == (None, ApplicationContext.LN)
    low = only(client("LOW", "12345678").aarqRequest())
    assert isinstance(low, Aarq)
    assert (low.mechanism, low.authentication) == (Mechanism.LLS, b"12345678")
    assert low.user_information is not None
    initiate = decode_apdu(low.user_information)
    assert isinstance(initiate, InitiateRequest)
    assert Conformance.GET in initiate.conformance


def test_a_ciphered_association_request() -> None:
    apdu = only(secure_client().aarqRequest())
    assert isinstance(apdu, Aarq)
    assert (apdu.title, apdu.mechanism) == (TITLE, Mechanism.HLS_GMAC)
    assert apdu.context is ApplicationContext.LN_CIPHERED
    assert apdu.user_information is not None
    ciphered = decode_apdu(apdu.user_information)
    assert isinstance(ciphered, CipheredApdu)
    initiate = decode_apdu(unprotect(ciphered, KEYS, title=TITLE).apdu)
    assert isinstance(initiate, InitiateRequest)


def test_requests() -> None:
    from gurux_dlms.enums import DataType
    from gurux_dlms.objects import GXDLMSProfileGeneric, GXDLMSRegister

    peer, profile = client(), GXDLMSProfileGeneric(PROFILE)
    whole = only(peer.read(profile, 2))
    assert isinstance(whole, GetRequestNormal)
    assert str(whole.ref) == f"7/{PROFILE}/2"
    entries = only(peer.readRowsByEntry(profile, 3, 10))
    assert isinstance(entries, GetRequestNormal)
    assert isinstance(entries.selection, EntrySelection)
    assert entries.selection.first == 3
    rows = only(peer.readRowsByRange(profile, datetime(2024, 1, 1), datetime(2024, 1, 2)))  # noqa: DTZ001 - the peer wants local times
    assert isinstance(rows, GetRequestNormal)
    assert isinstance(rows.selection, RangeSelection)
    assert rows.selection.start.datetime().year == 2024
    reset = only(peer.method(profile, 1, 0, DataType.INT8))
    assert isinstance(reset, ActionRequestNormal)
    assert reset.parameters == d.i8(0)
    register = GXDLMSRegister("1.0.1.8.0.255")
    register.value = 5
    register.setDataType(2, DataType.UINT32)
    written = only(peer.write(register, 2))
    assert isinstance(written, SetRequestNormal)
    assert written.value == d.u32(5)


@pytest.mark.parametrize(
    "data",
    [
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
    ],
    ids=lambda data: data.type.name,
)
def test_data_is_read_by_the_peer(data: Data) -> None:
    """And what the peer writes of it again, where it keeps the type, is ours."""
    from gurux_dlms import GXByteBuffer
    from gurux_dlms.internal._GXCommon import _GXCommon
    from gurux_dlms.internal._GXDataInfo import _GXDataInfo

    found = _GXCommon.getData(None, GXByteBuffer(data.encode()), _GXDataInfo())
    assert plain(found) == data.native()
    if not isinstance(data.value, tuple):
        buffer = GXByteBuffer()
        _GXCommon.setData(None, buffer, data.type, found)
        assert decode_data(bytes(buffer.array())) == data


def plain(value: Any) -> Any:
    """Return what the peer read in our terms."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytearray):
        return bytes(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):  # the peer has its own classes of numbers below these
            return kind(value)
    return None if value is None else str(value)
