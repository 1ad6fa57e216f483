"""EPSEM: the services of one message, and how they are to be treated (C12.22, 5.3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from openami.c1222.codes import ResponseControl, SecurityMode
from openami.c1222.limits import MAX_SERVICES
from openami.core.errors import DecodeError, LocalProtocolError
from openami.wire.reader import Reader
from openami.wire.writer import Writer

ED_CLASS_SIZE: Final = 4
_RESERVED: Final = 0x80
_RECOVERY: Final = 0x40
_PROXY: Final = 0x20
_ED_CLASS: Final = 0x10
_MODE_SHIFT: Final = 2
_TWO_BITS: Final = 0x03
_UNUSED: Final = 3


def check_control(octet: int, offset: int) -> None:
    """Raise ``DecodeError`` unless ``octet`` is a control octet."""
    modes = (octet >> _MODE_SHIFT & _TWO_BITS, octet & _TWO_BITS)
    if not octet & _RESERVED or _UNUSED in modes:
        raise DecodeError(f"EPSEM has no control octet {octet:02X}", offset=offset)


def mode_of(octet: int) -> SecurityMode:
    """Return the security mode that a control octet says."""
    return SecurityMode(octet >> _MODE_SHIFT & _TWO_BITS)


@dataclass(frozen=True, slots=True)
class Epsem:
    """The services of one message, in their order.

    Attributes:
        services: the octets of each: all requests, or all answers. They may hold a password.
        mode: how the message is protected.
        respond: when the requests are answered.
        ed_class: four octets of the class of the device that sends its own tables; deciphered.
        recovery: a session goes on after it was broken off.
        proxy: a node asks for another one, whose title is not the sender's.
    """

    services: tuple[bytes, ...] = field(repr=False)
    mode: SecurityMode = SecurityMode.CLEAR
    respond: ResponseControl = ResponseControl.ALWAYS
    ed_class: bytes | None = None
    recovery: bool = False
    proxy: bool = False

    @property
    def control(self) -> int:
        """The control octet."""
        flags = self.recovery * _RECOVERY | self.proxy * _PROXY
        flags |= (self.ed_class is not None) * _ED_CLASS
        return _RESERVED | flags | self.mode << _MODE_SHIFT | self.respond

    def body(self) -> bytes:
        """Return what follows the control octet, in clear.

        Raises:
            LocalProtocolError: a service is empty, there are too many, or the class has not four
                octets.
        """
        if len(self.services) > MAX_SERVICES or not all(self.services):
            raise LocalProtocolError(f"{MAX_SERVICES} services at most, none of them empty")
        if self.ed_class is not None and len(self.ed_class) != ED_CLASS_SIZE:
            raise LocalProtocolError(f"an ED class has {ED_CLASS_SIZE} octets")
        w = Writer().raw(self.ed_class or b"")
        for service in self.services:
            w.octets(service)
        return w.bytes()

    @classmethod
    def read(cls, control: int, body: bytes, *, base: int = 0) -> Self:
        """Return what a control octet and a clear ``body`` say.

        Raises:
            DecodeError: a service is cut off, or there are too many.
        """
        check_control(control, base)
        r = Reader(body, base=base)
        ed_class = r.take(ED_CLASS_SIZE) if control & _ED_CLASS else None
        services = tuple(service for _, service in read_services(r))
        return cls(
            services,
            mode_of(control),
            ResponseControl(control & _TWO_BITS),
            ed_class,
            bool(control & _RECOVERY),
            bool(control & _PROXY),
        )


def read_services(r: Reader) -> list[tuple[int, bytes]]:
    """Return the offset and the octets of each service, up to the end or a length of zero.

    Raises:
        DecodeError: one is cut off, or there are too many.
    """
    found: list[tuple[int, bytes]] = []
    while r.remaining and (size := r.length()):
        if len(found) == MAX_SERVICES:
            raise r.error(f"more than {MAX_SERVICES} services")
        found.append((r.offset, r.take(size)))
    return found
