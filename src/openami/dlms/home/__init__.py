"""A meter's home port: what it pushes to displays, and how a display is paired with it."""

from openami.dlms.home.live import LIVE_OBIS, MAX_PHASES, Live

__all__ = ["LIVE_OBIS", "MAX_PHASES", "Live"]
