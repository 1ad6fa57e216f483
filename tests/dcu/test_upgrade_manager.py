"""The upgrade manager on a line: what is done, with whom, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_upgrades import (
    IMAGE,
    MODEL,
    OTHER_IMAGE,
    OTHER_MODEL,
    Shop,
    SimLine,
    bench,
    meters_of,
    order_body,
)
from tests.support.upgrade_meters import COSTS, NEW, serial_of

from openami.core.errors import SecurityError, StoreFullError, TransportError
from openami.dcu.modem import LineLostError
from openami.dcu.upgrade.line import Taken
from openami.dcu.upgrade.manager import STARVED_S
from openami.firmware.version import Version
from openami.fleet.upgrade import (
    Activate,
    Blocks,
    Busy,
    Initiate,
    Look,
    Refused,
    Send,
    Silent,
    Stage,
    Status,
)
from openami.omadm.download.ends import End

if TYPE_CHECKING:
    from pathlib import Path

    from openami.dcu.download import Loaded
    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.packages import Package, PackageId


async def test_meters_are_upgraded_and_everything_is_told_once(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=3)) as made:
        await made.upgrade()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert [meter.tried for meter in made.line.meters.values()] == [1] * 3
        told = await made.report()
        assert told["counts"] == {"confirmed": 3}
        assert (told["codes"], told["failed"]) == ({}, None)
        states = [m["state"] for m in told["marks"] if m["meter"] == serial_of(100)]
        assert states == [
            "offered",
            "downloaded",
            "transferred",
            "verified",
            "activated",
            "self-tested",
            "confirmed",
        ]
        assert {m["attempt"] for m in told["marks"]} == {1}
        assert {m["code"] for m in told["marks"]} == {None}
        assert all(s.meter.firmware == NEW for s in made.roster.stations.values())
        assert made.shop.asked == [("one.img", 50_000)]
        # Blocks went to all, once.
        sent = [n for work in made.line.log if isinstance(work, Blocks) for n in work.numbers]
        assert sent == list(range(5))


async def test_what_was_taken_is_not_told_again(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.upgrade()
        book = made.book
        first, sent = await book.reports()
        await book.told(sent, {})  # the answer was lost
        await book.told(sent, {"c1": first[0]["number"] - 1})  # an older one was heard, no more
        second, sent = await book.reports()
        assert second[0]["number"] == first[0]["number"] + 1
        assert second[0]["marks"] == first[0]["marks"]
        await book.told(sent, {"c1": second[0]["number"]})
        third, sent = await book.reports()
        assert third[0]["marks"] == []
        assert third[0]["counts"] == {"confirmed": 2}
        # A head-end that knows a higher number heard of us before.
        await book.told(sent, {"c1": 2**60})
        fourth, _ = await book.reports()
        assert fourth[0]["number"] > 2**60


async def test_a_head_end_that_is_ahead_has_not_taken_what_it_was_told(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        first, sent = await made.book.reports()
        assert first[0]["number"] >= made.clock.now() * 1e6  # whatever was told before a loss
        await made.book.told(sent, {"c1": 2**60})
        second, _ = await made.book.reports()
        assert second[0]["number"] > 2**60
        assert second[0]["marks"] == first[0]["marks"]


@pytest.mark.fums("UC4-error", "UMS-2")
@pytest.mark.parametrize(
    ("fault", "stage", "state", "code", "reason"),
    [
        ("reverts", Stage.REVERTED, "reverted", "upgrade.reverted",
         "Failed Upgrade Process: no pulse from metrology"),
        ("bad", Stage.DISCARDED, "discarded", "upgrade.verification", "Failed Upgrade Process"),
        ("refuses", Stage.FAILED, "failed", "upgrade.initiate", "read-write-denied"),
    ],
)  # fmt: skip
async def test_a_meter_that_fails_is_named_with_its_reason(
    tmp_path: Path, fault: str, stage: Stage, state: str, code: str, reason: str
) -> None:
    async with bench(tmp_path, meters_of(fault)) as made:
        await made.upgrade()
        assert made.stages()[serial_of(0)] is stage
        told = await made.report()
        assert told["counts"] == {"confirmed": 2, state: 1}
        assert told["codes"] == {code: 1}
        [mark] = [m for m in told["marks"] if m["state"] == state]
        assert (mark["meter"], mark["code"], mark["reason"]) == (serial_of(0), code, reason)


async def test_a_meter_that_does_not_let_us_in_fails(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        made.line.refusing = {serial_of(100)}
        await made.upgrade()
        assert made.stages() == {serial_of(100): Stage.FAILED, serial_of(101): Stage.CONFIRMED}
        assert made.codes() == {serial_of(100): "upgrade.refused"}


async def test_meters_that_hear_no_broadcasts_are_visited(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=3)) as made:
        made.line.deaf = frozenset({serial_of(100)})
        await made.upgrade()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert {w.serial for w in made.line.log if isinstance(w, Send)} == made.line.deaf


async def test_a_meter_that_comes_to_the_line_late_is_upgraded_without_broadcasts(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        made.line.deaf = frozenset(made.roster.stations)
        late = made.roster.stations.pop(serial_of(100))
        await made.take(order_body([serial_of(100), serial_of(101)], made.clock.now()))
        await made.fetch()
        await made.run(lambda: made.stages()[serial_of(101)] is Stage.CONFIRMED)
        made.roster.stations[serial_of(100)] = late
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert not any(isinstance(work, Blocks) for work in made.line.log)


@pytest.mark.parametrize("other", [f"openami-2.{NEW}", f"openami-1{NEW}", f"openami-{NEW}1"])
async def test_a_meter_whose_version_only_looks_alike_does_not_have_it(
    tmp_path: Path, other: str
) -> None:
    async with bench(tmp_path, meters_of(clean=1, version=other)) as made:
        await made.order(activate=None)
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.VERIFIED}


async def test_a_meter_that_has_it_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=1, version=f"openami-{NEW}")) as made:
        await made.upgrade()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert made.line.log == [(serial_of(100), Look())]
        assert (await made.report())["codes"] == {}


# Images.


async def test_each_model_gets_its_image_and_one_at_a_time(tmp_path: Path) -> None:
    meters = meters_of(clean=4)
    models = {m.serial: (MODEL, OTHER_MODEL)[n % 2] for n, m in enumerate(meters)}
    shop = Shop(
        {"one.img": IMAGE, "other.img": OTHER_IMAGE, "nobody.img": b"x"},
        ((MODEL, "one.img"), (OTHER_MODEL, "other.img"), ("OA9", "nobody.img")),
    )
    async with bench(tmp_path, meters, models=models, shop=shop) as made:
        await made.upgrade()  # the line itself sees to it that nobody hears another's blocks
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert [name for name, _ in shop.asked] == ["one.img", "other.img"]
        assert {m.order.size for m in meters[::2]} == {len(IMAGE)}
        assert {m.order.size for m in meters[1::2]} == {len(OTHER_IMAGE)}


async def test_a_meter_that_goes_silent_does_not_keep_the_line_from_another_image(
    tmp_path: Path,
) -> None:
    meters = meters_of(clean=2)
    models = {meters[0].serial: MODEL, meters[1].serial: OTHER_MODEL}
    shop = Shop(
        {"one.img": IMAGE, "other.img": OTHER_IMAGE},
        ((MODEL, "one.img"), (OTHER_MODEL, "other.img")),
    )
    async with bench(tmp_path, meters, models=models, shop=shop) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: made.stages()[meters[0].serial] is Stage.TRANSFERRING)
        meters[0].faults = frozenset({"silent"})
        await made.run(lambda: made.stages()[meters[1].serial] is Stage.CONFIRMED)
        assert made.stages()[meters[0].serial] is Stage.OFFERED
        meters[0].faults = frozenset()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert made.book.task("c1").rows[meters[0].serial].upgrade.initiations == 2


@dataclass
class Shops(Shop):
    """Two releases, each with an image for every meter."""

    later: Shop = field(
        default_factory=lambda: Shop(
            {"two.img": OTHER_IMAGE}, ((MODEL, "two.img"),), {"version": Version.parse("1.2.0")}
        )
    )

    async def find(self, package: PackageId) -> tuple[Package, Manifest]:
        if str(package.version) == "1.2.0":
            return await self.later.find(package)
        return await super().find(package)

    async def load(self, package: Package, image: Attachment, *more: Any, **by: Any) -> Loaded:
        if image.name == "two.img":
            return await self.later.load(package, image, *more, **by)
        return await super().load(package, image, *more, **by)


async def test_what_waits_for_activation_is_not_overwritten_by_another_campaign(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of(clean=2), shop=Shops()) as made:
        now, both = made.clock.now(), list(made.roster.stations)
        one = order_body(both[:1], now, activate=None)
        two = order_body(both, now, campaign="c2", release="meter-image/openami/1.2.0")
        two["activate"] = None
        await made.take(one)
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.VERIFIED}
        await made.take(one, two)
        await made.fetch()
        await made.run()
        assert list(made.stages("c2").values()) == [Stage.OFFERED, Stage.VERIFIED]
        held = made.line.meters[both[0]]
        assert held.identifier.startswith(b"openami-1.1.0-")
        # The first is activated; then the meter is there for the other.
        await made.take(order_body(both[:1], now), two)
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert set(made.stages("c2").values()) == {Stage.VERIFIED}
        assert [m.order.size for m in made.line.meters.values()] == [len(OTHER_IMAGE)] * 2


async def test_a_campaign_that_is_paused_keeps_only_what_meters_have_in_full(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of(clean=1), shop=Shops()) as made:
        now, all_ = made.clock.now(), list(made.roster.stations)
        await made.take(order_body(all_, now, activate=None))
        await made.fetch()
        await made.run(lambda: Stage.TRANSFERRING in made.stages().values())
        paused = order_body(all_, now, activate=None, directive="hold")
        two = order_body(all_, now, campaign="c2", release="meter-image/openami/1.2.0")
        await made.take(paused, {**two, "activate": None})
        await made.fetch()
        await made.run()
        assert set(made.stages("c2").values()) == {Stage.VERIFIED}
        assert set(made.stages().values()) == {Stage.OFFERED}


async def test_a_meter_that_switches_for_an_order_that_is_void_is_not_waited_for_for_ever(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of("lost", clean=0)) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: Stage.ACTIVATED in made.stages().values())
        assert made.manager.away(serial_of(0))
        await made.take()
        await made.run()
        assert made.codes() == {serial_of(0): "upgrade.activation"}
        assert made.back == [serial_of(0)]
        assert not made.manager.away(serial_of(0))


@pytest.mark.parametrize(
    ("fits", "code"),
    [
        (((OTHER_MODEL, "one.img"),), "firmware.fit.model"),
        (((MODEL, "one.img"), (MODEL, "other.img")), "firmware.fit.hardware"),
    ],
)
async def test_a_meter_that_no_image_fits_fails(
    tmp_path: Path, fits: tuple[tuple[str, str], ...], code: str
) -> None:
    shop = Shop({"one.img": IMAGE, "other.img": OTHER_IMAGE}, fits)
    async with bench(tmp_path, meters_of(clean=1), shop=shop) as made:
        await made.upgrade()
        assert made.codes() == {serial_of(100): code}
        assert (await made.report())["codes"] == {code: 1}
        assert made.line.log == []


async def test_a_meter_that_is_not_on_the_line_is_waited_for_an_hour(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=1)) as made:
        now = made.clock.now()
        await made.take(order_body([serial_of(100), "X1"], now))
        await made.fetch()
        await made.run()
        assert made.stages()["X1"] is Stage.OFFERED
        made.clock.advance(3601)
        await made.run()
        assert made.codes() == {"X1": "upgrade.unknown-meter"}


async def test_an_image_that_is_damaged_on_the_disk_is_fetched_anew(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order(activate=None)
        await made.fetch()
        [file] = made.book.images.values()
        file.write_bytes(b"junk")
        made.manager._forget_parts()
        await made.manager.use(1.0)
        assert made.book.images == {}
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.VERIFIED}
        assert len(made.shop.asked) == 2


async def test_an_image_that_nobody_needs_is_removed(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.upgrade()
        assert list((tmp_path / "images").iterdir())
        await made.fetcher._tidy()
        assert not list((tmp_path / "images").iterdir())
        assert made.book.images == {}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (SecurityError("expired", code="firmware.trust.expired"), "firmware.trust.expired"),
        (StoreFullError("full"), "download.no-room"),
    ],
)
async def test_a_release_that_cannot_be_had_fails_the_step(
    tmp_path: Path, fault: Exception, code: str
) -> None:
    async with bench(tmp_path, meters_of()) as made:
        made.shop.faults = [fault]
        await made.order()
        await made.fetch()
        told = await made.report()
        assert told["failed"] == {"step": "download", "attempt": 1, "code": code}
        assert told["counts"] == {"offered": 2}
        await made.order(download={**order_body([], made.clock.now())["download"], "attempt": 2})
        assert (await made.report())["failed"] is None
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


async def test_a_download_that_fails_fails_the_step(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        made.shop.end = End.CORRUPT
        made.shop.faults = [TransportError("away")] * 3
        await made.order()
        await made.fetch()
        assert (await made.report())["failed"]["code"] == "download.corrupt"
        assert not made.shop.faults


# Orders.


async def test_activation_waits_for_its_window_and_does_not_begin_after_it(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        now = made.clock.now()
        step = {"attempt": 1, "begin": now + 3600, "end": now + 7200, "until": now + 9999}
        await made.order(activate=step)
        await made.fetch()
        await made.run(lambda: set(made.stages().values()) == {Stage.VERIFIED})
        assert made.clock.now() < now + 3600
        wait = await made.manager.use(1e9)
        assert 0 < wait <= 3600
        assert not any(step == Activate() for _, step in steps(made.line))
        made.clock.set(now + 7200)
        assert await made.manager.use(1e9) == float("inf")
        made.clock.set(now + 3700)
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


async def test_a_pause_begins_nothing_new_and_follows_what_switches(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=3)) as made:
        await made.order(activate=None)
        await made.fetch()
        await made.run(lambda: Stage.TRANSFERRING in made.stages().values())
        await made.order(directive="hold", activate=None)
        done = len(made.line.log)
        await made.run()
        assert len(made.line.log) == done
        await made.order(activate=None)
        await made.run()
        assert set(made.stages().values()) == {Stage.VERIFIED}
        sent = [n for work in made.line.log if isinstance(work, Blocks) for n in work.numbers]
        assert sorted(sent) == list(range(5))  # what they had before the pause is not sent again
        await made.order()
        await made.run(lambda: Stage.ACTIVATED in made.stages().values())
        switching = [s for s, stage in made.stages().items() if stage is Stage.ACTIVATED]
        await made.order(directive="hold")
        await made.run()
        stages = made.stages()
        assert {stages.pop(serial) for serial in switching} == {Stage.CONFIRMED}
        assert set(stages.values()) == {Stage.VERIFIED}
        await made.order()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


async def test_a_meter_that_loses_its_image_in_a_pause_does_not_begin_again(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of("slow", clean=0)) as made:
        [meter] = made.line.meters.values()
        await made.order(activate=None)
        await made.fetch()
        await made.run(lambda: made.stages()[meter.serial] is Stage.VERIFYING)
        await made.order(directive="hold", activate=None)
        meter.status = Status.NOT_INITIATED
        meter.has.clear()
        done = len(made.line.log)
        await made.run()
        assert made.stages()[meter.serial] is Stage.ASKED
        assert not any(
            isinstance(step, Initiate)
            for _, step in [x for x in made.line.log[done:] if isinstance(x, tuple)]
        )
        assert not any(isinstance(work, Blocks | Send) for work in made.line.log[done:])
        await made.order(activate=None)
        await made.run()
        assert set(made.stages().values()) == {Stage.VERIFIED}


async def test_an_order_that_is_void_is_dropped_but_for_what_switches(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=3)) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: Stage.ACTIVATED in made.stages().values())
        await made.take()
        await made.run()
        ends = sorted(made.stages().values())
        assert ends == [Stage.CONFIRMED, Stage.DISCARDED, Stage.DISCARDED]
        told = await made.report()
        assert told["counts"] == {"confirmed": 1, "discarded": 2}
        assert told["codes"] == {"upgrade.withdrawn": 2}
        # It comes back: who was withdrawn is tried again, who has it is not.
        await made.order()
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert [meter.tried for meter in made.line.meters.values()] == [1] * 3
        told = await made.report()
        assert {m["attempt"] for m in told["marks"] if m["state"] == "confirmed"} == {1, 2}


async def test_a_void_order_is_told_of_to_its_end_and_forgotten_after_a_week(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        await made.take()
        for taken in (False, True):
            bodies, sent = await made.book.reports()
            assert bodies[0]["counts"] == {"discarded": 2}
            await made.book.told(sent, {"c1": bodies[0]["number"]} if taken else {})
        assert (await made.book.reports())[0] == []
        # It is remembered: should it come back, this is another try.
        await made.order()
        assert {row.attempt for row in made.book.task("c1").rows.values()} == {2}
        assert len((await made.book.reports())[0]) == 1
        await made.take()
        made.clock.advance(8 * 86_400)
        await made.book.told({}, {})
        assert made.book.tasks == ()
        assert made.store.tasks() == ()


async def test_an_order_of_an_epoch_before_the_fleets_is_void(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: Stage.TRANSFERRING in made.stages().values())
        assert not made.book.rises(1)
        assert made.book.rises(2)
        await made.take(order_body(made.roster.stations, made.clock.now()), epoch=2)
        assert set(made.stages().values()) == {Stage.DISCARDED}
        assert made.store.epoch() == 2
        # A head-end that has forgotten it does not bring it back.
        await made.order()
        assert set(made.stages().values()) == {Stage.DISCARDED}
        assert (made.book.epoch, made.store.epoch()) == (2, 2)
        await made.order(epoch=2)
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


async def test_a_meter_that_the_order_names_no_more_is_not_counted(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        await made.order()
        await made.fetch()
        await made.take(order_body([serial_of(100)], made.clock.now()))
        await made.run()
        assert made.stages() == {serial_of(100): Stage.CONFIRMED, serial_of(101): Stage.DISCARDED}
        assert (await made.report())["counts"] == {"confirmed": 1}
        await made.order()
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


async def test_what_has_not_begun_to_switch_in_time_fails(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        now = made.clock.now()
        await made.order(until=now + 100, activate=None)
        made.clock.advance(200)
        await made.run()
        assert set(made.codes().values()) == {"upgrade.expired"}


async def test_who_was_silent_to_the_end_is_told_from_who_had_no_time(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of("silent", clean=1)) as made:
        await made.order(until=made.clock.now() + 600, activate=None)
        await made.fetch()
        await made.run()
        assert made.codes() == {
            serial_of(0): "upgrade.no-answer",
            serial_of(100): "upgrade.expired",
        }


# The line.


async def test_a_line_that_is_lost_is_said_so_and_the_upgrade_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        await made.order()
        await made.fetch()
        lost = 0
        for turn in range(400):
            made.line.lost = turn % 3 == 0
            try:
                wait = await made.manager.use(1e9)
            except LineLostError:
                lost += 1
                wait = await made.manager.use(1e9)
            if wait == float("inf"):
                break
            made.clock.advance(max(wait, 0.01))
        assert lost > 3
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert [meter.tried for meter in made.line.meters.values()] == [1, 1]


async def test_no_time_no_turn(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        await made.fetch()
        assert await made.manager.use(0.01) == float("inf")
        # Without a second's room, no blocks on a line that is known to be slow.
        await made.run(lambda: any(isinstance(work, Blocks) for work in made.line.log))
        made.manager._pace = 100.0
        before = len(made.line.log)
        while await made.manager.use(1.0) == 0.0:
            pass
        assert not any(isinstance(work, Blocks | Send) for work in made.line.log[before:])


async def test_what_the_line_carries_is_learned_from_what_it_carried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, meters_of()) as made:
        ticks = [1000.0]
        monkeypatch.setattr("openami.dcu.upgrade.manager.monotonic", lambda: ticks[0])
        real = made.line.broadcast

        async def slow(*what: Any) -> None:
            await real(*what)
            ticks[0] += 30.0

        monkeypatch.setattr(made.line, "broadcast", slow)
        await made.order()
        await made.fetch()
        await made.run(lambda: any(isinstance(work, Blocks) for work in made.line.log))
        assert made.manager._pace == pytest.approx(3 * COSTS.broadcast / 30.0)
        before = len(made.line.log)
        assert await made.manager.use(9.0) > 0.0  # a block takes ten
        assert len(made.line.log) == before
        await made.manager.use(21.0)
        assert made.line.log[before:] == [Blocks(100, (3, 4))]


@pytest.mark.parametrize("answer", [Silent(), Busy(), Refused("not now")])
async def test_a_meter_that_does_not_give_its_bitmap_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Silent | Busy | Refused
) -> None:
    async with bench(tmp_path, meters_of(clean=1)) as made:
        real, left = made.line.bits, [answer]

        async def bits(*who: Any) -> Any:
            return left.pop() if left else await real(*who)

        monkeypatch.setattr(made.line, "bits", bits)
        await made.upgrade()
        assert not left
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert [meter.tried for meter in made.line.meters.values()] == [1]


async def test_a_meter_that_refuses_blocks_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, meters_of(clean=1)) as made:
        made.line.deaf = frozenset(made.roster.stations)

        async def refuse(*_: Any) -> Taken:
            return Taken((), Refused("object-unavailable"))

        monkeypatch.setattr(made.line, "send", refuse)
        await made.upgrade()
        assert made.codes() == {serial_of(100): "upgrade.blocks"}
        upgrade = made.book.task("c1").rows[serial_of(100)].upgrade
        assert upgrade.reason == "object-unavailable"


async def test_a_meter_that_is_taken_off_the_line_while_it_is_visited_is_silent(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of(clean=1)) as made:
        made.line.deaf = frozenset(made.roster.stations)
        await made.order()
        await made.fetch()
        await made.run(lambda: any(isinstance(work, Send) for work in made.line.log))
        gone = made.roster.stations.pop(serial_of(100))
        made.clock.advance(0.01)
        for _ in range(5):
            made.clock.advance(await made.manager.use(1e9))
        made.roster.stations[serial_of(100)] = gone
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


async def test_blocks_are_not_starved_where_metering_never_leaves_the_time_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, meters_of()) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: any(isinstance(work, Blocks) for work in made.line.log))
        made.manager._pace = 100.0
        while await made.manager.use(1.0) == 0.0:
            pass
        now = made.manager._served
        before = len(made.line.log)
        monkeypatch.setattr("openami.dcu.upgrade.manager.monotonic", lambda: now + STARVED_S - 1)
        assert await made.manager.use(1.0) > 0.0
        monkeypatch.setattr("openami.dcu.upgrade.manager.monotonic", lambda: now + STARVED_S)
        for _ in range(3):
            await made.manager.use(1.0)
            made.manager._pace = 100.0
        assert len(made.line.log) == before + 1


async def test_a_meter_that_restarts_is_away_until_it_answers(tmp_path: Path) -> None:
    async with bench(tmp_path, meters_of(clean=1)) as made:
        await made.order()
        await made.fetch()
        serial = serial_of(100)
        await made.run(lambda: made.stages()[serial] is Stage.ACTIVATED)
        assert made.manager.away(serial)
        assert made.back == []
        await made.run()
        assert not made.manager.away(serial)
        assert made.back == [serial]
        await made.manager.leave(serial)
        await made.manager.leave("nobody")
        await made.manager.leave()
        assert made.line.released == [serial, None]


async def test_a_disk_that_keeps_nothing_lets_nothing_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, meters_of(clean=2)) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: set(made.stages().values()) == {Stage.ASKED})
        done = len(made.line.log)

        def full(*_: object) -> None:
            raise StoreFullError("no room")

        monkeypatch.setattr(made.store, "keep", full)
        waits = {await made.manager.use(1e9) for _ in range(6)}
        assert waits == {0.0, 60.0}
        assert not any(isinstance(step, Initiate) for _, step in steps(made.line)[done:])
        monkeypatch.undo()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert [meter.tried for meter in made.line.meters.values()] == [1, 1]


def steps(line: SimLine) -> list[tuple[str, object]]:
    return [one for one in line.log if isinstance(one, tuple)]


async def test_a_restart_goes_on_with_whoever_was_being_filled(tmp_path: Path) -> None:
    line = SimLine([*meters_of(clean=2)])
    async with bench(tmp_path, line) as made:
        await made.order()
        await made.fetch()
        await made.run(lambda: Stage.TRANSFERRING in made.stages().values())
        clock = made.clock
    async with bench(tmp_path, line, clock=clock) as made:
        assert Stage.TRANSFERRING in made.stages().values()
        line.log.clear()
        await made.run()
        assert line.log[0] == (serial_of(100), Look())
        assert set(made.stages().values()) == {Stage.CONFIRMED}
        assert not any(isinstance(step, Initiate) for _, step in steps(line))
        assert [meter.tried for meter in line.meters.values()] == [1, 1]
        assert made.shop.asked == []
