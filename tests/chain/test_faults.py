"""Kills, cut lines, full disks: afterwards the store holds exactly what the meters measured.

``OPENAMI_CHAIN_ROUNDS`` is the number of faults (as many as there are kinds, if not set),
``OPENAMI_CHAIN_FAULTS`` names those that happen
(all, if not set), and ``OPENAMI_CHAIN_SEED`` repeats the choices of a failed run.
"""

from __future__ import annotations

import os
import random
import secrets
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.chain_audit import disagreement
from tests.support.chain_bench import Bench
from tests.support.chain_faults import FAULTS, misfortune
from tests.support.small_disk import kinds

from openami.cli.demo import audit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.chain

ROUNDS: Final = int(os.environ.get("OPENAMI_CHAIN_ROUNDS", len(FAULTS)))
KINDS: Final = os.environ.get("OPENAMI_CHAIN_FAULTS", ",".join(FAULTS)).split(",")
SPEED: Final = 720.0
METERS: Final = 6
PERIOD: Final = audit.PERIOD_S


@pytest.mark.timeout(300 + 30 * ROUNDS)
async def test_the_store_agrees_with_the_meters_whatever_happened(tmp_path: Path) -> None:
    seed = int(os.environ.get("OPENAMI_CHAIN_SEED", str(secrets.randbits(32))))
    chance = random.Random(seed)
    disk = chance.choice(kinds())
    bench = Bench(tmp_path, METERS, SPEED, chance, disk)
    try:
        async with bench:
            await misfortune(bench, ROUNDS, KINDS)
            await settle(bench)
    except BaseException:
        print(f"OPENAMI_CHAIN_SEED={seed} OPENAMI_CHAIN_ROUNDS={ROUNDS}, disk: {disk}")
        print(bench.story())
        raise


async def settle(bench: Bench) -> None:
    """Switch the supplies off, let the chain run until it is quiet, and compare both sides."""
    bench.note("the supplies are switched off")
    bench.crew.check()
    await audit.switch_off(bench.chain)
    until = (bench.clock.now() // PERIOD + 2) * PERIOD
    await audit.collected(bench.chain, until)
    found = await disagreement(bench, until)
    assert not found, "\n".join(f"{meter}: {line}" for meter in found for line in found[meter])
    outcome = await audit.audit(bench.chain, start=bench.since, until=until)
    assert outcome.agrees, outcome
    assert outcome.meters == METERS
    assert outcome.stored_wh > 0
