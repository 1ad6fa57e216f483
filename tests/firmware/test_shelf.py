"""What differs between two manifests, and for which releases a vendor's key counts."""

from __future__ import annotations

from dataclasses import replace

from tests.firmware.test_intake import KEY, MANIFEST

from openami.firmware.manifest import Change, ChangeKind, Fit, Problem
from openami.firmware.manifest_diff import Difference, differences
from openami.firmware.shelf import VendorKey
from openami.firmware.version import Version


def test_the_same_manifest_has_no_differences() -> None:
    assert differences(MANIFEST, MANIFEST) == ()


def test_each_field_that_differs_is_named_with_both_values() -> None:
    image = replace(MANIFEST.images[0], sha256="0" * 64)
    later = replace(
        MANIFEST,
        version=Version(1, 5, 0),
        specification=None,
        fits=(*MANIFEST.fits, Fit("N", "A", "a.img")),
        problems=(Problem("P-1", "Dark."),),
        images=(image,),
    )
    found = {one.field: one for one in differences(MANIFEST, later)}
    assert found["version"] == Difference("version", "1.4.0", "1.5.0")
    assert found["specification.name"] == Difference("specification.name", "a.pdf", None)
    assert found["fits[N A].image"] == Difference("fits[N A].image", None, "a.img")
    assert found["problems"] == Difference("problems", "none", None)
    assert found["problems[P-1].text"].after == "Dark."
    assert found["images[a.img].sha256"].after == "0" * 64
    assert len(found) == 8


def test_changes_with_one_reference_are_told_apart() -> None:
    one, two = (Change(ChangeKind.FIX, "PR-1", text) for text in ("a", "b"))
    both, other = replace(MANIFEST, changes=(one, two)), replace(MANIFEST, changes=(one, one))
    (found,) = differences(both, other)
    assert found == Difference("changes[fix PR-1 #2].text", "b", "a")


def test_a_vendors_key_counts_for_its_products() -> None:
    key = VendorKey(KEY.id.hex(), "Maker", "", KEY, 1.0, "anna")
    assert key.counts_for(MANIFEST)
    assert replace(key, product="meter").counts_for(MANIFEST)
    assert not replace(key, product="other").counts_for(MANIFEST)
    assert not replace(key, vendor="Other").counts_for(MANIFEST)
