"""What is wanted of groups and devices, changed within a transaction of somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.desired import ABSENT, MAX_WANTED, ScopeKind, object_of
from openami.fleet.devices import AuditEntry, DeviceKind, device_id
from openami.store.relational.audit import audit_row
from openami.store.relational.management_models import DesiredRow, GroupRow
from openami.store.relational.management_nodes import forgive
from openami.store.relational.management_rows import group_of, members, wake
from openami.store.relational.management_wanted import wishes_of
from openami.store.relational.models import DeviceRow
from openami.store.relational.security_models import ExpectedRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from openami.fleet.desired import Scope, Setting


def want(
    session: Session, scope: Scope, settings: Sequence[Setting], *, who: str, now: float
) -> int:
    """Want nodes of a scope to be so; return how many devices that concerns."""
    named = {setting.uri: setting for setting in settings}
    check(session, scope)
    before = {wish.setting.uri: wish.setting for wish in wishes_of(session, [str(scope)])}
    changed = [setting for uri, setting in named.items() if before.get(uri) != setting]
    if len(before.keys() | named.keys()) > MAX_WANTED:
        raise ConflictError(f"a scope wants at most {MAX_WANTED} nodes", code="dm.wanted")
    if not changed:
        return 0
    _drop(session, scope, [setting.uri for setting in changed])
    rows = [
        {"scope": str(scope), "uri": setting.uri, "format": setting.format,
         "value": setting.value, "at": now, "who": who}
        for setting in changed
    ]  # fmt: skip
    session.execute(insert(DesiredRow), rows)
    told = ", ".join(_words(setting) for setting in changed[:8])
    session.add(audit_row(AuditEntry(who, now, f"dm.wanted {told}", _subject(scope))))
    return touch(session, scope, now, {object_of(setting.uri) for setting in changed})


def unwant(session: Session, scope: Scope, uris: Sequence[str], *, who: str, now: float) -> int:
    """Want nodes of a scope no more; return how many devices that concerns."""
    check(session, scope)
    if _drop(session, scope, uris) < len(set(uris)):
        raise NotFoundError(f"{scope} does not want all of these")
    told = ", ".join(uris[:8])
    session.add(audit_row(AuditEntry(who, now, f"dm.unwanted {told}", _subject(scope))))
    return touch(session, scope, now, set(map(object_of, uris)))


def check(session: Session, scope: Scope) -> None:
    """Refuse a scope that nothing belongs to: its name may be mistyped."""
    if scope.kind is ScopeKind.GROUP:
        found_group(session, scope.name)
    elif (
        session.get(DeviceRow, dcu_id(scope.name)) is None
        and session.get(ExpectedRow, scope.name) is None
    ):
        raise NotFoundError(f"DCU {scope.name} is neither in the registry nor expected")


def found_group(session: Session, name: str) -> GroupRow:
    """Return the row of a group; NotFoundError."""
    row = session.get(GroupRow, name)
    if row is None:
        raise NotFoundError(f"no group {name}")
    return row


def touch(session: Session, scope: Scope, now: float, objects: Iterable[str] = ()) -> int:
    """Have the devices of a scope woken, and forget what they have refused of some objects."""
    whom = _members_of(session, scope)
    if objects:
        forgive(session, whom, objects)
    return wake(session, whom, now)


def dcu_id(uid: str) -> str:
    """Return a DCU's name in the registry."""
    return device_id(DeviceKind.DCU, uid)


def _drop(session: Session, scope: Scope, uris: Sequence[str]) -> int:
    statement = delete(DesiredRow).where(DesiredRow.scope == str(scope), DesiredRow.uri.in_(uris))
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]  # of a DELETE


def _members_of(session: Session, scope: Scope) -> Select[str] | Sequence[str]:
    if scope.kind is ScopeKind.DEVICE:
        return [scope.name]
    return members(group_of(found_group(session, scope.name)).which)


def _subject(scope: Scope) -> str:
    return dcu_id(scope.name) if scope.kind is ScopeKind.DEVICE else str(scope)


def _words(setting: Setting) -> str:
    return f"no {setting.uri}" if setting.format == ABSENT else f"{setting.uri}={setting.value}"
