"""Limiter (Blue Book 4.5.9): disconnects when a quantity stays over a threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, Final, Self

from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import AccessError, Attribute, Context, CosemObject
from openami.dlms.cosem.daylight import NEVER
from openami.dlms.cosem.fields import number
from openami.dlms.cosem.schedule import NO_SCRIPT, ScriptRef
from openami.dlms.data import Data, DataType, Encodable, array, octets, structure
from openami.dlms.references import AttributeRef, obis_of
from openami.dlms.results import DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.dlms.datetime import CosemDateTime

LIMITER_OBIS: Final = Obis.parse("0.0.17.0.0.255")
# An emergency profile belongs to a handful of groups; this is far more than any scheme has.
MAX_GROUPS: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What the limiter compares with, in the unit of the monitored value.

    Args:
        normal: threshold of normal operation.
        emergency: threshold while the emergency profile is active.
        over: seconds over the threshold before the over action.
        under: seconds under it before the under action.
        emergency_start: UTC seconds of the emergency profile's activation; None for none.
        emergency_duration: how long it is active, in seconds.
    """

    normal: int
    emergency: int
    over: int = 0
    under: int = 0
    emergency_start: float | None = None
    emergency_duration: int = 0

    def emergency_active(self, now: float) -> bool:
        """Say whether the emergency profile is active at ``now`` (UTC seconds)."""
        start = self.emergency_start
        return start is not None and start <= now < start + self.emergency_duration

    def threshold(self, now: float) -> int:
        """Return threshold_active at ``now``."""
        return self.emergency if self.emergency_active(now) else self.normal


class LimiterAction(Enum):
    """What is to be executed."""

    OVER = auto()
    UNDER = auto()


@dataclass(frozen=True, slots=True)
class Watch:
    """Since when the value has been on which side, and whether that was acted on."""

    above: bool | None = None
    since: float = 0.0
    acted: bool = False


TRIPPED: Final = Watch(above=True, acted=True)
"""Of a limiter whose over action was executed: once the value is under, the under action is due."""


def evaluate(
    limits: Limits, watch: Watch, value: float, now: float, elapsed: float | None = None
) -> tuple[Watch, LimiterAction | None]:
    """Compare ``value`` at ``now`` (UTC seconds) with the threshold.

    Args:
        limits: what it is compared with.
        watch: what the call before returned.
        value: of the monitored attribute.
        now: by the meter's clock, which says whether there is an emergency.
        elapsed: seconds that only go on, for durations; None: the clock's.

    Returns:
        The watch to pass in the next time, and the action that is due now: each is due once per
        crossing, after the value has stayed on its side for the minimum duration.
    """
    above, tick = value > limits.threshold(now), now if elapsed is None else elapsed
    if watch.above is not above:
        # Starting below the threshold is no crossing: nothing was switched off before.
        watch = Watch(above, tick, acted=watch.above is None and not above)
    elif tick < watch.since:  # the clock was set back: count anew
        watch = replace(watch, since=tick)
    needed = limits.over if above else limits.under
    if watch.acted or tick - watch.since < needed:
        return watch, None
    return replace(watch, acted=True), LimiterAction.OVER if above else LimiterAction.UNDER


@dataclass(frozen=True, slots=True)
class EmergencyProfile:
    """Attribute 8."""

    profile_id: int = 0
    activation: CosemDateTime = NEVER
    duration: int = 0

    def encode(self) -> Data:
        return structure(
            Data(DataType.UINT16, self.profile_id),
            octets(self.activation.encode()),
            Data(DataType.UINT32, self.duration),
        )

    @classmethod
    def decode(cls, value: Data) -> Self:
        """Read an emergency_profile; raises ``DecodeError`` if it is none."""
        profile_id, activation, duration = value.items(3)
        return cls(profile_id.integer(), activation.datetime(), duration.integer())


class Limiter(CosemObject):
    """Class 71: the thresholds, the emergency profile and the actions.

    The meter calls ``step`` with the monitored value and the time, and does what is due.

    Args:
        obis: the logical name.
        monitored: the attribute that is watched.
        normal: threshold of normal operation, in that attribute's raw value.
        emergency: threshold in an emergency.
        over: seconds over the threshold before the over action.
        under: seconds under it before the under action.
        kind: the type of thresholds, that of the monitored value.
        action_over: script of the over action.
        action_under: script of the under action.
        waived: tells of an emergency profile's id that it is not followed, whatever is set.
        tripped: the over action was executed and the under action was not, before a restart.
        access: what each kind of client may do with it.

    Attributes:
        active: an emergency holds.
        changed: the last step found that it does and did not before, or the other way round.
    """

    CLASS_ID = 71

    def __init__(
        self,
        obis: Obis | str = LIMITER_OBIS,
        *,
        monitored: AttributeRef,
        normal: int,
        emergency: int,
        over: int = 0,
        under: int = 0,
        kind: DataType = DataType.UINT32,
        action_over: ScriptRef = NO_SCRIPT,
        action_under: ScriptRef = NO_SCRIPT,
        waived: Callable[[int], bool] = lambda _profile: False,
        tripped: bool = False,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.monitored = monitored
        self.normal = normal
        self.emergency = emergency
        self.over = over
        self.under = under
        self.kind = kind
        self.profile = EmergencyProfile()
        self.groups: tuple[int, ...] = ()
        self.action_over = action_over
        self.action_under = action_under
        self.active = False
        self.changed = False
        self._stepped = False
        self._waived = waived
        self._watch = TRIPPED if tripped else Watch()

    def limits(self) -> Limits:
        """Return what the value is compared with; a profile whose group is not ours is none."""
        start, duration = self._activation(), self.profile.duration
        return Limits(self.normal, self.emergency, self.over, self.under, start, duration)

    def _activation(self) -> float | None:
        """Return when the emergency profile becomes active; None: never.

        Its id must be one of the groups' (Blue Book 4.5.9, emergency_profile_group_id_list).
        """
        profile = self.profile
        if not profile.duration or profile.profile_id not in self.groups:
            return None
        if self._waived(profile.profile_id):
            return None
        try:
            return profile.activation.timestamp(0)
        except ValueError:
            return None  # an activation time with wildcards names no moment

    def step(self, value: float, now: float, elapsed: float | None = None) -> LimiterAction | None:
        """Take the monitored value and return the action that is due; arguments of ``evaluate``."""
        limits = self.limits()
        active = limits.emergency_active(now)
        self.changed = self._stepped and active != self.active
        self.active, self._stepped = active, True
        self._watch, action = evaluate(limits, self._watch, value, now, elapsed)
        return action

    def get_monitored(self, _: Context) -> Encodable:
        return structure(
            Data(DataType.UINT16, self.monitored.class_id),
            octets(self.monitored.obis.raw),
            Data(DataType.INT8, self.monitored.attribute),
        )

    def threshold(self, _: Context) -> Encodable:
        return Data(self.kind, self.emergency if self.active else self.normal)

    def set_normal(self, value: Data, _: Context) -> None:
        self.normal = self._threshold(value)

    def set_emergency(self, value: Data, _: Context) -> None:
        self.emergency = self._threshold(value)

    def _threshold(self, value: Data) -> int:
        if value.type is not self.kind:
            raise AccessError(DataAccessResult.TYPE_UNMATCHED)
        return value.integer()

    def set_profile(self, value: Data, _: Context) -> None:
        self.profile = EmergencyProfile.decode(value)

    def get_groups(self, _: Context) -> Encodable:
        return array(*(Data(DataType.UINT16, group) for group in self.groups))

    def set_groups(self, value: Data, _: Context) -> None:
        items = value.items()
        if len(items) > MAX_GROUPS:
            raise AccessError(DataAccessResult.OTHER_REASON, f"at most {MAX_GROUPS} groups")
        self.groups = tuple(item.integer() for item in items)

    def get_actions(self, _: Context) -> Encodable:
        return structure(self.action_over.encode(), self.action_under.encode())

    def set_actions(self, value: Data, _: Context) -> None:
        over, under = value.items(2)
        self.action_over, self.action_under = ScriptRef.decode(over), ScriptRef.decode(under)

    def set_monitored(self, value: Data, _: Context) -> None:
        class_id, name, attribute = value.items(3)
        self.monitored = AttributeRef(class_id.integer(), obis_of(name), attribute.integer())

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("monitored_value", get_monitored, set_monitored, (DataType.STRUCTURE,)),
        3: Attribute("threshold_active", threshold),
        4: Attribute("threshold_normal", lambda o, _: Data(o.kind, o.normal), set_normal),
        5: Attribute("threshold_emergency", lambda o, _: Data(o.kind, o.emergency), set_emergency),
        6: number("min_over_threshold_duration", DataType.UINT32, "over"),
        7: number("min_under_threshold_duration", DataType.UINT32, "under"),
        8: Attribute(
            "emergency_profile", lambda o, _: o.profile.encode(), set_profile, (DataType.STRUCTURE,)
        ),
        9: Attribute("emergency_profile_group_id_list", get_groups, set_groups, (DataType.ARRAY,)),
        10: Attribute("emergency_profile_active", lambda o, _: Data(DataType.BOOLEAN, o.active)),
        11: Attribute("actions", get_actions, set_actions, (DataType.STRUCTURE,)),
    }
