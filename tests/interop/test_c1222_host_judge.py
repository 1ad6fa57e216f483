"""What a host writes, before tshark: what it answers its nodes, and what it asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.c1222_device import KEY_ID, PASSWORD, USER
from tests.support.c1222_hosting import Town, key_of
from tests.support.c1222_judge import LINKS, judge, needs_judge

from openami.c1222.codes import SecurityMode
from openami.c1222.network.host import Partner
from openami.c1222.network.host_events import Answered
from openami.c1222.services import (
    Deregister,
    Identify,
    Logoff,
    Logon,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    Request,
    Resolve,
    Security,
    Terminate,
    Trace,
    Wait,
    Write,
    WriteIndex,
    WriteOffset,
)

if TYPE_CHECKING:
    from pathlib import Path

    from openami.c1222.titles import ApTitle

pytestmark = [pytest.mark.peer, needs_judge()]

ALONE = Security(PASSWORD, USER)
ASKED: tuple[tuple[Request, ...], ...] = (
    (Identify(),),
    (Read(1), Read(5), ReadDefault()),
    (ReadOffset(64, 10, 200), ReadIndex(64, (1, 2), 3)),
    (ALONE, Write(5, b"x" * 40), WriteOffset(5, 2, b"yy"), WriteIndex(5, (1,), b"z")),
    (Logon.of(USER, b"reader", 60), Security(PASSWORD), Wait(9)),
    (Logoff(),),
    (Trace(()), Terminate()),
)


class Heard(Town):
    """A host that asks in any mode, and everything that it takes and gives."""

    def __init__(self, mode: SecurityMode) -> None:
        super().__init__(1)
        self.mode = mode
        self.messages: list[bytes] = []
        receive, outgoing = self.host.receive, self.host.outgoing

        def hear(data: bytes, **how: object) -> tuple[bytes, ...]:
            answers = receive(data, **how)  # type: ignore[arg-type]  # as it is called
            self.messages += [data, *answers]
            return answers

        def say() -> tuple[object, ...]:
            out = outgoing()
            self.messages += [each.message for each in out]
            return out

        self.host.receive = hear  # type: ignore[method-assign]  # it only listens
        self.host.outgoing = say  # type: ignore[method-assign, assignment]  # likewise

    def partner_of(self, title: ApTitle) -> Partner | None:
        found = super().partner_of(title)
        return None if found is None else Partner(found.keys, found.key_id, self.mode)


def said(mode: SecurityMode) -> list[bytes]:
    """Return all that a host and a node say to each other."""
    town = Heard(mode)
    (meter,) = town.meters
    told: tuple[Request, ...] = (Identify(), meter.register(), Resolve(meter.title), Trace(()))
    for request in (*told, Write(3, b"\x01")):
        assert town.tell(meter, request) is not None
    for requests in ASKED:
        town.now += 1
        town.host.ask(meter.title, *requests, now=town.now)
        town.carry()
    answered = [each for each in town.events() if isinstance(each, Answered)]
    assert len(answered) == len(ASKED)
    town.tell(meter, Deregister(meter.title))
    assert len(town.messages) == 2 * (len(ASKED) + len(told) + 2)
    return town.messages


@pytest.mark.parametrize("link", LINKS)
def test_a_host_before_the_judge(link: str, tmp_path: Path) -> None:
    messages = [each for mode in SecurityMode for each in said(mode)]
    verdict = judge(messages, tmp_path, link=link, keys={KEY_ID: key_of(1)})
    assert verdict.wrong == []
    assert verdict.seen == len(messages)
