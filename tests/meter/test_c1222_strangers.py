"""What somebody without a key comes to, who takes the title of the head-end or all places."""

from __future__ import annotations

from tests.support.c1222_meter import PASSWORD, SECURITY, MeterBench

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.services import (
    Disconnect,
    Done,
    Failure,
    LoggedOn,
    Logon,
    Read,
    Security,
    TableData,
    Write,
)
from openami.c1222.titles import ApTitle
from openami.meter.c1222.device import SESSIONS

CLEAR, _, SECRET = SecurityMode
LOGON = Logon.of(2, b"utility", 255)
NAME = Write(5, b"STRANGER".ljust(20))
DENIED = (Failure(ResponseCode.ISC),)


def test_a_session_in_clear_gets_nothing_from_a_password_that_a_key_protects() -> None:
    bench = MeterBench()
    stranger = bench.client_of(CLEAR)  # says that it is the head-end
    assert bench.ask(LOGON, client=stranger) == (LoggedOn(255),)
    done, table = bench.ask(SECURITY, Read(23))
    assert (done, type(table)) == (Done(), TableData)
    for request in (Read(23), NAME, Disconnect()):
        assert bench.ask(request, client=stranger) == DENIED


def test_a_password_with_a_key_shuts_the_session_to_messages_in_clear() -> None:
    bench = MeterBench()
    stranger = bench.client_of(CLEAR)
    bench.ask(LOGON, client=stranger)
    assert bench.ask(Security.of(PASSWORD.encode())) == (Done(),)  # in that very session
    for request in (Read(23), NAME, Disconnect()):
        assert bench.exchange(request, client=stranger) is None
    assert bench.ask(NAME) == (Done(),)


def test_a_session_in_clear_keeps_nobody_out() -> None:
    bench = MeterBench()
    stranger = bench.client_of(CLEAR)
    bench.ask(Logon.of(3, b"another", 255), client=stranger)
    assert bench.ask(SECURITY, NAME) == (Done(), Done())
    bench.ask(LOGON, client=stranger)
    assert bench.ask(LOGON) == (LoggedOn(255),)
    assert bench.exchange(NAME, client=stranger) is None
    assert bench.ask(LOGON) == (Failure(ResponseCode.ISSS),)


def test_who_has_a_key_finds_a_place_among_sessions_in_clear() -> None:
    bench = MeterBench()
    strangers = [
        bench.client_of(CLEAR, title=ApTitle.parse(f".9.{number}"))
        for number in range(SESSIONS + 1)
    ]
    begun = [bench.ask(LOGON, client=stranger) for stranger in strangers]
    assert begun == [(LoggedOn(255),)] * SESSIONS + [(Failure(ResponseCode.BSY),)]
    keyed = [bench.client_of(SECRET, title=ApTitle.parse(f".8.{n}")) for n in range(SESSIONS + 1)]
    begun = [bench.ask(LOGON, client=client) for client in keyed]
    assert begun == [(LoggedOn(255),)] * SESSIONS + [(Failure(ResponseCode.BSY),)]
