"""APDUs: vectors both ways, and what decoding refuses."""

from __future__ import annotations

import pytest
from tests.support.vectors import Case, fields_of, load, named, notifications

from openami.core.errors import DecodeError
from openami.dlms import data as d
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.acse import Aare, Aarq, Mechanism, Rlrq
from openami.dlms.apdu.action import (
    ActionOutcome,
    ActionRequestNormal,
    decode_outcomes,
    encode_outcomes,
)
from openami.dlms.apdu.ciphered import CipheredApdu, Form, ciphered_tag
from openami.dlms.apdu.common import invoke_octet
from openami.dlms.apdu.get import (
    GetRequestNormal,
    GetResponseBlock,
    GetResponseNormal,
    decode_get_response,
    decode_results,
    encode_results,
)
from openami.dlms.apdu.initiate import ConfirmedServiceError, InitiateError, InitiateRequest
from openami.dlms.apdu.notification import DataNotification
from openami.dlms.apdu.set import SetRequestNormal, decode_values, encode_values
from openami.dlms.conformance import Conformance
from openami.dlms.data import RawData
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import (
    CLOCK,
    AttributeRef,
    EntrySelection,
    MethodRef,
    OtherSelection,
    RangeSelection,
    obis_of,
)
from openami.dlms.results import ActionResult, DataAccessResult, result_name

CASES = load("apdu")


@pytest.mark.parametrize("case", CASES, ids=named)
def test_vector_both_ways(case: Case) -> None:
    """Octets decode to the stated fields and encode back to themselves."""
    apdu = decode_apdu(case.raw)
    assert fields_of(apdu) == case.fields
    assert apdu.encode() == case.raw


@pytest.mark.parametrize("case", CASES, ids=named)
def test_every_truncation_is_refused(case: Case) -> None:
    """No APDU is the beginning of another, and no decoder reads past its octets."""
    for size in range(len(case.raw)):
        with pytest.raises(DecodeError) as caught:
            decode_apdu(case.raw[:size])
        assert 0 <= caught.value.offset <= size


@pytest.mark.parametrize("case", CASES, ids=named)
def test_one_octet_more_is_refused(case: Case) -> None:
    with pytest.raises(DecodeError, match="octets too many"):
        decode_apdu(case.raw + b"\x00")


def test_a_slice_of_a_larger_buffer_will_do() -> None:
    case = CASES[0]
    assert decode_apdu(memoryview(b"\xff" + case.raw)[1:]) == decode_apdu(case.raw)


def test_real_telegrams_decode_and_encode_to_themselves() -> None:
    """All 600 that Kaifa and Kamstrup meters pushed, with their form of the date-time."""
    for octets in notifications():
        apdu = decode_apdu(octets)
        assert isinstance(apdu, DataNotification)
        assert apdu.time is not None
        assert apdu.time.timestamp(0) > 1.5e9
        assert apdu.encode() == octets
        assert apdu.tagged_time


def test_our_own_notifications_have_the_form_of_the_standard() -> None:
    """The quirk is kept, but not compared and never begun."""
    ours = DataNotification(1, CosemDateTime.from_utc(0), d.null())
    assert ours.encode()[5] == 0x0C
    quirky = decode_apdu(ours.encode()[:5] + b"\x09" + ours.encode()[5:])
    assert quirky == ours
    assert quirky.encode() != ours.encode()


@pytest.mark.parametrize(
    ("octets", "message", "offset"),
    [
        ("", "1 octet wanted", 0),
        ("D9 00", "no APDU begins with D9", 0),
        ("00", "no APDU begins with 00", 0),
        ("C0 04 C1", "get-request has no choice 4", 1),
        ("C0 00 C1", "get-request has no choice 0", 1),
        ("C4 01 C1 02 00", "get-data-result has no choice 2", 3),
        ("C4 01 C1 01 05", "data-access-result has no value 5", 4),
        ("C4 01 C1 00 13 00", "compact-array", 4),
        ("C4 02 C1 00 00000001 02 00", "datablock-g has no choice 2", 8),
        ("C4 03 C1 84 FFFFFFFF 00", "4294967295 elements in 1 octets", 8),
        ("C5 01 C1 08", "data-access-result has no value 8", 3),
        ("C7 01 C1 13 00", "action-result has no value 19", 3),
        ("D8 03 01", "state-error has no value 3", 1),
        ("D8 01 00", "service-error has no value 0", 2),
        ("0F 00000001 05 0000000000 00", "date-time of 0 or 12 octets wanted, 5", 6),
        ("C2 01 0B 0000000000000000000000", "date-time of 0 or 12 octets wanted, 11", 3),
        ("01 00 00 00 06 5E1F0400 007E1F 04B0", "conformance block: 5F wanted", 5),
        ("01 00 00 00 06 5F1F0300 007E1F 04B0", "length of the conformance block: 04", 7),
        ("01 00 00 00 06 5F1F0401 007E1F 04B0", "unused bits of the conformance block", 8),
        ("C8 04 30 000000", "4 octets wanted, 3 left", 3),
        ("DB 07 00000000000000 05 30 00000000", "system title of 8 octets wanted", 2),
        ("60 00", "application-context-name .field A1. is missing", 2),
        ("60 09 A1 07 06 05 2A03040506 A1", "2 octets|octets too many", 11),
        ("60 0C A1 04 06 02 2A03 A1 04 06 02 2A03", "field A1 comes twice", 8),
        ("60 09 A1 04 06 02 2A03 BF 20 00", "no field has the tag BF", 8),
        ("60 06 A1 04 04 02 2A03", "application-context-name: 06 wanted, 04 found", 4),
        ("60 0A A1 04 06 02 2A03 AC 02 81 00", "authentication-value: 80 wanted, 81 found", 10),
        ("60 0A A1 04 06 02 2A03 A9 02 02 00", "integer of 1 to 4 octets wanted, not 0", 12),
        ("61 06 A1 04 06 02 2A03", "result .field A2. is missing", 8),
        ("61 0B A1 04 06 02 2A03 A2 03 02 01 03", "result has no value 3", 13),
        (
            "61 12 A1 04 06 02 2A03 A2 03 02 01 00 A3 05 A3 03 02 01 00",
            "diagnostic has no choice A3",
            16,
        ),
        ("62 02 80 00", "1 octet wanted", 4),
        ("62 04 80 02 00 00", "1 octets too many", 5),
        ("62 08 80 01 00 BE 03 04 02 00", "2 octets wanted, 1 left", 9),
    ],
)
def test_refused(octets: str, message: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        decode_apdu(bytes.fromhex(octets))
    assert caught.value.offset == offset


def test_an_unknown_tag_has_its_own_code() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_apdu(b"\xff")
    assert caught.value.code == "protocol.decode.tag"


def test_the_conformance_block_of_old_devices() -> None:
    """A tag of one octet is read, and written as the standard says."""
    apdu = decode_apdu(bytes.fromhex("01 00 00 00 06 5F0400 007E1F 04B0"))
    assert apdu.encode() == bytes.fromhex("01 00 00 00 06 5F1F0400 007E1F 04B0")


def test_fields_of_an_aarq_in_any_order() -> None:
    ordered = bytes.fromhex("60 0F A1 04 06 02 2A03 8B 02 2A03 AC 03 80 01 41")
    mixed = bytes.fromhex("60 0F AC 03 80 01 41 8B 02 2A03 A1 04 06 02 2A03")
    assert decode_apdu(mixed) == decode_apdu(ordered)
    assert decode_apdu(mixed).encode() == ordered


def test_secrets_are_in_no_repr() -> None:
    """Passwords, challenges and dedicated keys."""
    password, key = b"swordfish", b"sixteen octets!!"
    request = InitiateRequest(Conformance.GET, 0, dedicated_key=key)
    aarq = Aarq(mechanism=Mechanism.LLS, authentication=password, user_information=request.encode())
    aare = Aare(authentication=password, user_information=request.encode())
    text = f"{request!r} {aarq!r} {aare!r} {Rlrq(user_information=key)!r} {aarq} {request}"
    for secret in (password, key):
        assert secret.decode() not in text
        assert secret.hex() not in text


def test_access_range_in_other_types_keeps_its_octets() -> None:
    """A peer may write a column's index as a double-long-unsigned; we then keep what came."""
    raw = bytes.fromhex(
        "C0 01 C1 0007 0100630100FF 02 01 02 0204 06 00000001 06 0000000A 11 01 12 0000"
    )
    apdu = decode_apdu(raw)
    assert isinstance(apdu, GetRequestNormal)
    assert isinstance(apdu.selection, OtherSelection)
    assert apdu.encode() == raw
    assert EntrySelection.of(apdu.selection.parameters) == EntrySelection(1, 10, 1, 0)


def test_access_parameters_that_are_no_range_are_kept() -> None:
    raw = bytes.fromhex("C0 01 C1 0007 0100630100FF 02 01 01 00")
    apdu = decode_apdu(raw)
    assert isinstance(apdu, GetRequestNormal)
    assert apdu.selection == OtherSelection(1, d.null())
    assert apdu.encode() == raw


def test_a_range_of_times() -> None:
    start, end = CosemDateTime.from_utc(0), CosemDateTime.from_utc(900)
    selection = RangeSelection.of_times(start, end)
    assert (selection.start.datetime(), selection.end.datetime()) == (start, end)
    assert str(selection.column) == "8/0.0.1.0.0.255/2/0"
    assert RangeSelection.of(selection.parameters) == selection


def test_raw_data_wherever_data_is_encoded() -> None:
    raw = RawData(d.u8(5).encode())
    clock = AttributeRef(8, CLOCK, 2)
    method = MethodRef(8, CLOCK, 6)
    for with_raw, with_data in (
        (GetResponseNormal(1, raw), GetResponseNormal(1, d.u8(5))),
        (SetRequestNormal(1, clock, raw), SetRequestNormal(1, clock, d.u8(5))),
        (ActionRequestNormal(1, method, raw), ActionRequestNormal(1, method, d.u8(5))),
        (DataNotification(1, None, raw), DataNotification(1, None, d.u8(5))),
    ):
        assert with_raw.encode() == with_data.encode()
        assert decode_apdu(with_raw.encode()) == with_data


def test_a_response_whose_data_stays_encoded() -> None:
    data = d.array(d.u8(1), d.u8(2))
    octets = GetResponseNormal(0xC1, data).encode()
    assert decode_get_response(octets) == GetResponseNormal(0xC1, RawData(data.encode()))
    error = GetResponseNormal(0xC1, DataAccessResult.OTHER_REASON)
    assert decode_get_response(error.encode()) == error
    block = GetResponseBlock(0xC1, last=True, number=1, result=b"a")
    assert decode_get_response(block.encode()) == block
    for broken in (b"", b"\xc4\x01\xc1\x00", b"\xc5\x01\xc1\x00", error.encode() + b"\x00"):
        with pytest.raises(DecodeError):
            decode_get_response(broken)


def test_what_blocks_carry() -> None:
    results = (d.u8(5), DataAccessResult.OBJECT_UNDEFINED)
    assert decode_results(encode_results(results)) == results
    values = (d.null(), d.u8(5))
    assert decode_values(encode_values(values)) == values
    outcomes = (ActionOutcome(ActionResult.SUCCESS, d.u8(5)), ActionOutcome(ActionResult(2)))
    assert decode_outcomes(encode_outcomes(outcomes)) == outcomes
    for decode in (decode_results, decode_values, decode_outcomes):
        with pytest.raises(DecodeError, match="too many"):
            decode(b"\x00\x00")


def test_invoke_octets() -> None:
    assert invoke_octet(1) == 0xC1
    assert invoke_octet(17, confirmed=False, high_priority=False) == 0x01


def test_names_of_references_and_results() -> None:
    assert str(AttributeRef(8, CLOCK, 2)) == "8/0.0.1.0.0.255/2"
    assert str(MethodRef(8, CLOCK, 6)) == "8/0.0.1.0.0.255/method 6"
    assert result_name(DataAccessResult.READ_WRITE_DENIED) == "read-write-denied"
    with pytest.raises(DecodeError, match="logical name of six octets wanted, 1 found"):
        obis_of(d.octets(b"1"))


def test_conformance_bits() -> None:
    """Bit 0 is the most significant one."""
    assert Conformance(0x00001D).names() == (
        "get",
        "set",
        "selective-access",
        "action",
    )
    assert int(Conformance.GENERAL_PROTECTION) == 0x400000
    assert Conformance.ACTION.octets == b"\x00\x00\x01"


def test_errors_of_initiate() -> None:
    error = ConfirmedServiceError.initiate(InitiateError.DLMS_VERSION_TOO_LOW)
    assert error.encode() == bytes.fromhex("0E 01 06 01")


def test_ciphered_tags() -> None:
    """The mapping of the standard: glo = plain + 8, ded = plain + 16; initiate + 20 and + 40."""
    for plain, glo, ded in ((0xC0, 0xC8, 0xD0), (0xC7, 0xCF, 0xD7), (0x01, 0x21, 0x41)):
        assert ciphered_tag(Form.GLOBAL, plain) == glo
        assert ciphered_tag(Form.DEDICATED, plain) == ded
        assert ciphered_tag(Form.GENERAL_GLOBAL, plain) == 0xDB
        assert ciphered_tag(Form.GENERAL_DEDICATED, plain) == 0xDC
    assert ciphered_tag(Form.GLOBAL, 0xD8) is None
    assert ciphered_tag(Form.GLOBAL, 0x0F) is None
    assert ciphered_tag(Form.GENERAL_GLOBAL, 0x0F) == 0xDB
    assert CipheredApdu(0xCF, 0x30, 1, b"").plain_tag == 0xC7
    assert CipheredApdu(0xDC, 0x30, 1, b"", b"").plain_tag is None
