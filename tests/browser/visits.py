"""Chromium, and a person who signs in with it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.support.headend import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 60_000  # a loaded machine is slow, not broken
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

needs_chromium = (
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for as long as the block lasts."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def sign_in(page: Page, password: str = PASSWORD, name: str = "admin") -> None:
    """Fill in the form and send it."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Give a page; at the end, nothing has gone wrong in it and no other host was asked."""
    context = browser.new_context(ignore_https_errors=True, **options)
    context.set_default_timeout(PATIENCE_MS)
    page, wrong, hosts = context.new_page(), [], set()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    yield page
    assert wrong == []
    assert hosts == {url}
    context.close()


@contextmanager
def visit(
    browser: Browser, url: str, path: str = "/meters/M1", *, name: str = "admin", **options: Any
) -> Iterator[Page]:
    """Sign in to the console; see ``watched``."""
    with watched(browser, url, **options) as page:
        page.goto(url + path)
        sign_in(page, name=name)
        page.wait_for_url(url + path)
        yield page
