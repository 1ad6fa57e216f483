"""The appliances of a home: who is let in, what each is told, what it costs a limit."""

import asyncio

import pytest
from tests.support.ihd_appliances import AIR, AT, CAR, Home, Kept, shed

from openami.core.clock import ManualClock
from openami.core.errors import NotFoundError, SecurityError, StoreError, StoreFullError
from openami.dlms.cosem.said import Answer
from openami.ihd.appliance_records import SILENT_S
from openami.ihd.appliance_rules import Can, Kind, Mode
from openami.ihd.appliances import LOOKS, MOST, NEW_MOST, Appliances, Registration


def test_a_new_one_does_nothing_for_others_until_the_household_allows_it() -> None:
    home = Home(trusting=False)
    air = home.add(AIR)
    home.look(shed(3))
    assert home.mode(air) == ("normal", None)
    home.appliances.change(air, allow=True)
    assert home.mode(air) == ("off", None)
    home.appliances.change(air, allow=False)
    assert home.mode(air) == ("normal", None)


def test_tokens_open_their_own_appliance_and_are_kept_as_digests() -> None:
    home = Home()
    home.at = 60
    (air, first), (car, second) = home.appliances.register(AIR), home.appliances.register(CAR)
    assert first not in str(home.store.records)
    assert first not in repr(home.appliances.__dict__)
    for name, token in ((air, second), (car, first), ("nobody", first), (air, "")):
        with pytest.raises(SecurityError) as caught:
            home.appliances.authenticate(name, token)
        assert caught.value.code == "appliance.token"
    home.begin()  # the display is started anew
    home.appliances.authenticate(air, first)
    assert [one["name"] for one in home.appliances.states()] == ["Living room", "Garage"]


def test_what_the_household_says_outlives_a_restart_and_ends() -> None:
    home = Home()
    air = home.add(AIR)
    home.appliances.change(air, override=Mode.NORMAL, until=AT + 100)
    home.look(shed(3))
    assert home.mode(air) == ("normal", None)
    home.begin()
    home.look(shed(3))
    (shown,) = home.appliances.states()
    assert (shown["mode"], shown["why"], shown["override"]) == ("normal", "household", "normal")
    home.clock.advance(100)
    home.look(shed(3))
    (shown,) = home.appliances.states()
    assert (shown["mode"], shown["override"]) == ("off", None)
    home.appliances.change(air, override=Mode.OFF)
    home.appliances.change(air, override=None)
    home.look()
    assert home.mode(air) == ("normal", None)


def test_opting_out_releases_all_at_once() -> None:
    home = Home()
    air, car = home.add(AIR), home.add(CAR)
    home.look(shed(3))
    assert (home.mode(air)[0], home.mode(car)[0]) == ("off", "off")
    home.look(shed(3), answers={"e1": Answer.OPTED_OUT})
    assert (home.mode(air)[0], home.mode(car)[0]) == ("normal", "normal")
    home.look()


def test_a_limit_is_shared_by_what_the_rest_of_the_home_draws() -> None:
    home = Home()
    air, car = home.add(AIR), home.add(CAR)
    home.look(limit_w=4000)
    assert home.mode(car) == ("reduce", 1900)  # nothing is known of the rest: half is given
    home.look(limit_w=6000, import_w=1000.0)
    assert home.mode(air) == ("normal", None)
    assert home.mode(car) == ("reduce", 4700)
    home.appliances.report(air, 1800.0, "")
    home.appliances.report(car, 2900.0, "")
    home.look(limit_w=6000, import_w=5700.0)
    assert home.mode(car) == ("reduce", 2900)
    home.look(limit_w=6000, import_w=6200.0)  # somebody cooks
    assert home.mode(car) == ("reduce", 2400)
    for _ in range(LOOKS):
        home.look(limit_w=6000, import_w=5200.0)
    assert home.mode(car) == ("reduce", 3400)
    home.look()
    assert home.mode(car) == ("normal", None)


def test_the_rest_of_the_home_counts_with_the_most_that_it_drew_lately() -> None:
    home = Home()
    car = home.add(CAR)
    home.look(limit_w=10_000, import_w=6000.0)
    for _ in range(LOOKS - 1):
        home.look(limit_w=10_000, import_w=0.0)
        assert home.mode(car) == ("reduce", 3500)
    home.look(limit_w=10_000, import_w=0.0)
    assert home.mode(car) == ("normal", None)


def test_one_that_draws_less_counts_a_while_with_what_it_drew() -> None:
    home = Home()
    car = home.add(CAR)
    home.appliances.report(car, 7000.0, "charging")
    home.look(limit_w=9000, import_w=8000.0)
    assert home.mode(car) == ("normal", None)
    home.appliances.report(car, 0.0, "full")
    home.look(limit_w=9000, import_w=8000.0)  # the meter tells of it later
    assert home.mode(car) == ("normal", None)
    home.at += 3
    home.look(limit_w=9000, import_w=8000.0)
    assert home.mode(car) == ("off", None)


def test_one_that_is_silent_is_shown_so_and_given_nothing() -> None:
    home = Home()
    car = home.add(CAR)
    assert not home.appliances.states()[0]["silent"]
    home.at += SILENT_S + 1
    home.look(limit_w=2000, import_w=500.0)
    assert home.appliances.states()[0]["silent"]
    assert home.mode(car) == ("normal", None)
    home.begin()
    assert home.appliances.states()[0]["seen"] is None


async def test_work_waits_for_another_order() -> None:
    home = Home()
    air = home.add(AIR)
    first = await home.appliances.work(air, wait_s=60)
    assert first["mode"] == "normal"
    waiting = asyncio.ensure_future(
        home.appliances.work(air, revision=first["revision"], wait_s=60)
    )
    await asyncio.sleep(0)
    home.look(shed(3))
    second = await waiting
    assert (second["mode"], second["event"], second["until"]) == (
        "off",
        "e1",
        "2024-07-03T09:56:40Z",
    )
    assert second["revision"] != first["revision"]
    assert (await home.appliances.work(air, revision=first["revision"], wait_s=60)) == second
    third = await home.appliances.work(air, revision=second["revision"], wait_s=0.01)
    assert third == second


async def test_a_later_call_ends_an_earlier_one_and_so_does_removal() -> None:
    home = Home()
    air = home.add(AIR)
    known = (await home.appliances.work(air))["revision"]
    one = asyncio.ensure_future(home.appliances.work(air, revision=known, wait_s=60))
    await asyncio.sleep(0)
    other = asyncio.ensure_future(home.appliances.work(air, revision=known, wait_s=60))
    assert (await one)["revision"] == known
    home.appliances.remove(air)
    with pytest.raises(NotFoundError):
        await other
    assert home.store.records == {}


def test_there_are_bounds() -> None:
    home = Home(trusting=False)
    for _ in range(NEW_MOST):
        home.appliances.register(AIR)
    with pytest.raises(SecurityError) as caught:
        home.appliances.register(AIR)
    assert caught.value.code == "appliance.throttled"
    for _ in range(MOST - NEW_MOST):
        home.at += 60
        home.appliances.register(AIR)
    home.at += 60
    home.appliances.register(CAR)  # one that never said a word makes way
    assert len(home.appliances.states()) == MOST
    for one in home.appliances.states():
        home.appliances.report(one["id"], 0.0, "")
    home.at += 60
    with pytest.raises(StoreFullError):
        home.appliances.register(CAR)
    known, *strangers = [one["id"] for one in home.appliances.states()]
    home.appliances.change(known, allow=True)
    home.at += 60
    home.appliances.register(CAR)  # and so does one of which nothing was heard for long
    left = {one["id"] for one in home.appliances.states()}
    assert left.isdisjoint(strangers[:1])
    assert left >= {known, *strangers[1:]}


@pytest.mark.parametrize("act", ["report", "change", "remove"])
def test_who_is_not_there_is_said_not_to_be(act: str) -> None:
    home = Home()
    arguments = (1.0, "") if act == "report" else ()
    with pytest.raises(NotFoundError):
        getattr(home.appliances, act)("nobody", *arguments)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"traits": {"can": ["fly"]}}'])
def test_a_record_that_is_none_is_told(record: str) -> None:
    store = Kept()
    store.records["a"] = record
    with pytest.raises(StoreError):
        Appliances(store, ManualClock(AT))


def test_what_cannot_be_changed_is_a_part_of_the_rest() -> None:
    home = Home()
    lamp = home.add(Registration("Lamp", Kind.OTHER, 500, 0, frozenset()))
    home.appliances.report(lamp, 500.0, "on")
    car = home.add(Registration("Garage", Kind.CHARGER, 7000, 1400, frozenset(Can)))
    home.look(limit_w=5000, import_w=1500.0)
    assert home.mode(lamp) == ("normal", None)
    assert home.mode(car) == ("reduce", 3200)
