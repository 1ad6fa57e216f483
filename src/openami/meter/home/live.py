"""What a meter tells its displays each second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.dlms.cosem.fields import RANGES
from openami.dlms.data import DataType
from openami.dlms.home import Live
from openami.meter.objects.control import NO_LIMIT
from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from openami.dlms.cosem import DisconnectControl, Limiter
    from openami.dlms.cosem.response import Response
    from openami.metrology.engine import MeterEngine


def live(
    engine: MeterEngine, disconnector: DisconnectControl, limiter: Limiter, said: Response
) -> Live:
    """Return what flows now, cut off at what its types hold."""
    now = engine.instant()
    threshold = limiter.emergency if limiter.active else limiter.normal
    return Live(
        at=_within(engine.seconds, DataType.UINT32),
        voltage=tuple(_within(phase.voltage, DataType.UINT32) for phase in now.phases),
        current=tuple(_within(phase.current, DataType.UINT32) for phase in now.phases),
        active=_within(now.active, DataType.INT32),
        reactive=_within(now.reactive, DataType.INT32),
        apparent=_within(now.apparent, DataType.UINT32),
        factor=_within(now.factor, DataType.INT16),
        frequency=_within(now.frequency, DataType.UINT16),
        imported=engine.register(Channel.IMPORT),
        exported=engine.register(Channel.EXPORT),
        rate=engine.state.rate,
        supply=disconnector.state,
        limit=None if threshold == NO_LIMIT else threshold,
        emergency=limiter.active,
        status=engine.row_status,
        revision=said.said.revision,
    )


def _within(value: int, kind: DataType) -> int:
    low, high = RANGES[kind]
    return min(max(value, low), high)
