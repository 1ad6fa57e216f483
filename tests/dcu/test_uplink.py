"""Batches, reports and jobs against a head-end over real TLS, with everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from starlette.responses import JSONResponse, Response
from tests.support.dcu_headend import Certificates, FakeHeadEnd, refusal, running

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.core.identifiers import SystemTitle
from openami.dcu.batches import Gatherer, Harvest, make_batch, split
from openami.dcu.flow import Patience, Stop
from openami.dcu.headend import (
    BatchKind,
    BroadcastCredentials,
    Credentials,
    HeadEnd,
    HeadEndAwayError,
    HeadEndRefusalError,
    Work,
)
from openami.dcu.jobs import MAX_AGE_S, MAX_CLOSED, MAX_OPEN, JobBoard
from openami.dcu.uplink import Quarantine, Reporter, UplinkFigures, Uploader, Worker
from openami.mdm.readings import ChannelValues, join, profile_table
from openami.store.spool import Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pyarrow as pa

T0 = 1_700_000_100 // 900 * 900


def table(meter: str = "A1", *, start: int = T0, rows: int = 4) -> pa.Table:
    times = start + 900 * np.arange(rows)
    channels = [ChannelValues("1.0.1.29.0.255", 0, 30, np.arange(rows))]
    return profile_table(
        meter, "1.0.99.1.0.255", time=times, status=np.zeros(rows, int), channels=channels
    )


@pytest.fixture
async def headend(certificates: Certificates) -> AsyncIterator[FakeHeadEnd]:
    async with running(FakeHeadEnd(certificates)) as made:
        yield made


@pytest.fixture
async def api(headend: FakeHeadEnd) -> AsyncIterator[HeadEnd]:
    async with headend.client() as client:
        yield HeadEnd(client, upload_timeout_s=20)


class Kit:
    """An uploader with its surroundings."""

    def __init__(self, api: HeadEnd, folder: Path, **limits: int) -> None:
        self.stop, self.fresh = Stop(), asyncio.Event()
        self.spool = Spool(folder / "spool.sqlite", **limits)
        self.quarantine = Quarantine(folder / "quarantine")
        self.figures = UplinkFigures()
        self.uploader = Uploader(
            api,
            self.spool,
            self.quarantine,
            patience=quick(),
            stop=self.stop,
            fresh=self.fresh,
            figures=self.figures,
        )

    def put(self, *tables: pa.Table) -> None:
        self.spool.append([make_batch(BatchKind.READINGS, t) for t in tables])
        self.fresh.set()

    async def until_empty(self) -> None:
        while self.spool.size.batches:
            await asyncio.sleep(0.005)


def quick() -> Patience:
    return Patience(0.01, 0.05, random.Random(1).random)


@pytest.fixture
async def kit(api: HeadEnd, tmp_path: Path) -> AsyncIterator[Kit]:
    made = Kit(api, tmp_path)
    task = asyncio.ensure_future(made.uploader.run())
    yield made
    made.stop.set()
    await asyncio.wait_for(task, 30)
    made.spool.close()


async def test_batches_arrive_in_order_and_leave_the_spool(kit: Kit, headend: FakeHeadEnd) -> None:
    tables = [table(start=T0 + 86400 * day) for day in range(5)]
    kit.put(*tables[:3])
    await kit.until_empty()
    kit.put(*tables[3:])
    await kit.until_empty()
    assert headend.rows() == join(tables).to_pylist()
    assert (kit.figures.uploaded, kit.figures.rows) == (5, 20)


async def test_an_answer_lost_after_the_commit_changes_nothing(
    kit: Kit, headend: FakeHeadEnd
) -> None:
    headend.lose_answers = 2
    kit.put(table(), table(start=T0 + 86400))
    await kit.until_empty()
    assert len(headend.rows()) == 8
    assert headend.repeated == 2
    assert kit.figures.repeated == 2


async def test_a_head_end_that_is_away_gets_everything_when_it_is_back(
    kit: Kit, headend: FakeHeadEnd
) -> None:
    await headend.stop()
    kit.put(*(table(start=T0 + 86400 * day) for day in range(3)))
    while kit.figures.failures < 3:
        await asyncio.sleep(0.005)
    assert kit.spool.size.batches == 3
    await headend.start()
    await kit.until_empty()
    assert len(headend.rows()) == 12


async def test_retry_after_is_heeded(api: HeadEnd, headend: FakeHeadEnd) -> None:
    headend.fault = lambda _: refusal(503, "busy.queue", Retry_After="7")
    with pytest.raises(HeadEndAwayError) as caught:
        await api.upload("b", BatchKind.READINGS, b"x")
    assert (caught.value.code, caught.value.retry_after) == ("busy.queue", 7.0)
    assert 7.0 <= quick().failed(caught.value) <= 7.0 * 1.25
    # By the server's Date, which has whole seconds and may be some behind.
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=290), usegmt=True)
    headend.fault = lambda _: refusal(503, "busy.queue", Retry_After=until)
    with pytest.raises(HeadEndAwayError) as caught:
        await api.upload("b", BatchKind.READINGS, b"x")
    assert caught.value.retry_after is not None
    assert 200 < caught.value.retry_after <= 300
    headend.fault = lambda _: refusal(503, "busy.queue", Retry_After="soon")
    with pytest.raises(HeadEndAwayError) as caught:
        await api.upload("b", BatchKind.READINGS, b"x")
    assert caught.value.retry_after is None


async def test_a_refused_batch_is_set_aside_and_blocks_nobody(
    kit: Kit, headend: FakeHeadEnd, tmp_path: Path
) -> None:
    headend.judge = lambda t: (422, "upload.time") if "A1" in names(t) else None
    kit.put(table("A1"), table("B2"))
    await kit.until_empty()
    assert {row["meter"] for row in headend.rows()} == {"B2"}
    assert len(kit.quarantine) == 1
    why = json.loads(next((tmp_path / "quarantine").glob("*.json")).read_text())
    assert (why["code"], why["status"], why["rows"]) == ("upload.time", 422, 4)
    kept = (tmp_path / "quarantine" / f"{why['id']}.arrows").read_bytes()
    assert kept == make_batch(BatchKind.READINGS, table("A1")).body


async def test_one_meter_of_another_dcu_costs_no_others_readings(
    kit: Kit, headend: FakeHeadEnd
) -> None:
    headend.judge = lambda t: (403, "fleet.not-yours") if "B2" in names(t) else None
    kit.put(join([table("A1"), table("B2"), table("C3")]))
    await kit.until_empty()
    assert sorted({row["meter"] for row in headend.rows()}) == ["A1", "C3"]
    assert len(kit.quarantine) == 1
    assert kit.figures.refused == 1


async def test_a_dcu_that_is_shut_out_keeps_its_readings(kit: Kit, headend: FakeHeadEnd) -> None:
    headend.fault = lambda _: refusal(403, "fleet.shut-out")
    kit.put(table())
    while kit.figures.failures < 3:
        await asyncio.sleep(0.005)
    headend.fault = None
    await kit.until_empty()
    assert len(headend.rows()) == 4


async def test_a_refused_batch_stays_in_the_spool_where_it_can_not_be_set_aside(
    kit: Kit, headend: FakeHeadEnd, tmp_path: Path
) -> None:
    (tmp_path / "quarantine").write_text("a file where the folder should be")
    headend.judge = lambda t: (422, "upload.time") if "A1" in names(t) else None
    kit.put(table("A1"), table("B2"), table("C3"))
    while kit.spool.size.batches > 1:
        await asyncio.sleep(0.005)
    assert {row["meter"] for row in headend.rows()} == {"B2", "C3"}
    assert len(kit.quarantine) == 0


async def test_stopping_empties_the_spool_but_waits_for_nobody(
    api: HeadEnd, headend: FakeHeadEnd, tmp_path: Path
) -> None:
    kit = Kit(api, tmp_path)
    kit.put(table(), table("B2"))
    kit.stop.set()
    await kit.uploader.run()
    await kit.until_empty()
    await headend.stop()
    kit.put(table("C3"))
    await asyncio.wait_for(kit.uploader.run(), 30)
    assert kit.spool.size.batches == 1
    kit.spool.close()


def names(t: pa.Table) -> set[str]:
    return set(t["meter"].to_pylist())


def test_splitting_keeps_every_row() -> None:
    whole = make_batch(BatchKind.READINGS, join([table("B2"), table("A1", rows=3)]))
    parts = split(whole)
    assert [(part.rows, part.kind) for part in parts] == [(3, "readings"), (4, "readings")]
    assert parts[1] == make_batch(BatchKind.READINGS, table("B2"))
    assert split(parts[0]) == []


def gatherer(spool: Spool, clock: ManualClock, **limits: Any) -> tuple[Gatherer, asyncio.Event]:
    fresh = asyncio.Event()
    options = {"rows": 10, "age_s": 5.0, **limits}
    return Gatherer(spool, fresh=fresh, now=clock.now, **options), fresh


def is_full(made: Gatherer) -> bool:
    return made.full


async def test_harvests_become_one_batch_when_they_are_ripe(tmp_path: Path) -> None:
    clock, spool = ManualClock(100), Spool(tmp_path / "s")
    made, fresh = gatherer(spool, clock)
    assert await made.flush()
    made.add(Harvest([table()], [], {("A1", "load"): T0}))
    clock.advance(2)
    made.add(Harvest([table("B2")], [], {("B2", "load"): T0}))
    assert made.ripe_at == 105
    assert await made.flush(ripe_only=True)
    assert spool.size.batches == 0
    clock.advance(3)
    assert await made.flush(ripe_only=True)
    assert (spool.size.batches, spool.size.rows, fresh.is_set()) == (1, 8, True)
    assert spool.cursors() == {("A1", "load"): T0, ("B2", "load"): T0}
    made.add(Harvest([table(rows=12)]))
    assert made.ripe_at == clock.now()
    spool.close()


async def test_cursors_alone_are_kept_without_a_batch(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    made, fresh = gatherer(spool, ManualClock())
    made.add(Harvest(cursors={("A1", "log"): 7}))
    assert await made.flush()
    assert spool.size.batches == 0
    assert spool.cursors() == {("A1", "log"): 7}
    assert not fresh.is_set()
    spool.close()


async def test_a_full_spool_keeps_the_harvest_until_there_is_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", max_octets=9000)
    made, _ = gatherer(spool, ManualClock())
    first = make_batch(BatchKind.READINGS, table("Z9", rows=2000))
    with pytest.raises(StoreFullError):
        spool.append([first, make_batch(BatchKind.READINGS, table("Y8", rows=2000))])
    spool.append([first])
    made.add(Harvest([table(rows=2000)], [], {("A1", "load"): T0}))
    assert not await made.flush()
    assert is_full(made)
    assert spool.cursors() == {}
    spool.acknowledge([first.id])
    assert is_full(made)
    assert await made.flush()
    assert not is_full(made)
    assert spool.cursors() == {("A1", "load"): T0}
    spool.close()


async def test_reports_go_out_in_turn_and_when_asked(api: HeadEnd, headend: FakeHeadEnd) -> None:
    stop, figures, after = Stop(), UplinkFigures(), []

    async def reported() -> None:
        after.append(len(headend.reports))

    reporter = Reporter(
        api,
        lambda: {"dcu": {"version": "1"}, "meters": []},
        reported=reported,
        every_s=3600,
        patience=quick(),
        stop=stop,
        clock=ManualClock(0),
        figures=figures,
    )
    task = asyncio.ensure_future(reporter.run())
    await headend.until(lambda: len(headend.reports) == 1)
    reporter.asked.set()
    await headend.until(lambda: len(headend.reports) == 2)
    await headend.stop()
    reporter.asked.set()
    await asyncio.sleep(0.05)
    await headend.start()
    await headend.until(lambda: len(headend.reports) == 3)
    stop.set()
    await asyncio.wait_for(task, 30)
    assert figures.reports == 4
    assert after == [1, 2, 3, 4]


async def test_jobs_are_taken_once_and_answered(api: HeadEnd, headend: FakeHeadEnd) -> None:
    stop, board = Stop(), JobBoard(ManualClock().now)

    def do(job: str) -> None:
        board.running(job, 0.5)
        board.done(job, [{"value": 1}])

    worker = Worker(api, board, do, wait_s=1, patience=(quick(), quick()), stop=stop)
    tasks = [asyncio.ensure_future(loop()) for loop in (worker.ask, worker.tell)]
    job = {"id": "j1", "kind": "read", "meter": "A1", "attributes": []}
    headend.jobs = [job, job]
    await headend.until(lambda: len(headend.updates) == 1)
    headend.jobs = [job]
    await headend.until(lambda: len(headend.updates) == 2)
    await headend.stop()
    await headend.start()
    headend.jobs = [{**job, "id": "j2"}]
    await headend.until(lambda: len(headend.updates) == 3)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    done = {"state": "done", "progress": 1.0, "results": [{"value": 1}], "error": None}
    assert headend.updates == [("j1", done), ("j1", done), ("j2", done)]


async def test_updates_outlive_a_head_end_that_is_away_and_end_when_nobody_cares(
    api: HeadEnd, headend: FakeHeadEnd
) -> None:
    stop, board = Stop(), JobBoard(ManualClock().now)
    worker = Worker(api, board, lambda _: None, wait_s=1, patience=(quick(), quick()), stop=stop)
    await headend.stop()
    for name in ("j1", "gone"):
        board.offer(Work(id=name, kind="read", meter="A1"))
        board.failed(name, "meter.unreachable", "no answer")
    task = asyncio.ensure_future(worker.tell())
    await asyncio.sleep(0.05)

    def forgotten(request: Any) -> Response | None:
        return refusal(404, "job.unknown") if request.url.path.endswith("gone") else None

    headend.fault = forgotten
    await headend.start()
    await headend.until(lambda: len(headend.requests) >= 2)
    stop.set()
    await asyncio.wait_for(task, 30)
    assert [(job, body["error"]["code"]) for job, body in headend.updates] == [
        ("j1", "meter.unreachable")
    ]


def test_a_job_board_is_bounded_and_tells_only_the_latest() -> None:
    clock = ManualClock()
    board = JobBoard(clock.now)
    works = [Work(id=f"j{n}", kind="read", meter="A1") for n in range(MAX_OPEN + 1)]
    assert [board.offer(work) for work in works].count(True) == MAX_OPEN == len(board)
    assert not board.offer(works[0])
    board.running("j0", 0.1)
    board.running("j0", 0.7)
    board.running("nobody", 0.7)
    taken = board.take_update()
    assert taken is not None
    assert taken[1].progress == 0.7
    board.done("j0", [])
    board.give_back(*taken)
    latest = board.take_update()
    assert latest is not None
    assert latest[1].state == "done"
    assert board.take_update() is None
    clock.advance(MAX_AGE_S + 1)
    assert len(board.overdue()) == MAX_OPEN - 1
    assert board.get("j1") == works[1]
    assert board.get("j0") is None
    for number in range(MAX_CLOSED + 9):
        board.failed(f"j{number}", "x", "y")
        board.offer(Work(id=f"k{number}", kind="read", meter="A1"))
        board.failed(f"k{number}", "x", "y")
    assert not board.offer(Work(id=f"k{MAX_CLOSED}", kind="read", meter="A1"))
    assert board.offer(Work(id="j1", kind="read", meter="A1"))


async def test_cursors_and_credentials(api: HeadEnd, headend: FakeHeadEnd) -> None:
    title = SystemTitle.of("OAM", 7)
    headend.cursors = {"A1": {"1.0.99.1.0.255": "2023-11-14T22:15:00Z"}}
    headend.credentials[str(title)] = {
        "client": 1, "mechanism": "hls5-gmac", "guek": "00" * 16, "gak": "D0" * 16, "hls": None
    }  # fmt: skip
    assert await api.cursors() == {"A1": {"1.0.99.1.0.255": 1_700_000_100}}
    found = await api.credentials(title)
    assert found == Credentials(1, "hls5-gmac", bytes(16), b"\xd0" * 16)
    assert found.broadcast is None
    line = {"client": 102, "gbek": "D1" * 16, "gak": "D2" * 16}
    headend.credentials[str(title)]["broadcast"] = line
    found = await api.credentials(title)
    assert found is not None
    assert found.broadcast == BroadcastCredentials(102, b"\xd1" * 16, b"\xd2" * 16)
    assert not any(key in repr(found).lower() for key in ("d0d0", "d1d1", "d2d2", "\\xd"))
    assert await api.credentials(SystemTitle.of("OAM", 8)) is None
    headend.fault = lambda _: refusal(403, "fleet.shut-out")
    with pytest.raises(HeadEndRefusalError):
        await api.credentials(title)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"meters": {"A": {"p": "yesterday"}}}'])
async def test_answers_without_sense_are_tried_again(
    api: HeadEnd, headend: FakeHeadEnd, body: bytes
) -> None:
    headend.fault = lambda _: Response(body)
    with pytest.raises(HeadEndAwayError) as caught:
        await api.cursors()
    assert caught.value.code == "headend.answer"


async def test_an_answer_with_a_bad_key_shows_none_of_it(
    api: HeadEnd, headend: FakeHeadEnd
) -> None:
    secret = "5ec2e7" * 5
    headend.fault = lambda _: JSONResponse(
        {"client": 1, "mechanism": "x", "guek": secret + "!", "gak": secret}
    )
    with pytest.raises(HeadEndAwayError) as caught:
        await api.credentials(SystemTitle.of("OAM", 7))
    assert secret not in str(caught.value)


async def test_a_stranger_gets_no_connection(headend: FakeHeadEnd, tmp_path: Path) -> None:
    from openami.transport.http import HttpClient
    from openami.transport.tls import client_context

    tls = client_context(headend.certificates.authority)
    async with HttpClient(headend.url, tls=tls) as client:
        with pytest.raises(HeadEndAwayError):
            await HeadEnd(client).cursors()
