"""What is said to all meters of a line, as one of them hears it: counters, keys, power cuts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.meter_bench import Bench
from tests.support.upgrades import begin, image

from openami.core.errors import ConfigError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.crypto.keywrap import wrap
from openami.dlms import data as d
from openami.dlms.client import InvokeMethod, broadcast_action
from openami.dlms.cosem import SecuritySetup
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters
from openami.dlms.references import MethodRef
from openami.dlms.results import ActionResult
from openami.dlms.security import Keys
from openami.meter.identity import (
    SHIPMENT_FILE,
    MeterIdentity,
    generate_identity,
    load_street,
    seeded,
)
from openami.meter.kept import decode, encode
from openami.meter.objects.clients import BROADCAST_CLIENT
from openami.meter.run import hdlc_link
from openami.meter.server import MeterServer
from openami.meter.street import prepare_identities

if TYPE_CHECKING:
    from pathlib import Path

    from openami.meter.device import Meter

DCU: Final = SystemTitle.of("DCU", 1)
COUNTER: Final = "1/0.0.43.1.1.255"
SECURITY: Final = "64/0.0.43.0.0.255"
OCTETS: Final = image(padding=3000)


def line_keys(bench: Bench, **changes: Any) -> Keys:
    keys = bench.config.identity.keys
    return replace(Keys(gbek=keys.gbek, gak=keys.gbak), **changes)


def say(bench: Bench, number: int, counter: int, keys: Keys | None = None) -> None:
    """Broadcast a block; the meter says nothing."""
    part = OCTETS[number * 1024 : (number + 1) * 1024]
    request = InvokeMethod(
        MethodRef(18, Obis.parse("0.0.44.0.0.255"), 2), d.structure(d.u32(number), d.octets(part))
    )
    apdu = broadcast_action(request, keys or line_keys(bench), title=DCU, counter=counter)
    link = HdlcClientLink(
        BROADCAST_CLIENT, HdlcAddress(1, 0x3FFF, 4), HdlcParameters(max_info_tx=2030)
    )
    link.send_unconfirmed(apdu)
    station = hdlc_link(bench.meter)
    server = MeterServer(bench.meter, station, random_octets=seeded("server"))
    for frame in link.data_to_send():
        server.receive_data(frame, now=0.0)
    assert server.data_to_send() == ()


def has(bench: Bench) -> list[int]:
    images = bench.meter.model.images
    return [number for number in range(images.blocks) if images.store.has(number)]


def ready(**settings: Any) -> Bench:
    bench = Bench(**settings)
    assert begin(bench.client(1).opened(), OCTETS) is ActionResult.SUCCESS
    return bench


def test_blocks_are_heard_once_each() -> None:
    bench = ready()
    say(bench, 0, 10)
    say(bench, 1, 10)
    say(bench, 2, 9)
    say(bench, 3, 11)
    assert has(bench) == [0, 3]
    assert bench.client(16).opened().data(COUNTER).integer() == 11
    assert bench.meter.engine.state.alarms == 0


def test_what_was_heard_before_a_power_cut_is_not_heard_after_it() -> None:
    bench = ready()
    say(bench, 0, 10)
    bench.run(bench.config.persist_s + 1)
    bench.restart()
    assert begin(bench.client(1).opened(), OCTETS) is ActionResult.SUCCESS
    say(bench, 1, 10)
    say(bench, 2, 11)
    assert has(bench) == [2]


def test_a_new_broadcast_key_counts_anew_and_outlives_a_restart() -> None:
    bench = ready()
    say(bench, 0, 50)
    new = bytes(range(16))
    wrapped = d.octets(wrap(bench.config.identity.keys.master, new))
    session = bench.client(1).opened()
    assert session.invoke(SECURITY, 2, d.array(d.structure(d.enum(1), wrapped))).ok
    say(bench, 1, 51)
    say(bench, 2, 1, line_keys(bench, gbek=new))
    assert has(bench) == [0, 2]
    bench.run(bench.config.persist_s + 1)
    bench.restart()
    assert begin(bench.client(1).opened(), OCTETS) is ActionResult.SUCCESS
    say(bench, 1, 1, line_keys(bench, gbek=new))
    say(bench, 2, 2, line_keys(bench, gbek=new))
    assert has(bench) == [2]


def test_other_keys_of_a_meter_are_none_of_the_lines() -> None:
    bench = ready()
    keys = bench.config.identity.keys
    say(bench, 0, 1, line_keys(bench, gak=keys.gak))
    say(bench, 1, 2, line_keys(bench, gbek=keys.guek))
    assert has(bench) == []


def without(identity: MeterIdentity) -> MeterIdentity:
    return replace(identity, keys=replace(identity.keys, gbak=None))


class Deaf(Bench):
    """A meter whose maker gave it no keys for broadcasts."""

    def _make(self) -> Meter:
        self.config = replace(self.config, identity=without(self.config.identity))
        return super()._make()


def test_a_meter_of_before_hears_nothing() -> None:
    bench = Deaf()
    assert begin(bench.client(1).opened(), OCTETS) is ActionResult.SUCCESS
    say(bench, 0, 1, Keys(gbek=bytes(16), gak=bytes(16)))
    assert has(bench) == []
    assert bench.meter.model.broadcast is None
    assert not bench.client(16).opened().get(COUNTER).ok
    shipped = bench.config.identity.shipped()
    assert "gbak" not in shipped.keys
    assert MeterIdentity.of(shipped) == bench.config.identity


def test_a_memory_of_before_is_taken_up() -> None:
    bench = Bench()
    change = bench.meter.change()
    data = json.loads(change.snapshot)
    data["counters"] = data["counters"][:3]
    _, kept = decode(json.dumps(data).encode(), bench.config.identity.keys.master)
    assert kept.accepted[2] == {}
    again = encode({}, kept, {"policy": 3, "keys": {}}, (1, {}, {}, {"k": 7}))
    assert json.loads(again)["counters"] == [1, {}, {}, {"k": 7}]


def test_a_street_shares_its_keys_and_no_others(tmp_path: Path) -> None:
    meters = prepare_identities(tmp_path, 3, now=0.0, octets=seeded("street"))
    assert len({(who.keys.gbek, who.keys.gbak) for who in meters}) == 1
    assert len({who.keys.guek for who in meters}) == 3
    assert load_street(tmp_path / SHIPMENT_FILE) == meters
    alone = [generate_identity(number, seeded(str(number))) for number in range(2)]
    assert alone[0].keys.gbak != alone[1].keys.gbak


def test_a_broadcast_setup_takes_no_keys_by_itself() -> None:
    bench = Bench()
    setup = bench.meter.model.broadcast
    assert isinstance(setup, SecuritySetup)
    session = bench.client(1).opened()
    assert session.data(f"64/{setup.obis}", 2).integer() == 3
    wrapped = d.octets(wrap(bench.config.identity.keys.master, bytes(16)))
    keys = d.array(d.structure(d.enum(1), wrapped))
    assert not session.invoke(f"64/{setup.obis}", 2, keys).ok


def test_keys_of_another_length_are_refused() -> None:
    identity = generate_identity(1, seeded("x"))
    with pytest.raises(ValueError, match="16 octets"):
        replace(identity.keys, gbak=bytes(5))
    shipped = replace(identity.shipped(), keys={**identity.shipped().keys, "gbak": bytes(5)})
    with pytest.raises(ConfigError):
        MeterIdentity.of(shipped)
