"""What a concentrator reads next on a line that many meters share, as functions of time.

``plans`` says when a kind of data is due, ``line`` which meter is visited or which address is
probed next and ``turns`` how that is said, ``windows`` which part of a profile is asked for and
what to make of what came, ``discipline`` when a meter's clock is set.
"""

from openami.fleet.collection.discipline import (
    ClockAction,
    ClockDecision,
    ClockReading,
    ClockRule,
    decide,
    measure,
)
from openami.fleet.collection.line import Line
from openami.fleet.collection.plans import Cadence, Plan, Progress, due_at, edges
from openami.fleet.collection.turns import (
    MeterStatus,
    Moment,
    Outcome,
    Policy,
    Probe,
    Rest,
    Step,
    Visit,
)
from openami.fleet.collection.windows import (
    Known,
    Sifted,
    Window,
    gaps,
    next_window,
    rewound,
    settled_after,
    sift,
    start_of,
)

__all__ = [
    "Cadence",
    "ClockAction",
    "ClockDecision",
    "ClockReading",
    "ClockRule",
    "Known",
    "Line",
    "MeterStatus",
    "Moment",
    "Outcome",
    "Plan",
    "Policy",
    "Probe",
    "Progress",
    "Rest",
    "Sifted",
    "Step",
    "Visit",
    "Window",
    "decide",
    "due_at",
    "edges",
    "gaps",
    "measure",
    "next_window",
    "rewound",
    "settled_after",
    "sift",
    "start_of",
]
