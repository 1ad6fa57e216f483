"""Live events reach who wants them, and nobody is held up by who is slow."""

import asyncio

import pytest

from openami.core.errors import TransportError
from openami.headend.bus import ALL, LiveEvent, LocalBus, Topic


def event(subject: str, topic: Topic = Topic.READINGS) -> LiveEvent:
    return LiveEvent(topic, subject, 0.0)


async def test_only_what_is_wanted_comes() -> None:
    bus = LocalBus()
    with bus.subscribe(lambda e: e.subject == "A") as listening:
        for subject in "ABA":
            bus.publish(event(subject))
        assert [(await listening.next(1)), (await listening.next(1))] == [event("A")] * 2
        assert await listening.next(0) is None
    assert bus.listeners() == 0


async def test_news_that_nobody_wants_need_not_be_made() -> None:
    bus = LocalBus()
    assert not bus.wants(ALL)
    with bus.subscribe(lambda _: True, topics={Topic.DEVICE}) as listening:
        assert bus.wants({Topic.DEVICE, Topic.BATCH})
        assert not bus.wants({Topic.READINGS, Topic.BATCH})
        bus.publish(event("A"))
        bus.publish(event("B", Topic.DEVICE))
        assert await listening.next(1) == event("B", Topic.DEVICE)
        with bus.subscribe(lambda _: True):
            assert bus.wants({Topic.READINGS})
    assert not bus.wants(ALL)


async def test_the_oldest_are_dropped_and_counted() -> None:
    bus = LocalBus()
    with bus.subscribe(lambda _: True, queue=3) as listening:
        for number in range(5):
            bus.publish(event(str(number)))
        assert listening.dropped() == 2
        assert listening.dropped() == 0
        got = [await listening.next(1) for _ in range(3)]
        assert [e.subject for e in got if e] == ["2", "3", "4"]


async def test_publishing_from_a_thread_wakes_the_listener() -> None:
    bus = LocalBus()
    with bus.subscribe(lambda _: True) as listening:
        waiting = asyncio.create_task(listening.next(60))
        await asyncio.sleep(0)
        await asyncio.to_thread(bus.publish, event("A"))
        assert await waiting == event("A")


async def test_closing_ends_listeners_after_what_is_queued() -> None:
    bus = LocalBus()
    with bus.subscribe(lambda _: True) as listening:
        bus.publish(event("A"))
        bus.close()
        before = listening.closed
        assert [await listening.next(60), await listening.next(60)] == [event("A"), None]
        assert (before, listening.closed) == (False, True)
    with pytest.raises(TransportError) as caught:
        bus.subscribe(lambda _: True)
    assert caught.value.code == "busy.stopping"


async def test_subscribers_are_bounded() -> None:
    bus = LocalBus(subscribers=1)
    with bus.subscribe(lambda _: True):
        with pytest.raises(TransportError) as caught:
            bus.subscribe(lambda _: True)
        assert caught.value.code == "busy.listeners"
    with bus.subscribe(lambda _: True):
        assert bus.listeners() == 1
