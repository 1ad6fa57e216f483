"""``openami dm``, against a head-end that runs and a device that answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import PASSWORD, dcu_client
from tests.support.management import Device, give_account

from openami.cli import api
from openami.cli.api import ApiError
from openami.cli.dm import dm
from openami.core.errors import ConfigError, TransportError
from openami.fleet.operators import Role
from openami.omadm.objects.ami import AmiListener
from openami.transport.http import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    import click

    from openami.headend.server import Running
    from openami.transport.http import HttpAnswer

    Run = Callable[..., Coroutine[None, None, tuple[list[str], str]]]

WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"


@pytest.fixture
def run(runner: Callable[[click.Command], Run]) -> Run:
    """Return what runs the command, and returns what it prints and what it says."""
    return runner(dm)


@pytest.fixture
async def device(running: Running, tmp_path: Path) -> AsyncIterator[Device]:
    async with dcu_client(running, tmp_path, "D1") as http:
        yield Device("D1", give_account(running, "D1"), http)


@asynccontextmanager
async def awake(device: Device) -> AsyncIterator[None]:
    """Let a device have session after session, as if it were woken."""

    async def sessions() -> None:
        while True:
            await device.run()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(sessions())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def rows(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines[1:]]


def loads(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


async def test_nodes_are_read_and_set(run: Run, device: Device) -> None:
    async with awake(device):
        lines, said = await run("get", WINDOW, RETRIES, "--device", "D1")
        assert rows(lines) == [
            ["D1", "done", WINDOW, "200", "1"],
            ["D1", "done", RETRIES, "200", device.tree.text(RETRIES)],
        ]
        assert "for 1 device\n" in said
        assert "1 of 1: 1 done" in said
        lines, _ = await run("set", f"{WINDOW}=3", "--filter", "all", "--json")
        [job] = loads(lines)
        assert (job["counts"], job["tasks"][0]["state"]) == ({"done": 1}, "done")
    assert device.tree.text(WINDOW) == "3"
    listed, _ = await run("jobs", "--device", "D1")
    assert [row[3] for row in rows(listed)] == ["set", "get"]
    shown, _ = await run("job", job["id"])
    assert rows(shown) == [["D1", "done", WINDOW, "200"]]


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_line_that_is_cut_makes_no_second_job(
    run: Run, device: Device, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The head-end has done what was asked, and its answer is lost, once or for good."""
    monkeypatch.setattr(api, "PAUSES_S", (0.0, 0.0))
    post = HttpClient.post
    lost: list[HttpAnswer] = []

    async def lossy(client: HttpClient, path: str, **options: Any) -> HttpAnswer:
        answer = await post(client, path, **options)
        if len(lost) < times:
            lost.append(answer)
            raise TransportError("the server closed", code="transport.closed")
        return answer

    monkeypatch.setattr(HttpClient, "post", lossy)
    if times == 3:
        with pytest.raises(TransportError):
            await run("get", WINDOW, "--device", "D1", "--no-wait")
    else:
        _, said = await run("get", WINDOW, "--device", "D1", "--no-wait")
        assert said.count("asking again") == times
    assert len(loads((await run("jobs", "--json"))[0])) == 1
    await run("get", WINDOW, "--device", "D1", "--no-wait")  # which is meant
    assert len(loads((await run("jobs", "--json"))[0])) == 2


async def test_a_head_end_that_is_not_there_is_asked_once(
    run: Run, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def refuse(client: HttpClient, path: str, **options: Any) -> HttpAnswer:
        asked.append(path)
        raise TransportError("nobody listens", code="transport.refused")

    monkeypatch.setattr(HttpClient, "post", refuse)
    with pytest.raises(TransportError):
        await run("get", WINDOW, "--device", "D1")
    assert len(asked) == 1


async def test_what_a_device_refuses_is_an_error(run: Run, device: Device) -> None:
    async with awake(device):
        with pytest.raises(ApiError, match="1 failed") as raised:
            await run("set", f"{WINDOW}=99", "--unchecked", "--device", "D1")
    assert raised.value.code == "job.failed"
    assert "openami dm job " in (raised.value.hint or "")
    with pytest.raises(ApiError) as early:
        await run("set", f"{WINDOW}=99", "--device", "D1")
    assert early.value.code == "request.value"


async def test_a_job_is_followed_and_taken_back(run: Run, device: Device) -> None:
    _, said = await run(
        "exec", "./AMI/Operations/Collect", "--device", "D1", "--no-wait", "--why", "now"
    )
    assert "for 1 device" in said
    [job] = loads((await run("jobs", "--json"))[0])
    assert (job["kind"], job["open"], job["why"]) == ("exec", 1, "now")
    lines, said = await run("job", job["id"], "--cancel")
    assert rows(lines) == [["D1", "cancelled"]]
    assert "1 of 1: 1 cancelled" in said
    waited, _ = await run("job", job["id"], "--wait", "--json")
    assert loads(waited)[0]["tasks"][0]["state"] == "cancelled"


async def test_who_waits_for_a_device_waits_not_for_ever(run: Run, device: Device) -> None:
    with pytest.raises(TransportError) as late:
        await run("tree", "D1", "--refresh", "--wait", "0.05")
    assert (late.value.code, late.value.exit_status) == ("dm.wait", 5)
    assert late.value.message == "the device has not come within 0.05 s"
    await device.run()  # it looks all the same
    _, said = await run("tree", "D1", WINDOW)
    assert "last seen" in said


async def test_what_is_wanted_is_shown_beside_what_is(run: Run, device: Device) -> None:
    _, said = await run("group", "set", "all", "--filter", "state=commissioned", "--priority", "3")
    assert said == "group all has 1 device\n"
    lines, said = await run("want", "--group", "all", f"{WINDOW}=3")
    assert said == "1 device will be told\n"
    assert rows(lines)[0][:3] == [WINDOW, "3", "anna"]
    lines, said = await run("tree", "D1", "--diff")
    assert rows(lines) == [[WINDOW, "3", "group:all", "to", "add"]]
    assert "not seen" in said
    async with awake(device):
        lines, said = await run("tree", "D1", "./AMI/Link", "--refresh")
    assert "waiting for the device" in said
    assert "groups: all" in said
    assert [WINDOW, "3", "3", "group:all"] in rows(lines)
    assert rows((await run("tree", "D1", "--diff"))[0]) == []
    [tree] = loads((await run("tree", "D1", WINDOW, "--json"))[0])
    assert [node["uri"] for node in tree["nodes"]] == [WINDOW]
    history, _ = await run("tree", "D1", WINDOW, "--history")
    assert rows(history)[0][1:] == [WINDOW, "1", "3", "200", "group:all"]
    [change] = loads((await run("tree", "D1", WINDOW, "--history", "--json"))[0])
    assert change["origin"] == "group:all"
    shown, _ = await run("group", "show", "all")
    assert rows(shown) == [[WINDOW, "3", "1", "1", "0"]]
    [progress] = loads((await run("group", "show", "all", "--json"))[0])
    assert (progress["wish"]["uri"], progress["so"]) == (WINDOW, 1)
    groups, _ = await run("group", "list")
    assert rows(groups) == [["all", "3", "1", "1", "state=commissioned"]]
    _, said = await run("want", "--group", "all", "--remove", WINDOW)
    assert said == "1 device will be told\nnothing is wanted\n"
    assert loads((await run("want", "--group", "all", "--json"))[0]) == []
    _, said = await run("group", "remove", "all")
    assert said == "group all is gone; it had 1 device\n"
    assert loads((await run("group", "list", "--json"))[0]) == []


async def test_the_devices_of_a_group_that_differ_are_listed(
    run: Run, device: Device, running: Running
) -> None:
    await run("group", "set", "all", "--filter", "all")
    await run("want", "--group", "all", f"{WINDOW}=99", "--unchecked")
    lines, said = await run("group", "diff", "all")
    assert said == "0 of 1 device different, 1 to be looked at, 0 with refusals\n"
    assert rows(lines) == [["D1", WINDOW, "99", "group:all", "to", "be", "looked", "at"]]
    device.tree.watch("./AMI", AmiListener(lambda _: None))
    await device.run()
    enabled = "./SCHED/1/Enabled"  # another object: what was refused of this one stays so
    await run("want", "--device", "D1", f"{enabled}=true")
    running.services.management.standings.forget("all")  # kept, if the machine was slow
    lines, said = await run("group", "diff", "all")
    assert said == "1 of 1 device different, 0 to be looked at, 1 with refusals\n"
    refusal = "refused with 500: the value is 1 to 7"
    assert rows(lines)[0] == ["D1", WINDOW, "1", "99", "group:all", *refusal.split()]
    assert rows(lines)[1][-3:] == [enabled, "true", "device:D1"]
    [item] = loads((await run("group", "diff", "all", "--json"))[0])
    assert [node["uri"] for node in item["nodes"]] == [WINDOW, enabled]
    lines, said = await run("group", "diff", "all", "--count")
    assert (lines, "1 of 1" in said) == ([], True)
    [standing] = loads((await run("group", "diff", "all", "--count", "--json"))[0])
    assert (standing["devices"], standing["different"], standing["as_wanted"]) == (1, 1, 0)
    await run("want", "--group", "all", "--remove", WINDOW)
    await device.run()
    assert (await run("group", "diff", "all"))[1].endswith("\nnothing differs\n")


async def test_nodes_may_be_unwanted_and_told_again(run: Run, device: Device) -> None:
    lines, _ = await run("want", "--device", "D1", "--absent", "./AMI/Meters/7")
    assert rows(lines)[0][:2] == ["./AMI/Meters/7", "(absent)"]
    await run("want", "--device", "D1", f"{WINDOW}=99", "--unchecked")
    async with awake(device):
        await run("tree", "D1", "--refresh")
    lines, _ = await run("tree", "D1", "--diff")
    assert lines[1].split(maxsplit=4) == [
        WINDOW, "1", "99", "device:D1", "refused with 500: the value is 1 to 7",
    ]  # fmt: skip
    lines, _ = await run("refused")
    assert lines[1].split(maxsplit=5) == [
        "D1", WINDOW, "1", "99", "500", "the value is 1 to 7",
    ]  # fmt: skip
    [refused] = loads((await run("refused", "--json", "--most", "5"))[0])
    assert (refused["device"], refused["wanted"], refused["value"]) == ("D1", "99", "1")
    lines, said = await run("tree", "D1", "--diff", "--retry")
    assert "1 node will be told again" in said
    assert rows(lines) == [[WINDOW, "1", "99", "device:D1", "to", "replace"]]


async def test_a_device_is_woken(run: Run, device: Device) -> None:
    assert await run("wake", "D1") == ([], "D1 is woken\n")
    assert loads((await run("wake", "D1", "--json"))[0]) == [{"woken": True}]
    with pytest.raises(ApiError):
        await run("wake", "D9")


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", WINDOW),
        ("get", WINDOW, "--device", "D1", "--group", "all"),
        ("set", WINDOW, "--device", "D1"),
        ("get", WINDOW, "--filter", "colour=red"),
        ("get", WINDOW, "--filter", "red"),
        ("want", f"{WINDOW}=3"),
        ("want", "--device", "D1", "--group", "all", f"{WINDOW}=3"),
    ],
)
async def test_mistakes_are_told_before_anything_is_asked(
    run: Run, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError):
        await run(*arguments)


async def test_what_a_device_says_is_no_terminals_command(run: Run, device: Device) -> None:
    draft = device.tree.draft(1.0)
    path = device.tree.path("./DMAcc/1/Name")
    draft.set_value(path, "a\nb\tc")
    device.tree.commit(draft)
    async with awake(device):
        lines, _ = await run("get", "./DMAcc/1/Name", "--device", "D1")
    assert len(lines) == 2
    assert lines[1].endswith("a\\nb\\tc")


async def test_an_empty_list_says_so(run: Run, running: Running) -> None:
    for arguments, words in (
        (("jobs",), "no jobs"), (("refused",), "nothing is refused"), (("log",), "no sessions"),
        (("group", "list"), "no groups"),
    ):  # fmt: skip
        lines, said = await run(*arguments)
        assert (len(lines), said) == (1, f"{words}\n")
    with pytest.raises(ApiError) as caught:
        await run("get", WINDOW, "--filter", "all")
    assert caught.value.code == "dm.no-device"
    assert "openami device registrations" in (caught.value.hint or "")


async def test_what_a_devices_account_accepts(
    run: Run, device: Device, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, _ = await run("account", "D1")
    assert rows(lines)[0][:5] == ["D1", "mac-sha256,", "digest-sha256", "strong", "yes"]
    with pytest.raises(ApiError) as caught:  # anna is no administrator
        await run("account", "D1", "--allow", "basic")
    assert caught.value.code == "security.role"
    running.services.operators.add("ruler", PASSWORD, Role.ADMIN, who="test")
    granted = running.services.operators.make_token("ruler", label="test", days=1)
    monkeypatch.setenv("OPENAMI_TOKEN", granted.secret)
    lines, _ = await run("account", "D1", "--allow", "basic", "--allow", "mac-md5", "--why", "old")
    assert rows(lines)[0] == ["D1", "mac-md5,", "basic", "weak", "yes", "open", "never"]
    [found] = loads((await run("account", "D1", "--allow", "basic", "--json"))[0])
    assert (found["accepts"], found["notified"]) == (["basic"], False)
    with pytest.raises(ApiError) as caught:
        await run("account", "D1", "--allow", "md4")
    assert (caught.value.code, caught.value.exit_status) == ("request.proofs", 2)
    with pytest.raises(ApiError) as caught:
        await run("account", "D9")
    assert caught.value.code == "dm.no-account"
