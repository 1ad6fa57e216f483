from __future__ import annotations

import pytest

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.object_list import (
    association_version,
    attribute_text,
    decode_object_list,
    method_text,
)

REGISTER = Obis.parse("1.0.1.8.0.255")


def element(class_id: int, version: int, obis: Obis, methods: d.Data | None = None) -> d.Data:
    attributes = d.array(
        d.structure(d.i8(1), d.enum(1), d.null()),
        d.structure(d.i8(2), d.enum(4), d.array(d.i8(1))),
    )
    rights = d.structure(attributes, methods or d.array(d.structure(d.i8(1), d.boolean(True))))
    return d.structure(d.u16(class_id), d.u8(version), d.octets(obis.raw), rights)


def test_entries_say_class_name_and_rights() -> None:
    numbers = d.array(d.structure(d.i8(1), d.enum(2)))
    listed = d.array(element(3, 0, REGISTER), element(15, 1, Obis.parse("0.0.40.0.0.255"), numbers))
    entries = decode_object_list(listed)
    assert [(e.class_id, e.version, str(e.obis)) for e in entries] == [
        (3, 0, "1.0.1.8.0.255"),
        (15, 1, "0.0.40.0.0.255"),
    ]
    assert entries[0].attributes == {1: 1, 2: 4}
    assert entries[0].methods == {1: 1}
    assert entries[1].methods == {1: 2}
    assert association_version(entries) == 1
    assert association_version(entries[:1]) == 1


@pytest.mark.parametrize(
    "broken",
    [
        d.u8(1),
        d.array(d.u8(1)),
        d.array(d.structure(d.u16(3), d.u8(0), d.octets(b"short"), d.structure())),
        d.array(d.structure(d.u16(3), d.u8(0), d.octets(REGISTER.raw), d.structure(d.array()))),
        d.array(
            d.structure(
                d.u16(3), d.u8(0), d.octets(REGISTER.raw),
                d.structure(d.array(d.structure(d.i8(1))), d.array()),
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_object_list_is_refused(broken: d.Data) -> None:
    with pytest.raises(DecodeError):
        decode_object_list(broken)


@pytest.mark.parametrize(
    ("mode", "version", "text"),
    [(0, 1, "-"), (1, 1, "r"), (3, 0, "rw"), (6, 2, "rw!"), (9, 1, "mode 9"), (3, 3, "rw"),
     (1, 3, "r"), (7, 3, "rw!"), (0, 3, "-")],
)  # fmt: skip
def test_attribute_modes_in_short(mode: int, version: int, text: str) -> None:
    assert attribute_text(mode, version) == text


@pytest.mark.parametrize(
    ("mode", "version", "text"),
    [(0, 1, "-"), (1, 1, "x"), (2, 1, "x!"), (7, 1, "mode 7"), (1, 3, "x"), (5, 3, "x!"), (0, 3, "-")],
)  # fmt: skip
def test_method_modes_in_short(mode: int, version: int, text: str) -> None:
    assert method_text(mode, version) == text
