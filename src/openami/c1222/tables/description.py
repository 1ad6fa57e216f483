"""Tables by description: the small language in which layouts are written down.

The standard's tables (``openami.c1222.tables.decades``) and a manufacturer's are written in the
same language; docs/reference/c1219.md has its grammar. A description is lines::

    table ST23 CURRENT_REGISTER_DATA
        NBR_DEMAND_RESETS  u8          if ST21.FUNC1.DEMAND_RESET_CTR
        TOT                DATA_BLOCK
        TIER               DATA_BLOCK  * ST21.NBR_TIERS

    record DATA_BLOCK
        SUMMATIONS  ni1 * ST21.NBR_SUMMATIONS

    bits FLAGS u8
        FIRST   0
        OTHERS  1-3

    table ST20,ST21 DIM_REGS,ACT_REGS
        NBR_TIERS  u8

    procedure SP10 SET_DATE_TIME
        MASK  u8

    answer SP10
        BEFORE  ltime
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.tables.codecs import UNNAMED, Bit
from openami.c1222.tables.expressions import Expression, parse_expression
from openami.c1222.tables.ids import TableId
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT: Final = 256 * 1024
"""Characters of one description: those of the standard's tables have twenty thousand."""
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_TYPE: Final = re.compile(r"(\w+)(?:\(((?:[^()]|\([^()]*\))*)\))?(.*)")
_BITS: Final = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?")
_BIT_TYPES: Final = {"u8": 1, "u16": 2, "u24": 3, "u32": 4}
SCALARS: Final = {
    **{f"{sign}{8 * size}": 0 for sign in "ui" for size in (1, 2, 3, 4, 5, 6, 8)},
    **dict.fromkeys(("ni1", "ni2", "ltime", "stime", "time", "date"), 0),
    **dict.fromkeys(("text", "octets", "secret", "set", "tail", "coded"), 1),
    "id": 2,
}
"""The types that are there by themselves, and how many arguments each takes."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type with its arguments: a scalar, or the name of a record or of bits."""

    name: str
    arguments: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """One element of a record: how many of which type, and when it is there at all."""

    name: str
    type: Type
    count: Expression | None = None
    when: Expression | None = None

    @property
    def needs(self) -> frozenset[TableId]:
        """The tables that its expressions name."""
        parts = (*self.type.arguments, self.count, self.when)
        return frozenset().union(*(part.needs for part in parts if part is not None))


Fields = tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class BitsType:
    """A bit field of so many octets."""

    size: int
    parts: tuple[Bit, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A table or a procedure: its name, and the fields of its record."""

    name: str
    fields: Fields


ProcedureKey = tuple[bool, int]
"""Whether it is the manufacturer's, and its number."""


@dataclass(frozen=True, slots=True)
class Description:
    """Tables, procedures, and the records and bits that they are made of."""

    tables: Mapping[TableId, Named] = field(default_factory=dict)
    procedures: Mapping[ProcedureKey, Named] = field(default_factory=dict)
    answers: Mapping[ProcedureKey, Named] = field(default_factory=dict)
    records: Mapping[str, Fields] = field(default_factory=dict)
    bits: Mapping[str, BitsType] = field(default_factory=dict)

    def joined(self, other: Description) -> Description:
        """Return both; where both say something, ``other`` holds."""
        return Description(
            {**self.tables, **other.tables},
            {**self.procedures, **other.procedures},
            {**self.answers, **other.answers},
            {**self.records, **other.records},
            {**self.bits, **other.bits},
        )

    def needs(self, table: TableId) -> frozenset[TableId]:
        """Return the tables that must be known before this one can be laid out.

        Raises:
            ConfigError: ``c1219.table``, it is not described.
        """
        if table not in self.tables:
            raise ConfigError(f"{table} is not described", code="c1219.table")
        found: set[TableId] = set()
        self._gather(self.tables[table].fields, found, set())
        return frozenset(found)

    def _gather(self, fields: Fields, found: set[TableId], seen: set[str]) -> None:
        for each in fields:
            found |= each.needs
            if each.type.name in self.records and each.type.name not in seen:
                seen.add(each.type.name)
                self._gather(self.records[each.type.name], found, seen)


@dataclass(slots=True)
class _Section:
    words: list[str]
    line: int
    body: list[tuple[int, str]] = field(default_factory=list)


def _wrong(line: int, message: str) -> ConfigError:
    return ConfigError(f"line {line}: {message}", code="c1219.description")


def _sections(text: str) -> list[_Section]:
    found: list[_Section] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].rstrip()
        if not line:
            continue
        if not line[0].isspace():
            found.append(_Section(line.split(), number))
        elif line.lstrip().startswith("if ") and found and found[-1].body:
            started, before = found[-1].body.pop()  # a condition may stand on a line of its own
            found[-1].body.append((started, f"{before} {line.strip()}"))
        elif found:
            found[-1].body.append((number, line.strip()))
        else:
            raise _wrong(number, "a line of nothing")
    return found


def parse_description(text: str) -> Description:
    """Return what a description says.

    Raises:
        ConfigError: ``c1219.description``, with the line that says nothing.
    """
    if len(text) > MAX_TEXT:
        raise ConfigError(f"{MAX_TEXT} characters at most", code="c1219.description")
    found = Description({}, {}, {}, {}, {})
    for section in _sections(text):
        try:
            _SECTIONS[section.words[0]](found, section)
        except (KeyError, ValueError):
            raise _wrong(section.line, "table, record, bits, procedure or answer wanted") from None
    return found


def _table(found: Description, section: _Section) -> None:
    _, numbers, names = section.words
    fields = _fields(section)
    for number, name in zip(numbers.split(","), names.split(","), strict=True):
        _put(found.tables, TableId.parse(number), Named(name, fields), section)


def _record(found: Description, section: _Section) -> None:
    _, name = section.words
    _put(found.records, name, _fields(section), section)


def _procedure(found: Description, section: _Section) -> None:
    _, number, name = section.words
    _put(found.procedures, _procedure_key(number), Named(name, _fields(section)), section)


def _answer(found: Description, section: _Section) -> None:
    _, number = section.words
    _put(found.answers, _procedure_key(number), Named(number, _fields(section)), section)


def _bits(found: Description, section: _Section) -> None:
    _, name, kind = section.words
    size = _BIT_TYPES[kind]
    parts: list[Bit] = []
    taken = 0
    for number, line in section.body:
        part = _bit(number, line)
        mask = ((1 << part.width) - 1) << part.low
        if mask >> 8 * size or mask & taken or part.name in {other.name for other in parts}:
            raise _wrong(number, "bits that are not there, or are there twice")
        taken |= mask
        parts.append(part)
    _put(found.bits, name, BitsType(size, tuple(parts)), section)


def _bit(number: int, line: str) -> Bit:
    name, _, where = line.partition(" ")
    match = _BITS.fullmatch(where.strip())
    if match is None or not _NAME.fullmatch(name) or name == UNNAMED:
        raise _wrong(number, "a name and its bits wanted")
    low, high = int(match[1]), int(match[2] or match[1])
    if high < low:
        raise _wrong(number, "the lower bit comes first")
    return Bit(name, low, high - low + 1)


def _put(mapping: Mapping[Any, Any], key: Any, value: object, section: _Section) -> None:
    if key in mapping or (isinstance(key, str) and not _NAME.fullmatch(key)):
        raise _wrong(section.line, f"{key} is there twice, or is no name")
    mapping[key] = value  # type: ignore[index]  # the dicts that parse_description has made


def _procedure_key(text: str) -> ProcedureKey:
    if text[:2] not in {"SP", "MP"}:
        raise ValueError(text)
    return text[:2] == "MP", int(text[2:])


def _fields(section: _Section) -> Fields:
    found: list[Field] = []
    for number, line in section.body:
        each = _field(number, line)
        if each.name in {other.name for other in found}:
            raise _wrong(number, f"{each.name} is there twice")
        found.append(each)
    return tuple(found)


def _field(number: int, line: str) -> Field:
    name, _, rest = line.partition(" ")
    rest, _, when = rest.partition(" if ")
    match = _TYPE.fullmatch(rest.strip())
    if match is None or not _NAME.fullmatch(name):
        raise _wrong(number, "a name and a type wanted")
    after = match[3].strip()
    if after and not after.startswith("*"):
        raise _wrong(number, f"{after!r} is neither a count nor a condition")
    try:
        return Field(
            name,
            _type(match[1], match[2]),
            parse_expression(after[1:]) if after else None,
            parse_expression(when) if when else None,
        )
    except ConfigError as error:
        raise _wrong(number, error.message) from None


def _type(name: str, arguments: str | None) -> Type:
    given = tuple(parse_expression(part) for part in arguments.split(",")) if arguments else ()
    wanted = SCALARS.get(name, 0)
    if len(given) != wanted or (name not in SCALARS and not _NAME.fullmatch(name)):
        raise ConfigError(f"{name} is no type, or has other arguments", code="c1219.description")
    return Type(name, given)


_SECTIONS: Final = {
    "table": _table,
    "record": _record,
    "bits": _bits,
    "procedure": _procedure,
    "answer": _answer,
}
