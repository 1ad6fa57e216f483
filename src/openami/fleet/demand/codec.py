"""Events, programs and notices as JSON, for the store and for devices."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from openami.core.clock import isoformat
from openami.fleet.demand.model import (
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    PayloadType,
    Program,
    ReportKind,
    Target,
    TargetKind,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.demand.model import Targets


def told_event(event: Event, program: str, *, opted_out: bool = False) -> dict[str, Any]:
    """Return an event of a program with a name as a DCU is told it, which needs no targets."""
    return {
        "id": event.id,
        "version": event.version,
        "program": program,
        "kind": event.kind.value,
        "priority": event.priority,
        "optional": event.optional,
        "currency": event.currency,
        "texts": dict(event.texts),
        "opted_out": opted_out,
        "intervals": [
            {
                "id": each.id,
                "start": isoformat(each.start),
                "duration_s": each.duration,
                "payloads": [
                    {"type": payload.type.value, "value": f"{payload.value:f}"}
                    for payload in each.payloads
                ],
            }
            for each in event.intervals
        ],
    }


def told_notice(notice: Notice) -> dict[str, Any]:
    """Return a notice as a DCU is told it."""
    return {
        "id": notice.id,
        "at": isoformat(notice.at),
        "kind": notice.kind,
        "until": isoformat(notice.until),
        "texts": dict(notice.texts),
    }


def event_json(event: Event) -> dict[str, Any]:
    """Return what an event is, all but its id and version."""
    return {
        "program": event.program,
        "name": event.name,
        "kind": event.kind.value,
        "priority": event.priority,
        "optional": event.optional,
        "currency": event.currency,
        "texts": dict(event.texts),
        "random": event.random_s,
        "reports": sorted(event.reports),
        "targets": targets_json(event.targets),
        "intervals": [
            [each.id, each.start, each.duration, _values(each)] for each in event.intervals
        ],
    }


def _values(interval: Interval) -> dict[str, str]:
    return {each.type.value: f"{each.value:f}" for each in interval.payloads}


def read_event(id_: str, version: int, kept: Mapping[str, Any]) -> Event:
    """Return an event that was kept by ``event_json``."""
    return Event(
        id=id_,
        program=kept["program"],
        name=kept["name"],
        kind=EventKind(kept["kind"]),
        intervals=tuple(
            Interval(number, start, duration, _payloads(payloads))
            for number, start, duration, payloads in kept["intervals"]
        ),
        targets=read_targets(kept["targets"]),
        priority=kept["priority"],
        optional=kept["optional"],
        currency=kept["currency"],
        texts=kept["texts"],
        random_s=kept["random"],
        reports=frozenset(map(ReportKind, kept["reports"])),
        version=version,
    )


def _payloads(kept: Mapping[str, str]) -> tuple[Payload, ...]:
    return tuple(Payload(PayloadType(name), Decimal(value)) for name, value in kept.items())


def program_json(program: Program) -> dict[str, Any]:
    """Return what a program is, all but its id, name and when it was made."""
    return {
        "description": program.description,
        "payloads": sorted(program.payloads),
        "binding": program.binding,
        "currency": program.currency,
        "targets": targets_json(program.targets),
    }


def read_program(id_: str, name: str, created: float, kept: Mapping[str, Any]) -> Program:
    """Return a program that was kept by ``program_json``."""
    return Program(
        id_,
        name,
        kept["description"],
        frozenset(map(PayloadType, kept["payloads"])),
        kept["binding"],
        kept["currency"],
        read_targets(kept["targets"]),
        created,
    )


def notice_json(notice: Notice) -> dict[str, Any]:
    """Return what a notice says and to whom."""
    return {"texts": dict(notice.texts), "targets": targets_json(notice.targets)}


def read_notice(id_: str, kind: str, at: int, until: int, kept: Mapping[str, Any]) -> Notice:
    """Return a notice that was kept by ``notice_json``."""
    return Notice(id_, kind, at, until, kept["texts"], read_targets(kept["targets"]))


def targets_json(targets: Targets) -> dict[str, list[str]]:
    """Return targets by their kinds."""
    return {target.kind.value: sorted(target.values) for target in targets}


def read_targets(kept: Mapping[str, list[str]]) -> Targets:
    """Return targets that were kept by ``targets_json``."""
    return tuple(Target(TargetKind(kind), frozenset(values)) for kind, values in kept.items())
