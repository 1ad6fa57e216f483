"""The registry as campaigns count it: devices by DCU and class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal, select

from openami.fleet.campaigns.records import ClassCount, DcuFacts
from openami.fleet.devices import DeviceKind, LifecycleState
from openami.store.relational.devices import conditions, read_device
from openami.store.relational.management_models import KnownRow
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from openami.fleet.devices import Device
    from openami.fleet.ports import DeviceFilter
    from openami.store.relational.engine import Transactions

_MANY: Final = 500
"""Names in one statement: well under what SQLite and PostgreSQL take."""


def _told(uri: str) -> Any:
    """Return what DCUs have told at an address of their trees."""
    return select(KnownRow.uid, KnownRow.value).where(KnownRow.uri == uri).subquery()


_MODEL: Final = _told("./DevInfo/Mod")
_HARDWARE: Final = _told("./DevDetail/HwV")
# Whose DCU, model, hardware, firmware: no meter's DCU tells the registry of its hardware.
_METER_CLASS: Final[tuple[Any, ...]] = (
    DeviceRow.dcu, DeviceRow.model, literal(""), DeviceRow.firmware,
)  # fmt: skip
_DCU_CLASS: Final[tuple[Any, ...]] = (
    DeviceRow.serial, func.coalesce(_MODEL.c.value, DeviceRow.model),
    func.coalesce(_HARDWARE.c.value, ""), DeviceRow.firmware,
)  # fmt: skip


class CampaignCensus:
    """The part of ``CampaignStore`` that reads the registry."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def census(
        self, kind: DeviceKind, which: DeviceFilter, *, dcus: Collection[str] | None = None
    ) -> Sequence[ClassCount]:
        columns = _DCU_CLASS if kind is DeviceKind.DCU else _METER_CLASS
        query = select(*columns, func.count()).select_from(DeviceRow)
        if kind is DeviceKind.DCU:
            for told in (_MODEL, _HARDWARE):
                query = query.outerjoin(told, told.c.uid == DeviceRow.serial)
        query = query.where(
            DeviceRow.kind == kind.value,
            DeviceRow.state != LifecycleState.RETIRED.value,
            columns[0].is_not(None),
            *conditions(which),
        )
        if dcus is not None:
            query = query.where(columns[0].in_(sorted(dcus)))
        query = query.group_by(*columns).order_by(*columns)
        with self._transactions.reading() as session:
            rows: Sequence[Any] = session.execute(query).all()
            return [ClassCount(*row) for row in rows]

    def members(self, which: DeviceFilter, dcus: Collection[str]) -> Sequence[Device]:
        # By their DCUs alone: asked for a kind, too, SQLite would look through all meters.
        query = select(DeviceRow).where(
            DeviceRow.state != LifecycleState.RETIRED.value, *conditions(replace(which, kind=None))
        )
        found: list[Device] = []
        with self._transactions.reading() as session:
            for some in slices(sorted(dcus)):
                rows = session.scalars(query.where(DeviceRow.dcu.in_(some)))
                found += [read_device(row) for row in rows if row.kind == DeviceKind.METER.value]
        return sorted(found, key=lambda device: device.serial)

    def dcus(self, serials: Collection[str] | None = None) -> Sequence[DcuFacts]:
        device = DeviceRow
        query = select(device.serial, device.region, device.state, device.last_seen)
        query = query.where(device.kind == DeviceKind.DCU.value).order_by(device.serial)
        if serials is not None:
            query = query.where(device.serial.in_(sorted(serials)))
        with self._transactions.reading() as session:
            return [DcuFacts(*row) for row in session.execute(query)]


def slices(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Return the parts of a list that are named in a statement each."""
    return (values[first : first + _MANY] for first in range(0, len(values), _MANY))
