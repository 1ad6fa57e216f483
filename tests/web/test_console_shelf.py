"""The console's pages of the release shelf."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import PASSWORD, operator_client, running_headend
from tests.support.releases import approved, handed_over, tar_in, tar_of, trust_vendor
from tests.support.repositories import ROOT, TARGETS, publics, sign
from tests.web.test_console import sign_in
from tests.web.test_console_groups import post

from openami.firmware.manifest import Change, ChangeKind, Problem
from openami.firmware.manifest_diff import Difference, differences
from openami.firmware.repository import RoleKeys
from openami.fleet.operators import Role
from openami.web.console.manifests import Line, parts_of

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from openami.firmware.shelf import Shelved
    from openami.headend.server import Running

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def csrf(running: Running, browser: httpx.AsyncClient) -> str:
    """A signed-in browser, and a head-end that knows the vendor."""
    trust_vendor(running.services.firmware)
    return await sign_in(browser)


def upload(running: Running, folder: Path, version: str, **others: object) -> Shelved:
    tar = tar_in(folder, *handed_over(version, **others))  # type: ignore[arg-type]  # of a manifest
    return running.services.firmware.shelf.upload(tar, who="anna", why="ticket 4711")


async def test_a_release_goes_its_way(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    assert "Nothing is on the shelf yet" in (await browser.get("/releases")).text
    path = f"/releases/{upload(running, tmp_path, '1.4.0').number}"
    page = (await browser.get(path)).text
    assert "ticket 4711" in page
    assert f'action="{path}/verify"' in page
    assert f'action="{path}/approve"' not in page
    assert (await post(browser, f"{path}/verify", csrf, next=path))[:2] == (303, path)
    refused = await post(browser, f"{path}/approve", csrf, why="")
    assert (refused[0], "firmware.release.reason" in refused[2]) == (409, True)
    assert (await post(browser, f"{path}/approve", csrf, why="tried on three"))[0] == 303
    page = (await browser.get(path)).text
    assert "tried on three" in page
    assert "The keepers of the list" not in page
    assert (await post(browser, f"{path}/release", csrf))[0] == 303
    page = (await browser.get(path)).text
    assert "every campaign that carries it stops" in page
    again = await post(browser, f"{path}/release", csrf)
    assert (again[0], "firmware.release.transition" in again[2]) == (409, True)
    assert (await post(browser, f"{path}/withdraw", csrf, why="it is bad"))[0] == 303
    page = (await browser.get(path)).text
    assert re.findall(r'class="badge \w+">(\w+)<', page)[:6] == [
        "withdrawn", "withdrawn", "released", "approved", "verified", "uploaded",
    ]  # fmt: skip
    assert "hx-post" not in page
    assert (await post(browser, f"{path}/dance", csrf))[0] == 404
    listed = (await browser.get("/releases", params={"state": "withdrawn", "name": "meter"})).text
    assert f'href="{path}"' in listed
    assert "No release matches" in (await browser.get("/releases?kind=dcu-firmware")).text


async def test_what_the_manifest_says_is_on_the_page_and_escaped(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    problems = (Problem("PR-31", HOSTILE),)
    changes = (Change(ChangeKind.FEATURE, "REQ-9", HOSTILE),)
    number = upload(running, tmp_path, "1.4.0", changes=changes, problems=problems).number
    page = (await browser.get(f"/releases/{number}")).text
    assert HOSTILE not in page
    for part in ("PR-31", "REQ-9", "flash", "no error", "1.2.0", "a.cdx.json", "SBOM"):
        assert part in page
    assert "no other release of meter" in page
    [sbom] = re.findall(r'href="(/api/v1/releases/\d+/files/a.cdx.json)"', page)
    assert (await browser.get(sbom)).content == handed_over()[1]["a.cdx.json"]
    for lost in ("/releases/99", "/releases/x", "/releases/9999999999999"):
        assert (await browser.get(lost)).status_code == 404


async def test_a_refusal_lists_what_is_missing(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    manifest, files = handed_over(changes=(), problems=None, prerequisites=None, self_tests=())
    del files["a.pdf"]
    shelf = running.services.firmware.shelf
    number = shelf.upload(tar_in(tmp_path, manifest, files), who="anna").number
    assert (await post(browser, f"/releases/{number}/verify", csrf))[0] == 303
    page = (await browser.get(f"/releases/{number}")).text
    for missing in ("changes", "problems", "prerequisites", "self-tests"):
        assert f"firmware.manifest.missing.{missing}" in page
    assert page.count("<b>Missing:</b>") == 4
    assert "firmware.release.file-missing" in page


async def test_a_release_is_compared_with_the_one_before(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    firmware = running.services.firmware
    (tmp_path / "a").mkdir()
    first = approved(firmware, tmp_path / "a", "1.3.0", counter=4)
    firmware.shelf.release(first.number, who="anna")
    upload(running, tmp_path, "1.2.0")
    number = upload(running, tmp_path, "1.4.0").number
    page = (await browser.get(f"/releases/{number}")).text
    assert "Otherwise than 1.3.0" in page
    assert re.search(r'data-label="was"><bdi>4</bdi></td><td [^>]*><bdi>5</bdi>', page)
    other = (await browser.get(f"/releases/{number}?against=2")).text
    assert "Otherwise than 1.2.0" in other
    twin = upload(running, tmp_path, "1.4.0").number
    same = (await browser.get(f"/releases/{twin}?against={number}")).text
    assert "Their manifests say the same" in same
    listed = (await browser.get("/releases")).text
    assert listed.count('scope="rowgroup"') == 1


async def test_who_uploaded_does_not_approve_and_who_looks_does_nothing(
    csrf: str, browser: httpx.AsyncClient, running: Running, tmp_path: Path
) -> None:
    running.services.operators.add("anna", PASSWORD, Role.OPERATOR, who="test")
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    shelf = running.services.firmware.shelf
    number = upload(running, tmp_path, "1.4.0").number
    shelf.verify(number, who="anna")
    path = f"/releases/{number}"
    async with operator_client(running) as client:
        token = await sign_in(client, "anna")
        page = (await client.get(path)).text
        assert "You uploaded it" in page
        assert f'action="{path}/approve"' not in page
        refused = await post(client, f"{path}/approve", token, why="mine")
        assert (refused[0], "firmware.release.four-eyes" in refused[2]) == (409, True)
        assert (await client.post(f"{path}/refuse", data={"why": "no"})).status_code == 403
        most = running.services.settings.release_octets
        assert f'data-most="{most}"' in (await client.get("/releases/new")).text
    async with operator_client(running) as client:
        token = await sign_in(client, "looker")
        for place in ("/releases", path):
            page = (await client.get(place)).text
            assert "hx-post" not in page
            assert "/releases/new" not in page
        assert (await client.get("/releases/new")).status_code == 403
        refused = await post(client, f"{path}/refuse", token, why="no")
        assert (refused[0], "security.role" in refused[2]) == (403, True)


async def test_the_browsers_upload_is_the_apis(csrf: str, browser: httpx.AsyncClient) -> None:
    """What the page's script sends, a cookie and the CSRF token in the header, is taken."""
    octets = tar_of(*handed_over())
    headers = {"Content-Type": "application/x-tar", "X-CSRF-Token": csrf}
    made = await browser.post("/api/v1/releases?why=x", content=octets, headers=headers)
    assert made.status_code == 201
    del headers["X-CSRF-Token"]
    refused = await browser.post("/api/v1/releases", content=octets, headers=headers)
    assert refused.status_code == 403


async def test_where_keepers_sign_a_release_takes_what_they_signed(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, release_keys="offline") as running,
        operator_client(running) as client,
    ):
        firmware = running.services.firmware
        root = firmware.publisher.draft_root(
            RoleKeys(publics(ROOT), 2), RoleKeys(publics(TARGETS), 2), days=100
        )
        firmware.publisher.take(
            root=sign(root, ROOT[:2]), targets=sign(firmware.publisher.draft(()), TARGETS), who="x"
        )
        trust_vendor(firmware)
        number = approved(firmware, tmp_path).number
        csrf = await sign_in(client)
        path = f"/releases/{number}"
        assert "The keepers of the list" in (await client.get(path)).text
        nothing = await post(client, f"{path}/release", csrf)
        assert (nothing[0], "request.file" in nothing[2]) == (400, True)
        draft = await client.get(f"/api/v1{path}/draft")
        signed = {"targets": ("targets.json", sign(draft.content, TARGETS))}
        answer = await client.post(f"{path}/release", data={"csrf_token": csrf}, files=signed)
        assert answer.status_code == 303, answer.text
        assert firmware.shelf.get(number).release.state == "released"


def test_differences_are_told_by_item() -> None:
    before, _ = handed_over("1.3.0", problems=())
    after, _ = handed_over("1.4.0", problems=(Problem("PR-2", "A"), Problem("PR-3", "B")))
    found = {part.title: part.lines for part in parts_of(differences(before, after))}
    assert found["Known problems"] == (Line("PR-2", None, "A"), Line("PR-3", None, "B"))
    [image] = found["Images"]
    assert (image.what, image.kind) == ("a.img", "changed")
    assert image.before is not None
    assert "…" in image.before
    gone = parts_of(differences(after, replace(after, problems=None)))
    assert [line.kind for part in gone for line in part.lines] == ["gone", "gone"]
    unsaid = parts_of(differences(before, replace(before, problems=None)))
    assert unsaid[0].lines == (Line("problems", "none", None),)


def test_a_field_of_another_form_is_told_as_it_is() -> None:
    odd = Difference("a field", "1", None)
    assert parts_of([odd])[0].lines == (Line("a field", "1", None),)
