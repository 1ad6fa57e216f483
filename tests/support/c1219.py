"""Devices made up: formats and dimensions by chance, and values for whatever layout they give.

What is made follows from a ``random.Random`` alone, so that a seed gives it again.
"""

from __future__ import annotations

import string
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.tables import STANDARD, TableId, Tables, TimeFormat, standard
from openami.c1222.tables.codecs import (
    BcdText,
    BitField,
    Octets,
    Secret,
    SetOf,
    SInt,
    Tail,
    Text,
    UInt,
)
from openami.c1222.tables.formats import IntFormat
from openami.c1222.tables.layout import Array, Node, Record
from openami.c1222.tables.numbers import BcdNumber, Characters, Fixed, Float
from openami.c1222.tables.times import Date, DateTime, TimeOfDay

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

FIRST: Final = datetime.fromisoformat("1990-01-01")
LAST: Final = datetime.fromisoformat("2089-12-31T23:59:59")
"""The days that two digits of a year can name."""
USED: Final = frozenset({0, 1, 3, 5, 7, 8, 23, 64, 65, 66, 67})


def config(
    *,
    order: int = 0,
    char: int = 1,
    time_format: int = 2,
    integer: int = 0,
    ni1: int = 10,
    ni2: int = 8,
    bcd: bool = False,
    pending: int = 2,
    used: frozenset[int] = USED,
) -> dict[str, Any]:
    """Return values of ST-00."""
    return {
        "FORMAT_CONTROL_1": {"DATA_ORDER": bool(order), "CHAR_FORMAT": char, "MODEL_SELECT": 0},
        "FORMAT_CONTROL_2": {
            "TM_FORMAT": time_format,
            "DATA_ACCESS_METHOD": 3,
            "ID_FORM": bcd,
            "INT_FORMAT": integer,
        },
        "FORMAT_CONTROL_3": {"NI_FORMAT1": ni1, "NI_FORMAT2": ni2},
        "DEVICE_CLASS": b"OAMI",
        "NAMEPLATE_TYPE": 2,
        "DEFAULT_SET_USED": 0,
        "MAX_PROC_PARM_LENGTH": 30,
        "MAX_RESP_DATA_LEN": 30,
        "STD_VERSION_NO": 2,
        "STD_REVISION_NO": 0,
        "DIM_STD_TBLS_USED": 10,
        "DIM_MFG_TBLS_USED": 1,
        "DIM_STD_PROC_USED": 3,
        "DIM_MFG_PROC_USED": 1,
        "DIM_MFG_STATUS_USED": 2,
        "NBR_PENDING": pending,
        "STD_TBLS_USED": used,
        "MFG_TBLS_USED": frozenset({1}),
        "STD_PROC_USED": frozenset({10}),
        "MFG_PROC_USED": frozenset[int](),
        "STD_TBLS_WRITE": frozenset({5, 7}),
        "MFG_TBLS_WRITE": frozenset[int](),
    }


def any_config(chance: Random) -> dict[str, Any]:
    """Return values of ST-00 with any formats that there are."""
    return config(
        order=chance.randrange(2),
        char=chance.randrange(8),
        time_format=chance.randrange(5),
        integer=chance.randrange(3),
        ni1=chance.randrange(14),
        ni2=chance.randrange(14),
        bcd=chance.random() < 0.5,
        used=USED - {64 + chance.randrange(4), 64 + chance.randrange(4)},
    )


DIMENSIONS: Final = tuple(standard(number) for number in (11, 21, 41, 51, 61, 62, 71))
CODES: Final = (1, 2, 4, 8, 16, 32, 64, 128)


def shrunk(values: dict[str, Any], chance: Random) -> dict[str, Any]:
    """Return a dimension table with small numbers of everything."""
    small: dict[str, Any] = {}
    for name, value in values.items():
        small[name] = value
        if isinstance(value, dict) and "NBR_BLKS" in value:
            small[name] = {each: chance.randrange(4) for each in value}
        elif isinstance(value, dict) and "INT_FMT_CDE" in value:
            small[name] = {**value, "INT_FMT_CDE": chance.choice(CODES)}
        elif name == "CONSTANTS_SELECTOR":
            small[name] = 2
        elif name.startswith("NBR") or name.endswith(("_LEN", "LENGTH", "TBL_SIZE")):
            small[name] = chance.randrange(4)
    return small


def any_device(chance: Random) -> Tables:
    """Return the tables of a device whose dimensions are all known."""
    tables = Tables.of_values(any_config(chance))
    for table in DIMENSIONS:
        values = shrunk(value_of(tables.layout(table), chance), chance)
        tables = tables.learn(table, tables.encode(table, values))
    return tables


def tables_of(device: Tables) -> list[TableId]:
    """Return all tables that a device of ours has, but ST-00."""
    used = device.known[standard(0)]["STD_TBLS_USED"]
    profiles = {standard(number) for number in range(64, 68) if number not in used}
    return sorted(set(STANDARD.tables) - profiles - {standard(0)})


def value_of(node: Node, chance: Random) -> Any:
    """Return a value of a layout."""
    if isinstance(node, Record):
        return {each.name: value_of(inner, chance) for each, inner in node.present}
    if isinstance(node, Array):
        return [value_of(node.of, chance) for _ in range(node.count)]
    return _VALUES[type(node.codec)](node.codec, chance)


def _text(codec: Any, chance: Random) -> str:
    width = {4: 2, 5: 4}.get(codec.char, 1)
    size = chance.randint(0, codec.size // width)
    return "".join(chance.choices(string.printable[:70] + "  ", k=size)).rstrip(" ")


def _signed(codec: Any, chance: Random) -> int:
    limit = 1 << (8 * codec.size - 1)
    lowest = -limit if codec.form is IntFormat.TWOS_COMPLEMENT else 1 - limit
    return chance.choice((lowest, -1, 0, limit - 1, chance.randint(lowest, limit - 1)))


def _decimal(width: int, chance: Random) -> Decimal | None:
    if not chance.randrange(8):
        return None
    limit = 10 ** (width - 4)
    return Decimal(chance.randint(-limit, limit)).scaleb(-chance.randrange(3))


def _moment(codec: Any, chance: Random) -> datetime | None:
    if codec.form is TimeFormat.NONE:
        return None
    moment = FIRST + timedelta(seconds=chance.randrange(int((LAST - FIRST).total_seconds())))
    short = 5 if codec.form in {TimeFormat.BCD, TimeFormat.UINT8} else 4
    if codec.form is TimeFormat.SECONDS or codec.size > short:
        return moment
    return moment.replace(second=0)


def _time_of_day(codec: Any, chance: Random) -> time | None:
    return (FIRST + timedelta(seconds=chance.randrange(86400))).time() if codec.size else None


def _date(_: Any, chance: Random) -> date | None:
    days = (LAST - FIRST).days
    return (
        (FIRST + timedelta(days=chance.randint(0, days))).date() if chance.random() < 0.9 else None
    )


def _bits(codec: Any, chance: Random) -> dict[str, Any]:
    return {
        part.name: chance.random() < 0.5 if part.width == 1 else chance.getrandbits(part.width)
        for part in codec.parts
    }


def _float(codec: Any, chance: Random) -> float:
    form = ">d" if codec.size == 8 else ">f"
    number = chance.choice((0.0, -1.5, float("inf"), chance.uniform(-1e30, 1e30)))
    return float(unpack(form, pack(form, number))[0])


def _octets(codec: Any, chance: Random) -> bytes:
    return chance.randbytes(codec.size)


_VALUES: Final[dict[type, Callable[[Any, Random], Any]]] = {
    UInt: lambda codec, chance: chance.getrandbits(8 * codec.size),
    SInt: _signed,
    Octets: _octets,
    Secret: _octets,
    Tail: lambda codec, chance: chance.randbytes(chance.randint(0, codec.size)),
    Text: _text,
    BcdText: lambda codec, chance: "".join(
        chance.choices("0123456789-. ", k=chance.randint(0, 2 * codec.size))
    ).rstrip(" "),
    SetOf: lambda codec, chance: frozenset(
        bit for bit in range(8 * codec.size) if not chance.randrange(4)
    ),
    BitField: _bits,
    Float: _float,
    Fixed: lambda codec, chance: Decimal(_signed(codec.integer, chance)).scaleb(-4),
    Characters: lambda codec, chance: _decimal(codec.size, chance),
    BcdNumber: lambda codec, chance: _decimal(2 * codec.size, chance),
    DateTime: _moment,
    TimeOfDay: _time_of_day,
    Date: _date,
}
