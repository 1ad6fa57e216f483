"""A test of accuracy as a picture (SVG): errors over current, between the limits of the class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from openami.metrology.classes import ANGLES, CLASSES, UNITY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openami.metrology.accuracy import Accuracy, Point

_WIDTH: Final = 720
_HEIGHT: Final = 250
_LEFT: Final = 70
_RIGHT: Final = 20
_TOP: Final = 40
_BOTTOM: Final = 45
_COLOURS: Final = dict(zip(ANGLES, ("#0b62a4", "#c2410c", "#15803d"), strict=True))
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600}"
    ".g{stroke:#ddd}.l{fill:none;stroke:#888;stroke-dasharray:4 3}"
)


class _Panel:
    """Where a front end's values lie."""

    def __init__(self, found: Accuracy, top: float) -> None:
        self.found = found
        self.top = top + _TOP
        self.bottom = top + _HEIGHT - _BOTTOM
        parts = [point.part for point in found.points]
        self.least, self.most = math.log10(min(parts)), math.log10(max(parts))
        self.scale = 1.25 * max(point.limit for point in found.points)

    def x(self, part: float) -> float:
        wide = _WIDTH - _LEFT - _RIGHT
        return _LEFT + wide * (math.log10(part) - self.least) / (self.most - self.least)

    def y(self, percent: float) -> float:
        inside = max(-self.scale, min(self.scale, percent))
        return (self.top + self.bottom) / 2 - inside * (self.bottom - self.top) / 2 / self.scale


def plot(found: Sequence[Accuracy]) -> str:
    """Return an SVG document with one chart for each front end."""
    height = _HEIGHT * len(found)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>Error of energy over current, and the limits of the class</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, each in enumerate(found):
        lines.extend(_draw(_Panel(each, number * _HEIGHT)))
    return "\n".join([*lines, "</svg>", ""])


def _draw(panel: _Panel) -> Iterator[str]:
    front = panel.found.front
    yield _text(_LEFT, panel.top - 20, f"{front.name}: class {front.meter_class}", "t")
    yield from _grid(panel)
    for sign in (1, -1):
        yield from _limit(panel, sign)
    for place, factor in enumerate(ANGLES):
        points = [point for point in panel.found.points if point.factor == factor]
        yield from _curve(panel, points, _COLOURS[factor])
        at = _LEFT + 250 + place * 130
        yield f'<circle cx="{at}" cy="{panel.top - 24}" r="4" fill="{_COLOURS[factor]}"/>'
        yield _text(at + 9, panel.top - 20, f"PF {factor}")


def _grid(panel: _Panel) -> Iterator[str]:
    whole = math.floor(panel.scale * 2) / 2
    for percent in (-whole, -whole / 2, 0.0, whole / 2, whole):
        y = panel.y(percent)
        yield f'<path class="g" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 8, y + 4, f"{percent:+.2f} %" if percent else "0 %", anchor="end")
    basic = panel.found.front.basic
    for part in sorted({point.part for point in panel.found.points}):
        x = panel.x(part)
        yield f'<path class="g" d="M{x:.1f} {panel.top}V{panel.bottom}"/>'
        yield _text(x, panel.bottom + 16, f"{part * basic:g}", anchor="middle")
    yield _text(_WIDTH / 2, panel.bottom + 34, "current, A", anchor="middle")


def _limit(panel: _Panel, sign: int) -> Iterator[str]:
    """Draw the limit of power factor 1, with its steps."""
    limits = CLASSES[panel.found.front.meter_class].limits[UNITY]
    path = ""
    for number, each in enumerate(limits):
        verb = "L" if number else "M"
        path += f"{verb}{panel.x(each.least):.1f} {panel.y(sign * each.percent):.1f}"
        end = limits[number + 1].least if number + 1 < len(limits) else 10**panel.most
        path += f"H{panel.x(end):.1f}"
    yield f'<path class="l" d="{path}"/>'


def _curve(panel: _Panel, points: Sequence[Point], colour: str) -> Iterator[str]:
    """Draw errors; what lies beyond the chart stands at its edge as a triangle."""
    places = [(panel.x(point.part), panel.y(point.error), point) for point in points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in places)
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    for x, y, point in places:
        if abs(point.error) <= panel.scale:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        else:
            tip = -6 if point.error > 0 else 6
            yield f'<path d="M{x - 5:.1f} {y:.1f}h10l-5 {tip}z" fill="{colour}"/>'


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{text}</text>'
