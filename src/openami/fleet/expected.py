"""The devices that are expected: a list that a purchase or a roll-out brings, as CSV.

The first line names the columns: ``uid`` is needed, the others may be missing or empty::

    uid,manufacturer,model,fingerprint,approval,region,label
    OAMDCU0001,OpenAMI,OA-DCU,9F2C…,auto,Seoul,Pole 17

``fingerprint`` is the SHA-256 of the factory certificate in hexadecimal digits, with or without
colons; ``approval`` is ``auto`` (the default) or ``manual``.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.core.identifiers import check_serial

if TYPE_CHECKING:
    from collections.abc import Iterable

EXPECTED: Final = 200_000
"""Devices in one list: all the DCUs of a country of 18 million meters, and more."""

_TEXT: Final = 128  # characters of one field; a fingerprint with colons has 95
_COLUMNS: Final = frozenset(
    {"uid", "manufacturer", "model", "fingerprint", "approval", "region", "label"}
)
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{64}")


class Approval(StrEnum):
    """Who lets an expected device in: the list itself, or a person."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class ExpectedDevice:
    """A device that may ask; empty texts and no fingerprint fit any."""

    uid: str
    manufacturer: str = ""
    model: str = ""
    fingerprint: bytes | None = None
    approval: Approval = Approval.AUTO
    region: str = ""
    label: str = ""


def read_expected(text: str) -> tuple[ExpectedDevice, ...]:
    """Read a list: all of it or, where one line is wrong, nothing.

    Raises:
        ConfigError: it is no list (``request.expected``); the message names the line.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        columns = [name.strip().lower() for name in next(rows, [])]
        if len(set(columns)) != len(columns) or not {"uid"} <= set(columns) <= _COLUMNS:
            others = ", ".join(sorted(_COLUMNS - {"uid"}))
            raise _error(1, f"names of columns wanted: uid, and any of {others}; commas between")
        return _devices(columns, ((rows.line_num, row) for row in rows if row))
    except csv.Error as error:
        raise _error(rows.line_num, str(error)) from error


def _devices(
    columns: list[str], rows: Iterable[tuple[int, list[str]]]
) -> tuple[ExpectedDevice, ...]:
    found: dict[str, ExpectedDevice] = {}
    for line, row in rows:
        if len(row) != len(columns):
            raise _error(line, f"{len(columns)} fields wanted")
        try:
            device = _device({name: _text(cell) for name, cell in zip(columns, row, strict=True)})
        except ValueError as error:
            raise _error(line, str(error)) from None
        if device.uid in found:
            raise _error(line, f"{device.uid} is there twice")
        if len(found) == EXPECTED:
            raise _error(line, f"at most {EXPECTED} devices wanted")
        found[device.uid] = device
    return tuple(found.values())


def _device(cells: dict[str, str]) -> ExpectedDevice:
    digits = cells.get("fingerprint", "").replace(":", "")
    if digits and not _FINGERPRINT.fullmatch(digits):
        raise ValueError("a SHA-256 in hexadecimal digits wanted")
    approval = cells.get("approval", "").lower() or "auto"
    if approval not in Approval.__members__.values():
        raise ValueError("approval is auto or manual")
    return ExpectedDevice(
        uid=check_serial(cells["uid"]),
        manufacturer=cells.get("manufacturer", ""),
        model=cells.get("model", ""),
        fingerprint=bytes.fromhex(digits) if digits else None,
        approval=Approval(approval),
        region=cells.get("region", ""),
        label=cells.get("label", ""),
    )


def _text(cell: str) -> str:
    text = cell.strip()
    if len(text) > _TEXT or not text.isprintable():
        raise ValueError(f"at most {_TEXT} printable characters wanted")
    return text


def _error(line: int, message: str) -> ConfigError:
    return ConfigError(f"line {line} of the list: {message}", code="request.expected")
