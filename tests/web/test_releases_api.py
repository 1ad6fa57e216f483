"""Releases over the REST API, and packages as DCUs fetch them."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.headend import PASSWORD, dcu_client, operator_client, running_headend, trust
from tests.support.releases import VENDOR_KEY, handed_over, tar_of
from tests.support.repositories import ROOT, TARGETS, publics, sign
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from openami.core.clock import parse_utc
from openami.firmware.packages import packages
from openami.firmware.refresh import Refresh
from openami.firmware.trust import Trusted
from openami.fleet.operators import Role
from openami.headend.server import Running

API = "/api/v1"
BASE = "/device/v1/repository"
TAR = {"Content-Type": "application/x-tar"}
WHY = {"why": "tried on three meters"}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def boris(running: Running) -> dict[str, str]:
    """Return the headers of a second operator."""
    return second_operator(running)


def second_operator(running: Running) -> dict[str, str]:
    running.services.operators.add("boris", PASSWORD, Role.OPERATOR, who="test")
    granted = running.services.operators.make_token("boris", label="test", days=1)
    return {"Authorization": f"Bearer {granted.secret}"}


async def put(client: httpx.AsyncClient, *release: Any, **others: Any) -> dict[str, Any]:
    octets = tar_of(*(release or handed_over(**others)))
    answer = await client.post(f"{API}/releases", content=octets, headers=TAR)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{API}/releases/{made['number']}"
    return made


async def let_out(
    running: Running, operator: httpx.AsyncClient, boris: dict[str, str], **others: Any
) -> str:
    """Take a release all the way; return its path."""
    if not running.services.firmware.keys.list():
        running.services.firmware.keys.add("Maker", VENDOR_KEY, who="test")
    path = f"{API}/releases/{(await put(operator, **others))['number']}"
    assert (await operator.post(f"{path}/verify")).json()["state"] == "verified"
    answer = await operator.post(f"{path}/approve", json=WHY, headers=boris)
    assert answer.status_code == 200, answer.text
    answer = await operator.post(f"{path}/release", json={})
    assert answer.json()["state"] == "released", answer.text
    return path


async def refreshed(dcu: httpx.AsyncClient, trusted: Trusted, now: float) -> Trusted:
    """Refresh as a DCU does, over the wire."""
    refresh = Refresh(trusted, now=now)
    while (wanted := refresh.wanted()) is not None:
        answer = await dcu.get(f"{BASE}/{wanted.name}")
        if answer.status_code == 404:
            refresh.absent()
        else:
            assert answer.status_code == 200, answer.text
            refresh.receive(answer.content)
    return refresh.trusted


@pytest.mark.fums("DES-1")
async def test_a_release_is_taken_from_its_upload_to_a_device(
    running: Running, operator: httpx.AsyncClient, boris: dict[str, str], dcu: httpx.AsyncClient
) -> None:
    running.services.firmware.keys.add("Maker", VENDOR_KEY, who="test")
    root = (await dcu.get(f"{BASE}/1.root.json")).content
    made = await put(operator)
    assert (made["state"], made["uploader"], made["next"]) == (
        "uploaded", "operator-1", ["verify", "refuse"],
    )  # fmt: skip
    path = f"{API}/releases/{made['number']}"
    assert (await operator.post(f"{path}/verify")).json()["state"] == "verified"
    refused = await operator.post(f"{path}/approve", json=WHY)
    assert code(refused) == (409, "firmware.release.four-eyes")
    assert code(await operator.post(f"{path}/release", json={})) == (
        409, "firmware.release.transition",
    )  # fmt: skip
    assert (await operator.post(f"{path}/approve", json=WHY, headers=boris)).status_code == 200
    released = (await operator.post(f"{path}/release", json={})).json()
    assert [(event["act"], event["who"]) for event in released["events"]] == [
        ("upload", "operator-1"), ("verify", "operator-1"), ("approve", "boris"),
        ("release", "operator-1"),
    ]  # fmt: skip
    now = running.services.wall.now()
    trusted = await refreshed(dcu, Trusted.start(root), now)
    (package,) = packages(trusted.all_targets(now=now)).values()
    got = await dcu.get(f"{BASE}/targets/{package.manifest.stored_path}")
    assert package.read_manifest(got.content) == handed_over()[0]
    listed = (await operator.get(f"{API}/releases", params={"state": "released"})).json()
    assert [item["number"] for item in listed["items"]] == [made["number"]]


class Fetcher(FetcherInterface):
    """Fetches for TUF's own client, over the connection of a DCU."""

    def __init__(self, base: str, chain: ssl.SSLContext) -> None:
        self._client = httpx.Client(base_url=base, verify=chain, trust_env=False, timeout=60)

    def _fetch(self, url: str) -> Iterator[bytes]:
        answer = self._client.get(url)
        if answer.status_code != 200:
            raise DownloadHTTPError(answer.text, answer.status_code)
        yield answer.content

    def close(self) -> None:
        self._client.close()


async def test_tufs_own_client_takes_what_is_published(
    running: Running, operator: httpx.AsyncClient, boris: dict[str, str], tmp_path: Path
) -> None:
    await let_out(running, operator, boris)
    await let_out(running, operator, boris, version="1.5.0")
    issued = running.services.registry.enroll_dcu("D1", who="test")
    (tmp_path / "chain.pem").write_bytes(issued.key + issued.certificate)
    context = trust(running)
    context.load_cert_chain(tmp_path / "chain.pem")
    root = running.services.firmware.publisher.document("1.root.json")
    fetcher = Fetcher(running.device_url, context)
    updater = Updater(
        str(tmp_path), f"{BASE}/", str(tmp_path), f"{BASE}/targets/", fetcher, bootstrap=root
    )

    def download() -> bytes:
        updater.refresh()
        found = updater.get_targetinfo("meter-image/meter/1.5.0/full/a.img")
        assert found is not None
        return Path(updater.download_target(found)).read_bytes()

    assert await asyncio.to_thread(download) == handed_over("1.5.0")[1]["a.img"]
    fetcher.close()


async def test_a_cut_download_goes_on_where_it_was(
    running: Running, operator: httpx.AsyncClient, boris: dict[str, str], dcu: httpx.AsyncClient
) -> None:
    await let_out(running, operator, boris)
    image = handed_over()[1]["a.img"]
    digest = hashlib.sha256(image).hexdigest()
    where = f"{BASE}/targets/meter-image/meter/1.4.0/full/{digest}.a.img"
    whole = await dcu.get(where)
    assert (whole.content, whole.headers["etag"]) == (image, f'"{digest}"')
    assert whole.headers["accept-ranges"] == "bytes"
    ask = {"Range": "bytes=100-", "If-Range": f'"{digest}"'}
    rest = await dcu.get(where, headers=ask)
    assert (rest.status_code, rest.content) == (206, image[100:])
    assert rest.headers["content-range"] == f"bytes 100-{len(image) - 1}/{len(image)}"
    other = await dcu.get(where, headers={**ask, "If-Range": f'"{"0" * 64}"'})
    assert (other.status_code, other.content) == (200, image)
    beyond = await dcu.get(where, headers={"Range": f"bytes={len(image)}-"})
    assert beyond.status_code == 416
    for wrong in (
        where.replace(digest, "0" * 64), f"{BASE}/targets/{digest}", f"{BASE}/targets/..%2f..%2fkek",
        f"{BASE}/root.json", f"{BASE}/2.root.json", f"{BASE}/1.timestamp.json",
    ):  # fmt: skip
        assert (await dcu.get(wrong)).status_code == 404, wrong


async def test_what_is_withdrawn_no_device_gets(
    running: Running, operator: httpx.AsyncClient, boris: dict[str, str], dcu: httpx.AsyncClient
) -> None:
    path = await let_out(running, operator, boris)
    digest = hashlib.sha256(handed_over()[1]["a.img"]).hexdigest()
    where = f"{BASE}/targets/meter-image/meter/1.4.0/full/{digest}.a.img"
    assert (await dcu.get(where)).status_code == 200
    assert code(await operator.post(f"{path}/withdraw", json={"why": ""})) == (
        409, "firmware.release.reason",
    )  # fmt: skip
    gone = await operator.post(f"{path}/withdraw", json={"why": "it bricks meters"})
    assert (gone.json()["state"], gone.json()["next"]) == ("withdrawn", [])
    assert code(await dcu.get(where)) == (404, "store.not-found")
    found = running.services.registry.audit(subject=f"release-{path.rpartition('/')[2]}")
    assert [entry.what.partition(":")[0] for entry in found.items] == [
        "release.withdrawn", "release.released", "release.approved", "release.verified",
        "release.uploaded",
    ]  # fmt: skip


async def test_a_refusal_is_told_as_a_list(operator: httpx.AsyncClient) -> None:
    manifest, files = handed_over(changes=(), problems=None, self_tests=())
    del files["a.pdf"]
    made = await put(operator, manifest, files)
    refused = (await operator.post(f"{API}/releases/{made['number']}/verify")).json()
    assert (refused["state"], refused["next"]) == ("refused", [])
    assert [finding["code"] for finding in refused["events"][-1]["findings"]] == [
        "firmware.manifest.missing.changes",
        "firmware.manifest.missing.self-tests",
        "firmware.manifest.missing.problems",
        "firmware.release.file-missing",
        "firmware.key",
    ]
    malformed = await operator.post(f"{API}/releases", content=tar_of(b"{", {}), headers=TAR)
    assert code(malformed) == (422, "firmware.manifest.malformed")


async def test_who_may_do_what(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient, admin: httpx.AsyncClient,
    browser: httpx.AsyncClient,
) -> None:  # fmt: skip
    octets = tar_of(*handed_over())
    for client, answer in ((browser, (401, "security.session")), (viewer, (403, "security.role"))):
        refused = await client.post(f"{API}/releases", content=octets, headers=TAR)
        assert code(refused) == answer
    path = f"{API}/releases/{(await put(operator))['number']}"
    for step in ("verify", "approve", "refuse", "release", "withdraw"):
        assert code(await viewer.post(f"{path}/{step}", json=WHY)) == (403, "security.role")
    assert (await viewer.get(path)).json()["manifest"]["version"] == "1.4.0"
    key = {"vendor": "Maker", "key": VENDOR_KEY.decode()}
    assert code(await operator.post(f"{API}/release-keys", json=key)) == (403, "security.role")
    made = (await admin.post(f"{API}/release-keys", json=key)).json()
    assert code(await admin.post(f"{API}/release-keys", json=key)) == (400, "request.key")
    assert [one["id"] for one in (await viewer.get(f"{API}/release-keys")).json()] == [made["id"]]
    assert (await admin.delete(f"{API}/release-keys/{made['id']}")).status_code == 204
    assert code(await admin.delete(f"{API}/release-keys/{made['id']}")) == (404, "store.not-found")
    assert (await browser.get(BASE + "/1.root.json")).status_code == 404


async def test_files_and_differences(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    one, two = await put(operator), await put(operator, *handed_over("1.5.0"))
    path = f"{API}/releases/{one['number']}"
    document = await viewer.get(f"{path}/files/a.pdf")
    assert (document.content, document.headers["content-disposition"]) == (
        b"document 1.4.0", 'attachment; filename="a.pdf"',
    )  # fmt: skip
    assert code(await viewer.get(f"{path}/files/nothing")) == (404, "store.not-found")
    found = (await viewer.get(f"{path}/diff/{two['number']}")).json()
    assert {"field": "version", "before": "1.4.0", "after": "1.5.0"} in found
    assert code(await viewer.get(f"{path}/diff/99")) == (404, "store.not-found")


async def test_an_upload_is_bounded_by_its_own_setting(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, release_octets=2**21, request_octets=1024) as running,
        operator_client(running, headers=second_operator(running)) as client,
    ):
        manifest, files = handed_over()
        made = await put(client, manifest, {**files, "large": b"x" * 2**20})
        assert made["files"][-1]["size"] == 2**20
        octets = tar_of(manifest, {"large": b"x" * 2**21})
        answer = await client.post(f"{API}/releases", content=octets, headers=TAR)
        assert code(answer) == (413, "request.too-large")
        answer = await client.post(f"{API}/releases", content=b"x", headers={})
        assert code(answer) == (415, "request.type")
        answer = await client.post(f"{API}/releases", content=b"x", headers=TAR)
        assert code(answer) == (400, "request.release")
        folder = running.home.releases
        assert not [file for file in folder.iterdir() if file.name.startswith(".")]


async def test_an_upload_that_is_cut_leaves_nothing(
    running: Running, operator: httpx.AsyncClient
) -> None:
    octets, folder = tar_of(*handed_over()), running.home.releases

    async def half() -> AsyncIterator[bytes]:
        yield octets[:2000]
        while not list(folder.iterdir()):  # until the head-end takes it
            await asyncio.sleep(0.01)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await operator.post(f"{API}/releases", content=half(), headers=TAR)
    while list(folder.iterdir()):  # until it has heard of the end
        await asyncio.sleep(0.01)
    assert (await operator.get(f"{API}/releases")).json()["items"] == []
    assert (await put(operator))["number"] == 1
    assert running.services.firmware.blobs.size == sum(map(len, handed_over()[1].values()))


async def test_keepers_sign_what_they_are_given(tmp_path: Path) -> None:
    async with running_headend(tmp_path, release_keys="offline") as running:
        boris = second_operator(running)
        async with (
            operator_client(running, headers=boris) as client,
            dcu_client(running, tmp_path, "D1") as dcu,
        ):
            operators = running.services.operators
            operators.add("anna", PASSWORD, Role.ADMIN, who="test")
            secret = operators.make_token("anna", label="test", days=1).secret
            anna = {"Authorization": f"Bearer {secret}"}
            assert code(await dcu.get(f"{BASE}/1.root.json")) == (404, "store.not-found")
            publisher = running.services.firmware.publisher
            wish = {
                "root": [pem(key) for key in publics(ROOT)], "root_threshold": 2,
                "targets": [pem(key) for key in publics(TARGETS)], "targets_threshold": 2,
            }  # fmt: skip
            draft = await client.post(f"{API}/repository/root-draft", json=wish, headers=anna)
            signed = {
                "root": sign(draft.content, ROOT[:2]).decode(),
                "targets": sign(publisher.draft(()), TARGETS).decode(),
            }
            answer = await client.post(f"{API}/repository/documents", json=signed, headers=anna)
            assert answer.status_code == 200, answer.text
            ends = {one["role"]: parse_utc(one["ends"]) for one in answer.json()["documents"]}
            assert ends["timestamp"] < ends["snapshot"] < ends["targets"] < ends["root"]
            running.services.firmware.keys.add("Maker", VENDOR_KEY, who="test")
            path = f"{API}/releases/{(await put(client))['number']}"
            await client.post(f"{path}/verify")
            await client.post(f"{path}/approve", json=WHY, headers=anna)
            refused = await client.post(f"{path}/release", json={})
            assert code(refused) == (409, "firmware.keys.offline")
            draft = await client.get(f"{path}/draft")
            targets = sign(draft.content, TARGETS).decode()
            answer = await client.post(f"{path}/release", json={"targets": targets})
            assert answer.json()["state"] == "released", answer.text
            root = (await dcu.get(f"{BASE}/1.root.json")).content
            now = running.services.wall.now()
            trusted = await refreshed(dcu, Trusted.start(root), now)
            assert len(list(trusted.all_targets(now=now))) == 2


def pem(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()
