"""Draw the display's icons as PNG from their SVG: ``python tools/ihd_icons.py``; needs Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

ICONS: Final = Path(__file__).resolve().parents[1] / "src/openami/web/ihd/static/icons"
DRAWN: Final = (
    ("icon.svg", "icon-192.png", 192),
    ("icon.svg", "icon-512.png", 512),
    ("icon-maskable.svg", "icon-maskable-512.png", 512),
)


def main() -> None:
    """Write each icon in its size, transparent where its drawing is."""
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for source, target, size in DRAWN:
            page = browser.new_page(viewport={"width": size, "height": size})
            drawing = (ICONS / source).read_text(encoding="utf-8")
            page.set_content(f"<style>body{{margin:0}}svg{{display:block}}</style>{drawing}")
            page.screenshot(path=ICONS / target, omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
