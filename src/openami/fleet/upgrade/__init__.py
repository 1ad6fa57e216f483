"""How a concentrator gets one image into all meters of its line, as functions of time and answers.

``state`` is what is wanted and how far a meter is, ``machine`` what is done with one meter,
``rounds`` what is sent to a group of them, ``segment`` the order of it all on one line. Whoever
talks to the meters passes values: nothing here knows DLMS, the image's format, or a clock.
"""

from openami.fleet.upgrade.answers import (
    Accepted,
    Activate,
    Answer,
    Bits,
    Busy,
    Expired,
    Fed,
    Filled,
    Info,
    Initiate,
    Look,
    Looked,
    Poll,
    Polled,
    Refused,
    Rest,
    Silent,
    Status,
    Step,
    Stuck,
    Transfer,
    Verify,
)
from openami.fleet.upgrade.costs import Costs, transmissions
from openami.fleet.upgrade.machine import advance, begun, next_step
from openami.fleet.upgrade.policy import MeterPolicy
from openami.fleet.upgrade.rounds import Ask, Blocks, RoundPolicy, Rounds, Send, Turn
from openami.fleet.upgrade.segment import Do, Segment, Work
from openami.fleet.upgrade.state import FINAL, Order, Stage, Upgrade

__all__ = [
    "FINAL",
    "Accepted",
    "Activate",
    "Answer",
    "Ask",
    "Bits",
    "Blocks",
    "Busy",
    "Costs",
    "Do",
    "Expired",
    "Fed",
    "Filled",
    "Info",
    "Initiate",
    "Look",
    "Looked",
    "MeterPolicy",
    "Order",
    "Poll",
    "Polled",
    "Refused",
    "Rest",
    "RoundPolicy",
    "Rounds",
    "Segment",
    "Send",
    "Silent",
    "Stage",
    "Status",
    "Step",
    "Stuck",
    "Transfer",
    "Turn",
    "Upgrade",
    "Verify",
    "Work",
    "advance",
    "begun",
    "next_step",
    "transmissions",
]
