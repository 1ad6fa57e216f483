"""Published and hand-written vectors, real telegrams, and values as JSON has them."""

from __future__ import annotations

import dataclasses
import gzip
import json
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms.data import Data, type_name
from openami.dlms.datetime import CosemDateTime
from openami.dlms.hdlc.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FOLDER: Final = Path(__file__).parent.parent / "vectors"
_LLC_SIZE: Final = 3


@dataclass(frozen=True)
class Case:
    """One vector: octets, and the fields that they say."""

    name: str
    source: str
    raw: bytes
    fields: dict[str, Any]


def load(name: str) -> list[Case]:
    """Return the cases of ``tests/vectors/<name>.json``."""
    rows = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return [
        Case(row["name"], row["source"], bytes.fromhex(row["hex"]), row["fields"]) for row in rows
    ]


def named(case: Case) -> str:
    """Return a test's id."""
    return case.name.replace(" ", "-").replace(",", "")


def telegrams() -> list[bytes]:
    """Return the 600 HDLC frames that Kaifa and Kamstrup meters pushed."""
    with gzip.open(FOLDER / "han_frames.txt.gz", "rt") as lines:
        return [bytes.fromhex(line.split()[1]) for line in lines]


def notifications() -> list[bytes]:
    """Return the APDUs in ``telegrams``."""
    return [Frame.decode(frame).info[_LLC_SIZE:] for frame in telegrams()]


def data_fields(data: Data) -> dict[str, Any]:
    """Return data as ``{"type": value}``."""
    if isinstance(data.value, tuple):
        return {type_name(data.type): [data_fields(item) for item in data.value]}
    return {type_name(data.type): data.jsonable()}


@singledispatch
def fields_of(value: Any) -> Any:
    """Return any value of the codec as JSON has it; fields at their default are left out."""
    result = {"type": type(value).__name__}
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if not _is_default(field, found):
            result[field.name] = fields_of(found)
    return result


@fields_of.register(int)
@fields_of.register(str)
@fields_of.register(type(None))
def _plain(value: Any) -> Any:
    return value


@fields_of.register(Obis)
@fields_of.register(CosemDateTime)
def _text(value: Any) -> str:
    return str(value)


@fields_of.register(IntEnum)
def _enum(value: IntEnum) -> str:
    return value.name


@fields_of.register(IntFlag)
def _flags(value: IntFlag) -> list[str | None]:
    return [bit.name for bit in sorted(type(value), reverse=True) if bit in value]


@fields_of.register(bytes)
def _octets(value: bytes) -> str:
    return value.hex()


@fields_of.register(tuple)
def _items(value: tuple[Any, ...]) -> list[Any]:
    return [fields_of(item) for item in value]


fields_of.register(Data, data_fields)


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    same = field.default == value and field.default is not dataclasses.MISSING
    return same and (isinstance(value, type(field.default)) or value in (0, None))


def attempt(decode: Callable[[bytes], T], octets: bytes) -> T | DecodeError:
    """Return what ``decode`` makes of ``octets``, or its one error; any other error passes."""
    try:
        return decode(octets)
    except DecodeError as error:
        return error
