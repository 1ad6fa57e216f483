"""Who answers at an address: asked as the public client, which needs no credentials."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, RemoteProtocolError
from openami.core.identifiers import check_serial
from openami.core.obis import Obis
from openami.dlms.references import AttributeRef

if TYPE_CHECKING:
    from openami.dcu.known import KnownMeter
    from openami.dlms.client import Item
    from openami.transport.session import DlmsSession


def _data(name: str) -> AttributeRef:
    return AttributeRef(1, Obis.parse(name), 2)


SERIAL: Final = _data("0.0.96.1.0.255")
LOGICAL_DEVICE_NAME: Final = _data("0.0.42.0.0.255")
MODEL: Final = _data("0.0.96.1.1.255")
FIRMWARE: Final = _data("1.0.0.2.0.255")
TITLE_TEXT: Final = _data("0.0.96.1.3.255")
TITLE: Final = AttributeRef(64, Obis.parse("0.0.43.0.0.255"), 5)
COUNTER: Final = _data("0.0.43.1.0.255")

ASKED: Final = (SERIAL, LOGICAL_DEVICE_NAME, MODEL, FIRMWARE, TITLE, TITLE_TEXT, COUNTER)

TITLE_OCTETS: Final = 8
# What a report may hold of each (characters).
TEXT_MOST: Final = 64


class UnidentifiedError(RemoteProtocolError):
    """Somebody answers, but does not say who it is."""

    code = "meter.unidentified"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a meter says of itself to everybody.

    ``counter`` is the invocation counter that it wants next, None if it does not tell.
    """

    serial: str
    system_title: str | None
    logical_device_name: str
    model: str
    firmware: str
    counter: int | None

    def update(self, known: KnownMeter) -> KnownMeter:
        """Return a known meter with what it says now; another firmware has other layouts."""
        layouts = known.layouts if known.firmware == self.firmware else {}
        return known.model_copy(
            update={
                "system_title": self.system_title or known.system_title,
                "logical_device_name": self.logical_device_name or known.logical_device_name,
                "model": self.model or known.model,
                "firmware": self.firmware or known.firmware,
                "layouts": layouts,
            }
        )


async def greet(session: DlmsSession) -> Greeting:
    """Ask an open public association who it is with.

    Raises:
        UnidentifiedError: it tells neither a serial number nor a name that could be one.
        OpenAmiError: see ``DlmsSession.request``.
    """
    items = await session.get_list(ASKED)
    found = dict(zip(ASKED, items, strict=True))
    name = text_of(found[LOGICAL_DEVICE_NAME])
    agreement = session.agreement
    return Greeting(
        serial=_serial(text_of(found[SERIAL]), name),
        system_title=_title(agreement.title if agreement else None, found),
        logical_device_name=name,
        model=text_of(found[MODEL]),
        firmware=text_of(found[FIRMWARE]),
        counter=number_of(found[COUNTER]),
    )


def serial_of(item: Item) -> str | None:
    """Return the serial number in an answer about ``SERIAL``, None if there is none in it."""
    text = text_of(item)
    return _serial(text, "") if text else None


def _serial(serial: str, name: str) -> str:
    for text in (serial, name):
        with suppress(ValueError):
            return check_serial(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-"))
    raise UnidentifiedError("the meter tells no serial number")


def _title(agreed: bytes | None, found: dict[AttributeRef, Item]) -> str | None:
    """Return a system title as 16 digits, from wherever the meter shows it."""
    shown = _octets(found[TITLE])
    for octets in (agreed, shown):
        if octets is not None and len(octets) == TITLE_OCTETS:
            return octets.hex().upper()
    text = text_of(found[TITLE_TEXT])
    return text.upper() if re.fullmatch(r"[0-9A-Fa-f]{16}", text) else None


def _octets(item: Item) -> bytes | None:
    if not item.ok:
        return None
    try:
        return item.data.octets()
    except DecodeError:
        return None


def text_of(item: Item) -> str:
    """Return an identifier as text: octets that are none as hexadecimal digits."""
    if not item.ok:
        return ""
    try:
        value = item.data.native()
    except DecodeError:
        return ""
    if isinstance(value, bytes):
        plain = value.rstrip(b"\0 ")
        printable = all(0x20 <= octet < 0x7F for octet in plain)
        value = plain.decode("ascii") if printable else plain.hex()
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value).strip()[:TEXT_MOST]


def number_of(item: Item) -> int | None:
    """Return an answer as a whole number; None if it is none."""
    if not item.ok:
        return None
    try:
        return item.data.integer()
    except DecodeError:
        return None
