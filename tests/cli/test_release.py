"""``openami release`` as operators type it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.firmware import private_pem
from tests.support.headend import PASSWORD
from tests.support.releases import VENDOR_KEY, handed_over, tar_of, trust_vendor

from openami.firmware import manifest_codec
from openami.firmware.metadata import read_any
from openami.fleet.operators import Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import RunMain

    from openami.headend.server import Running


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """Return a manifest.json with its files beside it."""
    return put(tmp_path, "release", "1.4.0")


def put(folder: Path, name: str, version: str) -> str:
    made, files = handed_over(version)
    (folder / name).mkdir()
    for file, octets in files.items():
        (folder / name / file).write_bytes(octets)
    path = folder / name / "manifest.json"
    path.write_bytes(manifest_codec.encode(made))
    return str(path)


@pytest.fixture
def become(
    running: Running, signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return what signs in as another operator."""

    def as_(name: str, role: Role = Role.OPERATOR) -> None:
        if all(one.name != name for one in running.services.operators.list().items):
            running.services.operators.add(name, PASSWORD, role, who="test")
        granted = running.services.operators.make_token(name, label="test", days=1)
        monkeypatch.setenv("OPENAMI_TOKEN", granted.secret)

    return as_


async def test_a_release_goes_its_way(
    running: Running, run_main: RunMain, manifest: str, become: Callable[..., None], tmp_path: Path
) -> None:
    become("root", Role.ADMIN)
    (tmp_path / "vendor.pem").write_bytes(VENDOR_KEY)
    status, _, said = await run_main(
        "release", "keys", "add", "Maker", str(tmp_path / "vendor.pem")
    )
    assert (status, said.split(":")[0]) == (0, "Maker")
    become("anna")
    told = await run_main("release", "upload", manifest)
    assert told == (0, [], "release 1, meter 1.4.0, is uploaded\n")
    assert (await run_main("release", "verify", "1"))[2] == "release 1, meter 1.4.0, is verified\n"
    status, _, said = await run_main("release", "approve", "1", "--why", "mine")
    assert (status, said.split(":")[0]) == (3, "error[firmware.release.four-eyes]")
    assert "another operator" in said
    become("boris")
    assert (await run_main("release", "approve", "1", "--why", "tried"))[0] == 0
    status, lines, _ = await run_main("release", "release", "1", "--json")
    assert (status, json.loads(lines[0])["state"]) == (0, "released")
    status, lines, _ = await run_main("release", "list", "--state", "released")
    assert lines[1].split()[:6] == ["1", "meter-image", "meter", "1.4.0", "5", "released"]
    status, lines, _ = await run_main("release", "show", "1")
    assert status == 0
    assert ["anna", "verified"] in [line.split()[1:3] for line in lines if line]
    assert any(line.split()[:2] == ["fix", "PR-1:"] for line in lines if line)
    status, lines, _ = await run_main("release", "repository", "show", "--json")
    assert [one["role"] for one in json.loads(lines[0])["documents"]] == [
        "root", "targets", "snapshot", "timestamp",
    ]  # fmt: skip
    out = tmp_path / "root.json"
    assert (await run_main("release", "repository", "root", "--out", str(out)))[0] == 0
    assert read_any(out.read_bytes()).signed.type == "root"
    told = await run_main("release", "withdraw", "1", "--why", "it is bad")
    assert told == (0, [], "release 1, meter 1.4.0, is withdrawn\n")
    status, _, said = await run_main("release", "release", "1")
    assert (status, said.split(":")[0]) == (3, "error[firmware.release.transition]")


async def test_a_refusal_lists_the_reasons_and_sets_the_status(
    run_main: RunMain, tmp_path: Path
) -> None:
    made, files = handed_over(changes=(), problems=None)
    del files["a.pdf"]
    tar = tmp_path / "release.tar"
    tar.write_bytes(tar_of(made, files))
    status, lines, said = await run_main("release", "upload", str(tar), "--verify")
    assert (status, said.splitlines()[1]) == (3, "4 reasons against it:")
    assert [line.split()[0] for line in lines[1:]] == [
        "firmware.manifest.missing.changes",
        "firmware.manifest.missing.problems",
        "firmware.release.file-missing",
        "firmware.key",
    ]
    status, lines, _ = await run_main("release", "verify", "1")
    assert (status, lines) == (3, [])


async def test_what_differs_between_two_releases(
    run_main: RunMain, manifest: str, tmp_path: Path
) -> None:
    await run_main("release", "upload", manifest)
    await run_main("release", "upload", put(tmp_path, "later", "1.5.0"))
    status, lines, _ = await run_main("release", "diff", "1", "2")
    assert ["version", "1.4.0", "1.5.0"] in [line.split() for line in lines]
    status, lines, _ = await run_main("release", "diff", "1", "1")
    assert (status, len(lines)) == (0, 1)
    status, _, said = await run_main("release", "show", "9")
    assert (status, said.split(":")[0]) == (6, "error[store.not-found]")


async def test_files_that_are_not_there_are_told_before_anything_is_sent(
    run_main: RunMain, manifest: str, tmp_path: Path
) -> None:
    (tmp_path / "release" / "a.img").unlink()
    status, _, said = await run_main("release", "upload", manifest)
    assert (status, said.splitlines()[0].split(": ")[0]) == (2, "error[config.release]")
    assert "a.img" in said
    assert (await run_main("release", "list"))[2] == "no such releases\n"


async def test_keys_are_listed_and_removed(
    running: Running, run_main: RunMain, become: Callable[..., None]
) -> None:
    trust_vendor(running.services.firmware)
    _, lines, _ = await run_main("release", "keys", "list", "--json")
    key = json.loads(lines[0])["id"]
    assert (await run_main("release", "keys", "remove", key))[0] == 4
    become("root", Role.ADMIN)
    assert (await run_main("release", "keys", "remove", key))[0] == 0
    assert (await run_main("release", "keys", "list"))[2] == "no key: no image is believed\n"


async def test_keepers_sign_with_files(
    running: Running, run_main: RunMain, become: Callable[..., None], manifest: str, tmp_path: Path
) -> None:
    trust_vendor(running.services.firmware)
    running.services.firmware.publisher.offline = True
    become("root", Role.ADMIN)
    one, two = str(private_pem(tmp_path, "one")), str(private_pem(tmp_path, "two"))
    root, targets = str(tmp_path / "root.json"), str(tmp_path / "targets.json")

    async def does(*arguments: str) -> None:
        status, _, said = await run_main("release", *arguments)
        assert status == 0, said

    await does(
        "repository", "draft-root", "--root", one, "--root", two, "--root-threshold", "2",
        "--targets", two, "--out", root,
    )  # fmt: skip
    await does("sign", root, "--key", one)
    await does("sign", root, "--key", two)
    await does("draft", "0", "--out", targets)
    await does("sign", targets, "--key", two)
    await does("repository", "publish", "--root", root, "--targets", targets)
    become("anna")
    await does("upload", manifest, "--verify")
    become("root")
    await does("approve", "1", "--why", "tried")
    status, _, said = await run_main("release", "release", "1")
    assert (status, said.split(":")[0]) == (3, "error[firmware.keys.offline]")
    await does("draft", "1", "--out", targets)
    await does("sign", targets, "--key", two)
    await does("release", "1", "--targets", targets)
    assert len(running.services.firmware.shelf.list().items) == 1
