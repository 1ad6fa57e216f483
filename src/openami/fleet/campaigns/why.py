"""Why a device is not upgraded yet: one line of cause, and what to do next.

What stands in the way of everything is named before what stands in the way of one device. Codes
that the table does not have are explained by the longest beginning that it has, up to a dot.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.clock import isoformat
from openami.fleet.campaigns import machine as m
from openami.fleet.campaigns.allowance import Full
from openami.fleet.campaigns.dispatch import Place
from openami.fleet.campaigns.groups import ERRORS_REACHED, OUT_OF_REACH, GroupState
from openami.fleet.campaigns.machine import CampaignState
from openami.fleet.campaigns.model import ERRORS, NOT_FETCHED
from openami.fleet.campaigns.model import DeviceState as D
from openami.fleet.campaigns.sites import NO_DEVICES, NO_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

SILENT_S: Final = 3_600.0
"""A DCU that polls every five minutes and has said nothing for an hour is not on its way."""

_WAIT: Final = "nothing to do: it goes on by itself"


@dataclass(frozen=True, slots=True)
class Why:
    """A line for a person: what the cause is, and what to do; ``code`` stays the same."""

    code: str
    cause: str
    step: str

    def __str__(self) -> str:
        return f"{self.cause}; {self.step}"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of a device that a campaign has, or has left out.

    Attributes:
        state: of the campaign.
        now: the time.
        cause: the code of why the campaign is paused or over.
        excluded: the code of why the device was left out.
        group: how far its group is; None: it is in none.
        device: how far it is itself.
        code: of its failure.
        place: its DCU's, in the queue of the step that comes next.
        due: when that DCU's rest is over.
        failure: the code of the DCU's last failure in that step.
        full: which budget has no room.
        opens: when the step's window opens, if that is closed.
        heard: when the DCU last reported; 0: never.
    """

    state: CampaignState
    now: float
    cause: str | None = None
    excluded: str | None = None
    group: GroupState | None = None
    device: D = D.WAITING
    code: str | None = None
    place: Place = Place.IDLE
    due: float = 0.0
    failure: str | None = None
    full: Full | None = None
    opens: float | None = None
    heard: float = 0.0


# Code, or its beginning up to a dot: what the cause is, and what to do.
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # the campaign
        "campaign.draft": ("the campaign is a draft", "plan it"),
        "campaign.planned": ("waiting for approval", "another operator approves the campaign"),
        "campaign.approved": ("the campaign is approved and not started", "start it"),
        m.BY_HAND: ("an operator has paused the campaign", "resume it"),
        ERRORS_REACHED: (
            "too many devices of a group have failed, the campaign is paused",
            "look at the failures by code; resume to accept them, or stop",
        ),
        OUT_OF_REACH: (
            "a group can not reach its success threshold any more, the campaign is paused",
            "look at the failures by code; resume to accept them, or stop",
        ),
        m.STOPPED: ("an operator has stopped the campaign", "make a new one for what is left"),
        m.WITHDRAWN: ("the release was withdrawn", "make a campaign of another release"),
        m.EMERGENCY: ("everything was stopped in an emergency", "find the cause, then begin anew"),
        "campaign.overdue": ("the campaign's time was over", "make a new one for what is left"),
        "campaign.done": (
            "the campaign is over: all its groups have succeeded",
            "make a new one for what is left, if anything is",
        ),
        "campaign": ("the campaign goes no further", "look at its audit log"),
        # who is left out
        NO_DEVICES: ("the DCU has no device that fits", "nothing to do"),
        NO_GROUP: ("no group of the campaign takes it", "add a group, or make a campaign for it"),
        "campaign.not-reporting": (
            "its DCU has not reported since {heard}",
            "check its power and its link",
        ),
        "campaign.shut-out": (
            "its DCU is suspended or retired",
            "take the DCU back into service, or give the device to another",
        ),
        "firmware.fit.same": ("it has this version already", "nothing to do"),
        "firmware.fit.older": ("it has a newer version", "nothing to do"),
        "firmware.fit.model": ("the release is not for its model", "nothing to do"),
        "firmware.fit.hardware": ("the release is not for its hardware", "nothing to do"),
        "firmware.fit.counter": (
            "it takes no release counter as low as this",
            "sign a new release with a higher counter",
        ),
        "firmware.fit.prerequisite": (
            "it needs an earlier version first",
            "upgrade it to the version that the release notes name",
        ),
        # what waits
        "campaign.group-waiting": (
            "its group is not yet begun: an earlier one has to succeed",
            _WAIT,
        ),
        "campaign.group-downloaded": ("it waits for the time of activation", _WAIT),
        "campaign.window": ("the maintenance window is closed until {at}", _WAIT),
        Full.HEAD_END: ("the head-end's budget is full", "wait, or give it more"),
        Full.SEGMENT: ("the budget of its network segment is full", "wait, or give it more"),
        Full.LINK: ("its DCU is busy with another campaign", _WAIT),
        "campaign.queued": ("it is next in its segment", _WAIT),
        "campaign.retry": ("its DCU failed and tries again at {at}", _WAIT),
        "campaign.silent": (
            "its DCU has not reported since {heard}",
            "check its power and its link; it is tried again at {at}",
        ),
        "campaign.gave-up": ("its DCU failed too often", "find the cause, then begin anew"),
        "campaign.under-way": ("it is under way: {device}", _WAIT),
        # what devices and DCUs say
        "firmware.hash": ("the image is damaged or was changed", "send it again; check the line"),
        "firmware.key": ("no key that it trusts signed the image", "sign with the right key"),
        "firmware.signature": (
            "the image's signature is wrong",
            "check the release; call the maker",
        ),
        "firmware.counter": (
            "the security counter is lower than the device's",
            "sign a new release",
        ),
        "firmware.version": ("the image is not newer than what it runs", "check its version"),
        "firmware.hardware": (
            "the image is for other hardware",
            "correct its model in the registry",
        ),
        "firmware.dependency": ("another part of it is too old", "upgrade that part first"),
        "firmware.none": ("it has no image that boots", "replace the device"),
        "firmware.self-test": (
            "the new version failed its self-test and was taken back",
            "send the log to the maker; withdraw the release if there are more",
        ),
        "firmware.trial": (
            "the new version did not confirm in its trial and was taken back",
            "send the log to the maker; withdraw the release if there are more",
        ),
        "firmware.transfer.worn": ("the power went too often during the transfer", "try it again"),
        "firmware.transfer": ("the transfer to the device was refused", "try it again"),
        "firmware.delta": ("the delta does not fit what it runs", "send the full package"),
        "firmware.trust": (
            "the DCU does not trust the repository's metadata",
            "check the repository's keys and dates, and the DCU's clock",
        ),
        "firmware.package": ("the package is not what its manifest says", "check the release"),
        "firmware": ("the device refused the image", "look at its log"),
        "upgrade.reverted": (
            "the new version did not hold in its trial, and the old one is back",
            "send the log to the maker; withdraw the release if there are more",
        ),
        "upgrade.trial": (
            "it runs the new version and does not confirm it",
            "send the log to the maker",
        ),
        "upgrade.verification": (
            "the meter refused the image at its verification",
            "look at the meter's log; check that the release fits its model",
        ),
        "upgrade.verify-timeout": ("the meter did not end its verification", "try it again"),
        "upgrade.activation": ("nothing came of the activation", "read the meter's version"),
        "upgrade.initiate": ("the meter takes no transfer", "check the image's size and its keys"),
        "upgrade.blocks": ("the meter takes no blocks", "look at the meter's log"),
        "upgrade.block-size": ("the meter asks for impossible blocks", "call the maker"),
        "upgrade.forgets": ("the meter loses what it was sent", "check its power supply"),
        "upgrade.expired": ("it was not through in time", "try it again with more time"),
        "upgrade.no-answer": (
            "the meter did not answer, or was busy, until the time was over",
            "check the meter, its line and its keys; try it again",
        ),
        "upgrade.withdrawn": ("its order was withdrawn", "make a new one for what is left"),
        "upgrade.refused": ("the meter does not let its DCU in", "check the meter's keys"),
        "upgrade.unknown-meter": (
            "its DCU does not find the meter on its line",
            "check the meter's power; find out at which DCU it is",
        ),
        "upgrade": ("the meter's upgrade failed", "look at the logs of DCU and meter"),
        "download.no-room": ("the DCU has no room for the image", "make room on the DCU"),
        "download.missing": ("the DCU does not find the release", "check that it is released"),
        "download.type": ("the release is not for this DCU's meters", "check its kind and size"),
        "download.corrupt": ("the image came damaged", "check the repository and proxies"),
        "download.untrusted": (
            "the DCU does not trust where the image comes from",
            "check certificates and clocks",
        ),
        "download.network": ("the DCU's link fails", "check the DCU's link"),
        "download.timeout": ("the DCU's link is too slow or fails", "check the DCU's link"),
        "download": ("the DCU could not fetch the image", "look at the logs of head-end and DCU"),
        "transport.timeout": ("it did not answer in time", "check the line"),
        "transport.tls": ("the DCU's TLS connection failed", "check certificates and clocks"),
        "transport.full": ("the DCU's storage is full", "make room on the DCU"),
        "transport": ("the link failed", "check the link"),
        "store.full": ("the storage is full", "make room"),
        "association": ("the meter refused the association", "check the meter's keys"),
        "dlms": ("the meter refused a request", "look at the meter's log"),
        "dm.no-account": ("device management has no account of the DCU", "have it register"),
        "dcu": ("the DCU could not do it", "look at the log of its sessions"),
        "slots": (
            "the DCU's new software did not hold in its trial, and the old one is back",
            "send the DCU's log to the maker; withdraw the release if there are more",
        ),
        "meter.unknown": ("its DCU does not know the meter", "find out at which DCU it is"),
        "meter": ("the DCU can not work with the meter", "look at the DCU's events"),
    }
)

# Why a group has failed, which stays so whatever then becomes of its campaign.
_OF_GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        ERRORS_REACHED: "too many of its devices have failed",
        OUT_OF_REACH: "it can not reach its success threshold any more",
    }
)
_ON_ITS_WAY: Final = frozenset({D.DOWNLOADED, D.TRANSFERRED, D.ACTIVATED, D.SELF_TESTED})
_STATES: Final[Mapping[CampaignState, str]] = MappingProxyType(
    {
        CampaignState.DRAFT: "campaign.draft",
        CampaignState.PLANNED: "campaign.planned",
        CampaignState.APPROVED: "campaign.approved",
        CampaignState.PAUSED: m.BY_HAND,
        CampaignState.FINISHED: "campaign.done",
        CampaignState.STOPPED: m.STOPPED,
        CampaignState.EMERGENCY: m.EMERGENCY,
    }
)


def why(situation: Situation) -> Why | None:
    """Return why a device is not upgraded; None: it is."""
    if situation.device is D.CONFIRMED:
        return None
    if situation.excluded is not None:
        return explain(situation.excluded, situation)
    if situation.device in ERRORS:
        return explain(situation.code or "firmware", situation)
    if situation.state is not CampaignState.RUNNING:
        return explain(situation.cause or _STATES[situation.state], situation)
    return explain(_waiting(situation), situation)


def explain(code: str, situation: Situation) -> Why:
    """Return the words for a code."""
    known = code
    while known not in WORDS and "." in known:
        known = known.rpartition(".")[0]
    cause, step = WORDS.get(known, ("it failed with {code}", "look at the logs of DCU and device"))
    at = situation.opens if code == "campaign.window" else situation.due
    values = {
        "at": isoformat(at or situation.now),
        "heard": isoformat(situation.heard) if situation.heard else "it was asked",
        "device": situation.device.word,
        "code": code,
    }
    return Why(code, cause.format_map(values), step.format_map(values))


def of_group(code: str) -> Why:
    """Return the words for why a group has failed."""
    return Why(code, _OF_GROUPS.get(code, "it has failed"), "look at the failures by code")


def _waiting(s: Situation) -> str:
    """Return the code of what a device of a running campaign waits for."""
    if s.group in {None, GroupState.WAITING}:
        return NO_GROUP if s.group is None else "campaign.group-waiting"
    if s.place is Place.SPENT:
        return s.failure or "campaign.gave-up"
    if s.place is Place.RESTING:
        return "campaign.silent" if s.failure is None else "campaign.retry"
    if s.place is Place.GIVEN or s.device in _ON_ITS_WAY:
        silent = s.heard < s.now - SILENT_S and s.device not in NOT_FETCHED
        return "campaign.not-reporting" if silent else "campaign.under-way"
    return _next_step(s)


def _next_step(s: Situation) -> str:
    """Return the code of what the next step of a device waits for."""
    if s.device is D.VERIFIED and s.group in {GroupState.DOWNLOADING, GroupState.DOWNLOADED}:
        return "campaign.group-downloaded"
    if s.opens is not None:
        return "campaign.window"
    return s.full or "campaign.queued"
