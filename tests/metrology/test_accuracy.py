"""Front ends against the limits of IEC 62053-21 and -22."""

from __future__ import annotations

from functools import lru_cache
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from openami.metrology.accuracy import Accuracy, verify
from openami.metrology.accuracy_plot import plot
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.classes import CAPACITIVE, CLASSES, INDUCTIVE, UNITY


@lru_cache
def found(name: str) -> Accuracy:
    return verify(FRONT_ENDS[name], np.random.default_rng(11), seconds=30)


@pytest.mark.parametrize(
    ("name", "factor", "part", "limit"),
    [
        ("1", UNITY, 0.04, None),
        ("1", UNITY, 0.05, 1.5),
        ("1", UNITY, 0.1, 1.0),
        ("1", INDUCTIVE, 0.05, None),
        ("1", INDUCTIVE, 0.1, 1.5),
        ("1", CAPACITIVE, 0.2, 1.0),
        ("1", UNITY, 10, 1.0),
        ("0.5S", UNITY, 0.01, 1.0),
        ("0.5S", UNITY, 0.05, 0.5),
        ("0.5S", INDUCTIVE, 0.02, 1.0),
        ("0.5S", CAPACITIVE, 0.1, 0.6),
    ],
)
def test_limits_are_those_of_the_standards(
    name: str, factor: str, part: float, limit: float | None
) -> None:
    assert CLASSES[name].limit(factor, part) == limit


@pytest.mark.parametrize(
    ("name", "factor", "part", "limit"),
    [
        ("1", UNITY, 0.05, None),
        ("1", UNITY, 0.1, 2.0),
        ("1", INDUCTIVE, 0.1, None),
        ("1", INDUCTIVE, 0.2, 2.0),
        ("1", CAPACITIVE, 1, None),
        ("0.5S", UNITY, 0.02, None),
        ("0.5S", UNITY, 0.05, 0.6),
        ("0.5S", INDUCTIVE, 0.1, 1.0),
    ],
)
def test_limits_with_one_phase_loaded(
    name: str, factor: str, part: float, limit: float | None
) -> None:
    assert CLASSES[name].limit(factor, part, alone=True) == limit


@pytest.mark.parametrize("name", ["paper-100a", "sigma-delta"])
def test_a_class_is_kept_with_one_phase_loaded(name: str) -> None:
    accuracy = found(name)
    assert [point for point in accuracy.alone if not point.kept] == []
    assert {point.factor for point in accuracy.alone} == {UNITY, INDUCTIVE}
    assert max(point.current for point in accuracy.alone) == accuracy.front.maximum


@pytest.mark.parametrize("name", ["paper-100a", "sigma-delta"])
def test_a_class_is_kept_at_every_point(name: str) -> None:
    accuracy = found(name)
    assert [point for point in accuracy.points if not point.kept] == []
    assert accuracy.starts
    assert accuracy.stands_still
    assert accuracy.kept
    assert {point.factor for point in accuracy.points} == {UNITY, INDUCTIVE, CAPACITIVE}
    assert max(point.current for point in accuracy.points) == accuracy.front.maximum


def test_the_papers_front_end_keeps_its_class_up_to_32_amperes() -> None:
    accuracy = found("paper")
    assert not accuracy.kept
    for points in (accuracy.points, accuracy.alone):
        assert {point.current for point in points if not point.kept} == {50, 100}
    assert {point.current for point in accuracy.points if point.kept} >= {0.5, 10, 20, 30}
    worst = min(accuracy.points, key=lambda point: point.error)
    assert worst.current == 100
    assert worst.error == pytest.approx(-60.4, abs=0.1)
    assert accuracy.starts
    assert accuracy.stands_still


def test_without_noise_ten_bits_do_not_see_the_starting_current() -> None:
    accuracy = found("paper-quiet")
    assert not accuracy.starts
    assert not accuracy.kept


def test_a_picture_has_every_point_and_shows_what_lies_beyond_it() -> None:
    tests = [found("paper"), found("sigma-delta")]
    document = ET.fromstring(plot(tests))
    name = "{http://www.w3.org/2000/svg}"
    points = [each for each in document.iter(f"{name}circle") if each.get("r") == "3"]
    beyond = [each for each in document.iter(f"{name}path") if each.get("d", "").endswith("z")]
    assert len(points) + len(beyond) == sum(len(each.points) for each in tests)
    assert len(beyond) == 6
    texts = [each.text for each in document.iter(f"{name}text")]
    assert "paper: class 1" in texts
    assert "sigma-delta: class 0.5S" in texts
