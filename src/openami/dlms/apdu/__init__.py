"""APDUs of DLMS/COSEM: each a frozen value that encodes itself; ``decode_apdu`` reads any."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.dlms.apdu.acse import Aare, Aarq, Rlre, Rlrq
from openami.dlms.apdu.action import (
    ActionRequest,
    ActionResponse,
    read_action_request,
    read_action_response,
)
from openami.dlms.apdu.block import GeneralBlockTransfer
from openami.dlms.apdu.ciphered import CIPHERED_TAGS, CipheredApdu
from openami.dlms.apdu.common import Tag
from openami.dlms.apdu.exception import ExceptionResponse
from openami.dlms.apdu.get import (
    GetRequest,
    GetResponse,
    read_get_request,
    read_get_response,
)
from openami.dlms.apdu.initiate import ConfirmedServiceError, InitiateRequest, InitiateResponse
from openami.dlms.apdu.notification import DataNotification, EventNotification
from openami.dlms.apdu.set import (
    SetRequest,
    SetResponse,
    read_set_request,
    read_set_response,
)
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Apdu = (
    GetRequest
    | GetResponse
    | SetRequest
    | SetResponse
    | ActionRequest
    | ActionResponse
    | DataNotification
    | EventNotification
    | InitiateRequest
    | InitiateResponse
    | ConfirmedServiceError
    | ExceptionResponse
    | Aarq
    | Aare
    | Rlrq
    | Rlre
    | GeneralBlockTransfer
    | CipheredApdu
)

DECODERS: Final[Mapping[int, Callable[[Reader], Apdu]]] = {
    Tag.INITIATE_REQUEST: InitiateRequest.read,
    Tag.INITIATE_RESPONSE: InitiateResponse.read,
    Tag.CONFIRMED_SERVICE_ERROR: ConfirmedServiceError.read,
    Tag.DATA_NOTIFICATION: DataNotification.read,
    Tag.AARQ: Aarq.read,
    Tag.AARE: Aare.read,
    Tag.RLRQ: Rlrq.read,
    Tag.RLRE: Rlre.read,
    Tag.GET_REQUEST: read_get_request,
    Tag.SET_REQUEST: read_set_request,
    Tag.EVENT_NOTIFICATION: EventNotification.read,
    Tag.ACTION_REQUEST: read_action_request,
    Tag.GET_RESPONSE: read_get_response,
    Tag.SET_RESPONSE: read_set_response,
    Tag.ACTION_RESPONSE: read_action_response,
    Tag.EXCEPTION_RESPONSE: ExceptionResponse.read,
    Tag.GENERAL_BLOCK_TRANSFER: GeneralBlockTransfer.read,
    **{tag: partial(CipheredApdu.read, tag=tag) for tag in CIPHERED_TAGS},
}


def decode_apdu(octets: bytes | memoryview) -> Apdu:
    """Return the one APDU that ``octets`` are.

    Raises:
        DecodeError: they are none that is known here, or something follows.
    """
    r = Reader(octets)
    tag = r.u8()
    decode = DECODERS.get(tag)
    if decode is None:
        raise DecodeError(f"no APDU begins with {tag:02X}", offset=0, code="protocol.decode.tag")
    apdu = decode(r)
    r.finish()
    return apdu
