"""Whom the targets of events and notices name, as conditions on the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select

from openami.fleet.demand.model import TargetKind, names_of
from openami.fleet.devices import DeviceKind
from openami.store.relational.campaign_census import slices
from openami.store.relational.management_models import GroupRow
from openami.store.relational.management_rows import group_of, members
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.demand.model import Targets


def named_by(session: Session, targets: Targets) -> Sequence[Any]:
    """Return what targets ask of a meter's row; nothing: they name everybody."""
    if not targets:
        return ()
    asked: list[Any] = []
    regions = sorted(names_of(targets, TargetKind.REGION))
    if regions:
        there = select(DeviceRow.serial).where(
            DeviceRow.kind == DeviceKind.DCU.value, DeviceRow.region.in_(regions)
        )
        asked += [
            DeviceRow.region.in_(regions), and_(DeviceRow.region == "", DeviceRow.dcu.in_(there))
        ]  # fmt: skip
    for some in slices(sorted(names_of(targets, TargetKind.METER))):
        asked.append(DeviceRow.serial.in_(some))
    for name in sorted(names_of(targets, TargetKind.GROUP)):
        row = session.get(GroupRow, name)
        if row is not None:
            asked.append(DeviceRow.dcu.in_(members(group_of(row).which)))
    return (or_(False, *asked),)
