"""Every service, in every security mode, before tshark: none malformed, no wrong tag.

The judge shows answers, and the services of the network, as octets, and does not know segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.support.c1222_judge import LINKS, judge, needs_judge
from tests.support.c1222_services import REQUESTS, RESPONSES
from tests.support.c1222_vectors import MESSAGES

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import Qualifier, ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.security import Keys, protect
from openami.c1222.titles import ApTitle

if TYPE_CHECKING:
    from pathlib import Path

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
