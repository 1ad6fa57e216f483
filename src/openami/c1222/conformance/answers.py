"""Answers, read although a checksum in them is wrong: that is one case's fault to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.conformance.case import ANSWER, ORDER, FindingError
from openami.c1222.services import Done, Failure, Request, decode_responses
from openami.c1222.services.fields import CHUNK, checksum
from openami.c1222.services.responses import response_code
from openami.core.errors import DecodeError
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.c1222.services import Response

_HEAD: Final = 3


def read_answers(
    services: Sequence[bytes], requests: Sequence[Request | bytes]
) -> tuple[Response, ...]:
    """Return one answer for each request; of requests in octets, whether they were done.

    Raises:
        FindingError: they can not be read (``answer``), or only in another order (``order``).
    """
    try:
        return _read(services, requests)
    except DecodeError as error:
        if len(services) == len(requests) > 1 and _reads(services[::-1], requests):
            raise FindingError(ORDER, "the answers stand in another order") from None
        code = ORDER if len(services) != len(requests) else ANSWER
        raise FindingError(code, f"the answer can not be read: {error.message}") from None


def _reads(services: Sequence[bytes], requests: Sequence[Request | bytes]) -> bool:
    try:
        _read(services, requests)
    except DecodeError:
        return False
    return True


def _read(services: Sequence[bytes], requests: Sequence[Request | bytes]) -> tuple[Response, ...]:
    typed = [each for each in requests if isinstance(each, Request)]
    if len(typed) != len(requests):
        if len(services) != len(requests):
            raise DecodeError(f"{len(services)} answers to {len(requests)} services")
        return tuple(_coded(each) for each in services)
    try:
        return decode_responses(services, typed)
    except DecodeError as error:
        if error.code != "c1222.checksum":
            raise
        return decode_responses([_mended(each) for each in services], typed)


def _coded(service: bytes) -> Response:
    code = response_code(Reader(service))
    return Done() if code is ResponseCode.OK else Failure(code)


def _mended(service: bytes) -> bytes:
    """Return the answer to a Read with the checksums that it should have; others as they are."""
    mended, at = bytearray(service), 1
    while len(service) > at + _HEAD - 1:
        size = int.from_bytes(service[at : at + 2])
        end = at + 2 + size
        if service[0] != ResponseCode.OK or end >= len(service):
            return service
        mended[end] = checksum(service[at + 2 : end])
        at = end + 1
        if size != CHUNK:
            break
    return bytes(mended) if at == len(service) else service
