"""What devices are told in their sessions: the questions of one moment, answered together.

Those who ask at one moment have their dossiers read together, are answered one after another, and
what that has changed is kept in one transaction. Until then it is in copies: what fails has changed
nothing, and is asked again with the same. What is in memory here dies with its session: all that
has to outlive it is in the stores, and begins anew in the next session.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import OpenAmiError, StoreError
from openami.headend.groups import apart
from openami.headend.management.moments import Moment, once_each
from openami.headend.management.pending import Memory
from openami.headend.management.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.dossiers import Dossiers
    from openami.headend.bus import Bus
    from openami.headend.management.ports import Answer, Asked
    from openami.headend.management.troubles import Troubles
    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import Order, OrderDone, SessionEnded

log = structlog.get_logger(__name__)

UNTOLD: Final = 4096
"""News that wait to be told again: what comes of more sessions than go on in a moment."""


class TreePlanner:
    """Implements ``Planner`` over the dossiers of devices."""

    def __init__(self, dossiers: Dossiers, *, bus: Bus, troubles: Troubles) -> None:
        self._dossiers = dossiers
        # Of devices with an account, so that they are as many as those.
        self._memories: dict[str, Memory] = {}
        self._turn = partial(Turn, number=partial(next, count(1)), bus=bus, troubles=troubles)
        self._here = threading.local()
        self._telling = threading.Lock()
        self._untold: deque[Callable[[], None]] = deque(maxlen=UNTOLD)

    def together(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        return [answer for some in once_each(asked) for answer in apart(self._answers, some)]

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        return self._turn_of(uid, now).plan()

    def done(
        self, uid: str, results: Sequence[OrderDone], *, session: int, now: float
    ) -> Sequence[Order]:
        del session  # the numbers of orders are never given twice
        return self._turn_of(uid, now).done(results)

    def told(
        self, uid: str, info: Mapping[str, str] | None, alerts: Sequence[Alert], *, now: float
    ) -> None:
        self._turn_of(uid, now).told(info, alerts)

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        del end, session, now
        if (memory := self._memories.get(uid)) is not None:
            memory.session = None

    def _answers(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """Answer questions, of a device each, and keep what has come of those that did not fail.

        Raises:
            StoreError: nothing is kept.
        """
        uids = [uid for uid, _ in asked]
        begin = [uid for uid in uids if self._memory(uid).session is None]
        with Moment(self._dossiers, uids, begin) as moment:
            turns = [self._turn(uid, self._memory(uid).copy(), moment) for uid in uids]
            answers = [
                self._answer(turn, question, moment)
                for turn, (_, question) in zip(turns, asked, strict=True)
            ]
        for turn, answer in zip(turns, answers, strict=True):
            if not isinstance(answer, Exception):
                self._memories[turn.uid] = turn.memory
                self._untold += turn.news
        self._tell()
        return answers

    def _answer(
        self, turn: Turn, question: Callable[[], Sequence[Order]], moment: Moment
    ) -> Answer:
        self._here.turn = turn
        try:
            return question()
        except Exception as error:  # whose question it was gets it, whatever it is
            if isinstance(error, StoreError) and moment.read:
                raise  # nothing of all can be kept now
            moment.discard(turn.uid)
            return error
        finally:
            del self._here.turn

    def _turn_of(self, uid: str, now: float) -> Turn:
        turn: Turn = self._here.turn
        if turn.uid != uid:
            raise RuntimeError(f"this is the turn of {turn.uid}, not of {uid}")
        turn.now = now
        return turn

    def _memory(self, uid: str) -> Memory:
        return self._memories.get(uid) or Memory()

    def _tell(self) -> None:
        """Tell what there is to tell; what cannot be told now is told after the next moment.

        It is kept by now that it has happened: whatever goes wrong here, the answers stand.
        """
        with self._telling:
            while self._untold:
                news = self._untold.popleft()
                try:
                    news()
                except OpenAmiError as error:  # of the store: it is not asked for each
                    log.warning("what has happened is not told yet", code=error.code)
                    self._untold.append(news)
                    return
                except Exception:  # a bug of whom it is told
                    log.exception("what has happened is not told", code="internal")
