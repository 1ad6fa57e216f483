"""A shipment: the meters that a maker delivers, with the keys that were put into them.

A JSON file, kept as a secret (mode 0600) until the head-end has taken it::

    {
      "format": "openami-shipment-1",
      "made": "2026-03-02T08:00:00Z",
      "meters": [
        {
          "serial": "OAM00000001",
          "system_title": "4F414D0000000001",
          "logical_device_name": "OAM1000000000001",
          "model": "OA1-100",
          "firmware": "openami-0.1.0",
          "phases": 1,
          "grid": "220/60",
          "address": 17,
          "keys": {"master": "…", "guek": "…", "gak": "…", "gbek": "…", "gbak": "…", "lls": "…"},
          "c1222": {"title": ".123.8437", "keys": {"2": "…"}, "user": 2, "password": "…"}
        }
      ]
    }

``grid`` is what the mains are that the meter is made for, in volts to neutral and hertz; it may be
missing. ``address`` is the station's HDLC address, null where it is given on site. Keys are
hexadecimal: ``guek`` and ``gak`` are needed, each of 16 octets; other names are taken as they are.
``gbek`` and ``gbak`` encipher and authenticate what is broadcast: the same for all meters of one
line, which otherwise get everything one by one.

``c1222`` is there if the meter speaks ANSI C12.22: its ApTitle, its keys by their ids (0 to 255,
hexadecimal, 16 octets), and the user who may write, by number and password (printable ASCII). In
the head-end's vault these are ``c1222.title`` (text), ``c1222.KEYID`` (octets), ``c1222.user``
(decimal text) and ``c1222.password`` of the meter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.clock import isoformat
from openami.core.errors import ConfigError
from openami.core.identifiers import SystemTitle, check_serial

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = "openami-shipment-1"

METERS: Final = 200_000
"""Meters in one file: more than a factory ships in a day, and about 100 MB of JSON."""

KEYS: Final = 16  # names of keys that a meter may have; there are six
_KEY_OCTETS: Final = 64
_TEXT: Final = 128  # characters of a model or a firmware id
_ADDRESSES: Final = range(0x10, 0x3FFE)  # IEC 62056-46 6.4.2.3: others are reserved
_GRID: Final = re.compile(r"[0-9]{2,3}/[0-9]{2}")
_NEEDED: Final = ("guek", "gak")
_KEY_OCTETS_C1222: Final = 16
_KEYS_C1222: Final = 8  # of one node: one in use, the next one, and some for others' devices
_TITLE: Final = re.compile(r"\.?[0-9]{1,10}(\.[0-9]{1,10}){0,20}")
_PASSWORD: Final = re.compile(r"[!-~]{1,20}")  # C12.22, 5.3.2.4.7: twenty octets, spaces behind


@dataclass(frozen=True, slots=True)
class ShippedC1222:
    """What a meter that speaks C12.22 is called, and who may speak to it.

    Args:
        title: its ApTitle, relative with a point before it.
        keys: of 16 octets, by their ids.
        user: who may write.
        password: that user's.
    """

    title: str
    keys: Mapping[int, bytes] = field(repr=False)
    user: int
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _TITLE.fullmatch(self.title) or not 0 <= self.user <= 0xFFFF:
            raise ValueError("an ApTitle and a user of 16 bits wanted")
        if not 0 < len(self.keys) <= _KEYS_C1222 or not _PASSWORD.fullmatch(self.password):
            raise ValueError(f"1 to {_KEYS_C1222} keys and a password of 1 to 20 characters wanted")
        for key_id, key in self.keys.items():
            if not 0 <= key_id <= 0xFF or len(key) != _KEY_OCTETS_C1222:
                raise ValueError("keys of 16 octets, with ids of 0 to 255, wanted")

    def data(self) -> dict[str, Any]:
        """Return what JSON holds of it, keys included."""
        return {
            "title": self.title,
            "keys": {str(key_id): key.hex().upper() for key_id, key in self.keys.items()},
            "user": self.user,
            "password": self.password,
        }

    @classmethod
    def of(cls, data: Any) -> Self:
        """Read what ``data`` gave; raises ``ValueError``, ``KeyError`` or ``TypeError``."""
        keys = {int(key_id): bytes.fromhex(key) for key_id, key in data["keys"].items()}
        return cls(_text(data["title"]), keys, int(data["user"]), _text(data["password"]))

    def secrets(self) -> dict[str, bytes]:
        """Return what a vault holds of it, by name."""
        return {
            "c1222.title": self.title.encode("ascii"),
            "c1222.user": str(self.user).encode("ascii"),
            "c1222.password": self.password.encode("ascii"),
            **{f"c1222.{key_id}": key for key_id, key in self.keys.items()},
        }


@dataclass(frozen=True, slots=True)
class ShippedMeter:
    """One meter of a shipment."""

    serial: str
    system_title: SystemTitle
    logical_device_name: str
    model: str
    firmware: str
    phases: int
    address: int | None
    keys: Mapping[str, bytes] = field(repr=False)
    c1222: ShippedC1222 | None = None
    grid: str | None = None

    def data(self) -> dict[str, Any]:
        """Return what JSON holds of it, keys included."""
        found: dict[str, Any] = {
            "serial": self.serial,
            "system_title": str(self.system_title),
            "logical_device_name": self.logical_device_name,
            "model": self.model,
            "firmware": self.firmware,
            "phases": self.phases,
            "address": self.address,
            "keys": {name: key.hex().upper() for name, key in self.keys.items()},
        }
        if self.c1222 is not None:
            found["c1222"] = self.c1222.data()
        if self.grid is not None:
            found["grid"] = self.grid
        return found

    def secrets(self) -> dict[str, bytes]:
        """Return what a vault holds of it, by name."""
        return {**self.keys, **({} if self.c1222 is None else self.c1222.secrets())}

    @classmethod
    def of(cls, data: Any) -> Self:
        """Read what ``data`` gave; raises ``ValueError``, ``KeyError`` or ``TypeError``."""
        keys = {str(name): bytes.fromhex(key) for name, key in data["keys"].items()}
        if any(len(keys[name]) != 16 for name in _NEEDED):
            raise ValueError("a key of 16 octets wanted")
        if len(keys) > KEYS or any(not 0 < len(key) <= _KEY_OCTETS for key in keys.values()):
            raise ValueError("too many keys, or too long")
        phases, address = data["phases"], data.get("address")
        if phases not in {1, 3} or not (address is None or address in _ADDRESSES):
            raise ValueError("1 or 3 phases and a station address wanted")
        grid = data.get("grid")
        if grid is not None and not _GRID.fullmatch(grid):
            raise ValueError("volts and hertz wanted")
        return cls(
            serial=check_serial(data["serial"]),
            system_title=SystemTitle.parse(data["system_title"]),
            logical_device_name=_text(data["logical_device_name"]),
            model=_text(data["model"]),
            firmware=_text(data["firmware"]),
            phases=phases,
            address=address,
            keys=keys,
            c1222=ShippedC1222.of(data["c1222"]) if data.get("c1222") is not None else None,
            grid=grid,
        )


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _TEXT:
        raise ValueError("a short text wanted")
    return value


@dataclass(frozen=True, slots=True)
class Shipment:
    """The meters of one file, no serial number and no system title twice."""

    meters: tuple[ShippedMeter, ...]
    made: str = ""

    @classmethod
    def made_at(cls, meters: tuple[ShippedMeter, ...], now: float) -> Self:
        """Return a shipment made at ``now`` (UTC seconds)."""
        return cls(meters, isoformat(now))

    def encode(self) -> bytes:
        """Return the file's octets; they hold keys."""
        data = {
            "format": FORMAT,
            "made": self.made,
            "meters": [meter.data() for meter in self.meters],
        }
        return json.dumps(data, indent=1).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a file's octets.

        Raises:
            ConfigError: it is no shipment (``request.shipment``); the message names the place,
                never a key.
        """
        try:
            data = json.loads(octets)
        except (ValueError, RecursionError) as error:
            raise _error("JSON wanted") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise _error(f"format {FORMAT} wanted")
        found = data.get("meters")
        if not isinstance(found, list) or len(found) > METERS:
            raise _error(f"a list of at most {METERS} meters wanted")
        meters = tuple(_meter(place, item) for place, item in enumerate(found))
        for name in ("serial", "system_title"):
            if len({getattr(meter, name) for meter in meters}) != len(meters):
                raise _error(f"a {name} is there twice")
        titles = [meter.c1222.title for meter in meters if meter.c1222 is not None]
        if len(set(titles)) != len(titles):
            raise _error("an ApTitle is there twice")
        return cls(meters, str(data.get("made", ""))[:_TEXT])


def _meter(place: int, item: Any) -> ShippedMeter:
    try:
        return ShippedMeter.of(item)
    except (KeyError, TypeError, ValueError, AttributeError):
        # What was found may be a key: neither the message nor the cause goes out.
        raise _error(f"meter {place + 1} is incomplete or wrong") from None


def _error(message: str) -> ConfigError:
    return ConfigError(f"not a shipment file: {message}", code="request.shipment")
