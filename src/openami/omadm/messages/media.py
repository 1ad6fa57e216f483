"""The two encodings of a message, by their media types."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping


class MediaType(StrEnum):
    """How a message is encoded; the value is the Content-Type that we send."""

    XML = "application/vnd.syncml.dm+xml"
    WBXML = "application/vnd.syncml.dm+wbxml"

    @classmethod
    def of(cls, content_type: str) -> MediaType:
        """Return what a Content-Type header names, in any case and with any parameters.

        The names of data synchronisation are taken too: real clients send them.

        Raises:
            RemoteProtocolError: ``omadm.media-type``, it is neither.
        """
        name, _, _ = content_type.partition(";")
        media_type = _NAMES.get(name.strip().lower())
        if media_type is None:
            raise RemoteProtocolError(
                f"no SyncML message: Content-Type {name[:80]!r}", code="omadm.media-type"
            )
        return media_type


_NAMES: Final[Mapping[str, MediaType]] = MappingProxyType(
    {
        **{media_type.value: media_type for media_type in MediaType},
        "application/vnd.syncml+xml": MediaType.XML,
        "application/vnd.syncml+wbxml": MediaType.WBXML,
    }
)
