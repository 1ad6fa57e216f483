"""Our client against our server: links, authentication, ciphering, blocks, lists, selections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from tests.support.dlms_meter import (
    CIPHERED_READER,
    CLIENT_TITLE,
    CLOCK_COLUMN,
    ENERGY,
    ENERGY_COLUMN,
    KEYS,
    MANAGER,
    MASTER,
    NAME,
    NOON,
    NOTE,
    PASSWORD,
    PROFILE,
    PUBLIC,
    READER,
    SERVER_TITLE,
    Pair,
    config_of,
    make_meter,
)

from openami.core.obis import Obis
from openami.crypto.keywrap import wrap
from openami.dlms import data as d
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import (
    Answered,
    ClientConfig,
    Closed,
    Failed,
    GetAttribute,
    GetList,
    InvokeList,
    InvokeMethod,
    Opened,
    Progress,
    SecurityLevel,
    SetAttribute,
    SetList,
)
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import DataObject, Method
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef, EntrySelection, MethodRef, RangeSelection
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.security import Keys
from openami.dlms.server import (
    AssociationFailed,
    AssociationOpened,
    AssociationReleased,
    AttributeWritten,
    MethodInvoked,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.dlms.cosem import CosemObject

LINKS = ("wrapper", "hdlc")
RESET = MethodRef(3, Obis.parse("1.0.1.8.0.255"), 1)
CLOCK_SHIFT = MethodRef(8, Obis.parse("0.0.1.0.0.255"), 6)


def _ways() -> list[tuple[int, ClientConfig]]:
    """Every way to authenticate oneself, plain and with every cipher."""
    keyed = {"keys": KEYS, "title": CLIENT_TITLE}
    ways = [
        (PUBLIC, ClientConfig()),
        (READER, ClientConfig(mechanism=Mechanism.LLS, secret=PASSWORD)),
        (MANAGER, ClientConfig(mechanism=Mechanism.HLS_GMAC, **keyed)),  # type: ignore[arg-type]
        (CIPHERED_READER, ClientConfig(ciphered=True, **keyed)),  # type: ignore[arg-type]
    ]
    for level in (SecurityLevel.AUTHENTICATION, SecurityLevel.ENCRYPTION, SecurityLevel.BOTH):
        for dedicated in (False, True):
            for general in (False, True):
                secure = ClientConfig(
                    security=level,
                    dedicated=dedicated,
                    general=general,
                    keys=KEYS,
                    title=CLIENT_TITLE,
                )
                ways += [
                    (READER, replace(secure, mechanism=Mechanism.LLS, secret=PASSWORD)),
                    (MANAGER, replace(secure, mechanism=Mechanism.HLS_GMAC)),
                    (CIPHERED_READER, secure),
                ]
    return ways


WAYS = _ways()


def named(way: tuple[int, ClientConfig]) -> str:
    config = way[1]
    parts = [config.mechanism.name.lower(), config.security.value]
    parts += [name for name in ("dedicated", "general") if getattr(config, name)]
    return "-".join(parts)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("way", WAYS, ids=named)
def test_every_association_reads_and_releases(way: tuple[int, ClientConfig], link: str) -> None:
    pair = Pair(make_meter(), *way, link)
    opened = pair.open()
    assert isinstance(opened, Opened)
    assert pair.answer(GetAttribute(NAME)).data == d.octets(b"OAM0000000000001")
    energy = pair.answer(GetAttribute(ENERGY))
    if way[0] == PUBLIC:
        assert energy.items[0].result is DataAccessResult.READ_WRITE_DENIED
    else:
        assert energy.data == d.u32(123456)
        assert pair.answer(GetAttribute(PROFILE)).data.items()[95].items()[1] == d.u32(95 * 7)
    assert pair.close() == Closed("closed")
    kinds = [type(event) for event in pair.server_events]
    assert kinds == [AssociationOpened, AssociationReleased]
    assert pair.server_events[0].mechanism is way[1].mechanism  # type: ignore[union-attr]


@pytest.mark.parametrize("way", [w for w in WAYS if w[1].security is SecurityLevel.BOTH], ids=named)
def test_nothing_readable_is_on_the_wire_when_it_is_encrypted(
    way: tuple[int, ClientConfig],
) -> None:
    pair = Pair(make_meter(), *way)
    pair.open()
    pair.answer(GetAttribute(NAME))
    wire = b"".join(octets for _, octets in pair.passed)
    assert b"OAM0000000000001" not in wire
    assert NAME.obis.raw not in wire
    assert KEYS.guek not in wire  # type: ignore[operator]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("size", [64, 65, 71, 128, 200, 256, 511, 1024, 2048])
@pytest.mark.parametrize("name", ["lls", "hls-both"])
def test_long_answers_come_in_blocks_of_any_size(name: str, size: int, link: str) -> None:
    pair = Pair(make_meter(), *config_of(name, max_pdu=size), link)
    assert isinstance(pair.open(), Opened)
    answer = pair.answer(GetAttribute(PROFILE))
    rows = answer.data.items()
    assert [row.items()[1].value for row in rows] == [n * 7 for n in range(96)]
    progress = [e.octets for e in pair.client_events if isinstance(e, Progress)]
    assert progress == sorted(progress)
    assert answer.raw is not None
    assert (progress[-1] if progress else len(answer.raw)) == len(answer.raw)
    answers = [len(octets) for side, octets in pair.passed if side == "answer"]
    if link == "wrapper":  # the AARE comes before anything is agreed on
        assert max(answers[1:]) - 8 <= size


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("size", [64, 100, 255, 1024])
@pytest.mark.parametrize("name", ["hls", "hls-both"])
def test_long_values_are_written_in_blocks(name: str, size: int, link: str) -> None:
    meter = make_meter(max_pdu=size)
    pair = Pair(meter, *config_of(name), link)
    pair.open()
    value = d.octets(bytes(range(256)) * 9)
    assert pair.answer(SetAttribute(NOTE, value)).ok
    assert pair.answer(GetAttribute(NOTE)).data == value
    written = [e for e in pair.server_events if isinstance(e, AttributeWritten)]
    assert [(e.ref, e.result, e.value) for e in written] == [
        (NOTE, DataAccessResult.SUCCESS, value)
    ]
    requests = [octets for side, octets in pair.passed if side == "request"]
    if link == "wrapper":
        assert max(map(len, requests[1:])) - 8 <= size


def echo(obis: str = "0.0.96.1.200.255") -> CosemObject:
    """Return an object whose method answers its parameter twice over."""

    class Echo(DataObject):
        METHODS: ClassVar[Mapping[int, Method]] = {
            1: Method("echo", lambda _, given, __: d.array(given or d.null(), given or d.null()))
        }

    return Echo(obis, d.null())


ECHO = MethodRef(1, Obis.parse("0.0.96.1.200.255"), 1)


@pytest.mark.parametrize("size", [64, 300])
@pytest.mark.parametrize("name", ["hls", "hls-both"])
def test_methods_take_and_answer_blocks(name: str, size: int) -> None:
    meter = make_meter(max_pdu=size, extra=[echo()])
    pair = Pair(meter, *config_of(name, max_pdu=size))
    pair.open()
    parameter = d.octets(bytes(range(200)) * 3)
    answer = pair.answer(InvokeMethod(ECHO, parameter))
    assert answer.ok
    assert answer.data == d.array(parameter, parameter)
    listed = pair.answer(
        InvokeList(
            (InvokeMethod(ECHO, parameter), InvokeMethod(RESET), InvokeMethod(ECHO, d.u8(1)))
        )
    )
    assert [item.result for item in listed.items] == [
        ActionResult.SUCCESS,
        ActionResult.READ_WRITE_DENIED,
        ActionResult.SUCCESS,
    ]
    assert listed.items[2].data == d.array(d.u8(1), d.u8(1))
    assert len([e for e in pair.server_events if isinstance(e, MethodInvoked)]) == 4


@pytest.mark.parametrize("size", [64, 1024])
def test_lists_are_read_and_written(size: int) -> None:
    pair = Pair(make_meter(max_pdu=size), *config_of("hls-both", max_pdu=size))
    pair.open()
    missing = AttributeRef(3, Obis.parse("1.0.99.9.9.255"), 2)
    wrong_class = AttributeRef(1, ENERGY.obis, 2)
    refs = (ENERGY, NAME, missing, wrong_class, NOTE, PROFILE)
    answer = pair.answer(GetList.of(*refs))
    assert [item.result for item in answer.items] == [
        DataAccessResult.SUCCESS,
        DataAccessResult.SUCCESS,
        DataAccessResult.OBJECT_UNDEFINED,
        DataAccessResult.OBJECT_CLASS_INCONSISTENT,
        DataAccessResult.SUCCESS,
        DataAccessResult.SUCCESS,
    ]
    assert len(answer.items[5].data.items()) == 96
    assert not answer.ok
    written = pair.answer(
        SetList((SetAttribute(NOTE, d.octets(b"n" * 90)), SetAttribute(ENERGY, d.u32(1))))
    )
    assert [item.result for item in written.items] == [
        DataAccessResult.SUCCESS,
        DataAccessResult.READ_WRITE_DENIED,
    ]
    assert pair.answer(GetAttribute(NOTE)).data == d.octets(b"n" * 90)


def test_a_list_of_nothing_is_answered_at_once() -> None:
    pair = Pair(make_meter(), *config_of("lls"))
    pair.open()
    assert pair.answer(GetList(())).items == ()
    assert pair.client.ready


def test_lists_go_one_by_one_where_the_meter_has_none() -> None:
    conformance = Conformance.GET | Conformance.SET | Conformance.ACTION
    pair = Pair(make_meter(), *config_of("hls", conformance=conformance))
    pair.open()
    assert [i.ok for i in pair.answer(GetList.of(ENERGY, NAME)).items] == [True, True]
    assert pair.answer(SetList((SetAttribute(NOTE, d.octets(b"1")),) * 2)).ok
    shifts = InvokeList((InvokeMethod(CLOCK_SHIFT, d.i16(10)),) * 2)
    assert pair.answer(shifts).ok
    assert pair.meter.wall.now() == NOON + 20


def test_without_block_transfer_long_things_are_refused() -> None:
    conformance = Conformance.GET | Conformance.SET | Conformance.ACTION
    meter = make_meter(max_pdu=200, extra=[echo()])
    pair = Pair(meter, *config_of("hls", conformance=conformance, max_pdu=200))
    pair.open()
    assert pair.ask(GetAttribute(PROFILE)) == Failed(
        GetAttribute(PROFILE), "exception.pdu-too-long", "the meter refuses: pdu-too-long"
    )
    value = SetAttribute(NOTE, d.octets(bytes(300)))
    assert pair.ask(value) == Failed(
        value, "pdu-too-long", "the request is longer than what the meter takes"
    )
    parameter = InvokeMethod(ECHO, d.octets(bytes(150)))
    failed = pair.ask(parameter)
    assert isinstance(failed, Failed)
    assert failed.code == "exception.pdu-too-long"
    assert pair.answer(GetAttribute(ENERGY)).ok


def times(first: float, last: float) -> RangeSelection:
    return RangeSelection.of_times(
        CosemDateTime.from_utc(first, -540), CosemDateTime.from_utc(last, -540)
    )


@pytest.mark.parametrize("name", ["lls", "hls-both"])
def test_a_profile_is_read_by_range(name: str) -> None:
    pair = Pair(make_meter(), *config_of(name))
    pair.open()
    answer = pair.answer(GetAttribute(PROFILE, times(NOON + 1800, NOON + 3600)))
    assert [row.items()[1].value for row in answer.data.items()] == [7, 14, 21]
    column = replace(times(NOON, NOON + 1000), columns=(ENERGY_COLUMN,))
    assert pair.answer(GetAttribute(PROFILE, column)).data == d.array(d.structure(d.u32(0)))
    swapped = replace(times(NOON, NOON + 1000), columns=(ENERGY_COLUMN, CLOCK_COLUMN))
    row = pair.answer(GetAttribute(PROFILE, swapped)).data.items()[0].items()
    assert [cell.type for cell in row] == [d.DataType.UINT32, d.DataType.OCTETS]
    assert pair.answer(GetAttribute(PROFILE, times(0, 1))).data == d.array()


def test_a_profile_is_read_by_entry() -> None:
    pair = Pair(make_meter(), *config_of("lls"))
    pair.open()
    whole = pair.answer(GetAttribute(PROFILE, EntrySelection(1))).data.items()
    assert len(whole) == 96
    some = pair.answer(GetAttribute(PROFILE, EntrySelection(3, 4, 2, 2))).data
    assert some == d.array(d.structure(d.u32(14)), d.structure(d.u32(21)))
    assert pair.answer(GetAttribute(PROFILE, EntrySelection(95, 0))).data.items() == whole[94:]
    assert pair.answer(GetAttribute(PROFILE, EntrySelection(97, 0))).data == d.array()


def test_without_selective_access_a_selection_is_refused() -> None:
    conformance = Conformance.GET | Conformance.BLOCK_TRANSFER_WITH_GET
    pair = Pair(make_meter(), *config_of("lls", conformance=conformance))
    pair.open()
    answer = pair.answer(GetAttribute(PROFILE, EntrySelection(1)))
    assert answer.items[0].result is DataAccessResult.SCOPE_OF_ACCESS_VIOLATED


def test_the_object_list_says_what_each_client_may_do() -> None:
    listed = {}
    for name in ("public", "lls", "hls"):
        pair = Pair(make_meter(), *config_of(name))
        pair.open()
        answer = pair.answer(GetAttribute(AttributeRef(15, Obis.parse("0.0.40.0.0.255"), 2)))
        entries = [entry.items() for entry in answer.data.items()]
        listed[name] = {(e[0].value, str(Obis(e[2].value))): e for e in entries}
    assert (3, "1.0.1.8.0.255") not in listed["public"]
    assert (15, "0.0.40.0.0.255") in listed["public"]
    assert (15, "0.0.40.0.3.255") not in listed["lls"]
    assert set(listed["public"]) - {(15, "0.0.40.0.0.255")} < set(listed["lls"])
    assert (64, "0.0.43.0.0.255") in listed["hls"]
    attributes, methods = listed["hls"][8, "0.0.1.0.0.255"][3].items()
    modes = {a.items()[0].value: a.items()[1].value for a in attributes.items()}
    assert modes == {1: 1, 2: 3, 3: 3, 4: 1, 5: 3, 6: 3, 7: 3, 8: 3, 9: 1}
    assert [m.items()[1].value for m in methods.items()] == [1] * 6
    attributes, _ = listed["lls"][7, "1.0.99.1.0.255"][3].items()
    assert attributes.items()[1] == d.structure(d.i8(2), d.enum(1), d.array(d.i8(1), d.i8(2)))


def test_rights_are_enforced() -> None:
    everything = config_of("lls")[1].conformance
    meter = make_meter()
    meter.device.associations[READER].conformance = everything
    pair = Pair(meter, *config_of("lls"))
    pair.open()
    assert pair.answer(SetAttribute(NOTE, d.octets(b"no"))).items[0].result is (
        DataAccessResult.READ_WRITE_DENIED
    )
    assert pair.answer(InvokeMethod(CLOCK_SHIFT, d.i16(10))).items[0].result is (
        ActionResult.READ_WRITE_DENIED
    )
    assert meter.wall.now() == NOON
    unknown = AttributeRef(3, ENERGY.obis, 77)
    assert pair.answer(GetAttribute(unknown)).items[0].result is DataAccessResult.OBJECT_UNDEFINED
    secret = AttributeRef(15, Obis.parse("0.0.40.0.0.255"), 7)
    assert pair.answer(GetAttribute(secret)).items[0].result is DataAccessResult.READ_WRITE_DENIED


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    ("sap", "config", "code", "told"),
    [
        (
            READER,
            ClientConfig(mechanism=Mechanism.LLS, secret=b"guess"),
            "association.authentication-failure",
            "password",
        ),
        (READER, ClientConfig(), "association.authentication-required", "mechanism"),
        (
            PUBLIC,
            ClientConfig(mechanism=Mechanism.LLS, secret=b"x"),
            "association.mechanism-name-not-recognized",
            "mechanism",
        ),
        (77, ClientConfig(), "association.no-reason-given", "client"),
        (
            CIPHERED_READER,
            ClientConfig(),
            "association.context-name-not-supported",
            "context",
        ),
        (
            PUBLIC,
            ClientConfig(ciphered=True, keys=KEYS, title=CLIENT_TITLE),
            "association.context-name-not-supported",
            "context",
        ),
        (
            MANAGER,
            ClientConfig(mechanism=Mechanism.HLS_GMAC, keys=KEYS, title=SERVER_TITLE),
            "association.calling-ap-title-not-recognized",
            "title",
        ),
        (
            MANAGER,
            ClientConfig(
                mechanism=Mechanism.HLS_GMAC,
                keys=Keys(guek=bytes(16), gak=KEYS.gak),
                title=CLIENT_TITLE,
            ),
            "association.authentication-failure",
            "hls",
        ),
        (
            CIPHERED_READER,
            ClientConfig(
                security=SecurityLevel.BOTH,
                keys=Keys(guek=KEYS.guek, gak=bytes(16)),
                title=CLIENT_TITLE,
            ),
            "association.authentication-failure",
            "deciphering",
        ),
        (
            PUBLIC,
            ClientConfig(conformance=Conformance.READ),
            "association.incompatible-conformance",
            "initiate",
        ),
        (PUBLIC, ClientConfig(max_pdu=13), "association.pdu-size-too-short", "initiate"),
    ],
)
def test_who_is_refused_learns_why(
    sap: int, config: ClientConfig, code: str, told: str, link: str
) -> None:
    pair = Pair(make_meter(), sap, config, link)
    closed = pair.open()
    assert isinstance(closed, Closed)
    assert closed.code == code
    failed = [e for e in pair.server_events if isinstance(e, AssociationFailed)]
    assert [e.code for e in failed] == [told]
    assert not pair.server.associated


def test_a_client_that_comes_again_replaces_its_association() -> None:
    meter = make_meter()
    first = Pair(meter, *config_of("lls"))
    first.open()
    second = Pair(meter, *config_of("lls"))
    second.server = first.server
    second.open()
    assert [type(e) for e in second.server_events] == [AssociationReleased, AssociationOpened]
    assert second.answer(GetAttribute(ENERGY)).ok


def test_keys_are_transferred_and_used() -> None:
    meter = make_meter()
    pair = Pair(meter, *config_of("hls-both", invocation_counter=500))
    pair.open()
    new = Keys(guek=bytes(range(100, 116)), gak=bytes(range(120, 136)))
    transfer = d.array(
        *(
            d.structure(d.enum(number), d.octets(wrap(MASTER, key)))
            for number, key in ((0, new.guek), (2, new.gak))
            if key is not None
        )
    )
    ref = MethodRef(64, Obis.parse("0.0.43.0.0.255"), 2)
    assert pair.answer(InvokeMethod(ref, transfer)).ok
    assert meter.security.keys == new
    assert pair.answer(GetAttribute(ENERGY)).ok, "the open association keeps its keys"
    pair.close()
    old = Pair(meter, *config_of("hls-both", invocation_counter=900))
    assert isinstance(old.open(), Closed)
    again = Pair(meter, *config_of("hls-both", keys=new, invocation_counter=0))
    assert isinstance(again.open(), Opened)
    assert again.answer(GetAttribute(ENERGY)).ok


@pytest.mark.parametrize("policy", [1, 2, 3])
def test_the_policy_is_enforced(policy: int) -> None:
    for level in SecurityLevel:
        control = {"none": 0, "authentication": 1, "encryption": 2, "both": 3}[level.value]
        config = config_of("hls-both", security=level, ciphered=True)
        pair = Pair(make_meter(policy=policy), *config)
        opened = pair.open()
        if control & policy == policy:
            assert isinstance(opened, Opened)
            assert pair.answer(GetAttribute(ENERGY)).ok
        else:
            assert isinstance(opened, Closed)
            assert opened.code == "association.authentication-failure"
    plain = Pair(make_meter(policy=policy), *config_of("hls"))
    closed = plain.open()
    assert isinstance(closed, Closed)
    assert closed.code == "association.context-name-not-supported"


def test_a_stronger_policy_holds_from_the_next_request_on() -> None:
    meter = make_meter()
    pair = Pair(meter, *config_of("hls-both", security=SecurityLevel.AUTHENTICATION))
    pair.open()
    activate = MethodRef(64, Obis.parse("0.0.43.0.0.255"), 1)
    answer = pair.ask(InvokeMethod(activate, d.enum(3)))
    assert isinstance(answer, Answered)
    failed = pair.ask(GetAttribute(ENERGY))
    assert isinstance(failed, Failed)
    assert failed.code == "exception.operation-not-possible"
