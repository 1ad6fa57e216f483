"""What getting an image to many meters costs, as octets on the line.

Everything is in octets that the line could have carried in the time: whoever knows the framing,
the rate and the turn-around of the line makes them so. Chances are of one block not arriving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEFT_OUT: Final = 1e-9
"""Of the sum for an expected maximum: terms below this, for each receiver."""
MOST_LOSS: Final = 0.95
"""A meter that hears one block in twenty is as good as deaf."""
LEAST_LOSS: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Costs:
    """What each thing costs on one line with blocks of one size.

    Attributes:
        broadcast: a block to all stations, unanswered.
        unicast: a block to one meter, with its answer.
        ask: a bitmap, question and answer.
        open: to be let in by a meter, before the first question of a visit; nothing if
            associations are kept open.
    """

    broadcast: float
    unicast: float
    ask: float
    open: float = 0.0

    def __post_init__(self) -> None:
        if min(self.broadcast, self.unicast, self.ask) <= 0 or self.open < 0:
            raise ValueError("nothing on a line is free")

    @property
    def visit(self) -> float:
        """A bitmap, of a meter that has to be visited for it."""
        return self.open + self.ask


def transmissions(receivers: NDArray[np.float64], loss: float) -> NDArray[np.float64]:
    """Return the expected number of transmissions until each of so many receivers has a thing.

    It is the expected maximum of as many geometric variables: the sum over k from 0 of
    1 − (1 − loss^k)^receivers.

    Args:
        receivers: how many, for each thing; none: 0 transmissions.
        loss: of one transmission at one receiver, independent of others.
    """
    loss = min(max(loss, LEAST_LOSS), MOST_LOSS)
    values, places = np.unique(receivers, return_inverse=True)
    powers = loss ** np.arange(1, 2 + math.log(_LEFT_OUT) / math.log(loss))
    tails = -np.expm1(np.outer(values, np.log1p(-powers)))
    totals: NDArray[np.float64] = np.where(values > 0, 1 + tails.sum(axis=1), 0.0)
    return totals[places]


def to_finish_by_broadcast(doubts: NDArray[np.float64], loss: float, costs: Costs) -> float:
    """Return what it costs to fill all gaps by broadcasts, and to be told so.

    Args:
        doubts: the chance that each meter (row) lacks each block (column).
        loss: of a block at a meter.
        costs: of the line.
    """
    asks = _expected(doubts.sum(axis=1), _any(doubts, axis=1), loss)
    return _expected(doubts.sum(axis=0), _any(doubts, axis=0), loss) * costs.broadcast + (
        asks * costs.visit
    )


def to_finish_by_unicast(doubts: NDArray[np.float64], loss: float, costs: Costs) -> float:
    """Return the same for visits of one meter after the other."""
    asks = float(_any(doubts, axis=1).sum())
    return float(doubts.sum()) / (1 - min(loss, MOST_LOSS)) * costs.unicast + asks * costs.visit


def _any(doubts: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):  # a sure gap: the logarithm of nothing
        chances: NDArray[np.float64] = -np.expm1(np.log1p(-doubts).sum(axis=axis))
    return chances


def _expected(counts: NDArray[np.float64], needed: NDArray[np.float64], loss: float) -> float:
    """Return how many transmissions are needed: of each thing if at all, then as often."""
    some = needed > 0
    return float((needed[some] * transmissions(counts[some] / needed[some], loss)).sum())


def wasted(doubts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that nobody lacks a block, for each."""
    return 1 - _any(doubts, axis=0)


def askings(doubts: NDArray[np.float64]) -> float:
    """Return how many meters, asked in turn, will have to be asked again.

    What each of them lacks is sent at once to all, so that those asked later lack less: a meter
    lacks its share of what none before it lacked.
    """
    shares = np.sort(doubts.mean(axis=1))[::-1]
    left = np.exp(-(np.cumsum(shares) - shares))
    return float(-np.expm1(-shares * doubts.shape[1] * left).sum())
