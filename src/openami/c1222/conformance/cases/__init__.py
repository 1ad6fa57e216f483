"""The cases, in the order in which they are run: what disturbs a node more comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.conformance.cases import (
    lists,
    messages,
    network,
    protection,
    reads,
    segmenting,
    sessions,
    tables,
    writes,
)
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from openami.c1222.conformance.case import Case

CASES: Final[tuple[Case, ...]] = (
    *messages.CASES,
    *reads.CASES,
    *lists.CASES,
    *sessions.CASES,
    *protection.CASES,
    *segmenting.CASES,
    *network.CASES,
    *tables.CASES,
    *writes.CASES,
    *sessions.LAST,
)


def chosen(names: Collection[str]) -> tuple[Case, ...]:
    """Return the cases of some services, or some cases; without names all of them.

    Raises:
        ConfigError: nothing is called so.
    """
    if not names:
        return CASES
    wanted = {name.casefold() for name in names}
    known = {each for case in CASES for each in _names(case)}
    if unknown := wanted - known:
        services = ", ".join(dict.fromkeys(case.row.value for case in CASES))
        raise ConfigError(f"no service and no case: {', '.join(sorted(unknown))}", hint=services)
    return tuple(case for case in CASES if not wanted.isdisjoint(_names(case)))


def _names(case: Case) -> set[str]:
    return {case.name.casefold(), case.row.value.casefold()}
