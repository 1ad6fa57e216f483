"""Access control lists: ``Add=a+b&Get=*`` (OMA-TS-DM_TND 1.2, clause 7.7.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from openami.omadm.codes import Status
from openami.omadm.tree.refusal import TreeRefusedError

# A device with more servers than that is none that we know.
MAX_SERVERS: Final = 64
# Every server in every command, with identifiers of the length of a segment.
MAX_OCTETS: Final = 8192
EVERYONE: Final = "*"
# TND 1.2, clause 7.7.1.1: a server identifier has no character of the list's own syntax.
_SERVER: Final = re.compile(r"[^\s&=+*\x00-\x1f\x7f]{1,127}")


class Verb(StrEnum):
    """A right of an ACL, and what a DDF's AccessType allows."""

    ADD = "Add"
    DELETE = "Delete"
    EXEC = "Exec"
    GET = "Get"
    REPLACE = "Replace"
    COPY = "Copy"


# Copy has no right of its own: it reads one node and writes another.
RIGHTS: Final = (Verb.ADD, Verb.DELETE, Verb.EXEC, Verb.GET, Verb.REPLACE)


@dataclass(frozen=True, slots=True)
class Acl:
    """Who may do what; empty, it is that of the parent.

    Attributes:
        grants: for each right its server identifiers, or ``*`` alone, both in order.
    """

    grants: tuple[tuple[Verb, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list.

        Raises:
            TreeRefusedError: 500, it has another form.
        """
        if not text:
            return cls()
        if len(text) > MAX_OCTETS:
            raise TreeRefusedError(Status.ENTITY_TOO_LARGE, "an ACL of this length has no use")
        found: dict[Verb, tuple[str, ...]] = {}
        for part in text.split("&"):
            name, equals, servers = part.partition("=")
            if not equals or name not in RIGHTS or name in found:
                raise _malformed()
            found[Verb(name)] = _servers(servers)
        return cls(tuple((verb, found[verb]) for verb in RIGHTS if verb in found))

    def __str__(self) -> str:
        return "&".join(f"{verb}={'+'.join(servers)}" for verb, servers in self.grants)

    def __bool__(self) -> bool:
        return bool(self.grants)

    def allows(self, verb: Verb, server: str) -> bool:
        """Say whether ``server`` has this right."""
        holders = dict(self.grants).get(verb, ())
        return EVERYONE in holders or server in holders

    def grant(self, server: str, *verbs: Verb) -> Acl:
        """Return the list with more rights for one server."""
        found = dict(self.grants)
        for verb in verbs:
            if not self.allows(verb, server):
                found[verb] = tuple(sorted({*found.get(verb, ()), server}))
        return Acl(tuple((verb, found[verb]) for verb in RIGHTS if verb in found))


def _servers(text: str) -> tuple[str, ...]:
    if text == EVERYONE:
        return (EVERYONE,)
    names = sorted(set(text.split("+")))
    if len(names) > MAX_SERVERS or not all(
        _SERVER.fullmatch(name) and name.isprintable() for name in names
    ):
        raise _malformed()
    return tuple(names)


def _malformed() -> TreeRefusedError:
    return TreeRefusedError(Status.COMMAND_FAILED, "an ACL reads Add=server+server&Get=*")


NO_ACL: Final = Acl()
# TND 1.2, clause 7.7.1.2: what the root has from the factory.
ROOT_ACL: Final = Acl.parse("Add=*&Get=*")
