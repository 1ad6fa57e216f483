"""What a change of a registration means for the device in the registry and its certificates.

A device is registered when its registration is approved, and commissioned when its accounts are
live; it is suspended and retired with its registration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.fleet.devices import LifecycleState
from openami.fleet.registration import Activate, Resume, Standing, Suspend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.fleet.registration import Effect, Registration

_L = LifecycleState

_TO_COMMISSIONED: Final[Mapping[LifecycleState | None, tuple[LifecycleState, ...]]] = {
    None: (_L.REGISTERED, _L.COMMISSIONED),
    _L.MANUFACTURED: (_L.REGISTERED, _L.COMMISSIONED),
    _L.REGISTERED: (_L.COMMISSIONED,),
    _L.COMMISSIONED: (),
    _L.IN_SERVICE: (),  # hardware that was replaced goes on with the work of the one before
}
_WORKS: Final = frozenset({_L.REGISTERED, _L.COMMISSIONED, _L.IN_SERVICE})

# RFC 5280 5.3.1: why all that a device had is revoked, by what its registration has become.
_STRIPPED: Final[Mapping[Standing, str]] = {
    Standing.RETIRED: "cessationOfOperation",
    Standing.REFUSED: "privilegeWithdrawn",
    Standing.APPROVED: "keyCompromise",
}


@dataclass(frozen=True, slots=True)
class Life:
    """Where a device stands, and what is remembered while it is suspended.

    Args:
        state: its state of life; None: it is not in the registry.
        steps: the states that lead there, for the audit log.
        was: the state that it was suspended from.
        stays: it was suspended by a person when its registration was blocked, and stays so when
            the registration is not blocked any more.
    """

    state: LifecycleState | None
    steps: tuple[LifecycleState, ...] = ()
    was: LifecycleState | None = None
    stays: bool = False

    def step(self, *to: LifecycleState) -> Life:
        """Return the life some steps further."""
        return replace(self, state=to[-1], steps=self.steps + to) if to else self


def follow(
    life: Life,
    before: Registration | None,
    after: Registration,
    effects: Sequence[Effect],
) -> Life:
    """Return a device's life after its registration went from ``before`` to ``after``.

    Raises:
        ConflictError: accounts would become live of a device that is suspended
            (``registration.changed``) or retired (``device.transition``).
    """
    if after.standing is Standing.RETIRED:
        return life if life.state in {None, _L.RETIRED} else life.step(_L.RETIRED)
    if any(isinstance(effect, Suspend) for effect in effects):
        life = _suspended(life, before, after)
    resume = next((effect for effect in effects if isinstance(effect, Resume)), None)
    if resume is not None:
        return _resumed(life, resume)
    if any(isinstance(effect, Activate) for effect in effects):
        return _commissioned(life, after.uid)
    return _registered(life) if _is_let_in(before, after) else life


def cull(after: Registration, effects: Sequence[Effect]) -> str | None:
    """Return why every certificate of the device but that of ``after`` is to be revoked, if so.

    Certificates that a crash left between two commits, and those that were issued without a
    registration, end here.
    """
    if any(isinstance(effect, Activate) for effect in effects):
        return "superseded"
    stripped = after.certificate is None and after.offer is None
    if stripped and any(isinstance(effect, Suspend) for effect in effects):
        return _STRIPPED.get(after.standing)
    return None


def _suspended(life: Life, before: Registration | None, after: Registration) -> Life:
    blocked = after.standing is Standing.BLOCKED and before is not None
    if life.state is _L.SUSPENDED:
        return replace(life, stays=life.stays or (blocked and before != after))
    return replace(life.step(_L.SUSPENDED), was=life.state) if life.state in _WORKS else life


def _resumed(life: Life, resume: Resume) -> Life:
    if life.state is not _L.SUSPENDED:
        return life
    if life.stays:
        return replace(life, stays=False)
    return replace(life.step(resume.to or life.was or _L.COMMISSIONED), was=None)


def _commissioned(life: Life, uid: str) -> Life:
    steps = _TO_COMMISSIONED.get(life.state)
    if steps is None:
        suspended = life.state is _L.SUSPENDED
        raise ConflictError(
            f"DCU {uid} is {life.state}",
            code="registration.changed" if suspended else "device.transition",
        )
    return life.step(*steps)


def _registered(life: Life) -> Life:
    if life.state in {None, _L.MANUFACTURED, _L.SUSPENDED}:
        return replace(life.step(_L.REGISTERED), was=None, stays=False)
    return life


def _is_let_in(before: Registration | None, after: Registration) -> bool:
    """Return whether a device comes in that was not in; one that registers anew is in already."""
    was = None if before is None else before.standing
    inside = {Standing.APPROVED, Standing.LIVE}
    return after.standing is Standing.APPROVED and was not in inside
