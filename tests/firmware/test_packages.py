"""Packages: which files, at which paths, and what a DCU makes of them."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import date
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.repositories import NOW, Office, fetch

from openami.core.errors import DecodeError, SecurityError
from openami.firmware import manifest_codec, packages
from openami.firmware.delta import MAX_FILE
from openami.firmware.manifest import Attachment, Fit, Manifest, ReleaseKind
from openami.firmware.packages import MAX_DELTAS, PackageId, Place, list_files, pack, unpack
from openami.firmware.target import TargetFile
from openami.firmware.trust import Trusted
from openami.firmware.version import Version

CHANCE: Final = random.Random(4)
OLD: Final = CHANCE.randbytes(4000)
NEW: Final = OLD[:2000] + b"new" + OLD[2000:]
OTHER: Final = CHANCE.randbytes(1000)
DIGEST: Final = hashlib.sha256(OLD).hexdigest()


def attachment(name: str, data: bytes) -> Attachment:
    return Attachment(name, len(data), hashlib.sha256(data).hexdigest())


MANIFEST: Final = Manifest(
    kind=ReleaseKind.DCU_FIRMWARE,
    vendor="Maker",
    name="agent",
    version=Version(1, 2, 0, 3),
    counter=1,
    made=date(2026, 11, 21),
    fits=(Fit("DC-1", "A", "agent.img"), Fit("DC-1", "B", "other.img")),
    images=(attachment("agent.img", NEW), attachment("other.img", OTHER)),
)
IMAGES: Final = {"agent.img": NEW, "other.img": OTHER}
ID: Final = PackageId(ReleaseKind.DCU_FIRMWARE, "agent", Version(1, 2, 0, 3))
FOLDER: Final = "dcu-firmware/agent/1.2.0+3"


def packed() -> dict[str, bytes]:
    return pack(MANIFEST, IMAGES, {"agent.img": [OLD]})


def test_a_package_is_a_folder_of_files() -> None:
    files = packed()
    assert set(files) == {
        f"{FOLDER}/manifest.json",
        f"{FOLDER}/full/agent.img",
        f"{FOLDER}/full/other.img",
        f"{FOLDER}/delta/{DIGEST}/agent.img",
    }
    assert files[f"{FOLDER}/manifest.json"] == manifest_codec.encode(MANIFEST)
    assert files[f"{FOLDER}/full/agent.img"] == NEW
    assert len(files[f"{FOLDER}/delta/{DIGEST}/agent.img"]) < 500


def test_a_dcu_takes_the_delta_for_what_it_has_and_else_the_whole() -> None:
    files = packed()
    package = packages.packages(list_files(files))[ID]
    manifest = package.read_manifest(files[package.manifest.path])
    assert manifest == MANIFEST
    image = manifest.image_for("DC-1", "A")
    assert image is not None
    for installed, part in ((OLD, "delta"), (OTHER, "full"), (None, "full")):
        digest = None if installed is None else hashlib.sha256(installed).hexdigest()
        file = package.least(image, digest)
        assert file.path.split("/")[3] == part
        assert unpack(file, files[file.path], image, installed) == NEW
    other = manifest.image_for("DC-1", "B")
    assert other is not None
    assert package.least(other, DIGEST).path == f"{FOLDER}/full/other.img"


def test_a_package_comes_through_a_repository() -> None:
    office, files = Office(), packed()
    published = office.publish(files)
    trusted = fetch(Trusted.start(office.roots[0]), published.files(), now=NOW)[0].trusted
    found = packages.packages(trusted.all_targets(now=NOW))
    assert found == packages.packages(list_files(files))


def test_a_delta_that_is_not_smaller_is_not_kept() -> None:
    files = pack(MANIFEST, IMAGES, {"agent.img": [OTHER], "other.img": [b"x"]})
    assert len(files) == 3
    place = Place(ID, "agent.img", DIGEST)
    large = [*list_files(files), TargetFile(str(place), len(NEW), "ab" * 32)]
    package = packages.packages(large)[ID]
    assert package.least(MANIFEST.images[0], DIGEST).path == f"{FOLDER}/full/agent.img"


def test_deltas_are_few() -> None:
    sources = [OLD[n:] for n in range(MAX_DELTAS + 2)]
    files = pack(MANIFEST, IMAGES, {"agent.img": sources})
    assert len([path for path in files if "/delta/" in path]) == MAX_DELTAS
    assert f"{FOLDER}/delta/{DIGEST}/agent.img" in files  # the likeliest first


def test_no_delta_is_made_of_a_file_that_is_too_large() -> None:
    files = pack(MANIFEST, IMAGES, {"agent.img": [bytes(MAX_FILE + 1), OLD]})
    assert [path for path in files if "/delta/" in path] == [f"{FOLDER}/delta/{DIGEST}/agent.img"]


@pytest.mark.parametrize("images", [{}, {**IMAGES, "agent.img": OLD}])
def test_an_image_that_the_manifest_does_not_name_is_not_packed(images: dict[str, bytes]) -> None:
    with pytest.raises(SecurityError) as caught:
        pack(MANIFEST, images, {})
    assert caught.value.code == "firmware.package.image"


# A manifest that was replaced


@pytest.mark.parametrize(
    "other",
    [
        replace(MANIFEST, name="another"),
        replace(MANIFEST, version=Version(1, 3)),
        replace(MANIFEST, kind=ReleaseKind.DCU_COMPONENT),
        replace(MANIFEST, images=(attachment("agent.img", OLD), MANIFEST.images[1])),
        replace(MANIFEST, images=MANIFEST.images[:1], fits=MANIFEST.fits[:1]),
    ],
)
def test_a_manifest_of_another_release_is_refused(other: Manifest) -> None:
    files = {**packed(), f"{FOLDER}/manifest.json": manifest_codec.encode(other)}
    package = packages.packages(list_files(files))[ID]
    with pytest.raises(SecurityError) as caught:
        package.read_manifest(files[package.manifest.path])
    assert caught.value.code == "firmware.package.manifest"


def test_a_manifest_that_targets_do_not_name_is_refused() -> None:
    package = packages.packages(list_files(packed()))[ID]
    other = manifest_codec.encode(replace(MANIFEST, counter=2))
    with pytest.raises(SecurityError) as caught:
        package.read_manifest(other)
    assert caught.value.code == "firmware.trust.payload"


def test_an_image_of_a_listed_file_that_the_manifest_does_not_name_is_refused() -> None:
    """Targets and manifest disagree: neither alone lets it in."""
    files = packed()
    file = TargetFile(f"{FOLDER}/full/agent.img", len(OLD), DIGEST)
    with pytest.raises(SecurityError) as caught:
        unpack(file, OLD, MANIFEST.images[0], None)
    assert caught.value.code == "firmware.package.image"
    patch = next(one for one in list_files(files) if "/delta/" in one.path)
    with pytest.raises(SecurityError) as caught:
        unpack(patch, files[patch.path], MANIFEST.images[0], OTHER)
    assert caught.value.code == "firmware.delta.source"
    with pytest.raises(DecodeError):  # the image of the manifest bounds what a delta may give
        unpack(patch, files[patch.path], MANIFEST.images[1], OLD)


# Paths


@pytest.mark.parametrize(
    "place",
    [Place(ID), Place(ID, "agent.img"), Place(ID, "agent.img", DIGEST)],
)
def test_a_place_is_a_path_both_ways(place: Place) -> None:
    assert Place.parse(str(place)) == place


def test_the_longest_path_fits() -> None:
    longest = PackageId(ReleaseKind.DCU_COMPONENT, "n" * 64, Version(255, 255, 65535, 2**32 - 1))
    place = Place(longest, "i" * 64, DIGEST)
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "path",
    [
        "",
        "manifest.json",
        "/dcu-firmware/agent/1.2.0/manifest.json",
        "toaster/agent/1.2.0/manifest.json",
        "dcu-firmware/../1.2.0/manifest.json",
        "dcu-firmware/agent/1.2/manifest.json",
        "dcu-firmware/agent/01.2.0/manifest.json",
        "dcu-firmware/agent/1.2.0+0/manifest.json",
        "dcu-firmware/agent/1.2.0/manifest.json/x",
        "dcu-firmware/agent/1.2.0/manifest.json\n",
        "dcu-firmware/agent/1.2.0/full/",
        "dcu-firmware/agent/1.2.0/full/..",
        "dcu-firmware/agent/1.2.0/full/a/b",
        "dcu-firmware/agent/1.2.0/delta/agent.img",
        "dcu-firmware/agent/1.2.0/delta/abcd/agent.img",
        f"dcu-firmware/agent/1.2.0/delta/{DIGEST.upper()}/agent.img",
        f"dcu-firmware/agent/1.2.0/full/{'x' * 65}",
        f"dcu-firmware/{'x/' * 400}",
    ],
)
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Place.parse(path)
    assert caught.value.code == "firmware.package.path"


@given(st.text("adfulmnist/.0+", max_size=60))
def test_a_path_is_in_its_one_form_or_none(path: str) -> None:
    try:
        assert str(Place.parse(path)) == path
    except DecodeError:
        return


def test_files_of_other_kinds_are_left_out() -> None:
    files = [*list_files({"notice.txt": b"x", "dcu-firmware/lone/1.0.0/full/a": b"x"})]
    assert packages.packages(files) == {}
