"""``openami campaign`` as operators type it."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import PASSWORD, START
from tests.support.planned import offer, street, tell

from openami.cli import api
from openami.cli.campaign_options import read_spec
from openami.core.errors import ConfigError, TransportError
from openami.fleet.operators import Role
from openami.transport.http import HttpAnswer, HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import httpx
    from tests.cli.conftest import RunMain

    from openami.headend.server import Running

DESCRIBED = (
    "--release", "1", "--canary", "1%", "--groups", "rest", "--error", "50", "--success", "50",
)  # fmt: skip
NOTHING: dict[str, Any] = {
    "file": None, "name": None, "release": None, "region": None, "dcu": None, "model": None,
    "search": None,
    "canary": None, "groups": "rest", "success": None, "error": None, "soak": None, "windows": (),
    "download_windows": (), "zone": None, "download_from": None, "activate_from": None,
    "until": None, "rate": None, "jobs": None, "link_rate": None, "ahead": False,
    "dynamic": False,
}  # fmt: skip


@pytest.fixture
async def dcu(running: Running, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A release, and a DCU with ten meters."""
    offer(running, tmp_path)
    async with street(running, tmp_path) as client:
        yield client


@pytest.fixture
def become(
    running: Running, signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Return what signs in as another operator."""

    def as_(name: str) -> None:
        if all(one.name != name for one in running.services.operators.list().items):
            running.services.operators.add(name, PASSWORD, Role.OPERATOR, who="test")
        granted = running.services.operators.make_token(name, label="test", days=1)
        monkeypatch.setenv("OPENAMI_TOKEN", granted.secret)

    return as_


async def draft(run_main: RunMain, *more: str) -> str:
    status, lines, said = await run_main("campaign", "draft", *DESCRIBED, *more, "--json")
    assert status == 0, said
    id_: str = json.loads(lines[0])["progress"]["id"]
    return id_


async def begin(run_main: RunMain, become: Callable[[str], None], id_: str) -> None:
    """Plan, approve and start a campaign."""
    for act, who in (("plan", "anna"), ("approve", "boris"), ("start", "anna")):
        become(who)
        status, _, said = await run_main("campaign", act, id_, "--why", "so")
        assert status == 0, said


async def test_a_campaign_goes_its_way(
    running: Running, run_main: RunMain, dcu: httpx.AsyncClient, become: Callable[[str], None]
) -> None:
    assert (await run_main("campaign", "list"))[2] == "no such campaigns\n"
    status, lines, said = await run_main("campaign", "dry-run", *DESCRIBED)
    assert (status, said.split(";")[0]) == (0, "9 devices behind 1 DCU")
    assert lines[1].split()[:3] == ["canary", "1", "9"]
    assert any(line.split()[:3] == ["1", "1", "firmware.fit.same"] for line in lines)
    assert not any(line.startswith("place") for line in lines)
    lines = (await run_main("campaign", "dry-run", *DESCRIBED, "--order", "5"))[1]
    assert lines[-1].split() == ["1", "D1", "canary", "9"]
    assert (await run_main("campaign", "draft", *DESCRIBED, "--key", "k", "--model", "M"))[0] == 0
    keyed = [await draft(run_main, "--key", "k", "--model", "M") for _ in range(2)]
    assert keyed[0] == keyed[1]
    status, _, said = await run_main("campaign", "draft", *DESCRIBED, "--why", "ticket")
    assert (status, said.split(", ")[1:]) == (0, ["release 1", "is draft\n"])
    id_ = await draft(run_main, "--name", "Autumn")
    assert (await run_main("campaign", "dry-run", id_))[0] == 0
    status, _, said = await run_main("campaign", "plan", id_)
    assert said == f"campaign {id_}, Autumn, is planned: 9 waiting\n"
    status, _, said = await run_main("campaign", "approve", id_, "--why", "mine")
    assert (status, said.split(":")[0]) == (3, "error[campaign.four-eyes]")
    assert "openami login" in said
    become("boris")
    assert (await run_main("campaign", "approve", id_, "--why", "good"))[0] == 0
    assert (await run_main("campaign", "start", id_))[0] == 0
    await running.services.upgrades.rounds.round()
    failed = {
        "meter": "M03", "state": "failed", "at": START + 1.0, "attempt": 1,
        "code": "upgrade.verification", "reason": "Failed Upgrade Process: firmware.signature",
    }  # fmt: skip
    counts = {"offered": 8, "failed": 1}
    await tell(dcu, id_, 1, counts=counts, codes={"upgrade.verification": 1}, marks=[failed])
    status, lines, _ = await run_main("campaign", "list", "--state", "running")
    assert lines[1].split()[:5] == [id_, "Autumn", "meter-image/meter/1.4.0", "running", "9"]
    status, lines, _ = await run_main("campaign", "show", id_)
    assert lines[4].split() == ["state", "running"]
    assert any(line.split()[:3] == ["1", "canary", "upgrade.verification"] for line in lines)
    status, lines, _ = await run_main("campaign", "devices", id_, "--state", "failed")
    assert lines[1].split()[:4] == ["M03", "D1", "canary", "failed"]
    status, lines, _ = await run_main("campaign", "devices", id_, "--most", "2", "--json")
    assert [json.loads(line)["serial"] for line in lines] == ["M01", "M02"]
    for more in ((), ("--campaign", id_)):
        status, lines, said = await run_main("campaign", "timeline", "M03", *more)
        words = ["Failed", "Upgrade", "Process:", "firmware.signature"]
        assert lines[-1].split()[1:] == ["1", "failed", "upgrade.verification", *words]
        assert "refused the image at its verification" in said
    assert (await run_main("campaign", "timeline", "none", "--campaign", id_))[0] == 6
    status, _, said = await run_main("campaign", "pause", id_, "--why", "look at M03")
    assert "is paused (an operator has paused the campaign; resume it)" in said
    assert (await run_main("campaign", "resume", id_, "--why", "seen"))[0] == 0
    assert (await run_main("campaign", "stop", id_, "--why", "enough"))[0] == 0
    status, _, said = await run_main("campaign", "start", id_)
    assert (status, said.split(":")[0]) == (3, "error[campaign.transition]")


async def test_a_campaign_is_watched_to_its_end(
    running: Running, run_main: RunMain, dcu: httpx.AsyncClient, become: Callable[[str], None]
) -> None:
    id_ = await draft(run_main, "--name", "Autumn")
    await begin(run_main, become, id_)
    rounds = running.services.upgrades.rounds
    await rounds.round()
    watching = asyncio.create_task(run_main("campaign", "watch", id_))
    await tell(dcu, id_, 1, counts={"confirmed": 9})
    while running.services.campaigns.get(id_).run.state != "finished":
        await rounds.round()
    status, lines, said = await watching
    assert status == 0, said
    assert said.splitlines()[-1].endswith("9 confirmed")
    assert any(line.split()[:5] == ["canary", "succeeded", "1", "9", "9"] for line in lines)
    status, lines, _ = await run_main("campaign", "watch", id_, "--json")
    assert json.loads(lines[-1])["state"] == "finished"


async def test_an_emergency_is_asked_about(
    running: Running,
    run_main: RunMain,
    dcu: httpx.AsyncClient,
    become: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id_ = await draft(run_main)
    await begin(run_main, become, id_)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers
    status, _, said = await run_main("campaign", "emergency-stop", "--why", "bad")
    assert (status, "whole fleet" in said) == (130, True)
    assert running.services.campaigns.get(id_).run.state == "running"
    status, _, said = await run_main("campaign", "emergency-stop", "--why", "bad", "--yes")
    assert (status, said) == (0, "1 campaign stopped; the fleet's epoch is 1\n")
    status, _, said = await run_main("campaign", "watch", id_)
    assert (status, "error[campaign.stopped]" in said) == (3, True)


async def test_what_is_shown_is_taken_as_a_file(
    run_main: RunMain, dcu: httpx.AsyncClient, tmp_path: Path
) -> None:
    id_ = await draft(run_main, "--window", "01:00-05:00 mon-fri", "--zone", "Asia/Seoul")
    status, lines, _ = await run_main("campaign", "show", id_, "--json")
    shown = json.loads(lines[0])
    file = tmp_path / "campaign.json"
    file.write_text(lines[0])
    status, lines, _ = await run_main("campaign", "draft", "--file", str(file), "--json")
    assert json.loads(lines[0])["campaign"] == shown["campaign"]
    file.write_text(json.dumps({**shown["campaign"], "name": "Winter"}))
    status, _, said = await run_main("campaign", "revise", id_, "--file", str(file))
    assert (status, said) == (0, f"campaign {id_}, Winter, is draft\n")
    for wrong in ("{", "[]", '{"name": "x"}'):
        file.write_text(wrong)
        assert (await run_main("campaign", "draft", "--file", str(file)))[0] == 2
    assert (await run_main("campaign", "draft"))[0] == 2
    assert (await run_main("campaign", "dry-run"))[0] == 2


async def test_a_line_that_is_cut_makes_no_second_campaign(
    run_main: RunMain, dcu: httpx.AsyncClient, become: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(api, "PAUSES_S", (0.0, 0.0))
    post, lost = HttpClient.post, list[HttpAnswer]()

    async def lossy(client: HttpClient, path: str, **options: Any) -> HttpAnswer:
        answer = await post(client, path, **options)
        if not lost:
            lost.append(answer)
            raise TransportError("the server closed", code="transport.closed")
        return answer

    monkeypatch.setattr(HttpClient, "post", lossy)
    id_ = await draft(run_main)
    assert len(lost) == 1
    lines = (await run_main("campaign", "list", "--json"))[1]
    assert [json.loads(line)["id"] for line in lines] == [id_]


def test_options_describe_a_campaign() -> None:
    given = {
        **NOTHING, "release": 7, "canary": "1%", "groups": "10%, north: area Seoul + Busan, rest",
        "success": "99.5", "error": "1%", "soak": 2.0, "windows": ("22:00-04:00 sat+sun",),
        "download_from": "2026-12-01T00:00:00Z", "search": "GW100", "model": "M 1", "rate": 1000,
    }  # fmt: skip
    spec = read_spec(given)
    assert spec is not None
    thresholds = {"success": 99.5, "error": 1.0, "soak_s": 7200.0}
    assert spec["groups"] == [
        {"name": "canary", "share": 1.0, "canary": True, **thresholds},
        {"name": "10%", "share": 10.0, **thresholds},
        {"name": "north", "areas": ["Busan", "Seoul"], **thresholds},
        {"name": "rest", **thresholds},
    ]
    assert spec["activation"] == {
        "not_before": None,
        "windows": [{"opens": "22:00", "closes": "04:00", "days": ["sat", "sun"]}],
    }
    assert spec["download"] == {"not_before": "2026-12-01T00:00:00Z", "windows": []}
    assert spec["filter"] == {"region": None, "dcu": None, "search": "GW100", "model": "M 1"}
    assert spec["budget"]["rate"] == 1000
    assert spec["name"] == "release 7"
    assert read_spec(NOTHING) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": "north"},
        {"release": 7, "canary": "lots"},
        {"release": 7, "groups": "cell"},
        {"release": 7, "windows": ("at night",)},
        {"release": 7, "until": "soon"},
    ],
)
def test_options_that_describe_none(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_spec({**NOTHING, **wrong})
    assert caught.value.code == "config.campaign"
    file = tmp_path / "x.json"
    file.write_text("{}")
    with pytest.raises(ConfigError, match="a file says all"):
        read_spec({**NOTHING, **wrong, "file": file})
