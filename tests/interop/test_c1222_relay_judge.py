"""What relays write, before tshark: what they pass on, ask above, and refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.support.c1222_device import KEY_ID, METER
from tests.support.c1222_judge import LINKS, judge, needs_judge
from tests.support.c1222_net import MASTER, NEAR, OFFICE, Asker, Chain, register

from openami.c1222.codes import SecurityMode
from openami.c1222.services import (
    Deregister,
    Failure,
    Identify,
    Read,
    ReadOffset,
    Resolve,
    Trace,
    Write,
)
from openami.c1222.titles import ApTitle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_judge()

KEY: Final = {KEY_ID: bytes(range(16))}


@pytest.mark.parametrize("mode", SecurityMode)
def test_a_chain_of_relays_before_the_judge(mode: SecurityMode, tmp_path: Path) -> None:
    """Every message on every link, but for segments, which the judge does not know."""
    chain = Chain(mode, largest=4000)
    chain.open()
    chain.ask(chain.meter, register(native=b"\x0a\x00\x00\x01"))
    for request in (Identify(), Read(1), ReadOffset(64, 3, 90), Write(5, b"1"), Trace((OFFICE,))):
        chain.ask(chain.office, request)
    node = chain.asker(ApTitle.parse(".123.55"), NEAR, first_id=0xB000)
    chain.stations["node"] = Asker(node, "near")
    asked = (register(node.config.title), Resolve(METER), Trace(()), Deregister(node.config.title))
    answers = [chain.ask(node, request)[0] for request in asked]
    assert not any(isinstance(answer, Failure) for answer in answers)
    lost = chain.asker(OFFICE, ApTitle.parse(".77"), first_id=0xC000)
    chain.stations["office"] = Asker(lost, "master")
    lost.ask(Trace((MASTER, METER)), now=chain.now)
    chain.carry()  # a refusal
    chain.ask(chain.meter, Deregister(METER))
    messages = [message for _, _, message in chain.carried]
    assert len(messages) > 60
    for link in LINKS:
        verdict = judge(messages, tmp_path, link=link, keys=KEY)
        assert verdict.wrong == []
        assert verdict.seen == len(messages)
