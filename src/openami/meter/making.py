"""A meter's identity in its folder: made at the first start, and completed where one is older."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from openami.meter.identity import (
    SHIPMENT_FILE,
    generate_identity,
    load_identity,
    save_identity,
    save_shipment,
)
from openami.meter.settings import check_grid
from openami.metrology.config import EUROPE
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from openami.meter.identity import MeterIdentity
    from openami.metrology.config import Grid

IDENTITY_FILE: Final = "meter.json"


def ensure_identity(
    state: Path,
    *,
    number: int | None = None,
    phases: int = 1,
    address: int | None = None,
    c1222: bool = False,
    grid: Grid | None = None,
) -> MeterIdentity:
    """Return the identity in the folder ``state``, made at random and kept there if it has none.

    With a new one comes ``shipment.json``, which a head-end imports.

    Args:
        state: the meter's folder.
        number: the maker's running number of a new meter; at random if not given.
        phases: of a new meter.
        address: the station address of a new meter; from its number if not given.
        c1222: it speaks C12.22; a meter that has no title and no key for that gets them.
        grid: what the mains are that a new meter is made for, 230 V and 50 Hz if not given; a meter
            that is not new keeps its own, and no other may be given.

    Raises:
        ConfigError: the file cannot be read or written, or is no meter's, or it is made for another
            grid.
    """
    path = state / IDENTITY_FILE
    if path.exists():
        known = load_identity(path)
        check_grid(known.grid, grid)
        found = known.with_home(secrets.token_bytes)
        if found != known:
            save_identity(path, found)
        if not c1222 or known.c1222 is not None:
            return found
        return _made(path, found.with_c1222(secrets.token_bytes))
    chosen = secrets.randbelow(100_000_000) if number is None else number
    identity = generate_identity(
        chosen, secrets.token_bytes, phases=phases, address=address, grid=grid or EUROPE
    )
    identity = identity.with_home(secrets.token_bytes)
    if c1222:
        identity = identity.with_c1222(secrets.token_bytes)
    return _made(path, identity)


def _made(path: Path, identity: MeterIdentity) -> MeterIdentity:
    """Keep a new identity, and beside it what a head-end imports."""
    save_shipment(path.with_name(SHIPMENT_FILE), [identity], SystemClock().now())
    save_identity(path, identity)
    return identity
