"""Who a meter is: what its maker put into it, keys included."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from openami import __version__
from openami.core.errors import ConfigError
from openami.core.identifiers import SystemTitle, check_serial
from openami.dlms.home.messages import CODE_DIGITS
from openami.fleet.shipment import Shipment, ShippedC1222, ShippedMeter
from openami.meter.files import read_secret, write_secret
from openami.meter.settings import grid_of
from openami.metrology.config import EUROPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from openami.metrology.config import Grid

FORMAT: Final = "openami-meter-1"
FLAG: Final = "OAM"
FIRMWARE: Final = f"openami-{__version__}"
FIRST_ADDRESS: Final = 0x10
ADDRESSES: Final = 0x3FFD - FIRST_ADDRESS + 1
"""Station addresses of an HDLC line (IEC 62056-46 6.4.2.3): the others are reserved."""

KEY_OCTETS: Final = 16
NAME_OCTETS: Final = 16
PASSWORD_DIGITS: Final = 8
C1222_NETWORK: Final = ".123.1"
"""Where ApTitles of our meters begin; their running number follows. Those that are shorter, such as
``.123.4``, are for head-ends and relays."""
C1222_KEY: Final = 2
C1222_USER: Final = 2
"""The key's id and the user's number of a new meter that speaks C12.22."""
_PASSWORD_OCTETS: Final = 10  # 80 bits, as 20 hexadecimal digits: all that C12.22 has room for
SHIPMENT_FILE: Final = "shipment.json"
MODELS: Final = {1: "OA1-100", 3: "OA3-100"}


class BroadcastKeys(NamedTuple):
    """What all meters of a line have, to hear what is said to all of them."""

    gbek: bytes
    gbak: bytes

    @classmethod
    def generate(cls, octets: Callable[[int], bytes]) -> Self:
        """Return new ones of random octets."""
        return cls(octets(KEY_OCTETS), octets(KEY_OCTETS))

    def __repr__(self) -> str:
        return "BroadcastKeys()"


@dataclass(frozen=True, slots=True)
class MeterKeys:
    """A meter's secrets.

    Args:
        master: the key that wraps new keys (KEK).
        guek: global unicast encryption key.
        gak: global authentication key.
        gbek: global broadcast encryption key.
        lls: the reading client's password.
        gbak: global authentication key of what is broadcast; None: it takes no broadcasts, as
            meters of before 2026-11.
    """

    master: bytes = field(repr=False)
    guek: bytes = field(repr=False)
    gak: bytes = field(repr=False)
    gbek: bytes = field(repr=False)
    lls: bytes = field(repr=False)
    gbak: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        keys = (self.master, self.guek, self.gak, self.gbek, self.gbak or self.gbek)
        if any(len(key) != KEY_OCTETS for key in keys) or not 0 < len(self.lls) <= 64:
            raise ValueError("keys of 16 octets and a password of 1 to 64 wanted")


@dataclass(frozen=True, slots=True)
class MeterIdentity:
    """One meter.

    Args:
        serial: its serial number.
        system_title: its DLMS system title.
        logical_device_name: 16 octets, the maker's FLAG id first (Blue Book 4.1.8.2).
        model: the maker's type.
        phases: 1 or 3.
        firmware: identifier of the firmware in service.
        address: its station (lower HDLC) address.
        keys: its secrets.
        c1222: what it is called and protected by in C12.22; None: it does not speak that.
        home: the code on its label, which displays are paired by; None: it pairs with none.
        grid: the voltage and the frequency that it is made for.
    """

    serial: str
    system_title: SystemTitle
    logical_device_name: bytes
    model: str
    phases: int
    firmware: str
    address: int
    keys: MeterKeys = field(repr=False)
    c1222: ShippedC1222 | None = None
    home: str | None = field(default=None, repr=False)
    grid: Grid = EUROPE

    def __post_init__(self) -> None:
        check_serial(self.serial)
        if len(self.logical_device_name) != NAME_OCTETS:
            raise ValueError("a logical device name of 16 octets wanted")

    def shipped(self) -> ShippedMeter:
        """Return the entry of a shipment for this meter; it holds the keys."""
        keys = {name: getattr(self.keys, name) for name in MeterKeys.__slots__}
        return ShippedMeter(
            serial=self.serial,
            system_title=self.system_title,
            logical_device_name=self.logical_device_name.decode("ascii"),
            model=self.model,
            firmware=self.firmware,
            phases=self.phases,
            address=self.address,
            keys={name: key for name, key in keys.items() if key is not None},
            c1222=self.c1222,
            grid=str(self.grid),
        )

    def with_c1222(self, octets: Callable[[int], bytes]) -> MeterIdentity:
        """Return the same meter with a title, a key and a password of C12.22, if it has none.

        Args:
            octets: gives random octets.
        """
        if self.c1222 is not None:
            return self
        number = int.from_bytes(self.system_title.raw[-4:], "big")
        key, password = octets(KEY_OCTETS), octets(_PASSWORD_OCTETS).hex()
        title = f"{C1222_NETWORK}.{number}"
        return replace(self, c1222=ShippedC1222(title, {C1222_KEY: key}, C1222_USER, password))

    def with_home(self, octets: Callable[[int], bytes]) -> MeterIdentity:
        """Return the same meter with a code for displays, if it has none.

        Args:
            octets: gives random octets.
        """
        return self if self.home is not None else replace(self, home=_digits(octets, CODE_DIGITS))

    @classmethod
    def of(cls, shipped: ShippedMeter) -> Self:
        """Return the meter of a shipment's entry.

        Raises:
            ConfigError: the entry lacks a key or has no address.
        """
        if shipped.address is None:
            raise ConfigError(f"meter {shipped.serial} has no station address")
        try:
            return cls(
                serial=shipped.serial,
                system_title=shipped.system_title,
                logical_device_name=shipped.logical_device_name.encode("ascii"),
                model=shipped.model,
                phases=shipped.phases,
                firmware=shipped.firmware,
                address=shipped.address,
                keys=MeterKeys(**shipped.keys),
                c1222=shipped.c1222,
                # Before 2026-11-22 all meters were made for that, and shipments did not say so.
                grid=EUROPE if shipped.grid is None else grid_of(shipped.grid),
            )
        except (ValueError, TypeError):  # what was found may be a key: it is not shown
            raise ConfigError(f"meter {shipped.serial} cannot be made of this entry") from None


def seeded(seed: str) -> Callable[[int], bytes]:
    """Return a source of octets that depends on ``seed`` alone: for simulated meters only."""
    stream = hashlib.shake_256(f"openami meter {seed}".encode())
    taken = 0

    def octets(count: int) -> bytes:
        nonlocal taken
        taken += count
        return stream.digest(taken)[-count:]

    return octets


def generate_identity(
    number: int,
    octets: Callable[[int], bytes],
    *,
    phases: int = 1,
    address: int | None = None,
    flag: str = FLAG,
    broadcast: BroadcastKeys | None = None,
    grid: Grid = EUROPE,
) -> MeterIdentity:
    """Return a new meter.

    Args:
        number: the maker's running number, 0 to 99,999,999.
        octets: gives random octets.
        phases: 1 or 3.
        address: the station address; from the number if not given.
        flag: the maker's FLAG id.
        broadcast: the keys of its line; its own if not given.
        grid: the voltage and the frequency that it is made for.

    Raises:
        ConfigError: the number, the phases or the flag cannot be.
    """
    if not 0 <= number <= 99_999_999 or phases not in MODELS or len(flag) != 3:
        raise ConfigError("a meter has a number of 8 digits, 1 or 3 phases and a FLAG of 3 letters")
    return MeterIdentity(
        serial=f"{flag}{number:08}",
        system_title=SystemTitle.of(flag, number),
        logical_device_name=f"{flag}{phases}{number:012}".encode("ascii"),
        model=MODELS[phases],
        phases=phases,
        firmware=FIRMWARE,
        address=FIRST_ADDRESS + number % ADDRESSES if address is None else address,
        keys=_generate_keys(octets, broadcast),
        grid=grid,
    )


def _generate_keys(octets: Callable[[int], bytes], line: BroadcastKeys | None) -> MeterKeys:
    master, guek, gak = (octets(KEY_OCTETS) for _ in range(3))
    gbek, gbak = line or BroadcastKeys.generate(octets)
    lls = _digits(octets, PASSWORD_DIGITS).encode("ascii")
    return MeterKeys(master, guek, gak, gbek, lls, gbak)


def _digits(octets: Callable[[int], bytes], count: int) -> str:
    return f"{int.from_bytes(octets(8), 'big') % 10**count:0{count}}"


def save_identity(path: Path, identity: MeterIdentity) -> None:
    """Write the meter's own file: a shipment's entry with a format, mode 0600."""
    data: dict[str, Any] = {"format": FORMAT, **identity.shipped().data()}
    if identity.home is not None:  # of the label alone: no shipment tells it to a utility
        data["home"] = {"code": identity.home}
    write_secret(path, json.dumps(data, indent=1).encode())


def load_identity(path: Path) -> MeterIdentity:
    """Read a meter's own file.

    Raises:
        ConfigError: it is not there, is open to others, or is no such file.
    """
    octets = read_secret(path)
    try:
        data = json.loads(octets)
        known = data.pop("format") == FORMAT
        code = _code(data.pop("home", None))
        shipped = ShippedMeter.of(data)
    except (ValueError, KeyError, TypeError, AttributeError):  # it may be a key: not shown
        raise ConfigError(f"{path} is no meter's file") from None
    if not known:
        raise ConfigError(f"{path} is no file of format {FORMAT}")
    return replace(MeterIdentity.of(shipped), home=code)


def _code(home: Any) -> str | None:
    """Read the code of a meter's file; raises ``ValueError``, ``KeyError`` or ``TypeError``."""
    code = None if home is None else str(home["code"])
    if code is not None and not (len(code) == CODE_DIGITS and code.isascii() and code.isdigit()):
        raise ValueError(f"a code of {CODE_DIGITS} digits wanted")
    return code


def save_shipment(path: Path, identities: Iterable[MeterIdentity], now: float) -> None:
    """Write the shipment file of ``identities``, mode 0600, that a head-end imports."""
    shipment = Shipment.made_at(tuple(identity.shipped() for identity in identities), now)
    write_secret(path, shipment.encode())


def load_shipment(path: Path) -> tuple[MeterIdentity, ...]:
    """Return the meters of a shipment file.

    Raises:
        ConfigError: it is not there, is open to others, or is no such file.
    """
    return tuple(MeterIdentity.of(meter) for meter in Shipment.decode(read_secret(path)).meters)


def load_street(path: Path) -> tuple[MeterIdentity, ...]:
    """Return the meters of a shipment file as a street runs them: with codes on their labels.

    A shipment has no codes: these meters' follow from their keys.

    Raises:
        ConfigError: see ``load_shipment``.
    """
    return tuple(
        each.with_home(seeded(f"home {each.keys.master.hex()}")) for each in load_shipment(path)
    )
