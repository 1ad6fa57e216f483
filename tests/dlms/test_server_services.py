"""The server asked in APDUs: services, blocks, states and what it says when it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dlms_links import Desk

from openami.core.errors import ConfigError, StoreError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu import action, get
from openami.dlms.apdu import set as set_
from openami.dlms.apdu.acse import (
    Aare,
    Aarq,
    AssociationResult,
    Diagnostic,
    Mechanism,
    Rlre,
    Rlrq,
)
from openami.dlms.apdu.block import GeneralBlockTransfer
from openami.dlms.apdu.common import Block, invoke_octet
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import (
    EVERYTHING,
    FOR_ALL,
    FULL,
    AccessError,
    ActionError,
    AssociationLn,
    ClientKind,
    DataObject,
    Method,
)
from openami.dlms.link import Peer
from openami.dlms.references import AttributeRef, EntrySelection, MethodRef
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.server import (
    ApduRefused,
    AssociationFailed,
    AssociationOpened,
    AssociationReleased,
    AttributeWritten,
    FailureThrottle,
    LogicalDevice,
)
from openami.dlms.server.services import MAX_ANSWER, MAX_WRITTEN
from openami.dlms.server.throttle import FORGOTTEN_AFTER, FREE_ATTEMPTS, LONGEST_PAUSE

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = invoke_octet(5)
SILENT = invoke_octet(5, confirmed=False)
OPEN = {ClientKind.PUBLIC: FULL}
VALUE = AttributeRef(1, Obis.parse("0.0.96.1.1.255"), 2)
LONG = AttributeRef(1, Obis.parse("0.0.96.1.2.255"), 2)
CURRENT_LN = AttributeRef(15, Obis.parse("0.0.40.0.0.255"), 1)
ECHO = MethodRef(1, VALUE.obis, 1)
FAULT = MethodRef(1, VALUE.obis, 2)
FULL_DISK = MethodRef(1, VALUE.obis, 3)
OVERFLOW = MethodRef(1, VALUE.obis, 4)


def _fault(_: Any, __: Any, ___: Any) -> None:
    raise ActionError(ActionResult.HARDWARE_FAULT)


def _full(_: Any, __: Any, ___: Any) -> None:
    raise StoreError("no room left")


class Thing(DataObject):
    METHODS: Mapping[int, Method] = {  # type: ignore[misc]  # ClassVar in the base
        1: Method("echo", lambda _, parameter, __: parameter),
        2: Method("fault", _fault),
        3: Method("full", _full),
        4: Method("overflow", lambda _, __, ___: d.u8(999)),
    }


def refuse(_: Any) -> None:
    raise AccessError(DataAccessResult.TEMPORARY_FAILURE)


def disk_full(_: Any = None) -> Any:
    raise StoreError("no room left")


def make_desk(*, max_pdu: int = 1024, conformance: Conformance = EVERYTHING) -> Desk:
    device = LogicalDevice(
        [
            Thing("0.0.96.1.1.255", d.octets(b"value"), writable=True, access=OPEN),
            DataObject("0.0.96.1.2.255", d.octets(bytes(500)), writable=True, access=OPEN),
            DataObject("0.0.96.1.3.255", d.u8(1), write=refuse, access=OPEN),
            DataObject("0.0.96.1.4.255", lambda: d.u8(300), access=OPEN),
            DataObject("0.0.96.1.5.255", disk_full, write=disk_full, access=OPEN),
            DataObject("0.0.96.1.6.255", d.octets(bytes(3 << 20)), access=OPEN),
            DataObject("0.0.96.1.7.255", d.octets(bytes(MAX_ANSWER)), access=OPEN),
            AssociationLn(
                "0.0.40.0.1.255",
                client=16,
                kind=ClientKind.PUBLIC,
                conformance=conformance,
                max_pdu=max_pdu,
            ),
        ]
    )
    return Desk(device)


def aarq(conformance: Conformance = EVERYTHING, max_pdu: int = 200, **fields: Any) -> Aarq:
    return Aarq(user_information=InitiateRequest(conformance, max_pdu).encode(), **fields)


def opened(*, max_pdu: int = 200, conformance: Conformance = EVERYTHING, own: int = 1024) -> Desk:
    desk = make_desk(max_pdu=own, conformance=conformance)
    answer = desk.ask(aarq(max_pdu=max_pdu))
    assert isinstance(answer, Aare)
    assert answer.result is AssociationResult.ACCEPTED
    assert isinstance(desk.events()[0], AssociationOpened)
    return desk


def exception(state: int, service: int) -> ExceptionResponse:
    return ExceptionResponse(StateError(state), ServiceError(service))


# -- association ---------------------------------------------------------------------------------


def test_the_answer_tells_what_was_agreed_on() -> None:
    desk = make_desk(max_pdu=777, conformance=Conformance.GET | Conformance.SET)
    answer = desk.ask(aarq(Conformance.GET | Conformance.ACTION, 300))
    assert isinstance(answer, Aare)
    assert answer.user_information == InitiateResponse(Conformance.GET, 777).encode()
    assert answer.diagnostic is Diagnostic.NULL
    assert desk.server.associated == (Peer(16, 1),)


@pytest.mark.parametrize(
    "information",
    [None, b"", b"\x01", b"\x08\x00", GeneralBlockTransfer(True, False, 1, 1, 1, b"").encode()],
)
def test_an_aarq_without_an_initiate_request_is_refused(information: bytes | None) -> None:
    desk = make_desk()
    answer = desk.ask(Aarq(user_information=information))
    assert isinstance(answer, Aare)
    assert answer.result is AssociationResult.REJECTED_PERMANENT
    failed = desk.events()[0]
    assert isinstance(failed, AssociationFailed)
    assert failed.code == "initiate"


def test_a_version_that_is_too_low_is_refused() -> None:
    desk = make_desk()
    request = InitiateRequest(EVERYTHING, 0, version=5).encode()
    answer = desk.ask(Aarq(user_information=request))
    assert isinstance(answer, Aare)
    assert answer.user_information == bytes.fromhex("0E010601")


def test_an_unknown_context_or_mechanism_is_refused() -> None:
    desk = make_desk()
    answer = desk.ask(aarq(context=b"\x2a\x03"))
    assert isinstance(answer, Aare)
    assert answer.diagnostic is Diagnostic.CONTEXT_NAME_NOT_SUPPORTED
    answer = desk.ask(aarq(mechanism=b"\x2a\x03"))
    assert isinstance(answer, Aare)
    assert answer.diagnostic is Diagnostic.MECHANISM_NAME_NOT_RECOGNIZED
    assert [e.mechanism for e in desk.events() if isinstance(e, AssociationFailed)] == [
        Mechanism.NONE
    ] * 2


def test_a_password_without_its_mechanism_is_refused() -> None:
    association = AssociationLn(
        "0.0.40.0.1.255",
        client=16,
        kind=ClientKind.READER,
        mechanism=Mechanism.LLS,
        secret=b"secret",
    )
    desk = Desk(LogicalDevice([association]))
    answer = desk.ask(aarq(authentication=b"secret"))
    assert isinstance(answer, Aare)
    assert answer.diagnostic is Diagnostic.MECHANISM_NAME_REQUIRED


def test_guessing_a_password_is_slowed_down() -> None:
    association = AssociationLn(
        "0.0.40.0.1.255",
        client=16,
        kind=ClientKind.READER,
        mechanism=Mechanism.LLS,
        secret=b"secret",
    )
    desk = Desk(LogicalDevice([association]), throttle=FailureThrottle(free=2, first=10))
    right = aarq(mechanism=Mechanism.LLS, authentication=b"secret")
    wrong = aarq(mechanism=Mechanism.LLS, authentication=b"guess")

    def results(request: Aarq) -> tuple[Any, Any]:
        answer = desk.ask(request)
        assert isinstance(answer, Aare)
        return answer.result, answer.diagnostic

    refused = AssociationResult.REJECTED_PERMANENT, Diagnostic.AUTHENTICATION_FAILURE
    later = AssociationResult.REJECTED_TRANSIENT, Diagnostic.AUTHENTICATION_FAILURE
    assert [results(wrong), results(wrong)] == [refused] * 2
    assert results(right) == later
    desk.now = 9.9
    assert results(right) == later
    desk.now = 10.0
    assert results(wrong) == refused
    desk.now = 29.0
    assert results(right) == later
    desk.now = 30.0
    assert results(right) == (AssociationResult.ACCEPTED, Diagnostic.NULL)
    assert results(wrong) == refused
    assert results(right) == (AssociationResult.ACCEPTED, Diagnostic.NULL)


def test_the_throttle_remembers_a_bounded_number_of_clients() -> None:
    throttle = FailureThrottle(free=1, first=10, longest=15)
    for client in range(1000):
        throttle.failed(client, now=0)
    assert not throttle.allows(0, now=9)
    assert throttle.allows(999, now=9)
    for _ in range(100):
        throttle.failed(0, now=0)
    assert throttle.allows(0, now=15)


def test_a_stranger_holds_a_client_up_for_a_minute_at_most() -> None:
    throttle = FailureThrottle()
    now = 0.0
    for _ in range(1000):
        while not throttle.allows(2, now=now):
            now += 1.0
        throttle.failed(2, now=now)
    assert not throttle.allows(2, now=now + LONGEST_PAUSE - 1)
    assert throttle.allows(2, now=now + LONGEST_PAUSE)
    assert now > 980 * LONGEST_PAUSE, "no more than a guess a minute"
    now += FORGOTTEN_AFTER
    for _ in range(FREE_ATTEMPTS):
        assert throttle.allows(2, now=now)
        throttle.failed(2, now=now)
    assert not throttle.allows(2, now=now)


def test_a_release_is_answered_and_ends_the_association() -> None:
    desk = opened()
    assert desk.ask(Rlrq()) == Rlre()
    assert [type(e) for e in desk.events()] == [AssociationReleased]
    assert desk.ask(get.GetRequestNormal(ID, VALUE)) == exception(1, 1)
    assert desk.ask(Rlrq()) == Rlre(), "also without an association"


def test_the_link_ends_the_association() -> None:
    desk = opened()
    desk.disconnect("inactivity")
    (event,) = desk.events()
    assert event == AssociationReleased(Peer(16, 1), "inactivity")
    desk.disconnect()
    assert desk.events() == []
    assert desk.server.associated == ()


def test_a_link_set_up_anew_ends_the_association() -> None:
    desk = opened()
    desk.connect()
    assert desk.events() == [AssociationReleased(Peer(16, 1), "replaced")]
    assert desk.ask(get.GetRequestNormal(ID, VALUE)) == exception(1, 1)


def test_a_device_that_is_not_there_refuses() -> None:
    desk = make_desk()
    desk.peer = Peer(16, 2)
    assert desk.ask(aarq()) == exception(1, 1)
    assert desk.events() == [ApduRefused(Peer(16, 2), "no-device")]


def test_sessions_are_bounded_and_idle_ones_make_room() -> None:
    desk = make_desk()
    for client in range(1000, 1600):
        desk.peer = Peer(client, 1)
        assert isinstance(desk.ask(aarq()), Aare)
    assert len(desk.server._sessions) <= 256
    desk.peer = Peer(16, 1)
    answer = desk.ask(aarq())
    assert isinstance(answer, Aare)
    assert answer.result is AssociationResult.ACCEPTED


def test_sessions_in_use_make_no_room() -> None:
    associations = [
        AssociationLn(f"0.0.40.{n >> 8}.{n & 255}.255", client=n, kind=ClientKind.PUBLIC)
        for n in range(1, 258)
    ]
    desk = Desk(LogicalDevice(associations))
    for client in range(1, 257):
        desk.peer = Peer(client, 1)
        assert isinstance(desk.ask(aarq()), Aare)
    desk.peer = Peer(257, 1)
    assert desk.ask(aarq()) == exception(1, 1)


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        ("", exception(1, 3)),
        ("FF", exception(2, 2)),
        ("C0", exception(1, 3)),
        ("C00181", exception(1, 3)),
        ("C001C100010000600101FF0200FF", exception(1, 3)),
        ("C009C1", exception(1, 3)),
        ("C401C10000", exception(2, 2)),
        ("E0800001000000", exception(2, 2)),
        ("0800065F1F0400000010FFFF0007", exception(2, 2)),
    ],
)
def test_what_is_unknown_or_malformed_gets_an_exception(
    octets: str, answer: ExceptionResponse
) -> None:
    desk = opened()
    found = desk.ask_octets(bytes.fromhex(octets))
    assert found == answer.encode()
    assert isinstance(desk.events()[0], ApduRefused)
    assert isinstance(desk.ask(get.GetRequestNormal(ID, VALUE)), get.GetResponseNormal)


def test_a_service_that_was_not_negotiated_is_refused() -> None:
    desk = opened(conformance=Conformance.GET)
    assert desk.ask(set_.SetRequestNormal(ID, VALUE, d.null())) == exception(1, 2)
    assert desk.ask(action.ActionRequestNormal(ID, ECHO)) == exception(1, 2)
    assert desk.ask(get.GetRequestWithList(ID, ((VALUE, None),))) == exception(1, 2)
    assert desk.ask(get.GetRequestNext(ID, 1)) == exception(1, 2)
    assert desk.ask(get.GetRequestNormal(ID, LONG)) == exception(1, 4)


def test_an_apdu_longer_than_agreed_is_refused() -> None:
    desk = opened(own=100)
    request = set_.SetRequestNormal(ID, VALUE, d.octets(bytes(100)))
    assert desk.ask(request) == exception(1, 4)
    assert desk.events() == [ApduRefused(Peer(16, 1), "pdu-too-long")]


def test_a_ciphered_request_in_a_plain_association_is_refused() -> None:
    desk = opened()
    assert (
        desk.ask_octets(bytes.fromhex("C80F3000000001AABBCCDDEEFF00112233"))[:3] == b"\xd8\x01\x01"
    )


# -- GET -----------------------------------------------------------------------------------------


def test_results_of_get() -> None:
    desk = opened()

    def get_one(ref: AttributeRef, selection: Any = None) -> Any:
        answer = desk.ask(get.GetRequestNormal(ID, ref, selection))
        assert isinstance(answer, get.GetResponseNormal)
        assert answer.invoke_id == ID
        return answer.result

    results = DataAccessResult
    assert get_one(VALUE) == d.octets(b"value")
    assert get_one(CURRENT_LN) == d.octets(Obis.parse("0.0.40.0.1.255").raw)
    assert get_one(AttributeRef(3, VALUE.obis, 2)) is results.OBJECT_CLASS_INCONSISTENT
    assert get_one(AttributeRef(1, VALUE.obis, 3)) is results.OBJECT_UNDEFINED
    assert get_one(AttributeRef(1, VALUE.obis, 0)) is results.OBJECT_UNDEFINED
    assert get_one(AttributeRef(1, VALUE.obis, -1)) is results.OBJECT_UNDEFINED
    assert get_one(VALUE, EntrySelection(1)) is results.SCOPE_OF_ACCESS_VIOLATED
    assert get_one(AttributeRef(1, Obis.parse("0.0.96.1.4.255"), 2)) is results.HARDWARE_FAULT
    assert get_one(AttributeRef(1, Obis.parse("0.0.96.1.5.255"), 2)) is results.TEMPORARY_FAILURE
    assert get_one(AttributeRef(1, Obis.parse("0.0.96.1.7.255"), 2)) is results.OTHER_REASON


def test_a_get_without_the_confirmed_bit_is_answered() -> None:
    desk = opened()
    answer = desk.ask(get.GetRequestNormal(0x81, VALUE))
    assert answer == get.GetResponseNormal(0x81, d.octets(b"value"))


def blocks_of(desk: Desk, first: Any) -> bytes:
    octets = b""
    answer = first
    number = 0
    while True:
        number += 1
        assert isinstance(answer, get.GetResponseBlock)
        assert answer.number == number
        assert isinstance(answer.result, bytes)
        octets += answer.result
        if answer.last:
            return octets
        assert answer.result
        answer = desk.ask(get.GetRequestNext(ID, number))


@pytest.mark.parametrize("size", [14, 15, 64, 200, 512, 517, 518, 519, 520])
def test_blocks_fit_the_client(size: int) -> None:
    desk = opened(max_pdu=size)
    octets = desk.ask_octets(get.GetRequestNormal(ID, LONG).encode())
    assert len(octets) <= size
    whole = d.octets(bytes(500)).encode()
    first = get.decode_get_response(octets)
    if isinstance(first, get.GetResponseNormal):
        assert first.result.encode() == whole  # type: ignore[union-attr]
        assert size >= len(whole) + 4
    else:
        assert blocks_of(desk, first) == whole


def test_a_client_without_a_limit_gets_one_apdu() -> None:
    desk = opened(max_pdu=0)
    answer = desk.ask(get.GetRequestNormal(ID, LONG))
    assert isinstance(answer, get.GetResponseNormal)
    big = desk.ask(get.GetRequestNormal(ID, AttributeRef(1, Obis.parse("0.0.96.1.6.255"), 2)))
    assert isinstance(big, get.GetResponseBlock)
    assert len(big.encode()) <= 0xFFFF


def test_a_list_that_would_be_too_long_is_cut_short() -> None:
    desk = opened(max_pdu=0)
    item = AttributeRef(1, Obis.parse("0.0.96.1.6.255"), 2), None
    first = desk.ask(get.GetRequestWithList(ID, (item,) * 6))
    results = get.decode_results(blocks_of(desk, first))
    kinds = [isinstance(r, d.Data) for r in results]
    assert kinds == [True, True, True, False, False, False]
    assert results[5] is DataAccessResult.OTHER_REASON


def test_next_with_another_number_ends_the_transfer() -> None:
    desk = opened()
    desk.ask(get.GetRequestNormal(ID, LONG))
    answer = desk.ask(get.GetRequestNext(ID, 2))
    wrong = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
    assert answer == get.GetResponseBlock(ID, last=True, number=2, result=wrong)
    answer = desk.ask(get.GetRequestNext(ID, 1))
    none = DataAccessResult.NO_LONG_GET_IN_PROGRESS
    assert answer == get.GetResponseBlock(ID, last=True, number=1, result=none)


def test_another_request_ends_the_transfer() -> None:
    desk = opened()
    desk.ask(get.GetRequestNormal(ID, LONG))
    desk.ask(get.GetRequestNormal(ID, VALUE))
    answer = desk.ask(get.GetRequestNext(ID, 1))
    assert isinstance(answer, get.GetResponseBlock)
    assert answer.result is DataAccessResult.NO_LONG_GET_IN_PROGRESS


# -- SET -----------------------------------------------------------------------------------------


def test_results_of_set() -> None:
    desk = opened()

    def set_one(name: str, attribute: int = 2, selection: Any = None) -> DataAccessResult:
        ref = AttributeRef(1, Obis.parse(name), attribute)
        answer = desk.ask(set_.SetRequestNormal(ID, ref, d.u8(1), selection))
        assert isinstance(answer, set_.SetResponseNormal)
        (event,) = desk.events()
        assert isinstance(event, AttributeWritten)
        assert (event.ref, event.result) == (ref, answer.result)
        assert "u8" not in repr(event)
        return answer.result

    results = DataAccessResult
    assert set_one("0.0.96.1.1.255") is results.SUCCESS
    assert set_one("0.0.96.1.1.255", 1) is results.READ_WRITE_DENIED
    assert set_one("0.0.96.1.1.255", 9) is results.OBJECT_UNDEFINED
    assert set_one("0.0.96.1.1.255", 2, EntrySelection(1)) is results.SCOPE_OF_ACCESS_VIOLATED
    assert set_one("0.0.96.1.3.255") is results.TEMPORARY_FAILURE
    assert set_one("0.0.96.1.4.255") is results.READ_WRITE_DENIED
    assert set_one("0.0.96.1.5.255") is results.TEMPORARY_FAILURE
    assert set_one("0.0.96.1.99.255") is results.OBJECT_UNDEFINED


def test_a_list_with_too_few_values_writes_nothing() -> None:
    desk = opened()
    items = ((VALUE, None), (LONG, None))
    answer = desk.ask(set_.SetRequestWithList(ID, items, (d.u8(1),)))
    assert answer == set_.SetResponseWithList(ID, (DataAccessResult.OTHER_REASON,) * 2)
    assert desk.events() == []


def test_unconfirmed_requests_are_done_without_an_answer() -> None:
    desk = opened()
    assert desk.ask(set_.SetRequestNormal(SILENT, VALUE, d.u8(7))) is None
    assert desk.ask(action.ActionRequestNormal(SILENT, ECHO, d.u8(7))) is None
    assert desk.ask(get.GetRequestNormal(ID, VALUE)) == get.GetResponseNormal(ID, d.u8(7))


def test_a_value_comes_in_blocks() -> None:
    desk = opened()
    octets = d.octets(bytes(range(50))).encode()
    first = desk.ask(set_.SetRequestFirstBlock(ID, VALUE, Block(False, 1, octets[:20])))
    assert first == set_.SetResponseBlock(ID, 1)
    second = desk.ask(set_.SetRequestBlock(ID, Block(False, 2, b"")))
    assert second == set_.SetResponseBlock(ID, 2)
    last = desk.ask(set_.SetRequestBlock(ID, Block(True, 3, octets[20:])))
    assert last == set_.SetResponseLastBlock(ID, DataAccessResult.SUCCESS, 3)
    answer = desk.ask(get.GetRequestNormal(ID, VALUE))
    assert answer == get.GetResponseNormal(ID, d.octets(bytes(range(50))))


def test_values_of_a_list_come_in_blocks() -> None:
    desk = opened()
    items = ((VALUE, None), (LONG, None))
    octets = set_.encode_values((d.u8(1), d.u8(2)))
    block = Block(True, 1, octets)
    answer = desk.ask(set_.SetRequestWithListFirstBlock(ID, items, block))
    good = DataAccessResult.SUCCESS
    assert answer == set_.SetResponseLastBlockWithList(ID, (good, good), 1)


def test_blocks_that_do_not_follow_end_the_transfer() -> None:
    desk = opened()
    results = DataAccessResult
    none = desk.ask(set_.SetRequestBlock(ID, Block(False, 1, b"")))
    assert none == set_.SetResponseLastBlock(ID, results.NO_LONG_SET_IN_PROGRESS, 1)
    wrong = desk.ask(set_.SetRequestFirstBlock(ID, VALUE, Block(False, 2, b"\x11")))
    assert wrong == set_.SetResponseLastBlock(ID, results.DATA_BLOCK_NUMBER_INVALID, 2)
    desk.ask(set_.SetRequestFirstBlock(ID, VALUE, Block(False, 1, b"\x11")))
    wrong = desk.ask(set_.SetRequestBlock(ID, Block(True, 3, b"\x11")))
    assert wrong == set_.SetResponseLastBlock(ID, results.DATA_BLOCK_NUMBER_INVALID, 3)
    none = desk.ask(set_.SetRequestBlock(ID, Block(True, 2, b"\x11")))
    assert none == set_.SetResponseLastBlock(ID, results.NO_LONG_SET_IN_PROGRESS, 2)
    desk.ask(action.ActionRequestFirstBlock(ID, ECHO, Block(False, 1, b"")))
    none = desk.ask(set_.SetRequestBlock(ID, Block(True, 2, b"")))
    assert none == set_.SetResponseLastBlock(ID, results.NO_LONG_SET_IN_PROGRESS, 2)


def test_blocks_that_are_no_data_are_not_written() -> None:
    desk = opened()
    answer = desk.ask(set_.SetRequestFirstBlock(ID, VALUE, Block(True, 1, b"\x09\x05a")))
    assert answer == set_.SetResponseLastBlock(ID, DataAccessResult.TYPE_UNMATCHED, 1)
    items = ((VALUE, None),)
    answer = desk.ask(set_.SetRequestWithListFirstBlock(ID, items, Block(True, 1, b"\x05")))
    mismatch = (DataAccessResult.TYPE_UNMATCHED,)
    assert answer == set_.SetResponseLastBlockWithList(ID, mismatch, 1)


def test_what_is_put_together_is_bounded() -> None:
    desk = opened()
    part = bytes(1000)
    answer = desk.ask(set_.SetRequestFirstBlock(ID, VALUE, Block(False, 1, part)))
    number = 1
    while isinstance(answer, set_.SetResponseBlock):
        number += 1
        assert number * len(part) < 2 * MAX_WRITTEN
        answer = desk.ask(set_.SetRequestBlock(ID, Block(False, number, part)))
    assert answer == set_.SetResponseLastBlock(ID, DataAccessResult.LONG_SET_ABORTED, number)
    outcome: Any = desk.ask(action.ActionRequestFirstBlock(ID, ECHO, Block(False, 1, part)))
    number = 1
    while isinstance(outcome, action.ActionResponseNext):
        number += 1
        outcome = desk.ask(action.ActionRequestBlock(ID, Block(False, number, part)))
    assert outcome.outcome.result is ActionResult.LONG_ACTION_ABORTED


# -- ACTION --------------------------------------------------------------------------------------


def outcome_of(answer: Any) -> Any:
    assert isinstance(answer, action.ActionResponseNormal)
    return answer.outcome.result


def test_results_of_action() -> None:
    desk = opened()
    results = ActionResult

    def invoke(ref: MethodRef, parameter: Any = None) -> Any:
        return outcome_of(desk.ask(action.ActionRequestNormal(ID, ref, parameter)))

    answer = desk.ask(action.ActionRequestNormal(ID, ECHO, d.u8(3)))
    assert answer == action.ActionResponseNormal(
        ID, action.ActionOutcome(ActionResult.SUCCESS, d.u8(3))
    )
    assert invoke(ECHO) is results.SUCCESS
    assert invoke(FAULT) is results.HARDWARE_FAULT
    assert invoke(FULL_DISK) is results.TEMPORARY_FAILURE
    assert invoke(OVERFLOW) is results.HARDWARE_FAULT
    assert invoke(MethodRef(1, VALUE.obis, 9)) is results.OBJECT_UNDEFINED
    assert invoke(MethodRef(1, Obis(bytes(6)), 1)) is results.OBJECT_UNDEFINED
    assert invoke(MethodRef(9, VALUE.obis, 1)) is results.OBJECT_CLASS_INCONSISTENT
    assert invoke(MethodRef(15, CURRENT_LN.obis, 1), d.octets(b"")) is results.READ_WRITE_DENIED


def test_lists_of_methods() -> None:
    desk = opened()
    answer = desk.ask(action.ActionRequestWithList(ID, (ECHO, FAULT), (d.u8(1), d.null())))
    assert isinstance(answer, action.ActionResponseWithList)
    assert [o.result for o in answer.outcomes] == [0, 1]
    answer = desk.ask(action.ActionRequestWithList(ID, (ECHO, FAULT), ()))
    assert isinstance(answer, action.ActionResponseWithList)
    assert [o.result for o in answer.outcomes] == [250, 250]


def test_long_answers_of_methods_come_in_blocks() -> None:
    desk = opened(max_pdu=64)
    parameter = d.octets(bytes(range(180)))
    answer: Any = desk.ask(action.ActionRequestNormal(ID, ECHO, parameter))
    octets = b""
    number = 0
    while True:
        number += 1
        assert isinstance(answer, action.ActionResponseBlock)
        assert len(answer.encode()) <= 64
        octets += answer.block.octets
        if answer.block.last:
            break
        answer = desk.ask(action.ActionRequestNext(ID, number))
    assert octets == b"\x00\x01\x00" + parameter.encode()
    none = desk.ask(action.ActionRequestNext(ID, number))
    assert outcome_of(none) is ActionResult.NO_LONG_ACTION_IN_PROGRESS
    desk.ask(action.ActionRequestNormal(ID, ECHO, parameter))
    wrong = desk.ask(action.ActionRequestNext(ID, 5))
    assert outcome_of(wrong) is ActionResult.LONG_ACTION_ABORTED
    none = desk.ask(get.GetRequestNext(ID, 1))
    assert isinstance(none, get.GetResponseBlock)


def test_get_and_action_transfers_do_not_mix() -> None:
    desk = opened(max_pdu=64)
    desk.ask(get.GetRequestNormal(ID, LONG))
    none = desk.ask(action.ActionRequestNext(ID, 1))
    assert outcome_of(none) is ActionResult.NO_LONG_ACTION_IN_PROGRESS
    desk.ask(action.ActionRequestNormal(ID, ECHO, d.octets(bytes(200))))
    answer = desk.ask(get.GetRequestNext(ID, 1))
    assert isinstance(answer, get.GetResponseBlock)
    assert answer.result is DataAccessResult.NO_LONG_GET_IN_PROGRESS


def test_parameters_come_in_blocks() -> None:
    desk = opened()
    octets = d.octets(bytes(30)).encode()
    answer = desk.ask(action.ActionRequestFirstBlock(ID, ECHO, Block(False, 1, octets[:10])))
    assert answer == action.ActionResponseNext(ID, 1)
    answer = desk.ask(action.ActionRequestBlock(ID, Block(True, 2, octets[10:])))
    assert outcome_of(answer) is ActionResult.SUCCESS
    listed = set_.encode_values((d.u8(1), d.u8(2)))
    block = Block(True, 1, listed)
    answer = desk.ask(action.ActionRequestWithListFirstBlock(ID, (ECHO, ECHO), block))
    assert isinstance(answer, action.ActionResponseWithList)
    assert [o.data for o in answer.outcomes] == [d.u8(1), d.u8(2)]
    bad = desk.ask(action.ActionRequestFirstBlock(ID, ECHO, Block(True, 1, b"\xee")))
    assert outcome_of(bad) is ActionResult.TYPE_UNMATCHED
    none = desk.ask(action.ActionRequestBlock(ID, Block(True, 1, b"")))
    assert outcome_of(none) is ActionResult.NO_LONG_ACTION_IN_PROGRESS
    wrong = desk.ask(action.ActionRequestFirstBlock(ID, ECHO, Block(True, 7, b"\x00")))
    assert outcome_of(wrong) is ActionResult.LONG_ACTION_ABORTED


# -- broadcast -----------------------------------------------------------------------------------


def test_broadcasts_are_done_without_an_answer() -> None:
    desk = opened()
    request = set_.SetRequestNormal(SILENT, VALUE, d.u8(9))
    desk.peer = Peer(16, 0x3FFF)
    assert desk.ask_octets(request.encode(), broadcast=True) == b""
    assert desk.ask_octets(get.GetRequestNormal(ID, VALUE).encode(), broadcast=True) == b""
    assert desk.ask_octets(b"\xff", broadcast=True) == b""
    assert desk.ask_octets(Rlrq().encode(), broadcast=True) == b""
    desk.peer = Peer(99, 0x3FFF)
    nobody = set_.SetRequestNormal(SILENT, VALUE, d.u8(1))
    assert desk.ask_octets(nobody.encode(), broadcast=True) == b""
    desk.peer = Peer(16, 1)
    assert desk.ask(get.GetRequestNormal(ID, VALUE)) == get.GetResponseNormal(ID, d.u8(9))


# -- devices -------------------------------------------------------------------------------------


def test_two_devices_have_their_own_objects() -> None:
    def device(sap: int) -> LogicalDevice:
        return LogicalDevice(
            [
                DataObject("0.0.42.0.0.255", d.u8(sap), access=FOR_ALL),
                AssociationLn("0.0.40.0.1.255", client=16, kind=ClientKind.PUBLIC, server=sap),
            ],
            sap=sap,
        )

    desk = Desk(device(1), device(2))
    name = AttributeRef(1, Obis.parse("0.0.42.0.0.255"), 2)
    for sap in (1, 2):
        desk.peer = Peer(16, sap)
        desk.ask(aarq())
        assert desk.ask(get.GetRequestNormal(ID, name)) == get.GetResponseNormal(ID, d.u8(sap))


def test_objects_have_their_place_to_themselves() -> None:
    one = DataObject("0.0.1.1.1.255", d.u8(1))
    with pytest.raises(ConfigError):
        LogicalDevice([one, DataObject("0.0.1.1.1.255", d.u8(2))])
    with pytest.raises(ConfigError):
        LogicalDevice([DataObject("0.0.40.0.0.255", d.u8(2))])
    first = AssociationLn("0.0.40.0.1.255", client=16, kind=ClientKind.PUBLIC)
    with pytest.raises(ConfigError):
        LogicalDevice([first, AssociationLn("0.0.40.0.2.255", client=16, kind=ClientKind.PUBLIC)])


def test_the_server_passes_timers_and_ends_of_stream_on() -> None:
    desk = opened()
    assert desk.server.next_timer() is None
    assert desk.server.data_to_send() == ()
    desk.server.receive_eof(now=0)
    assert desk.events() == []
