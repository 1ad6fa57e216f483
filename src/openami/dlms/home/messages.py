"""What a display and a meter say to each other to be paired: parameters of class 8192's methods.

::

    display                                   meter
      read system_title               →
      begin(title, name, X)           →       draws y
                                      ←       Y
      confirm(title, proof)           →       checks the proof: the display has the code
                                      ←       proof, sealed(place, keys)
      checks the proof: the meter has the code
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.core.identifiers import SystemTitle, check_serial
from openami.crypto.pairing import MESSAGE_SIZE, PROOF_SIZE
from openami.dlms.data import Data, decode_data, octets, structure, u16, utf8, visible
from openami.dlms.security import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

CODE_DIGITS: Final = 8
"""Of the code on a meter's label."""

MAX_NAME: Final = 32
"""Characters of a display's name: what is shown in a list."""

_KEY_SIZE: Final = 16
_MAX_SEALED: Final = 256  # octets: a place, two keys, a title and a serial number have fewer


def exactly(data: Data, size: int) -> bytes:
    """Return an octet-string of ``size`` octets; raises ``DecodeError``."""
    found = data.octets()
    if len(found) != size:
        raise DecodeError(f"{size} octets wanted, {len(found)} found")
    return found


def title_of(data: Data) -> SystemTitle:
    """Return a system title; raises ``DecodeError``."""
    return SystemTitle(exactly(data, 8))


@dataclass(frozen=True, slots=True)
class Begin:
    """The display's title, what its owner calls it, and its message."""

    title: SystemTitle
    name: str
    message: bytes

    def data(self) -> Data:
        return structure(octets(self.title.raw), utf8(self.name), octets(self.message))

    @classmethod
    def of(cls, data: Data) -> Self:
        """Read it; raises ``DecodeError``."""
        title, name, message = data.items(3)
        text = name.text()
        if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
            raise DecodeError(f"a name of 1 to {MAX_NAME} characters wanted")
        return cls(title_of(title), text, exactly(message, MESSAGE_SIZE))

    @property
    def context(self) -> bytes:
        """What the proofs cover besides titles and messages."""
        return self.name.encode()


@dataclass(frozen=True, slots=True)
class Confirm:
    """The display's title again, and its proof."""

    title: SystemTitle
    proof: bytes = field(repr=False)

    def data(self) -> Data:
        return structure(octets(self.title.raw), octets(self.proof))

    @classmethod
    def of(cls, data: Data) -> Self:
        """Read it; raises ``DecodeError``."""
        title, proof = data.items(2)
        return cls(title_of(title), exactly(proof, PROOF_SIZE))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The meter's proof, and what it has sealed under the agreed key."""

    proof: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    def data(self) -> Data:
        return structure(octets(self.proof), octets(self.sealed))

    @classmethod
    def of(cls, data: Data) -> Self:
        """Read it; raises ``DecodeError``."""
        proof, sealed = data.items(2)
        if len(sealed.octets()) > _MAX_SEALED:
            raise DecodeError(f"at most {_MAX_SEALED} octets wanted")
        return cls(exactly(proof, PROOF_SIZE), sealed.octets())


@dataclass(frozen=True, slots=True)
class Place:
    """What a display is given: the SAP of its association, its keys, and whose they are."""

    client: int
    keys: Keys = field(repr=False)
    meter: SystemTitle
    serial: str

    @classmethod
    def draw(
        cls, client: int, meter: SystemTitle, serial: str, random: Callable[[int], bytes]
    ) -> Self:
        """Return a place with new keys."""
        keys = Keys(guek=random(_KEY_SIZE), gak=random(_KEY_SIZE))
        return cls(client, keys, meter, serial)

    def encode(self) -> bytes:
        """Return what is sealed."""
        guek, gak = self.keys.guek or b"", self.keys.gak or b""
        return structure(
            u16(self.client),
            octets(guek),
            octets(gak),
            octets(self.meter.raw),
            visible(self.serial),
        ).encode()

    @classmethod
    def decode(cls, sealed: bytes) -> Self:
        """Read it; raises ``DecodeError``."""
        client, guek, gak, meter, serial = decode_data(sealed).items(5)
        keys = Keys(guek=exactly(guek, _KEY_SIZE), gak=exactly(gak, _KEY_SIZE))
        try:
            return cls(client.integer(), keys, title_of(meter), check_serial(serial.text()))
        except ValueError:
            raise DecodeError("a serial number wanted") from None
