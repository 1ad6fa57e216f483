"""Options of simulated meters that concern their firmware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from openami.meter.maker import Maker

maker_option = click.option(
    "--maker-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key (P-256, PEM, mode 600, as imgtool makes it) that signs the firmware of new meters; made if it is not there. [default: STATE/maker.pem]",
)
restart_option = click.option(
    "--restart",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    help="Real seconds that management is away when it restarts; metrology goes on.",
)


def maker_of(path: Path | None) -> Maker | None:
    """Return the maker whose key is in a file; None for the one of the meters' own folder.

    Raises:
        ConfigError: the file holds no such key, or can not be written.
    """
    from openami.meter.maker import Maker

    return None if path is None else Maker.load(path)
