"""Meters of a street are upgraded by orders of a head-end over real TLS, while they are read."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_chain import HOUR, Chain, chain, identity
from tests.support.dcu_upgrades import MODEL, Shop, order_body
from tests.support.upgrades import FAULTS, MAKER, image

from openami.dcu.upgrade.parts import Patience
from openami.dcu.upgrade.upgrader import Upgrading
from openami.firmware.version import Version
from openami.fleet.upgrade import MeterPolicy, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.dcu_headend import Certificates

NEW = "openami-2.0.0"
POLICY = MeterPolicy(
    poll_s=4.0,
    poll_most_s=8.0,
    silence_first_s=4.0,
    silence_most_s=8.0,
    activation_s=4 * HOUR,
    verify_s=4 * HOUR,
)
QUICK = {"restart_s": 0.2, "check_s": 0.05}


class Scene:
    """A street with a DCU that upgrades it."""

    def __init__(self, made: Chain, shop: Shop) -> None:
        self.made, self.shop = made, shop
        self.voided = 0
        made.upgrading = Upgrading(shop, self._void, made.clock, Patience(POLICY), news_s=0.05)

    async def _void(self, below: int | None) -> None:
        self.voided += below is None

    def order(self, *numbers: int, **more: Any) -> dict[str, Any]:
        serials = [identity(number).serial for number in numbers or self.made.numbers]
        release = f"meter-image/openami/{self.shop.manifest.version}"
        return order_body(serials, self.made.clock.now(), release=release, **more)

    async def pass_time(self, reached: Callable[[], bool]) -> None:
        """Let the world's clock go on until something is so; meters are read in their minutes."""
        async with asyncio.timeout(120):
            while not reached():
                self.made.advance(2.0)
                await self.made.until(lambda: True)
                await asyncio.sleep(0.02)

    def counts(self, campaign: str = "c1") -> dict[str, int]:
        return dict(self.made.headend.told.get(campaign, {}).get("counts", {}))

    def stages(self) -> set[Stage]:
        assert self.made.dcu is not None
        assert self.made.dcu.upgrader is not None
        tasks = self.made.dcu.upgrader.book.tasks
        return {row.upgrade.stage for task in tasks for row in task.rows.values()}

    def has(self, stage: Stage) -> bool:
        return stage in self.stages()

    def firmware(self) -> list[str]:
        return [str(self.made.told(number).get("firmware")) for number in self.made.numbers]


@asynccontextmanager
async def scene(
    folder: Path, certificates: Certificates, *, octets: bytes, count: int = 2
) -> AsyncIterator[Scene]:
    numbers = tuple(range(count))
    shop = Shop({"oa1.img": octets}, ((MODEL, "oa1.img"),), {"version": Version.parse("2.0.0")})
    async with chain(
        folder,
        certificates,
        numbers=numbers,
        history_s=HOUR,
        maker=MAKER,
        meter_options=dict.fromkeys(numbers, QUICK),
        options={"addresses": f"16-{15 + count}"},
    ) as made:
        yield Scene(made, shop)


@pytest.mark.fums("DES-2", "SM-8", "UC1-reading", "UMS-1")
async def test_ten_meters_are_upgraded_while_they_are_read(
    tmp_path: Path, certificates: Certificates
) -> None:
    octets = image(trial_s=0, padding=20_000)
    async with scene(tmp_path, certificates, octets=octets, count=10) as it:
        made = it.made
        stranger = identity(9)
        made.headend.credentials[str(stranger.system_title)]["guek"] = "00" * 16
        read = tuple(range(9))
        await made.start_dcu()
        await made.until(lambda: made.complete(*read))
        began = made.clock.now()
        made.headend.command(it.order())
        await it.pass_time(partial(it.has, Stage.TRANSFERRING))
        asked = {"class_id": 3, "obis": "1.0.1.8.0.255", "attribute": 2}
        job = {"id": "j1", "kind": "read", "meter": identity(3).serial, "attributes": [asked]}
        made.headend.jobs = [job]
        await made.until(
            lambda: ("j1", "done") in [(j, u["state"]) for j, u in made.headend.updates]
        )
        assert it.counts().get("confirmed", 0) < 9
        await it.pass_time(lambda: it.counts() == {"confirmed": 9, "failed": 1})
        assert made.headend.told["c1"]["codes"] == {"upgrade.refused": 1}
        # Nothing metered was lost, and every interval since is there.
        await it.pass_time(lambda: made.complete(*read))
        for number in read:
            times = sorted(made.stored(number)["1.0.1.29.0.255"])
            assert times[-1] >= began // 900 * 900
            assert {b - a for a, b in itertools.pairwise(times)} == {900}
        await it.pass_time(lambda: it.firmware()[:9] == [NEW] * 9)
        reports = [meter for told in made.headend.reports for meter in told["meters"]]
        assert {m["state"] for m in reports if m["serial"] != stranger.serial} <= {
            "discovered",
            "reading",
            "ok",
        }
        assert it.shop.asked == [("oa1.img", 50_000)]
        states = [m["state"] for m in made.headend.marks if m["meter"] == identity(0).serial]
        assert states == [
            "offered",
            "downloaded",
            "transferred",
            "verified",
            "activated",
            "self-tested",
            "confirmed",
        ]


@pytest.mark.fums("SM-2", "UMS-2", "UC7-before")
async def test_meters_that_revert_say_why_and_are_read_on(
    tmp_path: Path, certificates: Certificates
) -> None:
    octets = image(behind=FAULTS["says-no"], trial_s=0)
    async with scene(tmp_path, certificates, octets=octets) as it:
        made = it.made
        await made.start_dcu()
        await made.until(lambda: made.complete(*made.numbers))
        before = it.firmware()
        made.headend.command(it.order())
        await it.pass_time(lambda: it.counts() == {"reverted": 2})
        assert made.headend.told["c1"]["codes"] == {"upgrade.reverted": 2}
        ends = [m for m in made.headend.marks if m["state"] == "reverted"]
        assert {m["code"] for m in ends} == {"upgrade.reverted"}
        assert all(m["reason"].startswith("Failed Upgrade Process") for m in ends)
        await it.pass_time(lambda: it.firmware() == before and made.complete(*made.numbers))


async def test_meters_that_refuse_an_image_tell_their_own_code(
    tmp_path: Path, certificates: Certificates
) -> None:
    octets = bytearray(image(trial_s=0))
    octets[100] ^= 1
    async with scene(tmp_path, certificates, octets=bytes(octets)) as it:
        made = it.made
        await made.start_dcu()
        await made.until(lambda: made.complete(*made.numbers))
        made.headend.command(it.order())
        await it.pass_time(lambda: it.counts() == {"discarded": 2})
        assert made.headend.told["c1"]["codes"] == {"firmware.hash": 2}


@pytest.mark.fums("DES-3", "SM-9")
async def test_pause_window_and_emergency(tmp_path: Path, certificates: Certificates) -> None:
    octets = image(trial_s=0)
    async with scene(tmp_path, certificates, octets=octets) as it:
        made = it.made
        await made.start_dcu()
        await made.until(lambda: made.complete(*made.numbers))
        held = it.order(directive="hold")
        made.headend.command(held)
        await made.until(lambda: it.counts() == {"offered": 2})
        assert it.shop.asked == []
        later = made.clock.now() + 3 * HOUR
        window = {"attempt": 1, "begin": later, "end": later + HOUR, "until": later + HOUR}
        made.headend.command(it.order(activate=window))
        await it.pass_time(lambda: it.counts() == {"verified": 2})
        made.headend.lose_answers = 2
        made.headend.command(it.order(activate=window), epoch=2)
        await it.pass_time(lambda: it.counts() == {"discarded": 2})
        assert it.voided == 1
        assert made.headend.told["c1"]["codes"] == {"upgrade.withdrawn": 2}
        # Anew, of the epoch that the fleet has now.
        made.headend.command(it.order(activate=window, epoch=2))
        await it.pass_time(lambda: it.counts() == {"verified": 2})
        made.advance(later - made.clock.now() - 300.0)
        await it.pass_time(lambda: made.complete(*made.numbers))
        assert made.clock.now() < later
        assert it.counts() == {"verified": 2}
        await it.pass_time(lambda: it.counts() == {"confirmed": 2})
        assert made.clock.now() >= later
        attempts = {m["attempt"] for m in made.headend.marks if m["state"] == "confirmed"}
        assert attempts == {2}
        assert it.voided == 1


async def test_it_goes_on_when_collection_begins_anew_and_after_kills(
    tmp_path: Path, certificates: Certificates
) -> None:
    octets = image(trial_s=0, padding=60_000)
    async with scene(tmp_path, certificates, octets=octets) as it:
        made = it.made
        await made.start_dcu()
        await made.until(lambda: made.complete(*made.numbers))
        made.headend.command(it.order())
        for stage in (Stage.TRANSFERRING, Stage.VERIFYING, Stage.ACTIVATED):
            await it.pass_time(partial(it.has, stage))
            await made.kill_dcu()
            await made.start_dcu()
            await made.stop_dcu()
            await made.start_dcu()
        await it.pass_time(lambda: it.counts() == {"confirmed": 2})
        assert len(it.shop.asked) == 1
        await it.pass_time(lambda: made.complete(*made.numbers))
