"""The form of a new job: what is typed into it, as a job that can be counted and made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.fleet.tasks import TaskKind, Ticket
from openami.headend.errors import RequestError
from openami.headend.management.addresses import (
    command_to_exec,
    command_to_get,
    command_to_set,
    setting,
    wish,
)
from openami.headend.management.tasks import Whom
from openami.web.console.choosing import filter_of, filter_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.desired import Setting
    from openami.fleet.management import JobProgress
    from openami.fleet.tasks import Command
    from openami.headend.services import Services

FIELDS: Final = (
    "kind", "nodes", "data", "devices", "group", "region", "state", "search", "expires",
    "keep", "repeatable", "unchecked", "why",
)  # fmt: skip
# what it is called, and what happens
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "get": ("Read", "reads"),
    "set": ("Set", "sets"),
    "exec": ("Execute", "executes"),
}
EXPIRIES: Final[Mapping[str, str]] = {
    "3600": "an hour",
    "86400": "a day",
    "604800": "a week",
    "2592000": "30 days",
}
A_DAY: Final = "86400"


@dataclass(frozen=True, slots=True)
class JobForm:
    """A job that somebody wants.

    Attributes:
        kept: what is to be wanted from now on, too; empty: nothing.
    """

    kind: TaskKind
    commands: tuple[Command, ...]
    whom: Whom
    expires_s: float
    why: str = ""
    repeatable: bool = False
    kept: tuple[Setting, ...] = ()

    @property
    def whom_words(self) -> str:
        """For whom it is, in words."""
        whom = self.whom
        if whom.which is not None:
            return filter_words(whom.which)
        return f"group {whom.group}" if whom.group else ", ".join(whom.devices)

    def count(self, services: Services) -> int:
        """Return how many DCUs are found now; NotFoundError: there is no such group. Blocks."""
        groups, whom = services.management.groups, self.whom
        if whom.group is not None:
            return groups.get(whom.group).devices
        return groups.count(whom.which) if whom.which is not None else len(set(whom.devices))

    def create(self, services: Services, who: str, key: str) -> JobProgress:
        """Make the job, once for a key; the errors of ``Tasks.create``. Blocks."""
        return services.management.tasks.create(
            self.kind,
            self.commands,
            self.whom,
            who=who,
            why=self.why,
            expires_s=self.expires_s,
            repeatable=self.repeatable,
            keep=self.kept,
            ticket=Ticket(key, hashlib.sha256(repr(self).encode()).hexdigest()),
        )


def read_form(fields: Mapping[str, str]) -> JobForm:
    """Return what a form says.

    Raises:
        RequestError: a field can not be meant.
        SecurityError: ``dm.secret``, a password or a nonce.
    """
    kind = fields["kind"]
    if kind not in KINDS:
        raise RequestError("a job reads, sets or executes", code="request.job")
    lines = [line.strip() for line in fields["nodes"].splitlines() if line.strip()]
    if not lines:
        raise RequestError("name a node, such as ./AMI/Link/Window", code="request.uri")
    whom, expires = _whom(fields), fields["expires"] or A_DAY
    keep = bool(fields["keep"]) and kind == TaskKind.SET
    if keep and whom.which is not None:
        raise RequestError("only what is set at named DCUs or a group is kept", code="request.keep")
    if expires not in EXPIRIES:
        raise RequestError("a job ends in one of the times of the list", code="request.job")
    return JobForm(
        TaskKind(kind),
        tuple(COMMANDS[kind](lines, fields)),
        whom,
        float(expires),
        fields["why"],
        bool(fields["repeatable"]) and kind == TaskKind.EXEC,
        _kept(lines, bool(fields["unchecked"])) if keep else (),
    )


def _whom(fields: Mapping[str, str]) -> Whom:
    devices = tuple(fields["devices"].replace(",", " ").split())
    filtered = any(fields[name] for name in ("region", "state", "search"))
    if filtered or not (devices or fields["group"]):
        return Whom(devices, fields["group"] or None, filter_of(fields))
    return Whom(devices, fields["group"] or None)


def _kept(lines: Sequence[str], unchecked: bool) -> tuple[Setting, ...]:
    return tuple(wish(uri, value, unchecked=unchecked) for uri, value in map(_pair, lines))


def _to_get(lines: Sequence[str], fields: Mapping[str, str]) -> list[Command]:
    del fields
    return [command_to_get(uri) for uri in lines]


def _to_set(lines: Sequence[str], fields: Mapping[str, str]) -> list[Command]:
    unchecked = bool(fields["unchecked"])
    pairs = map(_pair, lines)
    return [command_to_set(setting(uri, value, unchecked=unchecked)) for uri, value in pairs]


def _to_exec(lines: Sequence[str], fields: Mapping[str, str]) -> list[Command]:
    return [command_to_exec(uri, fields["data"]) for uri in lines]


COMMANDS: Final[Mapping[str, Callable[[Sequence[str], Mapping[str, str]], list[Command]]]] = {
    "get": _to_get,
    "set": _to_set,
    "exec": _to_exec,
}


def _pair(line: str) -> tuple[str, str]:
    uri, equals, value = line.partition("=")
    if not equals:
        raise RequestError(
            f"{line[:80]!r} is not NODE=VALUE",
            code="request.value",
            hint="such as ./AMI/Link/Window=3",
        )
    return uri.strip(), value.strip()
