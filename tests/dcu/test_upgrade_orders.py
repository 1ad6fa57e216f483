"""The conversation about upgrades: what is said, what is believed, and what is told of it."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response
from tests.support.dcu_headend import FakeHeadEnd, refusal, running
from tests.support.dcu_upgrades import (
    START,
    Bench,
    answer_body,
    bench,
    meters_of,
    order_body,
)
from tests.support.upgrade_meters import serial_of

from openami.core.errors import DecodeError, StoreError
from openami.dcu.conversation import Conversation
from openami.dcu.flow import Patience, Stop
from openami.dcu.headend import HeadEnd, HeadEndAwayError
from openami.dcu.upgrade.exchange import Exchange
from openami.dcu.upgrade.orders import MAX_METERS, MAX_ORDERS, Directive, Instructions
from openami.dcu.upgrade.reports import Mark, StepFailure, marks_of, report, state_of
from openami.dcu.upgrade.tasks import EXPIRED, UNKNOWN, WITHDRAWN
from openami.fleet.campaigns.model import DeviceState, StepKind
from openami.fleet.campaigns.progress import MAX_CODES
from openami.fleet.campaigns.why import WORDS
from openami.fleet.upgrade import Stage, Upgrade
from openami.store.upgrades import Changes, KeptMark, KeptMeter, KeptTask, Upgrades

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from tests.support.dcu_headend import Certificates


def order(**more: Any) -> dict[str, Any]:
    return order_body(["M1"], START, **more)


# What is believed.


@pytest.mark.parametrize(
    "answer",
    [
        answer_body(epoch=-1),
        answer_body(revision=2**63),
        answer_body(*[order(campaign=f"c{n}") for n in range(MAX_ORDERS + 1)]),
        answer_body(order(), order()),
        answer_body(order(campaign="")),
        answer_body(order(campaign="a/b")),
        answer_body(order(release="meter-image/openami")),
        answer_body(order(release="meter-image/../../etc/passwd")),
        answer_body(order(meters=["M1", "M1"])),
        answer_body(order(meters=["not a serial"])),
        answer_body(order(meters=[f"M{n}" for n in range(MAX_METERS + 1)])),
        answer_body(order(directive="void")),
        answer_body(order(until=float("nan"))),
        answer_body(order(activate={"attempt": 0, "begin": 1, "end": 2, "until": 3})),
        answer_body(order(activate={"attempt": 1, "begin": 1, "end": float("inf"), "until": 3})),
        answer_body(order(download={"attempt": 1, "begin": 1, "end": 2, "until": 3, "rate": -1})),
        {"epoch": 1, "revision": 1, "taken": {}},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_whole(answer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Instructions.model_validate(answer)


def test_what_is_not_known_is_passed_over() -> None:
    said = Instructions.model_validate(answer_body({**order(), "more": 1}, later="thing"))
    assert said.orders[0].meters == ("M1",)
    assert str(said.orders[0].package) == "meter-image/openami/1.1.0"


def test_activation_is_in_its_window_and_not_in_a_pause() -> None:
    step = {"attempt": 1, "begin": START + 10, "end": START + 20, "until": START + 30}
    [going] = Instructions.model_validate(answer_body(order(activate=step))).orders
    assert [going.activate_at(START + n) for n in (0, 15, 20)] == [START + 10, START + 10, None]
    held = going.model_copy(update={"directive": Directive.HOLD})
    assert held.activate_at(START + 15) is None
    assert going.model_copy(update={"activate": None}).activate_at(START) is None


async def test_an_answer_that_makes_no_sense_is_asked_for_again(
    tmp_path: Path, certificates: Certificates
) -> None:
    headend = FakeHeadEnd(certificates)
    headend.fault = lambda _: JSONResponse({"epoch": "x"})
    async with running(headend), headend.client() as client:
        with pytest.raises(HeadEndAwayError) as away:
            await HeadEnd(client).upgrade({"epoch": 0, "reports": []})
        assert away.value.code == "headend.answer"
    assert tmp_path.is_dir()


# What is told.


def test_only_so_many_codes_are_told_and_every_failure_is_counted() -> None:
    failed = [
        (Upgrade(f"M{n}", "c1", Stage.FAILED, code=f"upgrade.c{n}"), DeviceState.FAILED)
        for n in range(MAX_CODES + 5)
    ]
    told = report("c1", 1, failed, failed=None, marks=[])
    assert len(told["codes"]) == MAX_CODES
    assert sum(told["codes"].values()) == MAX_CODES + 5 == told["counts"]["failed"]
    assert told["codes"]["campaign.other-codes"] == 6


def test_marks_and_failures_are_read_back() -> None:
    mark = Mark("M1", "failed", 5.0, 2, "upgrade.expired", "why")
    assert Mark.decode(mark.encode()) == mark
    failure = StepFailure(StepKind.DOWNLOAD, 3, "download.network")
    assert StepFailure.decode(failure.encode()) == failure
    for octets in (b"", b"{}", b'{"step": "x"}', b"[]"):
        with pytest.raises(DecodeError):
            Mark.decode(octets)
        with pytest.raises(DecodeError):
            StepFailure.decode(octets)


async def test_a_store_with_strange_things_in_it_is_of_use(tmp_path: Path) -> None:
    store = Upgrades(tmp_path / "upgrades.sqlite")
    async with asyncio.timeout(60):
        store.keep(Changes(1, [KeptTask("c0", 1, b"no order")]))
        store.keep_manifest("meter-image/openami/1.1.0", b"no manifest")
        store.close()
    async with bench(tmp_path, meters_of(clean=1)) as made:
        assert made.book.tasks == ()
        await made.order()
        odd = KeptMeter("c1", serial_of(100), 1, True, "one.img", 0, b"no state")
        made.store.keep(Changes(meters=[odd]))
    async with bench(tmp_path, meters_of(clean=1)) as made:
        row = made.book.task("c1").rows[serial_of(100)]
        assert (row.upgrade.stage, row.attempt) == (Stage.OFFERED, 2)
        await made.fetch()
        await made.run()
        assert set(made.stages().values()) == {Stage.CONFIRMED}


def test_every_code_of_a_meter_is_explained_and_has_words_of_its_own() -> None:
    page = Path(__file__).parents[2] / "docs/explanation/upgrade-manager.md"
    told = re.findall(r"^\| (`.*`) \|", page.read_text(), re.MULTILINE)
    listed = {code for row in told for code in re.findall(r"`([a-z.-]+)`", row)}
    assert listed <= WORDS.keys()
    assert {WITHDRAWN, EXPIRED, UNKNOWN, "upgrade.refused", "upgrade.reverted"} <= listed


async def test_a_mark_of_another_version_keeps_nothing_else_from_being_told(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, meters_of(clean=1)) as made:
        await made.order()
        newer = b'{"meter":"M1","state":"dreamt","at":1,"attempt":1,"of":"sheep"}'
        made.store.keep(Changes(marks=[KeptMark("c1", newer)]))
        told, sent = await made.book.reports()
        assert [mark["state"] for mark in told[0]["marks"]] == ["offered"]
        await made.book.told(sent, {"c1": told[0]["number"]})
        assert not made.store.marks("c1", 1)


def test_a_meter_has_passed_its_self_test_when_it_says_so_or_is_through_its_trial() -> None:
    trial = Upgrade("M1", "c1").at(Stage.ON_TRIAL, 5.0)
    assert state_of(trial.stage, fetched=True) is DeviceState.ACTIVATED
    assert state_of(trial.stage, fetched=True, tested=True) is DeviceState.SELF_TESTED
    assert state_of(Stage.ACTIVATED, fetched=True, tested=True) is DeviceState.ACTIVATED
    for upgrade, told in (
        (trial.at(Stage.CONFIRMED, 6.0), ["activated", "self-tested", "confirmed"]),
        (Upgrade("M1", "c1").at(Stage.CONFIRMED, 6.0), ["confirmed"]),  # it had it
    ):
        marks, _ = marks_of(upgrade, DeviceState.CONFIRMED, attempt=1, told=0, now=7.0)
        assert [mark.state for mark in marks] == told


# The conversation.


class Talk:
    """A DCU's side of the conversation, with a head-end over TLS on the other."""

    def __init__(self, made: Bench, headend: FakeHeadEnd, api: HeadEnd) -> None:
        self.made, self.headend = made, headend
        self.stop = Stop()
        self.voided = self.taken = 0
        self.refuse = 0
        self.below: list[int] = []
        self.exchange = Exchange(
            api, made.book, voided=self._void, taken=self._take, clock=made.clock
        )
        self.conversation = Conversation(
            "upgrades",
            self.exchange,
            patience=Patience(0.001, 0.002, lambda: 0.0),
            stop=self.stop,
            news_s=0.0,
        )

    async def _void(self, below: int | None) -> None:
        if below is not None:
            self.below.append(below)
            return
        self.voided += 1
        if self.refuse:
            self.refuse -= 1
            raise StoreError("not now")

    def _take(self) -> None:
        self.taken += 1

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not reached():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def talk(folder: Path, certificates: Certificates) -> AsyncIterator[Talk]:
    headend = FakeHeadEnd(certificates)
    async with (
        running(headend),
        headend.client() as client,
        bench(folder, meters_of(clean=2)) as made,
    ):
        it = Talk(made, headend, HeadEnd(client))
        task = asyncio.ensure_future(it.conversation.run())
        try:
            yield it
        finally:
            it.stop.set()
            await task


async def test_orders_come_with_a_new_revision_and_news_goes_up_by_itself(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with talk(tmp_path, certificates) as it:
        made = it.made
        await it.until(lambda: it.taken == 1)
        assert made.book.revision == 1
        it.headend.command(order_body(made.roster.stations, made.clock.now()))
        it.conversation.ask()
        await it.until(lambda: "c1" in it.headend.told)
        assert it.headend.told["c1"]["counts"] == {"offered": 2}
        await made.fetch()
        await made.run()
        await it.until(lambda: it.headend.told["c1"]["counts"] == {"confirmed": 2})
        await it.until(lambda: not made.store.marks("c1", 1))
        keys = [(m["meter"], m["state"]) for m in it.headend.marks]
        assert len(keys) == len(set(keys)) == 14


async def test_an_emergency_is_kept_only_after_everything_else_was_let_go(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with talk(tmp_path, certificates) as it:
        await it.until(lambda: it.taken == 1)
        assert (it.voided, it.below) == (0, [1])
        it.refuse = 2
        it.headend.command(epoch=9)
        it.conversation.ask()
        await it.until(lambda: it.made.book.epoch == 9)
        assert (it.voided, it.below) == (3, [1])
        assert it.made.store.epoch() == 9


async def test_orders_are_taken_though_reports_are_refused(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with talk(tmp_path, certificates) as it:
        made = it.made
        it.headend.command(order_body(made.roster.stations, made.clock.now()))
        it.conversation.ask()
        await it.until(lambda: "c1" in it.headend.told)
        bodies: list[int] = []

        def refuse(request: Request) -> Response | None:
            length = int(request.headers["content-length"])
            bodies.append(length)
            return refusal(422, "request.body") if length > 60 else None

        it.headend.fault = refuse
        it.headend.command()
        it.conversation.ask()
        await it.until(lambda: made.book.task("c1").void is not None)
        assert len(bodies) >= 2
        it.headend.fault = None
        await it.until(lambda: it.headend.told["c1"]["counts"] == {"discarded": 2})


async def test_a_head_end_that_knows_nothing_of_upgrades_is_asked_seldom(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with talk(tmp_path, certificates) as it:
        it.headend.fault = lambda _: refusal(404, "http.404")
        it.conversation.ask()
        await it.until(lambda: it.headend.requests.count("POST /device/v1/upgrade") > 3)
        assert it.made.book.tasks == ()
        it.headend.fault = None


@pytest.mark.parametrize(
    ("left", "rest"), [(None, 3600.0), (-5.0, 3600.0), (10.0, 30.0), (600.0, 300.0), (1e6, 3600.0)]
)
async def test_a_step_that_is_worked_at_is_told_of_before_the_head_end_gives_it_up(
    tmp_path: Path, certificates: Certificates, left: float | None, rest: float
) -> None:
    async with talk(tmp_path, certificates) as it:
        now = it.made.clock.now()
        step = None if left is None else {**order()["activate"], "until": now + left}
        await it.made.take(order(download=None, activate=step))
        assert it.exchange.rest() == rest


async def test_so_many_marks_are_told_at_a_time_of_all_orders_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.dcu.upgrade.book.MAX_MARKS", 3)
    async with bench(tmp_path, meters_of(clean=2)) as made:
        now, who = made.clock.now(), list(made.roster.stations)
        orders = [order_body(who, now, campaign=f"c{n}", directive="hold") for n in range(3)]
        await made.take(*orders)
        told = []
        for _ in range(2):
            made.book.news.clear()
            bodies, sent = await made.book.reports()
            told.append([len(body["marks"]) for body in bodies])
            await made.book.told(sent, {body["campaign"]: body["number"] for body in bodies})
            assert made.book.news.is_set() == (len(told) == 1)
        assert told == [[2, 1, 0], [0, 1, 2]]


async def test_more_marks_than_a_report_holds_go_in_several(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.dcu.upgrade.book.MAX_MARKS", 3)
    async with talk(tmp_path, certificates) as it:
        made = it.made
        reports, held = made.book.reports, list[int]()

        async def counted() -> Any:
            bodies, sent = await reports()
            held.append(sum(len(body["marks"]) for body in bodies))
            return bodies, sent

        monkeypatch.setattr(made.book, "reports", counted)
        it.headend.command(order_body(made.roster.stations, made.clock.now()))
        it.conversation.ask()
        await it.until(lambda: "c1" in it.headend.told)
        await made.fetch()
        await made.run()
        await it.until(lambda: len(it.headend.marks) == 14)
        await it.until(lambda: not it.made.store.marks("c1", 1))
        assert max(held) == 3
        once = {(mark["meter"], mark["state"]) for mark in it.headend.marks}
        assert (len(once), len(it.headend.marks)) == (14, 14)
