"""The display as a process would run it: TLS, where it says that it answers, what it refuses."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.ihd import pair_folder
from tests.transport.certificates import Authority

from openami.core.errors import ConfigError
from openami.ihd.look import asked, running
from openami.ihd.run import RUNNING, DisplayRunner, load_web
from openami.ihd.settings import DisplaySettings
from openami.mdm.tariffs.catalog import tariff_named
from openami.transport.http import HttpClient
from openami.transport.tls import client_context

if TYPE_CHECKING:
    from pathlib import Path

KOREA = tariff_named("kr-residential-low")


async def test_inside_tls_with_a_pin(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("display")
    folder = tmp_path / "home"
    settings = DisplaySettings(
        folder, KOREA, certificate=(pem.certificate, pem.key), pin="271828", listen=("127.0.0.1", 0)
    )
    async with DisplayRunner(settings) as runner:
        assert runner.url.startswith("https://")
        tls = client_context(authority.certificate)
        async with HttpClient(runner.url, tls=tls) as client:
            assert (await client.get("/api/v1/state")).status == 401
            page = await client.get("/")
            assert page.status == 200
            assert "strict-transport-security" in page.headers
            origin = {"Origin": runner.url, "Content-Type": "application/json"}
            answer = await client.post(
                "/api/v1/unlock", content=b'{"pin": "271828"}', headers=origin
            )
            assert answer.status == 204
            assert "Secure" in answer.headers["set-cookie"]
        where = running(folder)
        assert where is not None
        assert where.token not in repr(where)
        looked = await asked(where)
        assert looked is not None
        assert looked["link"]["state"] == "unpaired"
        for name in (RUNNING, "cookies.key", "home.sqlite"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert running(folder) is None
    assert await asked(where) is None


async def test_a_pairing_that_can_not_be_read_is_told_without_what_it_holds(tmp_path: Path) -> None:
    pair_folder(tmp_path)
    file = tmp_path / "paired.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(file.read_text().replace('"client"', '"clerk"'))
    with pytest.raises(ConfigError) as refused:
        await DisplayRunner(DisplaySettings(tmp_path, KOREA)).__aenter__()
    assert refused.value.code == "config.paired"
    assert "0001020304" not in str(refused.value)
    file.unlink()
    async with DisplayRunner(DisplaySettings(tmp_path, KOREA)):
        pass  # nobody has the folder any more


def test_what_is_no_application_is_told() -> None:
    with pytest.raises(ConfigError) as refused:
        load_web("openami.web.ihd.app:nothing")
    assert refused.value.code == "config.web"
