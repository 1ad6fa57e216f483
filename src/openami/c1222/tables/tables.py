"""The tables of one device: its formats, what is known of its dimensions, and the layouts.

ST-00 says how everything is written and which tables there are; the dimension tables (ST-11, 21,
41, 51, 61, 71) say how much of everything there is. ``Tables`` is made of ST-00 and learns the
others; then it lays out every table that is described.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Self

from openami.c1222.tables import layout
from openami.c1222.tables.codecs import (
    BcdText,
    BitField,
    Codec,
    Octets,
    Secret,
    SetOf,
    SInt,
    Tail,
    Text,
    UInt,
)
from openami.c1222.tables.decades import STANDARD
from openami.c1222.tables.formats import Formats, NiFormat
from openami.c1222.tables.ids import TableId, standard
from openami.c1222.tables.layout import MAX_EMPTY, MAX_SIZE, Array, Leaf, Member, Node, Record
from openami.c1222.tables.numbers import non_integer
from openami.c1222.tables.times import Date, long_time, short_time, time_of_day
from openami.core.errors import ConfigError, DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.c1222.tables.description import Description, Field, Fields, ProcedureKey, Type

CONFIG: Final = standard(0)
MAX_DEPTH: Final = 16
"""Records within records: those of the standard go four deep."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The layouts of one device's tables. Nothing in it changes: ``learn`` gives another.

    Attributes:
        formats: how the device writes.
        known: the values of ST-00 and of the tables that were learnt.
        description: what tables look like.
    """

    formats: Formats
    known: Mapping[TableId, Any] = field(default_factory=dict, repr=False)
    description: Description = field(default=STANDARD, repr=False)

    @classmethod
    def of_config(cls, octets: bytes, description: Description = STANDARD) -> Self:
        """Return the tables of the device that has this ST-00.

        Args:
            octets: ST-00, whole.
            description: of all its tables, ``STANDARD.joined(...)`` where it has its own.

        Raises:
            DecodeError: it is no ST-00.
        """
        blank = cls(Formats(), description=description)
        head = blank.config_head()
        known = {CONFIG: layout.decode(head, octets[: head.size])}
        try:
            formats = Formats.of(known[CONFIG])
        except ValueError as error:
            raise DecodeError(f"ST-00: {error}") from None
        return cls(formats, known, description).learn(CONFIG, octets)

    @classmethod
    def of_values(cls, config: Mapping[str, Any], description: Description = STANDARD) -> Self:
        """Return the tables of a device with this ST-00, given as values.

        Raises:
            LocalProtocolError: they are no values of ST-00.
        """
        blank = cls(Formats(), {CONFIG: config}, description)
        return cls.of_config(blank.encode(CONFIG, config), description)

    def config_head(self) -> Record:
        """Return the layout of ST-00 before its sets, whose sizes it says."""
        fields = self.description.tables[CONFIG].fields
        return self._record(tuple(takewhile(lambda each: not each.needs, fields)), 0)

    def learn(self, table: TableId, octets: bytes) -> Self:
        """Return the tables with what a dimension table says.

        Raises:
            DecodeError: the octets are not that table.
            LocalProtocolError: ``c1219.dimension``, what it needs is not known.
            ConfigError: ``c1219.table``, it is not described.
        """
        return replace(self, known={**self.known, table.active: self.decode(table, octets)})

    def missing(self, table: TableId) -> list[TableId]:
        """Return the tables to learn, in this order, before this one can be laid out.

        Raises:
            ConfigError: ``c1219.table``, one of them is not described.
        """
        found: list[TableId] = []
        self._gather(table.active, found, MAX_DEPTH)
        return found

    def _gather(self, table: TableId, found: list[TableId], depth: int) -> None:
        if not depth:
            raise ConfigError(f"{table} rules itself", code="c1219.description")
        for other in sorted(self.description.needs(table) - {table}):
            if other not in self.known and other not in found:
                self._gather(other, found, depth - 1)
                found.append(other)

    def layout(self, table: TableId) -> Record:
        """Return the layout of a table.

        Raises:
            ConfigError: ``c1219.table``, it is not described.
            LocalProtocolError: ``c1219.dimension``, what it needs is not known, or its size is
                out of all bounds.
        """
        named = self.description.tables.get(table.active)
        if named is None:
            raise ConfigError(f"{table} is not described", code="c1219.table")
        return self._bounded(named.fields, str(table))

    def parameters(self, procedure: ProcedureKey) -> Record:
        """Return the layout of what a procedure takes; see ``layout`` for what it raises."""
        named = self.description.procedures.get(procedure)
        if named is None:
            raise ConfigError(f"procedure {procedure[1]} is not described", code="c1219.procedure")
        return self._bounded(named.fields, named.name)

    def answer(self, procedure: ProcedureKey) -> Record:
        """Return the layout of what a procedure answers: nothing where that is not described."""
        named = self.description.answers.get(procedure)
        return Record((), 0) if named is None else self._bounded(named.fields, named.name)

    def decode(self, table: TableId, octets: bytes) -> dict[str, Any]:
        """Return the values of a whole table.

        Raises:
            DecodeError: the octets are not that table.
            ConfigError: see ``layout``.
            LocalProtocolError: see ``layout``.
        """
        values: dict[str, Any] = layout.decode(self.layout(table), octets)
        return values

    def encode(self, table: TableId, values: Mapping[str, Any]) -> bytes:
        """Return the octets of a whole table.

        Raises:
            LocalProtocolError: ``c1219.value``, a value does not fit; see ``layout``.
            ConfigError: see ``layout``.
        """
        return layout.encode(self.layout(table), values)

    def _bounded(self, fields: Fields, name: str) -> Record:
        record = self._record(fields, 0)
        if record.size > MAX_SIZE or record.empties > MAX_EMPTY:
            raise LocalProtocolError(
                f"{name} would have {record.size} octets", code="c1219.dimension"
            )
        return record

    def _record(self, fields: Fields, depth: int) -> Record:
        if depth > MAX_DEPTH:
            raise ConfigError("records within records without an end", code="c1219.description")
        members: list[Member] = []
        at = 0
        for each in fields:
            node = self._field(each, depth)
            members.append(Member(each.name, at, node))
            at += 0 if node is None else node.size
        for member in members[:-1]:
            if member.node is not None and member.node.minimum != member.node.size:
                raise ConfigError(f"after {member.name} nothing can be", code="c1219.description")
        return Record(tuple(members), at)

    def _field(self, each: Field, depth: int) -> Node | None:
        if each.when is not None and not each.when.value(self.known):
            return None
        node = self._type(each.type, depth)
        if each.count is None:
            return node
        count = each.count.value(self.known)
        if count < 0:
            raise LocalProtocolError(f"{each.name}: {count} of them", code="c1219.dimension")
        return Array(count, node)

    def _type(self, kind: Type, depth: int) -> Node:
        if kind.name in self.description.records:
            return self._record(self.description.records[kind.name], depth + 1)
        bits = self.description.bits.get(kind.name)
        if bits is not None:
            return Leaf(BitField(bits.size, self.formats.order, bits.parts))
        arguments = [part.value(self.known) for part in kind.arguments]
        if any(not 0 <= argument <= MAX_SIZE for argument in arguments):
            raise LocalProtocolError(f"{kind.name} of {arguments}", code="c1219.dimension")
        if kind.name in _SCALARS:
            return Leaf(_SCALARS[kind.name](self.formats, *arguments))
        if kind.name[0] in "ui":
            return Leaf(_integer(kind.name, self.formats))
        raise ConfigError(f"no type {kind.name}", code="c1219.description")


def _integer(name: str, formats: Formats) -> Codec:
    size = int(name[1:]) // 8
    if name[0] == "u":
        return UInt(size, formats.order)
    return SInt(size, formats.order, formats.integer)


_CODED: Final = {1: "u8", 2: "u16", 4: "u32", 8: "i8", 16: "i16", 32: "i32"}


def _coded(formats: Formats, code: int) -> Codec:
    """Return the codec of INT_FMT_CDE (C12.19, ST-62)."""
    if code in _CODED:
        return _integer(_CODED[code], formats)
    if code in {64, 128}:
        return non_integer(formats.ni1 if code == 64 else formats.ni2, formats)
    raise LocalProtocolError(f"{code} is no format of an interval", code="c1219.dimension")


def _ni(form: Callable[[Formats], NiFormat]) -> Callable[..., Codec]:
    return lambda formats: non_integer(form(formats), formats)


_SCALARS: Final[Mapping[str, Callable[..., Codec]]] = {
    "ni1": _ni(lambda formats: formats.ni1),
    "ni2": _ni(lambda formats: formats.ni2),
    "ltime": long_time,
    "stime": short_time,
    "time": time_of_day,
    "date": lambda formats: Date(formats.order),
    "text": lambda formats, size: Text(size, formats.char, formats.order),
    "octets": lambda _, size: Octets(size),
    "secret": lambda _, size: Secret(size),
    "set": lambda _, size: SetOf(size),
    "tail": lambda _, size: Tail(size),
    "coded": _coded,
    "id": lambda formats, characters, digits: (
        BcdText(digits) if formats.bcd_ids else Text(characters, formats.char, formats.order)
    ),
}
