"""The life of a release: who takes it in, who approves it, who lets it out and calls it back.

Each function takes a release as it is and returns it as it is to be, with one more event for the
audit log. A store commits both or neither. What is refused raises ``ConflictError``, with one of

- ``firmware.release.transition``: the release is not where this step begins;
- ``firmware.release.four-eyes``: who uploaded it may not approve it;
- ``firmware.release.counter``: a release of the product with a higher counter was let out before;
- ``firmware.release.reason``: a reason is wanted, and is not there or too long.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.firmware import manifest_codec
from openami.firmware.documents import check_text
from openami.firmware.packages import PackageId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.firmware.manifest import Finding, Manifest

MAX_REASON: Final = 500  # characters: some lines on a page, and one row of the audit log


class ReleaseState(StrEnum):
    """How far a release is."""

    UPLOADED = "uploaded"
    VERIFIED = "verified"
    APPROVED = "approved"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"


class Act(StrEnum):
    """What moves a release."""

    UPLOAD = "upload"
    VERIFY = "verify"
    APPROVE = "approve"
    RELEASE = "release"
    WITHDRAW = "withdraw"
    REFUSE = "refuse"


_S, _A = ReleaseState, Act

# One way, without return: what was refused or withdrawn comes again as a new upload, so that nobody
# approves what is not the same any more. Only what is released is offered to devices.
TRANSITIONS: Final[Mapping[tuple[ReleaseState, Act], ReleaseState]] = {
    (_S.UPLOADED, _A.VERIFY): _S.VERIFIED,
    (_S.UPLOADED, _A.REFUSE): _S.REFUSED,
    (_S.VERIFIED, _A.APPROVE): _S.APPROVED,
    (_S.VERIFIED, _A.REFUSE): _S.REFUSED,
    (_S.APPROVED, _A.RELEASE): _S.RELEASED,
    (_S.APPROVED, _A.REFUSE): _S.REFUSED,
    (_S.RELEASED, _A.WITHDRAW): _S.WITHDRAWN,
}

_NEEDS_REASON: Final = frozenset({Act.APPROVE, Act.REFUSE, Act.WITHDRAW})


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """One line of the audit log: who did what to a release, when and why.

    ``findings`` are the reasons of a refusal by the checks; ``digest`` is the SHA-256 of the
    manifest that was acted on.
    """

    act: Act
    who: str
    when: float
    why: str
    digest: str
    before: ReleaseState | None
    after: ReleaseState
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """A release, where it stands, and how it came there.

    Args:
        id: which release of which product.
        counter: its release counter.
        digest: the SHA-256 of its manifest in hex: what is approved is this one.
        state: how far it is.
        uploader: who may not approve it.
        events: from the upload on, at most one for each state on its way.
    """

    id: PackageId
    counter: int
    digest: str
    state: ReleaseState
    uploader: str
    events: tuple[ReleaseEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class StopCampaigns:
    """What a store does with a change: every running campaign of the release stops."""

    id: PackageId


def upload(manifest: Manifest, *, who: str, now: float, why: str = "") -> Release:
    """Return a release that was taken in; nothing of it is believed yet."""
    digest = hashlib.sha256(manifest_codec.encode(manifest)).hexdigest()
    state = ReleaseState.UPLOADED
    event = ReleaseEvent(Act.UPLOAD, who, now, _reason(Act.UPLOAD, why), digest, None, state)
    return Release(PackageId.of(manifest), manifest.counter, digest, state, who, (event,))


def verify(release: Release, findings: Sequence[Finding], *, who: str, now: float) -> Release:
    """Return the release after its checks: verified if they found nothing, else refused."""
    if not findings:
        return _move(release, Act.VERIFY, who, now, "")
    return _move(
        release, Act.REFUSE, who, now, "the checks found reasons", findings=tuple(findings)
    )


def approve(release: Release, *, who: str, now: float, why: str) -> Release:
    """Return the release with the word of a second person."""
    moved = _move(release, Act.APPROVE, who, now, why)
    if who.casefold() == release.uploader.casefold():
        raise ConflictError(
            f"{who} uploaded {release.id}: another operator approves it",
            code="firmware.release.four-eyes",
        )
    return moved


def let_out(release: Release, *, floor: int, who: str, now: float, why: str = "") -> Release:
    """Return the release as one that devices are offered.

    Args:
        release: an approved one.
        floor: ``counter_floor`` of the product's releases.
        who: the operator.
        now: seconds since 1970-01-01T00:00:00Z.
        why: in the operator's words.
    """
    moved = _move(release, Act.RELEASE, who, now, why)
    if release.counter < floor:
        raise ConflictError(too_low(release.counter, floor), code="firmware.release.counter")
    return moved


def withdraw(
    release: Release, *, who: str, now: float, why: str
) -> tuple[Release, tuple[StopCampaigns, ...]]:
    """Return the release as one that no device is offered any more, and what has to stop.

    Its counter still counts: a device that took it takes nothing lower.
    """
    return _move(release, Act.WITHDRAW, who, now, why), (StopCampaigns(release.id),)


def refuse(release: Release, *, who: str, now: float, why: str) -> Release:
    """Return the release as one that a person turned down."""
    return _move(release, Act.REFUSE, who, now, why)


def counter_floor(releases: Iterable[Release], product: PackageId) -> int:
    """Return the highest counter of what was ever let out of a product (any version of it)."""
    out = {ReleaseState.RELEASED, ReleaseState.WITHDRAWN}
    counters = (
        release.counter
        for release in releases
        if release.state in out and (release.id.kind, release.id.name) == _product(product)
    )
    return max(counters, default=0)


def _move(
    release: Release,
    act: Act,
    who: str,
    now: float,
    why: str,
    *,
    findings: tuple[Finding, ...] = (),
) -> Release:
    after = TRANSITIONS.get((release.state, act))
    if after is None:
        raise ConflictError(
            f"{release.id} is {release.state}: no way to {act} it",
            code="firmware.release.transition",
        )
    why = _reason(act, why)
    event = ReleaseEvent(act, who, now, why, release.digest, release.state, after, findings)
    return replace(release, state=after, events=(*release.events, event))


def _reason(act: Act, why: str) -> str:
    if not why and act not in _NEEDS_REASON:
        return why
    try:
        return check_text(why, most=MAX_REASON, lines=True)
    except ValueError as error:
        raise ConflictError(
            f"a reason is wanted: {error}", code="firmware.release.reason"
        ) from None


def too_low(counter: int, floor: int) -> str:
    """Return the words for a counter that goes back."""
    return f"release counter {counter}; {floor} was let out before"


def _product(id_: PackageId) -> tuple[str, str]:
    return id_.kind, id_.name
