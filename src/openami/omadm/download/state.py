"""One download: what a device keeps of it on its disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from openami.core.errors import DecodeError
from openami.omadm.download.descriptor import Descriptor
from openami.omadm.download.ends import End
from openami.wire.reader import Reader
from openami.wire.writer import Writer

_MAGIC: Final = b"openami download 1\n"


class Phase(IntEnum):
    """How far a download is."""

    DESCRIBING = 1
    """The descriptor is wanted."""
    LOADING = 2
    """The object, from ``offset`` on."""
    COMPLETE = 3
    """All octets are here; whether they are the right ones is not known."""
    ENDED = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fetched.

    Attributes:
        url: of the descriptor.
        size: of the object, in octets, by whoever is trusted.
        digest: of the object, by the same; compared by whoever has the octets.
    """

    url: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Download:
    """A download. Made by ``machine.start`` and ``decode``, and moved by ``machine.step`` alone.

    Attributes:
        descriptor: once it came and was found good.
        offset: octets of the object that are durable.
        validator: the ETag or Last-Modified that those octets came with; ``""``: none.
        failures: tries in a row that brought nothing.
        restarts: how often octets that were here were thrown away.
        joined: the octets came in more than one answer.
        end: how it ended.
        told: the server knows how it ended, or is not to.
    """

    wanted: Wanted
    phase: Phase = Phase.DESCRIBING
    descriptor: Descriptor | None = None
    offset: int = 0
    validator: str = ""
    failures: int = 0
    restarts: int = 0
    joined: bool = False
    end: End | None = None
    told: bool = False

    def encode(self) -> bytes:
        """Return the octets that a device keeps."""
        writer = Writer().raw(_MAGIC).u8(self.phase)
        for text in (self.wanted.url, self.wanted.digest, self.validator, self.end or ""):
            writer.octets(text.encode())
        writer.octets(self.descriptor.encode() if self.descriptor else b"")
        writer.uint(self.wanted.size, 8).uint(self.offset, 8)
        writer.u16(self.failures).u16(self.restarts).u8(self.joined).u8(self.told)
        return writer.bytes()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return the download that ``encode`` gave.

        Raises:
            DecodeError: these are other octets.
        """
        reader = Reader(octets)
        if reader.remaining < len(_MAGIC) or reader.take(len(_MAGIC)) != _MAGIC:
            raise DecodeError("no download")
        phase = reader.u8()
        texts = [reader.take(reader.length()) for _ in range(4)]
        document = reader.take(reader.length())
        size, offset = reader.uint(8), reader.uint(8)
        failures, restarts, joined, told = reader.u16(), reader.u16(), reader.u8(), reader.u8()
        reader.finish()
        try:
            url, digest, validator, end = (text.decode() for text in texts)
            download = cls(
                Wanted(url, size, digest),
                Phase(phase),
                Descriptor.decode(document) if document else None,
                offset,
                validator,
                failures,
                restarts,
                bool(joined),
                End(end) if end else None,
                bool(told),
            )
        except ValueError:
            raise DecodeError("no download") from None
        download._check()
        return download

    def _check(self) -> None:
        loaded = self.phase in {Phase.LOADING, Phase.COMPLETE}
        if (
            (loaded and self.descriptor is None)
            or (self.end is None) is (self.phase is Phase.ENDED)
            or self.offset > self.wanted.size
            or (self.phase is Phase.COMPLETE and self.offset != self.wanted.size)
        ):
            raise DecodeError("a download that cannot be")
