"""Who may speak of which meter, what becomes of devices, and who gets their keys."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.headend import shipment, shipped

from openami.core.clock import ManualClock
from openami.core.errors import ConfigError, ConflictError, NotFoundError, SecurityError
from openami.fleet.devices import Contact, DeviceKind, Fault, Health, LifecycleState, Sighting
from openami.fleet.shipment import ShippedC1222
from openami.headend.bus import LiveEvent, Topic
from openami.headend.errors import RequestError
from openami.headend.registry import Description
from openami.headend.reports import STRANGERS, DcuFigures
from openami.headend.services import Services


def take(services: Services, dcu: str, *meters: str, contact: Contact = Contact.OK) -> None:
    sightings = [Sighting(DeviceKind.METER, meter, contact=contact) for meter in meters]
    services.reports.take(dcu, DcuFigures(0.0), sightings)


@pytest.fixture
def street(services: Services) -> Services:
    for dcu in ("D1", "D2"):
        services.registry.enroll_dcu(dcu, who="test")
    take(services, "D1", "M1", "M2")
    take(services, "D2", "M3")
    return services


def test_meters_are_sorted_by_whose_they_are(street: Services) -> None:
    found = street.ownership.sort("D1", ["M1", "M3", "M9"])
    assert tuple(map(set, found)) == ({"M1"}, {"M9"}, {"M3"})
    assert street.ownership.meters("D1") == {"M1", "M2"}


def test_a_claim_takes_what_is_nobodys_and_nothing_else(street: Services) -> None:
    street.ownership.claim("D1", ["M1", "M9"])
    assert street.registry.meter("M9").dcu == "D1"
    with pytest.raises(SecurityError) as caught:
        street.ownership.claim("D1", ["M8", "M3"])
    assert caught.value.code == "fleet.not-yours"
    with pytest.raises(NotFoundError):
        street.registry.meter("M8")


def test_a_retired_dcus_meters_are_free(street: Services) -> None:
    street.registry.move("dcu-D2", LifecycleState.RETIRED, who="test", why="flooded")
    street.ownership.claim("D1", ["M3"])
    assert street.registry.meter("M3").dcu == "D1"


def test_a_report_takes_no_meter_away(street: Services) -> None:
    sighting = Sighting(DeviceKind.METER, "M3", model="stolen", contact=Contact.OK)
    _, passed_over = street.reports.take("D1", DcuFigures(0.0), [sighting])
    assert passed_over == {"M3"}
    assert (street.registry.meter("M3").dcu, street.registry.meter("M3").model) == ("D2", "")


@pytest.mark.fums("SEC-8")
def test_a_meter_with_another_system_title_raises_an_alarm(street: Services) -> None:
    def tell(dcu: str, *serials: str, code: str = "meter.title") -> list[tuple[str, str, str]]:
        fault = Fault(code, "its system title is A, not B")
        sightings = [Sighting(DeviceKind.METER, serial, fault=fault) for serial in serials]
        street.reports.take(dcu, DcuFigures(0.0), sightings)
        raised = street.alarms.list(only_open=True).items
        return [(alarm.code, alarm.subject, alarm.message) for alarm in raised]

    assert tell("D1", "M1", code="meter.no-credentials") == []
    assert tell("D2", "M1") == []  # not its own
    words = "another meter may have its number, and is not read: its system title is A, not B"
    assert tell("D1", "M1") == [("meter.title", "meter-M1", words)]
    assert len(tell("D1", "M1")) == 1
    many = tell("D1", *(f"N{number:02}" for number in range(20)))
    assert len(many) == 1 + STRANGERS


def test_an_unexpected_meter_waits_for_an_operator(street: Services) -> None:
    assert street.registry.meter("M1").state is LifecycleState.REGISTERED


def test_assigning_needs_a_dcu_that_is_in_use(street: Services) -> None:
    with pytest.raises(NotFoundError):
        street.registry.assign("M1", "D9", who="test", why="x")
    street.registry.move("dcu-D2", LifecycleState.SUSPENDED, who="test", why="x")
    with pytest.raises(ConflictError) as caught:
        street.registry.assign("M1", "D2", who="test", why="x")
    assert caught.value.code == "device.shut-out"
    street.registry.move("dcu-D2", LifecycleState.IN_SERVICE, who="test", why="x")
    street.registry.assign("M1", "D2", who="test", why="x")
    assert street.ownership.meters("D2") == {"M1", "M3"}
    assert street.ownership.meters("D1") == {"M2"}


def test_what_a_retired_dcu_has_is_revoked(street: Services) -> None:
    street.registry.enroll_dcu("D1", who="test")
    street.registry.move("dcu-D1", LifecycleState.RETIRED, who="anna", why="scrapped")
    gone = street.pki.certificates(subject="D1").items
    assert [record.reason for record in gone] == ["cessationOfOperation"] * 2
    assert all(street.pki.is_revoked(record.serial) for record in gone)
    said = [entry for entry in street.registry.audit(subject="dcu-D1").items if entry.who == "anna"]
    assert [entry.what.split()[0] for entry in said] == ["certificate.revoked"] * 2 + [
        "device.state"
    ]
    assert {entry.why for entry in said} == {"scrapped"}
    (other,) = street.pki.certificates(subject="D2").items
    assert other.revoked is None


def test_a_dcu_that_is_shut_out_gets_no_certificate(street: Services) -> None:
    street.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why="x")
    before = street.pki.certificates(subject="D1").items
    with pytest.raises(ConflictError) as caught:
        street.registry.enroll_dcu("D1", who="test")
    assert caught.value.code == "device.shut-out"
    assert street.pki.certificates(subject="D1").items == before


@pytest.mark.parametrize("why", ["", "  \n ", "x" * 501])
def test_a_change_needs_a_reason(street: Services, why: str) -> None:
    with pytest.raises(RequestError) as caught:
        street.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why=why)
    assert caught.value.code == "request.why"
    assert street.registry.dcu("D1").state is LifecycleState.IN_SERVICE


def test_a_new_meter_of_a_dcu_that_is_shut_out(street: Services) -> None:
    street.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why="x")
    with pytest.raises(SecurityError) as caught:
        street.registry.admitted("D1")
    assert caught.value.code == "fleet.shut-out"
    with pytest.raises(SecurityError) as caught:
        street.registry.admitted("D9")
    assert caught.value.code == "fleet.unknown-dcu"


async def test_changes_are_news(street: Services) -> None:
    heard: list[LiveEvent] = []
    with street.bus.subscribe(lambda _: True) as listening:
        street.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why="x")
        street.registry.describe("meter-M1", Description(label="Attic"), who="test")
        while (event := await listening.next(0)) is not None:
            heard.append(event)
    assert [(e.topic, e.subject, e.dcu) for e in heard] == [
        (Topic.DEVICE, "D1", "D1"),
        (Topic.DEVICE, "M1", "D1"),
    ]
    assert heard[0].data["state"] == "suspended"


def test_health_goes_by_the_clock_of_the_meters(street: Services, clock: ManualClock) -> None:
    take(street, "D1")
    device = street.registry.dcu("D1")
    assert street.statistics.health(device) is Health.OK
    clock.advance(4 * 900)
    assert street.statistics.health(device) is Health.LATE
    clock.advance(86_400)
    assert street.statistics.health(device) is Health.UNREACHABLE
    found = street.statistics.dcu(device)
    assert found.meters.by_health == {"ok": 0, "late": 0, "unreachable": 2}


class TestShipments:
    def test_a_file_that_is_none_takes_nothing(self, services: Services) -> None:
        with pytest.raises(ConfigError) as caught:
            services.shipments.take(b"[]", who="test")
        assert caught.value.code == "request.shipment"
        assert services.registry.devices().items == ()

    def test_a_meter_that_was_found_before_its_shipment_came(self, street: Services) -> None:
        taken = street.shipments.take(shipment(shipped(1), shipped(5)), who="test")
        assert (taken.added, taken.known) == (1, 1)
        meter = street.registry.meter("M1")
        assert (meter.system_title, meter.dcu) == (shipped(1).system_title, "D1")
        keys = street.credentials.for_dcu("D1", shipped(1).system_title).keys
        assert set(keys) == {"guek", "gak", "hls"}
        with pytest.raises(NotFoundError):
            street.credentials.for_dcu("D2", shipped(1).system_title)

    def test_other_keys_or_another_title_are_a_conflict(self, services: Services) -> None:
        services.shipments.take(shipment(shipped(1)), who="test")
        changed = {**shipped(1).keys, "guek": bytes(16)}
        with pytest.raises(ConflictError) as caught:
            services.shipments.take(shipment(shipped(1, keys=changed)), who="test")
        assert caught.value.code == "device.keys"
        other = shipped(1, system_title=shipped(2).system_title)
        with pytest.raises(ConflictError) as caught:
            services.shipments.take(shipment(other), who="test")
        assert caught.value.code == "device.title"
        found = services.credentials.for_dcu("D1", shipped(1).system_title).keys
        assert found["guek"] == shipped(1).keys["guek"]

    def test_a_meter_may_speak_c1222_too(self, services: Services) -> None:
        services.shipments.take(shipment(shipped(1)), who="test")
        later = ShippedC1222(".123.8437", {2: bytes(16)}, 2, "password")
        services.shipments.take(shipment(shipped(1, c1222=later)), who="test")
        kept = services.credentials._vault.find("meter", "M1")
        assert kept == shipped(1, c1222=later).secrets()
        other = ShippedC1222(".123.8437", {2: bytes(16)}, 2, "another")
        with pytest.raises(ConflictError):
            services.shipments.take(shipment(shipped(1, c1222=other)), who="test")

    def test_keys_show_nowhere(self, services: Services) -> None:
        services.shipments.take(shipment(shipped(1)), who="test")
        given = services.credentials.for_dcu("D1", shipped(1).system_title)
        assert "guek" not in repr(given)
        audit = str(services.registry.audit().items)
        assert shipped(1).keys["guek"].hex() not in audit.lower()
        files = (services.home.root / "vault.sqlite", services.home.database)
        assert all(shipped(1).keys["guek"] not in file.read_bytes() for file in files)


@pytest.mark.parametrize("state", [LifecycleState.SUSPENDED, LifecycleState.RETIRED])
def test_a_meter_that_is_shut_out_has_no_credentials(
    services: Services, state: LifecycleState
) -> None:
    services.shipments.take(shipment(shipped(1)), who="test")
    services.credentials.for_dcu("D1", shipped(1).system_title)
    if state is LifecycleState.SUSPENDED:
        services.registry.move("meter-M1", LifecycleState.REGISTERED, who="test", why="x")
    services.registry.move("meter-M1", state, who="test", why="tampered with")
    with pytest.raises(NotFoundError) as caught:
        services.credentials.for_dcu("D1", shipped(1).system_title)
    assert caught.value.code == "credentials.unknown"


def test_of_many_dcus_that_claim_a_meter_one_gets_it(services: Services) -> None:
    names = [f"D{n}" for n in range(8)]
    for name in names:
        services.registry.enroll_dcu(name, who="test")
    together = threading.Barrier(len(names))

    def claim(dcu: str) -> bool:
        together.wait(60)
        try:
            services.ownership.claim(dcu, ["M1"])
        except SecurityError:
            return False
        return True

    with ThreadPoolExecutor(len(names)) as pool:
        won = [name for name, got in zip(names, pool.map(claim, names), strict=True) if got]
    assert won == [services.registry.meter("M1").dcu]
