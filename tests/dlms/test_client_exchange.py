"""The client with meters that answer in their own ways: few features, odd forms, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dlms_links import ScriptedLink
from tests.support.dlms_meter import CLIENT_TITLE, KEYS, octets_of

from openami.core.errors import ConfigError, DecodeError, LocalProtocolError, StoreError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu import action, decode_apdu, get
from openami.dlms.apdu import set as set_
from openami.dlms.apdu.acse import (
    Aare,
    Aarq,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    Mechanism,
    Rlre,
    Rlrq,
)
from openami.dlms.apdu.common import Block
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.initiate import ConfirmedServiceError, InitiateRequest, InitiateResponse
from openami.dlms.apdu.notification import EventNotification
from openami.dlms.association import Channel
from openami.dlms.client import (
    Agreement,
    Answered,
    ClientConfig,
    Closed,
    DlmsClient,
    Failed,
    GetAttribute,
    GetList,
    InvokeList,
    InvokeMethod,
    Notified,
    Opened,
    Progress,
    SecurityLevel,
    SetAttribute,
    SetList,
)
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import EVERYTHING, KeptCounters
from openami.dlms.link import ApduReceived, LinkUp
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.security import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

REF = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
METHOD = MethodRef(3, Obis.parse("1.0.1.8.0.255"), 1)
OK = DataAccessResult.SUCCESS
AARE = Aare(user_information=InitiateResponse(EVERYTHING, 200).encode()).encode()


class Bench:
    """A client whose meter is a function from request to answer."""

    def __init__(
        self,
        service: Callable[[Any], Any] = lambda _: None,
        *,
        config: ClientConfig | None = None,
        aare: bytes | str | None = AARE,
        limit: int = 0,
        counters: KeptCounters | None = None,
    ) -> None:
        self.service = service
        self.aare = aare
        self.now = 0.0
        self.link = ScriptedLink(self._answer, limit=limit)
        self.client = DlmsClient(
            self.link, config or ClientConfig(), random_octets=octets_of(3), counters=counters
        )

    def _answer(self, octets: bytes) -> bytes | str | None:
        if octets[0] == 0x60:
            return self.aare
        if octets[0] == 0x62:
            return Rlre().encode()
        answer = self.service(decode_apdu(octets))
        return answer if isinstance(answer, bytes | str | None) else answer.encode()

    def events(self) -> list[Any]:
        found = []
        while (event := self.client.next_event()) is not None:
            found.append(event)
        return found

    def open(self) -> Any:
        self.client.open(now=self.now)
        (event,) = self.events()
        return event

    def ask(self, request: Any) -> Any:
        if not self.client.ready:
            assert isinstance(self.open(), Opened)
        self.client.request(request, now=self.now)
        return self.events()[-1]


# -- association ---------------------------------------------------------------------------------


def test_opening_tells_what_was_agreed_on() -> None:
    bench = Bench(aare=Aare(user_information=InitiateResponse(EVERYTHING, 99).encode()).encode())
    opened = bench.open()
    assert opened == Opened(Agreement(EVERYTHING & ClientConfig().conformance, 99))
    assert bench.client.agreement == opened.agreement
    aarq = decode_apdu(bench.link.sent[0])
    assert isinstance(aarq, Aarq)
    assert aarq.mechanism is None
    assert aarq.user_information == InitiateRequest(ClientConfig().conformance, 0xFFFF).encode()


def test_the_links_limit_is_proposed() -> None:
    bench = Bench(limit=300)
    bench.open()
    aarq = decode_apdu(bench.link.sent[0])
    assert isinstance(aarq, Aarq)
    assert aarq.user_information == InitiateRequest(ClientConfig().conformance, 300).encode()


@pytest.mark.parametrize(
    ("aare", "code"),
    [
        (b"", "protocol"),
        (b"\x61\x00", "protocol"),
        (b"\xff", "protocol"),
        (Rlre().encode(), "protocol"),
        (Aare().encode(), "protocol"),
        (Aare(user_information=b"\x01").encode(), "protocol"),
        (Aare(user_information=Rlrq().encode()).encode(), "protocol"),
        (
            Aare(user_information=InitiateResponse(EVERYTHING, 1, version=5).encode()).encode(),
            "protocol",
        ),
        (
            ExceptionResponse(
                StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE
            ).encode(),
            "exception.operation-not-possible",
        ),
        (
            Aare(
                result=AssociationResult.REJECTED_TRANSIENT,
                diagnostic=2,
                source=DiagnosticSource.PROVIDER,
            ).encode(),
            "association.provider-2",
        ),
        (
            Aare(
                result=AssociationResult.REJECTED_PERMANENT,
                diagnostic=Diagnostic.CALLED_AP_TITLE_NOT_RECOGNIZED,
                user_information=b"\xff",
            ).encode(),
            "association.called-ap-title-not-recognized",
        ),
        (
            Aare(
                result=AssociationResult.REJECTED_PERMANENT,
                diagnostic=1,
                user_information=ConfirmedServiceError(1, 6, 3).encode(),
            ).encode(),
            "association.pdu-size-too-short",
        ),
        (
            Aare(user_information=ConfirmedServiceError(1, 2, 9).encode()).encode(),
            "association.service-error-2-9",
        ),
        ("refused", "link.refused"),
    ],
)
def test_why_no_association_came_about(aare: bytes | str, code: str) -> None:
    bench = Bench(aare=aare)
    closed = bench.open()
    assert isinstance(closed, Closed)
    assert closed.code == code
    assert bench.client.state.name == "CLOSED"


def test_the_meter_does_not_answer() -> None:
    bench = Bench(aare=None, config=ClientConfig(timeout=30))
    bench.client.open(now=5)
    assert bench.client.next_timer() == 35
    bench.client.handle_timer(now=34)
    assert bench.events() == []
    bench.client.handle_timer(now=35)
    assert bench.events() == [Closed("timeout", "the meter did not answer")]
    assert bench.client.next_timer() is None


HLS = ClientConfig(mechanism=Mechanism.HLS_GMAC, keys=KEYS, title=CLIENT_TITLE)
METER_TITLE = SystemTitle.of("XYZ", 77)


def hls_bench(
    pass_4: Callable[[Channel, bytes, Any], Any], *, challenge: bytes = b"StoCStoC", **fields: Any
) -> Bench:
    """Return a client whose meter answers pass 3 by ``pass_4``."""
    meter = Channel(KEYS, METER_TITLE.raw, KeptCounters(), CLIENT_TITLE.raw)
    own = octets_of(3)(16)  # the client's challenge
    aare = Aare(
        diagnostic=Diagnostic.AUTHENTICATION_REQUIRED,
        title=fields.get("title", METER_TITLE.raw),
        mechanism=Mechanism.HLS_GMAC,
        authentication=challenge,
        user_information=InitiateResponse(EVERYTHING, 0).encode(),
    )
    return Bench(lambda request: pass_4(meter, own, request), config=HLS, aare=aare.encode())


def reply(request: Any, data: Any, result: ActionResult = ActionResult.SUCCESS) -> Any:
    return action.ActionResponseNormal(request.invoke_id, action.ActionOutcome(result, data))


def test_any_meter_that_holds_the_keys_is_believed() -> None:
    def pass_4(meter: Channel, own: bytes, request: Any) -> Any:
        meter.hls_check(request.parameters.value, b"StoCStoC")
        return reply(request, d.octets(meter.hls_answer(own)))

    opened = hls_bench(pass_4).open()
    assert isinstance(opened, Opened)
    assert opened.agreement.title == METER_TITLE.raw


def test_a_meter_without_title_is_known_by_configuration() -> None:
    def pass_4(meter: Channel, own: bytes, request: Any) -> Any:
        return reply(request, d.octets(meter.hls_answer(own)))

    bench = hls_bench(pass_4, title=None)
    assert bench.open().code == "security.title"
    config = ClientConfig(
        mechanism=Mechanism.HLS_GMAC, keys=KEYS, title=CLIENT_TITLE, server_title=METER_TITLE
    )
    again = hls_bench(pass_4, title=None)
    again.client = DlmsClient(again.link, config, random_octets=octets_of(3))
    assert isinstance(again.open(), Opened)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda _m, _o, r: reply(r, d.octets(bytes(17))), "security.hls"),
        (lambda _m, _o, r: reply(r, d.octets(b"")), "security.hls"),
        (lambda _m, _o, r: reply(r, None), "security.hls"),
        (lambda _m, _o, r: reply(r, d.u8(1)), "protocol"),
        (
            lambda _m, _o, r: reply(r, None, ActionResult.READ_WRITE_DENIED),
            "association.authentication-failure",
        ),
        (
            lambda _m, _o, _r: ExceptionResponse(
                StateError.SERVICE_NOT_ALLOWED, ServiceError.OTHER_REASON
            ),
            "association.authentication-failure",
        ),
        (lambda _m, _o, r: get.GetResponseNormal(r.invoke_id, d.null()), "protocol"),
        (lambda m, _o, r: reply(r, d.octets(m.hls_answer(b"another one"))), "security.hls"),
        (lambda _m, _o, r: reply(r, r.parameters), "security.hls"),
        (
            lambda _m, _o, _r: ConfirmedServiceError(1, 1, 1),
            "association.authentication-failure",
        ),
        (lambda _m, _o, _r: "timeout", "link.timeout"),
    ],
)
def test_a_meter_that_does_not_prove_itself_is_not_believed(answer: Any, code: str) -> None:
    assert hls_bench(answer).open().code == code


def test_challenges_are_checked() -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("pass 3 was sent")

    assert hls_bench(never, challenge=b"short").open().code == "security.hls"
    assert hls_bench(never, challenge=bytes(65)).open().code == "security.hls"
    assert hls_bench(never, challenge=octets_of(3)(16)).open().code == "security.hls"
    assert hls_bench(never, title=CLIENT_TITLE.raw).open().code == "security.hls"


# -- GET -----------------------------------------------------------------------------------------


def test_data_stay_encoded_until_they_are_wanted() -> None:
    bench = Bench(lambda r: bytes((0xC4, 1, r.invoke_id, 0, 0x09, 0x05)))
    answer = bench.ask(GetAttribute(REF))
    assert answer.raw == b"\x09\x05"
    with pytest.raises(DecodeError):
        answer.data  # noqa: B018 - the property raises
    assert "raw" not in repr(answer)


def blocks(*parts: Any, numbers: tuple[int, ...] = (), last: bool = True) -> Callable[[Any], Any]:
    """Return a meter that answers with these blocks one after another."""
    left = list(parts)
    count = [0]

    def answer(request: Any) -> Any:
        count[0] += 1
        number = numbers[count[0] - 1] if numbers else count[0]
        if count[0] > 1:
            assert request.number == count[0] - 1
        part = left.pop(0)
        is_last = last and not left
        return get.GetResponseBlock(request.invoke_id, is_last, number, part)

    return answer


def test_blocks_are_put_together() -> None:
    octets = d.octets(bytes(range(90))).encode()
    bench = Bench(blocks(octets[:40], octets[40:80], octets[80:]))
    bench.open()
    bench.client.request(GetAttribute(REF), now=0)
    *progress, answer = bench.events()
    assert progress == [Progress(40), Progress(80), Progress(92)]
    assert answer.raw == octets


@pytest.mark.parametrize(
    "service",
    [
        blocks(b"\x09", b"\x00", numbers=(1, 3)),
        blocks(b"\x09", b"\x00", numbers=(0, 1)),
        blocks(b"\x09", b"", b"\x00"),
        blocks(*[bytes(100)] * 20, last=False),
        lambda r: get.GetResponseNormal(r.invoke_id ^ 1, d.null()),
        lambda r: get.GetResponseBlock(r.invoke_id ^ 1, True, 1, b"\x00"),
        lambda r: set_.SetResponseNormal(r.invoke_id, OK),
        lambda r: get.GetResponseWithList(r.invoke_id, (d.null(),)),
        lambda _: b"",
        lambda _: b"\xc4",
        lambda _: b"\xc4\x01\xc1\x00",
        lambda _: Rlre(),
        lambda _: bytes.fromhex("D80109"),
    ],
)
def test_answers_that_break_the_standard_close(service: Any) -> None:
    bench = Bench(service, config=ClientConfig(max_answer=1000))
    closed = bench.ask(GetAttribute(REF))
    assert isinstance(closed, Closed)
    assert closed.code == "protocol"
    assert bench.link.disconnected == 1


def test_a_meter_that_ends_a_transfer() -> None:
    bench = Bench(blocks(b"\x09", DataAccessResult.LONG_GET_ABORTED))
    assert bench.ask(GetAttribute(REF)).items[0].result is DataAccessResult.LONG_GET_ABORTED
    assert bench.client.ready

    def plainly(request: Any) -> Any:
        if isinstance(request, get.GetRequestNext):
            return get.GetResponseNormal(request.invoke_id, DataAccessResult.OTHER_REASON)
        return get.GetResponseBlock(request.invoke_id, False, 1, b"\x09")

    assert Bench(plainly).ask(GetAttribute(REF)).items[0].result is DataAccessResult.OTHER_REASON
    listed = Bench(blocks(b"\x02", DataAccessResult.LONG_GET_ABORTED))
    items = listed.ask(GetList.of(REF, REF)).items
    assert [item.result for item in items] == [DataAccessResult.LONG_GET_ABORTED] * 2


def test_a_meter_that_hangs_up_in_a_transfer() -> None:
    def service(request: Any) -> Any:
        if isinstance(request, get.GetRequestNext):
            return "disconnected"
        return get.GetResponseBlock(request.invoke_id, False, 1, b"\x09")

    assert Bench(service).ask(GetAttribute(REF)) == Closed("link.disconnected", "it hung up")


def test_a_list_is_cut_to_what_the_meter_takes() -> None:
    asked = []

    def service(request: Any) -> Any:
        items = request.items if hasattr(request, "items") else (request.ref,)
        asked.append(len(items))
        assert len(request.encode()) <= 200
        if len(items) == 1:
            return get.GetResponseNormal(request.invoke_id, d.u8(1))
        return get.GetResponseWithList(request.invoke_id, (d.u8(1),) * len(items))

    answer = Bench(service).ask(GetList.of(*(REF,) * 40))
    assert len(answer.items) == 40
    assert answer.ok
    assert sum(asked) == 40
    assert len(asked) > 1


def test_a_list_with_too_few_results_closes() -> None:
    bench = Bench(lambda r: get.GetResponseWithList(r.invoke_id, (d.u8(1),)))
    assert bench.ask(GetList.of(REF, REF)).code == "protocol"
    bench = Bench(blocks(b"\x01\x00\x11\x01"))
    assert bench.ask(GetList.of(REF, REF)).code == "protocol"


# -- exceptions ----------------------------------------------------------------------------------


def exception(service: ServiceError, counter: int = 0) -> ExceptionResponse:
    return ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, service, counter)


def test_an_exception_leaves_the_association() -> None:
    bench = Bench(lambda _: exception(ServiceError.SERVICE_NOT_SUPPORTED))
    failed = bench.ask(GetAttribute(REF))
    assert isinstance(failed, Failed)
    assert failed.code == "exception.service-not-supported"
    bench.service = lambda r: get.GetResponseNormal(r.invoke_id, d.u8(1))
    assert bench.ask(GetAttribute(REF)).data == d.u8(1)


def test_an_error_without_an_invoke_id_leaves_the_association() -> None:
    """Older meters answer a service that failed with a confirmed-service-error."""
    bench = Bench(lambda _: ConfirmedServiceError(5, 5, 2))
    failed = bench.ask(GetAttribute(REF))
    assert isinstance(failed, Failed)
    assert failed.code == "exception.service-error-5-2"
    bench.service = lambda r: get.GetResponseNormal(r.invoke_id, d.u8(1))
    assert bench.ask(GetAttribute(REF)).data == d.u8(1)
    bench.service = lambda r: get.GetResponseNormal(
        r.invoke_id ^ 1, DataAccessResult.OBJECT_UNDEFINED
    )
    assert bench.ask(GetAttribute(REF)).code == "protocol", "an error that answers another request"


def test_an_exception_about_keys_or_counters_closes() -> None:
    bench = Bench(lambda _: exception(ServiceError.DECIPHERING_ERROR))
    assert bench.ask(GetAttribute(REF)).code == "exception.deciphering-error"
    bench = Bench(lambda _: exception(ServiceError.INVOCATION_COUNTER_ERROR, 900))
    closed = bench.ask(GetAttribute(REF))
    assert closed.code == "exception.invocation-counter-error"
    assert "900" in closed.message


# -- SET and ACTION ------------------------------------------------------------------------------

LONG = d.octets(bytes(400))


def taking(final: Callable[[Any], Any], *, until: int = 3, wrong: int = 0) -> Callable[[Any], Any]:
    """Return a meter that acknowledges blocks up to ``until`` and then answers by ``final``."""

    def answer(request: Any) -> Any:
        number = request.block.number
        if number >= until or request.block.last:
            return final(request)
        kind = (
            set_.SetResponseBlock
            if isinstance(request, set_.SetRequestFirstBlock | set_.SetRequestBlock)
            or hasattr(request, "items")
            else action.ActionResponseNext
        )
        return kind(request.invoke_id, number + wrong)

    return answer


def test_blocks_of_a_value_are_taken() -> None:
    final = taking(lambda r: set_.SetResponseLastBlock(r.invoke_id, OK, 3))
    bench = Bench(final)
    bench.open()
    bench.client.request(SetAttribute(REF, LONG), now=0)
    *progress, answer = bench.events()
    assert answer.ok
    assert [type(p) for p in progress] == [Progress, Progress]


@pytest.mark.parametrize(
    ("service", "outcome"),
    [
        (
            taking(
                lambda r: set_.SetResponseLastBlock(
                    r.invoke_id, DataAccessResult.LONG_SET_ABORTED, 2
                ),
                until=2,
            ),
            DataAccessResult.LONG_SET_ABORTED,
        ),
        (
            taking(lambda r: set_.SetResponseNormal(r.invoke_id, OK)),
            DataAccessResult.SUCCESS,
        ),
        (taking(lambda r: set_.SetResponseLastBlock(r.invoke_id, OK, 2), until=2), None),
        (taking(lambda r: set_.SetResponseBlock(r.invoke_id, 3)), None),
        (taking(lambda r: set_.SetResponseBlock(r.invoke_id, 3), wrong=1), None),
        (taking(lambda r: get.GetResponseNormal(r.invoke_id, d.null())), None),
        (taking(lambda r: set_.SetResponseLastBlock(r.invoke_id ^ 1, OK, 3)), None),
    ],
)
def test_ends_of_a_long_set(service: Any, outcome: DataAccessResult | None) -> None:
    event = Bench(service).ask(SetAttribute(REF, LONG))
    if outcome is None:
        assert event.code == "protocol"
    else:
        assert event.items[0].result is outcome


def test_ends_of_a_long_set_of_a_list() -> None:
    request = SetList((SetAttribute(REF, LONG), SetAttribute(REF, d.u8(1))))
    whole = taking(lambda r: set_.SetResponseLastBlockWithList(r.invoke_id, (OK, OK), 3))
    assert Bench(whole).ask(request).ok
    aborted = taking(
        lambda r: set_.SetResponseLastBlock(r.invoke_id, DataAccessResult.LONG_SET_ABORTED, 2),
        until=2,
    )
    items = Bench(aborted).ask(request).items
    assert [item.result for item in items] == [DataAccessResult.LONG_SET_ABORTED] * 2
    odd = taking(lambda r: set_.SetResponseNormal(r.invoke_id, OK))
    assert Bench(odd).ask(request).code == "protocol"
    few = taking(lambda r: set_.SetResponseLastBlockWithList(r.invoke_id, (OK,), 3))
    assert Bench(few).ask(request).code == "protocol"


def small(size: int, conformance: Conformance = EVERYTHING) -> bytes:
    return Aare(user_information=InitiateResponse(conformance, size).encode()).encode()


def test_lists_whose_names_do_not_fit_go_one_by_one() -> None:
    def service(request: Any) -> Any:
        if isinstance(request, set_.SetRequestNormal):
            return set_.SetResponseNormal(request.invoke_id, OK)
        return reply(request, None)

    sets = SetList((SetAttribute(REF, d.u8(1)),) * 9)
    assert Bench(service, aare=small(50)).ask(sets).ok
    actions = InvokeList((InvokeMethod(METHOD, d.u8(1)),) * 9)
    assert Bench(service, aare=small(50)).ask(actions).ok


def test_what_cannot_be_sent_is_not_sent() -> None:
    bench = Bench(aare=small(100, Conformance.SET | Conformance.ACTION))
    assert bench.ask(SetAttribute(REF, LONG)).code == "pdu-too-long"
    assert bench.ask(InvokeMethod(METHOD, LONG)).code == "pdu-too-long"
    assert bench.ask(SetList((SetAttribute(REF, LONG),))).code == "pdu-too-long"
    assert bench.client.ready
    assert len(bench.link.sent) == 1
    tight = Bench(aare=small(30))
    assert tight.ask(SetAttribute(REF, LONG)).code == "pdu-too-long"
    later = Bench(
        lambda r: set_.SetResponseNormal(r.invoke_id, OK), aare=small(100, Conformance.SET)
    )
    both = SetList((SetAttribute(REF, d.u8(1)), SetAttribute(REF, LONG)))
    assert later.ask(both).code == "pdu-too-long"
    assert later.client.ready


def outcome_blocks(octets: bytes, size: int = 10) -> Callable[[Any], Any]:
    parts = [octets[i : i + size] for i in range(0, len(octets), size)]

    def answer(request: Any) -> Any:
        number = request.number + 1 if isinstance(request, action.ActionRequestNext) else 1
        block = Block(number == len(parts), number, parts[number - 1])
        return action.ActionResponseBlock(request.invoke_id, block)

    return answer


def test_long_outcomes_come_in_blocks() -> None:
    data = d.octets(bytes(30))
    right = outcome_blocks(b"\x00\x01\x00" + data.encode())
    assert Bench(right).ask(InvokeMethod(METHOD)).data == data
    bare = outcome_blocks(data.encode())
    assert Bench(bare).ask(InvokeMethod(METHOD)).data == data
    neither = outcome_blocks(b"\xee" * 20)
    assert Bench(neither).ask(InvokeMethod(METHOD)).code == "protocol"
    listed = outcome_blocks(
        action.encode_outcomes(
            (
                action.ActionOutcome(ActionResult.SUCCESS, data),
                action.ActionOutcome(ActionResult.OTHER_REASON),
            )
        )
    )
    both = InvokeList((InvokeMethod(METHOD), InvokeMethod(METHOD)))
    items = Bench(listed).ask(both).items
    assert [item.result for item in items] == [0, 250]
    assert items[0].data == data
    assert items[1].raw is None
    assert items[1].data == d.null()


def test_ends_of_a_long_action() -> None:
    request = InvokeMethod(METHOD, LONG)
    assert Bench(taking(lambda r: reply(r, None))).ask(request).ok
    early = taking(lambda r: reply(r, None, ActionResult.LONG_ACTION_ABORTED), until=2)
    assert Bench(early).ask(request).items[0].result is ActionResult.LONG_ACTION_ABORTED
    wrong = taking(lambda r: reply(r, None), wrong=2)
    assert Bench(wrong).ask(request).code == "protocol"
    both = InvokeList((request, request))
    assert [i.result for i in Bench(early).ask(both).items] == [
        ActionResult.LONG_ACTION_ABORTED
    ] * 2
    odd = taking(lambda r: get.GetResponseNormal(r.invoke_id, d.null()))
    assert Bench(odd).ask(both).code == "protocol"


def test_an_outcome_may_hold_an_error_instead_of_data() -> None:
    bench = Bench(lambda r: reply(r, DataAccessResult.OTHER_REASON))
    item = bench.ask(InvokeMethod(METHOD)).items[0]
    assert item.raw is None
    assert item.ok


# -- commands ------------------------------------------------------------------------------------


def test_commands_at_the_wrong_time_are_our_own_fault() -> None:
    bench = Bench()
    with pytest.raises(LocalProtocolError):
        bench.client.request(GetAttribute(REF), now=0)
    bench.open()
    with pytest.raises(LocalProtocolError):
        bench.client.open(now=0)
    bench.client.request(GetAttribute(REF), now=0)
    with pytest.raises(LocalProtocolError):
        bench.client.request(GetAttribute(REF), now=0)


def test_a_value_that_is_none_of_its_type_is_our_own_fault() -> None:
    bench = Bench()
    bench.open()
    with pytest.raises(LocalProtocolError):
        bench.client.request(SetAttribute(REF, d.u8(999)), now=0)
    assert bench.client.ready


def test_closing_releases_and_disconnects() -> None:
    bench = Bench()
    bench.open()
    bench.client.close(now=0)
    assert bench.link.sent[-1] == Rlrq().encode()
    assert bench.events() == [Closed("closed")]
    bench.client.close(now=0)
    assert bench.events() == []


def test_closing_without_a_release() -> None:
    bench = Bench(config=ClientConfig(release=False))
    bench.open()
    bench.client.close(now=0)
    assert len(bench.link.sent) == 1
    assert bench.events() == [Closed("closed")]


def test_closing_before_opening() -> None:
    bench = Bench()
    bench.client.close(now=0)
    assert bench.events() == [Closed("closed")]
    assert bench.link.sent == []


def test_closing_while_a_request_is_under_way() -> None:
    bench = Bench()
    bench.open()
    bench.client.request(GetAttribute(REF), now=0)
    bench.client.close(now=0)
    assert bench.events() == [Closed("closed")]


def test_a_meter_that_does_not_answer_the_release() -> None:
    bench = Bench(config=ClientConfig(timeout=7))
    bench.open()
    bench.link.answer = lambda _: None
    bench.client.close(now=0)
    assert bench.events() == []
    bench.client.handle_timer(now=7)
    assert bench.events() == [Closed("closed")]


def test_a_meter_that_hangs_up_on_the_release() -> None:
    bench = Bench()
    bench.open()
    bench.link.answer = lambda _: "closed"
    bench.client.close(now=0)
    assert bench.events() == [Closed("closed")]


def test_the_end_of_the_stream_closes() -> None:
    bench = Bench()
    bench.open()
    bench.client.receive_eof(now=0)
    assert bench.events() == [Closed("link.closed")]


def test_notifications_are_told_and_change_nothing() -> None:
    bench = Bench()
    bench.open()
    event = EventNotification(REF, d.u8(1))
    bench.link.events.append(ApduReceived(event.encode()))
    bench.link.events.append(ApduReceived(b"\xc2\x01"))
    bench.client.handle_timer(now=0)
    assert bench.events() == [Notified(event)]
    assert bench.client.ready


def test_an_answer_that_nobody_awaits_is_dropped() -> None:
    bench = Bench()
    bench.open()
    bench.link.events.append(ApduReceived(get.GetResponseNormal(1, d.u8(1)).encode()))
    bench.client.handle_timer(now=0)
    assert bench.events() == []
    assert bench.client.ready


def test_a_link_that_comes_up_twice_closes() -> None:
    bench = Bench()
    bench.open()
    bench.link.events.append(LinkUp())
    bench.client.handle_timer(now=0)
    (closed,) = bench.events()
    assert closed.code == "protocol"


def test_counters_that_are_used_up_close() -> None:
    config = ClientConfig(
        security=SecurityLevel.BOTH,
        keys=KEYS,
        title=CLIENT_TITLE,
        invocation_counter=0xFFFFFFFF + 1,
    )
    assert Bench(config=config).open().code == "security.counter"


def test_counters_that_cannot_be_kept_close() -> None:
    def full(_limit: int, _last: int) -> None:
        raise StoreError("no room left")

    config = ClientConfig(security=SecurityLevel.BOTH, keys=KEYS, title=CLIENT_TITLE)
    bench = Bench(config=config, counters=KeptCounters(keep=full))
    assert bench.open() == Closed("store", "no room left")


@pytest.mark.parametrize(
    "fields",
    [
        {"mechanism": Mechanism.HLS_SHA256},
        {"mechanism": Mechanism.LLS},
        {"mechanism": Mechanism.HLS_GMAC},
        {"security": SecurityLevel.BOTH, "keys": KEYS},
        {"ciphered": True, "title": CLIENT_TITLE},
        {"max_pdu": 70000},
    ],
)
def test_configurations_that_do_not_fit_together(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ClientConfig(**fields)


def test_secrets_are_not_shown() -> None:
    keys = Keys(guek=b"0123456789abcdef", gak=b"fedcba9876543210")
    config = ClientConfig(mechanism=Mechanism.LLS, secret=b"hush-hush", keys=keys)
    shown = repr(config) + repr(SetAttribute(REF, d.octets(b"hush-hush")))
    shown += repr(InvokeMethod(METHOD, d.octets(b"hush-hush")))
    assert "hush" not in shown
    assert "0123456789abcdef" not in shown
    assert "fedcba" not in shown


def test_an_empty_event_queue() -> None:
    bench = Bench()
    assert bench.client.next_event() is None
    assert bench.client.data_to_send() == ()
    assert bench.client.invocation_counter == 0
    assert isinstance(bench.ask(GetList(())), Answered)
