"""Every request and every answer, both ways, and what is none."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1222_services import METER, REQUESTS, RESPONSES, TITLE
from tests.support.vectors import attempt

from openami.c1222.codes import Connection, NodeType, ResponseCode, ServiceCode
from openami.c1222.services import (
    Done,
    Failure,
    Features,
    Identified,
    Identity,
    Logon,
    Read,
    ReadIndex,
    ReadOffset,
    Register,
    Request,
    Response,
    Security,
    TableData,
    Trace,
    Wait,
    Write,
    WriteIndex,
    decode_request,
    decode_response,
    decode_responses,
)
from openami.c1222.services.fields import checksum
from openami.c1222.services.requests import LAYOUTS
from openami.c1222.services.responses import ANSWERS
from openami.core.errors import DecodeError, LocalProtocolError


@pytest.mark.parametrize(("request_", "octets"), REQUESTS, ids=lambda v: getattr(v, "CODE", None))
def test_requests_both_ways(request_: Request, octets: str) -> None:
    raw = bytes.fromhex(octets)
    assert request_.encode() == raw
    assert decode_request(raw) == request_
    for size in range(len(raw)):  # a part of one is another one, or none
        part = attempt(decode_request, raw[:size])
        assert isinstance(part, DecodeError) or part.encode() == raw[:size]


@pytest.mark.parametrize(("code", "response", "octets"), RESPONSES)
def test_answers_both_ways(code: int, response: Response, octets: str) -> None:
    raw = bytes.fromhex(octets)
    assert response.encode() == raw
    assert decode_response(raw, code) == response


def test_every_service_has_a_test() -> None:
    assert {request.code for request, _ in REQUESTS} | set(range(0x32, 0x39)) | {
        0x41,
        *range(0x43, 0x4A),
    } == set(LAYOUTS)
    assert ANSWERS.keys() == LAYOUTS.keys()
    assert set(ANSWERS.values()) == {type(r) for _, r, _ in RESPONSES} - {Failure}
    assert all(code in LAYOUTS for code in ServiceCode)
    assert all(code.meaning for code in ResponseCode)


def test_secrets_are_in_no_repr() -> None:
    assert "PASS" not in repr(Security.of(b"PASSWORD", 2))
    assert "text" not in repr(Write(5, b"text"))
    assert str(Identity(1, b"OAMI")) == "OAMI"
    assert str(Identity(0, b"\x01")) == "01"


@given(st.binary(max_size=300))
def test_a_checksum_makes_the_sum_nothing(data: bytes) -> None:
    assert (sum(data) + checksum(data)) & 0xFF == 0


@pytest.mark.parametrize("size", [0xFFFE, 0xFFFF, 0x10000, 0x1FFFE])
def test_long_tables_come_in_chunks(size: int) -> None:
    """A count of FFFF says that another chunk follows."""
    table = TableData(bytes(size))
    raw = table.encode()
    assert len(raw) == 1 + size + 3 * (size // 0xFFFF + 1)
    assert decode_response(raw, ServiceCode.READ) == table


@pytest.mark.parametrize("octets", ["10000001f4", "100001f4"])
def test_a_size_has_three_octets_or_four(octets: str) -> None:
    found = decode_response(bytes.fromhex(octets), ServiceCode.READ)
    assert found == Failure(ResponseCode.RSTL, 500)


@pytest.mark.parametrize(
    "octets",
    [
        *("", "1f", "2000", "53", "3000", "300005ff", "24", "2484", "51" + "20" * 21, "268000"),
        "26" + TITLE * 65,
        "2704" + "00" * 5 + TITLE * 2 + "41" + "00" * 80,
        "2780" + "00" * 5 + TITLE * 2 + "00000000",
        "2700" + "00" * 5 + TITLE * 2 + "0000000001ff",
    ],
)
def test_no_requests(octets: str) -> None:
    with pytest.raises(DecodeError):
        decode_request(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "code"), [("53", "c1222.service"), ("40000700011a00", "c1222.checksum")]
)
def test_some_refusals_have_codes(octets: str, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_request(bytes.fromhex(octets), base=100)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "octets"),
    [
        *((0x30, octets) for octets in ("", "13", "00", "0300", "0f0001")),
        *(
            (0x20, octets)
            for octets in ("00030100", "000301000584058400", "0003010007", "00030100070000")
        ),
        (0x70, "0000"),
    ],
)
def test_no_answers(code: int, octets: str) -> None:
    with pytest.raises(DecodeError):
        decode_response(bytes.fromhex(octets), code)


@pytest.mark.parametrize(
    "wrong",
    [
        Read(0x10000),
        Read(-1),
        ReadIndex(1, (), 1),
        WriteIndex(1, (0,) * 10, b""),
        ReadOffset(1, 1 << 24, 1),
        Wait(256),
        Logon(1, b"short", 1),
        Security(b"short"),
        Trace((METER,) * 65),
        Register(NodeType.HOST, Connection(0), b"ACME", METER, METER, bytes(65), 1),
        Register(NodeType.HOST, Connection(0), b"ACM", METER, METER, b"", 1),
        Register(NodeType.DOMAIN_PATTERN, Connection(0), b"ACME", METER, METER, b"", 1),
        Identified(3, 1, 0, Features(sessions=200, sessionless=True)),
        Identified(3, 1, 0, Features(identity=Identity(256, b""))),
        Failure(ResponseCode.OK),
        Failure(ResponseCode.ISC, 5),
        Failure(ResponseCode.ISC, detail=b"x"),
        Failure(ResponseCode.RQTL, titles=(METER,)),
    ],
)
def test_nothing_wrong_is_written(wrong: Request | Response) -> None:
    with pytest.raises(LocalProtocolError):
        wrong.encode()


def test_names_that_are_too_long() -> None:
    with pytest.raises(LocalProtocolError):
        Logon.of(1, b"eleven char", 1)
    with pytest.raises(LocalProtocolError):
        Security.of(bytes(21))


# -- answers to a message -------------------------------------------------------------------------

ASKED: Final = (Security.of(b"PASSWORD", 2), Read(1), Wait(1))


def test_answers_stand_in_the_order_of_requests() -> None:
    table = TableData(b"x")
    answers = (Done(), table, Failure(ResponseCode.BSY))
    octets = [answer.encode() for answer in answers]
    assert decode_responses(octets, ASKED) == answers
    assert decode_responses(octets[1:], ASKED) == answers  # as in the standard's example 8


def test_a_refusal_of_all_is_said_once() -> None:
    refused = Failure(ResponseCode.SME)
    assert decode_responses([refused.encode()], ASKED) == (refused,) * 3


@pytest.mark.parametrize("count", [0, 1, 4])
def test_answers_that_are_too_few_or_too_many(count: int) -> None:
    with pytest.raises(DecodeError):
        decode_responses([b"\x00"] * count, ASKED)


@given(st.sampled_from(sorted(LAYOUTS)), st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_one_service_or_the_one_error(code: int, content: bytes) -> None:
    request = attempt(decode_request, bytes((code,)) + content)
    if not isinstance(request, DecodeError):
        assert decode_request(request.encode()) == request
    for first in (0x00, content[0] & 0x1F if content else 0x00):
        response = attempt(lambda data: decode_response(data, code), bytes((first,)) + content)
        if not isinstance(response, DecodeError):
            assert decode_response(response.encode(), code) == response
