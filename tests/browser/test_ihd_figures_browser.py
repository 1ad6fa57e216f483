"""The figures beside the power, in Chromium: money, comparisons, carbon dioxide, the total."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.kitchen import look
from tests.browser.visits import chromium, needs_chromium
from tests.support.ihd_page import fake_display

from openami.ihd.billing import FLAT
from openami.mdm.tariffs.catalog import tariff_named, tariff_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playwright.sync_api import Page

pytestmark = list(needs_chromium)

NOW = {
    "voltage": "220.4 V",
    "current": "3.17 A",
    "factor": "0.98",
    "apparent": "699 VA",
    "price-value": "₩214.6/kWh",
    "price-reason": "step 2",
    "bill": "₩37,150",
    "estimate": "Expected ₩58,420 ₩54,100 to ₩63,270",
    "steps-words": "Step 2 of 3: 169 kWh to the next",
    "today": "5.6 kWh",
    "today-words": "13% less than yesterday by now",
    "today-bars": "Today 5.6 Yesterday 12.3",
    "today-foot": "2.3 kg CO₂",
    "month": "231 kWh",
    "month-words": "5% more than last month by now",
    "month-bars": "This month 231 Last month 313 Similar homes 254",
    "month-foot": "96.0 kg CO₂",
}
EVER = {
    "usage-similar": "Oct 1 to Oct 31: you used 313 kWh, 34 similar homes 254 kWh on average, the"
    " best fifth 176 kWh.",
    "total": "12,345.7 kWh",
}
# Why a kWh costs what it does now: in English, in Korean, and whether that is dear.
WHY = {
    FLAT: ("at all hours", "단일 요금", False),
    "off-peak": ("off-peak", "경부하", False),
    "mid": ("mid-peak", "중간부하", False),
    "mid-peak": ("mid-peak", "중간부하", False),
    "peak": ("peak", "최대부하", True),
    "on-peak": ("peak", "최대부하", True),
}
WORDS = """(ids) => Object.fromEntries(ids.map((id) =>
    [id, document.getElementById(id).innerText.replace(/\\s+/g, ' ').trim()]))"""


def words(page: Page, places: Iterable[str]) -> dict[str, str]:
    """Return what is read in each place, with plain spaces."""
    found: dict[str, str] = page.evaluate(WORDS, list(places))
    return found


def test_a_household_sees_what_it_costs_and_compares() -> None:
    """Every figure of the display's state is on the page, and nothing where one is not known."""
    with (
        fake_display("home") as (url, fake),
        chromium() as browser,
        look(browser, url, service_workers="block") as page,
    ):
        expect(page.locator("#power")).to_have_text("684")
        assert words(page, NOW) == NOW
        fake.state |= {"comparison": None, "carbon": None}
        page.reload()
        expect(page.locator("#power")).to_have_text("684")
        less = words(page, ("today-foot", "month-foot", "month-bars"))
        assert less == {
            "today-foot": "",
            "month-foot": "",
            "month-bars": "This month 231 Last month 313",
        }
        fake.show("home")
        page.reload()
        page.get_by_role("link", name="Usage").click()
        expect(page.locator("#usage-similar")).to_contain_text("similar homes")
        assert words(page, EVER) == EVER


def test_the_price_says_why_in_both_languages() -> None:
    """For each period of every shipped tariff, and for those without: peaks stand out."""
    periods = {name for each in tariff_names() for name in tariff_named(each).periods}
    assert periods | {FLAT} == set(WHY)
    with (
        fake_display("time-of-use") as (url, fake),
        chromium() as browser,
        look(browser, url, service_workers="block") as page,
    ):
        for said, (english, korean, dear) in WHY.items():
            for language, text in (("en", english), ("ko", korean)):
                fake.state["settings"]["language"] = language
                fake.state["bill"]["price_now"]["reason"] = said
                fake.shown += 1
                expect(page.locator("#price-reason")).to_have_text(text)
                expect(page.locator("html")).to_have_attribute("lang", language)
                assert ("dear" in (page.locator("#price").get_attribute("class") or "")) is dear
