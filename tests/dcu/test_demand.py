"""Demand response through a DCU: real meters on a real line, a head-end over real TLS."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_chain import HOUR, Chain, chain, identity
from tests.support.dcu_demand import answer, event, notice, similar, supply
from tests.support.dcu_other import NEXT_NOON, OtherLine, deliver, other_meter
from tests.support.dcu_other import SERIAL as OTHER

from openami.core.clock import ManualClock
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dcu.batches import Gatherer
from openami.dcu.demand.displays import LONGEST_S, PAUSE_S, TOLD_AFTER
from openami.dcu.demand.state import MeterState
from openami.dlms import data as d
from openami.dlms.cosem import (
    Command,
    ControlState,
    DataObject,
    DisconnectControl,
    Limiter,
    Register,
)
from openami.dlms.cosem.response import Answer, Comparison, Said, profile_id
from openami.dlms.data import decode_data
from openami.dlms.references import AttributeRef
from openami.store.demand import Demand
from openami.transport.session import DlmsSession, ServiceRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dcu_headend import Certificates

    from openami.dcu.batches import Harvest
    from openami.dlms.references import MethodRef
    from openami.meter.device import Meter


@pytest.fixture(autouse=True)
def _news_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.dcu.demand.desk.NEWS_S", 0.01)


SERIAL = identity(0).serial
QUIET = {"numbers": (0,), "history_s": HOUR, "options": {"addresses": "16", "long_poll_s": 0.5}}


def whats(made: Chain) -> list[tuple[str, str | None, str | None]]:
    return [(one["what"], one["event"], one["code"]) for one in made.headend.happened]


def limit_of(meter: Meter) -> tuple[int, bool]:
    meter.refresh()
    limiter = meter.model.limiter
    return decode_data(limiter.read(3).encode()).integer(), limiter.active


def on(control: DisconnectControl) -> bool:
    return control.output


def want(made: Chain, **body: Any) -> None:
    made.headend.want(**{SERIAL: body})


async def told(made: Chain, *kinds: str) -> None:
    await made.until(lambda: set(kinds) <= {what for what, _, _ in whats(made)})


async def begun(made: Chain) -> Meter:
    await made.start_dcu()
    await made.until(lambda: made.complete(0))
    return made.meter(0)


async def test_an_emergency_limits_for_its_time_and_is_told(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, start = await begun(made), made.clock.now() + HOUR
        want(made, events=[event("e1", start, 1800.0, 1800.0)], notices=[notice("n1", start)])
        await told(made, "delivered")
        said = meter.model.response.said
        assert (said.revision, said.events[0].id, said.notices[0].id) == (1, "e1", "n1")
        assert said.events[0].texts["ko"].startswith("전기")
        assert limit_of(meter) == (0xFFFF_FFFF, False)
        assert meter.model.limiter.profile.profile_id == profile_id("e1")
        assert meter.model.limiter.profile.duration == 3600
        made.advance(HOUR + 15)
        await told(made, "limited")
        assert limit_of(meter) == (1000, True)
        made.advance(HOUR)
        await told(made, "restored")
        assert limit_of(meter) == (0xFFFF_FFFF, False)
        assert whats(made) == [
            ("delivered", "e1", None), ("limited", "e1", None), ("restored", "e1", None),
        ]  # fmt: skip
        assert made.headend.happened[-1]["reason"] == "supply: connected"


async def test_an_opt_out_is_told_and_lets_go_and_the_words_of_the_portal_count(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, start = await begun(made), made.clock.now() - 60
        shed = event("e1", start, kind="shed")
        want(made, events=[shed])
        await told(made, "limited")
        answer(meter, "e1", Answer.ACKNOWLEDGED)
        answer(meter, "e1", Answer.OPTED_OUT)
        assert limit_of(meter) == (0xFFFF_FFFF, False)
        made.advance(310)
        await told(made, "acknowledged", "opted-out", "restored")
        assert meter.model.response.standing.answers == ()
        assert meter.model.limiter.profile.duration == 0
        want(made, events=[{**shed, "opted_out": True}])
        await made.until(lambda: meter.model.response.said.events[0].opted_out)
        want(made, events=[shed])
        await made.until(lambda: limit_of(meter) == (1000, True))
        assert meter.model.response.said.choices == {"e1": Answer.ACCEPTED}


async def test_what_is_cancelled_is_let_go_at_once(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, now = await begun(made), made.clock.now()
        later = event("e2", now + HOUR, limit=2.5)
        want(made, events=[event("e1", now - 60), later])
        await told(made, "limited")
        want(made, events=[later])
        await told(made, "restored")
        await made.until(lambda: meter.model.limiter.emergency == 2500)
        assert limit_of(meter) == (0xFFFF_FFFF, False)
        assert meter.model.limiter.groups == (profile_id("e1"), profile_id("e2"))
        await made.until(lambda: [e.id for e in meter.model.response.said.events] == ["e2"])
        want(made)
        await made.until(lambda: meter.model.limiter.profile.duration == 0)
        await made.until(lambda: meter.model.response.said.events == ())
        assert [what for what, _, _ in whats(made)].count("restored") == 1


async def test_supply_is_switched_once_and_told_as_it_was_found(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, until = await begun(made), made.clock.now() + HOUR
        control = meter.model.disconnector

        async def order(name: str, wanted: str, until: float = until) -> str | None:
            want(made, supply=supply(name, wanted, until))
            await made.until(lambda: any(one["event"] == name for one in made.headend.happened))
            return made.headend.happened[-1]["code"]  # type: ignore[no-any-return]  # JSON

        assert await order("o1", "disconnected") == "disconnected"
        assert await order("o2", "disconnected") == "disconnected"
        assert await order("o3", "ready") == "supply.mode", "mode 4 connects by itself"
        assert not on(control)
        assert await order("o4", "connected") == "connected"
        assert await order("o5", "ready") == "connected"
        control.mode = 3
        assert await order("o6", "disconnected") == "disconnected"
        assert await order("o7", "ready") == "ready"
        assert control.command(Command.MANUAL_RECONNECT)
        made.advance(HOUR / 2)
        await made.until(lambda: made.complete(0))
        assert on(control), "an order is done once"
        assert await order("o8", "disconnected", until=made.clock.now() - 1) == "supply.late"
        control.mode = 0
        assert await order("o9", "disconnected") == "dlms.read-write-denied"
        assert on(control)


async def test_a_meter_that_is_silent_gets_what_is_wanted_when_it_is_back(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        await begun(made)
        await made.stop_street()
        now = made.clock.now()
        want(made, events=[event("e1", now - 60)], supply=supply("o1", "disconnected", now + 600))
        await made.until(lambda: made.dcu is not None and made.dcu.desk.revision == 1)
        made.advance(60)
        await made.start_street()
        await told(made, "delivered", "limited", "supply")
        assert made.meter(0).model.disconnector.state is ControlState.DISCONNECTED
        await made.stop_dcu()
        assert Counter(whats(made)) == {
            ("delivered", "e1", None): 1, ("limited", "e1", None): 1,
            ("supply", "o1", "disconnected"): 1,
        }  # fmt: skip


async def test_what_makes_no_sense_is_told_and_costs_nothing_else(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, now = await begun(made), made.clock.now()
        wrong = {**event("e2", now), "intervals": []}
        made.headend.want(
            **{SERIAL: {"events": [wrong, event("e1", now + HOUR, limit=5e6)], "supply": {"x": 1}}},
            OAM99999999={"events": [event("e3", now)]},
        )
        await made.until(lambda: len(made.headend.happened) >= 4)
        assert sorted(map(str, whats(made))) == sorted(
            map(
                str,
                [
                    ("refused", "e2", "demand.order"),
                    ("refused", None, "demand.order"),
                    ("delivered", "e1", None),
                    ("refused", "e1", "demand.limiter"),
                ],
            )
        )
        assert meter.model.response.said.events[0].id == "e1"
        made.headend.lose_answers = 1
        want(made, events=[event("e1", now + HOUR, limit=5e6), event("e4", now + 2 * HOUR)])
        await made.until(lambda: ("delivered", "e4", None) in whats(made))
        await made.until(lambda: meter.model.limiter.profile.profile_id == profile_id("e4"))


async def test_what_was_wanted_holds_though_the_head_end_is_away(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, start = await begun(made), made.clock.now() + HOUR
        want(made, events=[event("e1", start)])
        await told(made, "delivered")
        await made.stop_dcu()
        await made.headend.stop()
        await made.start_dcu()
        made.advance(HOUR + 15)
        await made.until(lambda: made.dcu is not None and limited_by(made) == "e1")
        made.advance(HOUR)
        await made.until(lambda: limited_by(made) is None)
        assert limit_of(meter) == (0xFFFF_FFFF, False)
        await made.headend.start()
        await told(made, "limited", "restored")


def limited_by(made: Chain) -> str | None:
    assert made.dcu is not None
    limit = made.dcu.desk.book.state(SERIAL).limit
    return limit.event if limit is not None and limit.active else None


async def test_an_emergency_is_in_every_meter_before_any_is_read(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    kept, read = Gatherer.add, MeterState.but

    def gathered(gatherer: Gatherer, harvest: Harvest) -> None:
        done.extend("read" for _ in harvest.cursors)
        kept(gatherer, harvest)

    def changed(state: MeterState, **changes: Any) -> MeterState:
        limit = changes.get("limit")
        done.extend(["limited"] if limit is not None and limit.written else [])
        return read(state, **changes)

    options = {**QUIET, "numbers": (0, 1, 2), "options": {"addresses": "16-18"}}
    async with chain(tmp_path, certificates, **options) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: made.complete(0, 1, 2))
        await made.stop_street()
        made.advance(6 * HOUR)
        begin = made.clock.now() + 600
        made.headend.want(
            **{identity(n).serial: {"events": [event("e1", begin)]} for n in range(3)}
        )
        await made.until(lambda: dcu.desk.revision == 1)
        monkeypatch.setattr(Gatherer, "add", gathered)
        monkeypatch.setattr(MeterState, "but", changed)
        await made.start_street()
        await made.until(lambda: made.complete(0, 1, 2) and len(done) >= 6)
        assert done[:3] == ["limited"] * 3
        assert set(done[3:]) == {"read"}


async def test_an_emergency_is_carried_although_there_is_no_room_for_readings(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, dcu = await begun(made), made.dcu
        assert dcu is not None
        monkeypatch.setattr(Gatherer, "full", True)
        made.advance(HOUR)
        await made.until(lambda: dcu.collector.paused)
        before = dcu.line.progress(SERIAL)
        want(made, events=[event("e1", made.clock.now() - 60)])
        await told(made, "delivered")
        assert limit_of(meter) == (1000, True)
        assert dcu.collector.paused
        assert dcu.line.progress(SERIAL) == before
        monkeypatch.undo()
        await made.until(lambda: made.complete(0))


async def visited(made: Chain) -> None:
    """Return when the DCU knows all that is wanted, and has read the meter after that."""
    dcu = made.dcu
    assert dcu is not None
    await made.until(lambda: dcu.desk.revision == made.headend.wanted_revision)
    made.advance(HOUR)
    await made.until(lambda: made.complete(0))


async def test_a_comparison_is_written_once_and_again_when_it_changes(
    tmp_path: Path, certificates: Certificates
) -> None:
    """The meter's revision counts how often something was written there."""
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, end = await begun(made), int(made.clock.now())
        begin = end - 7 * 86_400
        want(made, comparison=similar(end))
        await made.until(lambda: meter.model.response.said.comparison is not None)
        first = Said(1, comparison=Comparison(begin, end, 23, 61_000, 40_000, 70_000))
        assert meter.model.response.said == first
        want(made, comparison=similar(end))
        await visited(made)
        assert meter.model.response.said == first
        await made.stop_dcu()
        await made.start_dcu()
        await visited(made)
        assert meter.model.response.said == first, "what was written is kept"
        want(made, comparison=similar(end, homes=24, own_wh=None))
        await made.until(lambda: meter.model.response.said != first)
        second = Said(2, comparison=Comparison(begin, end, 24, 61_000, 40_000, None))
        assert meter.model.response.said == second
        await visited(made)
        want(made)
        await made.until(lambda: meter.model.response.said != second)
        assert meter.model.response.said == Said(3)
        want(made)
        await visited(made)
        assert meter.model.response.said == Said(3)
        assert whats(made) == [], "nobody is told of it"


async def test_a_comparison_alone_changes_beside_an_event_and_a_notice_that_stay(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, now = await begun(made), int(made.clock.now())
        body = {
            "events": [event("e1", now + 86_400, kind="price", limit=None)],
            "notices": [notice("n1", now)],
        }
        want(made, **body, comparison=similar(now))
        await told(made, "delivered")
        await visited(made)  # and what stands there is looked at, for the event
        before = meter.model.response.said
        assert before.revision == 1
        for revision, own in ((2, 71_000), (3, 72_000)):
            want(made, **body, comparison=similar(now, own_wh=own))
            await made.until(lambda: meter.model.response.said.revision >= revision)  # noqa: B023 - used at once
            await visited(made)
            compared = Comparison(now - 7 * 86_400, now, 23, 61_000, 40_000, own)
            wanted = replace(before, revision=revision, comparison=compared)
            assert meter.model.response.said == wanted
        want(made, **body)
        await made.until(lambda: meter.model.response.said.comparison is None)
        await visited(made)
        assert meter.model.response.said == replace(before, revision=4, comparison=None)
        assert whats(made) == [("delivered", "e1", None)], "once"


async def test_displays_are_forgotten_once_and_those_paired_after_stay(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter = await begun(made)
        meter.home.take(SystemTitle(b"OAMHOME1"), "kitchen")
        meter.home.take(SystemTitle(b"OAMHOME2"), "hall")
        want(made, forget={"order": "f1"})
        await told(made, "displays")
        assert meter.home.displays == []
        meter.home.take(SystemTitle(b"OAMHOME3"), "of who moved in")
        await made.stop_dcu()
        await made.start_dcu()
        want(made, forget={"order": "f1"}, notices=[notice("n1", made.clock.now())])
        await made.until(lambda: len(meter.model.response.said.notices) == 1)
        assert [display.name for display in meter.home.displays] == ["of who moved in"]
        want(made, forget={"order": "f2"})
        await made.until(lambda: meter.home.displays == [])
        await made.until(lambda: len(whats(made)) == 2)
        assert whats(made) == [("displays", f"f{n}", "forgotten") for n in (1, 2)]


async def test_a_meter_that_does_not_forget_displays_is_told_of_once_and_left_alone_ever_longer(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter = await begun(made)
        meter.home.take(SystemTitle(b"OAMHOME1"), "kitchen")
        action, tried = DlmsSession.action, list[float]()

        async def refused(session: DlmsSession, ref: MethodRef, parameter: d.Data) -> d.Data:
            if ref.class_id != 8192:
                return await action(session, ref, parameter)
            tried.append(made.clock.now())
            raise ServiceRefusedError("it is locked", code="dlms.other-reason")

        monkeypatch.setattr(DlmsSession, "action", refused)
        want(made, forget={"order": "f1"})

        def refusals(count: int) -> bool:
            made.advance(PAUSE_S / 2)
            return denied(made) >= count

        await made.until(lambda: refusals(TOLD_AFTER - 1))
        assert not whats(made), "once may be a busy meter"
        await made.until(lambda: refusals(5))
        pauses = [PAUSE_S * 2**count for count in range(4)]
        assert all(b - a >= pause for a, b, pause in zip(tried, tried[1:], pauses, strict=False))
        await told(made, "displays")
        assert whats(made) == [("displays", "f1", "dlms.other-reason")]
        monkeypatch.undo()
        monkeypatch.setattr("openami.dcu.demand.desk.NEWS_S", 0.01)
        made.advance(LONGEST_S)
        await made.until(lambda: len(whats(made)) == 2)
        assert whats(made)[1:] == [("displays", "f1", "forgotten")]
        assert meter.home.displays == []
        assert denied(made) == 0


def denied(made: Chain) -> int:
    """Return how often the meter has refused to forget displays, as its DCU keeps it."""
    assert made.dcu is not None
    found = made.dcu.desk.book.state(SERIAL).denied
    return 0 if found is None else found.tries


# Meters of other makers.


def other_limiter(normal: int = 5000) -> Limiter:
    """Return a limiter of the power, which the meter of the tests has as a register."""
    return Limiter(
        monitored=AttributeRef(3, Obis.parse("1.0.1.7.0.255"), 2), normal=normal, emergency=normal
    )


async def test_a_meter_of_another_maker_has_its_limiter_set_and_its_message_shown(
    tmp_path: Path, certificates: Certificates
) -> None:
    shown: list[bytes] = []
    limiter, control = other_limiter(), DisconnectControl()
    power = Register("1.0.1.7.0.255", 3000, scaler=1, unit=Unit.W)
    message = DataObject("0.0.96.13.0.255", d.octets(b""), write=lambda v: shown.append(v.octets()))
    meter = other_meter(limiter, control, power, message)
    clock = ManualClock(NEXT_NOON)
    async with (
        OtherLine(at17=meter) as line,
        chain(tmp_path, certificates, numbers=(), clock=clock) as made,
    ):
        deliver(made)
        made.modem_port = line.port
        await made.start_dcu(addresses="17")
        one = event("e1", NEXT_NOON - 600, limit=1.5, kind="shed")
        body = {"supply": supply("o1", "disconnected", 4e9), "forget": {"order": "f1"}}
        made.headend.want(**{OTHER: {"events": [one], **body}})
        await told(made, "delivered", "supply", "displays")
        assert shown == [b"Use less, please."]
        assert (limiter.emergency, limiter.groups) == (150, (profile_id("e1"),))
        begin = limiter.profile.activation
        assert NEXT_NOON < begin.timestamp() <= NEXT_NOON + 30, "not in the past"
        assert begin.deviation == -540, "in the meter's local time"
        assert begin.timestamp() + limiter.profile.duration == NEXT_NOON + 3000
        assert control.state is ControlState.DISCONNECTED
        clock.advance(70)
        meter.wall.advance(70)
        assert limiter.step(100, meter.wall.now()) is None
        assert limiter.active
        made.advance(0)
        await told(made, "limited")
        made.headend.want(**{OTHER: {"events": [{**one, "opted_out": True}]}})
        await made.until(lambda: limiter.profile.duration == 0)
        await made.until(lambda: shown[-1] == b"")
        codes = {(what, code) for what, _, code in whats(made)}
        assert codes == {
            ("delivered", "demand.message"), ("supply", "disconnected"), ("limited", None),
            ("displays", "no-displays"),
        }  # fmt: skip


async def test_a_meter_that_can_be_told_nothing_says_so_once(
    tmp_path: Path, certificates: Certificates
) -> None:
    meter, clock = other_meter(), ManualClock(NEXT_NOON)
    async with (
        OtherLine(at17=meter) as line,
        chain(tmp_path, certificates, numbers=(), clock=clock) as made,
    ):
        deliver(made)
        made.modem_port = line.port
        await made.start_dcu(addresses="17")
        made.headend.want(
            **{
                OTHER: {
                    "events": [event("e1", NEXT_NOON + 60)],
                    "supply": supply("o1", "disconnected", 4e9),
                }
            }
        )
        await made.until(lambda: len(made.headend.happened) == 3)
        visits = made.counted()["POST /device/v1/demand"]
        for _ in range(3):
            made.advance(200)
            await made.until(lambda: made.dcu is not None and made.dcu.line.status(OTHER) == "ok")
        assert visits <= made.counted()["POST /device/v1/demand"] <= visits + 1
        assert sorted(map(str, whats(made))) == [
            "('refused', 'e1', 'demand.no-limiter')",
            "('refused', 'e1', 'dlms.object-undefined')",
            "('supply', 'o1', 'dlms.object-undefined')",
        ]


# Ended at every step.


STEPS = 13
"""Of a visit with an answer, an event, a limit in the place of another, and an order."""


class Killed(BaseException):
    """The DCU was ended here."""


class Cut:
    """Ends the DCU before the n-th time that it keeps something or tells a meter.

    That is after the time before, too: in between it only reads.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.dead = False
        keep, action, write = Demand.keep, DlmsSession.action, DlmsSession.set

        def kept(store: Demand, changes: Any) -> None:
            self._come()
            keep(store, changes)

        async def acted(session: DlmsSession, *args: Any) -> Any:
            self._come()
            return await action(session, *args)

        async def written(session: DlmsSession, *args: Any) -> None:
            self._come()
            await write(session, *args)

        monkeypatch.setattr(Demand, "keep", kept)
        monkeypatch.setattr(DlmsSession, "action", acted)
        monkeypatch.setattr(DlmsSession, "set", written)

    def arm(self, number: int | None) -> None:
        self.left, self.dead = number, False

    def _come(self) -> None:
        if self.dead or self.left == 0:
            self.dead = True
            raise Killed
        if self.left is not None:
            self.left -= 1


async def test_ended_at_any_step_nothing_is_lost_or_switched_twice(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(monkeypatch)
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter = await begun(made)
        await made.stop_dcu()
        control = meter.model.disconnector
        changed: list[ControlState] = []
        monkeypatch.setattr(control, "_on_change", lambda _, state: changed.append(state))
        for turn in range(STEPS):
            name, now = f"e{turn}", made.clock.now()
            wanted = "connected" if turn % 2 else "disconnected"
            want(
                made,
                events=[event(name, now - 60, kind="shed", limit=turn + 1.0)],
                supply=supply(f"o{turn}", wanted, now + HOUR),
            )
            answer_first(meter, turn)
            cut.arm(turn)
            await made.start_dcu()
            with suppress(Killed):
                await made.until(lambda: all_told(made, name))  # noqa: B023 - used at once
            assert cut.dead, "there are more steps than that"
            await die(made)
            cut.arm(None)
            dcu = await made.start_dcu()
            made.advance(61)
            await made.until(lambda: all_told(made, name))  # noqa: B023 - used at once
            await made.stop_dcu()
            assert dcu.desk.book.state(SERIAL).limit is not None
            assert meter.model.limiter.emergency == 1000 * (turn + 1)
            assert meter.model.response.said.events[0].id == name
            assert len(changed) == turn + 1, f"once, ended at {turn}"
        counted = Counter(what for what in whats(made) if what[0] in {"delivered", "supply"})
        assert set(counted.values()) == {1}
        assert len(counted) == 2 * STEPS
        answers = Counter(event for what, event, _ in whats(made) if what == "acknowledged")
        assert set(answers.values()) == {1}


def answer_first(meter: Meter, turn: int) -> None:
    if turn:
        answer(meter, f"e{turn - 1}", Answer.ACKNOWLEDGED)


def all_told(made: Chain, name: str) -> bool:
    found = {what for what, about, _ in whats(made) if about in {name, name.replace("e", "o")}}
    return found >= {"delivered", "supply", "limited"}


async def die(made: Chain) -> None:
    made.abandoned.expect()
    with suppress(Killed):
        await made.kill_dcu()
    await made._close()


async def test_a_limit_that_is_changed_while_it_holds_is_set_anew_and_not_told_as_over(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with chain(tmp_path, certificates, **QUIET) as made:
        meter, now = await begun(made), made.clock.now()
        want(made, events=[event("e1", now - 60)])
        await told(made, "limited")
        want(made, events=[event("e1", now - 60, limit=2.0, version=2)])
        await made.until(lambda: limit_of(meter) == (2000, True))
        await made.until(lambda: whats(made).count(("delivered", "e1", None)) == 2)
        assert limited_by(made) == "e1"
        assert "restored" not in {what for what, _, _ in whats(made)}
        standing = meter.model.response.standing
        meter.model.response.standing = replace(standing, said=Said())  # it has lost its memory
        meter.model.limiter.groups = ()
        assert limit_of(meter) == (0xFFFF_FFFF, False)
        want(made, events=[event("e1", now - 60, limit=2.0, version=3)])
        await made.until(lambda: limit_of(meter) == (2000, True))
        await made.until(lambda: [e.version for e in meter.model.response.said.events] == [3])
