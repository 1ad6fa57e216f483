"""Shipment files: what a maker says of the meters it delivers, with their keys.

``{"format": "openami-shipment", "version": 1, "meters": [{"serial": "…", "system_title": "…",
"logical_device_name": "…", "model": "…", "firmware": "…", "keys": {"guek": "<hex>", …}}]}``
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from openami.core.errors import ConflictError, NotFoundError
from openami.core.identifiers import SystemTitle, check_serial
from openami.fleet.devices import (
    AuditEntry,
    Device,
    DeviceKind,
    LifecycleState,
    Sighting,
    device_id,
)
from openami.headend.credentials import KIND, NEEDED
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.clock import Clock
    from openami.fleet.ports import AuditLog, DeviceStore, Vault

FORMAT: Final = "openami-shipment"
VERSION: Final = 1
METERS: Final = 100_000  # a year of a big utility's purchases comes in many files
TEXT: Final = 128

# Keys have 16 octets (suites 0 and 1) or 32 (suite 2); a low-level secret may be anything short.
KEY_SIZES: Final = frozenset({16, 32})
SECRETS: Final[Mapping[str, frozenset[int]]] = {
    "guek": KEY_SIZES,
    "gak": KEY_SIZES,
    "gbek": KEY_SIZES,
    "master": KEY_SIZES,
    "hls": frozenset(range(1, 65)),
    "lls": frozenset(range(1, 65)),
}


@dataclass(frozen=True, slots=True)
class ShippedMeter:
    """One meter of a shipment."""

    serial: str
    system_title: SystemTitle
    logical_device_name: str = ""
    model: str = ""
    firmware: str = ""
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class Imported(NamedTuple):
    """How many meters of a shipment were new and how many known."""

    added: int
    known: int


def parse(text: bytes) -> tuple[ShippedMeter, ...]:
    """Return the meters of a shipment file.

    Raises:
        RequestError: ``request.shipment``, with what is wrong where, and never a key.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong("the file is not JSON") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _wrong(f'the file does not say "format": "{FORMAT}"')
    if document.get("version") != VERSION:
        raise _wrong(f"only version {VERSION} is known")
    meters = document.get("meters")
    if not isinstance(meters, list) or len(meters) > METERS:
        raise _wrong(f"meters is not a list of at most {METERS}")
    return tuple(_meter(item, place) for place, item in enumerate(meters))


class Shipments:
    """Takes shipments. A file that was taken half is taken whole by taking it again."""

    def __init__(
        self, devices: DeviceStore, vault: Vault, audit: AuditLog, *, clock: Clock, wall: Clock
    ) -> None:
        self._devices = devices
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._wall = wall

    def take(self, text: bytes, *, who: str) -> Imported:
        """Put a shipment's meters into the registry and their keys into the vault.

        Raises:
            RequestError: ``request.shipment``; nothing was taken.
            ConflictError: ``device.keys`` or ``store.conflict``, a meter of it is known with
                other keys or another title; the meters before it were taken.
        """
        meters = parse(text)
        added = sum(self._take(meter, who) for meter in meters)
        what = f"shipment taken: {added} of {len(meters)} meters were new"
        self._audit.add(AuditEntry(who, self._wall.now(), what, "shipment"))
        return Imported(added, len(meters) - added)

    def _take(self, meter: ShippedMeter, who: str) -> bool:
        present = self._vault.find(KIND, meter.serial)
        if any(present.get(name, key) != key for name, key in meter.keys.items()):
            raise ConflictError(
                f"meter {meter.serial} is known with other keys",
                code="device.keys",
                hint="retire the old meter first",
            )
        for name, key in meter.keys.items():
            if name not in present:
                self._vault.put(KIND, meter.serial, name, key)
        return self._register(meter, who)

    def _register(self, meter: ShippedMeter, who: str) -> bool:
        """Put a meter into the registry; return whether it is new there."""
        try:
            known = self._devices.get(device_id(DeviceKind.METER, meter.serial))
        except NotFoundError:
            device = Device(
                DeviceKind.METER,
                meter.serial,
                state=LifecycleState.MANUFACTURED,
                system_title=meter.system_title,
                logical_device_name=meter.logical_device_name,
                model=meter.model,
                firmware=meter.firmware,
            )
            self._devices.add(device, who=who, when=self._wall.now(), why="shipment")
            return True
        if known.system_title is None:
            title = Sighting(DeviceKind.METER, meter.serial, system_title=meter.system_title)
            known = self._devices.sight([title], now=self._clock.now())[0]
        if known.system_title != meter.system_title:
            raise ConflictError(
                f"meter {meter.serial} is known with another system title", code="device.title"
            )
        return False


def _meter(item: Any, place: int) -> ShippedMeter:
    where = f"meters[{place}]"
    if not isinstance(item, dict):
        raise _wrong(f"{where} is not an object")
    try:
        return ShippedMeter(
            serial=check_serial(_text(item, "serial", where)),
            system_title=SystemTitle.parse(_text(item, "system_title", where)),
            logical_device_name=_text(item, "logical_device_name", where, ""),
            model=_text(item, "model", where, ""),
            firmware=_text(item, "firmware", where, ""),
            keys=_keys(item.get("keys"), where),
        )
    except ValueError as error:
        raise _wrong(f"{where}: {error}") from error


def _keys(item: Any, where: str) -> dict[str, bytes]:
    if not isinstance(item, dict):
        raise _wrong(f"{where}.keys is not an object")
    keys = {name: _key(item[name], sizes, f"{where}.keys.{name}")
            for name, sizes in SECRETS.items() if item.get(name) is not None}  # fmt: skip
    missing = [name for name in NEEDED if name not in keys]
    if missing:
        raise _wrong(f"{where}.keys has no {' and no '.join(missing)}")
    return keys


def _key(text: Any, sizes: frozenset[int], where: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except (TypeError, ValueError):
        raise _wrong(f"{where} is not hexadecimal") from None  # the cause would show the key
    if len(key) not in sizes:
        raise _wrong(f"{where} has {len(key)} octets")
    return key


def _text(item: dict[str, Any], name: str, where: str, default: str | None = None) -> str:
    text = item.get(name, default)
    if not isinstance(text, str) or len(text) > TEXT:
        raise _wrong(f"{where}.{name} is not a text of at most {TEXT} characters")
    return text


def _wrong(what: str) -> RequestError:
    return RequestError(f"not a shipment file: {what}", code="request.shipment")
