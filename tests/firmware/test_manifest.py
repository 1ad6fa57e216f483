"""Manifests: what they say, what has to be in them, and what is none."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.firmware import manifest_codec
from openami.firmware.manifest import (
    Attachment,
    Change,
    ChangeKind,
    Fit,
    Manifest,
    Prerequisite,
    Problem,
    ReleaseKind,
    SelfTest,
    missing,
)
from openami.firmware.version import Version

DIGEST: Final = "ab" * 32
WHOLE: Final = Manifest(
    kind=ReleaseKind.METER_IMAGE,
    vendor="한빛계기 & Söhne",
    name="meter-gw100",
    version=Version(1, 4, 2, 7),
    counter=3,
    made=date(2026, 11, 21),
    previous=Version(1, 4, 1),
    fits=(Fit("GW-100", "rev B", "gw100.img"), Fit("GW-100", "rev C", "gw100.img")),
    prerequisites=(Prerequisite("GW-100", "rev B", Version(1, 2, 0)),),
    changes=(
        Change(ChangeKind.FEATURE, "REQ-12", "Reports voltage sags.\nEach with its duration."),
        Change(ChangeKind.FIX, "PR-7", "The clock is right on 29 February."),
    ),
    problems=(Problem("PR-9", "The display is dark below −25 °C."),),
    self_tests=(SelfTest("metrology", "registers unchanged"), SelfTest("flash", "no error")),
    images=(Attachment("gw100.img", 262_144, DIGEST),),
    specification=Attachment("gw100-1.4.2.pdf", 1_000_000, "cd" * 32),
    sbom=Attachment("gw100-1.4.2.cdx.json", 9_000, "ef" * 32),
)
# The one form of WHOLE, written by hand from the schema.
OCTETS: Final = (
    '{"changes":[{"kind":"feature","reference":"REQ-12","text":"Reports voltage sags.\\nEach with'
    ' its duration."},{"kind":"fix","reference":"PR-7","text":"The clock is right on 29 February.'
    '"}],"counter":3,"date":"2026-11-21","fits":[{"hardware":"rev B","image":"gw100.img","model":'
    '"GW-100"},{"hardware":"rev C","image":"gw100.img","model":"GW-100"}],"images":[{"name":'
    f'"gw100.img","sha256":"{DIGEST}","size":262144}}],"kind":"meter-image","name":"meter-gw100",'
    '"prerequisites":[{"hardware":"rev B","model":"GW-100","version":"1.2.0"}],"previous":"1.4.1",'
    '"problems":[{"reference":"PR-9","text":"The display is dark below −25 °C."}],"sbom":{"name":'
    f'"gw100-1.4.2.cdx.json","sha256":"{"ef" * 32}","size":9000}},"schema":1,"self_tests":[{{'
    '"expect":"registers unchanged","name":"metrology"},{"expect":"no error","name":"flash"}],'
    f'"specification":{{"name":"gw100-1.4.2.pdf","sha256":"{"cd" * 32}","size":1000000}},'
    '"vendor":"한빛계기 & Söhne","version":"1.4.2+7"}'
).encode()
BARE: Final = Manifest(ReleaseKind.DCU_FIRMWARE, "Maker", "agent", Version(1), 0)


def changed(**values: Any) -> bytes:
    document = json.loads(OCTETS)
    for name, value in values.items():
        document[name] = value
    return json.dumps(document).encode()


def without(name: str) -> bytes:
    document = json.loads(OCTETS)
    del document[name]
    return json.dumps(document).encode()


def codes(manifest: Manifest) -> list[str]:
    return [one.code.removeprefix("firmware.manifest.missing.") for one in missing(manifest)]


def test_the_vector_both_ways() -> None:
    assert manifest_codec.decode(OCTETS) == WHOLE
    assert manifest_codec.encode(WHOLE) == OCTETS
    for size in range(len(OCTETS)):
        with pytest.raises(DecodeError):
            manifest_codec.decode(OCTETS[:size])


def test_a_spelling_by_hand_has_one_form() -> None:
    by_hand = json.dumps(dict(reversed(json.loads(OCTETS).items())), indent=4).encode()
    assert manifest_codec.encode(manifest_codec.decode(by_hand)) == OCTETS


def test_a_manifest_that_says_nothing_is_taken_to_be_told_what_is_missing() -> None:
    data = manifest_codec.encode(BARE)
    assert manifest_codec.decode(data) == BARE
    assert codes(BARE) == [
        "previous", "changes", "fits", "prerequisites", "specification",
        "self-tests", "problems", "images", "sbom", "date",
    ]  # fmt: skip
    assert all(one.text for one in missing(BARE))


def test_nothing_is_missing_in_a_whole_one() -> None:
    assert missing(WHOLE) == ()
    assert missing(replace(WHOLE, previous=None, first=True)) == ()
    assert missing(replace(WHOLE, prerequisites=(), problems=())) == ()  # said that there are none


@pytest.mark.fums("UC2-document", "UC2-changes", "UC2-devices")
@pytest.mark.parametrize(
    ("field", "name", "code"),
    [
        ("made", "date", "date"),
        ("previous", "previous", "previous"),
        ("fits", "fits", "fits"),
        ("prerequisites", "prerequisites", "prerequisites"),
        ("changes", "changes", "changes"),
        ("problems", "problems", "problems"),
        ("self_tests", "self_tests", "self-tests"),
        ("specification", "specification", "specification"),
        ("sbom", "sbom", "sbom"),
    ],
)
def test_each_thing_that_is_not_said_is_named(field: str, name: str, code: str) -> None:
    nothing: Any = next(one.default for one in fields(Manifest) if one.name == field)
    assert codes(replace(WHOLE, **{field: nothing})) == [code]
    assert codes(manifest_codec.decode(without(name))) == [code]


@pytest.mark.fums("UC2-changes")
def test_a_fix_names_the_problem_that_it_solves() -> None:
    silent = [{"kind": "fix", "reference": "", "text": "Better."}]
    manifest = manifest_codec.decode(
        changed(changes=silent, problems=[{"reference": "", "text": "x"}])
    )
    assert codes(manifest) == ["reference", "reference"]
    assert manifest_codec.decode(manifest_codec.encode(manifest)) == manifest


def test_the_first_version_says_that_it_is() -> None:
    manifest = manifest_codec.decode(changed(previous="none"))
    assert (manifest.first, manifest.previous) == (True, None)
    assert manifest_codec.decode(manifest_codec.encode(manifest)) == manifest


def test_an_image_is_for_a_type_of_device() -> None:
    assert WHOLE.image_for("GW-100", "rev C") == WHOLE.images[0]
    assert WHOLE.image_for("GW-100", "rev D") is None
    assert WHOLE.attachments == (*WHOLE.images, WHOLE.specification, WHOLE.sbom)
    assert BARE.attachments == ()


def test_a_file_is_the_one_that_is_named() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Attachment("x", 0, empty).matches(b"")
    assert not Attachment("x", 1, empty).matches(b"")
    assert not Attachment("x", 1, empty).matches(b"x")


FILE: Final = {"name": "a", "size": 1, "sha256": DIGEST}
BAD: Final[dict[str, bytes]] = {
    "not JSON": b"{",
    "not UTF-8": b'{"schema":1,"vendor":"\xff"}',
    "not an object": b"[]",
    "too deep": b"[" * 100_000,
    "a number of too many digits": b'{"schema":' + b"1" * 5000 + b"}",
    "a name twice": OCTETS.replace(b'"counter":3', b'"counter":3,"counter":4'),
    "another schema": changed(schema=2),
    "a schema that is no number": changed(schema=True),
    "no schema": without("schema"),
    "no kind": without("kind"),
    "no vendor": without("vendor"),
    "no name": without("name"),
    "no version": without("version"),
    "no counter": without("counter"),
    "another kind": changed(kind="toaster"),
    "a field more": changed(approved=True),
    "a field more inside": changed(images=[{**FILE, "url": "x"}]),
    "a path for a name": changed(name="../x"),
    "a name that is hidden": changed(name=".x"),
    "a name that is too long": changed(name="x" * 65),
    "an empty vendor": changed(vendor=""),
    "a vendor that is too long": changed(vendor="x" * 121),
    "a vendor of two lines": changed(vendor="a\nb"),
    "text that turns around": changed(vendor="a\u202eb"),
    "text that is not seen": changed(vendor="a\u200bb"),
    "half a character": changed(vendor="\ud800"),
    "a version of two parts": changed(version="1.4"),
    "a version with needless digits": changed(version="01.4.2"),
    "a version out of range": changed(version="256.0.0"),
    "a version that is a number": changed(version=1),
    "a negative counter": changed(counter=-1),
    "a counter of 33 bits": changed(counter=2**32),
    "a counter with a fraction": changed(counter=1.0),
    "no such day": changed(date="2026-02-30"),
    "a day of another form": changed(date="20261121"),
    "a list that is an object": changed(fits={}),
    "a list of texts": changed(fits=["GW-100"]),
    "a list that is too long": changed(changes=[{"kind": "fix", "reference": "1", "text": "x"}] * 1025),
    "too many images": changed(images=[{**FILE, "name": f"a{n}"} for n in range(33)], fits=[]),
    "an empty image": changed(images=[{**FILE, "size": 0}], fits=[]),
    "an image that is too large": changed(images=[{**FILE, "size": 2**30 + 1}], fits=[]),
    "a digest in capitals": changed(images=[{**FILE, "sha256": "AB" * 32}], fits=[]),
    "a digest that is cut": changed(sbom={**FILE, "sha256": "ab"}),
    "a paper that is nothing": changed(sbom=None),
    "hardware with a space at its end": changed(fits=[{"model": "m", "hardware": "h ", "image": "gw100.img"}]),
    "an image that is not there": changed(fits=[{"model": "m", "hardware": "h", "image": "b"}]),
    "a type twice": changed(fits=[{"model": "m", "hardware": "h", "image": "gw100.img"}] * 2),
    "a prerequisite twice": changed(prerequisites=[{"model": "m", "hardware": "h", "version": "1.0.0"}] * 2),
    "a file twice": changed(sbom={**FILE, "name": "gw100.img"}),
    "another change": changed(changes=[{"kind": "wish", "reference": "", "text": "x"}]),
    "a change without words": changed(changes=[{"kind": "fix", "reference": "", "text": ""}]),
    "too long": OCTETS.ljust(manifest_codec.MAX_SIZE + 1),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_manifest(what: str) -> None:
    with pytest.raises(DecodeError) as caught:
        manifest_codec.decode(BAD[what])
    assert caught.value.code == "firmware.manifest.malformed"
    assert len(str(caught.value)) < 400


def test_an_error_says_where() -> None:
    with pytest.raises(DecodeError, match=r"^images\[0\]\.sha256: not as wanted: 64 small"):
        manifest_codec.decode(changed(images=[{**FILE, "sha256": "x"}]))
    with pytest.raises(DecodeError, match=r"^specification: not as wanted: no field 'url'"):
        manifest_codec.decode(changed(specification={**FILE, "url": "x"}))
    with pytest.raises(DecodeError, match=r"^the document: not as wanted: no field 'approved'"):
        manifest_codec.decode(changed(approved=True))


def test_the_manifest_in_the_reference_is_whole() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/releases.md").read_text(encoding="utf-8")
    manifest = manifest_codec.decode(page.split("```json\n")[1].split("```")[0].encode())
    assert missing(manifest) == ()
    named = {f"firmware.manifest.missing.{code}" for code in [*codes(BARE), "reference"]}
    assert all(f"`{code}`" in page for code in named)


TOKENS: Final = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
TEXTS: Final = st.text("ab가é ,.", min_size=1, max_size=40)
VERSIONS: Final = st.builds(
    Version,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
)
FILES: Final = st.builds(
    Attachment, TOKENS, st.integers(1, 2**30), st.from_regex("[0-9a-f]{64}", fullmatch=True)
)
PAIRS: Final = st.lists(st.tuples(TOKENS, TOKENS), unique=True, max_size=3)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    files = draw(st.lists(FILES, unique_by=lambda one: one.name, min_size=3, max_size=5))
    images = tuple(files[2:])
    types, needs = draw(PAIRS), draw(st.none() | PAIRS)
    first = draw(st.booleans())
    return Manifest(
        kind=draw(st.sampled_from(ReleaseKind)),
        vendor=draw(TEXTS),
        name=draw(TOKENS),
        version=draw(VERSIONS),
        counter=draw(st.integers(0, 2**32 - 1)),
        made=draw(st.none() | st.dates()),
        previous=None if first else draw(st.none() | VERSIONS),
        first=first,
        fits=tuple(Fit(*pair, draw(st.sampled_from(images)).name) for pair in types),
        prerequisites=None if needs is None else tuple(Prerequisite(*pair, draw(VERSIONS)) for pair in needs),
        changes=tuple(draw(st.lists(st.builds(Change, st.sampled_from(ChangeKind), st.just("") | TEXTS, TEXTS), max_size=3))),
        problems=draw(st.none() | st.lists(st.builds(Problem, TEXTS, TEXTS), max_size=3).map(tuple)),
        self_tests=tuple(draw(st.lists(st.builds(SelfTest, TOKENS, TEXTS), max_size=2))),
        images=images,
        specification=draw(st.sampled_from([None, files[0]])),
        sbom=draw(st.sampled_from([None, files[1]])),
    )  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(manifests())
def test_any_manifest_comes_back(manifest: Manifest) -> None:
    data = manifest_codec.encode(manifest)
    assert manifest_codec.decode(data) == manifest
    assert manifest_codec.encode(manifest_codec.decode(data)) == data


LEAVES: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON: Final = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(json.loads(OCTETS))), value=JSON)
def test_anything_anywhere_is_a_manifest_or_one_error(name: str, value: Any) -> None:
    try:
        manifest = manifest_codec.decode(changed(**{name: value}))
    except DecodeError as error:
        assert error.code == "firmware.manifest.malformed"  # noqa: PT017 - either is right
    else:
        assert manifest_codec.decode(manifest_codec.encode(manifest)) == manifest


@given(st.binary(max_size=60))
def test_octets_are_a_manifest_or_one_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        manifest_codec.decode(data)
