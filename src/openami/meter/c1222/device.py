"""The device behind a meter's node: its tables, its user, its procedures."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import structlog

from openami.c1222.codes import ResponseCode, Standard
from openami.c1222.services import (
    Disconnect,
    Done,
    Failure,
    Features,
    Identified,
    Identity,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    Trace,
    Traced,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.services.features import ASCII
from openami.c1222.services.requests import PASSWORD_SIZE
from openami.c1222.tables import EntryList, TableId, TableMemory, layout, serve, standard
from openami.c1222.titles import MECHANISM, ApTitle
from openami.core.errors import DecodeError, StoreError
from openami.core.recent import Recent
from openami.meter.c1222 import live
from openami.meter.c1222.description import IMAGE, IMAGE_STATUS, NETWORK, SUPPLY
from openami.meter.c1222.events import EventLog
from openami.meter.c1222.firmware import FirmwareTables
from openami.meter.c1222.fixed import FixedTables
from openami.meter.c1222.lists import Lists
from openami.meter.c1222.moments import moment
from openami.meter.c1222.procedures import Procedures
from openami.meter.c1222.profile import ProfileTable
from openami.meter.c1222.rights import PENDABLE, PROTECTED_TABLES, SECRET, WRITABLE, Rights
from openami.meter.c1222.store import WrittenTables
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.c1222.node import Caller
    from openami.c1222.repeats import ReplayCache
    from openami.c1222.services import Request, Response
    from openami.c1222.tables.layout import Record
    from openami.fleet.shipment import ShippedC1222
    from openami.meter.device import Meter

SESSIONS: Final = 4
"""At once: a head-end, a tool of a fitter, and some that have died."""
ANSWERS: Final = 16
"""Callers whose last procedure is remembered."""
INITIATE: Final = standard(7)
RESPONSE: Final = standard(8)
DEFAULT: Final = standard(23)
"""Read by who names no table."""
log = structlog.get_logger(__name__)

_VERSION: Final = re.compile(r"(\d{1,3})\.(\d{1,3})")
_U8: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in its network: MT-3."""

    title: str = ""
    registrar: str = ""
    joined: bool = False
    until: float | None = None


class MeterTables:
    """A ``Device`` over a meter.

    Args:
        meter: the meter.
        material: its keys and its user.
        replays: what the node has taken: how far is kept with whatever a request changes.
        place: tells where it stands in its network.
        leave: takes it off the network until it starts again.

    Attributes:
        memory: the octets of its tables.
        events: its events.
    """

    def __init__(
        self,
        meter: Meter,
        material: ShippedC1222,
        *,
        replays: ReplayCache,
        place: Callable[[], Place],
        leave: Callable[[], None],
    ) -> None:
        self._meter = meter
        self._replays = replays
        self._leave = leave
        self._user = material.user
        self._password = material.password.encode("ascii").ljust(PASSWORD_SIZE)
        public = meter.config.public_reads
        self._rights = Rights(material.user, public)
        fixed = FixedTables(meter.engine.config, material, public=public)
        self.memory = TableMemory(fixed.tables, dict(fixed.contents))
        self._profile = None if fixed.profile is None else ProfileTable(fixed.profile)
        self.events = EventLog(meter)
        self._lists = Lists(meter, self._profile, self.events)
        self._written = WrittenTables(meter, self.memory)
        self._firmware = FirmwareTables(meter)
        self._procedures = Procedures(
            meter, fixed.tables, self._lists, self._written, self._firmware
        )
        self._answers: Recent[bytes, bytes] = Recent(ANSWERS)
        self._there = fixed.readable
        self._made = self._makers(fixed, place)

    # What a node asks of its device.

    def identify(self) -> Identified:
        features = Features(
            mechanism=ApTitle(MECHANISM, relative=False),
            sessions=SESSIONS,
            sessionless=True,
            identity=Identity(ASCII, self._meter.serial.encode("ascii")),
        )
        return Identified(Standard.C12_22, 1, 0, features)

    def authorizes(self, user_id: int, password: bytes) -> bool:
        right = hmac.compare_digest(password, self._password)
        return right and user_id == self._user

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        del now  # tables go by the meter's own clock
        record = self._meter.c1222
        record.newest = max(record.newest, self._replays.newest)
        handler = self._HANDLERS.get(type(request))
        if handler is None:
            return Failure(ResponseCode.SNS)
        try:
            self._meter.refresh()
            return handler(self, request, caller)
        except StoreError as error:  # the memory fails, or the application: ask again later
            log.warning("a request failed", code=error.code, reason=error.message)
            return Failure(ResponseCode.BSY)

    # Tables.

    def table(self, number: TableId) -> bytes:
        """Return a table as it is now."""
        self._make(number)
        return self.memory.read(number)

    def _make(self, table: TableId) -> None:
        maker = self._made.get(table)
        if maker is not None:
            self.memory.contents[table] = maker()

    def _read(self, request: Read | ReadIndex | ReadOffset, caller: Caller) -> Response:
        table = TableId.from_octets(request.table)
        secret = table.number in SECRET and not table.manufacturer
        if not secret and table.active not in self._there:
            return Failure(ResponseCode.ONP)
        if not self._rights.reads(caller, table):
            return Failure(ResponseCode.ISC)
        if table in {INITIATE, IMAGE}:
            return Failure(ResponseCode.IAR)  # they are written only
        if table == RESPONSE and not self._recall(caller):
            return Failure(ResponseCode.DNR)
        with self._meter.guarded():
            self._make(table)
        return serve(self.memory, request)

    def _write(self, request: Write | WriteIndex | WriteOffset, caller: Caller) -> Response:
        table = TableId.from_octets(request.table)
        if table.active not in self._there:
            return Failure(ResponseCode.ONP)
        allowed = self._rights.writes(caller)
        if table in PROTECTED_TABLES:
            allowed = allowed and Rights.protected(caller)
        if not allowed:
            return Failure(ResponseCode.ISC)
        if table.active not in WRITABLE or (table.pending and table.active not in PENDABLE):
            return Failure(ResponseCode.IAR)
        if table == IMAGE:
            return self._write_image(request)
        if table == INITIATE:
            return self._start(request, caller)
        answer = serve(self.memory, request)
        if not isinstance(answer, Failure):
            self._written.keep()
            self._meter.record(Event.PARAMETERS_CHANGED)
        return answer

    def _write_image(self, request: Request) -> Response:
        if not isinstance(request, WriteOffset):
            return Failure(ResponseCode.IAR)
        return self._firmware.write(request.offset, request.data)

    def _start(self, request: Request, caller: Caller) -> Response:
        if not isinstance(request, Write):
            return Failure(ResponseCode.IAR)
        try:
            answer = self._procedures.run(request.data, caller)
        except DecodeError:
            return Failure(ResponseCode.IAR)
        self._meter.opened()
        if answer is not None:
            self._answers[_name(caller)] = answer
        return Done()

    def _recall(self, caller: Caller) -> bool:
        """Put into ST-08 what came of the caller's own procedure, if there was one."""
        answer = self._answers.get(_name(caller))
        if answer is not None:
            self.memory.contents[RESPONSE] = answer
        return answer is not None

    def _read_default(self, _: ReadDefault, caller: Caller) -> Response:
        return self._read(Read(DEFAULT.wire), caller)

    # The network.

    def _trace(self, request: Trace, _: Caller) -> Response:
        return Traced(request.titles)

    def _disconnect(self, _: Disconnect, caller: Caller) -> Response:
        if not self._rights.writes(caller):
            return Failure(ResponseCode.ISC)
        self._meter.opened()  # once: it is not to be taken again after a power cut
        self._leave()
        return Done()

    _HANDLERS: ClassVar[Mapping[type[Request], Callable[[Any, Any, Caller], Response]]] = {
        Read: _read,
        ReadIndex: _read,
        ReadOffset: _read,
        ReadDefault: _read_default,
        Write: _write,
        WriteIndex: _write,
        WriteOffset: _write,
        Trace: _trace,
        Disconnect: _disconnect,
    }

    # What tables are made of.

    def _makers(
        self, fixed: FixedTables, place: Callable[[], Place]
    ) -> dict[TableId, Callable[[], bytes]]:
        engine, lists = self._meter.engine, self._lists
        values: dict[TableId, Callable[[], Mapping[str, Any]]] = {
            standard(1): self._maker,
            standard(3): lambda: live.status(engine),
            standard(4): self._pending,
            standard(23): lambda: live.current(engine),
            standard(25): lambda: live.previous(engine),
            standard(26): lambda: live.self_reads(engine, lists.read(EntryList.SELF_READS)),
            standard(28): lambda: live.present_values(engine, fixed.sources),
            standard(52): lambda: live.clock(engine),
            standard(53): lambda: live.offset(engine),
            standard(55): lambda: live.clock_state(engine),
            standard(56): lambda: live.remaining(engine),
            standard(63): self._lp_status,
            standard(76): lambda: self.events.values(lists.read(EntryList.EVENT_LOG)),
            IMAGE_STATUS: self._firmware.status,
            SUPPLY: self._supply,
            NETWORK: lambda: _network(place()),
        }

        makers = {standard(64): self._lp_data}
        if self._profile is None:
            del values[standard(63)], makers[standard(64)]
        for table, value in values.items():
            makers[table] = partial(_encoded, fixed.tables.layout(table), value)
        return makers

    def _lp_status(self) -> dict[str, Any]:
        assert self._profile is not None
        return self._profile.status(self._meter.engine, self._lists.read(EntryList.LOAD_PROFILE_1))

    def _lp_data(self) -> bytes:
        assert self._profile is not None
        return self._profile.filled(self._meter.engine).octets

    def _pending(self) -> dict[str, Any]:
        """Return ST-04: of what can be written, only tables can wait, no procedures."""
        standards = frozenset(table.number for table in PENDABLE)
        return {
            **self.memory.status(),
            "STANDARD_PENDING": standards,
            "MFG_PENDING": frozenset[int](),
        }

    def _maker(self) -> dict[str, Any]:
        """Return ST-01."""
        identity = self._meter.config.identity
        found = _VERSION.search(self._meter.management.running.identifier)
        version, revision = map(int, found.groups()) if found else (0, 0)
        return {
            "MANUFACTURER": identity.system_title.flag,
            "ED_MODEL": identity.model[:8],
            "HW_VERSION_NUMBER": 1,
            "HW_REVISION_NUMBER": 0,
            "FW_VERSION_NUMBER": min(version, _U8),
            "FW_REVISION_NUMBER": min(revision, _U8),
            "MFG_SERIAL_NUMBER": identity.serial[:16],
        }

    def _supply(self) -> dict[str, Any]:
        """Return MT-2."""
        control = self._meter.model.disconnector
        return live.supply(
            self._meter.engine, {"STATE": int(control.state), "MODE": int(control.mode)}
        )


def _encoded(node: Record, values: Callable[[], Mapping[str, Any]]) -> bytes:
    return layout.encode(node, values())


def _name(caller: Caller) -> bytes:
    return b"" if caller.title is None else caller.title.name


def _network(place: Place) -> dict[str, Any]:
    return {
        "TITLE": place.title,
        "REGISTRAR": place.registrar,
        "JOINED": int(place.joined),
        "UNTIL": moment(int(place.until or 0)),
    }
