"""What is installed and what the tree says, as the settings of collection."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from openami.core.errors import ConfigError
from openami.dcu.installation import _NAMES, Installation, listen_address, resolve
from openami.dcu.settings import DcuSettings
from openami.omadm.objects import ami
from openami.omadm.objects.ami import AmiConfig, MeterEntry
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.tree import ManagementTree

OWN = {"id", "headend", "state", "modem", "line_rate", "system_title", "spool_octets", "stop_s"}


def installation(**options: object) -> Installation:
    given = {"factory": Path("factory"), "modem": "hdlc+tcp://127.0.0.1:4060", **options}
    return Installation(**given)  # type: ignore[arg-type]  # as a file would give them


def factory_settings() -> AmiConfig:
    return AmiConfig.read(ManagementTree(device_schema()).root)


def resolved(config: AmiConfig) -> DcuSettings:
    return resolve(installation(), config, uid="D1", headend="https://headend.example:8444")


def test_the_tree_of_the_factory_says_what_the_settings_default_to() -> None:
    found = resolved(factory_settings())
    for name, field in DcuSettings.model_fields.items():
        if name not in {*OWN, "event_logs"}:
            assert getattr(found, name) == field.default, name
    assert found.event_logs == DcuSettings.model_fields["event_logs"].default
    assert (found.id, str(found.headend)) == ("D1", "https://headend.example:8444/")


def test_every_leaf_counts_and_every_setting_has_one() -> None:
    parts = {
        "collection": ami.Collection,
        "segment": ami.Segment,
        "link": ami.LinkSettings,
        "time": ami.TimeSource,
        "upload": ami.Upload,
    }
    leaves = {(part, f.name) for part, kind in parts.items() for f in fields(kind)}
    mapped = {(part, name) for part, names in _NAMES.items() for name in names}
    assert leaves - mapped == {("time", "source"), ("upload", "target")}
    set_by_tree = {name for names in _NAMES.values() for name in names.values()} | {"meters"}
    assert set(DcuSettings.model_fields) == set_by_tree | OWN


def test_where_readings_go_and_which_meters_are_read() -> None:
    config = factory_settings()
    meters = (MeterEntry("A1", address=16), MeterEntry("A2", enabled=False))
    config = replace(
        config, upload=replace(config.upload, target="https://other.example"), meters=meters
    )
    found = resolved(config)
    assert str(found.headend) == "https://other.example/"
    assert found.listed == frozenset({"A1"})


def test_what_this_device_cannot_do_is_refused_in_words() -> None:
    config = factory_settings()
    with pytest.raises(ValueError, match="from its system"):
        resolved(replace(config, time=replace(config.time, source="https://time.example")))
    narrow = replace(config.segment, addresses="200", address_octets=2)
    with pytest.raises(ValueError, match=r"^addresses: 200 needs address_octets = 4$"):
        resolved(replace(config, segment=narrow))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modem", "dlms+tcp://127.0.0.1:4059"),
        ("modem", "nonsense"),
        ("clock", "soon"),
        ("wake", "nowhere"),
        ("wake", "127.0.0.1:70000"),
        ("spool_octets", 1),
        ("load_period_s", 900),
    ],
)
def test_an_installation_that_cannot_be(name: str, value: object) -> None:
    given = {"factory": "f", "modem": "hdlc+tcp://127.0.0.1:4060", name: value}
    with pytest.raises(ConfigError) as caught:
        Installation.load(None, **given)
    assert caught.value.code == "config.setting"


def test_an_installation_of_a_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dcu.toml"
    file.write_text('factory = "f"\nmodem = "hdlc+tcp://127.0.0.1:4060"\nwake = "[::]:0"\n')
    monkeypatch.setenv("OPENAMI_DCU_STOP_S", "3")
    found = Installation.load(file, clock="2024-07-01T00:00:00Z,600")
    assert (found.factory, found.stop_s, found.wake) == (Path("f"), 3.0, "[::]:0")
    assert listen_address("[::]:0") == ("::", 0)
