"""What tests want to know of a DCU's line."""

from openami.fleet.collection import Line


def swept(line: Line) -> bool:
    """Tell whether every address was probed at least once."""
    return line._sweep.laps > 0 or line._unknown_address() is None
