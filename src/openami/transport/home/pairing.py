"""Pairing a display with its meter by the code on the meter's label."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, RemoteProtocolError, SecurityError
from openami.core.identifiers import SystemTitle
from openami.crypto.pairing import Pairing
from openami.dlms.client import PUBLIC_CLIENT, ClientConfig
from openami.dlms.cosem.pairing import PAIRING_OBIS, HomePairing
from openami.dlms.home.messages import (
    CODE_DIGITS,
    Begin,
    Confirm,
    Confirmed,
    Place,
    exactly,
    title_of,
)
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import ActionResult
from openami.transport.home.paired import Paired
from openami.transport.home.way import way_to
from openami.transport.session import DlmsSession, ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.core.clock import Clock
    from openami.dlms.data import Data, Encodable
    from openami.transport.home.target import HomeTarget
    from openami.transport.home.way import HomeWay

FLAG: Final = b"OAM"
_TITLE_OCTETS: Final = 5
_MESSAGE_OCTETS: Final = 33

_REFUSED: Final[Mapping[ActionResult, tuple[str, str, str]]] = {
    ActionResult.READ_WRITE_DENIED: (
        "home.code",
        "the meter has another code",
        "the code stands on the meter's label",
    ),
    ActionResult.TEMPORARY_FAILURE: (
        "home.locked",
        "after wrong codes the meter takes none for a while",
        "try again later",
    ),
    ActionResult.OBJECT_UNAVAILABLE: (
        "home.full",
        "the meter has as many displays as it can",
        "have it forget one",
    ),
}


def new_title(random_octets: Callable[[int], bytes]) -> SystemTitle:
    """Return a system title for a display that has none."""
    return SystemTitle(FLAG + random_octets(_TITLE_OCTETS))


async def pair(
    target: HomeTarget,
    code: str,
    *,
    name: str,
    random_octets: Callable[[int], bytes],
    clock: Clock,
    title: SystemTitle | None = None,
    way: HomeWay | None = None,
) -> Paired:
    """Pair with a meter; keep what is returned before it is used.

    Args:
        target: where the meter is.
        code: the eight digits of its label; blanks and hyphens do not count.
        name: what the display is called in the meter's list.
        random_octets: returns octets from a cryptographic source.
        clock: the world's.
        title: the display's own system title; one at random if not given. A display that is
            paired again with the one it had takes its place, also where its last pairing was cut
            off after the meter had kept it: keep a title before it is used.
        way: how the meter is reached; by default as ``target`` says.

    Raises:
        SecurityError: ``home.code``, ``home.locked``, ``home.full``; or the meter does not know
            the code itself, and is none (``home.meter``).
        TransportError: it cannot be reached.
        RemoteProtocolError: it breaks the protocol.
    """
    digits = "".join(each for each in code if each not in " -")
    if len(digits) != CODE_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise SecurityError(f"a code has {CODE_DIGITS} digits", code="home.code")
    own = title or new_title(random_octets)
    line = await (way or way_to(target)).open(PUBLIC_CLIENT)
    try:
        config = ClientConfig(timeout=line.answer_s)
        async with DlmsSession(line.channel, line.link, config) as session:
            place = await _agree(session, digits.encode(), own, name, random_octets)
    finally:
        line.channel.close()
    if target.serial not in {None, place.serial}:
        raise SecurityError(
            f"this is the meter {place.serial}, not {target.serial}", code="home.meter"
        )
    since = int(clock.now())
    return Paired(place.serial, place.meter, place.client, own, place.keys, since)


async def _agree(
    session: DlmsSession,
    code: bytes,
    own: SystemTitle,
    name: str,
    random_octets: Callable[[int], bytes],
) -> Place:
    meter = title_of(await session.get(AttributeRef(HomePairing.CLASS_ID, PAIRING_OBIS, 2)))
    # Curve arithmetic takes some hundredths of a second of a small machine, beside the event loop.
    attempt = await asyncio.to_thread(
        lambda: Pairing(code, own.raw, meter.raw, begins=True, octets=random_octets)
    )
    begin = Begin(own, name, attempt.message)
    answer = exactly(await _call(session, 1, begin.data()), _MESSAGE_OCTETS)
    agreed = await asyncio.to_thread(lambda: attempt.agree(answer, begin.context))
    confirmed = Confirmed.of(await _call(session, 2, Confirm(own, agreed.first).data()))
    try:
        agreed.check_second(confirmed.proof)
        return _place(agreed.open(confirmed.sealed), meter)
    except SecurityError:
        raise SecurityError("what answers is not the meter", code="home.meter") from None


def _place(opened: bytes, meter: SystemTitle) -> Place:
    place = Place.decode(opened)
    if place.meter != meter:
        raise DecodeError("the place of another meter")
    return place


async def _call(session: DlmsSession, method: int, parameter: Encodable) -> Data:
    try:
        return await session.action(
            MethodRef(HomePairing.CLASS_ID, PAIRING_OBIS, method), parameter
        )
    except ServiceRefusedError as error:
        known = _REFUSED.get(error.result) if isinstance(error.result, ActionResult) else None
        if known is None:
            raise RemoteProtocolError(f"the meter does not pair: {error.message}") from error
        refused, message, hint = known
        raise SecurityError(message, hint=hint, code=refused) from None
