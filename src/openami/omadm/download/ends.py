"""How a download ends, and what the device says of it in each of the three languages.

The installation status goes to the address in the descriptor (OMA-Download-OTA 1.0, clause 5.2.4),
the results of FUMO and SCOMO go into generic alerts.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from openami.core.errors import DecodeError
from openami.omadm.objects.updates import FumoResult, ScomoResult

if TYPE_CHECKING:
    from collections.abc import Mapping

_BODY: Final = re.compile(rb"\s*([0-9]{3})(?![0-9])")


class InstallStatus(IntEnum):
    """What is posted to installNotifyURI."""

    SUCCESS = 900
    INSUFFICIENT_MEMORY = 901
    USER_CANCELLED = 902
    LOSS_OF_SERVICE = 903
    ATTRIBUTE_MISMATCH = 905
    INVALID_DESCRIPTOR = 906
    INVALID_VERSION = 951
    DEVICE_ABORTED = 952
    NON_ACCEPTABLE_CONTENT = 953
    LOADER_ERROR = 954

    def encode(self) -> bytes:
        """Return the body of the POST."""
        return f"{self.value} {_WORDS[self]}\r\n".encode("ascii")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a body; the words after the number say nothing.

        Raises:
            DecodeError: it begins with no status.
        """
        found = _BODY.match(body[:64])
        try:
            return cls(int(found[1]) if found else 0)
        except ValueError:
            raise DecodeError("no installation status") from None


_WORDS: Final[Mapping[InstallStatus, str]] = MappingProxyType(
    {
        InstallStatus.SUCCESS: "Success",
        InstallStatus.INSUFFICIENT_MEMORY: "Insufficient memory",
        InstallStatus.USER_CANCELLED: "User Cancelled",
        InstallStatus.LOSS_OF_SERVICE: "Loss of Service",
        InstallStatus.ATTRIBUTE_MISMATCH: "Attribute mismatch",
        InstallStatus.INVALID_DESCRIPTOR: "Invalid descriptor",
        InstallStatus.INVALID_VERSION: "Invalid DDVersion",
        InstallStatus.DEVICE_ABORTED: "Device Aborted",
        InstallStatus.NON_ACCEPTABLE_CONTENT: "Non-Acceptable Content",
        InstallStatus.LOADER_ERROR: "Loader Error",
    }
)


class End(StrEnum):
    """How a download ended; the values are stable codes."""

    OK = "download.ok"
    CANCELLED = "download.cancelled"
    ABORTED = "download.aborted"
    NO_ROOM = "download.no-room"
    BAD_URL = "download.url"
    BAD_DESCRIPTOR = "download.descriptor"
    BAD_VERSION = "download.descriptor-version"
    BAD_TYPE = "download.type"
    MISMATCH = "download.mismatch"
    CORRUPT = "download.corrupt"
    UNTRUSTED = "download.untrusted"
    FORBIDDEN = "download.forbidden"
    MISSING = "download.missing"
    NETWORK = "download.network"
    TIMEOUT = "download.timeout"
    UNAVAILABLE = "download.unavailable"
    SERVER = "download.server"


class Results(NamedTuple):
    """What is said of an end."""

    install: InstallStatus
    fumo: FumoResult
    scomo: ScomoResult


_I, _F, _S = InstallStatus, FumoResult, ScomoResult
RESULTS: Final[Mapping[End, Results]] = MappingProxyType(
    {
        End.OK: Results(_I.SUCCESS, _F.OK, _S.OK),
        End.CANCELLED: Results(_I.USER_CANCELLED, _F.USER_CANCELLED, _S.USER_CANCELLED),
        End.ABORTED: Results(_I.DEVICE_ABORTED, _F.CLIENT_ERROR, _S.CLIENT_ERROR),
        End.NO_ROOM: Results(
            _I.INSUFFICIENT_MEMORY, _F.NO_MEMORY_FOR_DOWNLOAD, _S.NO_MEMORY_FOR_DOWNLOAD
        ),
        End.BAD_URL: Results(_I.LOADER_ERROR, _F.BAD_URL, _S.DOWNLOAD_FAILED),
        End.BAD_DESCRIPTOR: Results(_I.INVALID_DESCRIPTOR, _F.SERVER_ERROR, _S.SERVER_ERROR),
        End.BAD_VERSION: Results(_I.INVALID_VERSION, _F.NOT_ACCEPTABLE, _S.DOWNLOAD_FAILED),
        End.BAD_TYPE: Results(_I.NON_ACCEPTABLE_CONTENT, _F.NOT_ACCEPTABLE, _S.DOWNLOAD_FAILED),
        End.MISMATCH: Results(_I.ATTRIBUTE_MISMATCH, _F.CORRUPT_PACKAGE, _S.VALIDATION_FAILED),
        End.CORRUPT: Results(_I.ATTRIBUTE_MISMATCH, _F.CORRUPT_PACKAGE, _S.VALIDATION_FAILED),
        End.UNTRUSTED: Results(
            _I.NON_ACCEPTABLE_CONTENT, _F.SIGNATURE_FAILED, _S.VALIDATION_FAILED
        ),
        End.FORBIDDEN: Results(
            _I.LOADER_ERROR, _F.DOWNLOAD_AUTHENTICATION, _S.DOWNLOAD_AUTHENTICATION
        ),
        End.MISSING: Results(_I.LOADER_ERROR, _F.BAD_URL, _S.DOWNLOAD_FAILED),
        End.NETWORK: Results(_I.LOSS_OF_SERVICE, _F.NETWORK, _S.DOWNLOAD_FAILED),
        End.TIMEOUT: Results(_I.LOSS_OF_SERVICE, _F.TIMEOUT, _S.DOWNLOAD_FAILED),
        End.UNAVAILABLE: Results(_I.LOSS_OF_SERVICE, _F.SERVER_UNAVAILABLE, _S.SERVER_UNAVAILABLE),
        End.SERVER: Results(_I.LOADER_ERROR, _F.SERVER_ERROR, _S.SERVER_ERROR),
    }
)
"""What the device says of each end."""
