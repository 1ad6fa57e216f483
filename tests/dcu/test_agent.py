"""The whole DCU between real meters on a real line and a head-end over real TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.dcu_chain import HOUR, chain, identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dcu_headend import Certificates


async def test_a_street_is_found_read_and_uploaded_to_the_watt_hour(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates) as made:
        await made.start_dcu()
        await made.until(lambda: made.complete(0, 1, 2))
        for number in (0, 1, 2):
            assert len(made.stored(number)["1.0.1.29.0.255"]) == 24
        for _ in range(3):
            made.advance(HOUR)
            await made.until(lambda: made.complete(0, 1, 2))
        assert len(made.stored(0)["1.0.1.29.0.255"]) == 36
        await made.stop_dcu()
        assert set(made.states()) == {identity(n).serial for n in (0, 1, 2)}
        assert set(made.states().values()) == {"ok"}
