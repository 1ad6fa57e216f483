"""The audit log of a head-end: laid after the commit, signed with a key of the vault, exported."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.audit import AuditError, read_head
from openami.fleet.audit_check import Verifier
from openami.fleet.devices import AuditEntry
from openami.headend.audit import AuditTrail
from openami.headend.services import build

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.core.clock import ManualClock
    from openami.fleet.audit import Head
    from openami.headend.services import Context, Services, Stores


def write(services: Services, number: int) -> None:
    for each in range(number):
        services.audit.log.add(AuditEntry("anna", 1.0 + each, f"did {each}", "it"))


def check(trail: AuditTrail, lines: Iterable[str], kept: Head | None = None) -> Head:
    verifier = Verifier(trail.public(), kept=kept)
    for line in lines:
        verifier.take(line)
    return verifier.finish()


def spoil(context: Context, statement: str) -> None:
    with sqlite3.connect(context.home.database) as database:
        assert database.execute(statement).rowcount


def test_an_export_is_whole_and_signed_when_it_is_asked_for(
    services: Services, wall: ManualClock
) -> None:
    write(services, 3)
    trail = services.audit
    first = trail.state()
    assert (first.head, first.waiting > 2, first.fault) == (None, True, None)
    lines = list(trail.export())
    kept = check(trail, lines)
    assert kept.number == len(lines) - 2
    assert kept.when == pytest.approx(wall.now(), abs=1e-6)
    assert trail.state().waiting == 0
    write(services, 2500)  # more than a transaction lays, and than is read at once
    wall.advance(60.0)
    head = check(trail, trail.export(), kept)
    assert head.number == kept.number + 2500
    assert head.when - kept.when == pytest.approx(60.0, abs=1e-5)
    part = list(trail.export(after=kept.number))
    assert len(part) == 2502
    assert check(trail, part, kept) == read_head(part[-1])
    with pytest.raises(NotFoundError):
        trail.export(after=head.number + 1)


def test_another_process_of_the_installation_signs_with_the_same_key(
    context: Context, stores: Stores, services: Services
) -> None:
    write(services, 1)
    kept = check(services.audit, services.audit.export())
    again = build(context, stores).audit
    again.log.add(AuditEntry("boris", 2.0, "did", "it"))
    assert again.public().id == services.audit.public().id
    assert check(services.audit, again.export(), kept).number == kept.number + 1


@pytest.mark.parametrize(
    ("statement", "code", "told"),
    [
        (
            "DELETE FROM audit WHERE number = (SELECT number FROM audit_head)",
            "audit.broken",
            "audit.cut",
        ),
        (
            "UPDATE audit SET hash = x'00' WHERE number = (SELECT number FROM audit_head)",
            "audit.broken",
            "audit.changed",
        ),
        ("UPDATE audit_head SET signature = x'3000'", "audit.signature", "audit.signature"),
        ("UPDATE audit_head SET at = at + 1", "audit.signature", "audit.signature"),
        ("UPDATE audit_head SET key = x'00'", "audit.signature", "audit.signature"),
    ],
)
def test_nothing_is_signed_over_what_was_changed(
    context: Context, services: Services, statement: str, code: str, told: str
) -> None:
    write(services, 3)
    services.audit.seal()
    spoil(context, statement)
    write(services, 1)
    for _ in range(2):
        with pytest.raises(AuditError) as caught:
            services.audit.seal()
        assert caught.value.code == code
    state = services.audit.state()
    assert (state.waiting, state.fault) == (1, caught.value.message)
    (alarm,) = services.alarms.list(only_open=True).items
    assert (alarm.code, alarm.subject, alarm.message) == ("audit.broken", "audit", state.fault)
    with pytest.raises(AuditError) as caught:  # an export shows what it is to who verifies it
        check(services.audit, services.audit.export())
    assert caught.value.code == told


def test_a_chain_that_was_taken_away_whole_is_not_begun_anew(
    context: Context, stores: Stores, services: Services
) -> None:
    """The vault remembers that there was one: its key signs no other beginning."""
    write(services, 3)
    services.audit.seal()
    spoil(context, "UPDATE audit SET number = NULL, hash = NULL, who = 'nobody'")
    spoil(context, "UPDATE audit_head SET number = 0, hash = zeroblob(32), signature = x''")
    again = build(context, stores).audit
    for act in (again.seal, again.head):
        with pytest.raises(AuditError) as caught:
            act()
        assert caught.value.code == "audit.broken"
    with pytest.raises(AuditError) as caught:
        check(again, again.export())
    assert caught.value.code == "audit.signature"


def test_an_older_entry_that_was_changed_is_found_by_who_verifies(
    context: Context, services: Services
) -> None:
    write(services, 3)
    services.audit.seal()
    spoil(context, "UPDATE audit SET who = 'nobody' WHERE number = 2")
    with pytest.raises(AuditError) as caught:
        check(services.audit, services.audit.export())
    assert (caught.value.code, caught.value.number) == ("audit.changed", 2)
    spoil(context, "DELETE FROM audit WHERE number = 1")
    with pytest.raises(AuditError) as caught:
        check(services.audit, services.audit.export())
    assert (caught.value.code, caught.value.number) == ("audit.missing", 1)


def test_the_key_shows_nowhere(services: Services) -> None:
    write(services, 1)
    services.audit.seal()
    assert "PRIVATE" not in "".join([repr(services.audit), *services.audit.export()])


@pytest.mark.parametrize("waiting", [0, 1])
@pytest.mark.parametrize(
    "statements",
    [
        ("DELETE FROM audit WHERE number = (SELECT number FROM audit_head)",),
        ("UPDATE audit_head SET signature = x'3000'",),
        (
            "UPDATE audit SET number = NULL, hash = NULL",
            "UPDATE audit_head SET number = 0, hash = zeroblob(32), signature = x''",
        ),
    ],
)
def test_what_no_backup_mends_is_adopted_and_that_is_told(
    context: Context, services: Services, statements: tuple[str, ...], waiting: int
) -> None:
    write(services, 3)
    kept = check(services.audit, services.audit.export())
    with pytest.raises(ConflictError):
        services.audit.adopt(who="root", why="for fun")
    for statement in statements:
        spoil(context, statement)
    write(services, waiting)
    beside = AuditTrail(services.audit.log, services.audit._vault, wall=context.wall)
    said = beside.adopt(who="root", why="no backup")
    assert said.what.startswith("audit.adopted after entry ")
    assert check(services.audit, services.audit.export()).number > 0
    assert services.audit.state().fault is None
    assert services.audit.log.list(who="root", subject="audit").items[0].why == "no backup"
    if "DELETE" in statements[0]:  # what was lost is lost, and whoever kept a head knows
        with pytest.raises(AuditError) as caught:
            check(services.audit, services.audit.export(), kept)
        assert caught.value.code == "audit.rewritten"
