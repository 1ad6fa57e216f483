"""What an operation is at, over restarts and full disks."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import StoreError
from openami.dcu.operations import MAX_CORRELATOR
from openami.dcu.updates.components_book import Entry, Stock
from openami.dcu.updates.ledger import CAUSE, MAX_WORDS, NEWS_MOST, Ledger, News, Order, Page
from openami.store.device_memory import DeviceMemory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openami.omadm.messages.model import Alert

ORDER = Order("./FUMO/1", "Download", "job-1", "fetch")
GOOD = News("./FUMO/1", "kind", 200, "", "job-1", good=True)
BAD = replace(GOOD, result=410, words="slots.silent no session", good=False)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[DeviceMemory]:
    with closing(DeviceMemory(tmp_path / "memory.sqlite")) as memory:
        yield memory


def test_what_is_kept_is_there_after_a_restart(memory: DeviceMemory) -> None:
    ledger = Ledger(memory, "fumo", lambda _alert: None)
    assert ledger.accept(ORDER) == 202
    ledger.note(replace(ORDER, step="install", tries=2), {"image": "a"})
    told: list[Alert] = []
    again = Ledger(memory, "fumo", told.append)
    again.recall()
    assert again.order == replace(ORDER, step="install", tries=2)
    assert again.page.own == {"image": "a"}
    again.conclude(BAD, {})
    third = Ledger(memory, "fumo", told.append)
    third.recall()
    assert third.order is None
    assert third.page.news == (BAD,)
    assert len(told) == 2
    third.told(told[:1])  # another's
    assert third.page.news == (BAD,)
    third.told(told[1:])
    last = Ledger(memory, "fumo", told.append)
    last.recall()
    assert last.page == Page()


def test_one_thing_at_a_time_and_none_twice(memory: DeviceMemory) -> None:
    ledger = Ledger(memory, "fumo", lambda _alert: None)
    long = replace(ORDER, correlator="x" * (MAX_CORRELATOR + 1))
    assert ledger.accept(long) == 413
    assert ledger.accept(ORDER) == 202
    assert ledger.accept(ORDER) == 202
    assert ledger.accept(replace(ORDER, correlator="job-2")) == 417
    assert ledger.accept(replace(ORDER, node="./FUMO/2")) == 417
    nameless = replace(ORDER, correlator=None)
    assert ledger.accept(nameless) == 417
    ledger.conclude(GOOD, {})
    assert ledger.accept(ORDER) == 202
    assert ledger.order is None  # it is over, and not told yet
    assert ledger.accept(nameless) == 202
    assert ledger.order == nameless


def test_ends_that_nobody_hears_are_bounded(memory: DeviceMemory) -> None:
    ledger = Ledger(memory, "fumo", lambda _alert: None)
    for number in range(NEWS_MOST):
        assert ledger.accept(replace(ORDER, correlator=f"{number}")) == 202
        ledger.conclude(replace(GOOD, correlator=f"{number}"), {})
    assert ledger.accept(replace(ORDER, correlator="more")) == 420


def test_an_alert_says_how_it_ended_and_why(memory: DeviceMemory) -> None:
    told: list[Alert] = []
    ledger = Ledger(memory, "fumo", told.append)
    ledger.conclude(GOOD, {})
    ledger.conclude(replace(BAD, words="a" * 2000), {})
    good, bad = told
    (item,) = good.items
    assert item.meta is not None
    assert (good.correlator, item.data, item.meta.format, item.meta.mark) == (
        "job-1", "200", "int", "informational",
    )  # fmt: skip
    result, why = bad.items
    assert result.meta is not None
    assert why.meta is not None
    assert (result.data, result.meta.mark, why.meta.type) == ("410", "minor", CAUSE)
    assert why.data == "a" * MAX_WORDS


@pytest.mark.parametrize("text", ["[", "[]", '{"order": 1}', '{"order": {"x": 1}}', "null"])
def test_what_another_version_kept_is_begun_anew(memory: DeviceMemory, text: str) -> None:
    memory.put_fact("fumo", text)
    ledger = Ledger(memory, "fumo", lambda _alert: None)
    ledger.recall()
    assert ledger.page == Page()
    assert ledger.accept(ORDER) == 202


def test_what_a_newer_version_kept_besides_is_no_reason_to_forget(memory: DeviceMemory) -> None:
    """It was tried, and its device is back to what can read less."""
    ledger = Ledger(memory, "fumo", lambda _alert: None)
    ledger.conclude(BAD, {})
    ledger.accept(replace(ORDER, correlator="job-2"))
    page = json.loads(ledger.page.encode())
    page["later"] = page["order"]["later"] = page["news"][0]["later"] = 1
    memory.put_fact("fumo", json.dumps(page))
    again = Ledger(memory, "fumo", lambda _alert: None)
    again.recall()
    assert again.page == ledger.page
    entry = Entry("p", "0" * 64, "library", "a", "1.0.0")
    stock = Stock.of({"deployed": {"a": {**asdict(entry), "later": 1}}})
    assert stock.deployed == {"a": entry}


def test_a_disk_that_does_not_work_is_seen_before_anything_is_done(
    memory: DeviceMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Alert] = []
    ledger = Ledger(memory, "fumo", told.append)
    ledger.conclude(GOOD, {})

    def refuse(_name: str, _value: str) -> None:
        raise StoreError("no disk")

    monkeypatch.setattr(memory, "put_fact", refuse)
    before = ledger.page
    for call in (
        lambda: ledger.accept(replace(ORDER, correlator="job-2")),
        lambda: ledger.note(ORDER, {}),
        lambda: ledger.conclude(BAD, {}),
    ):
        with pytest.raises(StoreError):
            call()
        assert ledger.page == before
    ledger.told(told)  # the server knows it all the same
    assert ledger.page.news == ()
