"""The contract of the store of releases, on every backend, and the files beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from tests.firmware.test_intake import KEY, MANIFEST
from tests.support.repositories import NOW, Office

from openami.core.errors import ConflictError, NotFoundError, StoreError, StoreFullError
from openami.firmware import manifest_codec
from openami.firmware.manifest import Finding, ReleaseKind
from openami.firmware.packages import list_files
from openami.firmware.releases import ReleaseState, approve, upload, verify, withdraw
from openami.firmware.shelf import Shelved, VendorKey
from openami.firmware.version import Version
from openami.fleet.devices import AuditEntry
from openami.store.blobs import Blobs

if TYPE_CHECKING:
    from pathlib import Path

    from openami.firmware.manifest import Manifest
    from openami.store.relational import RelationalStore

FILES = MANIFEST.attachments


def put(store: RelationalStore, manifest: Manifest = MANIFEST) -> Shelved:
    release = upload(manifest, who="anna", now=1.0, why="new")
    return store.releases.add(release, manifest_codec.encode(manifest), FILES)


def test_a_release_comes_back_as_it_was_put(store: RelationalStore) -> None:
    made = put(store)
    assert made == store.releases.get(made.number)
    assert made.release == upload(MANIFEST, who="anna", now=1.0, why="new")
    assert (made.manifest, made.files) == (MANIFEST, FILES)
    (entry,) = store.audit.list().items
    assert (entry.who, entry.subject, entry.why) == ("anna", f"release-{made.number}", "new")
    assert entry.what.startswith("release.uploaded: meter-image/meter/1.4.0, manifest ")
    with pytest.raises(NotFoundError):
        store.releases.get(made.number + 1)


def test_each_step_is_kept_with_its_entry_of_the_audit_log(store: RelationalStore) -> None:
    made = put(store)
    found = (Finding("firmware.release.sbom", "none"),)
    refused = verify(made.release, found, who="checks", now=2.0)
    moved = store.releases.move(made.number, refused)
    assert moved.release == refused == store.releases.get(made.number).release
    assert [entry.who for entry in store.audit.list().items] == ["checks", "anna"]


def test_of_two_who_move_a_release_one_is_refused(store: RelationalStore) -> None:
    made = put(store)
    store.releases.move(made.number, verify(made.release, (), who="a", now=2.0))
    with pytest.raises(ConflictError) as caught:
        store.releases.move(made.number, verify(made.release, (), who="b", now=2.0))
    assert caught.value.code == "firmware.release.transition"
    assert len(store.audit.list().items) == 2


def test_releases_are_listed_newest_first(store: RelationalStore) -> None:
    first, second = put(store), put(store, replace(MANIFEST, version=Version(2)))
    other = put(store, replace(MANIFEST, name="other"))
    store.releases.move(second.number, verify(second.release, (), who="a", now=2.0))

    def numbers(**which: object) -> list[int]:
        page = store.releases.list(**which)  # type: ignore[arg-type]  # each test names its own
        return [one.number for one in page.items]

    assert numbers() == [other.number, second.number, first.number]
    assert numbers(state=ReleaseState.VERIFIED) == [second.number]
    assert numbers(kind=ReleaseKind.DCU_FIRMWARE) == []
    assert numbers(name="other") == [other.number]
    page = store.releases.list(limit=2)
    assert numbers(after=page.next) == [first.number]
    assert [one.number for one in store.releases.of_product(first.release.id)] == [
        second.number,
        first.number,
    ]


def test_the_repository_is_kept_with_the_step_that_changes_it(store: RelationalStore) -> None:
    office, made = Office(), put(store)
    assert store.releases.repository() is None
    with pytest.raises(NotFoundError):
        store.releases.document("root", 1)
    files = list_files({"meter-image/meter/1.4.0/full/a.img": b"image"})
    published = office.publish()
    verified = verify(made.release, (), who="a", now=2.0)
    store.releases.move(made.number, verified, targets=files, repository=published)
    assert store.releases.repository() == published
    assert tuple(store.releases.targets()) == files
    assert store.releases.target(files[0].path) == files[0]
    assert store.releases.document("root", 1) == published.roots[0]
    assert store.releases.document("timestamp") == published.timestamp
    assert files[0].sha256 in store.releases.used()
    approved = approve(verified, who="boris", now=3.0, why="tried")
    store.releases.move(made.number, approved, targets=())
    with pytest.raises(NotFoundError):
        store.releases.target(files[0].path)


def test_a_step_that_is_refused_leaves_the_repository(store: RelationalStore) -> None:
    office, made = Office(), put(store)
    verified = verify(made.release, (), who="a", now=2.0)
    store.releases.move(made.number, verified)
    with pytest.raises(ConflictError):
        store.releases.move(made.number, verified, repository=office.publish())
    assert store.releases.repository() is None


def test_older_documents_stay_for_a_while(store: RelationalStore) -> None:
    office = Office()
    first = office.publish()
    store.releases.publish(first, when=NOW)
    second = office.publish({"one": b"other"})
    store.releases.publish(second, when=NOW + 10)
    assert store.releases.document("targets", 1) == first.targets
    assert store.releases.document("timestamp") == second.timestamp
    assert store.releases.forget(before=NOW) == 0
    assert store.releases.forget(before=NOW + 20) == 2
    assert store.releases.repository() == second
    with pytest.raises(NotFoundError):
        store.releases.document("targets", 1)
    assert store.releases.document("root", 1) == second.roots[0]


def test_keys_of_vendors(store: RelationalStore) -> None:
    key = VendorKey(KEY.id.hex(), "Maker", "", KEY, 5.0, "anna")
    entry = AuditEntry("anna", 5.0, "key", "Maker")
    assert store.releases.add_key(key, entry=entry)
    assert not store.releases.add_key(key, entry=entry)
    assert store.releases.add_key(replace(key, product="meter"), entry=entry)
    found = store.releases.vendor_keys()
    assert [one.product for one in found] == ["", "meter"]
    assert found[0] == key
    assert found[0].key.id == KEY.id
    assert store.releases.remove_key(key.id, entry=entry) == 2
    with pytest.raises(NotFoundError):
        store.releases.remove_key(key.id, entry=entry)
    assert len(store.audit.list().items) == 3


def test_what_runs_is_withdrawn_only_from_where_it_stands(store: RelationalStore) -> None:
    made = put(store)
    with pytest.raises(ConflictError):
        withdraw(made.release, who="a", now=2.0, why="bad")


def test_files_are_kept_under_their_digest_and_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "files", most=100)
    blob = blobs.add(b"octets")
    assert blobs.add(b"octets") == blob
    assert (blobs.size, blobs.read(blob.sha256)) == (6, b"octets")
    assert [file.name for file in blobs.folder.iterdir()] == [blob.sha256]
    for other in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(NotFoundError):
            blobs.path(other)
    again = Blobs(tmp_path / "files", most=100)
    assert (again.size, again.read(blob.sha256)) == (6, b"octets")


def test_files_have_a_bound_and_half_a_file_leaves_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "files", most=10)
    blobs.add(b"12345")
    with blobs.incoming() as incoming:
        incoming.write(b"1234")
        with pytest.raises(StoreFullError):
            incoming.write(b"12")
    assert blobs.size == 5
    with blobs.incoming() as incoming:
        incoming.write(b"12345")
        incoming.flush()
        assert incoming.path.read_bytes() == b"12345"
    assert (blobs.size, len(list(blobs.folder.iterdir()))) == (5, 1)


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "files", most=10)
    incoming = blobs.incoming()
    incoming.write(b"123")
    incoming.flush()
    assert Blobs(tmp_path / "files", most=10).size == 0
    assert list(blobs.folder.iterdir()) == []
    incoming.__exit__(None, None, None)


def test_files_that_nobody_names_are_swept_once_they_are_old(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "files", most=100)
    kept, loose = blobs.add(b"kept"), blobs.add(b"loose")
    when = blobs.path(loose.sha256).stat().st_mtime
    assert blobs.sweep({kept.sha256}, before=when - 1) == 0
    assert blobs.sweep({kept.sha256}, before=when + 10) == 1
    assert (blobs.size, blobs.read(kept.sha256)) == (4, b"kept")
    with pytest.raises(NotFoundError):
        blobs.path(loose.sha256)


def test_what_the_file_system_refuses_is_an_error_of_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.write_bytes(b"")
    with pytest.raises(StoreError):
        Blobs(folder, most=100)
    folder.unlink()
    blobs = Blobs(folder, most=100)
    (folder / ("0" * 64)).mkdir()
    with pytest.raises(StoreError):
        blobs.sweep((), before=float("inf"))
    incoming = blobs.incoming()
    incoming.write(b"piece")
    incoming.path.unlink()
    incoming.path.mkdir()
    for _ in range(2):
        with pytest.raises(StoreError):
            incoming.close()
    assert blobs.size == 0


def test_a_page_of_releases_is_read_at_once(store: RelationalStore) -> None:
    for counter in range(5, 25):
        put(store, replace(MANIFEST, version=Version(1, counter, 0), counter=counter))
    asked: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    (last, *_) = store.releases.list().items
    assert len(store.releases.of_product(last.release.id)) == 20
    assert sum(text.startswith("SELECT") for text in asked) == 4
