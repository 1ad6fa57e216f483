"""How a node of C12.22 is named on a command line.

::

    c1222+tcp://host:1153?node=.123.8437&title=.123.9&key=2&mode=2
    c1222+udp://[::1]?node=.123.8437                    datagrams
    c1222+tls://host?node=.123.8437                     inside TLS; dtls likewise
    c1222+serial:/dev/ttyUSB0?baud=9600                 C12.18: no titles, one device

``node`` is the node's ApTitle and ``title`` our own, ``key`` the id of the key, ``mode`` how
messages are protected (0 clear, 1 authenticated, 2 encrypted), ``user`` whose password is shown if
one is at hand. A URL carries no secrets: it is
shown, logged and kept in shell histories.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from openami.c1222.client import ClientConfig
from openami.c1222.codes import SecurityMode
from openami.c1222.security import NO_KEYS, Keys
from openami.c1222.stream import PORT
from openami.c1222.titles import ApTitle
from openami.core.errors import ConfigError
from openami.transport.url import SerialMode, options_of, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TITLE: Final = ".123.9"
"""Ours until the user names another: in the paper's network, a host that no meter is."""
_TITLE: Final = ApTitle.parse(DEFAULT_TITLE)
_SERIAL_MODE: Final = SerialMode()
DEFAULT_USER: Final = 2
"""The user of the standard's own examples."""
_EXAMPLES: Final = (
    "as in c1222+tcp://127.0.0.1:1153?node=.123.8437&key=2&mode=2, or c1222+serial:/dev/ttyUSB0"
)
_NETWORK: Final = frozenset({"node", "title", "key", "mode", "user"})
_SERIAL: Final = frozenset({"baud", "frame", "user", "identity"})
_MOST_KEY: Final = 255
_MOST_USER: Final = 0xFFFF
_MOST_IDENTITY: Final = 0xFF
_PREFIX: Final = "c1222+"


class Carrier(StrEnum):
    """What carries messages."""

    TCP = "tcp"
    UDP = "udp"
    TLS = "tls"
    DTLS = "dtls"
    SERIAL = "serial"


@dataclass(frozen=True, slots=True)
class NodeUrl:
    """Where a node is, and who asks how.

    Attributes:
        carrier: what carries messages.
        host: unless it is a serial line.
        port: likewise.
        device: of a serial line.
        serial: its settings.
        identity: the number of the device, where a line or a modem has several (C12.21).
        node: the node's ApTitle; None on a serial line.
        title: our own.
        key: the id of the key that protects.
        mode: how.
        user: whose password is shown, if one is at hand.
    """

    carrier: Carrier
    host: str = ""
    port: int = PORT
    device: str = ""
    serial: SerialMode = _SERIAL_MODE
    identity: int = 0
    node: ApTitle | None = None
    title: ApTitle = _TITLE
    key: int = 0
    mode: SecurityMode = SecurityMode.CLEAR
    user: int = DEFAULT_USER

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL.

        Raises:
            ConfigError: ``config.url``, with a hint.
        """
        try:
            parts = urlsplit(text)
            carrier = _carrier(parts.scheme)
            options = _options(parts, carrier)
            place = _device(parts) if carrier is Carrier.SERIAL else place_of(parts, PORT)
            return cls(carrier, **place, **options)
        except ValueError as error:
            shown = re.sub(r"//[^/?#]*@", "//…@", text)  # what may be a password is not told
            raise ConfigError(
                f"{shown!r} names no node: {error}", hint=_EXAMPLES, code="config.url"
            ) from error

    def client_config(
        self, keys: Keys = NO_KEYS, *, timeout: float = 10.0, retries: int = 2
    ) -> ClientConfig:
        """Return how to ask the node.

        Raises:
            ConfigError: ``config.url``, the URL does not say its title; ``config.key``, there is
                no such key.
        """
        if self.node is None:
            raise ConfigError(
                "the URL does not say the node's ApTitle", hint="?node=.123.8437", code="config.url"
            )
        if self.mode and self.key not in keys:
            raise ConfigError(
                f"no key has the id {self.key}", hint="--key-file, or ?key=ID", code="config.key"
            )
        return ClientConfig(self.title, self.node, keys, self.key, self.mode, timeout, retries)


def _carrier(scheme: str) -> Carrier:
    kind = scheme.removeprefix(_PREFIX)
    if kind == scheme or kind not in set(Carrier):
        raise ValueError(f"the scheme {scheme!r} is unknown")
    return Carrier(kind)


def _device(parts: SplitResult) -> dict[str, Any]:
    if parts.netloc or not parts.path:
        raise ValueError("the serial device is missing")
    return {"device": parts.path}


def _options(parts: SplitResult, carrier: Carrier) -> dict[str, Any]:
    given = options_of(parts)
    known = _SERIAL if carrier is Carrier.SERIAL else _NETWORK
    if strange := given.keys() - known:
        raise ValueError(f"no option {min(strange)!r}; there are {', '.join(sorted(known))}")
    if carrier is Carrier.SERIAL:
        identity = _number("identity", given.get("identity", "0"), _MOST_IDENTITY)
        return {"serial": SerialMode.of(given), "user": _user(given), "identity": identity}
    return _network(given)


def _network(given: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: ApTitle.parse(given[name]) for name in ("node", "title") if name in given
    }
    found["key"] = _number("key", given.get("key", "0"), _MOST_KEY)
    found["mode"] = SecurityMode(_number("mode", given.get("mode", "0"), max(SecurityMode)))
    return {**found, "user": _user(given)}


def _user(given: Mapping[str, str]) -> int:
    return _number("user", given.get("user", str(DEFAULT_USER)), _MOST_USER)


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > most:
        raise ValueError(f"{name} {text!r} is not 0 to {most}")
    return int(text)
