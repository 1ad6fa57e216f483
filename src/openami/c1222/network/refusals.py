"""What a relay writes into messages of others: errors, and its title where a way is traced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openami.c1222.apdu import Apdu
from openami.c1222.codes import ResponseControl, SecurityMode, ServiceCode
from openami.c1222.epsem import Epsem
from openami.c1222.limits import MAX_TITLES
from openami.c1222.security import protect
from openami.c1222.services import Failure, Trace
from openami.core.errors import LocalProtocolError

if TYPE_CHECKING:
    from openami.c1222.codes import ResponseCode
    from openami.c1222.network.glance import Glance
    from openami.c1222.titles import ApTitle


def refusal(
    asked: Apdu, seen: Glance, code: ResponseCode, *, own: ApTitle, number: int
) -> bytes | None:
    """Return the answer to a message that a relay does not bring to where it is to go.

    It is in clear, since the relay does not share a key with the sender, and so a sender that
    protects its requests does not believe it and waits until it gives up.

    Args:
        asked: the message, or a segment of it.
        seen: what shows of it.
        code: why not.
        own: the relay's title.
        number: the invocation id of the answer.

    Returns:
        None: no answer is wanted, or nobody says where to.
    """
    unasked = seen.respond is ResponseControl.NEVER or asked.answers is not None
    if unasked or asked.reference or asked.calling is None or asked.called is None:
        return None
    # C12.22, 5.3.2.4.11: also where it fails, a Trace tells how far it came.
    first = next(iter(seen.requests()), None)
    titles = (*first.titles, own)[:MAX_TITLES] if isinstance(first, Trace) else ()
    answer = Apdu(number, asked.calling, asked.called, answers=asked.invocation_id)
    return protect(answer, Epsem((Failure(code, titles=titles).encode(),)))


def is_circling(seen: Glance, own: ApTitle) -> bool:
    """Tell whether a Trace has been here, or has come too far."""
    return any(
        isinstance(request, Trace)
        and (own.name in {title.name for title in request.titles} or _is_long(request))
        for request in seen.requests()
        if seen.mode is SecurityMode.CLEAR
    )


def _is_long(request: Trace) -> bool:
    return len(request.titles) >= MAX_TITLES


def traced(apdu: Apdu, seen: Glance, own: ApTitle) -> bytes:
    """Return a message as it is passed on: with the relay's title in its Trace, if it has one.

    What is protected stays as it is: whoever changes it breaks its tag; and so does what is as long
    as a message may be.
    """
    if seen.mode is not SecurityMode.CLEAR or not any(map(_is_trace, seen.services)):
        return apdu.octets
    services = tuple(
        Trace((*request.titles, own)).encode() if isinstance(request, Trace) else octets
        for octets, request in zip(seen.services, seen.requests(), strict=True)
    )
    epsem = replace(Epsem.read(apdu.information[0], apdu.information[1:]), services=services)
    try:
        return replace(apdu, information=bytes((epsem.control,)) + epsem.body()).encode()
    except LocalProtocolError:
        return apdu.octets


def _is_trace(service: bytes) -> bool:
    return service[0] == ServiceCode.TRACE
