"""Messages in segments (C12.22, 5.3.4.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.conformance.case import Exchange, FindingError, Row, case
from openami.c1222.segments import split
from openami.c1222.services import ReadOffset

if TYPE_CHECKING:
    from openami.c1222.conformance.case import Steps
    from openami.c1222.conformance.lab import Lab, Made

_CLAUSE: Final = "C12.22, 5.3.4.12"
_SERVICES: Final = 20
"""Services of a message that has a few segments."""
_SEGMENT: Final = 96
"""Octets of a segment, but for its titles."""


def _parts(lab: Lab) -> tuple[Made, tuple[bytes, ...]]:
    """Return a message, and it in four segments or more."""
    made = lab.message(*[ReadOffset(0, 0, 1)] * _SERVICES)
    titles = len(lab.target.node.encode() + lab.target.title.encode())
    return made, split(made.octets, _SEGMENT + titles)


def _whole(lab: Lab, made: Made, segments: tuple[bytes, ...], code: str, what: str) -> Steps:
    """Send segments that are a message, and see that it is answered."""
    lab.asked = f"{len(segments)} segments"
    for _ in range(1 + lab.target.retries):
        heard = yield Exchange(segments)
        if lab.answer_in(heard) is not None:
            lab.answered = "an answer"
            return
    lab.lost.add(made.apdu.invocation_id)
    lab.answered = "no answer"
    raise FindingError(code, f"no answer to segments {what}")


@case("segments", Row.SEGMENTS, _CLAUSE, "segments")
def in_order(lab: Lab) -> Steps:
    """A message in segments is answered."""
    made, segments = _parts(lab)
    yield from _whole(lab, made, segments, "segments", "in their order")


@case("segments-order", Row.SEGMENTS, _CLAUSE, "segment-order")
def in_any_order(lab: Lab) -> Steps:
    """Segments may come in any order."""
    made, segments = _parts(lab)
    yield from _whole(lab, made, segments[::-1], "segment-order", "from the last to the first")


@case("segments-twice", Row.SEGMENTS, _CLAUSE, "segment-twice")
def twice(lab: Lab) -> Steps:
    """Segments may come more than once."""
    made, segments = _parts(lab)
    again = (segments[0], segments[0], *segments[1:-1], segments[1], segments[-1])
    yield from _whole(lab, made, again, "segment-twice", "of which some come twice")


@case("segments-lost", Row.SEGMENTS, _CLAUSE, "segment-lost")
def lost(lab: Lab) -> Steps:
    """A message of which a segment lacks is not answered."""
    _, segments = _parts(lab)
    yield from lab.silent(
        "segment-lost", "a message without its second segment", segments[0], *segments[2:]
    )


CASES: Final = (in_order, in_any_order, twice, lost)
