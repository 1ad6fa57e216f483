"""``openami meter label`` and ``displays``: a label, and who is paired with a meter that is off."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.home import CODE, IDENTITY, paired_with, settings

from openami.cli.main import main
from openami.core.errors import ConfigError
from openami.meter.home.stopped import displays_of
from openami.meter.identity import (
    SHIPMENT_FILE,
    generate_identity,
    load_identity,
    load_street,
    save_identity,
    save_shipment,
    seeded,
)
from openami.meter.making import IDENTITY_FILE, ensure_identity
from openami.meter.run import MeterRunner
from openami.store.nvm import SqliteMemory

if TYPE_CHECKING:
    from pathlib import Path


def test_a_meters_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_identity(tmp_path / IDENTITY_FILE, IDENTITY)
    assert main(["meter", "label", "--state", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    # The code comes last: `openami ihd pair --code-file` takes the last word.
    assert out.split()[-5:] == [IDENTITY.serial, str(IDENTITY.system_title), "1", "230/50", CODE]
    assert main(["meter", "label", "--state", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "serial": IDENTITY.serial,
        "system_title": str(IDENTITY.system_title),
        "phases": 1,
        "grid": "230/50",
        "code": CODE,
    }


def test_the_labels_of_a_street(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meters = [generate_identity(number, seeded(str(number))) for number in (1, 2)]
    save_shipment(tmp_path / SHIPMENT_FILE, meters, 0.0)
    state = ["meter", "label", "--state", str(tmp_path), "--json"]
    assert main(state) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["serial"] for each in found] == ["OAM00000001", "OAM00000002"]
    assert len({each["code"] for each in found}) == 2
    assert main([*state, "--serial", "OAM00000002"]) == 0
    assert json.loads(capsys.readouterr().out) == found[1]
    assert [each.home for each in load_street(tmp_path / SHIPMENT_FILE)] == [
        each["code"] for each in found
    ]
    assert main([*state, "--serial", "OAM00000003"]) != 0
    assert "OAM00000003" in capsys.readouterr().err


def test_a_folder_without_a_meter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meter", "label", "--state", str(tmp_path)]) == 2
    assert "config.meter" in capsys.readouterr().err
    save_identity(tmp_path / IDENTITY_FILE, IDENTITY)
    assert main(["meter", "displays", "--state", str(tmp_path)]) == 2
    assert "never ran" in capsys.readouterr().err
    SqliteMemory(tmp_path / "meter.db").close()
    assert main(["meter", "displays", "--state", str(tmp_path)]) == 6


async def test_displays_of_a_meter_that_is_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_identity(tmp_path / IDENTITY_FILE, IDENTITY)
    words = ["meter", "displays", "--state", str(tmp_path)]
    async with MeterRunner(settings(tmp_path)) as runner:
        for name in ("Kitchen", "거실"):
            await paired_with(runner, name)
        assert main(words) == 6  # it runs
        assert "in use" in capsys.readouterr().err
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["place"], each["name"]) for each in found] == [(1, "Kitchen"), (2, "거실")]
    assert main([*words, "--forget", "1"]) == 0
    out = capsys.readouterr().out
    assert "거실" in out
    assert "Kitchen" not in out
    assert main([*words, "--forget", "1"]) == 6
    assert main([*words, "--forget", "2"]) == 0
    assert "no displays are paired" in capsys.readouterr().err
    assert displays_of(tmp_path) == ()


def test_the_code_is_in_the_meters_own_file_alone(tmp_path: Path) -> None:
    identity = ensure_identity(tmp_path, number=5)
    code = identity.home or ""
    assert len(code) == 8
    assert json.loads((tmp_path / IDENTITY_FILE).read_text())["home"] == {"code": code}
    assert code not in (tmp_path / SHIPMENT_FILE).read_text()
    assert code not in repr(identity)
    assert ensure_identity(tmp_path) == identity


def test_an_older_meter_gets_a_code(tmp_path: Path) -> None:
    old = generate_identity(5, seeded("old"))
    save_identity(tmp_path / IDENTITY_FILE, old)
    found = ensure_identity(tmp_path)
    assert found.home is not None
    assert load_identity(tmp_path / IDENTITY_FILE) == found
    assert not (tmp_path / SHIPMENT_FILE).exists()  # nothing of it is for the head-end
    assert stat.S_IMODE((tmp_path / IDENTITY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("home", [{}, [], {"code": "1234567"}, {"code": "1234567x"}, "12345678"])
def test_a_code_that_is_none(tmp_path: Path, home: object) -> None:
    path = tmp_path / IDENTITY_FILE
    save_identity(path, IDENTITY)
    path.write_text(json.dumps({**json.loads(path.read_text()), "home": home}))
    with pytest.raises(ConfigError) as caught:
        load_identity(path)
    assert "1234567" not in str(caught.value)
