"""The end that is asked: a sans-IO node.

``Node.receive`` takes whole messages or segments, with the time and whom they came from, and
returns what to send back to there. What the tables hold, who has which password, and what the
network answers is for a ``Device`` to say.
"""

from openami.c1222.node.config import NodeConfig
from openami.c1222.node.device import Caller, Device
from openami.c1222.node.events import MessageRefused, NodeEvent, SessionBegan, SessionEnded
from openami.c1222.node.machine import Node

__all__ = [
    "Caller",
    "Device",
    "MessageRefused",
    "Node",
    "NodeConfig",
    "NodeEvent",
    "SessionBegan",
    "SessionEnded",
]
