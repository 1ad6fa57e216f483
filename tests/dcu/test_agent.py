"""The whole DCU between real meters on a real line and a head-end over real TLS."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_chain import HOUR, START, Chain, chain, identity
from tests.support.dcu_proxy import Proxy
from tests.support.lines import swept
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.dcu.agent import Dcu, title_of
from openami.dcu.known import forget_meter
from openami.dcu.visit import Visit
from openami.omadm.objects.ami import MeterEntry
from openami.store.spool import Spool
from openami.transport.medium import LineProfile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dcu_headend import Certificates

ALL = (0, 1, 2)


async def test_a_street_is_found_read_and_uploaded_to_the_watt_hour(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        for number in ALL:
            assert len(made.stored(number)["1.0.1.29.0.255"]) == 24
        for _ in range(3):
            made.advance(HOUR)
            await made.until(lambda: made.complete(*ALL))
        assert len(made.stored(0)["1.0.1.29.0.255"]) == 36
        await made.stop_dcu()
        assert set(made.states()) == {identity(n).serial for n in ALL}
        assert set(made.states().values()) == {"ok"}
        told = made.told(1)
        assert told["system_title"] == str(identity(1).system_title)
        assert (told["address"], told["model"], told["error"]) == (17, "OA1-100", None)


async def test_midnights_and_months_are_read_when_they_come(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, numbers=(0,), history_s=12 * 24 * HOUR) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(0))
        days, months = (made.stored(0, profile) for profile in ("1.0.99.2.0.255", "0.0.98.1.0.255"))
        assert len(days["1.0.1.8.0.255"]) == 12
        assert len(months["1.0.1.8.0.255"]) == 1
        assert "1.0.1.6.0.255" in months
        made.advance(24 * HOUR)
        await made.until(
            lambda: (
                len(made.stored(0, "1.0.99.2.0.255")["1.0.1.8.0.255"]) == 13 and made.complete(0)
            )
        )


async def test_a_long_past_is_read_in_turns_and_the_profile_never_twice(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = {"visit_rows": 60, "window_days": 0.5}
    async with chain(
        tmp_path, certificates, numbers=(0, 1), history_s=3 * 24 * HOUR, options=options
    ) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: made.complete(0, 1))
        await made.stop_dcu()
        before = dcu.modem.figures.frames
        assert before > 0
        dcu = await made.start_dcu()
        made.advance(HOUR)
        await made.until(lambda: made.complete(0, 1))
        assert dcu.modem.figures.frames < before / 4


async def test_a_head_end_that_is_away_for_hours(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        await made.headend.stop()
        for _ in range(5):
            made.advance(HOUR)
            await made.until(made.caught_up)
            await made.until(lambda: dcu.gatherer.ripe_at is None)
        assert not made.complete(*ALL)
        assert dcu.spool.size.batches >= 5
        await made.headend.start()
        await made.until(lambda: made.complete(*ALL))


async def test_answers_lost_after_the_commit(tmp_path: Path, certificates: Certificates) -> None:
    async with chain(tmp_path, certificates) as made:
        made.headend.lose_answers = 3
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        await made.stop_dcu()
        assert made.headend.repeated == 3
        assert made.complete(*ALL)


@pytest.mark.parametrize("limit", [30, 200, 700, 1500, 4000, 9000])
async def test_a_line_cut_in_the_middle_of_a_transfer(
    tmp_path: Path, certificates: Certificates, limit: int
) -> None:
    async with chain(tmp_path, certificates, history_s=24 * HOUR) as made:
        proxy = Proxy(made.modem_port)
        await proxy.start()
        proxy.limit = limit
        dcu = await made.start_dcu(modem=f"hdlc+tcp://127.0.0.1:{proxy.port}")
        await made.until(lambda: made.complete(*ALL))
        assert proxy.cuts == 1
        assert dcu.modem.figures.opened == 2
        assert "unreachable" not in made.states().values()
        await made.kill_dcu()
        await proxy.stop()


async def test_a_modem_that_is_away(tmp_path: Path, certificates: Certificates) -> None:
    async with chain(tmp_path, certificates) as made:
        proxy = Proxy(made.modem_port)
        await proxy.start()
        dcu = await made.start_dcu(modem=f"hdlc+tcp://127.0.0.1:{proxy.port}")
        await made.until(lambda: made.complete(*ALL))
        proxy.refusing = True
        proxy.cut()
        made.advance(HOUR)
        await made.until(lambda: not made.headend.reports[-1]["dcu"]["line"]["up"])
        assert dcu.collector.paused is False
        proxy.refusing = False
        await made.until(lambda: made.complete(*ALL))
        await made.kill_dcu()
        await proxy.stop()


async def test_a_line_that_looks_alive_is_opened_anew(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = {"response_timeout_s": 0.2, "retries": 0}
    async with chain(tmp_path, certificates, options=options) as made:
        proxy = Proxy(made.modem_port)
        await proxy.start()
        dcu = await made.start_dcu(modem=f"hdlc+tcp://127.0.0.1:{proxy.port}")
        await made.until(lambda: made.complete(*ALL))
        proxy.mute()
        made.advance(HOUR)
        await made.until(lambda: made.complete(*ALL))
        assert dcu.modem.figures.opened == 2
        await made.kill_dcu()
        await proxy.stop()


async def test_a_visit_that_takes_too_long_ends(tmp_path: Path, certificates: Certificates) -> None:
    medium = LineProfile(bit_rate=9600)
    options = {"visit_timeout_s": 0.4, "response_timeout_s": 5}
    async with chain(tmp_path, certificates, numbers=(0,), medium=medium, options=options) as made:
        made.headend.cursors = {}
        await made.start_dcu()
        await made.until(
            lambda: (
                bool(made.states())
                and (made.told(0)["error"] or {}).get("code") == "meter.too-slow"
            )
        )


async def test_without_a_head_end_a_new_meter_waits_only_so_long(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, numbers=(0,)) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(0))
        await made.stop_dcu()
        spool = Spool(tmp_path / "dcu" / "spool.sqlite")
        forget_meter(spool, identity(0).serial)
        waiting = spool.size.rows
        spool.close()
        await made.headend.stop()
        made.advance(HOUR)
        dcu = await made.start_dcu(introduction_s=0.2)
        await made.until(lambda: dcu.spool.size.rows > waiting)
        await made.headend.start()
        await made.until(lambda: made.complete(0))


async def test_a_job_that_waits_too_long_for_the_line_fails(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.dcu.jobs.MAX_AGE_S", 0.2)
    async with chain(tmp_path, certificates) as made:
        proxy = Proxy(made.modem_port)
        await proxy.start()
        await made.start_dcu(modem=f"hdlc+tcp://127.0.0.1:{proxy.port}")
        await made.until(lambda: made.complete(*ALL))
        proxy.refusing = True
        proxy.cut()
        job = {"id": "j", "kind": "read", "meter": identity(1).serial, "attributes": []}
        made.headend.jobs = [job]
        await made.until(lambda: "j" in final(made))
        assert final(made)["j"]["error"]["code"] == "line.down"
        await made.kill_dcu()
        await proxy.stop()


async def test_a_bad_line(tmp_path: Path, certificates: Certificates) -> None:
    medium = LineProfile(loss=0.03, corruption=0.02, duplication=0.04, bit_rate=400_000)
    options = {"response_timeout_s": 0.3, "retries": 6, "probe_timeout_s": 0.3}
    async with chain(tmp_path, certificates, medium=medium, options=options) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        made.advance(HOUR)
        await made.until(lambda: made.complete(*ALL))
        assert made.street is not None
        counters = made.street.line.medium.counters
        assert counters.lost
        assert counters.corrupted
        assert counters.duplicated


async def test_what_a_meter_captures_while_it_is_visited_is_due_at_once(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chain(tmp_path, certificates, numbers=(0,)) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(0))
        run = Visit.run

        async def until_an_hour_has_passed(visit: Visit) -> None:
            await run(visit)
            monkeypatch.setattr(Visit, "run", run)
            made.advance(HOUR)

        monkeypatch.setattr(Visit, "run", until_an_hour_has_passed)
        made.advance(HOUR)
        await made.until(lambda: Visit.run is run)
        await made.until(lambda: made.complete(0))


def faulty(made: Chain, serial: str) -> bool:
    """Tell whether something is wrong with a meter."""
    station = None if made.dcu is None else made.dcu.roster.get(serial)
    return station is not None and station.fault is not None


async def test_a_meter_with_another_system_title_is_not_read(
    tmp_path: Path, certificates: Certificates
) -> None:
    serial = identity(1).serial
    titles = {0: str(identity(0).system_title).lower(), 1: str(identity(2).system_title)}
    meters = tuple(MeterEntry(identity(number).serial, title) for number, title in titles.items())
    async with chain(tmp_path, certificates, numbers=(0, 1), options={"meters": meters}) as made:
        for _ in range(2):
            dcu = await made.start_dcu()
            await made.until(lambda: made.complete(0))
            await made.until(lambda: faulty(made, serial))
            told = {meter["serial"]: meter["error"] for meter in dcu.report()["meters"]}
            assert told[serial]["code"] == "meter.title"
            assert titles[1] in told[serial]["message"]
            assert told[identity(0).serial] is None
            assert not made.stored(1)
            await made.stop_dcu()


async def test_a_full_spool_stops_the_reading_and_loses_nothing(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = {"spool_octets": 2**16, "batch_age_s": 0}
    async with chain(tmp_path, certificates, options=options, history_s=0) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: len(made.states()) == 3 and not dcu.roster.new)
        made.headend.fault = only_reports
        hours = 0
        while not dcu.collector.paused:
            made.advance(3 * HOUR)
            hours += 3
            await made.until(lambda: dcu.collector.paused or made.caught_up())
            assert hours < 1000
        await made.until(lambda: made.headend.reports[-1]["dcu"]["spool_full"])
        assert dcu.spool.size.octets <= 2**16
        visited = dcu.modem.figures.sessions
        made.advance(24 * HOUR)
        await asyncio.sleep(0.2)
        assert dcu.modem.figures.sessions == visited
        made.headend.fault = None
        await made.until(lambda: made.complete(*ALL))
        assert dcu.collector.paused is False


@pytest.mark.skipif("tmpfs" not in kinds(), reason="only root may mount a small disk")
async def test_a_full_disk_stops_the_reading_and_loses_nothing(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = {"batch_age_s": 0, "state": tmp_path / "small" / "dcu"}
    with small_disk("tmpfs", tmp_path / "small", 8 * 2**20):
        async with chain(tmp_path, certificates, options=options) as made:
            dcu = await made.start_dcu()
            await made.until(lambda: made.complete(*ALL))
            made.headend.fault = only_reports
            filler = tmp_path / "small" / "filler"
            fill_up(filler)
            hours = 0
            while not dcu.collector.paused:
                made.advance(HOUR)
                hours += 1
                await made.until(lambda: dcu.collector.paused or made.caught_up())
                assert hours < 200
            await made.until(lambda: made.headend.reports[-1]["dcu"]["spool_full"])
            assert "unreachable" not in made.states().values()
            made.headend.fault = None
            filler.unlink()
            await made.until(lambda: made.complete(*ALL))
            await made.until(lambda: not made.headend.reports[-1]["dcu"]["spool_full"])


def fill_up(file: Path) -> None:
    """Leave no room on a disk."""
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(4096))


def only_reports(request: Any) -> Any:
    from starlette.responses import Response

    return Response(status_code=503) if "batches" in request.url.path else None


async def test_a_meter_without_credentials_is_refused_until_there_are_some(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        keys = made.headend.credentials.pop(str(identity(1).system_title))
        await made.start_dcu()
        await made.until(lambda: made.complete(0, 2))
        await made.until(lambda: made.states().get(identity(1).serial) == "refused")
        assert made.told(1)["error"]["code"] == "meter.no-credentials"
        made.headend.credentials[str(identity(1).system_title)] = keys
        await made.until(lambda: made.complete(1))
        await made.until(lambda: made.states()[identity(1).serial] == "ok")


async def test_a_restart_before_a_meter_was_introduced_is_no_refusal(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, numbers=(0,)) as made:
        keys = made.headend.credentials.pop(str(identity(0).system_title))
        dcu = await made.start_dcu(introduction_s=3600.0)
        await made.until(lambda: dcu.roster.get(identity(0).serial) is not None)
        await made.kill_dcu()
        made.headend.credentials[str(identity(0).system_title)] = keys
        made.headend.reports.clear()
        await made.start_dcu(introduction_s=3600.0)
        await made.until(lambda: made.complete(0))
        said = {meter["state"] for report in made.headend.reports for meter in report["meters"]}
        assert "refused" not in said


async def test_a_wrong_key_is_a_clear_state_and_a_new_one_is_asked_for(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        right = dict(made.headend.credentials[str(identity(1).system_title)])
        made.headend.credentials[str(identity(1).system_title)]["guek"] = "55" * 16
        await made.start_dcu()
        await made.until(lambda: made.states().get(identity(1).serial) == "refused")
        code = made.told(1)["error"]["code"]
        assert code.startswith(("security.", "association.", "dlms.exception"))
        await made.until(lambda: made.complete(0, 2))
        made.headend.credentials[str(identity(1).system_title)] = right
        await made.until(lambda: made.complete(1))


async def test_keys_rest_sealed(tmp_path: Path, certificates: Certificates) -> None:
    async with chain(tmp_path, certificates, numbers=(0,)) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(0))
        await made.stop_dcu()
        keys = identity(0).keys
        for file in (tmp_path / "dcu").rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                for key in (keys.guek, keys.gak):
                    assert key not in content
                    assert key.hex().encode() not in content.lower()
        asked = made.counted()[f"GET /device/v1/meters/{identity(0).system_title}/credentials"]
        await made.start_dcu()
        made.advance(HOUR)
        await made.until(lambda: made.complete(0))
        again = made.counted()[f"GET /device/v1/meters/{identity(0).system_title}/credentials"]
        assert again == asked


async def test_a_dcu_that_lost_its_state_takes_up_where_the_head_end_is(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        await made.stop_dcu()
        made.headend.cursors = stored_cursors(made)
        (tmp_path / "dcu").rename(tmp_path / "lost")
        made.advance(2 * HOUR)
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))


def stored_cursors(made: Chain) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in made.headend.rows():
        profiles = found.setdefault(row["meter"], {})
        profiles[row["profile"]] = max(
            profiles.get(row["profile"], ""), row["time"].isoformat().replace("+00:00", "Z")
        )
    return found


async def test_another_meter_at_the_same_address(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        made.deliver(identity(7))
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        before = made.stored(1)
        await made.stop_street()
        await made.start_street(0, 7, 2, n7=17)
        made.advance(HOUR)
        await made.until(lambda: made.complete(0, 7, 2))
        await made.until(lambda: set(made.states()) == {identity(n).serial for n in (0, 7, 2)})
        assert made.stored(1) == before


async def test_a_meter_that_moved_is_found_again_and_goes_on(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = {"response_timeout_s": 0.3, "retries": 1}
    async with chain(tmp_path, certificates, options=options) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        await made.stop_street()
        made.clock.advance(HOUR)
        await made.start_street(0, 1, 2)
        line = made.street.line if made.street else None
        assert line is not None
        station = line._stations.pop(17)
        station.link.station = 20
        line._stations[20] = station
        await made.until(lambda: made.told(1).get("address") == 20)
        await made.until(lambda: made.complete(*ALL))


async def test_a_meter_that_is_gone_is_unreachable_and_tried_for_ever(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = {"response_timeout_s": 0.1, "retries": 1}
    async with chain(tmp_path, certificates, options=options) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        await made.stop_street()
        await made.start_street(0, 2)
        made.advance(HOUR)
        await made.until(lambda: made.states()[identity(1).serial] == "unreachable")
        assert made.told(1)["error"]["code"] == "transport.timeout"
        assert made.complete(0, 2)
        await made.stop_street()
        await made.start_street()
        made.advance(HOUR)
        await made.until(lambda: made.complete(*ALL))


async def test_clocks_that_drifted_are_set_and_strange_ones_reported(
    tmp_path: Path, certificates: Certificates
) -> None:
    offsets: dict[int, dict[str, Any]] = {0: {"offset_s": 100.0}, 1: {"offset_s": -8000.0}, 2: {}}
    async with chain(tmp_path, certificates, meter_options=offsets) as made:
        await made.start_dcu()
        await made.until(lambda: len(made.states()) == 3)
        for _ in range(6):
            made.advance(HOUR / 4)
            await asyncio.sleep(0.3)
        made.advance(HOUR)
        await made.until(lambda: abs(made.told(0)["clock_offset_s"]) < 2)
        await made.until(lambda: made.told(1)["error"] is not None)
        assert made.told(1)["error"]["code"] == "meter.clock"
        assert made.told(1)["clock_offset_s"] == pytest.approx(-8000, abs=2)
        await made.until(lambda: made.complete(*ALL))


async def test_clocks_are_left_alone_where_the_operator_says_so(
    tmp_path: Path, certificates: Certificates
) -> None:
    wrong = {0: {"offset_s": 100.0}}
    async with chain(
        tmp_path, certificates, numbers=(0,), meter_options=wrong, options={"set_clocks": False}
    ) as made:
        await made.start_dcu()
        for _ in range(3):
            made.advance(HOUR)
            await made.until(lambda: made.complete(0))
        assert made.meter(0).engine.seconds == pytest.approx(made.clock.now() + 100, abs=2)


async def test_a_clock_that_was_wrong_for_an_hour_and_set_back(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, options={"set_clocks": False}) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        made.meter(1).engine.set_clock(made.clock.now() + 3 * HOUR)
        for _ in range(4):
            made.advance(HOUR / 4)
            await made.until(lambda: made.complete(*ALL))
        made.meter(1).engine.set_clock(made.clock.now())
        for _ in range(16):
            made.advance(HOUR / 4)
            await made.until(lambda: made.complete(*ALL))


async def test_on_demand_reads(tmp_path: Path, certificates: Certificates) -> None:
    async with chain(tmp_path, certificates) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        wanted = [
            {"class_id": 3, "obis": "1.0.1.8.0.255", "attribute": 2},
            {"class_id": 8, "obis": "0.0.1.0.0.255", "attribute": 2},
            {"class_id": 7, "obis": "1.0.99.1.0.255", "attribute": 2},
            {"class_id": 3, "obis": "9.9.9.9.9.255", "attribute": 2},
            *[{"class_id": 3, "obis": "1.0.2.8.0.255", "attribute": 2}] * 20,
        ]
        made.headend.jobs = [
            {"id": "good", "kind": "read", "meter": identity(1).serial, "attributes": wanted},
            {"id": "odd", "kind": "read", "meter": identity(1).serial,
             "attributes": [{"class_id": 3, "obis": "nonsense", "attribute": 2}]},
            {"id": "who", "kind": "read", "meter": "nobody", "attributes": wanted},
            {"id": "what", "kind": "dance", "meter": identity(1).serial, "attributes": []},
        ]  # fmt: skip
        await made.until(lambda: len(final(made)) == 4)
        done = final(made)
        assert done["who"]["error"]["code"] == "meter.unknown"
        assert done["what"]["error"]["code"] == "job.kind"
        assert done["odd"]["results"][0]["error"] == "request.obis"
        assert done["good"]["state"] == "done"
        register, clock, profile, missing, *rest = done["good"]["results"]
        assert register == {
            **wanted[0], "value": made.meter(1).engine.register(channel("1.0.1.8.0.255")),
            "scaler": 0, "unit": 30,
        }  # fmt: skip
        assert isinstance(clock["value"], str)
        assert len(profile["value"]) == 24
        assert missing["error"] == "dlms.object-undefined"
        assert len(rest) == 20
        progress = [b["progress"] for job, b in made.headend.updates if job == "good"]
        assert progress == sorted(progress)


def final(made: Chain) -> dict[str, Any]:
    return {job: body for job, body in made.headend.updates if body["state"] != "running"}


def channel(name: str) -> Any:
    from openami.metrology.energy import Channel

    return Channel(Obis.parse(name).groups[2])


async def test_a_job_for_a_silent_meter_fails(tmp_path: Path, certificates: Certificates) -> None:
    options = {"response_timeout_s": 0.1, "retries": 1}
    async with chain(tmp_path, certificates, options=options) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))
        await made.stop_street()
        await made.start_street(0, 2)
        job = {"id": "j", "kind": "read", "meter": identity(1).serial, "attributes": []}
        made.headend.jobs = [job]
        await made.until(lambda: "j" in final(made))
        assert final(made)["j"]["error"]["code"] == "transport.timeout"


async def test_a_dcu_that_is_killed_anywhere_goes_on(
    tmp_path: Path, certificates: Certificates
) -> None:
    chance = random.Random(7)
    async with chain(tmp_path, certificates) as made:
        for _ in range(8):
            await made.start_dcu()
            made.advance(HOUR / 2)
            await asyncio.sleep(chance.random() * 0.8)
            await made.kill_dcu()
        await made.start_dcu()
        await made.until(lambda: made.complete(*ALL))


async def test_everything_goes_wrong_at_once(tmp_path: Path, certificates: Certificates) -> None:
    chance = random.Random(11)
    async with chain(tmp_path, certificates) as made:
        proxy = Proxy(made.modem_port)
        await proxy.start()
        modem = f"hdlc+tcp://127.0.0.1:{proxy.port}"
        await made.start_dcu(modem=modem)
        for _ in range(15):
            made.advance(HOUR * chance.random())
            match chance.randrange(6):
                case 0:
                    await made.kill_dcu()
                    await made.start_dcu(modem=modem)
                case 1:
                    proxy.cut()
                case 2:
                    proxy.limit = chance.randrange(4000)
                case 3:
                    made.headend.lose_answers += 1
                case 4:
                    await made.headend.stop()
                    await asyncio.sleep(0.1)
                    await made.headend.start()
                case _:
                    await made.stop_dcu()
                    await made.start_dcu(modem=modem)
            await asyncio.sleep(chance.random() * 0.3)
        proxy.limit = None
        await made.until(lambda: made.complete(*ALL))
        await made.kill_dcu()
        await proxy.stop()


async def test_a_folder_that_can_not_be_used(tmp_path: Path, certificates: Certificates) -> None:
    made = Chain(tmp_path, certificates)
    made.headend.port = made.modem_port = 1
    (tmp_path / "file").write_text("not a folder")
    settings = made.settings(state=tmp_path / "file")
    with pytest.raises(ConfigError):
        await Dcu(settings, made.clock, connect=certificates.client).__aenter__()


def test_a_system_title_is_set_or_follows_from_the_id(
    tmp_path: Path, certificates: Certificates
) -> None:
    made = Chain(tmp_path, certificates)
    made.headend.port = made.modem_port = 1
    one, other = (title_of(made.settings(id=name)) for name in ("a", "b"))
    assert one != other
    assert one.flag == "OAM"
    assert str(title_of(made.settings(system_title="4f414d0000000001"))) == "4F414D0000000001"
    assert START % 900 == 0


async def test_only_the_meters_that_belong_here_are_read(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        mine, off = MeterEntry(identity(1).serial), MeterEntry(identity(2).serial, enabled=False)
        dcu = await made.start_dcu(meters=(mine, off))
        await made.until(lambda: made.complete(1) and swept(dcu.line))
        assert dcu.line.meters() == (identity(1).serial,)
        await made.stop_dcu()
        await made.start_dcu(meters=(mine, MeterEntry(off.serial, address=18)), addresses="")
        await made.until(lambda: made.complete(1, 2))
        assert not made.stored(0)


async def test_without_a_schedule_meters_are_read_when_they_shall_be(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        dcu = await made.start_dcu(collect=False)
        await made.until(lambda: len(dcu.line.meters()) == 3 and not dcu.roster.new)
        assert not made.headend.rows()
        dcu.collect()
        await made.until(lambda: made.complete(*ALL))
        reports = len(made.headend.reports)
        dcu.tell()
        await made.until(lambda: len(made.headend.reports) > reports)
