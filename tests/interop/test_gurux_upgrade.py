"""gurux-dlms as client transfers an image to our meter, which takes it into service."""

from __future__ import annotations

import asyncio

import pytest
from tests.interop.conftest import HOURS, MANAGEMENT, PUBLIC, READER, serving
from tests.support.upgrades import MAKER, image

from openami.dlms.cosem import ImageStatus
from openami.meter.board import BLOCK_SIZE
from openami.metrology.energy import Channel

pytestmark = pytest.mark.peer

IMAGE = "0.0.44.0.0.255"
FIRMWARE = "1.0.0.2.0.255"
ENERGY = "1.0.1.8.0.255"


@pytest.mark.parametrize("security", ["both", "authenticated"])
async def test_an_image_goes_in_and_runs(security: str) -> None:
    new = image(trial_s=0, padding=2000)
    async with serving(maker=MAKER, plain_management=True, restart_s=0.2, check_s=0.2) as served:
        steps = [["transfer_image", IMAGE, "new", new.hex()], ["activate_image", IMAGE]]
        results = await served.talk("wrapper", MANAGEMENT, *steps, security=security)
        gaps = -(-len(new) // BLOCK_SIZE)
        assert results[0] == [BLOCK_SIZE, gaps, ImageStatus.VERIFICATION_SUCCESSFUL]
        assert results[1] == ImageStatus.ACTIVATION_INITIATED
        management = served.meter.management
        while management.restarts < 2 or management._trial is not None:
            await asyncio.sleep(0.05)
        read = [["read", 1, FIRMWARE, 2], ["read", 18, IMAGE, 6], ["read", 3, ENERGY, 2]]
        shown = await served.talk("hdlc", MANAGEMENT, *read)
        assert shown[0] == b"openami-2.0.0".hex()
        assert shown[1:] == [ImageStatus.ACTIVATION_SUCCESSFUL, 1000 * HOURS]
        assert served.meter.engine.state.energy.whole(Channel.IMPORT) == 1000 * HOURS


async def test_who_may_not_transfers_none_and_a_bad_one_does_not_go_in() -> None:
    async with serving(maker=MAKER, plain_management=True, check_s=0.0) as served:
        step = ["transfer_image", IMAGE, "new", bytes(300).hex()]
        for client in (PUBLIC, READER):
            answer = await served.try_to_talk("wrapper", client, step)
            assert "error" in answer["results"][0]
        results = await served.talk("wrapper", MANAGEMENT, step, security="both")
        assert "error" in results[0]  # other-reason: the status tells
        results = await served.talk("wrapper", MANAGEMENT, ["read", 18, IMAGE, 6])
        assert results == [ImageStatus.VERIFICATION_FAILED]
