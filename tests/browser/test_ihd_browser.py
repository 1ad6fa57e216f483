"""The in-home display in Chromium, with a real display and a real meter over sockets.

``OPENAMI_PICTURES=docs/pictures`` keeps the pictures of the heater test there, and lets a second
be a minute for the graph's sake.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from playwright.sync_api import expect
from tests.browser.kitchen import (
    PATIENCE_S,
    ROOT,
    Kitchen,
    at_home,
    live,
    look,
    pair_in,
    shown_within,
)
from tests.browser.visits import chromium, needs_chromium

from openami.core.clock import parse_utc
from openami.core.identifiers import SystemTitle
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.cosem.response import RESPONSE_OBIS, Response
from openami.dlms.cosem.said import (
    SIMPLE,
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    Said,
    choices_of,
)
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.security import Keys
from openami.meter.identity import load_identity
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.sync_api import Page

    from openami.transport.session import DlmsSession

T = TypeVar("T")

pytestmark = list(needs_chromium)

PICTURES = os.environ.get("OPENAMI_PICTURES")
PROMISE_S = 5.0  # "shown on the display within five seconds"
KOREA = ("--adc", "paper-100a", "--grid", "220/60")
STEPS = {"off": 0, "step1": 600, "step2": 1200}  # W of the paper's heater
FAST = 300  # an interval of 15 minutes takes three seconds


def test_the_papers_heater(tmp_path: Path) -> None:
    """Pair in the page; the heater's steps; two languages; an event with a way out; the file."""
    pace = fast(60) if PICTURES else ()
    with (
        at_home(tmp_path, KOREA, clock=pace) as (kitchen, url),
        chromium() as browser,
        look(browser, url, locale="ko-KR", accept_downloads=True, expected=("403",)) as page,
    ):
        pair_in(page, wrong(kitchen.code))
        expect(page.locator(".pairing .status")).to_contain_text("번호가 맞지 않습니다")
        pair_in(page, kitchen.code)
        live(page)
        heats(page, kitchen)
        speaks(page)
        answers(page, kitchen)
        exports(page)


def fast(factor: int) -> tuple[str, str]:
    """Return the option of a clock that the meter and its display share."""
    return "--clock", f"2026-11-22T03:00:00Z,{factor},{time.time()}"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


def heats(page: Page, kitchen: Kitchen) -> None:
    """Every step is on the page within the promised time, with the figures of the paper."""
    page.locator("#day-zoom").click()
    for name, watts in STEPS.items():
        kitchen.load(watts)
        waited = shown_within(page, watts, off_by=10 + watts / 100)
        assert waited < PROMISE_S, name
        expect(page.locator("#voltage")).to_have_text(re.compile(r"^2(19|20)\.\d\u202fV$"))
        if watts:
            expect(page.locator("#factor")).to_have_text("1.00")
            expect(page.locator("#apparent")).to_have_text(re.compile(r"VA$"))
        if PICTURES:
            page.wait_for_timeout(15_000)
            page.screenshot(path=ROOT / PICTURES / f"heater-{name}.png")
    expect(page.locator("#day-plot")).to_have_attribute(
        "aria-label", re.compile("최근 24시간 전력")
    )


def speaks(page: Page) -> None:
    """The language changes at once, and stays."""
    page.get_by_role("link", name="설정").click()
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("link", name="Now").click()
    expect(page.get_by_text("Power now")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Power now")).to_be_visible()
    live(page)


def answers(page: Page, kitchen: Kitchen) -> None:
    """An event comes from the utility, the household opts out, and thinks again."""
    at = page.evaluate("async () => (await (await fetch('/api/v1/state')).json()).now")
    now = int(parse_utc(at))
    event = Event(
        id="evening",
        version=1,
        program="autumn",
        kind=EventKind.SHED,
        intervals=(Interval(0, now - 60, 3600, (Payload(SIMPLE, Decimal(2)),)),),
        optional=True,
        texts={"en": "Please use less until eight.", "ko": "8시까지 줄여 주세요."},
    )
    notice = Notice("n1", now - 60, "bill", now + 3600, {"en": "Your bill is here."})
    tell(kitchen, Said(1, (event,), (notice,)))
    banner = page.locator(".banner.event")
    expect(banner).to_contain_text("Please use less until eight.")
    deadline = time.monotonic() + PATIENCE_S
    while answered(kitchen) != {"evening": "acknowledged"} and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    assert answered(kitchen) == {"evening": "acknowledged"}, "it was shown"
    banner.get_by_role("button", name="Opt out").click()
    expect(banner).to_contain_text("You have opted out")
    assert answered(kitchen) == {"evening": "opted-out"}
    banner.get_by_role("button", name="Undo").click()
    expect(banner).to_contain_text("You take part")
    assert answered(kitchen) == {"evening": "accepted"}
    told = page.locator(".banner.note:not(.filling)")
    told.get_by_role("button", name="Close").click()
    expect(told).to_have_count(0)


def exports(page: Page) -> None:
    """What the bars show is saved as a file."""
    page.get_by_role("link", name="Usage").click()
    expect(page.locator("#usage-sum")).to_contain_text("kWh")
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save as CSV").click()
    lines = Path(saving.value.path()).read_text().splitlines()
    assert lines[0] == "start,end,wh,exported_wh,cost_KRW"
    assert len(lines) == 25


def test_a_lost_link(tmp_path: Path) -> None:
    """The meter is killed: the page says so; it is back: the gap is filled from its profile."""
    clock = fast(FAST)
    kitchen = Kitchen(tmp_path)
    kitchen.load(500)
    with chromium() as browser, ExitStack() as stack:
        with kitchen.meter(*clock) as meter:
            url = stack.enter_context(kitchen.display(*clock))
            page = stack.enter_context(look(browser, url))
            pair_in(page, kitchen.code)
            live(page)
            shown_within(page, 500, off_by=5)
            meter.kill()
            lost = page.locator(".banner.warn")
            expect(lost).to_contain_text("No link to the meter for")
            expect(lost).to_contain_text("The graph is filled in")
            expect(page.locator("#verdict")).to_contain_text("At ")
            expect(page.locator("#link")).to_have_attribute("data-state", "lost")
        expect(page.locator("#day-plot")).not_to_have_attribute("data-gaps", "0")
        kitchen.load(900)
        stack.enter_context(kitchen.meter(*clock))
        live(page)
        shown_within(page, 900, off_by=9)
        expect(page.locator(".banner")).to_have_count(0)
        expect(page.locator("#day-plot")).to_have_attribute("data-gaps", "0")
        expect(page.locator("#key-filled")).to_be_visible()


def tell(kitchen: Kitchen, said: Said) -> None:
    """Say something to the household, as a DCU does."""

    async def telling(session: DlmsSession) -> None:
        await session.action(MethodRef(Response.CLASS_ID, RESPONSE_OBIS, 1), said.data())

    managing(kitchen, telling)


def answered(kitchen: Kitchen) -> dict[str, str]:
    """Return what the meter holds of the household's answers."""

    async def asking(session: DlmsSession) -> dict[str, str]:
        found = await session.get(AttributeRef(Response.CLASS_ID, RESPONSE_OBIS, 7))
        return {event: str(answer) for event, answer in choices_of(found)}

    return managing(kitchen, asking)


def managing(kitchen: Kitchen, work: Callable[[DlmsSession], Awaitable[T]]) -> T:
    """Be a management client for a moment; Playwright has an event loop in this thread already."""
    kitchen.counter += 1000  # more than a session uses
    keys = load_identity(kitchen.folder / "meter" / "meter.json").keys
    config = ClientConfig(
        mechanism=Mechanism.HLS_GMAC,
        keys=Keys(guek=keys.guek, gak=keys.gak),
        title=SystemTitle(b"TST00001"),
        security=SecurityLevel.BOTH,
        invocation_counter=kitchen.counter,
    )

    async def run() -> T:
        async with open_session(
            MeterUrl.parse(f"dlms+tcp://{kitchen.wrapper}?client=1"), config
        ) as session:
            return await work(session)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result()
