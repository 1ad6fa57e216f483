"""The release shelf: four eyes, refusals, withdrawals, the repository, and kills between steps."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.releases import (
    VENDOR_KEY,
    approved,
    handed_over,
    tar_in,
    tar_of,
    trust_vendor,
)
from tests.support.repositories import ROOT, TARGETS, fetch, publics, sign

from openami.core.errors import (
    ConflictError,
    DecodeError,
    NotFoundError,
    SecurityError,
    StoreFullError,
)
from openami.firmware.manifest import ReleaseKind
from openami.firmware.packages import packages, unpack
from openami.firmware.repository import RoleKeys
from openami.firmware.trust import Trusted
from openami.headend.errors import RequestError
from openami.headend.services import build
from openami.headend.stores import open_stores
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.headend.firmware.facade import Firmware
    from openami.headend.services import Context, Services, Stores

DAY = 86_400.0


@pytest.fixture
def firmware(services: Services) -> Firmware:
    trust_vendor(services.firmware)
    return services.firmware


def follow(firmware: Firmware, trusted: Trusted, *, now: float) -> Trusted:
    """Run a DCU's refresh against what is published."""
    files = {name: firmware.publisher.document(name) for name in names(firmware)}
    refresh, _ = fetch(trusted, files, now=now)
    assert refresh.done
    return refresh.trusted


def refusal(firmware: Firmware, trusted: Trusted, *, now: float) -> str:
    """Return why a DCU takes nothing of what is published."""
    with pytest.raises(SecurityError) as caught:
        follow(firmware, trusted, now=now)
    return caught.value.code


def names(firmware: Firmware) -> list[str]:
    found = firmware.publisher.present()
    assert found is not None
    return list(found.files())


def test_a_release_comes_to_a_device_that_has_the_first_root(
    firmware: Firmware, tmp_path: Path, wall: ManualClock
) -> None:
    trusted = Trusted.start(firmware.publisher.document("1.root.json"))
    first = approved(firmware, tmp_path)
    assert firmware.shelf.release(first.number, who="anna").release.state == "released"
    second = approved(firmware, tmp_path, "1.5.0")
    firmware.shelf.release(second.number, who="anna")
    trusted = follow(firmware, trusted, now=wall.now())
    found = packages(trusted.all_targets(now=wall.now()))
    assert [str(id_) for id_ in sorted(found)] == [
        "meter-image/meter/1.4.0",
        "meter-image/meter/1.5.0",
    ]
    package = found[second.release.id]
    target, path = firmware.shelf.target(package.manifest.stored_path)
    manifest = package.read_manifest(path.read_bytes())
    assert manifest == second.manifest
    installed = handed_over()[1]["a.img"]
    image = manifest.images[0]
    _, path = firmware.shelf.target(package.full["a.img"].stored_path)
    assert (
        unpack(package.full["a.img"], path.read_bytes(), image, None)
        == handed_over("1.5.0")[1]["a.img"]
    )
    for delta in package.deltas.values():
        _, path = firmware.shelf.target(delta.stored_path)
        unpack(delta, path.read_bytes(), image, installed)
    assert target == package.manifest


def test_who_uploaded_does_not_approve(firmware: Firmware, tmp_path: Path) -> None:
    shelved = firmware.shelf.upload(tar_in(tmp_path, *handed_over()), who="anna")
    firmware.shelf.verify(shelved.number, who="boris")
    with pytest.raises(ConflictError) as caught:
        firmware.shelf.approve(shelved.number, who="Anna", why="mine")
    assert caught.value.code == "firmware.release.four-eyes"
    with pytest.raises(ConflictError) as caught:
        firmware.shelf.release(shelved.number, who="boris")
    assert caught.value.code == "firmware.release.transition"
    firmware.shelf.approve(shelved.number, who="boris", why="tried")


@pytest.mark.fums("DES-1")
def test_a_refusal_names_all_reasons_and_the_version_may_come_again(
    firmware: Firmware, tmp_path: Path
) -> None:
    manifest, files = handed_over(changes=(), sbom=None, counter=5)
    cut = {**files, "a.img": files["a.img"][:-1], "extra": b"?"}
    shelved = firmware.shelf.upload(tar_in(tmp_path, manifest, cut), who="anna")
    refused = firmware.shelf.verify(shelved.number, who="anna").release
    assert refused.state == "refused"
    assert [finding.code for finding in refused.events[-1].findings] == [
        "firmware.manifest.missing.changes",
        "firmware.manifest.missing.sbom",
        "firmware.release.file-differs",
        "firmware.release.file-unknown",
        "firmware.release.file-unknown",
        "firmware.cut",
    ]
    assert approved(firmware, tmp_path).release.state == "approved"


@pytest.mark.fums("SM-11")
def test_an_image_of_a_key_that_is_not_its_vendors_is_refused(
    services: Services, tmp_path: Path
) -> None:
    firmware = services.firmware
    shelved = firmware.shelf.upload(tar_in(tmp_path, *handed_over()), who="anna")
    refused = firmware.shelf.verify(shelved.number, who="anna").release
    assert [finding.code for finding in refused.events[-1].findings] == ["firmware.key"]
    key = firmware.keys.add("Maker", VENDOR_KEY, product="other", who="admin")
    assert firmware.keys.of(shelved.manifest) == ()
    firmware.keys.remove(key.id, who="admin")
    assert not firmware.keys.list()
    for vendor, pem in (("", VENDOR_KEY), ("Maker", b"no key"), ("a\nb", VENDOR_KEY)):
        with pytest.raises(RequestError) as caught:
            firmware.keys.add(vendor, pem, who="admin")
        assert caught.value.code == "request.key"
    firmware.keys.add("Maker", VENDOR_KEY, who="admin")
    with pytest.raises(RequestError, match="already"):
        firmware.keys.add("Maker", VENDOR_KEY, who="admin")


def test_what_is_withdrawn_is_offered_no_more_and_its_campaigns_hear_of_it(
    firmware: Firmware, tmp_path: Path, wall: ManualClock
) -> None:
    told: list[str] = []
    firmware.shelf.on_withdrawn(lambda id_: told.append(str(id_)))
    trusted = Trusted.start(firmware.publisher.document("1.root.json"))
    shelved = approved(firmware, tmp_path)
    firmware.shelf.release(shelved.number, who="anna")
    trusted = follow(firmware, trusted, now=wall.now())
    (manifest,) = (p.manifest for p in packages(trusted.all_targets(now=wall.now())).values())
    withdrawn = firmware.shelf.withdraw(shelved.number, who="boris", why="bricks meters")
    assert (withdrawn.release.state, told) == ("withdrawn", ["meter-image/meter/1.4.0"])
    with pytest.raises(NotFoundError):
        firmware.shelf.target(manifest.stored_path)
    trusted = follow(firmware, trusted, now=wall.now())
    assert not list(trusted.all_targets(now=wall.now()))
    with pytest.raises(ConflictError):
        firmware.shelf.withdraw(shelved.number, who="boris", why="again")
    # Its version stays taken and its counter counts: a device may have it.
    shelved = firmware.shelf.upload(tar_in(tmp_path, *handed_over(counter=4)), who="anna")
    again = firmware.shelf.verify(shelved.number, who="anna").release
    assert [finding.code for finding in again.events[-1].findings] == [
        "firmware.release.counter",
        "firmware.release.version",
    ]


def test_the_counter_is_checked_again_when_a_release_goes_out(
    firmware: Firmware, tmp_path: Path
) -> None:
    low, high = approved(firmware, tmp_path), approved(firmware, tmp_path, "1.5.0", counter=6)
    firmware.shelf.release(high.number, who="anna")
    with pytest.raises(ConflictError) as caught:
        firmware.shelf.release(low.number, who="anna")
    assert caught.value.code == "firmware.release.counter"
    assert firmware.shelf.get(low.number).release.state == "approved"
    firmware.shelf.refuse(low.number, who="anna", why="too late")


def test_a_delta_is_offered_where_it_is_smaller(firmware: Firmware, tmp_path: Path) -> None:
    def dcu(version: str, body: bytes) -> int:
        manifest, files = handed_over(version)
        files["a.img"] = body
        file = replace(manifest.images[0], size=len(body), sha256=digest(body))
        manifest = replace(manifest, kind=ReleaseKind.DCU_FIRMWARE, images=(file,))
        shelved = firmware.shelf.upload(tar_in(tmp_path, manifest, files), who="anna")
        assert firmware.shelf.verify(shelved.number, who="anna").release.state == "verified"
        firmware.shelf.approve(shelved.number, who="boris", why="tried")
        firmware.shelf.release(shelved.number, who="anna")
        return shelved.number

    old = bytes(range(256)) * 200
    dcu("1.0.0", old)
    new = dcu("1.1.0", old[:30_000] + b"changed" + old[30_000:])
    trusted = firmware.publisher.present()
    assert trusted is not None
    now = SystemClock().now()
    found = packages(trusted.verify(now=now).all_targets(now=now))
    deltas = found[firmware.shelf.get(new).release.id].deltas
    assert list(deltas) == [(digest(old), "a.img")]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "no manifest.json"),
        (b"PK\3\4" + b"x" * 2000, "no tar"),
        (tar_of(b"x" * 300_000, {}), "at most"),
        (tar_of(b"{}", {"folder/a": b"x"}), "without a folder"),
        (tar_of(b"{}", {"../a": b"x"}), "without a folder"),
        (tar_of(b"{}", {f"f{n}": b"" for n in range(65)}), "more than 64"),
        (tar_of(b"{}", {"a": b"x" * 600})[:1700], "is cut"),
        (tar_of(b"{}", {"a": b""})[:2048][:1536] + tar_of(b"{}", {"a": b""})[1024:], "twice"),
    ],
)
def test_what_is_no_release_is_refused_at_once(
    firmware: Firmware, tmp_path: Path, octets: bytes, words: str
) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(octets)
    with pytest.raises(RequestError, match=words) as caught:
        firmware.shelf.upload(path, who="anna")
    assert caught.value.code == "request.release"
    assert firmware.shelf.list().items == ()


def test_a_malformed_manifest_is_no_release(firmware: Firmware, tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as caught:
        firmware.shelf.upload(tar_in(tmp_path, b'{"schema": 1}', {}), who="anna")
    assert caught.value.code == "firmware.manifest.malformed"


def test_gnu_tar_makes_what_is_taken(firmware: Firmware, tmp_path: Path) -> None:
    manifest, files = handed_over()
    folder = tmp_path / "release"
    folder.mkdir()
    tar_in(tmp_path, manifest, files)
    subprocess.run(["tar", "xf", tmp_path / "release.tar", "-C", folder], check=True)
    for form in ("gnu", "pax", "ustar"):
        tar = tmp_path / f"{form}.tar"
        subprocess.run(["tar", "cf", tar, f"--format={form}", "-C", folder, "."], check=True)
        assert firmware.shelf.upload(tar, who="anna").manifest == manifest


def test_files_and_differences_of_releases(firmware: Firmware, tmp_path: Path) -> None:
    one, two = approved(firmware, tmp_path), approved(firmware, tmp_path, "1.5.0")
    assert firmware.shelf.file(one.number, "a.pdf").read_bytes() == b"document 1.4.0"
    with pytest.raises(NotFoundError):
        firmware.shelf.file(one.number, "manifest.json")
    found = {
        each.field: (each.before, each.after)
        for each in firmware.shelf.diff(one.number, two.number)
    }
    assert found["version"] == ("1.4.0", "1.5.0")
    assert "images[a.img].sha256" in found


def test_the_timestamp_is_renewed_before_it_ends(
    firmware: Firmware, tmp_path: Path, wall: ManualClock
) -> None:
    assert firmware.publisher.renew() == 0
    trusted = Trusted.start(firmware.publisher.document("1.root.json"))
    firmware.shelf.release(approved(firmware, tmp_path).number, who="anna")
    assert firmware.publisher.renew() == 0
    wall.set(wall.now() + 0.6 * DAY)
    assert firmware.publisher.renew() == 1
    assert firmware.publisher.renew() == 0
    trusted = follow(firmware, trusted, now=wall.now() + 0.9 * DAY)
    # Years later, with everything renewed on the way, the device that slept follows.
    for _ in range(12):
        wall.set(wall.now() + 190 * DAY)
        assert firmware.publisher.renew() == 1
    ends = firmware.publisher.ends()
    assert ends["root"][0] == 2
    assert len(list(follow(firmware, trusted, now=wall.now()).all_targets(now=wall.now()))) == 2


def test_a_restored_database_is_refused_until_it_is_published_past_what_devices_saw(
    context: Context, tmp_path: Path, wall: ManualClock
) -> None:
    """As docs/how-to/run-a-headend.md tells whoever restores a backup."""
    backup = tmp_path / "backup.sqlite"
    with open_stores(context.home) as stores:
        firmware = build(context, stores).firmware
        trust_vendor(firmware)
        trusted = Trusted.start(firmware.publisher.document("1.root.json"))
        firmware.shelf.release(approved(firmware, tmp_path).number, who="anna")
    shutil.copy(context.home.database, backup)  # with the head-end stopped
    with open_stores(context.home) as stores:
        firmware = build(context, stores).firmware
        firmware.shelf.release(approved(firmware, tmp_path, "1.5.0").number, who="anna")
        firmware.publisher.take(root=None, targets=None, who="root")
        trusted = follow(firmware, trusted, now=wall.now())
        seen = {role: version for role, (version, _) in firmware.publisher.ends().items()}
    shutil.copy(backup, context.home.database)
    with open_stores(context.home) as stores:
        firmware = build(context, stores).firmware
        assert refusal(firmware, trusted, now=wall.now()) == "firmware.trust.rollback"
        while firmware.publisher.ends()["timestamp"][0] <= seen["timestamp"]:
            firmware.publisher.take(root=None, targets=None, who="root")
        assert refusal(firmware, trusted, now=wall.now()) == "firmware.trust.rollback"
        again = approved(firmware, tmp_path, "1.5.0").number
        firmware.shelf.release(again, who="anna")
        now = {role: version for role, (version, _) in firmware.publisher.ends().items()}
        assert (now["snapshot"], now["targets"]) == (seen["snapshot"], seen["targets"])
        trusted = follow(firmware, trusted, now=wall.now())
        assert len(packages(trusted.all_targets(now=wall.now()))) == 2
        firmware.shelf.withdraw(again, who="anna", why="not wanted")
        trusted = follow(firmware, trusted, now=wall.now())
        assert len(packages(trusted.all_targets(now=wall.now()))) == 1


def test_keepers_elsewhere_sign_root_and_targets(
    context: Context, stores: Stores, tmp_path: Path
) -> None:
    settings = context.settings.model_copy(update={"release_keys": "offline"})
    firmware = build(replace(context, settings=settings), stores).firmware
    trust_vendor(firmware)
    shelved = approved(firmware, tmp_path)
    assert firmware.publisher.present() is None
    draft = firmware.shelf.draft(shelved.number)
    with pytest.raises(ConflictError) as caught:
        firmware.shelf.release(shelved.number, who="anna")
    assert caught.value.code == "firmware.keys.offline"
    with pytest.raises(ConflictError, match="no root"):
        firmware.shelf.release(shelved.number, who="anna", targets=sign(draft, TARGETS))
    roles = RoleKeys(publics(ROOT), 2), RoleKeys(publics(TARGETS), 2)
    root = sign(firmware.publisher.draft_root(*roles), ROOT[:2])
    firmware.publisher.take(
        root=root, targets=sign(firmware.publisher.draft(()), TARGETS), who="root"
    )
    draft = firmware.shelf.draft(shelved.number)
    with pytest.raises(SecurityError):
        firmware.shelf.release(shelved.number, who="anna", targets=sign(draft, TARGETS[:1]))
    other = sign(firmware.publisher.draft(()), TARGETS)
    with pytest.raises(ConflictError) as caught:
        firmware.shelf.release(shelved.number, who="anna", targets=other)
    assert caught.value.code == "firmware.keys.files"
    firmware.shelf.release(shelved.number, who="anna", targets=sign(draft, TARGETS))
    trusted = follow(firmware, Trusted.start(root), now=context.wall.now())
    (package,) = packages(trusted.all_targets(now=context.wall.now())).values()
    # Keepers are not waited for: nobody gets the files any more, and the list follows.
    firmware.shelf.withdraw(shelved.number, who="boris", why="bad")
    with pytest.raises(NotFoundError):
        firmware.shelf.target(package.manifest.stored_path)
    firmware.publisher.take(
        root=None, targets=sign(firmware.publisher.draft(()), TARGETS), who="root"
    )
    followed = follow(firmware, trusted, now=context.wall.now())
    assert not list(followed.all_targets(now=context.wall.now()))


def test_a_kill_between_files_and_row_leaves_nothing_that_stays(
    context: Context, stores: Stores, tmp_path: Path, wall: ManualClock
) -> None:
    manifest, files = handed_over()
    tar = tar_in(tmp_path, manifest, files)
    folder = context.home.releases
    script = (
        "import os, pathlib\n"
        "from openami.store.blobs import Blobs\n"
        "from openami.headend.firmware.bundle import unpack\n"
        f"blobs = Blobs(pathlib.Path({str(folder)!r}), most=10**9)\n"
        f"unpack(pathlib.Path({str(tar)!r}), blobs)\n"
        "blobs.incoming().write(b'half')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    services = build(context, stores)
    trust_vendor(services.firmware)
    assert services.firmware.shelf.list().items == ()
    assert services.firmware.blobs.size == sum(map(len, files.values()))
    assert services.firmware.shelf.sweep() == 0  # it may belong to an upload under way
    shelved = approved(services.firmware, tmp_path)
    wall.set(wall.now() + 2 * DAY)
    assert services.firmware.shelf.sweep() == 0
    services.firmware.shelf.refuse(shelved.number, who="anna", why="no")
    assert services.firmware.shelf.sweep() == 3
    assert services.firmware.blobs.size == 0


def test_a_kill_within_the_step_that_offers_a_release_leaves_it_approved(
    context: Context,
    stores: Stores,
    services: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trust_vendor(services.firmware)
    shelved = approved(services.firmware, tmp_path)
    before = services.firmware.publisher.present()
    with monkeypatch.context() as patched:
        patched.setattr(stores.releases, "_publish", _die)
        with pytest.raises(KeyboardInterrupt):
            services.firmware.shelf.release(shelved.number, who="anna")
    again = build(context, stores).firmware
    assert again.shelf.get(shelved.number).release.state == "approved"
    assert again.publisher.present() == before
    assert stores.releases.targets() == []
    assert again.shelf.release(shelved.number, who="anna").release.state == "released"
    assert len(stores.releases.targets()) == 2


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_full_shelf_takes_nothing_more(context: Context, stores: Stores, tmp_path: Path) -> None:
    settings = context.settings.model_copy(update={"shelf_octets": 100})
    firmware = build(replace(context, settings=settings), stores).firmware
    with pytest.raises(StoreFullError, match="100 octets"):
        firmware.shelf.upload(tar_in(tmp_path, *handed_over()), who="anna")
    assert firmware.shelf.list().items == ()


def test_of_two_that_are_the_same_version_the_first_is_taken(
    firmware: Firmware, tmp_path: Path
) -> None:
    tar = tar_in(tmp_path, *handed_over())
    first, second = (firmware.shelf.upload(tar, who=who).number for who in ("anna", "boris"))
    with ThreadPoolExecutor(2) as pool:
        moved = list(pool.map(lambda n: firmware.shelf.verify(n, who="anna"), (first, second)))
    states = sorted(one.release.state.value for one in moved)
    assert states == ["refused", "verified"]
    (refused,) = (one for one in moved if one.release.state.value == "refused")
    assert [found.code for found in refused.release.events[-1].findings] == [
        "firmware.release.version"
    ]
    assert firmware.shelf.verify(firmware.shelf.upload(tar, who="anna").number, who="anna").release
