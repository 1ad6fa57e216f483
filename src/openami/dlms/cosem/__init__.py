"""COSEM interface classes as server-side objects (Blue Book, part 2).

Objects are plain Python values and callables bound together::

    clock = Clock("0.0.1.0.0.255", ManualClock(), zone=-540)
    energy = Register("1.0.1.8.0.255", lambda: meter.energy_wh, unit=Unit.WH)
    keys = SecuritySetup(keys=Keys(guek=…, gak=…), title=SystemTitle.of("OAM", 1), policy=3)
    management = AssociationLn(
        "0.0.40.0.3.255",
        client=1,
        kind=ClientKind.MANAGEMENT,
        mechanism=Mechanism.HLS_GMAC,
        contexts=(ApplicationContext.LN_CIPHERED,),
        security=keys,
    )
    device = LogicalDevice([clock, energy, keys, management])  # openami.dlms.server

``item.read(index)``, ``item.write(index, data)`` and ``item.invoke(index, data)`` are what the
server calls after it has checked the rights; the meter may call them too, to write back what it
has kept.
"""

from openami.dlms.cosem.access import (
    FOR_ALL,
    FOR_MANAGEMENT,
    FOR_READERS,
    FULL,
    NOTHING,
    READ_ONLY,
    AccessTable,
    AttributeMode,
    ClientKind,
    MethodMode,
    Rights,
)
from openami.dlms.cosem.association import EVERYTHING, READING, AssociationLn
from openami.dlms.cosem.base import (
    LOCAL,
    AccessError,
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
    Negotiated,
)
from openami.dlms.cosem.clock import Clock, WallClock
from openami.dlms.cosem.daylight import Daylight
from openami.dlms.cosem.disconnect import Command, ControlState, DisconnectControl
from openami.dlms.cosem.image import (
    ImageInfo,
    ImageStatus,
    ImageStore,
    ImageTransfer,
)
from openami.dlms.cosem.limiter import Limiter, LimiterAction, Limits, Watch, evaluate
from openami.dlms.cosem.profile import (
    Columns,
    MemoryProfile,
    ProfileGeneric,
    ProfileSource,
    SortMethod,
    encode_row,
    encode_rows,
)
from openami.dlms.cosem.schedule import (
    Execution,
    ScheduleType,
    ScriptRef,
    SingleActionSchedule,
    next_execution,
)
from openami.dlms.cosem.security import (
    InvocationCounters,
    KeptCounters,
    SecuritySetup,
    SecurityState,
)
from openami.dlms.cosem.setup import HdlcSetup, SapAssignment, TcpUdpSetup
from openami.dlms.cosem.values import DataObject, DemandRegister, ExtendedRegister, Register

__all__ = [
    "EVERYTHING",
    "FOR_ALL",
    "FOR_MANAGEMENT",
    "FOR_READERS",
    "FULL",
    "LOCAL",
    "NOTHING",
    "READING",
    "READ_ONLY",
    "AccessError",
    "AccessTable",
    "ActionError",
    "AssociationLn",
    "Attribute",
    "AttributeMode",
    "ClientKind",
    "Clock",
    "Columns",
    "Command",
    "Context",
    "ControlState",
    "CosemObject",
    "DataObject",
    "Daylight",
    "DemandRegister",
    "DisconnectControl",
    "Execution",
    "ExtendedRegister",
    "HdlcSetup",
    "ImageInfo",
    "ImageStatus",
    "ImageStore",
    "ImageTransfer",
    "InvocationCounters",
    "KeptCounters",
    "Limiter",
    "LimiterAction",
    "Limits",
    "MemoryProfile",
    "Method",
    "MethodMode",
    "Negotiated",
    "ProfileGeneric",
    "ProfileSource",
    "Register",
    "Rights",
    "SapAssignment",
    "ScheduleType",
    "ScriptRef",
    "SecuritySetup",
    "SecurityState",
    "SingleActionSchedule",
    "SortMethod",
    "TcpUdpSetup",
    "WallClock",
    "Watch",
    "encode_row",
    "encode_rows",
    "evaluate",
    "next_execution",
]
