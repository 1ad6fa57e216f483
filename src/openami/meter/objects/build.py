"""All objects of a meter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.meter.home.live import live
from openami.meter.objects import control
from openami.meter.objects.clients import client_objects, link_objects, security_setups
from openami.meter.objects.clock import MeterClock
from openami.meter.objects.energy import demand_objects, energy_objects
from openami.meter.objects.general import (
    identity_objects,
    parameter_objects,
    state_objects,
)
from openami.meter.objects.home import home_objects, seen_at_home
from openami.meter.objects.instant import instant_objects
from openami.meter.objects.profiles import profile_objects
from openami.meter.objects.response import response, waives

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
    from openami.dlms.cosem.response import Response
    from openami.meter.objects.home import HomeObjects
    from openami.meter.objects.hooks import Hooks


@dataclass(frozen=True, slots=True)
class ObjectModel:
    """A meter's objects; those that the meter itself works with have names."""

    every: tuple[CosemObject, ...]
    disconnector: DisconnectControl
    limiter: Limiter
    response: Response
    disconnect_schedule: SingleActionSchedule
    image_schedule: SingleActionSchedule
    images: ImageTransfer
    hdlc: HdlcSetup
    tcp: TcpUdpSetup
    homes: HomeObjects
    management: SecuritySetup
    reader: SecuritySetup
    broadcast: SecuritySetup | None


def build_objects(hooks: Hooks) -> ObjectModel:
    """Return the objects of a single-phase or a three-phase meter."""
    setups = security_setups(hooks)
    disconnector = control.disconnector(hooks)
    said = response(hooks, disconnector)
    limiter = control.limiter(hooks, waives(said))
    billing, disconnect = control.billing_schedule(hooks), control.disconnect_schedule(hooks)
    activation, image = control.image_schedule(hooks), control.image_transfer(hooks)
    sap, hdlc, tcp = link_objects(hooks)
    homes = home_objects(hooks, lambda: live(hooks.engine, disconnector, limiter, said))
    shown = (
        *identity_objects(hooks),
        MeterClock(hooks.engine),
        *(disconnector, limiter),
        *energy_objects(hooks),
        *demand_objects(hooks),
        *instant_objects(hooks),
        *profile_objects(hooks),
        *parameter_objects(hooks),
        *state_objects(hooks),
    )
    every: tuple[CosemObject, ...] = (
        *seen_at_home(shown),
        *client_objects(hooks, setups),
        *(sap, hdlc, tcp, said, billing, disconnect, activation, image),
        *homes.every,
    )
    return ObjectModel(
        every, disconnector, limiter, said, disconnect, activation, image, hdlc, tcp, homes, *setups
    )
