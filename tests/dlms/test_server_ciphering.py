"""The server asked in ciphered APDUs: releases, keys, policies, broadcasts and rights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dlms_links import Desk
from tests.support.dlms_meter import (
    CIPHERED_READER,
    CLIENT_TITLE,
    ENERGY,
    KEYS,
    MANAGER,
    NOTE,
    SERVER_TITLE,
    Meter,
    make_meter,
)

from openami.core.errors import StoreError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.apdu import action, decode_apdu, get
from openami.dlms.apdu import set as set_
from openami.dlms.apdu.acse import (
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    Mechanism,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
)
from openami.dlms.apdu.ciphered import CipheredApdu, Form
from openami.dlms.apdu.common import invoke_octet
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from openami.dlms.association import Channel, Protection
from openami.dlms.cosem import (
    EVERYTHING,
    AttributeMode,
    ClientKind,
    DataObject,
    KeptCounters,
    MethodMode,
    Register,
    Rights,
)
from openami.dlms.link import Peer
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.security import AUTHENTICATED, BOTH, ENCRYPTED, Keys, SecurityControl
from openami.dlms.server import (
    ApduRefused,
    AssociationFailed,
    AssociationOpened,
    AssociationReleased,
    DecipheringFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ID = invoke_octet(1)
SILENT = invoke_octet(1, confirmed=False)
GLO = Protection(BOTH, Form.GLOBAL)
REFUSED = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
UNDECIPHERED = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.DECIPHERING_ERROR)
CIPHERED = ApplicationContext.LN_CIPHERED


class Caller:
    """A client with keys at the desk of a meter."""

    def __init__(self, meter: Meter, *, sap: int = CIPHERED_READER, keys: Keys = KEYS) -> None:
        self.meter = meter
        self.desk = Desk(meter.device, client=sap)
        self.counters = KeptCounters()
        self.channel = Channel(keys, CLIENT_TITLE.raw, self.counters, SERVER_TITLE.raw)

    def open(self, protection: Protection = GLO, **fields: Any) -> Aare:
        request = InitiateRequest(EVERYTHING, 500, fields.pop("dedicated", None)).encode()
        information = self.channel.protect(request, protection)
        aarq = Aarq(CIPHERED, CLIENT_TITLE.raw, user_information=information, **fields)
        answer = self.desk.ask(aarq)
        assert isinstance(answer, Aare)
        return answer

    def opened(self, protection: Protection = GLO, **fields: Any) -> Caller:
        answer = self.open(protection, **fields)
        assert answer.result is AssociationResult.ACCEPTED
        information = decode_apdu(answer.user_information or b"")
        assert isinstance(information, CipheredApdu)
        self.channel.unprotect(information)
        self.desk.events()
        return self

    def ask(self, apdu: Any, protection: Protection = GLO) -> Any:
        answer = self.desk.ask_octets(self.channel.protect(apdu.encode(), protection))
        found = decode_apdu(answer)
        if not isinstance(found, CipheredApdu):
            return found
        return decode_apdu(self.channel.unprotect(found).apdu)


def energy() -> get.GetRequestNormal:
    return get.GetRequestNormal(ID, ENERGY)


ANSWER = get.GetResponseNormal(ID, d.u32(123456))


def test_the_answer_is_protected_as_the_request_was() -> None:
    caller = Caller(make_meter()).opened()
    for control in (AUTHENTICATED, ENCRYPTED, BOTH):
        for form in (Form.GLOBAL, Form.GENERAL_GLOBAL):
            octets = caller.channel.protect(energy().encode(), Protection(control, form))
            found = decode_apdu(caller.desk.ask_octets(octets))
            assert isinstance(found, CipheredApdu)
            assert (found.security_control, found.form) == (control.octet, form)
            assert decode_apdu(caller.channel.unprotect(found).apdu) == ANSWER
    plain = caller.desk.ask(energy())
    assert plain == ANSWER, "without a policy a plain request is answered plain"


def test_the_policy_protects_answers_to_plain_requests() -> None:
    meter = make_meter()
    meter.security._version = 1
    meter.security.state = replace(meter.security.state, policy=0x60)
    caller = Caller(meter).opened()
    found = decode_apdu(caller.desk.ask_octets(energy().encode()))
    assert isinstance(found, CipheredApdu)
    assert found.security_control == BOTH.octet
    assert decode_apdu(caller.channel.unprotect(found).apdu) == ANSWER
    half = Protection(AUTHENTICATED, Form.GLOBAL)
    found = decode_apdu(caller.desk.ask_octets(caller.channel.protect(energy().encode(), half)))
    assert isinstance(found, CipheredApdu)
    assert found.security_control == BOTH.octet


def test_a_request_with_too_little_protection_is_refused() -> None:
    caller = Caller(make_meter(policy=3)).opened()
    assert caller.desk.ask(energy()) == REFUSED
    assert caller.ask(energy(), Protection(AUTHENTICATED, Form.GLOBAL)) == REFUSED
    codes = [e.code for e in caller.desk.events() if isinstance(e, DecipheringFailed)]
    assert codes == ["security.policy"] * 2
    assert caller.ask(energy()) == ANSWER


@pytest.mark.parametrize(
    "octets",
    [
        "C8053000000099",
        "C80430000000",
        "CB1130000000990102030405060708090A0B0C",
        "DB08000000000000000011300000FFFF0102030405060708090A0B0C",
        "DB00113000000FFF0102030405060708090A0B0C",
        "D0113000000FFF0102030405060708090A0B0C0D",
        "C811B000000FFF0102030405060708090A0B0C0D",
        "C8113F00000FFF0102030405060708090A0B0C0D",
    ],
)
def test_what_cannot_be_deciphered(octets: str) -> None:
    caller = Caller(make_meter()).opened()
    found = caller.desk.ask_octets(bytes.fromhex(octets))
    assert found[:2] == b"\xd8\x01"
    assert found[2] in (3, 5)
    assert caller.ask(energy()) == ANSWER


def test_a_ciphered_request_before_an_association_is_refused() -> None:
    caller = Caller(make_meter())
    assert caller.ask(energy()) == REFUSED
    assert caller.desk.events() == [ApduRefused(Peer(CIPHERED_READER, 1), "state")]


def test_another_apdu_inside_than_announced_is_refused() -> None:
    caller = Caller(make_meter()).opened()
    octets = bytearray(caller.channel.protect(energy().encode(), GLO))
    octets[0] = 0xC9  # glo-set-request
    assert decode_apdu(caller.desk.ask_octets(bytes(octets))) == UNDECIPHERED
    inner = caller.ask(Aarq(user_information=b""), Protection(BOTH, Form.GENERAL_GLOBAL))
    assert inner == ExceptionResponse(
        StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED
    )


def test_a_dedicated_key_must_be_a_key() -> None:
    caller = Caller(make_meter())
    answer = caller.open(dedicated=bytes(8))
    assert answer.result is AssociationResult.REJECTED_PERMANENT
    assert answer.user_information == bytes.fromhex("0E010600")
    (failed,) = caller.desk.events()
    assert isinstance(failed, AssociationFailed)
    assert failed.code == "initiate"


def test_a_dedicated_key_lives_as_long_as_its_association() -> None:
    caller = Caller(make_meter()).opened(dedicated=bytes(16))
    caller.channel.dedicate(bytes(16))
    ded = Protection(BOTH, Form.DEDICATED)
    assert caller.ask(energy(), ded) == ANSWER
    caller.opened()
    assert caller.ask(energy(), ded) == UNDECIPHERED


def test_the_meter_remembers_who_came() -> None:
    caller = Caller(make_meter()).opened()
    assert caller.meter.security.client_title == CLIENT_TITLE


# -- release -------------------------------------------------------------------------------------


def release(caller: Caller, inner: bytes) -> Rlre:
    answer = caller.desk.ask(Rlrq(user_information=caller.channel.protect(inner, GLO)))
    assert isinstance(answer, Rlre)
    return answer


def test_a_ciphered_release_is_answered_ciphered() -> None:
    caller = Caller(make_meter()).opened()
    answer = release(caller, InitiateRequest(EVERYTHING, 500).encode())
    information = decode_apdu(answer.user_information or b"")
    assert isinstance(information, CipheredApdu)
    response = decode_apdu(caller.channel.unprotect(information).apdu)
    assert isinstance(response, InitiateResponse)
    assert [type(e) for e in caller.desk.events()] == [AssociationReleased]


def test_a_forged_release_does_not_end_the_association() -> None:
    caller = Caller(make_meter()).opened()
    stranger = Channel(Keys(guek=bytes(16), gak=bytes(16)), CLIENT_TITLE.raw, KeptCounters(50))
    forged = stranger.protect(InitiateRequest(EVERYTHING, 500).encode(), GLO)
    answer = caller.desk.ask(Rlrq(user_information=forged))
    assert answer == Rlre(ReleaseResponseReason.NOT_FINISHED)
    assert caller.ask(energy()) == ANSWER


def test_a_release_with_something_else_inside_is_malformed() -> None:
    caller = Caller(make_meter()).opened()
    answer = caller.desk.ask(Rlrq(user_information=caller.channel.protect(energy().encode(), GLO)))
    assert isinstance(answer, ExceptionResponse)
    plain = caller.desk.ask(Rlrq(user_information=InitiateRequest(EVERYTHING, 0).encode()))
    assert plain == Rlre()


# -- HLS -----------------------------------------------------------------------------------------


def challenged() -> tuple[Caller, bytes]:
    caller = Caller(make_meter(), sap=MANAGER)
    answer = caller.open(mechanism=Mechanism.HLS_GMAC, authentication=b"CtoSCtoS")
    assert answer.diagnostic is Diagnostic.AUTHENTICATION_REQUIRED
    assert answer.authentication is not None
    return caller, answer.authentication


def pass_3(octets: bytes, name: str = "0.0.40.0.0.255") -> action.ActionRequestNormal:
    return action.ActionRequestNormal(ID, MethodRef(15, Obis.parse(name), 1), d.octets(octets))


@pytest.mark.parametrize("name", ["0.0.40.0.0.255", "0.0.40.0.3.255"])
def test_pass_3_opens_the_association(name: str) -> None:
    caller, challenge = challenged()
    assert caller.ask(energy()) == REFUSED, "nothing but pass 3 before it"
    assert caller.ask(pass_3(b"", "0.0.40.0.4.255")) == REFUSED
    assert caller.desk.server.associated == ()
    answer = caller.ask(pass_3(caller.channel.hls_answer(challenge), name))
    assert isinstance(answer, action.ActionResponseNormal)
    assert answer.outcome.result is ActionResult.SUCCESS
    assert isinstance(answer.outcome.data, d.Data)
    caller.channel.hls_check(answer.outcome.data.octets(), b"CtoSCtoS")
    assert isinstance(caller.desk.events()[-1], AssociationOpened)
    assert caller.ask(energy()) == ANSWER


def test_there_is_one_attempt_for_each_challenge() -> None:
    for wrong in (b"", bytes(17), b"x" * 17):
        caller, challenge = challenged()
        answer = caller.ask(pass_3(wrong))
        assert answer.outcome.result is ActionResult.READ_WRITE_DENIED
        (failed,) = [e for e in caller.desk.events() if isinstance(e, AssociationFailed)]
        assert failed.code == "hls"
        assert caller.ask(pass_3(caller.channel.hls_answer(challenge))) == REFUSED


def test_challenges_have_their_length() -> None:
    for challenge in (None, b"", b"sevensx", bytes(65)):
        caller = Caller(make_meter(), sap=MANAGER)
        answer = caller.open(mechanism=Mechanism.HLS_GMAC, authentication=challenge)
        assert answer.diagnostic is Diagnostic.AUTHENTICATION_FAILURE


# -- keys that change ----------------------------------------------------------------------------


def test_an_open_association_goes_over_to_new_keys_with_the_client() -> None:
    meter = make_meter()
    caller = Caller(meter).opened()
    new = Keys(guek=bytes(range(50, 66)), gak=bytes(range(70, 86)))
    meter.security.state = replace(meter.security.state, keys=new)
    meter.security.counters.renew(bytes(16))
    assert caller.ask(energy()) == ANSWER, "still with the old ones"
    assert meter.security.counters.last == -1, "whose counters are not the new ones'"
    caller.channel = Channel(new, CLIENT_TITLE.raw, KeptCounters(5), SERVER_TITLE.raw)
    assert caller.ask(energy()) == ANSWER
    assert meter.security.counters.last == 5
    old = Channel(KEYS, CLIENT_TITLE.raw, KeptCounters(500), SERVER_TITLE.raw)
    answer = caller.desk.ask_octets(old.protect(energy().encode(), GLO))
    assert decode_apdu(answer) == UNDECIPHERED


# -- memory --------------------------------------------------------------------------------------


def failing(method: str) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise StoreError(f"no room for {method}")

    return fail


def test_counters_that_cannot_be_kept_refuse() -> None:
    full = [False]

    def keep(_limit: int, _last: int) -> None:
        if full[0]:
            raise StoreError("no room left")

    meter = make_meter()
    meter.security.counters = KeptCounters(keep=keep)
    full[0] = True
    refused = Caller(meter).open()
    assert refused.result is AssociationResult.REJECTED_TRANSIENT
    full[0] = False
    caller = Caller(meter).opened()
    full[0] = True
    assert caller.ask(energy()) == REFUSED
    assert isinstance(caller.desk.events()[-1], ApduRefused)
    full[0] = False
    assert caller.ask(energy()) == ANSWER


def test_own_counters_that_are_used_up_refuse() -> None:
    meter = make_meter()
    caller = Caller(meter).opened()
    meter.security.counters._own.next = 1 << 32  # type: ignore[attr-defined]
    assert caller.ask(energy()) == REFUSED


# -- rights --------------------------------------------------------------------------------------


def test_authenticated_modes_want_a_tag() -> None:
    rights = Rights(AttributeMode.AUTHENTICATED_READ_WRITE, MethodMode.AUTHENTICATED)
    table = {ClientKind.MANAGEMENT: rights}
    extra = [
        DataObject("0.0.96.1.77.255", d.u8(1), writable=True, access=table),
        Register("1.0.1.8.77.255", 1, reset=lambda: None, access=table),
    ]
    caller = Caller(make_meter(extra=extra)).opened()
    ref = AttributeRef(1, Obis.parse("0.0.96.1.77.255"), 2)
    method = MethodRef(3, Obis.parse("1.0.1.8.77.255"), 1)
    for protection, ok in (
        (GLO, True),
        (Protection(AUTHENTICATED, Form.GLOBAL), True),
        (Protection(ENCRYPTED, Form.GLOBAL), False),
        (Protection(), False),
    ):
        wanted = DataAccessResult.SUCCESS if ok else DataAccessResult.READ_WRITE_DENIED
        read = caller.ask(get.GetRequestNormal(ID, ref), protection)
        assert read.result == (d.u8(1) if ok else wanted)
        write = caller.ask(set_.SetRequestNormal(ID, ref, d.u8(1)), protection)
        assert write.result is wanted
        done = caller.ask(action.ActionRequestNormal(ID, method), protection)
        assert done.outcome.result == wanted


# -- broadcast -----------------------------------------------------------------------------------


def test_a_broadcast_with_the_broadcast_key_is_done() -> None:
    meter = make_meter()
    keys = replace(KEYS, gbek=bytes(range(90, 106)))
    meter.security.state = replace(meter.security.state, keys=keys)
    caller = Caller(meter, keys=keys).opened()
    control = SecurityControl.of(authenticated=True, encrypted=True, broadcast=True)
    request = set_.SetRequestNormal(SILENT, NOTE, d.octets(b"to all"))
    octets = caller.channel.protect(request.encode(), Protection(control, Form.GENERAL_GLOBAL))
    caller.desk.peer = Peer(CIPHERED_READER, 0x3FFF)
    assert caller.desk.ask_octets(octets, broadcast=True) == b""
    assert meter.objects["0.0.96.1.9.255"].read(2) == d.octets(b"to all")
    assert caller.desk.ask_octets(octets[:-1] + b"\x00", broadcast=True) == b""
