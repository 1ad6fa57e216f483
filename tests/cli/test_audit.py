"""``openami audit`` as auditors type it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.support.headend import PASSWORD

from openami.cli.main import main
from openami.fleet.devices import AuditEntry
from openami.fleet.operators import Role

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunMain

    from openami.headend.server import Running


@pytest.fixture
def admin(running: Running, signed_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    running.services.operators.add("root", PASSWORD, Role.ADMIN, who="test")
    granted = running.services.operators.make_token("root", label="test", days=1)
    monkeypatch.setenv("OPENAMI_TOKEN", granted.secret)


async def test_entries_are_listed_by_who_what_and_when(
    running: Running, admin: None, run_main: RunMain
) -> None:
    log = running.services.audit.log
    for number in range(120):  # more than a page
        log.add(AuditEntry("carla", 1.7e9 + number, f"did {number % 2}", "thing", "so"))
    status, lines, _ = await run_main("audit", "list", "--who", "carla", "--what", "did 1")
    assert (status, len(lines)) == (0, 61)
    assert lines[0].split() == ["number", "time", "who", "what", "subject", "why"]
    _, lines, _ = await run_main(
        "audit", "list", "--subject", "thing", "--since", "2023-11-14T22:13:30",
        "--until", "2023-11-14T22:13:33", "--json",
    )  # fmt: skip
    assert [json.loads(line)["what"] for line in lines] == ["did 0", "did 1", "did 0"]
    _, lines, told = await run_main("audit", "list", "--who", "nobody")
    assert (len(lines), told) == (1, "no such entries\n")


async def test_an_export_is_verified_without_a_head_end(
    running: Running,
    admin: None,
    run_main: RunMain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, key, head = (str(tmp_path / name) for name in ("log.jsonl", "key.pem", "head.json"))
    assert (await run_main("audit", "export", "--out", file))[0] == 0
    for words, path in (("key", key), ("head", head)):
        _, lines, _ = await run_main("audit", words)
        (tmp_path / path).write_text("".join(f"{line}\n" for line in lines))
    status, lines, _ = await run_main("audit", "verify", "--head", head)
    assert (status, lines[0][:14]) == (0, "ok: entries 1 ")
    for name in ("OPENAMI_URL", "OPENAMI_TOKEN", "OPENAMI_CA"):
        monkeypatch.delenv(name)
    assert main(["audit", "verify", file, "--key", key, "--head", head, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["first"], said["last"]) == (
        True,
        1,
        running.services.audit.head().number,
    )

    whole = (tmp_path / "log.jsonl").read_text("utf-8").splitlines(keepends=True)
    spoilt = {
        "audit.changed": [*whole[:2], whole[2].replace('"who":"', '"who":"x'), *whole[3:]],
        "audit.missing": whole[:2] + whole[3:],
        "audit.order": [whole[0], whole[2], whole[1], *whole[3:]],
        "audit.inserted": [*whole[:3], whole[1], *whole[3:]],
        "audit.cut": whole[:-1],
        "audit.unreadable": [*whole[:2], "\n", *whole[2:]],
    }
    for code, lines in spoilt.items():
        (tmp_path / "spoilt.jsonl").write_text("".join(lines), "utf-8")
        assert main(["audit", "verify", str(tmp_path / "spoilt.jsonl"), "--key", key]) == 4
        assert capsys.readouterr().err.startswith(f"error[{code}]: ")
    assert main(["audit", "verify", str(tmp_path / "spoilt.jsonl"), "--key", key, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["code"] == "audit.unreadable"
    (tmp_path / "spoilt.jsonl").write_bytes(whole[0].encode() + b"\xff\n")
    assert main(["audit", "verify", str(tmp_path / "spoilt.jsonl"), "--key", key]) == 4
    assert main(["audit", "verify", file, "--key", file]) == 2


async def test_a_log_that_goes_on_elsewhere_is_found_by_the_head_that_was_kept(
    running: Running, admin: None, run_main: RunMain, tmp_path: Path
) -> None:
    _, lines, _ = await run_main("audit", "head")
    said = json.loads(lines[0])
    (tmp_path / "head.json").write_text(lines[0].replace(said["hash"], said["key"]) + "\n")
    status, _, told = await run_main("audit", "verify", "--head", str(tmp_path / "head.json"))
    assert (status, told.split(":")[0]) == (4, "error[audit.signature]")
    (tmp_path / "head.json").write_text("{}\n")
    status, _, told = await run_main("audit", "verify", "--head", str(tmp_path / "head.json"))
    assert (status, told.split(":")[0]) == (4, "error[audit.unreadable]")


async def test_only_an_admin_exports(run_main: RunMain, tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    status, _, told = await run_main("audit", "export", "--out", str(out))
    assert (status, told.split(":")[0]) == (4, "error[security.role]")
    assert not out.exists()
    status, _, told = await run_main("audit", "verify")
    assert (status, told.split(":")[0]) == (4, "error[security.role]")


async def test_what_follows_an_entry_is_exported_to_stdout(
    running: Running, admin: None, run_main: RunMain
) -> None:
    running.services.audit.seal()
    last = running.services.audit.head().number
    status, lines, _ = await run_main("audit", "export", "--after", str(last - 1))
    assert (status, len(lines)) == (0, 3)
    assert json.loads(lines[0])["after"] == last - 1
    status, _, told = await run_main("audit", "export", "--after", "999999")
    assert (status, told.split(":")[0]) == (6, "error[store.not-found]")


async def test_a_chain_that_is_broken_is_adopted_on_the_machine(
    running: Running, admin: None, run_main: RunMain
) -> None:
    state = str(running.home.root)
    words = ("audit", "adopt", "--state", state, "--why", "tried out")
    status, _, told = await run_main(*words)
    assert (status, told.split(":")[0]) == (6, "error[audit.whole]")
    running.services.audit.seal()
    with running.services.audit.log._transactions.writing() as session:  # type: ignore[attr-defined]  # what nobody may do
        session.execute(text("UPDATE audit_head SET signature = x'00'"))
    running.services.audit.log.add(AuditEntry("carla", 1.0, "did", "thing"))
    assert (await run_main("audit", "verify"))[0] == 4
    status, lines, _ = await run_main(*words, "--json")
    assert status == 0
    assert json.loads(lines[0])["what"].endswith("the head's signature is wrong")
    assert (await run_main("audit", "verify"))[0] == 0
