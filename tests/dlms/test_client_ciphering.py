"""The client with ciphered meters that do things in their own way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dlms_links import ScriptedLink
from tests.support.dlms_meter import CLIENT_TITLE, KEYS, octets_of

from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu import decode_apdu, get
from openami.dlms.apdu.acse import Aare, Aarq, AssociationResult, Diagnostic
from openami.dlms.apdu.ciphered import CipheredApdu, Form
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.initiate import ConfirmedServiceError, InitiateRequest, InitiateResponse
from openami.dlms.association import PLAIN, Channel, Protection
from openami.dlms.client import (
    ClientConfig,
    Closed,
    DlmsClient,
    GetAttribute,
    Opened,
    SecurityLevel,
)
from openami.dlms.cosem import EVERYTHING, KeptCounters
from openami.dlms.references import AttributeRef
from openami.dlms.security import AUTHENTICATED, BOTH, ENCRYPTED

if TYPE_CHECKING:
    from openami.dlms.security import SecurityControl

REF = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
METER_TITLE = SystemTitle.of("XYZ", 42).raw
BIG = InitiateResponse(EVERYTHING, 0).encode()


class OddMeter:
    """A meter of another maker: how it protects its answers is its own matter."""

    def __init__(
        self,
        form: Form | None = Form.GLOBAL,
        control: SecurityControl = BOTH,
        *,
        information: bytes = BIG,
        opening: Protection | None = None,
        result: AssociationResult = AssociationResult.ACCEPTED,
        **config: Any,
    ) -> None:
        self.channel = Channel(KEYS, METER_TITLE, KeptCounters(), CLIENT_TITLE.raw)
        self.protection = PLAIN if form is None else Protection(control, form)
        self.opening = Protection(BOTH, Form.GLOBAL) if opening is None else opening
        self.information = information
        self.result = result
        self.requests: list[Any] = []
        values: dict[str, Any] = {
            "security": SecurityLevel.BOTH, "keys": KEYS, "title": CLIENT_TITLE, **config,
        }  # fmt: skip
        self.client = DlmsClient(
            ScriptedLink(self.answer), ClientConfig(**values), random_octets=octets_of(1)
        )

    def answer(self, octets: bytes) -> bytes:
        apdu = decode_apdu(octets)
        if isinstance(apdu, Aarq):
            return self.associate(apdu)
        assert isinstance(apdu, CipheredApdu)
        request = decode_apdu(self.channel.unprotect(apdu).apdu)
        self.requests.append((apdu.form, request))
        answer = get.GetResponseNormal(request.invoke_id, d.u32(5))  # type: ignore[union-attr]
        return self.channel.protect(answer.encode(), self.protection)

    def associate(self, aarq: Aarq) -> bytes:
        message = decode_apdu(aarq.user_information or b"")
        assert isinstance(message, CipheredApdu)
        request = decode_apdu(self.channel.unprotect(message).apdu)
        assert isinstance(request, InitiateRequest)
        information = self.channel.protect(self.information, self.opening)
        if request.dedicated_key:
            self.channel.dedicate(request.dedicated_key)
        refused = self.result is not AssociationResult.ACCEPTED
        return Aare(
            aarq.context,
            self.result,
            Diagnostic.NO_REASON_GIVEN if refused else Diagnostic.NULL,
            title=METER_TITLE,
            user_information=information,
        ).encode()

    def last(self) -> Any:
        found = None
        while (event := self.client.next_event()) is not None:
            found = event
        return found

    def open(self) -> Any:
        self.client.open(now=0)
        return self.last()

    def ask(self) -> Any:
        opened = self.open()
        assert isinstance(opened, Opened), opened
        assert opened.agreement.title == METER_TITLE
        self.client.request(GetAttribute(REF), now=0)
        return self.last()


@pytest.mark.parametrize("form", [Form.GLOBAL, Form.GENERAL_GLOBAL])
@pytest.mark.parametrize("general", [False, True])
def test_answers_may_come_in_the_other_form(form: Form, *, general: bool) -> None:
    meter = OddMeter(form, general=general)
    assert meter.ask().data == d.u32(5)
    asked = Form.GENERAL_GLOBAL if general else Form.GLOBAL
    assert [found for found, _ in meter.requests] == [asked]


@pytest.mark.parametrize("form", list(Form))
def test_answers_to_the_dedicated_key_may_come_with_either(form: Form) -> None:
    meter = OddMeter(form, dedicated=True)
    assert meter.ask().data == d.u32(5)
    assert meter.requests[0][0] is Form.DEDICATED


@pytest.mark.parametrize(
    ("level", "control", "ok"),
    [
        (SecurityLevel.BOTH, BOTH, True),
        (SecurityLevel.BOTH, AUTHENTICATED, False),
        (SecurityLevel.BOTH, ENCRYPTED, False),
        (SecurityLevel.AUTHENTICATION, BOTH, True),
        (SecurityLevel.AUTHENTICATION, ENCRYPTED, False),
        (SecurityLevel.ENCRYPTION, ENCRYPTED, True),
        (SecurityLevel.ENCRYPTION, BOTH, True),
        (SecurityLevel.ENCRYPTION, AUTHENTICATED, False),
    ],
)
def test_answers_are_protected_as_well_as_requests(
    level: SecurityLevel, control: SecurityControl, *, ok: bool
) -> None:
    answer = OddMeter(control=control, security=level).ask()
    if ok:
        assert answer.data == d.u32(5)
    else:
        assert isinstance(answer, Closed)
        assert answer.code == "security.policy"


def test_a_plain_answer_is_refused() -> None:
    assert OddMeter(None).ask().code == "security.policy"


def test_a_plain_answer_to_the_association_is_refused() -> None:
    assert OddMeter(opening=PLAIN).open().code == "security.policy"


def test_reasons_of_a_refusal_may_be_ciphered() -> None:
    refused = AssociationResult.REJECTED_PERMANENT
    error = ConfirmedServiceError(1, 6, 4).encode()
    closed = OddMeter(information=error, result=refused).open()
    assert closed.code == "association.refused-by-the-vde-handler"
    closed = OddMeter(information=error, result=refused, opening=PLAIN).open()
    assert closed.code == "association.refused-by-the-vde-handler"
    closed = OddMeter(information=BIG, result=refused).open()
    assert closed.code == "association.no-reason-given"
    assert OddMeter(information=error).open().code == "association.refused-by-the-vde-handler"


def test_a_ciphered_answer_without_keys_is_refused() -> None:
    meter = OddMeter()
    protected = meter.channel.protect(BIG, Protection(BOTH, Form.GLOBAL))
    aare = Aare(user_information=protected).encode()
    client = DlmsClient(ScriptedLink(lambda _: aare), ClientConfig(), random_octets=octets_of(1))
    client.open(now=0)
    event = client.next_event()
    assert isinstance(event, Closed)
    assert event.code == "security.key"


def test_an_association_that_wants_hls_is_not_open_without_it() -> None:
    aare = Aare(diagnostic=Diagnostic.AUTHENTICATION_REQUIRED, user_information=BIG).encode()
    client = DlmsClient(ScriptedLink(lambda _: aare), ClientConfig(), random_octets=octets_of(1))
    client.open(now=0)
    event = client.next_event()
    assert isinstance(event, Closed)
    assert event.code == "association.authentication-required"


def test_an_exception_may_come_in_the_clear() -> None:
    meter = OddMeter()
    meter.open()
    exception = ExceptionResponse(
        StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, 12
    )
    meter.client._link.answer = lambda _: exception.encode()  # type: ignore[attr-defined]
    meter.client.request(GetAttribute(REF), now=0)
    assert meter.last().code == "exception.invocation-counter-error"


def test_counters_go_on_where_they_were() -> None:
    meter = OddMeter(invocation_counter=700)
    meter.ask()
    assert meter.client.invocation_counter == 702


def test_a_dedicated_key_of_ones_own_is_used() -> None:
    keys = replace(KEYS, dedicated=bytes(range(16)))
    meter = OddMeter(Form.DEDICATED, dedicated=True, keys=keys)
    assert meter.ask().data == d.u32(5)
    assert meter.channel.keys.dedicated == bytes(range(16))
