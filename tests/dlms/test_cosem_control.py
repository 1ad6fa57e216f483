"""Disconnect control, limiter and image transfer."""

from __future__ import annotations

from itertools import product

import pytest
from tests.support.memory_image import MemoryImageStore, image_in_memory

from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.cosem import (
    AccessError,
    ActionError,
    Command,
    ControlState,
    CosemObject,
    DisconnectControl,
    ImageInfo,
    ImageStatus,
    ImageTransfer,
    Limiter,
    LimiterAction,
    Limits,
    ScriptRef,
    Watch,
    evaluate,
)
from openami.dlms.cosem.disconnect import next_state
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef
from openami.dlms.results import ActionResult, DataAccessResult


def refused(item: CosemObject, index: int, value: d.Data) -> DataAccessResult:
    with pytest.raises(AccessError) as raised:
        item.write(index, value)
    return raised.value.result


def denied(item: CosemObject, index: int, parameter: d.Data | None = None) -> ActionResult:
    with pytest.raises(ActionError) as raised:
        item.invoke(index, parameter)
    return raised.value.result


# -- disconnect control --------------------------------------------------------------------------

OFF, ON, READY = ControlState


@pytest.mark.parametrize(
    ("mode", "letters"),
    [
        (0, ""),
        (1, "bcdefg"),
        (2, "abcefg"),
        (3, "bcdeg"),
        (4, "abceg"),
        (5, "bcdefgh"),
        (6, "bcdegh"),
    ],
)
def test_every_mode_has_the_transitions_of_the_blue_book(mode: int, letters: str) -> None:
    table = {
        "a": (Command.REMOTE_RECONNECT, OFF, ON),
        "b": (Command.REMOTE_DISCONNECT, ON, OFF),
        "c": (Command.REMOTE_DISCONNECT, READY, OFF),
        "d": (Command.REMOTE_RECONNECT, OFF, READY),
        "e": (Command.MANUAL_RECONNECT, READY, ON),
        "f": (Command.MANUAL_DISCONNECT, ON, READY),
        "g": (Command.LOCAL_DISCONNECT, ON, READY),
        "h": (Command.LOCAL_RECONNECT, READY, ON),
    }
    wanted = {table[letter][:2]: table[letter][2] for letter in letters}
    for command, state in product(Command, ControlState):
        assert next_state(mode, command, state) == wanted.get((command, state))


def test_the_supply_is_disconnected_and_reconnected() -> None:
    changes: list[tuple[Command, ControlState]] = []
    item = DisconnectControl(mode=1, on_change=lambda c, s: changes.append((c, s)))
    assert [item.read(i) for i in (2, 3, 4)] == [d.boolean(True), d.enum(1), d.enum(1)]
    item.invoke(1, d.i8(0))
    item.invoke(1, d.i8(0))
    assert [item.read(i) for i in (2, 3)] == [d.boolean(False), d.enum(0)]
    item.invoke(2, d.i8(0))
    assert item.read(2) == d.boolean(False)
    assert item.command(Command.MANUAL_RECONNECT)
    assert not item.command(Command.LOCAL_RECONNECT)
    assert item.read(2) == d.boolean(True)
    assert changes == [
        (Command.REMOTE_DISCONNECT, OFF),
        (Command.REMOTE_RECONNECT, READY),
        (Command.MANUAL_RECONNECT, ON),
    ]


def test_a_mode_without_remote_control_denies_it() -> None:
    item = DisconnectControl(mode=0)
    assert denied(item, 1) is ActionResult.READ_WRITE_DENIED
    assert denied(item, 2) is ActionResult.READ_WRITE_DENIED
    item.write(4, d.enum(4))
    item.invoke(1)
    assert item.state is OFF
    assert refused(item, 4, d.enum(7)) is DataAccessResult.OTHER_REASON
    assert refused(item, 3, d.enum(1)) is DataAccessResult.READ_WRITE_DENIED


# -- limiter -------------------------------------------------------------------------------------


def test_a_limit_acts_once_per_crossing_after_its_duration() -> None:
    limits = Limits(100, 50, over=10, under=20)
    watch, actions = Watch(), []
    values = [(0, 90), (5, 120), (9, 120), (14, 110), (15, 110), (60, 110), (61, 100), (80, 99)]
    values += [(81, 99), (90, 99), (100, 101), (105, 99), (109, 101), (118, 101), (119, 101)]
    for now, value in values:
        watch, action = evaluate(limits, watch, value, now)
        if action:
            actions.append((now, action))
    assert actions == [
        (15, LimiterAction.OVER),
        (81, LimiterAction.UNDER),
        (119, LimiterAction.OVER),
    ]


def test_starting_over_the_threshold_counts_from_the_start() -> None:
    watch, action = evaluate(Limits(100, 50), Watch(), 101, 0)
    assert action is LimiterAction.OVER
    watch, action = evaluate(Limits(100, 50), watch, 99, 1)
    assert action is LimiterAction.UNDER


def test_an_emergency_lowers_the_threshold_for_its_time() -> None:
    limits = Limits(100, 50, emergency_start=1000, emergency_duration=60)
    assert [limits.threshold(t) for t in (999, 1000, 1059, 1060)] == [100, 50, 50, 100]
    assert not Limits(100, 50).emergency_active(0)


def make_limiter() -> Limiter:
    monitored = AttributeRef(3, Obis.parse("1.0.1.7.0.255"), 2)
    return Limiter(monitored=monitored, normal=5000, emergency=1000, over=30)


def test_the_limiters_attributes() -> None:
    item = make_limiter()
    assert item.read(2) == d.structure(d.u16(3), d.octets(bytes((1, 0, 1, 7, 0, 255))), d.i8(2))
    values = [item.read(i) for i in (3, 4, 5, 6, 7, 9, 10)]
    assert values == [
        d.u32(5000), d.u32(5000), d.u32(1000), d.u32(30), d.u32(0), d.array(), d.boolean(False),
    ]  # fmt: skip
    wild = d.octets(CosemDateTime().encode())
    assert item.read(8) == d.structure(d.u16(0), wild, d.u32(0))
    script = ScriptRef(Obis.parse("0.0.10.0.106.255"), 1)
    actions = d.structure(script.encode(), ScriptRef(script.table, 2).encode())
    item.write(11, actions)
    assert item.read(11) == actions
    item.write(2, d.structure(d.u16(5), d.octets(bytes((1, 0, 1, 4, 0, 255))), d.i8(3)))
    assert item.monitored == AttributeRef(5, Obis.parse("1.0.1.4.0.255"), 3)
    item.write(4, d.u32(7000))
    item.write(5, d.u32(2000))
    assert (item.normal, item.emergency) == (7000, 2000)
    assert refused(item, 4, d.u16(1)) is DataAccessResult.TYPE_UNMATCHED
    assert refused(item, 9, d.array(*(d.u16(1),) * 65)) is DataAccessResult.OTHER_REASON
    assert refused(item, 3, d.u32(1)) is DataAccessResult.READ_WRITE_DENIED


def test_the_limiter_steps_through_an_emergency() -> None:
    item = make_limiter()
    start = CosemDateTime.from_utc(10_000)
    item.write(8, d.structure(d.u16(7), d.octets(start.encode()), d.u32(100)))
    assert item.step(2000, 10_000) is None
    assert item.read(10) == d.boolean(False), "group 7 is not ours"
    item.write(9, d.array(d.u16(6), d.u16(7)))
    assert item.read(9) == d.array(d.u16(6), d.u16(7))
    assert item.step(2000, 10_001) is None
    assert item.read(10) == d.boolean(True)
    assert item.read(3) == d.u32(1000)
    assert item.step(2000, 10_031) is LimiterAction.OVER
    assert item.step(2000, 10_100) is LimiterAction.UNDER
    assert item.read(10) == d.boolean(False)
    wild = d.octets(CosemDateTime().encode())
    item.write(8, d.structure(d.u16(7), wild, d.u32(100)))
    item.step(2000, 10_200)
    assert item.read(10) == d.boolean(False)


# -- image transfer ------------------------------------------------------------------------------

INITIATE, BLOCK, VERIFY, ACTIVATE = 1, 2, 3, 4
IMAGE = bytes(range(256)) * 2 + b"end"


class TrustingInstaller:
    """Finds every image good, when it gets round to it."""

    def __init__(self) -> None:
        self.busy: list[ActionResult] = []
        self.installed = b""

    def _hold(self) -> None:
        if self.busy:
            raise ActionError(self.busy.pop(0))

    def verify(self, store: MemoryImageStore) -> tuple[ImageInfo, ...]:
        self._hold()
        return (ImageInfo(store.size(), store.identifier(), b"sig"),)

    def activate(self, store: MemoryImageStore) -> None:
        self._hold()
        self.installed = store.read()


def block(number: int) -> d.Data:
    return d.structure(d.u32(number), d.octets(IMAGE[number * 128 : number * 128 + 128]))


def kept(item: ImageTransfer) -> bytes:
    assert isinstance(item.store, MemoryImageStore)
    return item.store.read()


def begin(item: ImageTransfer, size: int = len(IMAGE)) -> None:
    item.invoke(INITIATE, d.structure(d.octets(b"fw-2"), d.u32(size)))


def test_an_image_is_transferred_out_of_order_and_with_repeats() -> None:
    item = image_in_memory(TrustingInstaller())
    assert [item.read(i) for i in (2, 4, 5, 6)] == [
        d.u32(128),
        d.u32(0),
        d.boolean(True),
        d.enum(0),
    ]
    assert item.read(3) == d.bits("")
    begin(item)
    assert item.read(6) == d.enum(ImageStatus.INITIATED)
    assert item.read(3) == d.bits("00000")
    for number, bitmap, gap in ((1, "01000", 0), (0, "11000", 2), (0, "11000", 2), (4, "11001", 2)):
        item.invoke(BLOCK, block(number))
        assert item.read(3) == d.bits(bitmap)
        assert item.read(4) == d.u32(gap)
    assert denied(item, VERIFY, d.i8(0)) is ActionResult.OTHER_REASON
    assert kept(item)[256:512] == b"\xff" * 256
    item.invoke(BLOCK, block(2))
    item.invoke(BLOCK, block(3))
    assert item.read(4) == d.u32(5)
    assert kept(item) == IMAGE


def test_an_image_is_verified_and_activated() -> None:
    installer = TrustingInstaller()
    item = image_in_memory(installer)
    begin(item)
    for number in range(5):
        item.invoke(BLOCK, block(number))
    assert denied(item, ACTIVATE, d.i8(0)) is ActionResult.OTHER_REASON
    installer.busy = [ActionResult.TEMPORARY_FAILURE]
    assert denied(item, VERIFY, d.i8(0)) is ActionResult.TEMPORARY_FAILURE
    assert item.read(6) == d.enum(ImageStatus.VERIFICATION_INITIATED)
    item.invoke(VERIFY, d.i8(0))
    assert item.read(6) == d.enum(ImageStatus.VERIFICATION_SUCCESSFUL)
    assert denied(item, BLOCK, block(0)) is ActionResult.OTHER_REASON
    assert item.read(7) == d.array(
        d.structure(d.u32(len(IMAGE)), d.octets(b"fw-2"), d.octets(b"sig"))
    )
    installer.busy = [ActionResult.TEMPORARY_FAILURE]
    assert denied(item, ACTIVATE, d.i8(0)) is ActionResult.TEMPORARY_FAILURE
    assert item.read(6) == d.enum(ImageStatus.ACTIVATION_INITIATED)
    item.invoke(ACTIVATE, d.i8(0))
    assert item.read(6) == d.enum(ImageStatus.ACTIVATION_SUCCESSFUL)
    assert installer.installed == IMAGE
    begin(item)
    assert item.read(7) == d.array()
    assert item.read(3) == d.bits("00000")


def test_failures_show_in_the_status() -> None:
    installer = TrustingInstaller()
    item = image_in_memory(installer)
    begin(item)
    for number in range(5):
        item.invoke(BLOCK, block(number))
    installer.busy = [ActionResult.OTHER_REASON]
    assert denied(item, VERIFY, d.i8(0)) is ActionResult.OTHER_REASON
    assert item.read(6) == d.enum(ImageStatus.VERIFICATION_FAILED)
    item.invoke(VERIFY, d.i8(0))
    installer.busy = [ActionResult.HARDWARE_FAULT]
    assert denied(item, ACTIVATE, d.i8(0)) is ActionResult.HARDWARE_FAULT
    assert item.read(6) == d.enum(ImageStatus.ACTIVATION_FAILED)


def test_without_an_installer_every_image_is_refused() -> None:
    item = image_in_memory()
    begin(item, 128)
    item.invoke(BLOCK, block(0))
    assert denied(item, VERIFY, d.i8(0)) is ActionResult.OTHER_REASON
    assert item.read(6) == d.enum(ImageStatus.VERIFICATION_FAILED)
    assert denied(item, ACTIVATE, d.i8(0)) is ActionResult.OTHER_REASON


def test_what_is_no_part_of_an_image_is_refused() -> None:
    item = image_in_memory()
    other, mismatch = ActionResult.OTHER_REASON, ActionResult.TYPE_UNMATCHED
    assert denied(item, BLOCK, block(0)) is other
    assert denied(item, VERIFY, d.i8(0)) is other
    name = d.octets(b"fw")
    assert denied(item, INITIATE, d.structure(name, d.u32(0))) is other
    assert denied(item, INITIATE, d.structure(name, d.u32((16 << 20) + 1))) is other
    assert denied(item, INITIATE, d.structure(d.octets(bytes(65)), d.u32(9))) is other
    assert denied(item, INITIATE, d.structure(name)) is mismatch
    assert denied(item, INITIATE) is mismatch
    begin(item)
    assert denied(item, BLOCK, d.structure(d.u32(5), d.octets(b""))) is other
    assert denied(item, BLOCK, d.structure(d.i32(-1), d.octets(bytes(128)))) is other
    assert denied(item, BLOCK, d.structure(d.u32(0), d.octets(bytes(127)))) is other
    assert denied(item, BLOCK, d.structure(d.u32(4), d.octets(bytes(4)))) is other
    assert denied(item, BLOCK, d.structure(d.u32(4), d.u8(4))) is mismatch
    item.write(5, d.boolean(False))
    for method, parameter in (
        (1, d.structure(name, d.u32(9))),
        (2, block(0)),
        (3, None),
        (4, None),
    ):
        assert denied(item, method, parameter) is ActionResult.READ_WRITE_DENIED


def test_a_transfer_is_resumed_from_what_the_store_kept() -> None:
    store = MemoryImageStore()
    first = ImageTransfer(store=store)
    begin(first)
    first.invoke(BLOCK, block(3))
    again = ImageTransfer(store=store)
    assert again.read(6) == d.enum(ImageStatus.INITIATED)
    assert again.read(3) == d.bits("00010")
    again.invoke(BLOCK, block(0))
    assert again.read(4) == d.u32(1)
