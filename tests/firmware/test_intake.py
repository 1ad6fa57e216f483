"""What the checks of a release find: all of it at once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from openami.firmware import sbom
from openami.firmware.build import Plan, assemble, sign
from openami.firmware.image import Dependency
from openami.firmware.intake import check
from openami.firmware.keys import ImageKey, signer
from openami.firmware.manifest import (
    Attachment,
    Change,
    ChangeKind,
    Fit,
    Manifest,
    Prerequisite,
    ReleaseKind,
    SelfTest,
)
from openami.firmware.releases import Release, approve, let_out, refuse, upload, verify
from openami.firmware.version import Version

PRIVATE: Final = ec.derive_private_key(71, ec.SECP256R1())
KEY: Final = ImageKey(PRIVATE.public_key())
STRANGER: Final = ImageKey(ec.derive_private_key(72, ec.SECP256R1()).public_key())
PLAN: Final = Plan(
    Version(1, 4, 0),
    5,
    ("A", "B"),
    dependencies=(Dependency(0, Version(1, 2, 0)), Dependency(1, Version(9))),
)


def image(plan: Plan = PLAN) -> bytes:
    return sign(assemble(plan, b"payload"), KEY, signer(PRIVATE))


BOM: Final = json.dumps(
    {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "libc"}]}
).encode()
FILES: Final = {"a.img": image(), "a.pdf": b"document", "a.cdx.json": BOM}


def attachment(name: str, files: dict[str, bytes] = FILES) -> Attachment:
    return Attachment(name, len(files[name]), hashlib.sha256(files[name]).hexdigest())


MANIFEST: Final = Manifest(
    kind=ReleaseKind.METER_IMAGE,
    vendor="Maker",
    name="meter",
    version=Version(1, 4, 0),
    counter=5,
    made=date(2026, 11, 21),
    previous=Version(1, 3, 0),
    fits=(Fit("M", "A", "a.img"), Fit("M", "B", "a.img")),
    prerequisites=(
        Prerequisite("M", "A", Version(1, 2, 0)),
        Prerequisite("M", "B", Version(1, 3, 0)),
    ),
    changes=(Change(ChangeKind.FIX, "PR-1", "Better."),),
    problems=(),
    self_tests=(SelfTest("flash", "no error"),),
    images=(attachment("a.img"),),
    specification=attachment("a.pdf"),
    sbom=attachment("a.cdx.json"),
)


def uploaded(manifest: Manifest) -> Release:
    return upload(manifest, who="anna", now=1.0)


def released(manifest: Manifest) -> Release:
    verified = verify(uploaded(manifest), (), who="checks", now=2.0)
    approved = approve(verified, who="boris", now=3.0, why="tried")
    return let_out(approved, floor=0, who="anna", now=4.0)


def codes(manifest: Manifest, files: dict[str, bytes], *others: Release) -> list[str]:
    return [one.code for one in check(manifest, files, others, [KEY])]


def test_nothing_is_found_in_a_good_release() -> None:
    assert codes(MANIFEST, FILES) == []
    earlier = released(replace(MANIFEST, version=Version(1, 3, 0)))
    again = refuse(uploaded(MANIFEST), who="b", now=2.0, why="no")
    assert codes(MANIFEST, FILES, earlier, again) == []


@pytest.mark.fums("UC2-document")
def test_every_reason_is_named_at_once() -> None:
    bad = replace(MANIFEST, changes=(), problems=None)
    files = {"a.img": b"imago", "a.cdx.json": b"{}", "virus.exe": b""}
    other = released(replace(MANIFEST, counter=6))
    assert codes(bad, files, other) == [
        "firmware.manifest.missing.changes",
        "firmware.manifest.missing.problems",
        "firmware.release.file-differs",
        "firmware.release.file-missing",
        "firmware.release.file-differs",
        "firmware.release.file-unknown",
        "firmware.release.sbom",
        "firmware.cut",
        "firmware.release.counter",
        "firmware.release.version",
    ]
    nothing = replace(MANIFEST, sbom=None)
    assert codes(nothing, {}) == [
        "firmware.manifest.missing.sbom",
        "firmware.release.file-missing",
        "firmware.release.file-missing",
    ]


def bom(**fields: Any) -> bytes:
    return json.dumps({**json.loads(BOM), **fields}).encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (BOM, None),
        (bom(components=[], metadata={"component": {"name": "a"}}, score=7.5), None),
        (bom(components=[]), "it names no component"),
        (bom(components=[], metadata="a"), "it names no component"),
        (bom(specVersion="1.3"), "CycloneDX of another version than 1.4, 1.5, 1.6, 1.7"),
        (bom(specVersion=[]), "CycloneDX of another version than 1.4, 1.5, 1.6, 1.7"),
        (bom(bomFormat="SPDX"), "not CycloneDX"),
        (b"[]", "not CycloneDX"),
        (b"<bom/>", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (BOM.ljust(sbom.MAX_SIZE + 1), f"more than {sbom.MAX_SIZE} octets"),
    ],
)
def test_a_bill_of_materials_is_one(data: bytes, problem: str | None) -> None:
    assert sbom.problem(data) == problem


# What a meter would say of its image


def with_image(data: bytes) -> tuple[Manifest, dict[str, bytes]]:
    files = {**FILES, "a.img": data}
    return replace(MANIFEST, images=(attachment("a.img", files),)), files


def test_an_image_that_a_meter_would_refuse_is_not_released() -> None:
    manifest, files = with_image(image()[:-1])
    assert codes(manifest, files) == ["firmware.cut"]
    flipped = bytearray(image())
    flipped[33] ^= 1
    assert codes(*with_image(bytes(flipped))) == ["firmware.hash"]
    strangers = check(MANIFEST, FILES, (), [STRANGER])
    assert [one.code for one in strangers] == ["firmware.key"]
    assert strangers[0].text.startswith("a.img: ")
    assert [one.code for one in check(MANIFEST, FILES, (), [])] == ["firmware.key"]


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (replace(PLAN, version=Version(1, 4, 1)), "a.img: it is of version 1.4.1"),
        (replace(PLAN, counter=4), "a.img: its security counter is 4"),
        (replace(PLAN, hardware=("A",)), "a.img: it is not for the hardware B"),
        (
            replace(PLAN, dependencies=(Dependency(0, Version(1, 2, 1)),)),
            "a.img: M A needs 1.2.1 first, which the manifest does not say",
        ),
    ],
)
def test_an_image_is_what_the_manifest_says(plan: Plan, text: str) -> None:
    manifest, files = with_image(image(plan))
    found = check(manifest, files, (), [KEY])
    assert [(one.code, one.text) for one in found] == [("firmware.release.image", text)]


@pytest.mark.fums("UC2-devices")
def test_a_prerequisite_of_the_image_is_said_for_every_type() -> None:
    found = check(replace(MANIFEST, prerequisites=()), FILES, (), [KEY])
    assert len(found) == 2
    free = image(replace(PLAN, dependencies=()))
    manifest, files = with_image(free)
    assert codes(replace(manifest, prerequisites=()), files) == []


def test_software_of_a_dcu_is_no_image() -> None:
    files = {**FILES, "a.img": b"a program"}
    images = (attachment("a.img", files),)
    manifest = replace(MANIFEST, kind=ReleaseKind.DCU_FIRMWARE, images=images)
    assert check(manifest, files, (), []) == ()
