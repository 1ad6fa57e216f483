"""What shows of a message without its key: everything but what is enciphered, nothing proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem, check_control, mode_of
from openami.c1222.services import decode_request
from openami.core.errors import DecodeError
from openami.crypto.eax import TAG_SIZE

if TYPE_CHECKING:
    from openami.c1222.apdu import Apdu
    from openami.c1222.services import Request

_RESPOND: Final = 0x03


@dataclass(frozen=True, slots=True)
class Glance:
    """What shows of a message.

    Attributes:
        mode: how it is protected; None: it is a segment, which shows nothing.
        respond: when it wants to be answered.
        services: the octets of its services; none where they are enciphered.
        key_id: the key that it names.
    """

    mode: SecurityMode | None
    respond: ResponseControl = ResponseControl.ALWAYS
    services: tuple[bytes, ...] = ()
    key_id: int | None = None

    def requests(self) -> tuple[Request | None, ...]:
        """Return the requests of it, with None in the place of what is none."""
        return tuple(_request(service) for service in self.services)


def glance(apdu: Apdu) -> Glance:
    """Return what shows of a message, or of a segment.

    Raises:
        DecodeError: what shows is no EPSEM.
    """
    if apdu.total is not None:
        return Glance(None)
    if not apdu.information:
        raise DecodeError("no EPSEM", offset=len(apdu.octets))
    control, body = apdu.information[0], apdu.information[1:]
    check_control(control, len(apdu.octets) - len(apdu.information))
    mode, respond = mode_of(control), ResponseControl(control & _RESPOND)
    key_id = None if apdu.key is None else apdu.key.key_id
    if mode is SecurityMode.ENCRYPTED:
        return Glance(mode, respond, (), key_id)
    clear = body[:-TAG_SIZE] if mode else body
    return Glance(mode, respond, Epsem.read(control, clear).services, key_id)


def _request(service: bytes) -> Request | None:
    try:
        return decode_request(service)
    except DecodeError:
        return None
