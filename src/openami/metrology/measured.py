"""A source as a meter's own converter sees it: waves, samples, registers, the line to management.

What the engine of a meter asks is a source; this one stands between it and another, so that the
engine counts what was measured, errors and all, instead of what flows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import DecodeError
from openami.metrology.accuracy import calibrated
from openami.metrology.adc.calibration import Calibration, Constants
from openami.metrology.adc.loads import wave_of
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.adc.registers import CHANNELS, PER_MICRO_WH, rows_of
from openami.metrology.clock import SECOND
from openami.metrology.link.ends import EnergyFollower, ManagementEnd, MeasuringEnd
from openami.metrology.link.messages import EventReport, Report
from openami.metrology.showing import sample_of
from openami.metrology.sources import NOTHING, Sample, Segment

if TYPE_CHECKING:
    import numpy as np

    from openami.metrology.adc.frontend import FrontEnd
    from openami.metrology.sources import Source

REFRESH: Final = 300
"""Seconds for which what was measured of a load that does not change may hold: a month that a meter
catches up on takes some seconds of a core. A meter that is asked each second measures each
second."""

_PER_MILLIWATT: Final = 1_000_000  # nanojoules of a second
_SIGNS: Final = (
    (1, -1, 0, 0, 0, 0, 0, 0),
    (0, 0, 1, 1, -1, -1, 0, 0),
    (0, 0, 0, 0, 0, 0, 1, 1),
)
"""How the channels of a register make active, reactive and apparent energy."""


class MeasuredSource:
    """Another source, measured: a second of samples at each look that is a second after the last.

    It is calibrated once, on its maker's bench: ``fit`` says what a memory must hold of that.

    Args:
        source: what flows.
        front: the meter's input, with its nominal voltage and frequency.
        chance: where its noise comes from.
        phases: 1 or 3.
    """

    def __init__(
        self, source: Source, front: FrontEnd, chance: np.random.Generator, *, phases: int = 1
    ) -> None:
        self._source = source
        self._front = front
        self._chance = chance
        self._phases = phases
        self._fitted: Metering | None = None
        self._measuring = MeasuringEnd(1)
        self._management = ManagementEnd()
        self._follower = EnergyFollower(((0,) * len(CHANNELS),) * rows_of(phases))
        self._rests = [[0] * len(_SIGNS) for _ in range(phases)]
        self._begin: int | None = None
        self._flowing = self._measured = NOTHING
        self._seconds = 0
        self.report: Report | None = None
        """What the measuring part told last; None: nothing was asked yet."""

    def fit(self, record: object) -> dict[str, Any]:
        """Take up the constants of a memory, before anything is measured.

        Args:
            record: what the memory holds, as JSON; None or another front end's: each phase is
                calibrated anew.

        Returns:
            What it must hold from now on: the front end's name, and each phase's constants.

        Raises:
            DecodeError: it is damaged (``metrology.calibration``); nothing was taken up.
        """
        if record is None:
            found = tuple(calibrated(self._front, self._chance) for _ in range(self._phases))
        else:
            name, found = _constants(record)
            if name != self._front.name:
                return self.fit(None)
            if len(found) != self._phases:
                raise DecodeError("constants of other phases", code="metrology.calibration")
        self._fitted = Metering(Rating.of(self._front), Constants.of([found]))
        return {"front": self._front.name, "phases": [each.encode().hex() for each in found]}

    @property
    def _metering(self) -> Metering:
        if self._fitted is None:  # nobody has a memory for it
            self.fit(None)
        assert self._fitted is not None
        return self._fitted

    def at(self, world: int) -> Segment:
        """Return what is measured at ``world``, and until when it holds at most."""
        segment = self._source.at(world)
        begin = self._begin
        if segment.sample != self._flowing or begin is None or not 0 <= world - begin < SECOND:
            self._flowing, begin = segment.sample, world
            self._begin = begin
            self._measure()
        end = begin + REFRESH * SECOND
        return Segment(self._measured, end if segment.until is None else min(end, segment.until))

    def _measure(self) -> None:
        """Measure a second, and take what comes over the line."""
        front, metering = self._front, self._metering
        wave = wave_of(
            self._flowing, voltage=front.voltage, frequency=front.frequency, phases=self._phases
        )
        start = self._seconds * front.rate
        self._seconds += 1
        codes = front.sample(wave, start=start, count=front.rate, chance=self._chance)
        made = metering.process(codes)
        for event in made.events:
            self._measuring.happened(event)
        whole, at = metering.registers.whole, metering.milliseconds
        report = Report.of(made.measurement, whole, life=1, at=at)
        self._management.receive_data(self._measuring.report(report))
        self._measuring.receive_data(self._management.acknowledge())
        self.report = report
        self._measured = self._taken()

    def _taken(self) -> Sample:
        """Return what came over the line."""
        events = []
        while (message := self._management.next_message()) is not None:
            if isinstance(message, EventReport):
                events.append(message.event)
            else:
                self.report = message
        assert self.report is not None
        moved = self._follower.take(self.report.totals)
        # The total's row would round apart from its phases: their sum is the total.
        counted = tuple(map(_flow, moved[1:] or moved, self._rests))
        return sample_of(self.report, counted, tuple(events))


def _constants(record: object) -> tuple[str, tuple[Calibration, ...]]:
    """Return the front end's name and the constants of a memory's record.

    Raises:
        DecodeError: it is damaged.
    """
    try:
        name, phases = record["front"], record["phases"]  # type: ignore[index]  # or it is damaged
        return name, tuple(Calibration.decode(bytes.fromhex(each)) for each in phases)
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError("a calibration is damaged", code="metrology.calibration") from error


def _flow(moved: tuple[int, ...], rests: list[int]) -> Sample:
    """Return the powers of a second's energy; what is less than a unit goes into the next."""
    powers = []
    for place, signs in enumerate(_SIGNS):
        units = sum(sign * each for sign, each in zip(signs, moved, strict=True))
        power, rests[place] = divmod(units * PER_MICRO_WH + rests[place], _PER_MILLIWATT)
        powers.append(power)
    active, reactive, apparent = powers
    return Sample(active, reactive, apparent=apparent)
