"""The label and the displays of a meter that is not running: what its folder holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError, NotFoundError
from openami.meter.home.desk import HOME_CLIENTS
from openami.meter.identity import SHIPMENT_FILE, load_identity, load_street
from openami.meter.kept import decode, encode
from openami.meter.making import IDENTITY_FILE, ensure_identity
from openami.meter.run import MEMORY_FILE
from openami.metrology.memory import MeterCommit
from openami.store.nvm import SqliteMemory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from openami.meter.home.record import DisplayRecord
    from openami.meter.identity import MeterIdentity

PLACES: Final = range(1, len(HOME_CLIENTS) + 1)
"""Numbers that people call the places by."""


def labelled(state: Path) -> Sequence[MeterIdentity]:
    """Return the meters of a folder, of one meter or of a street, with the codes of their labels.

    Raises:
        ConfigError: the folder has no meter.
    """
    if (state / IDENTITY_FILE).exists():
        return [ensure_identity(state)]
    if (state / SHIPMENT_FILE).exists():
        return load_street(state / SHIPMENT_FILE)
    raise ConfigError(f"{state} has no meter", code="config.meter")


def place_of(client: int) -> int:
    """Return the number of a place."""
    return PLACES[HOME_CLIENTS.index(client)]


def displays_of(state: Path, *, forget: int | None = None) -> Sequence[DisplayRecord]:
    """Return the displays of a meter, without one that is forgotten first.

    Args:
        state: the meter's folder.
        forget: the number of that one's place.

    Raises:
        ConfigError: the folder has no meter.
        StoreError: its memory cannot be used, as while the meter runs; NotFoundError: the place
            is free.
    """
    identity, path = load_identity(state / IDENTITY_FILE), state / MEMORY_FILE
    if not path.exists():
        raise ConfigError(f"{state} has no memory: the meter never ran", code="config.meter")
    memory = SqliteMemory(path)
    try:
        return _displays(identity, memory, forget)
    finally:
        memory.close()


def _displays(
    identity: MeterIdentity, memory: SqliteMemory, forget: int | None
) -> Sequence[DisplayRecord]:
    image, factory = memory.load(identity.serial), identity.keys.master
    if image is None:
        raise NotFoundError(f"{identity.serial} is not in this memory")
    engine, kept = decode(image.snapshot, factory)
    home = kept.home
    if forget is None:
        return home.displays
    left = tuple(each for each in home.displays if place_of(each.client) != forget)
    if left == home.displays:
        raise NotFoundError(f"no display has place {forget}")
    kept.home = replace(home, displays=left, unlogged=home.unlogged + 1)
    counters = (kept.counter, *kept.accepted)
    snapshot = encode(engine, kept, kept.secrets(factory), counters)
    memory.commit([MeterCommit(identity.serial, snapshot)])
    return left
