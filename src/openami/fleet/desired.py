"""What the nodes of devices are to be: wanted for groups and single devices, against what is known.

A device is wanted to be what its groups say, those of higher priority over those of lower, and its
own settings over all of them. What differs from the last known tree is to be changed, object by
object, for the values of one object belong together. A value that a device has refused is not
sent to it again until something else is wanted of that object, or a person says so; and then apart
from what it was not refused with, for it may be refused again.

Addresses are those of OMA DM (``./AMI/Link/Window``), in their one canonical form.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self
from xml.etree.ElementTree import ParseError, canonicalize

from openami.core.identifiers import check_serial
from openami.core.quick import quick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from openami.fleet.ports import DeviceFilter

MAX_URI: Final = 255
"""Characters of an address that is wanted or known; the longest of an object here has 60."""
MAX_VALUE: Final = 4096
"""Characters of a value that is wanted: a setting, not a package."""
MAX_WANTED: Final = 2048
"""Nodes that one scope may want: 500 meters of a segment, with four leaves each."""
MAX_GROUPS: Final = 256
"""Groups of one head-end: every session asks which of them its device belongs to."""
MOST_PRIORITY: Final = 1_000_000

INTERIOR: Final = "node"
ABSENT: Final = ""
_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRETS: Final = frozenset({"aauthsecret", "aauthdata"})


class ScopeKind(StrEnum):
    """Whom a wish is for."""

    GROUP = "group"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a wish is for: ``group:NAME``, or ``device:UID``."""

    kind: ScopeKind
    name: str

    def __post_init__(self) -> None:
        if self.kind is ScopeKind.DEVICE:
            check_serial(self.name)
        elif not _GROUP.fullmatch(self.name):
            raise ValueError("a group's name has 1 to 64 letters, digits, '.', '_' and '-'")

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a scope.

        Raises:
            ValueError: the text is none.
        """
        kind, _, name = text.partition(":")
        return cls(ScopeKind(kind), name)


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that are configured together: all that ``which`` finds, now and later."""

    name: str
    which: DeviceFilter
    priority: int = 0
    created: float = 0.0
    who: str = ""

    @property
    def scope(self) -> Scope:
        """The group as a scope."""
        return Scope(ScopeKind.GROUP, self.name)


@quick
class Setting:
    """What a leaf is to be; a format of ``ABSENT``: no such node, nor anything below it.

    Attributes:
        value: as the leaf has it; base64 for ``bin``.
    """

    uri: str
    format: str = ABSENT
    value: str = ""

    @property
    def absent(self) -> bool:
        """Whether the node is not to be."""
        return self.format == ABSENT


@dataclass(frozen=True, slots=True)
class Wish:
    """A setting with who wants it, for whom, and since when."""

    scope: Scope
    setting: Setting
    at: float = 0.0
    who: str = ""


@quick
class KnownNode:
    """A node as it was when it was last seen.

    Attributes:
        format: ``node`` for an interior one; ``ABSENT``: it is not there.
        refused: the setting that the device has refused, with its ``status``.
        words: what the device said of that.
        bond: names the values that are tried together once more, having been refused together; it
            stays when ``refused`` is forgotten, until the node is another. Empty: it never was.
    """

    uri: str
    format: str
    value: str = ""
    acl: str = ""
    at: float = 0.0
    refused: Setting | None = None
    status: int | None = None
    words: str = ""
    bond: str = ""


class StepKind(StrEnum):
    """How a node is changed."""

    DELETE = "delete"
    REPLACE = "replace"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Step:
    """One change that brings a device nearer to what is wanted of it.

    Attributes:
        bond: that of the node: what has another one is not taken together with this.
    """

    kind: StepKind
    wish: Wish
    old: str | None = None
    bond: str = ""

    @property
    def uri(self) -> str:
        """The address of the node."""
        return self.wish.setting.uri


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that is not taken, for the device has refused it with ``status``, and said why."""

    step: Step
    status: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What separates a device from what is wanted of it."""

    steps: tuple[Step, ...] = ()
    refused: tuple[Refusal, ...] = ()


def object_of(uri: str) -> str:
    """Return the address of the object that a node belongs to: ``./AMI`` of ``./AMI/Link``."""
    return "/".join(uri.split("/", 2)[:2])


def is_below(uri: str, above: str) -> bool:
    """Say whether a node stands below another."""
    return uri.startswith(f"{above}/")


def is_secret(uri: str) -> bool:
    """Say whether an address is that of a password or a nonce of an account (DMAcc)."""
    first, *rest = uri.partition("?")[0].removeprefix("./").split("/")
    return first.casefold() == "dmacc" and any(name.casefold() in _SECRETS for name in rest)


def effective(groups: Iterable[Group], wishes: Iterable[Wish]) -> Mapping[str, Wish]:
    """Return what is wanted of a device, by address.

    A wish for a node takes the place of an earlier one for it, for a node below one that is not
    to be, and for one above that is not to be.

    Args:
        groups: that the device belongs to.
        wishes: of these groups and of the device.
    """
    ranks = {str(group.scope): (group.priority, group.name) for group in groups}
    last = (MOST_PRIORITY + 1, "")
    wanted: dict[str, Wish] = {}
    for wish in sorted(
        wishes,
        key=lambda wish: (
            *ranks.get(str(wish.scope), last),
            not wish.setting.absent,
            wish.setting.uri,
        ),
    ):
        _put(wanted, wish)
    return wanted


def _put(wanted: dict[str, Wish], wish: Wish) -> None:
    uri = wish.setting.uri
    if wish.setting.absent:
        ended = [other for other in wanted if is_below(other, uri)]
    else:
        parts = uri.split("/")
        above = ("/".join(parts[:size]) for size in range(2, len(parts)))
        ended = [other for other in above if other in wanted and wanted[other].setting.absent]
    for other in ended:
        del wanted[other]
    wanted[uri] = wish


def difference(wanted: Mapping[str, Wish], known: Mapping[str, KnownNode]) -> Difference:
    """Return what has to change so that a device is as wanted: removals first, then by address."""
    steps: list[Step] = []
    refused: list[Refusal] = []
    for uri, wish in wanted.items():
        node = known.get(uri)
        kind = step_kind(wish.setting, node)
        if kind is None:
            continue
        there = node is not None and node.format not in {ABSENT, INTERIOR}
        old = node.value if node is not None and there else None
        step = Step(kind, wish, old, node.bond if node is not None else "")
        if node is not None and node.status is not None and node.refused == wish.setting:
            refused.append(Refusal(step, node.status, node.words))
        else:
            steps.append(step)
    return Difference(
        tuple(sorted(steps, key=_order)),
        tuple(sorted(refused, key=lambda refusal: _order(refusal.step))),
    )


def _order(step: Step) -> tuple[str, str, bool, str]:
    return object_of(step.uri), step.bond, step.kind is not StepKind.DELETE, step.uri


def due(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps to be taken now: in each object, what was refused waits for the others.

    When it is tried again, the device is then as it is wanted to be otherwise.
    """
    busy = {object_of(step.uri) for step in steps if not step.bond}
    return tuple(step for step in steps if not step.bond or object_of(step.uri) not in busy)


def step_kind(setting: Setting, node: KnownNode | None) -> StepKind | None:
    """Return how a node has to be changed to be as it is wanted; None: it is."""
    there = node is not None and node.format != ABSENT
    if setting.absent:
        return StepKind.DELETE if there else None
    if node is None or not there:
        return StepKind.ADD
    return None if equal(setting.format, setting.value, node.value) else StepKind.REPLACE


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(text, 0)  # 0x10


def _canonical(text: str) -> str:
    if "<!DOCTYPE" in text:  # it could define anything
        raise ValueError("a value defines entities")
    return canonicalize(text, strip_text=True)


_TRUTH: Final = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
# A device may keep a value in another form than the one it was sent in.
_FORMS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        "b64": base64.b64decode,  # lines or none
        "bin": base64.b64decode,
        "bool": lambda text: _TRUTH[text.strip().lower()],
        "float": float,
        "int": _integer,
        "xml": _canonical,
    }
)
LOOSE: Final = frozenset(_FORMS)
"""Formats whose values have several forms each."""


def equal(form: str, one: str, other: str) -> bool:
    """Say whether two values mean the same by a format: that of the node's description if known."""
    if one == other:
        return True
    try:
        return form in _FORMS and _FORMS[form](one) == _FORMS[form](other)
    except (ValueError, KeyError, ParseError):  # one of them is no such value
        return False


# What goes into one Atomic: it has to fit one message of 64 KiB, with its answer.
BATCH_STEPS: Final = 128
BATCH_OCTETS: Final = 24_576
_OVERHEAD: Final = 48  # octets of one command around its address and its value


def batches(steps: Iterable[Step]) -> tuple[tuple[Step, ...], ...]:
    """Return steps as they are taken together: those of one object and bond, if not too many.

    An object's steps are parted between folders if at all possible.
    """
    found: list[tuple[Step, ...]] = []
    parted = groupby(sorted(steps, key=_order), key=lambda step: (object_of(step.uri), step.bond))
    for _, of_object in parted:
        batch: list[Step] = []
        for _, group in groupby(of_object, key=lambda step: step.uri.rpartition("/")[0]):
            folder = tuple(group)
            if batch and not _fits([*batch, *folder]):
                found.append(tuple(batch))
                batch = []
            for step in folder:
                if batch and not _fits([*batch, step]):
                    found.append(tuple(batch))
                    batch = []
                batch.append(step)
        found.append(tuple(batch))
    return tuple(found)


def _fits(steps: Sequence[Step]) -> bool:
    octets = sum(
        len(step.uri.encode()) + len(step.wish.setting.value.encode()) + _OVERHEAD for step in steps
    )
    return len(steps) <= BATCH_STEPS and octets <= BATCH_OCTETS
