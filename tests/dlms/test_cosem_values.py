"""Data, registers, access rights, SAP assignment and link set-ups."""

from __future__ import annotations

from typing import Any

import pytest

from openami.core.units import Unit
from openami.dlms import data as d
from openami.dlms.cosem import (
    FOR_ALL,
    FOR_MANAGEMENT,
    FOR_READERS,
    FULL,
    AccessError,
    ActionError,
    AttributeMode,
    ClientKind,
    CosemObject,
    DataObject,
    DemandRegister,
    ExtendedRegister,
    HdlcSetup,
    MethodMode,
    Register,
    Rights,
    SapAssignment,
    TcpUdpSetup,
)
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import EntrySelection
from openami.dlms.results import ActionResult, DataAccessResult

DT = d.DataType


def refused(item: CosemObject, index: int, value: d.Data) -> DataAccessResult:
    with pytest.raises(AccessError) as raised:
        item.write(index, value)
    return raised.value.result


def denied(item: CosemObject, index: int, parameter: d.Data | None = None) -> ActionResult:
    with pytest.raises(ActionError) as raised:
        item.invoke(index, parameter)
    return raised.value.result


def test_a_value_is_kept_or_asked_for() -> None:
    now = [1]
    assert DataObject("0.0.96.1.0.255", b"abc").read(2) == d.octets(b"abc")
    assert DataObject("0.0.96.1.0.255", "text", DT.VISIBLE).read(2) == d.visible("text")
    assert DataObject("0.0.96.1.0.255", d.u8(3)).read(2) == d.u8(3)
    assert DataObject("0.0.96.1.0.255", d.RawData(b"\x11\x03")).read(2).encode() == b"\x11\x03"
    assert DataObject("0.0.96.1.0.255", None).read(2) == d.null()
    bound = DataObject("0.0.96.1.0.255", lambda: now[0], DT.UINT32)
    now[0] = 7
    assert bound.read(2) == d.u32(7)
    time = CosemDateTime.from_utc(0)
    assert DataObject("0.0.96.1.0.255", time).read(2) == d.octets(time.encode())
    assert DataObject("0.0.96.1.0.255", time, DT.DATETIME).read(2) == d.date_time(time)


def test_a_value_is_written_where_that_is_wanted() -> None:
    fixed = DataObject("0.0.96.1.0.255", 1, DT.UINT8)
    assert refused(fixed, 2, d.u8(2)) is DataAccessResult.READ_WRITE_DENIED
    kept = DataObject("0.0.96.1.0.255", 1, DT.UINT8, writable=True)
    kept.write(2, d.u16(2))
    assert kept.read(2) == d.u16(2)
    taken: list[Any] = []
    bound = DataObject("0.0.96.1.0.255", lambda: len(taken), DT.UINT8, write=taken.append)
    bound.write(2, d.u8(9))
    assert taken == [d.u8(9)]
    assert bound.read(2) == d.u8(1)


def test_every_object_has_its_name() -> None:
    item = DataObject("1-0:96.1.0*255", 1, DT.UINT8)
    assert item.read(1) == d.octets(bytes((1, 0, 96, 1, 0, 255)))
    assert repr(item) == "DataObject('1.0.96.1.0.255')"
    assert refused(item, 1, d.octets(bytes(6))) is DataAccessResult.READ_WRITE_DENIED
    for index in (0, 3, -1):
        with pytest.raises(AccessError) as raised:
            item.read(index)
        assert raised.value.result is DataAccessResult.OBJECT_UNDEFINED
        assert refused(item, index, d.null()) is DataAccessResult.OBJECT_UNDEFINED
    with pytest.raises(AccessError) as raised:
        item.read(2, selection=EntrySelection(1))
    assert raised.value.result is DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    assert denied(item, 1) is ActionResult.OBJECT_UNDEFINED


def test_a_register() -> None:
    resets: list[int] = []
    item = Register(
        "1.0.1.8.0.255",
        lambda: 5,
        scaler=-3,
        unit=Unit.WH,
        kind=DT.UINT64,
        reset=lambda: resets.append(1),
    )
    assert item.read(2) == d.u64(5)
    assert item.read(3) == d.structure(d.i8(-3), d.enum(30))
    assert refused(item, 2, d.u64(1)) is DataAccessResult.READ_WRITE_DENIED
    assert item.invoke(1, d.i8(0)) is None
    assert resets == [1]
    assert denied(Register("1.0.1.8.0.255", 1), 1) is ActionResult.READ_WRITE_DENIED


def test_an_extended_register() -> None:
    time = CosemDateTime.from_utc(86400)
    item = ExtendedRegister("1.0.1.6.0.255", 17, status=4, capture_time=lambda: time, unit=Unit.W)
    assert [item.read(i) for i in (2, 3, 4, 5)] == [
        d.u32(17),
        d.structure(d.i8(0), d.enum(27)),
        d.u8(4),
        d.octets(time.encode()),
    ]
    assert ExtendedRegister("1.0.1.6.0.255", 17).read(4) == d.null()


def test_a_demand_register() -> None:
    time = CosemDateTime.from_utc(0)
    done: list[str] = []
    item = DemandRegister(
        "1.0.1.4.0.255",
        lambda: 10,
        20,
        status=1,
        capture_time=time,
        start_time=time,
        reset=lambda: done.append("reset"),
        next_period=lambda: done.append("next"),
    )
    assert [item.read(i) for i in range(2, 10)] == [
        d.u32(10),
        d.u32(20),
        d.structure(d.i8(0), d.enum(27)),
        d.u8(1),
        d.octets(time.encode()),
        d.octets(time.encode()),
        d.u32(900),
        d.u16(1),
    ]
    item.write(8, d.u32(1800))
    assert item.period == 1800
    assert refused(item, 8, d.u32(0)) is DataAccessResult.OTHER_REASON
    assert refused(item, 8, d.u16(5)) is DataAccessResult.TYPE_UNMATCHED
    item.invoke(1)
    item.invoke(2, d.i8(0))
    assert done == ["reset", "next"]
    bare = DemandRegister("1.0.1.4.0.255", 1, 2)
    assert denied(bare, 1) is ActionResult.READ_WRITE_DENIED
    assert denied(bare, 2) is ActionResult.READ_WRITE_DENIED


# -- access rights -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "read", "write", "left"),
    [
        (3, True, True, 3),
        (3, True, False, 1),
        (3, False, True, 2),
        (3, False, False, 0),
        (1, True, True, 1),
        (2, True, False, 0),
        (6, True, True, 6),
        (6, True, False, 4),
        (6, False, True, 5),
        (4, False, True, 0),
    ],
)
def test_rights_reach_no_further_than_the_object(
    mode: int, left: int, *, read: bool, write: bool
) -> None:
    assert AttributeMode(mode).within(read=read, write=write) == left


def test_modes_say_what_they_allow() -> None:
    assert [m.readable for m in AttributeMode] == [False, True, False, True, True, False, True]
    assert [m.writable for m in AttributeMode] == [False, False, True, True, False, True, True]
    assert [m.authenticated for m in AttributeMode] == [False] * 4 + [True] * 3
    assert [m.authenticated for m in MethodMode] == [False, False, True]


def test_rights_of_each_kind_of_client() -> None:
    kinds = list(ClientKind)
    for table, seen in ((FOR_ALL, 3), (FOR_READERS, 2), (FOR_MANAGEMENT, 1)):
        item = DataObject("0.0.96.1.0.255", 1, writable=True, access=table)
        assert sum(item.visible(kind) for kind in kinds) == seen
        assert item.attribute_mode(2, ClientKind.MANAGEMENT) is AttributeMode.READ_WRITE
    energy = Register("1.0.1.8.0.255", 1)
    assert energy.attribute_mode(2, ClientKind.MANAGEMENT) is AttributeMode.READ
    assert energy.attribute_mode(9, ClientKind.MANAGEMENT) is AttributeMode.NO_ACCESS
    assert energy.method_mode(1, ClientKind.MANAGEMENT) is MethodMode.ACCESS
    assert energy.method_mode(1, ClientKind.READER) is MethodMode.NO_ACCESS
    assert energy.method_mode(2, ClientKind.MANAGEMENT) is MethodMode.NO_ACCESS


def test_rights_of_single_attributes_and_methods() -> None:
    rights = Rights(
        AttributeMode.READ,
        MethodMode.NO_ACCESS,
        attribute={2: AttributeMode.AUTHENTICATED_READ_WRITE, 3: AttributeMode.NO_ACCESS},
        method={1: MethodMode.AUTHENTICATED},
    )
    item = Register("1.0.1.8.0.255", 1, access={ClientKind.READER: rights})
    modes = [item.attribute_mode(i, ClientKind.READER) for i in (1, 2, 3)]
    assert modes == [AttributeMode.READ, AttributeMode.AUTHENTICATED_READ, AttributeMode.NO_ACCESS]
    assert item.method_mode(1, ClientKind.READER) is MethodMode.AUTHENTICATED
    only_methods = Rights(methods=MethodMode.ACCESS)
    hidden = Register("1.0.1.8.0.255", 1, access={ClientKind.READER: only_methods})
    assert hidden.visible(ClientKind.READER)
    assert FULL.of_method(99) is MethodMode.ACCESS


# -- set-ups -------------------------------------------------------------------------------------


def test_sap_assignment() -> None:
    item = SapAssignment({1: b"one", 18: b"two"})
    listed = d.array(
        d.structure(d.u16(1), d.octets(b"one")), d.structure(d.u16(18), d.octets(b"two"))
    )
    assert item.read(2) == listed
    item.invoke(1, d.structure(d.u16(20), d.octets(b"two")))
    assert item.devices == {1: b"one", 20: b"two"}
    item.invoke(1, d.structure(d.u16(0), d.octets(b"two")))
    assert item.devices == {1: b"one"}
    other = ActionResult.OTHER_REASON
    assert denied(item, 1, d.structure(d.u16(1), d.octets(b"one"))) is other
    assert denied(item, 1, d.structure(d.u16(5), d.octets(b"none"))) is other
    assert denied(item, 1, d.structure(d.u16(0x4000), d.octets(b"one"))) is other
    mismatch = ActionResult.TYPE_UNMATCHED
    assert denied(item, 1, d.structure(d.u16(1))) is mismatch
    assert denied(item, 1, d.u16(1)) is mismatch
    assert denied(item, 1) is mismatch


def test_hdlc_setup() -> None:
    item = HdlcSetup(device_address=4711)
    assert [item.read(i).encode().hex() for i in range(2, 10)] == [
        "1605",
        "1101",
        "1101",
        "120080",
        "120080",
        "120019",
        "120078",
        "121267",
    ]
    item.write(2, d.enum(9))
    item.write(5, d.u16(1024))
    assert (item.speed, item.max_info_transmit) == (9, 1024)
    for index, value in (
        (2, d.enum(10)),
        (3, d.u8(0)),
        (4, d.u8(8)),
        (5, d.u16(31)),
        (6, d.u16(2031)),
        (7, d.u16(10)),
        (9, d.u16(15)),
    ):
        assert refused(item, index, value) is DataAccessResult.OTHER_REASON
    assert refused(item, 9, d.u8(20)) is DataAccessResult.TYPE_UNMATCHED


def test_tcp_udp_setup() -> None:
    item = TcpUdpSetup(port=4059, ip_reference="0.0.25.1.0.255", connections=3)
    assert item.read(2) == d.u16(4059)
    assert item.read(3) == d.octets(bytes((0, 0, 25, 1, 0, 255)))
    assert [item.read(i).value for i in (4, 5, 6)] == [576, 3, 180]  # type: ignore[union-attr]
    item.write(6, d.u16(0))
    assert item.inactivity_timeout == 0
    assert refused(item, 3, d.octets(bytes(6))) is DataAccessResult.READ_WRITE_DENIED
