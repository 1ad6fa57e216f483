"""What DCUs ask of the head-end, over real mutual TLS."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.support.headend import (
    LOAD_PROFILE,
    PERIOD,
    START,
    batch_headers,
    client_with,
    day,
    dcu_client,
    meter_status,
    report,
    running_headend,
    shipment,
    shipped,
    some_events,
    trust,
    upload,
)
from tests.support.pki import authorities_of, issue_by_hand

from openami.core.clock import ManualClock, isoformat
from openami.crypto.certificates import make_root
from openami.fleet.devices import Contact, LifecycleState
from openami.fleet.ports import ReadingFilter
from openami.headend.security.authorities import lasting, new_key
from openami.headend.server import Running
from openami.mdm.readings import to_ipc


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["error"]["code"]
    return found


def stored(running: Running, meter: str) -> int:
    table, _ = running.services.readings.page(ReadingFilter(meter))
    return int(table.num_rows)


async def test_an_upload_is_stored_once(running: Running, dcu: httpx.AsyncClient) -> None:
    table = day(["M1", "M2"])
    first = await upload(dcu, "b1", table)
    assert (first.status_code, first.json()) == (200, {"status": "stored", "rows": 192})
    again = await upload(dcu, "b1", table)
    assert (again.status_code, again.json()) == (200, {"status": "repeated", "rows": 192})
    assert stored(running, "M1") == 96
    assert running.services.registry.meter("M1").dcu == "D1"


async def test_the_same_id_with_another_content_is_a_conflict(
    running: Running, dcu: httpx.AsyncClient
) -> None:
    await upload(dcu, "b1", day(["M1"]))
    other = await upload(dcu, "b1", day(["M1"], value=7))
    assert (other.status_code, code(other)) == (409, "upload.conflict")
    assert stored(running, "M1") == 96


async def test_ids_of_two_dcus_are_not_the_same(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with dcu_client(running, tmp_path, "D2") as second:
        assert (await upload(dcu, "b1", day(["M1"]))).json()["status"] == "stored"
        assert (await upload(second, "b1", day(["M2"]))).json()["status"] == "stored"


async def test_fifty_uploads_at_once_share_transactions(
    running: Running, dcu: httpx.AsyncClient
) -> None:
    """Each has its own answer, a bad one harms none, and far fewer commits than uploads are made."""
    bodies = [to_ipc(day([f"M{n}"])) for n in range(50)]
    bad = b"not arrow"
    answers = await asyncio.gather(
        *(upload(dcu, f"b{n}", body) for n, body in enumerate(bodies)),
        upload(dcu, "bad", bad),
        upload(dcu, "b0", bodies[0]),
    )
    assert [a.status_code for a in answers[:50]] == [200] * 50
    assert (answers[50].status_code, code(answers[50])) == (400, "upload.stream")
    statuses = {answers[0].json()["status"], answers[51].json()["status"]}
    assert "stored" in statuses
    counts = running.services.statistics.overview().store
    assert (counts.readings, counts.batches, counts.meters) == (50 * 96, 50, 50)
    text = running.services.metrics.exposition().decode()
    commits = next(
        float(line.split()[1])
        for line in text.splitlines()
        if line.startswith("openami_commit_batches_count")
    )
    assert commits < 51


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"Content-Type": "text/csv"}, 415, "request.type"),
        ({"OpenAMI-Kind": "gossip"}, 400, "request.kind"),
        ({"Content-Digest": "sha-512=:AAAA:"}, 400, "upload.digest"),
        ({"Content-Digest": "sha-256=:????:"}, 400, "upload.digest"),
        ({"Content-Digest": "sha-256=:AAAA:"}, 400, "upload.digest"),
        ({"Content-Digest": f"sha-256=:{'A' * 43}=:"}, 400, "upload.digest"),
        ({"OpenAMI-Kind": "events"}, 422, "upload.schema"),
    ],
)
async def test_headers_that_are_not_what_they_should_be(
    dcu: httpx.AsyncClient, change: dict[str, str], status: int, expected: str
) -> None:
    body = to_ipc(day(["M1"]))
    answer = await dcu.post(
        "/device/v1/batches/b1", content=body, headers=batch_headers(body) | change
    )
    assert (answer.status_code, code(answer)) == (status, expected)


@pytest.mark.fums("SEC-6")
async def test_a_body_that_changed_on_the_way_is_refused(dcu: httpx.AsyncClient) -> None:
    body = to_ipc(day(["M1"]))
    changed = body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]
    answer = await dcu.post("/device/v1/batches/b1", content=changed, headers=batch_headers(body))
    assert (answer.status_code, code(answer)) == (400, "upload.digest")


async def test_every_truncation_is_refused_for_good(dcu: httpx.AsyncClient) -> None:
    body = to_ipc(day(["M1"], intervals=4))
    for size in range(0, len(body) - 8, 97):
        answer = await upload(dcu, f"cut{size}", body[:size])
        assert answer.status_code in {400, 413, 422}, size
        assert code(answer).startswith("upload."), size


async def test_a_batch_id_is_bounded(dcu: httpx.AsyncClient) -> None:
    for name in ("a" * 65, "a%20b", "ü"):
        answer = await upload(dcu, name, day(["M1"]))
        assert (answer.status_code, code(answer)) == (400, "request.batch")


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, batch_octets=1024) as running,
        dcu_client(running, tmp_path, "D1") as dcu,
    ):
        body = bytes(200_000)
        declared = await upload(dcu, "b1", body)
        assert (declared.status_code, code(declared)) == (413, "request.too-large")

        async def pieces() -> object:
            for _ in range(200):
                yield bytes(1000)

        streamed = await dcu.post(
            "/device/v1/batches/b1",
            content=pieces(),  # type: ignore[arg-type] # an async generator of bytes
            headers=batch_headers(body),
        )
        assert (streamed.status_code, code(streamed)) == (413, "request.too-large")
        small = await upload(dcu, "b2", day(["M1"], intervals=1))
        assert small.status_code in {200, 413}


async def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, queue_batches=1, retry_after_s=7) as running,
        dcu_client(running, tmp_path, "D1") as dcu,
    ):
        with running.services.ingest.room(10):
            full = await upload(dcu, "b1", day(["M1"]))
        assert (full.status_code, code(full)) == (503, "busy.queue")
        assert full.headers["Retry-After"] == "7"
        assert (await upload(dcu, "b1", day(["M1"]))).json()["status"] == "stored"


async def test_events_are_stored_once(running: Running, dcu: httpx.AsyncClient) -> None:
    for batch in ("e1", "e2"):
        answer = await upload(dcu, batch, some_events("M1"), "events")
        assert answer.json()["status"] == "stored"
    events = running.services.readings.events(meter="M1").items
    assert [event.code for event in events] == [3, 2, 1]


@pytest.mark.fums("SEC-2")
async def test_another_dcus_meter_is_refused(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    await upload(dcu, "b1", day(["M1"]))
    async with dcu_client(running, tmp_path, "D2") as thief:
        answer = await upload(thief, "b1", day(["M1", "M2"], value=9))
        assert (answer.status_code, code(answer)) == (403, "fleet.not-yours")
        told = await thief.post("/device/v1/report", json=report(meter_status("M1")))
        assert told.json()["not_yours"] == ["M1"]
        assert (await thief.get("/device/v1/cursors")).json() == {"meters": {}}
    assert running.services.registry.meter("M1").dcu == "D1"
    assert stored(running, "M1") == 96


async def test_a_meter_can_be_given_to_another_dcu(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    await upload(dcu, "b1", day(["M1"]))
    async with dcu_client(running, tmp_path, "D2") as second:
        running.services.registry.assign("M1", "D2", who="admin", why="moved house")
        assert (await upload(second, "b1", day(["M1"]))).status_code == 200
    refused = await upload(dcu, "b2", day(["M1"]))
    assert code(refused) == "fleet.not-yours"
    audit = running.services.registry.audit(subject="meter-M1").items
    assert ("device.dcu D1 to D2", "moved house") in {(e.what, e.why) for e in audit}


async def test_a_report_fills_the_registry(running: Running, dcu: httpx.AsyncClient) -> None:
    meters = [
        meter_status("M1", system_title="4F414D0000000001"),
        meter_status("M2", state="unreachable", error={"code": "link.timeout", "message": "none"}),
    ]
    answer = await dcu.post("/device/v1/report", json=report(*meters))
    assert answer.json() == {"time": isoformat(running.services.clock.now()), "not_yours": []}
    first = running.services.registry.meter("M1")
    assert (first.state, first.contact, first.dcu) == (
        LifecycleState.REGISTERED,
        Contact.OK,
        "D1",
    )
    assert (str(first.system_title), first.clock_offset) == ("4F414D0000000001", 0.5)
    second = running.services.registry.meter("M2")
    assert second.fault is not None
    assert second.fault.code == "link.timeout"
    overview = running.services.statistics.dcu(running.services.registry.dcu("D1"))
    assert (overview.meters.total, overview.meters.by_contact["ok"]) == (2, 1)
    assert overview.figures is not None
    assert (overview.figures.spool_batches, overview.figures.frames) == (2, 1000)
    assert overview.device.state is LifecycleState.IN_SERVICE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"meters": [{"serial": "../x", "state": "ok"}]}',
        b'{"meters": [{"serial": "M1", "state": "excellent"}]}',
        b'{"meters": [{"serial": "M1", "state": "ok", "clock_offset_s": NaN}]}',
        b'{"meters": [{"serial": "M1", "state": "ok", "system_title": "00"}]}',
        b'{"meters": [{"serial": "M1", "state": "ok", "last_read": "yesterday"}]}',
        b'{"dcu": {"uptime_s": -1}}',
        b'{"meters": ' + b"[" * 5000,
    ],
)
async def test_a_report_that_does_not_fit_is_refused(dcu: httpx.AsyncClient, body: bytes) -> None:
    answer = await dcu.post("/device/v1/report", content=body)
    assert (answer.status_code, code(answer)) == (422, "request.invalid")


async def test_cursors_say_what_is_durable(dcu: httpx.AsyncClient) -> None:
    await upload(dcu, "b1", day(["M1"], intervals=4))
    answer = await dcu.get("/device/v1/cursors")
    expected = isoformat(START + 4 * PERIOD)
    assert answer.json() == {"meters": {"M1": {LOAD_PROFILE: expected}}}


@pytest.mark.fums("SEC-2")
async def test_credentials_go_to_the_meters_own_dcu(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    meter = shipped(1)
    running.services.shipments.take(shipment(meter, shipped(2)), who="admin")
    path = f"/device/v1/meters/{meter.system_title}/credentials"
    answer = await dcu.get(path)
    assert answer.json() == {
        "client": 1,
        "mechanism": "hls5-gmac",
        "guek": meter.keys["guek"].hex(),
        "gak": meter.keys["gak"].hex(),
        "hls": meter.keys["hls"].hex(),
    }
    assert answer.headers["Cache-Control"] == "no-store"
    line = {"gbek": b"L" * 16, "gbak": b"A" * 16}
    hearing = replace(shipped(3), keys={**shipped(3).keys, **line})
    running.services.shipments.take(shipment(hearing), who="admin")
    told = (await dcu.get(f"/device/v1/meters/{hearing.system_title}/credentials")).json()
    keys = {"gbek": line["gbek"].hex(), "gak": line["gbak"].hex()}
    assert told["broadcast"] == {"client": 102, **keys}
    assert running.services.registry.meter("M1").dcu == "D1"
    async with dcu_client(running, tmp_path, "D2") as thief:
        other = await thief.get(path)
        unknown = await thief.get("/device/v1/meters/4F414D00000000FF/credentials")
        assert (other.status_code, code(other)) == (404, "credentials.unknown")
        assert (unknown.status_code, code(unknown)) == (404, "credentials.unknown")
        bad = await thief.get("/device/v1/meters/xyz/credentials")
        assert (bad.status_code, code(bad)) == (400, "request.title")
    given = [e.who for e in running.services.registry.audit(subject="meter-M1").items]
    assert "dcu D1" in given
    assert "dcu D2" not in given


async def test_a_meter_with_keys_goes_into_service_when_it_is_read(
    running: Running, dcu: httpx.AsyncClient
) -> None:
    running.services.shipments.take(shipment(shipped(1)), who="admin")
    assert running.services.registry.meter("M1").state is LifecycleState.MANUFACTURED
    await dcu.post("/device/v1/report", json=report(meter_status("M1", state="discovered")))
    assert running.services.registry.meter("M1").state is LifecycleState.MANUFACTURED
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    assert running.services.registry.meter("M1").state is LifecycleState.IN_SERVICE


async def test_only_dcus_of_the_registry_that_are_not_shut_out(
    running: Running, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    unknown = running.services.pki.enroll("D9", now=running.services.wall.now())
    async with client_with(running, tmp_path, unknown.certificate, unknown.key) as stranger:
        answer = await stranger.get("/device/v1/work")
        assert (answer.status_code, code(answer)) == (403, "fleet.unknown-dcu")
    running.services.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="admin", why="stolen")
    for answer in (
        await upload(dcu, "b1", day(["M1"])),
        await dcu.get("/device/v1/cursors"),
        await dcu.post("/device/v1/report", json=report()),
    ):
        assert (answer.status_code, code(answer)) == (403, "fleet.shut-out")


@pytest.mark.fums("SEC-3", "SEC-7")
async def test_no_certificate_no_connection(running: Running) -> None:
    async with httpx.AsyncClient(
        base_url=running.device_url, verify=trust(running), trust_env=False, timeout=60
    ) as nobody:
        with pytest.raises(httpx.TransportError):
            await nobody.get("/device/v1/work")


async def test_a_certificate_of_another_authority_is_refused(
    running: Running, tmp_path: Path
) -> None:
    now = running.services.wall.now()
    other = make_root("openami devices", new_key(), serial=1, validity=lasting(30, now=now))
    forged, key = issue_by_hand(other, "D1", now=now)
    async with client_with(running, tmp_path, forged, key) as forger:
        with pytest.raises(httpx.TransportError):
            await forger.get("/device/v1/work")


async def test_a_servers_certificate_is_no_dcus(running: Running, tmp_path: Path) -> None:
    server = running.home.server.read_bytes()
    async with client_with(running, tmp_path, server, b"") as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/device/v1/work")


@pytest.mark.parametrize("name", ["../D1", "D1 or 1=1", " "])
async def test_a_certificate_without_a_dcus_name_is_refused(
    running: Running, tmp_path: Path, name: str
) -> None:
    devices = authorities_of(running.home).devices
    chain, key = issue_by_hand(devices, name, now=running.services.wall.now())
    async with client_with(running, tmp_path, chain, key) as client:
        answer = await client.get("/device/v1/work")
        assert (answer.status_code, code(answer)) == (403, "security.certificate")


async def test_the_head_end_tells_its_own_time(tmp_path: Path) -> None:
    clock = ManualClock(START + 0.9)
    async with (
        running_headend(tmp_path, clock=clock) as running,
        dcu_client(running, tmp_path, "D1") as dcu,
    ):
        answer = await dcu.post("/device/v1/report", json=report())
        assert answer.json()["time"] == isoformat(START)


async def test_unknown_paths_and_methods(dcu: httpx.AsyncClient) -> None:
    path = await dcu.get("/device/v2/work")
    assert (path.status_code, code(path)) == (404, "request.unknown-path")
    method = await dcu.get("/device/v1/report")
    assert (method.status_code, code(method)) == (405, "request.method")


async def test_the_operators_pages_are_not_on_the_device_listener(dcu: httpx.AsyncClient) -> None:
    assert (await dcu.get("/api/v1/overview")).status_code == 404
    assert (await dcu.get("/health")).status_code == 404
