"""How a meter's tables are made, learnt once from itself.

Meters of one type and firmware say the same of themselves: they share one ``Model`` in memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from openami.c1222.tables import ProfileSet, Tables, standard
from openami.c1222.tables.layout import Array, Record
from openami.core.errors import ConfigError, DecodeError, LocalProtocolError
from openami.core.recent import Recent
from openami.headend.c1222.errors import LayoutError
from openami.headend.c1222.quantities import quantity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.c1222.tables import TableId
    from openami.headend.c1222.quantities import Quantity
    from openami.headend.c1222.talk import Talk

CONFIG: Final = standard(0)
NAMEPLATE: Final = standard(1)
REGISTERS: Final = standard(23)
PROFILE_STATUS: Final = standard(63)
PROFILE: Final = standard(64)
CLOCK: Final = standard(52)
EVENTS: Final = standard(76)
HISTORY: Final = standard(74)
PRESENT: Final = standard(28)
DIMENSIONS: Final = tuple(standard(n) for n in (11, 12, 16, 21, 22, 27, 51, 61, 62, 71))
"""In the order in which each can be laid out after those before it."""
KIND_OCTETS: Final = 16
"""Of ST-01 before the serial number: maker, model, versions of hardware and firmware."""
MODELS: Final = 256
"""Kinds of meters in memory, of some ten kilobytes each; a fleet has fewer."""


@dataclass(frozen=True, slots=True)
class LogLayout:
    """How a log is made: where its entries begin, how many there are, and one of them."""

    table: TableId
    head: Record
    entry: Record
    entries: int


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of meter.

    Attributes:
        kind: the octets of ST-01 before the serial number.
        tables: its layouts.
        summations: what each summation of ST-23 is.
        demands: what each demand of ST-23 is.
        present: what each present value of ST-28 is; of demands as of values.
        profile: of its load profile; None: it has none.
        channels: what each channel of that is, with scalar and divisor.
        log: its event log; None: it has none.
    """

    kind: bytes
    tables: Tables
    summations: tuple[Quantity | None, ...] = ()
    demands: tuple[Quantity | None, ...] = ()
    present: tuple[Quantity | None, ...] = ()
    profile: ProfileSet | None = None
    channels: tuple[Quantity | None, ...] = ()
    log: LogLayout | None = None

    def has(self, table: TableId) -> bool:
        """Return whether a meter of this kind has a table."""
        return table.number in self.tables.known[CONFIG]["STD_TBLS_USED"]

    def does(self, procedure: int) -> bool:
        """Return whether it does a standard procedure."""
        return procedure in self.tables.known[CONFIG]["STD_PROC_USED"]

    @property
    def period(self) -> int:
        """Seconds of an interval; 0: it has no load profile."""
        return 0 if self.profile is None else 60 * self.profile.minutes

    @property
    def maker(self) -> str:
        """Who made it, as ST-01 says."""
        return str(self.named("MANUFACTURER"))

    def named(self, what: str) -> Any:
        """Return a member of the nameplate, but not the serial number: that is another's."""
        return self.tables.known[NAMEPLATE][what]

    @property
    def firmware(self) -> str:
        """Which firmware it has."""
        return f"{self.named('FW_VERSION_NUMBER')}.{self.named('FW_REVISION_NUMBER')}"

    @classmethod
    def of(cls, config: bytes, nameplate: bytes, dimensions: Mapping[TableId, bytes]) -> Self:
        """Return the model of a meter with these tables.

        Raises:
            LayoutError: they contradict each other.
        """
        try:
            tables = Tables.of_config(config).learn(NAMEPLATE, nameplate)
            for table in DIMENSIONS:
                if table in dimensions:
                    tables = tables.learn(table, dimensions[table])
            return cls(nameplate[:KIND_OCTETS], tables, **_parts(tables))
        except (DecodeError, LocalProtocolError, ConfigError, KeyError, IndexError) as error:
            words = getattr(error, "message", None) or f"{error} is missing"
            raise LayoutError(f"its dimension tables: {words}") from error


def _parts(tables: Tables) -> dict[str, Any]:
    sources = _Sources(tables)
    known, used = tables.known, tables.known[CONFIG]["STD_TBLS_USED"]
    found: dict[str, Any] = {}
    if REGISTERS.number in used and standard(22) in known:
        selected = known[standard(22)]
        found["summations"] = tuple(sources.all(selected["SUMMATION_SELECT"]))
        found["demands"] = tuple(sources.all(selected["DEMAND_SELECT"]))
    if PRESENT.number in used and standard(27) in known:
        chosen = known[standard(27)]
        present = (*chosen["PRESENT_DEMAND_SELECT"], *chosen["PRESENT_VALUE_SELECT"])
        found["present"] = tuple(sources.all(present))
    if PROFILE.number in used and standard(62) in known:
        found["profile"] = ProfileSet.of(tables, 1)
        chosen = known[standard(62)]["SET1"]["SOURCES"]
        found["channels"] = tuple(sources.all([each["LP_SOURCE_SELECT"] for each in chosen]))
    log = next((each for each in (EVENTS, HISTORY) if each.number in used), None)
    if log is not None and standard(71) in known:
        found["log"] = _log_layout(tables, log)
    return found


class _Sources:
    """What the sources of a meter measure (ST-12 and ST-16)."""

    def __init__(self, tables: Tables) -> None:
        units = tables.known.get(standard(12), {}).get("UOM_ENTRY", [])
        links = tables.known.get(standard(16), {}).get("SOURCES_LINK", [])
        self._units: dict[int, Mapping[str, Any]] = dict(enumerate(units))
        if links and len(links) != len(units):  # those that have a unit have them in turn
            named = [place for place, link in enumerate(links) if link["UOM_ENTRY"]]
            self._units = dict(zip(named, units, strict=False))

    def all(self, selected: Sequence[int]) -> Iterator[Quantity | None]:
        for source in selected:
            unit = self._units.get(source)
            yield None if unit is None else quantity_of(unit)


def _log_layout(tables: Tables, table: TableId) -> LogLayout:
    layout = tables.layout(table)
    entries = next(member for member in layout.members if member.name == "ENTRIES")
    if not isinstance(entries.node, Array) or not isinstance(entries.node.of, Record):
        raise LayoutError(f"{table} has no entries")
    head = tuple(member for member in layout.members if member.offset < entries.offset)
    return LogLayout(table, Record(head, entries.offset), entries.node.of, entries.node.count)


@dataclass(slots=True)
class Models:
    """The kinds of meters that were met."""

    _known: Recent[bytes, Model] = field(default_factory=lambda: Recent(MODELS))

    async def learn(self, talk: Talk) -> Model:
        """Ask a meter how its tables are made.

        Raises:
            LayoutError: they contradict each other.
            NodeRefusedError: it does not say.
            TransportTimeoutError: it does not answer.
        """
        config, nameplate = await talk.read(CONFIG, NAMEPLATE)
        try:
            used = Tables.of_config(config).known[CONFIG]["STD_TBLS_USED"]
        except (DecodeError, LocalProtocolError) as error:
            raise LayoutError(f"ST0: {error.message}") from error
        wanted = [table for table in DIMENSIONS if table.number in used]
        found = await talk.read(*wanted) if wanted else []
        name = hashlib.sha256(b"".join((config, nameplate[:KIND_OCTETS], *found))).digest()
        model = self._known.get(name)
        if model is None:
            said = dict(zip(wanted, found, strict=True))
            model = self._known[name] = Model.of(config, nameplate, said)
        return model
