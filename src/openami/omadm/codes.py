"""The numbers of the representation protocol: status codes and alert codes."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What became of a command (OMA-SyncML-RepPro 1.2, clause 10; OMA-TS-DM_RepPro 1.2, clause 6).

    A peer may send any number of three digits: ``of`` never fails.
    """

    OK = 200
    ACCEPTED_FOR_PROCESSING = 202
    AUTHENTICATED = 212
    CHUNK_ACCEPTED = 213
    CANCELLED = 214
    NOT_EXECUTED = 215
    ATOMIC_ROLLED_BACK = 216
    NOT_MODIFIED = 304
    BAD_REQUEST = 400
    INVALID_CREDENTIALS = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    NOT_ALLOWED = 405
    OPTIONAL_NOT_SUPPORTED = 406
    MISSING_CREDENTIALS = 407
    REQUEST_TIMEOUT = 408
    INCOMPLETE = 412
    ENTITY_TOO_LARGE = 413
    URI_TOO_LONG = 414
    UNSUPPORTED_FORMAT = 415
    SIZE_NOT_SATISFIED = 416
    RETRY_LATER = 417
    ALREADY_EXISTS = 418
    DEVICE_FULL = 420
    SIZE_MISMATCH = 424
    PERMISSION_DENIED = 425
    COMMAND_FAILED = 500
    NOT_IMPLEMENTED = 501
    DTD_NOT_SUPPORTED = 505
    ATOMIC_FAILED = 507
    DATA_STORE_FAILURE = 510
    PROTOCOL_NOT_SUPPORTED = 513
    ROLLBACK_FAILED = 516
    ATOMIC_TOO_LARGE = 517


class AlertCode(IntEnum):
    """What an Alert says (OMA-TS-DM_Protocol 1.2; OMA-SyncML-RepPro 1.2, clause 10.3)."""

    DISPLAY = 1100
    CONFIRM = 1101
    TEXT_INPUT = 1102
    SINGLE_CHOICE = 1103
    MULTIPLE_CHOICE = 1104
    SERVER_INITIATED = 1200
    CLIENT_INITIATED = 1201
    NEXT_MESSAGE = 1222
    SESSION_ABORT = 1223
    CLIENT_EVENT = 1224
    NO_END_OF_DATA = 1225
    GENERIC = 1226
