"""A repository's metadata as its keepers make it, judged by python-tuf's own client."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import CryptoSigner
from tests.support.repositories import (
    DAY,
    FILES,
    NOW,
    ROOT,
    SNAPSHOT,
    STRANGER,
    TARGETS,
    TIMESTAMP,
    Office,
    fetch,
    keeper,
    sign,
)
from tuf.api.exceptions import (
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.metadata import TargetFile as Listed
from tuf.ngclient import FetcherInterface, Updater

from openami.core.clock import utc
from openami.core.errors import ConfigError, ConflictError, DecodeError, SecurityError
from openami.firmware.metadata import MAX_SIZE, read
from openami.firmware.packages import list_files
from openami.firmware.repository import (
    SNAPSHOT_LIFE_S,
    TIMESTAMP_LIFE_S,
    Keeper,
    Online,
    RoleKeys,
    add_signature,
    draft_root,
    draft_targets,
    publish,
    signatures_missing,
)
from openami.firmware.trust import Trusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def test_keepers_sign_one_after_the_other() -> None:
    draft = draft_root(Office().roles(), version=1, expires=NOW + DAY)
    assert signatures_missing(draft, draft) == 2
    once = add_signature(draft, ROOT[2])
    assert signatures_missing(once, draft) == 1
    assert signatures_missing(add_signature(once, ROOT[2]), draft) == 1
    assert signatures_missing(add_signature(once, STRANGER), draft) == 1
    root = add_signature(once, ROOT[0])
    assert signatures_missing(root, draft) == 0
    assert signatures_missing(add_signature(root, ROOT[1]), draft) == 0
    targets = draft_targets([], version=1, expires=NOW + DAY)
    assert signatures_missing(add_signature(targets, TARGETS[1]), root) == 1


def test_who_signs_with_another_key_is_found_out_at_once() -> None:
    draft = draft_targets([], version=1, expires=NOW + DAY)
    liar = Keeper(TARGETS[0].public, STRANGER.sign)
    with pytest.raises(SecurityError) as caught:
        add_signature(draft, liar)
    assert caught.value.code == "firmware.repository.signature"
    assert "sign" not in repr(liar)
    with pytest.raises(DecodeError):
        add_signature(b"{}", TARGETS[0])


def test_the_same_draft_gets_the_same_octets() -> None:
    first, second = Office(), Office()
    assert first.publish() == second.publish()


@pytest.mark.parametrize(
    ("role", "keys"),
    [
        ("root", RoleKeys((ROOT[0].public,), 2)),
        ("root", RoleKeys((ROOT[0].public, ROOT[0].public), 2)),
        ("targets", RoleKeys((), 0)),
        ("targets", RoleKeys((TARGETS[0].public,), 0)),
        ("vendor", RoleKeys((ROOT[0].public,), 1)),
    ],
)
def test_a_role_that_nobody_could_fill_is_not_made(role: str, keys: RoleKeys) -> None:
    with pytest.raises(ConfigError) as caught:
        draft_root({**Office().roles(), role: keys}, version=1, expires=NOW)
    assert caught.value.code == "config.firmware-roles"


def test_a_keeper_has_a_key_on_p256() -> None:
    other = ec.derive_private_key(5, ec.SECP384R1()).public_key()
    with pytest.raises(ConfigError) as caught:
        draft_root({**Office().roles(), "targets": RoleKeys((other,))}, version=1, expires=NOW)
    assert caught.value.code == "config.firmware-key"


def test_the_timestamp_is_signed_anew_and_the_snapshot_at_half_its_life() -> None:
    office = Office()
    first = office.publish()
    snapshots = [first.snapshot]
    for _ in range(8):
        office.now += TIMESTAMP_LIFE_S / 2
        published = office.publish()
        assert published.targets == first.targets
        snapshots.append(published.snapshot)
    versions = [read(one, Snapshot).signed.version for one in snapshots]
    assert versions == [1, 1, 1, 1, 1, 1, 1, 2, 2]  # half of a week has seven half days
    assert read(published.timestamp, Timestamp).signed.version == 9
    assert SNAPSHOT_LIFE_S == 7 * DAY


def test_a_new_key_of_the_snapshot_signs_at_once() -> None:
    office = Office()
    first = office.publish()
    office.snapshot = (keeper(32), keeper(33))
    office.add_root()
    second = office.publish()
    assert read(second.snapshot, Snapshot).signed.version == 2
    assert second.targets == first.targets


def test_targets_do_not_go_back() -> None:
    office = Office()
    before = office.publish()
    again = sign(draft_targets(list_files({"x": b""}), version=1, expires=NOW + DAY), TARGETS)
    online = Online(SNAPSHOT, TIMESTAMP)
    with pytest.raises(ConflictError) as caught:
        publish(before, roots=office.roots, targets=again, online=online, now=NOW)
    assert caught.value.code == "firmware.repository.version"
    later = office.publish({})
    with pytest.raises(ConflictError):
        publish(later, roots=office.roots, targets=before.targets, online=online, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": (TARGETS[0],)},
        {"targets": (STRANGER, TARGETS[0])},
        {"timestamp": (STRANGER,)},
        {"snapshot": (STRANGER,)},
        {"now": NOW + 400 * DAY},
    ],
)
def test_what_a_dcu_would_refuse_is_not_published(change: dict[str, Any]) -> None:
    office = Office()
    office.add_root()
    with pytest.raises(SecurityError):
        replace(office, **change).publish()


# Both ways with python-tuf: its client takes ours, ours takes what its library signs


class Folder(FetcherInterface):
    """Answers from a mapping of file names."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = urlsplit(url).path.removeprefix("/")
        if name not in self.files:
            raise DownloadHTTPError("not there", 404)
        return iter([self.files[name]])


def updater(folder: Path, files: Mapping[str, bytes], root: bytes) -> Updater:
    folder.mkdir(exist_ok=True)
    return Updater(
        str(folder),
        "https://r.test/",
        target_dir=str(folder),
        target_base_url="https://r.test/files/",
        fetcher=Folder(files),
        bootstrap=root,
    )


def test_the_reference_client_takes_what_we_publish(tmp_path: Path) -> None:
    office = Office(now=time.time())
    office.publish()
    stored = {f"files/{one.stored_path}": FILES[one.path] for one in list_files(FILES)}
    files = {**office.publish().files(), **stored}
    client = updater(tmp_path / "one", files, office.roots[0])
    found = client.get_targetinfo("folder/two")
    assert found is not None
    assert Path(client.download_target(found)).read_bytes() == FILES["folder/two"]
    # Keys of every role change, and the client that knows the old ones follows.
    old = office.root
    office.root, office.targets = (keeper(51), keeper(52)), (keeper(53),)
    office.snapshot, office.timestamp = (keeper(54),), (keeper(55),)
    office.add_root(also=old)
    files |= office.publish({"new": b"new"}).files()
    client = updater(tmp_path / "one", files, office.roots[0])
    assert client.get_targetinfo("new") is not None
    assert client.get_targetinfo("one") is None


def test_the_reference_client_refuses_what_ours_refuses(tmp_path: Path) -> None:
    office = Office(now=time.time())
    first = office.publish()
    second = office.publish({"new": b"new"})
    mixed = {**second.files(), "2.snapshot.json": first.snapshot}
    # A signature has an octet or two more or less: the old snapshot may be longer than told.
    with pytest.raises((RepositoryError, DownloadLengthMismatchError)):
        updater(tmp_path / "mixed", mixed, office.roots[0]).refresh()
    with pytest.raises(SecurityError):
        fetch(Trusted.start(office.roots[0]), mixed, now=office.now)
    old = Office(now=time.time() - 3 * DAY)
    frozen = old.publish().files()
    with pytest.raises(ExpiredMetadataError):
        updater(tmp_path / "frozen", frozen, old.roots[0]).refresh()


def test_we_take_what_the_reference_library_signs() -> None:
    keys = {
        name: CryptoSigner(ec.generate_private_key(ec.SECP256R1()))
        for name in ("root", "timestamp", "snapshot", "targets")
    }
    expires = utc(NOW + DAY)
    root = Root(expires=expires)
    for name, key in keys.items():
        root.add_key(key.public_key, name)
    listed = Listed.from_data("a/b", b"payload")
    bodies: dict[str, Metadata[Any]] = {
        "1.root.json": Metadata(root),
        "timestamp.json": Metadata(Timestamp(expires=expires, snapshot_meta=MetaFile(1))),
        "1.snapshot.json": Metadata(Snapshot(expires=expires)),
        "1.targets.json": Metadata(Targets(expires=expires, targets={"a/b": listed})),
    }
    files = {}
    for name, metadata in bodies.items():
        metadata.sign(keys[metadata.signed.type])
        files[name] = metadata.to_bytes()
    refresh, _ = fetch(Trusted.start(files["1.root.json"]), files, now=NOW)
    assert refresh.trusted.target("a/b", now=NOW).check(b"payload") == b"payload"


def test_ten_years_of_releases_fit() -> None:
    """The bound of targets holds what it is said to hold."""
    names = (
        f"dcu-firmware/agent-{'x' * 20}/1.{n // 200}.{n % 200}/full/agent" for n in range(5000)
    )
    files = list_files(dict.fromkeys(names, b"x" * 9))
    assert len(draft_targets(files, version=1, expires=NOW)) < MAX_SIZE["targets"]
