"""Every service, in every security mode, before tshark: none malformed, no wrong tag.

The judge shows answers, and the services of the network, as octets, and does not know segments: of
a conversation it gets the whole messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.support.c1222_defects import KEY as HEALTHY_KEY
from tests.support.c1222_defects import START, TESTER, HealthyNode, target
from tests.support.c1222_judge import LINKS, judge, judgeable, needs_judge
from tests.support.c1222_meter import KEY as METER_KEY
from tests.support.c1222_meter import KEYS as METER_KEYS
from tests.support.c1222_meter import PASSWORD as METER_PASSWORD
from tests.support.c1222_meter import MeterBench
from tests.support.c1222_services import REQUESTS, RESPONSES
from tests.support.c1222_vectors import MESSAGES

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import Qualifier, ResponseControl, SecurityMode
from openami.c1222.conformance import CASES, Run, Target
from openami.c1222.epsem import Epsem
from openami.c1222.security import Keys, protect
from openami.c1222.segments import Reassembler
from openami.c1222.titles import ApTitle
from openami.core.clock import ManualClock
from openami.transport.c1222 import Endpoint, EndpointConfig
from openami.transport.c1222.testing import Line, largest_datagram

if TYPE_CHECKING:
    from pathlib import Path

    from openami.c1222.station import Station

pytestmark = [pytest.mark.peer, needs_judge()]

KEY: Final = bytes.fromhex("01020304050607080102030405060708")
KEYS: Final = Keys({2: KEY})
SERVER: Final = ApTitle.parse(".123.4")
METER: Final = ApTitle.parse(".123.8437")


def sent() -> list[bytes]:
    """Return each service in each mode, alone and with others, its titles in both forms."""
    found = []
    for number, mode in enumerate(SecurityMode):
        use = KeyUse.at(2, 1_774_742_400 + number) if mode else None
        titles = ((METER, SERVER), (METER.absolute(), SERVER.absolute()))
        requests = [request.encode() for request, _ in REQUESTS]
        for at, services in enumerate([*((each,) for each in requests), tuple(requests[:8])]):
            called, calling = titles[at % 2]
            apdu = Apdu(1000 + at, called, calling, key=use)
            found.append(protect(apdu, Epsem(services, mode), KEYS))
        for at, (_, response, _) in enumerate(RESPONSES):
            calling, called = titles[at % 2]
            apdu = Apdu(0x8000_0000 + at, called, calling, answers=at, key=use)
            found.append(protect(apdu, Epsem((response.encode(),), mode), KEYS))
        notice = Apdu(3, SERVER, METER, qualifier=Qualifier.NOTIFICATION, key=use)
        epsem = Epsem((requests[15],), mode, ResponseControl.NEVER, b"TEMP")
        found.append(protect(notice, epsem, KEYS))
    return found


@pytest.mark.parametrize("link", LINKS)
def test_every_service_in_every_mode(link: str, tmp_path: Path) -> None:
    messages = sent()
    assert len(messages) > 100
    verdict = judge(messages, tmp_path, link=link, keys={2: KEY})
    assert verdict.wrong == []
    assert verdict.seen == len(messages)


def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    good = MESSAGES[0].raw
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    verdict = judge([good, bad], tmp_path, keys={2: KEY})
    assert verdict.seen == 2
    assert len(verdict.wrong) == 1


WRONG: Final = frozenset(
    {
        *("malformed", "malformed-service", "unknown-service", "read-too-long"),
        *("wrong-tag", "unknown-key", "untitled", "forged", "write-checksum", "security-pause"),
    }
)
"""Cases that send what is wrong on purpose, wait for long, or ask for what no datagram carries."""
CASES_JUDGED: Final = [case for case in CASES if case.name not in WRONG]


async def conversation(node: Station, aim: Target, host: str, *, udp: bool) -> list[bytes]:
    """Return every message of the tester's own run, over real sockets, with its answers."""
    clock, reassembler, found = ManualClock(START), Reassembler(), []

    def heard(octets: bytes, sent: bool) -> None:
        del sent
        apdu = reassembler.receive(octets, now=START)
        if apdu is not None:
            found.append(apdu.octets)

    config = EndpointConfig(listen=((host, 0),))
    async with Endpoint(node, config, clock=clock) as endpoint:
        port = endpoint.listening[0].port
        assert port is not None
        run = Run(aim, CASES_JUDGED, first_id=1, intrusive=True)
        await Line(host, port, datagrams=udp, tap=heard).drive(run, clock=clock)
    assert run.report(host, now=START).findings == []
    judged = [octets for octets in found if judgeable(octets)]
    assert len(found) - len(judged) < 10
    return judged


@pytest.mark.parametrize(
    ("link", "host"), [("tcp", "127.0.0.1"), ("udp", "127.0.0.1"), ("udp6", "::1")]
)
async def test_a_run_of_all_services_over_sockets(link: str, host: str, tmp_path: Path) -> None:
    udp = link != "tcp"
    messages = []
    for mode in SecurityMode:
        options = {"largest": largest_datagram(host), "retries": 2} if udp else {}
        aim = target(mode, timeout=20.0, stream=not udp, **options)
        messages += await conversation(HealthyNode(), aim, host, udp=udp)
    verdict = judge(messages, tmp_path, link=link, keys={2: HEALTHY_KEY})
    assert verdict.wrong == []
    assert verdict.seen == len(messages) > 600


async def test_a_run_of_all_services_with_a_meter(tmp_path: Path) -> None:
    messages = []
    for mode in SecurityMode:
        meter = MeterBench()
        aim = Target(
            METER, TESTER, keys=METER_KEYS, key_id=2, mode=mode, user=2,
            password=METER_PASSWORD.encode(), timeout=20.0,
        )  # fmt: skip
        meter.clock.set(START)
        messages += await conversation(meter.station, aim, "127.0.0.1", udp=False)
    verdict = judge(messages, tmp_path, keys={2: METER_KEY})
    assert verdict.wrong == []
    assert verdict.seen == len(messages) > 500
