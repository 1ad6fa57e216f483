"""Where meters get their flash: new from the factory, or as it was when they stopped.

A folder of meters holds the maker's public key, which they verify images by (``image-key.pem``).
The private one is in it, too (``maker.pem``), unless another was named when the meters were made:
only then is it needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.firmware.keys import ImageKey
from openami.firmware.sparse import SparseFlash
from openami.meter.board import GEOMETRY, Board
from openami.meter.files import write_secret
from openami.meter.maker import Maker, process_maker
from openami.store.flash import FileFlash
from openami.store.street_flash import StreetFlash

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

KEY_FILE: Final = "image-key.pem"
MAKER_FILE: Final = "maker.pem"
FLASH_FILE: Final = "meter.flash"
STREET_FILE: Final = "street-flash.db"


def new_board(maker: Maker | None = None) -> Board:
    """Return the board of a meter that lives no longer than this process."""
    maker = maker or process_maker()
    return Board(SparseFlash(GEOMETRY, maker.pages), (maker.public,))


def meter_board(state: Path, maker: Maker | None, stack: ExitStack) -> Board:
    """Return the board of the one meter in a folder; one that has none gets it from the factory.

    Args:
        state: the folder.
        maker: who makes it, if it is new; by default whose key is in the folder.
        stack: closes the flash.

    Raises:
        ConfigError: the folder holds no key, or cannot be written.
        StoreError: the flash cannot be used.
    """
    path, new = state / FLASH_FILE, not (state / FLASH_FILE).exists()
    keys = _keys(state, maker)
    factory = _maker(state, maker, keys).factory if new else b""
    flash = FileFlash(path, GEOMETRY, factory)
    stack.callback(flash.close)
    return Board(flash, keys)


class StreetBoards:
    """The boards of a street's meters.

    Args:
        state: the street's folder; without one they live no longer than this process.
        maker: who makes them, if they are new; by default whose key is in the folder.
        stack: closes the flash.

    Raises:
        ConfigError: the folder holds no key, or cannot be written.
        StoreError: the flash cannot be used.
    """

    def __init__(self, state: Path | None, maker: Maker | None, stack: ExitStack) -> None:
        self._maker = maker
        self._street: StreetFlash | None = None
        self._known: tuple[ImageKey, ...] = ()
        if state is None:
            return
        self._street = StreetFlash(state / STREET_FILE, GEOMETRY)
        stack.callback(self._street.close)
        self._known = _keys(state, maker)
        if self._street.new:
            self._street.provision(_maker(state, maker, self._known).pages)

    def of(self, serial: str) -> Board:
        """Return the board of the meter with this serial number."""
        if self._street is None:
            return new_board(self._maker)
        return Board(self._street.of(serial), self._known)


def _keys(state: Path, maker: Maker | None) -> tuple[ImageKey, ...]:
    path = state / KEY_FILE
    if not path.exists():
        made = maker or Maker.load(state / MAKER_FILE)
        write_secret(path, made.public.pem())
    try:
        return (ImageKey.from_pem(path.read_bytes()),)  # public: who may read it is not asked
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _maker(state: Path, maker: Maker | None, keys: tuple[ImageKey, ...]) -> Maker:
    found = maker
    if found is None and (state / MAKER_FILE).exists():
        found = Maker.load(state / MAKER_FILE)
    if found is None or found.public.id not in {key.id for key in keys}:
        raise ConfigError(
            f"a new meter in {state} wants the maker's private key that fits {KEY_FILE}",
            hint="the one that its neighbours were made with",
            code="config.firmware-key",
        )
    return found
