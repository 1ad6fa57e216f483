"""Tables both ways: whole, in part, as JSON; for any formats and any dimensions."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1219 import any_config, any_device, config, tables_of, value_of
from tests.support.vectors import attempt

from openami.c1222.tables import (
    STANDARD,
    Span,
    TableId,
    Tables,
    element_at,
    elements,
    from_json,
    locate,
    parse_description,
    span,
    standard,
    to_json,
    to_text,
)
from openami.c1222.tables.layout import Array, Leaf, Node, Record
from openami.core.errors import ConfigError, DecodeError, LocalProtocolError

RANDOM = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**32)
NAN = "nan"


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables.of_values(config())


def test_general_configuration_octet_by_octet() -> None:
    """C12.19, table 00, laid out by hand."""
    head = bytes.fromhex("05 7C 76 4F414D49 02 00 14 1E 02 00 02 01 01 01 03 04".replace(" ", ""))
    octets = head + bytes.fromhex("2B01 01 00 00 2000 00".replace(" ", ""))
    # CHAR_FORMAT 2, big-endian; TM_FORMAT 4, access 3, BCD identifiers, one's complement;
    # NI_FORMAT1 6 and NI_FORMAT2 7
    found = Tables.of_config(octets)
    assert found.formats.order == "big"
    assert (found.formats.char, found.formats.time, found.formats.integer) == (2, 4, 1)
    assert (found.formats.ni1, found.formats.ni2, found.formats.bcd_ids) == (6, 7, True)
    values = found.known[standard(0)]
    assert values["STD_TBLS_USED"] == {0, 1, 3, 5, 8}
    assert values["MFG_TBLS_USED"] == {0}
    assert values["STD_TBLS_WRITE"] == {5}
    assert found.encode(standard(0), values) == octets
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Tables.of_config(octets[:size])
    with pytest.raises(DecodeError):
        Tables.of_config(octets + b"\0")


def test_a_format_that_the_standard_does_not_have() -> None:
    octets = bytearray(Tables.of_values(config()).encode(standard(0), config()))
    octets[2] = 0xEE
    with pytest.raises(DecodeError, match="ST-00"):
        Tables.of_config(bytes(octets))


def test_the_annex_reads_the_serial_number_by_offset(tables: Tables) -> None:
    """C12.22 annex example 8: 16 octets at 16 of ST-1 are the manufacturer's serial number."""
    layout = tables.layout(standard(1))
    assert locate(layout, "MFG_SERIAL_NUMBER") == Span(16, 16) == span(layout, (6,))
    assert element_at(layout, 20) == ("MFG_SERIAL_NUMBER", Span(16, 16))
    octets = b"OAMIMETER-22\1\2\3\4" + bytes.fromhex("4d414e55464143545552455220534e20")
    values = tables.decode(standard(1), octets)
    assert values["MFG_SERIAL_NUMBER"] == "MANUFACTURER SN"
    assert values["MANUFACTURER"] == "OAMI"
    assert tables.encode(standard(1), values) == octets


def test_registers_octet_by_octet(tables: Tables) -> None:
    """ST-21 and ST-23: two summations, a demand with its time, one tier."""
    known = tables.learn(standard(21), bytes.fromhex("16 00 00 02 01 00 01 01 00 00"))
    octets = bytes.fromhex(
        "07"  # demand resets
        "010000000000 FFFFFFFFFFFF"  # summations, INT48
        "19060F0C1E E80300000000 64000000"  # time of the demand, cumulative, demand
        "020000000000 030000000000 0000000000 000000000000 FEFFFFFF"
    )
    values = known.decode(standard(23), octets)
    assert values["NBR_DEMAND_RESETS"] == 7
    block = values["TOT_DATA_BLOCK"]
    assert block["SUMMATIONS"] == [1, -1]
    assert block["DEMANDS"][0]["EVENT_TIME"][0].isoformat() == "2025-06-15T12:30:00"
    assert block["DEMANDS"][0]["CUM_DEMAND"] == 1000
    assert block["DEMANDS"][0]["DEMAND"] == [100]
    tier = values["TIER_DATA_BLOCK"][0]
    assert tier["DEMANDS"][0] == {"EVENT_TIME": [None], "CUM_DEMAND": 0, "DEMAND": [-2]}
    assert known.encode(standard(23), values) == octets
    layout = known.layout(standard(23))
    assert span(layout, (1, 0, 1)) == Span(7, 6)
    whole = locate(layout, "TIER_DATA_BLOCK[0]")
    assert span(layout, (2, 0, 0), 3) == whole == span(layout, (2, 0)) == Span(28, 27)
    text = to_text(layout, values)
    assert "TIER_DATA_BLOCK[0].DEMANDS[0].DEMAND[0]: -2" in text
    assert dict(elements(layout, values))["TOT_DATA_BLOCK.SUMMATIONS[1]"] == -1


def test_what_is_missing_is_named_in_its_order(tables: Tables) -> None:
    assert tables.missing(standard(64)) == [standard(61), standard(62)]
    assert tables.missing(standard(23)) == [standard(21)]
    assert tables.missing(standard(1)) == []
    with pytest.raises(LocalProtocolError, match="needs ST21") as caught:
        tables.layout(standard(23))
    assert caught.value.code == "c1219.dimension"
    with pytest.raises(ConfigError) as unknown:
        tables.layout(standard(120))
    assert unknown.value.code == "c1219.table"
    for ask in (tables.missing, tables.description.needs):
        with pytest.raises(ConfigError):
            ask(standard(120))
    for procedure in ((False, 99), (True, 0)):
        with pytest.raises(ConfigError) as nothing:
            tables.parameters(procedure)
        assert nothing.value.code == "c1219.procedure"


@RANDOM
@given(SEEDS)
def test_any_configuration_both_ways(seed: int) -> None:
    values = any_config(Random(seed))
    tables = Tables.of_values(values)
    octets = tables.encode(standard(0), values)
    assert Tables.of_config(octets) == tables
    assert tables.known[standard(0)] == values


@RANDOM
@given(SEEDS)
def test_any_table_both_ways_whole_in_part_and_as_json(seed: int) -> None:
    chance = Random(seed)
    device = any_device(chance)
    for table in tables_of(device):
        layout = device.layout(table)
        values = value_of(layout, chance)
        octets = device.encode(table, values)
        assert layout.minimum <= len(octets) <= layout.size
        assert device.decode(table, octets) == values
        shown = to_json(layout, values)
        if table.number not in {42, 45}:  # secrets are not given
            assert from_json(layout, json.loads(json.dumps(shown))) == values
        named = dict(elements(layout, values))
        assert len(to_text(layout, values).splitlines()) == len(named)
        for path, indexes, node in walk(layout):
            where = locate(layout, path)
            assert where == span(layout, indexes)
            if where.size and where.end <= len(octets):
                assert element_at(layout, where.offset)[1].offset == where.offset
                if isinstance(node, Leaf) and where.end < layout.size:
                    assert node.codec.encode(named[path]) == octets[where.offset : where.end]


def walk(node: Node, path: str = "", indexes: tuple[int, ...] = ()) -> list[tuple[str, Any, Node]]:
    """Return every node below, with its name and its indexes; at most the first two of an array."""
    found: list[tuple[str, Any, Node]] = []
    inner: list[tuple[str, int, Node]] = []
    if isinstance(node, Record):
        inner = [
            (f"{path}.{each.name}".lstrip("."), place, each.node)
            for place, each in enumerate(node.members)
            if each.node is not None
        ]
    elif isinstance(node, Array):
        inner = [(f"{path}[{place}]", place, node.of) for place in range(min(node.count, 2))]
    for name, place, child in inner:
        found.append((name, (*indexes, place), child))
        found += walk(child, name, (*indexes, place))
    return found


@RANDOM
@given(SEEDS)
def test_mutations_give_one_value_or_the_one_error(seed: int) -> None:
    chance = Random(seed)
    device = any_device(chance)
    for table in tables_of(device):
        layout = device.layout(table)
        octets = bytearray(device.encode(table, value_of(layout, chance)))
        for _ in range(4):
            if octets and chance.random() < 0.9:
                octets[chance.randrange(len(octets))] = chance.getrandbits(8)
            elif octets:
                del octets[chance.randrange(len(octets)) :]
            values = attempt(partial(device.decode, table), bytes(octets))
            if isinstance(values, DecodeError):
                assert 0 <= values.offset <= layout.size
            else:
                json.dumps(to_json(layout, values))
                assert device.decode(table, device.encode(table, values)) == values or NAN in str(
                    values
                )


def test_elements_that_are_not_there(tables: Tables) -> None:
    layout = tables.layout(standard(1))
    for indexes, count in (((), 1), ((7,), 1), ((0,), 0), ((6,), 2), ((0, 0), 1), ((-1,), 1)):
        with pytest.raises(LocalProtocolError) as caught:
            span(layout, indexes, count)
        assert caught.value.code == "c1219.index"
    for path in ("", "NONE", "MFG_SERIAL_NUMBER[0]", "[0]", "ED_MODEL.X"):
        with pytest.raises(LocalProtocolError):
            locate(layout, path)
    for offset in (-1, layout.size):
        with pytest.raises(LocalProtocolError):
            element_at(layout, offset)
    known = tables.learn(standard(21), bytes(10))
    registers = known.layout(standard(23))
    assert span(registers, (0,), 2) == Span(0, 0)  # left out, and an empty block
    with pytest.raises(LocalProtocolError):
        span(registers, (0, 0))
    with pytest.raises(LocalProtocolError):
        locate(registers, "NBR_DEMAND_RESETS")


def test_values_that_do_not_fit(tables: Tables) -> None:
    good = tables.decode(standard(1), bytes(32))
    for bad in (
        {},
        "no record",
        {**good, "MORE": 1},
        {**good, "MANUFACTURER": "FIVE!"},
        {**good, "HW_VERSION_NUMBER": 256},
        {**good, "HW_VERSION_NUMBER": True},
        {**good, "HW_VERSION_NUMBER": "1"},
    ):
        with pytest.raises(LocalProtocolError) as caught:
            tables.encode(standard(1), bad)  # type: ignore[arg-type]  # what JSON may hold
        assert caught.value.code == "c1219.value"
    known = tables.learn(standard(11), bytes.fromhex("0001000000000000"))
    with pytest.raises(LocalProtocolError, match="list of 1"):
        known.encode(standard(12), {"UOM_ENTRY": []})
    with pytest.raises(LocalProtocolError, match="UOM_ENTRY"):
        from_json(known.layout(standard(12)), {"UOM_ENTRY": "no"})
    with pytest.raises(LocalProtocolError):
        to_json(tables.layout(standard(0)), {**config(), "DEVICE_CLASS": "no octets"})


def test_secrets_are_never_shown(tables: Tables) -> None:
    known = tables.learn(standard(41), bytes.fromhex("01 04 01 02 0000"))
    octets = b"OPEN\x07"
    values = known.decode(standard(42), octets)
    layout = known.layout(standard(42))
    assert "OPEN" not in repr(values)
    assert "OPEN" not in to_text(layout, values)
    assert "4f50454e" not in json.dumps(to_json(layout, values)) + to_text(layout, values)
    assert known.encode(standard(42), values) == octets
    entry = {"PASSWORD": b"OPEN".hex(), "ACCESS_PERMISSION": 7}
    assert known.encode(standard(42), from_json(layout, {"SECURITY_ENTRIES": [entry]})) == octets


def test_text_has_no_terminal_controls(tables: Tables) -> None:
    values = tables.decode(standard(5), b"\x1b[2J\n".ljust(20))
    shown = to_text(tables.layout(standard(5)), values)
    assert shown == "IDENTIFICATION: \\x1b[2J\\n"
    status = tables.decode(standard(3), bytes.fromhex("01 0001 00 0001"))
    lines = to_text(tables.layout(standard(3)), status).splitlines()
    assert lines[:2] == ["ED_MODE: METERING", "ED_STD_STATUS1: LOW_BATTERY"]
    assert "ED_MFG_STATUS: 00 01" in lines
    nothing = tables.decode(standard(3), bytes(6))
    assert "ED_MODE: none" in to_text(tables.layout(standard(3)), nothing)
    shown = to_text(tables.layout(standard(0)), config())
    assert "STD_TBLS_USED: 0 1 3" in shown
    assert "MFG_PROC_USED: none" in shown


def test_dimensions_gone_mad_cost_nothing(tables: Tables) -> None:
    mad = parse_description(
        """
        """.strip()
        + "record EMPTY\n"
        "record ROW\n    CELLS EMPTY * 65535\n"
        "table MT1 MAD\n    ROWS ROW * 65535\n"
        "table MT2 BIG\n    ROWS octets(65535) * 65535\n"
        "table MT3 NEGATIVE\n    ROWS u8 * (1 - 2)\n"
        "table MT4 NEGATIVE_SIZE\n    ROW octets(1 - 2)\n"
        "table MT5 DIVIDED\n    ROW octets(1 / 0)\n"
        "table MT6 MODE\n    ROW coded(3)\n"
        "table MT7 ODD\n    ROW octets(ST0.NONE)\n"
        "record LOOP\n    AGAIN LOOP\n"
        "table MT8 ENDLESS\n    LOOP LOOP\n"
        "table MT9 UNKNOWN\n    ROW NONE\n"
        "table MT10 TAILED\n    TAIL tail(3)\n    MORE u8\n"
        "table MT11 MT11\n    ROW u8 * MT12.ROW\n"
        "table MT12 MT12\n    ROW u8 * MT11.ROW\n"
    )
    device = Tables.of_values(config(), STANDARD.joined(mad))
    for number in range(1, 8):
        with pytest.raises(LocalProtocolError) as caught:
            device.layout(TableId(number, manufacturer=True))
        assert caught.value.code == "c1219.dimension", number
    for number in (8, 9, 10):
        with pytest.raises(ConfigError) as wrong:
            device.layout(TableId(number, manufacturer=True))
        assert wrong.value.code == "c1219.description", number
    with pytest.raises(ConfigError, match="rules itself"):
        device.missing(TableId(11, manufacturer=True))


def test_a_manufacturers_table_is_described_like_the_standards() -> None:
    described = parse_description(
        "# ours\n"
        "bits SWITCHES u16  # two octets\n"
        "    CLOSED 0\n"
        "    REASON 4-7\n"
        "record PART\n"
        "    SWITCH SWITCHES\n"
        "    VALUE  ni2\n"
        "table MT1 OPENAMI_PARTS\n"
        "    NUMBER u8\n"
        "    PARTS  PART * ST0.NBR_PENDING\n"
        "        if ST0.NBR_PENDING != 0 and not 1 not in ST0.MFG_TBLS_USED\n"
        "    LEFT   u24 if ST0.NBR_PENDING == 7 or 3 in ST0.MFG_TBLS_USED\n"
        "    PRICE  i40\n"
    )
    device = Tables.of_values(config(ni2=4, order=1), STANDARD.joined(described))
    octets = bytes.fromhex("09 0051 00003039 8000 FFFFFFFF FFFFFFFFFE")
    values = device.decode(TableId.parse("MT1"), octets)
    assert values == {
        "NUMBER": 9,
        "PARTS": [
            {"SWITCH": {"CLOSED": True, "REASON": 5}, "VALUE": Decimal("1.2345")},
            {
                "SWITCH": {"CLOSED": False, "REASON": 0, "UNNAMED": 0x8000},
                "VALUE": Decimal("-0.0001"),
            },
        ],
        "PRICE": -2,
    }
    assert device.encode(TableId.parse("MT1"), values) == octets


@pytest.mark.parametrize(
    "text",
    [
        "    A u8\n",
        "thing ST1 A\n",
        "table ST1\n",
        "table XX A\n    A u8\n",
        "table ST1 A\n    a u8\n",
        "table ST1 A\n    A\n",
        "table ST1 A\n    A u8\n    A u8\n",
        "table ST1 A\ntable ST1 B\n",
        "table ST1 A\n    A u8 of\n",
        "table ST1 A\n    A u8(3)\n",
        "table ST1 A\n    A text\n",
        "table ST1 A\n    A text(1, 2)\n",
        "table ST1 A\n    A text('x')\n",
        "table ST1 A\n    A u8 * -1\n",
        "table ST1 A\n    A u8 * 2 ** 9\n",
        "table ST1 A\n    A u8 * ST1\n",
        "table ST1 A\n    A u8 * XX.A\n",
        "table ST1 A\n    A u8 * f(1)\n",
        "table ST1 A\n    A u8 if 1 < 2\n",
        "table ST1 A\n    A u8 if 1 == 2 == 3\n",
        "table ST1 A\n    A u8 if (\n",
        "table ST1 A\n    A u8 if " + "1 + " * 100 + "1\n",
        "record a\n",
        "bits A u9\n",
        "bits A u8\n    B 8\n",
        "bits A u8\n    B 1\n    C 0-3\n",
        "bits A u8\n    B 1\n    B 2\n",
        "bits A u8\n    B 3-1\n",
        "bits A u8\n    B x\n",
        "bits A u8\n    UNNAMED 1\n",
        "procedure XP1 A\n",
        "procedure SPX A\n",
        "answer SP1 A\n",
        "#" * 300_000,
    ],
)
def test_a_description_that_says_nothing(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_description(text)
    assert caught.value.code == "c1219.description" or "XX" in text


def test_table_numbers_both_ways() -> None:
    for text, number in (("ST23", 23), ("MT5", 0x805), ("PENDING ST54", 0x1036)):
        table = TableId.parse(text)
        assert (str(table), table.wire) == (text, number)
        assert TableId.from_octets(number) == table
    assert TableId.parse("pending mt1").active == TableId(1, manufacturer=True)
    for wrong in ("XT1", "ST", "ST99999", "ST2048", " ST1"):
        with pytest.raises(ConfigError) as caught:
            TableId.parse(wrong)
        assert caught.value.code == "c1219.table"
