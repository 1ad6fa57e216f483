"""How a meter is named on a command line.

::

    dlms+tcp://host:4059?client=16&server=1             wrapper over TCP
    dlms+udp://host:4059?client=16&server=1             wrapper over UDP
    hdlc+tcp://host:4059?server=1:17&address_size=4     HDLC through a TCP modem
    hdlc+serial:/dev/ttyUSB0?baud=9600&server=1         HDLC on a serial line

``server`` is the logical device, with ``:station`` the HDLC lower address too. A URL carries no
secrets: it is shown, logged and kept in shell histories.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT: Final = 4059
"""IANA's port of DLMS/COSEM, TCP and UDP."""

_EXAMPLES: Final = (
    "as in dlms+tcp://127.0.0.1:4059?client=16&server=1, hdlc+tcp://host:port?server=1:17 or "
    "hdlc+serial:/dev/ttyUSB0?baud=9600&server=1"
)


class LinkKind(StrEnum):
    """The data link below the application layer."""

    WRAPPER = "dlms"
    HDLC = "hdlc"


class Carrier(StrEnum):
    """What carries the data link."""

    TCP = "tcp"
    UDP = "udp"
    SERIAL = "serial"


@dataclass(frozen=True, slots=True)
class SerialMode:
    """Settings of a serial line."""

    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Self:
        """Read ``baud`` and ``frame`` of a URL's options.

        Raises:
            ValueError: one of them is none.
        """
        frame = given.get("frame", "8N1").upper()
        if not re.fullmatch(r"[78][NEO][12]", frame):
            raise ValueError(f"frame {frame!r} is not like 8N1 or 7E1")
        baud = _number("baud", given.get("baud", "9600"), 50, 4_000_000)
        return cls(baud, int(frame[0]), frame[1], int(frame[2]))

    @property
    def frame(self) -> str:
        """The character's shape, as in ``8N1``."""
        return f"{self.data_bits}{self.parity}{self.stop_bits}"


@dataclass(frozen=True, slots=True)
class MeterUrl:
    """Where a meter is, and who asks.

    Attributes:
        link: the data link.
        carrier: what it runs over.
        host: with TCP and UDP.
        port: with TCP and UDP.
        device: with a serial line.
        mode: with a serial line.
        client: the client's SAP.
        server: the logical device's SAP: the wrapper's wPort or HDLC's upper address.
        station: HDLC's lower address; None: none.
        address_size: octets of the HDLC server address, 1, 2 or 4.
    """

    link: LinkKind
    carrier: Carrier
    host: str = ""
    port: int = DEFAULT_PORT
    device: str = ""
    mode: SerialMode = SerialMode()
    client: int = 16
    server: int = 1
    station: int | None = None
    address_size: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL.

        Raises:
            ConfigError: ``config.url``, with a hint.
        """
        try:
            parts = urlsplit(text)
            link, carrier = _scheme(parts.scheme)
            options = _options(parts, link, carrier)
            place = _device(parts) if carrier is Carrier.SERIAL else place_of(parts, DEFAULT_PORT)
            return cls(link, carrier, **place, **options)
        except ValueError as exc:
            raise ConfigError(
                f"{_shown(text)!r} names no meter: {exc}", hint=_EXAMPLES, code="config.url"
            ) from exc

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        serial = self.carrier is Carrier.SERIAL
        place = self.device if serial else f"//{host}:{self.port}"
        options = {"client": str(self.client), "server": str(self.server)}
        if self.link is LinkKind.HDLC:
            if self.station is not None:
                options["server"] += f":{self.station}"
            options["address_size"] = str(self.address_size)
        if serial:
            options |= {"baud": str(self.mode.baud), "frame": self.mode.frame}
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"{self.link}+{self.carrier}:{place}?{query}"


def _shown(text: str) -> str:
    """Return the text without what may be a password."""
    return re.sub(r"//[^/?#]*@", "//…@", text)


def _scheme(scheme: str) -> tuple[LinkKind, Carrier]:
    link, plus, carrier = scheme.partition("+")
    if plus and (link, carrier) != (LinkKind.WRAPPER, Carrier.SERIAL):
        if (link, carrier) == (LinkKind.HDLC, Carrier.UDP):
            raise ValueError("HDLC runs over tcp or serial")
        try:
            return LinkKind(link), Carrier(carrier)
        except ValueError:
            raise ValueError(f"the scheme {scheme!r} is unknown") from None
    raise ValueError(f"the scheme {scheme!r} is unknown")


def place_of(parts: SplitResult, port: int) -> dict[str, Any]:
    """Return ``host`` and ``port`` of a URL that names nothing else; ValueError if it does.

    Args:
        parts: of the URL.
        port: where it says none.
    """
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL carries no user and no password")
    if not parts.hostname:
        raise ValueError("the host is missing")
    if parts.path not in {"", "/"}:
        raise ValueError("a path has no meaning here")
    return {"host": parts.hostname, "port": port if parts.port is None else parts.port}


def _device(parts: SplitResult) -> dict[str, Any]:
    if parts.netloc or not parts.path:
        raise ValueError("the serial device is missing, or has two slashes before it")
    return {"device": parts.path}


def options_of(parts: SplitResult) -> dict[str, str]:
    """Return the options behind a URL, each given once; ValueError if one is not."""
    if parts.fragment:
        raise ValueError("a fragment has no meaning here")
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    given = dict(pairs)
    if len(given) != len(pairs):
        raise ValueError("an option is given twice")
    return given


def _options(parts: SplitResult, link: LinkKind, carrier: Carrier) -> dict[str, Any]:
    given = options_of(parts)
    known = {"client", "server"}
    known |= {"address_size"} if link is LinkKind.HDLC else set()
    known |= {"baud", "frame"} if carrier is Carrier.SERIAL else set()
    if strange := given.keys() - known:
        raise ValueError(f"no option {min(strange)!r}; there are {', '.join(sorted(known))}")
    addresses = _hdlc_addresses if link is LinkKind.HDLC else _wrapper_addresses
    options = addresses(given)
    if carrier is Carrier.SERIAL:
        options["mode"] = SerialMode.of(given)
    return options


def _wrapper_addresses(given: Mapping[str, str]) -> dict[str, Any]:
    return {
        "client": _number("client", given.get("client", "16"), 1, 0xFFFF),
        "server": _number("server", given.get("server", "1"), 0, 0xFFFF),
    }


def _hdlc_addresses(given: Mapping[str, str]) -> dict[str, Any]:
    upper, colon, lower = given.get("server", "1").partition(":")
    server = _number("server", upper, 0, 0x3FFF)
    station = _number("station", lower, 0, 0x3FFF) if colon else None
    fits = [size for size in (1, 2, 4) if _fits(server, station, size)]
    if not fits:
        raise ValueError("a server above 127 needs a station too, as in server=128:17")
    size = _number("address_size", given.get("address_size", str(fits[0])), 1, 4)
    if size not in fits:
        raise ValueError(f"address_size {size} does not fit this address; {fits} would")
    client = _number("client", given.get("client", "16"), 1, 0x7F)
    return {"client": client, "server": server, "station": station, "address_size": size}


def _fits(server: int, station: int | None, size: int) -> bool:
    """IEC 62056-46, 6.4.2: one octet without a station, two or four with one."""
    if station is None or size == 1:
        return station is None and size == 1 and server <= 0x7F
    return size == 4 or max(server, station) <= 0x7F


def _number(name: str, text: str, least: int, most: int) -> int:
    try:
        value = int(text, 0)  # 0x10 is how addresses are often written
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number") from None
    if not least <= value <= most:
        raise ValueError(f"{name} {value} is not within {least} to {most}")
    return value
