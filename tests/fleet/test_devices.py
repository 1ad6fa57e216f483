"""Devices: lifecycle, sightings, health."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from openami.core.errors import ConflictError
from openami.core.identifiers import SystemTitle
from openami.fleet.devices import (
    TRANSITIONS,
    Contact,
    Device,
    DeviceKind,
    Fault,
    Health,
    LifecycleState,
    Location,
    ReadSchedule,
    Sighting,
    device_id,
    health,
    latest,
    move,
    sight,
)

METER = Device(DeviceKind.METER, "A1")
TITLE = SystemTitle.of("OAM", 1)


@pytest.mark.parametrize(
    ("state", "to"), [(s, t) for s, to in TRANSITIONS.items() for t in sorted(to)]
)
def test_every_listed_transition_is_made_and_audited(
    state: LifecycleState, to: LifecycleState
) -> None:
    moved, entry = move(replace(METER, state=state), to, who="anna", when=5.0, why="because")
    assert moved == replace(METER, state=to)
    assert (entry.who, entry.when, entry.subject, entry.why) == ("anna", 5.0, "meter-A1", "because")
    assert entry.what == f"device.state {state} to {to}"


@pytest.mark.parametrize(
    ("state", "to"),
    [(s, t) for s, t in itertools.product(LifecycleState, repeat=2) if t not in TRANSITIONS[s]],
)
def test_every_other_transition_is_refused(state: LifecycleState, to: LifecycleState) -> None:
    with pytest.raises(ConflictError) as refused:
        move(replace(METER, state=state), to, who="anna", when=5.0, why="")
    assert refused.value.code == "device.transition"


def test_every_state_is_reached_from_the_factory_and_can_be_left_for_the_scrapyard() -> None:
    reached = {LifecycleState.MANUFACTURED}
    for _ in LifecycleState:
        reached |= {to for state in reached for to in TRANSITIONS[state]}
    assert reached == set(LifecycleState) == set(TRANSITIONS)
    assert all(
        LifecycleState.RETIRED in to
        for state, to in TRANSITIONS.items()
        if state is not LifecycleState.RETIRED
    )


def test_an_unknown_device_is_registered_as_it_was_seen() -> None:
    told = Sighting(
        DeviceKind.METER, "A1", TITLE, "OAM A1", "M1", "1.0", "D1", "17", Contact.OK, 90.0, 1.5
    )
    seen = sight(None, told, now=100.0)
    assert seen.id == device_id(DeviceKind.METER, "A1") == "meter-A1"
    assert seen.state is LifecycleState.REGISTERED
    assert (seen.first_seen, seen.last_seen, seen.last_read) == (100.0, 100.0, 90.0)
    assert (seen.system_title, seen.dcu, seen.address, seen.contact) == (
        TITLE, "D1", "17", Contact.OK,
    )  # fmt: skip
    assert (seen.model, seen.firmware, seen.logical_device_name, seen.clock_offset) == (
        "M1", "1.0", "OAM A1", 1.5,
    )  # fmt: skip


def test_a_sighting_takes_nothing_away_and_never_goes_back() -> None:
    known = Device(
        DeviceKind.METER, "A1", LifecycleState.SUSPENDED, TITLE, "OAM A1", "M1", "1.0", "D1", "17",
        Contact.OK, 1.0, 50.0, 90.0, 1.5, Fault("line"), Location(37.5, 127.0), "label", "north",
    )  # fmt: skip
    seen = sight(known, Sighting(DeviceKind.METER, "A1", last_read=80.0), now=100.0)
    assert seen == replace(known, last_seen=100.0, fault=None)


def test_a_sighting_keeps_its_fault() -> None:
    told = Sighting(DeviceKind.METER, "A1", contact=Contact.UNREACHABLE, fault=Fault("line", "x"))
    seen = sight(replace(METER, contact=Contact.OK), told, now=2.0)
    assert seen.fault == Fault("line", "x")
    assert seen.contact is Contact.UNREACHABLE
    assert seen.first_seen == 2.0


@pytest.mark.parametrize(
    ("one", "other", "expected"), [(None, None, None), (1, None, 1), (None, 2, 2), (3, 2, 3)]
)
def test_latest(one: float | None, other: float | None, expected: float | None) -> None:
    assert latest(one, other) == expected


@pytest.mark.parametrize(
    ("last_read", "first_seen", "expected"),
    [
        (9_100.0, None, Health.OK),
        (7_300.0, None, Health.OK),
        (7_299.0, None, Health.LATE),
        (-11_600.0, None, Health.LATE),
        (-11_601.0, None, Health.UNREACHABLE),
        (None, 9_000.0, Health.OK),
        (None, 0.0, Health.LATE),
        (None, None, Health.UNREACHABLE),
    ],
)
def test_health_follows_from_the_last_reading_and_the_schedule(
    last_read: float | None, first_seen: float | None, expected: Health
) -> None:
    found = health(last_read, schedule=ReadSchedule(900.0), now=10_000.0, first_seen=first_seen)
    assert found is expected


@pytest.mark.parametrize(("latitude", "longitude"), [(91, 0), (-91, 0), (0, 181), (0, -181)])
def test_a_location_is_on_the_globe(latitude: float, longitude: float) -> None:
    with pytest.raises(ValueError, match="location"):
        Location(latitude, longitude)


def test_a_device_has_a_serial_number() -> None:
    with pytest.raises(ValueError, match="serial"):
        Device(DeviceKind.METER, "../etc")
