"""Which DCUs a form means, and how that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.fleet.devices import DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY: Final = "every DCU"
REGION_LENGTH: Final = 128  # as long as the API lets it be
SEARCH_LENGTH: Final = 64
STATES: Final = tuple(state.value for state in LifecycleState)


def filter_of(fields: Mapping[str, str]) -> DeviceFilter:
    """Return the filter of the fields ``region``, ``state`` and ``search``; empty ones ask nothing.

    Raises:
        RequestError: ``request.filter``, it can not be one.
    """
    region, state, search = (fields.get(name, "") for name in ("region", "state", "search"))
    if state and state not in STATES:
        raise RequestError(f"no device is ever {state!r}", code="request.filter")
    if len(region) > REGION_LENGTH or len(search) > SEARCH_LENGTH:
        raise RequestError("a part of the filter is too long", code="request.filter")
    return DeviceFilter(
        kind=DeviceKind.DCU,
        state=LifecycleState(state) if state else None,
        region=region or None,
        search=search or None,
    )


def fields_in(which: DeviceFilter) -> dict[str, str]:
    """Return a filter as the fields of a form."""
    return {
        "region": which.region or "",
        "state": which.state.value if which.state else "",
        "search": which.search or "",
    }


def filter_words(which: DeviceFilter) -> str:
    """Return a filter in words, such as ``region north, “OA” in its name``."""
    parts = [
        f"region {which.region}" if which.region else "",
        which.state.value if which.state else "",
        f"contact {which.contact.value}" if which.contact else "",
        f"model {which.model}" if which.model else "",
        f"“{which.search}” in serial, label or model" if which.search else "",
    ]
    return ", ".join(part for part in parts if part) or EVERY
