"""What objects ask of the meter that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.cosem import AccessTable, ImageStore, InvocationCounters, SecurityState
    from openami.dlms.cosem.response import Standing
    from openami.meter.home.desk import HomeDesk
    from openami.meter.settings import MeterConfig
    from openami.meter.trial import TrialState
    from openami.metrology.engine import MeterEngine


@dataclass(frozen=True, slots=True)
class Running:
    """The firmware that runs: its identifier, and the SHA-256 that it was booted by."""

    identifier: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The meter, as its objects see it.

    Args:
        config: its settings.
        engine: its measurement.
        access: rights to what is measured.
        management: invocation counters of the management client.
        reader: invocation counters of the reading client.
        broadcast: invocation counters of what is said to all meters.
        security: keys and policy as they are kept.
        password: the reading client's password as it is kept.
        keep_security: keeps new keys before they take effect.
        keep_password: keeps a new password before it takes effect.
        running: the firmware that runs.
        images: takes the next one.
        refusal: tells why the last image was refused, by the error's code; empty if none was.
        trial: tells how far the trial of the firmware that runs is.
        standing: what the utility says to the household, and what this answered.
        keep_standing: keeps that before it counts.
        tripped: the limiter had disconnected the supply and has not reconnected it.
        home: gives places to displays.
    """

    config: MeterConfig
    engine: MeterEngine
    access: AccessTable
    management: InvocationCounters
    reader: InvocationCounters
    broadcast: InvocationCounters
    security: SecurityState = field(repr=False)
    password: bytes = field(repr=False)
    keep_security: Callable[[SecurityState], None]
    keep_password: Callable[[bytes], None]
    running: Running
    images: ImageStore
    refusal: Callable[[], str]
    trial: Callable[[], TrialState]
    standing: Standing
    keep_standing: Callable[[Standing], None]
    tripped: bool
    home: HomeDesk
