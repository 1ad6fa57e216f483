"""The life of a release, and whether it is for a device."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final

import pytest

from openami.core.errors import ConflictError
from openami.firmware import manifest_codec
from openami.firmware.fits import Installed, why_not
from openami.firmware.manifest import (
    Attachment,
    Change,
    ChangeKind,
    Finding,
    Fit,
    Manifest,
    Prerequisite,
    ReleaseKind,
    SelfTest,
)
from openami.firmware.packages import PackageId
from openami.firmware.releases import (
    MAX_REASON,
    TRANSITIONS,
    Act,
    Release,
    ReleaseState,
    StopCampaigns,
    approve,
    counter_floor,
    let_out,
    refuse,
    upload,
    verify,
    withdraw,
)
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

BOM: Final = json.dumps(
    {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "libc"}]}
).encode()
FILES: Final = {"a.img": b"image", "a.pdf": b"document", "a.cdx.json": BOM}


def attachment(name: str) -> Attachment:
    return Attachment(name, len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest())


MANIFEST: Final = Manifest(
    kind=ReleaseKind.METER_IMAGE,
    vendor="Maker",
    name="meter",
    version=Version(1, 4, 0),
    counter=5,
    made=date(2026, 11, 21),
    previous=Version(1, 3, 0),
    fits=(Fit("M", "A", "a.img"), Fit("M", "B", "a.img"), Fit("N", "C", "a.img")),
    prerequisites=(Prerequisite("M", "B", Version(1, 2, 0)),),
    changes=(Change(ChangeKind.FIX, "PR-1", "Better."),),
    problems=(),
    self_tests=(SelfTest("flash", "no error"),),
    images=(attachment("a.img"),),
    specification=attachment("a.pdf"),
    sbom=attachment("a.cdx.json"),
)
ID: Final = PackageId.of(MANIFEST)


def uploaded(manifest: Manifest = MANIFEST) -> Release:
    return upload(manifest, who="anna", now=1.0)


def approved(manifest: Manifest = MANIFEST) -> Release:
    verified = verify(uploaded(manifest), (), who="checks", now=2.0)
    return approve(verified, who="boris", now=3.0, why="tried on the bench")


def released(manifest: Manifest = MANIFEST) -> Release:
    return let_out(approved(manifest), floor=0, who="anna", now=4.0)


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(ConflictError) as caught:
        act()
    return caught.value.code.removeprefix("firmware.release.")


def test_a_release_from_its_upload_to_its_end() -> None:
    release, effects = withdraw(released(), who="clara", now=5.0, why="clocks stop")
    assert release.state is ReleaseState.WITHDRAWN
    assert effects == (StopCampaigns(ID),)
    assert [(one.act, one.who, one.when, one.why) for one in release.events] == [
        (Act.UPLOAD, "anna", 1.0, ""),
        (Act.VERIFY, "checks", 2.0, ""),
        (Act.APPROVE, "boris", 3.0, "tried on the bench"),
        (Act.RELEASE, "anna", 4.0, ""),
        (Act.WITHDRAW, "clara", 5.0, "clocks stop"),
    ]
    steps = [(one.before, one.after) for one in release.events]
    assert steps[0] == (None, ReleaseState.UPLOADED)
    assert all(steps[n][1] is steps[n + 1][0] for n in range(4))
    digest = hashlib.sha256(manifest_codec.encode(MANIFEST)).hexdigest()
    assert {one.digest for one in release.events} == {release.digest} == {digest}
    assert (release.id, release.counter, release.uploader) == (ID, 5, "anna")


ACTS: Final[dict[Act, Callable[[Release], object]]] = {
    Act.VERIFY: lambda one: verify(one, (), who="x", now=9.0),
    Act.APPROVE: lambda one: approve(one, who="x", now=9.0, why="x"),
    Act.RELEASE: lambda one: let_out(one, floor=0, who="x", now=9.0),
    Act.WITHDRAW: lambda one: withdraw(one, who="x", now=9.0, why="x"),
    Act.REFUSE: lambda one: refuse(one, who="x", now=9.0, why="x"),
}


@pytest.mark.parametrize("state", ReleaseState)
@pytest.mark.parametrize("act", ACTS)
def test_no_step_is_left_out_or_taken_back(state: ReleaseState, act: Act) -> None:
    release = replace(uploaded(), state=state)
    if (state, act) in TRANSITIONS:
        ACTS[act](release)
    else:
        assert code_of(lambda: ACTS[act](release)) == "transition"


@pytest.mark.parametrize("who", ["anna", "Anna", "ANNA"])
def test_who_uploads_does_not_approve(who: str) -> None:
    verified = verify(uploaded(), (), who="checks", now=2.0)
    assert code_of(lambda: approve(verified, who=who, now=3.0, why="mine")) == "four-eyes"


def test_what_the_checks_find_refuses_a_release() -> None:
    found = (Finding("firmware.manifest.missing.sbom", "the bill of materials"),)
    release = verify(uploaded(), found, who="checks", now=2.0)
    assert release.state is ReleaseState.REFUSED
    assert release.events[-1].findings == found
    assert release.events[-1].act is Act.REFUSE


@pytest.mark.parametrize("why", ["", "x" * (MAX_REASON + 1), "a\u202eb"])
def test_a_word_of_a_person_has_a_reason(why: str) -> None:
    verified = verify(uploaded(), (), who="checks", now=2.0)
    out = released()
    for act in (
        lambda: approve(verified, who="boris", now=3.0, why=why),
        lambda: refuse(verified, who="boris", now=3.0, why=why),
        lambda: withdraw(out, who="boris", now=5.0, why=why),
    ):
        assert code_of(act) == "reason"
    assert refuse(verified, who="boris", now=3.0, why="no\nreally").state is ReleaseState.REFUSED
    if why:
        assert code_of(lambda: upload(MANIFEST, who="anna", now=1.0, why=why)) == "reason"


def test_no_counter_below_one_that_was_let_out() -> None:
    others = [
        released(),
        withdraw(released(replace(MANIFEST, counter=6)), who="b", now=5.0, why="bad")[0],
        approved(replace(MANIFEST, counter=7)),
        released(replace(MANIFEST, counter=8, name="other")),
        released(replace(MANIFEST, counter=9, kind=ReleaseKind.DCU_COMPONENT)),
    ]
    floor = counter_floor(others, ID)
    assert floor == 6  # what was withdrawn was installed somewhere
    assert counter_floor([], ID) == 0
    assert code_of(lambda: let_out(approved(), floor=floor, who="a", now=4.0)) == "counter"
    same = approved(replace(MANIFEST, counter=6))
    assert let_out(same, floor=floor, who="a", now=4.0).state is ReleaseState.RELEASED


# Whether it is for a device


@pytest.mark.fums("UC2-devices")
@pytest.mark.parametrize(
    ("device", "code"),
    [
        (Installed("M", "A", Version(1, 3, 0), 5), None),
        (Installed("M", "A"), None),
        (Installed("M", "B", Version(1, 2, 0), 0), None),
        (Installed("X", "A", Version(1, 3, 0)), "model"),
        (Installed("M", "C", Version(1, 3, 0)), "hardware"),
        (Installed("M", "A", Version(1, 4, 0), 5), "same"),
        (Installed("M", "A", Version(1, 3, 0), 6), "counter"),
        (Installed("M", "A", Version(2, 0, 0), 6), "counter"),
        (Installed("M", "A", Version(1, 4, 1), 5), "older"),
        (Installed("M", "B", Version(1, 1, 9), 0), "prerequisite"),
        (Installed("M", "B"), "prerequisite"),
    ],
)
def test_a_release_is_for_a_device_or_says_why_not(device: Installed, code: str | None) -> None:
    reason = why_not(MANIFEST, device)
    assert (reason and reason.code) == (code and f"firmware.fit.{code}")


def test_an_emergency_downgrade_is_a_release_of_its_own() -> None:
    """The old code under a higher version and no lower counter is taken; the old image is not."""
    device = Installed("M", "A", Version(1, 4, 0), 5)
    old = replace(MANIFEST, version=Version(1, 3, 0), counter=4)
    reason = why_not(old, device)
    assert reason is not None
    assert reason.code == "firmware.fit.counter"
    assert why_not(replace(MANIFEST, version=Version(1, 4, 1)), device) is None
