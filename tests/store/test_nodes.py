"""Nodes of C12.22 and their registrations, on every backend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.support.migrated import bring_to

from openami.core.errors import ConflictError
from openami.fleet.devices import Device, DeviceKind, MeterProtocol, Sighting
from openami.fleet.nodes import MeterNode, NodeStanding
from openami.store.relational import RelationalStore, open_engine, upgrade

if TYPE_CHECKING:
    from pathlib import Path

ONE = MeterNode("M1", "2.16.124.113620.1.22.0.123.1", 2, 7)
TWO = MeterNode("M2", "2.16.124.113620.1.22.0.123.2", 2)
HERE = NodeStanding(
    ".123.1",
    "2.16.1",
    bytes((127, 0, 0, 1, 4, 129, 6)),
    0x20,
    0x30,
    b"OAMI",
    10.5,
    3610.5,
    ".123.9",
)


def test_a_node_comes_back_with_its_registration_and_logs(store: RelationalStore) -> None:
    for node in (TWO, ONE):
        store.nodes.put(node)
    assert store.nodes.find("M1") == ONE
    assert store.nodes.find("M3") is None
    assert store.nodes.of_title(TWO.title) == TWO
    assert store.nodes.of_title("2.16") is None
    store.nodes.register({"M1": HERE, "M9": HERE})
    store.nodes.note("M1", {"a": 5})
    store.nodes.note("M1", {"b": 6})
    store.nodes.note("M9", {"b": 6})
    known = replace(ONE, standing=HERE, logs={"a": 5, "b": 6})
    assert store.nodes.find("M1") == known
    first = store.nodes.list(limit=1)
    assert first.items == (known,)
    assert store.nodes.list(after=first.next, limit=1).items == (TWO,)
    store.nodes.register({"M1": None})
    assert store.nodes.find("M1") == replace(known, standing=None)


def test_a_node_may_be_called_otherwise_and_keeps_the_rest(store: RelationalStore) -> None:
    store.nodes.put(ONE)
    store.nodes.register({"M1": HERE})
    store.nodes.put(replace(ONE, title="2.16.124.113620.1.22.0.123.3", key_id=3, user=None))
    assert store.nodes.find("M1") == MeterNode(
        "M1", "2.16.124.113620.1.22.0.123.3", 3, None, HERE, {}
    )
    with pytest.raises(ConflictError, match="that of meter M1"):
        store.nodes.put(replace(TWO, title="2.16.124.113620.1.22.0.123.3"))
    store.nodes.forget(["M1"])
    assert store.nodes.find("M1") is None


def test_a_device_keeps_what_it_speaks(store: RelationalStore) -> None:
    store.devices.add(Device(DeviceKind.METER, "M1"), who="test", when=1.0)
    assert store.devices.get("meter-M1").protocol is MeterProtocol.DLMS
    speaks = Sighting(DeviceKind.METER, "M1", protocol=MeterProtocol.C1222)
    store.devices.sight([speaks], now=2.0)
    store.devices.sight([Sighting(DeviceKind.METER, "M1")], now=3.0)
    assert store.devices.get("meter-M1").protocol is MeterProtocol.C1222


def test_meters_of_an_older_database_speak_dlms(where: Path | str) -> None:
    engine = open_engine(where)
    with engine.begin() as connection:
        bring_to(connection, "0014")
        connection.execute(
            text(
                "INSERT INTO device (id, kind, serial, state, logical_device_name, model, firmware,"
                " address, contact, fault_message, label, region) VALUES"
                " ('meter-A1', 'meter', 'A1', 'registered', '', '', '', '', 'unknown', '', '', '')"
            )
        )
    upgrade(engine)
    store = RelationalStore(engine)
    assert store.devices.get("meter-A1").protocol is MeterProtocol.DLMS
    assert store.nodes.list().items == ()
    store.close()
