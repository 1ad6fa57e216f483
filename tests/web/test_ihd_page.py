"""The display's page, as far as it can be read: its texts, its files, its worker."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette

from openami.ihd.billing import FLAT
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.web.ihd.page import STATIC, TEMPLATES, routes, service_worker

LANGUAGES: Final = ("en", "ko")


class _Client:
    """Asks the page's routes, without an event loop of the caller."""

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=list(routes())))
        async with httpx.AsyncClient(transport=transport, base_url="http://display") as client:
            return await client.get(path)


CLIENT: Final = _Client()


def catalogue(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((STATIC / "texts" / f"{language}.json").read_bytes())
    return found


def sources() -> str:
    paths = [*sorted((STATIC / "js").glob("*.js")), TEMPLATES / "index.html"]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_every_language_says_everything() -> None:
    """The same keys, the same places for values, nothing empty."""
    english, korean = map(catalogue, LANGUAGES)
    assert list(english) == list(korean)
    for key, text in english.items():
        assert text
        assert korean[key]
        values = [set(re.findall(r"\{(\w+)\}", each)) for each in (text, korean[key])]
        assert values[0] == values[1], key


def test_every_text_is_used_and_there() -> None:
    """No key without a place on the page, no place without a text."""
    found = sources()
    keys = set(catalogue("en"))
    assert {key for key in keys if f'"{key}"' not in found} == set()
    named = re.findall(r'data-(?:text|name)="([^"]+)"|\bt\("([^"]+)"', found)
    assert {one or other for one, other in named} <= keys


def test_every_period_of_a_shipped_tariff_has_a_text() -> None:
    """And a price that is the same at all hours; without one the API's word would be shown."""
    tiles = (STATIC / "js" / "tiles.js").read_text(encoding="utf-8")
    table = tiles.partition("const REASONS = {")[2].partition("}")[0]
    reasons = dict(re.findall(r'"?([\w-]+)"?: "(price\.\w+)"', table))
    periods = {name for each in tariff_names() for name in tariff_named(each).periods}
    assert periods > {"off-peak", "on-peak"}
    assert periods | {FLAT} == set(reasons)
    for language in LANGUAGES:
        assert set(reasons.values()) <= set(catalogue(language))


def test_nothing_is_inline_and_nothing_elsewhere() -> None:
    """What the policy would refuse is not written; no file asks another host."""
    document = CLIENT.get("/")
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*src=)", document.text)
    own = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".css"}]
    for path in own:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|eval\(", text), path.name


@pytest.mark.parametrize("url", re.findall(r'(?:src|href)="(/[^"]+)"', CLIENT.get("/").text))
def test_every_file_of_the_page_is_there(url: str) -> None:
    """What the document names is served, and a browser asks whether it is still the same."""
    answer = CLIENT.get(url)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


def test_the_worker_keeps_all_of_the_shell() -> None:
    """Each file that it lists is served; its version is that of the files' content."""
    text = CLIENT.get("/service-worker.js").text
    assert text == service_worker().decode()
    version, shell = text.splitlines()[:2]
    assert re.fullmatch(r'const VERSION = "[0-9a-f]{16}";', version)
    listed = json.loads(shell.removeprefix("const SHELL = ").removesuffix(";"))
    assert {"/", "/static/js/main.js", "/static/texts/ko.json"} <= set(listed)
    assert not [url for url in listed if url.endswith((".md", ".txt"))]
    for url in listed:
        assert CLIENT.get(url).status_code == 200, url
    modules = re.findall(r'from "\./(\w+\.js)"', sources())
    assert {f"/static/js/{name}" for name in modules} <= set(listed)


def test_the_manifests_icons_are_there() -> None:
    """Each in the form and size that it names."""
    answer = CLIENT.get("/manifest.webmanifest")
    assert answer.headers["content-type"].startswith("application/manifest+json")
    for icon in answer.json()["icons"]:
        drawn = CLIENT.get(icon["src"])
        assert drawn.headers["content-type"].split(";")[0] == icon["type"]
        if icon["type"] == "image/png":
            size = int.from_bytes(drawn.content[16:20]), int.from_bytes(drawn.content[20:24])
            assert "x".join(map(str, size)) == icon["sizes"]
