"""All objects of a meter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.meter.objects import control
from openami.meter.objects.clients import client_objects, link_objects, security_setups
from openami.meter.objects.clock import MeterClock
from openami.meter.objects.energy import demand_objects, energy_objects
from openami.meter.objects.general import (
    identity_objects,
    parameter_objects,
    state_objects,
)
from openami.meter.objects.instant import instant_objects
from openami.meter.objects.profiles import profile_objects

if TYPE_CHECKING:
    from openami.dlms.cosem import (
        CosemObject,
        DisconnectControl,
        HdlcSetup,
        ImageTransfer,
        Limiter,
        SecuritySetup,
        SingleActionSchedule,
        TcpUdpSetup,
    )
    from openami.meter.objects.hooks import Hooks


@dataclass(frozen=True, slots=True)
class ObjectModel:
    """A meter's objects; those that the meter itself works with have names."""

    every: tuple[CosemObject, ...]
    disconnector: DisconnectControl
    limiter: Limiter
    disconnect_schedule: SingleActionSchedule
    image_schedule: SingleActionSchedule
    images: ImageTransfer
    hdlc: HdlcSetup
    tcp: TcpUdpSetup
    management: SecuritySetup
    reader: SecuritySetup
    broadcast: SecuritySetup | None


def build_objects(hooks: Hooks) -> ObjectModel:
    """Return the objects of a single-phase or a three-phase meter."""
    setups = security_setups(hooks)
    disconnector, limiter = control.disconnector(hooks), control.limiter(hooks)
    billing, disconnect = control.billing_schedule(hooks), control.disconnect_schedule(hooks)
    activation, image = control.image_schedule(hooks), control.image_transfer(hooks)
    sap, hdlc, tcp = link_objects(hooks)
    every: tuple[CosemObject, ...] = (
        *identity_objects(hooks),
        MeterClock(hooks.engine),
        *client_objects(hooks, setups),
        *(sap, hdlc, tcp, disconnector, limiter, billing, disconnect, activation, image),
        *energy_objects(hooks),
        *demand_objects(hooks),
        *instant_objects(hooks),
        *profile_objects(hooks),
        *parameter_objects(hooks),
        *state_objects(hooks),
    )
    return ObjectModel(
        every, disconnector, limiter, disconnect, activation, image, hdlc, tcp, *setups
    )
