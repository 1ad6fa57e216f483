"""Authorities that a security module trusts besides the factory's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.secured import Utility

from openami.core.errors import SecurityError, TransportError
from openami.dcu.module.client import SecurityModule

if TYPE_CHECKING:
    from pathlib import Path

    from openami.transport.http import HttpClient


async def known(client: HttpClient) -> bool:
    """Tell whether the server is believed."""
    try:
        return (await client.get("/who")).status == 200
    except TransportError as error:
        if error.code != "transport.tls":
            raise
        return False


async def test_others_are_trusted_as_long_as_they_are_told(tmp_path: Path) -> None:
    old, new = Utility(tmp_path / "old"), Utility(tmp_path / "new", "New")
    state = tmp_path / "state"
    state.mkdir()
    clients = tmp_path / "clients.pem"
    clients.write_bytes(old.anchor.read_bytes() + old.authority.read_bytes())
    anchors = new.authority.read_text()
    async with old.serving() as here, new.serving(clients=clients) as there:
        factory = old.device(there.url)
        async with (
            SecurityModule.start(state, factory) as module,
            module.operational_client(here.url) as first,
            module.operational_client(there.url) as second,
            module.factory_client() as registering,
        ):
            await module.install(old.certify(await module.new_key(), serial=5))
            assert (await known(first), await known(second)) == (True, False)
            assert not await known(registering)
            for wrong in ("no certificate", "é", old.server()[0].read_text(), anchors * 17):
                with pytest.raises(SecurityError) as caught:
                    await module.trust(wrong)
                assert caught.value.code == "module.anchors"
            assert not await known(second)
            await module.trust(anchors)
            assert (await known(first), await known(second)) == (True, True)
            assert await known(registering)
        async with (
            SecurityModule.start(state, factory) as module,
            module.operational_client(there.url) as second,
        ):
            assert await known(second)
            await module.trust(anchors)
            assert await known(second)
            await module.trust("")
            assert not await known(second)  # nor by the connection that was open
        (state / "module" / "anchors.pem").write_text("damaged")
        async with (
            SecurityModule.start(state, factory) as module,
            module.operational_client(here.url) as first,
        ):
            assert await known(first)
