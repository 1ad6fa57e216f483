"""The DCU's two slots: what is taken in, and the power that goes at every step on the disk."""

from __future__ import annotations

import hashlib
import io
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cut_folder import CutFolder
from tests.support.dcu_releases import HARDWARE, MODEL
from tests.support.slots import about, make_image

import openami
from openami.core.errors import (
    ConfigError,
    ConflictError,
    DecodeError,
    SecurityError,
    StoreError,
    StoreFullError,
)
from openami.dcu.ports import Outcome
from openami.dcu.slots.journal import Candidate, Image, Journal, Step
from openami.dcu.slots.package import About, build, files_of, libraries_here, read_about
from openami.dcu.slots.store import MOST_TRIES, RESERVE, TwoSlots
from openami.firmware import delta
from openami.store.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.support.cut_folder import Disk

    from openami.firmware.manifest import Manifest

    Made = tuple[Path, Manifest]


def device() -> tuple[str, str]:
    return MODEL, HARDWARE


def two(folder: Folder) -> TwoSlots:
    return TwoSlots(folder, device)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "slots", reserve=RESERVE)


def install(folder: Folder, made: Made) -> TwoSlots:
    """Stage, try and confirm an image."""
    slots = two(folder)
    slots.stage(*made)
    slots.arm()
    assert slots.begin().on_trial
    slots.confirm()
    return slots


# Images


def test_the_same_files_are_the_same_image_and_the_next_is_a_small_delta(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    assert files == {}
    tree = tmp_path / "openami"
    for name in ("__init__.py", "core/a.py", "web/b.py", "store/lake/c.py", "store/d.py",
                 "__pycache__/e.pyc", "meter/f.py", "headend/g.py", "store/relational/h.py"):  # fmt: skip
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f'# {name}\n__version__ = "0.1.0"\n' * 1)
    files = files_of(tree)
    assert set(files) == {"__init__.py", "core/a.py", "store/d.py"}
    one = build(about("1.0.0"), files)
    assert one == build(about("1.0.0"), dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        assert archive.namelist() == [
            "package.json", "openami/__init__.py", "openami/core/a.py", "openami/store/d.py",
        ]  # fmt: skip
        assert {
            (member.date_time, member.compress_type, member.create_system, member.external_attr)
            for member in archive.infolist()
        } == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 3, 0o644 << 16)}
    assert len(delta.make(one, build(about("1.0.1"), files))) < len(one)
    with pytest.raises(ValueError, match="__version__"):
        build(about("1.0.0"), {"__init__.py": b""})


def test_an_image_says_what_it_is(tmp_path: Path) -> None:
    libraries = libraries_here()
    assert {"click", "numpy"} <= set(libraries)
    said = about("1.2.3+4", 7, libraries=libraries)
    file, _ = make_image(tmp_path, "1.2.3+4", 7, libraries=libraries)
    assert read_about(io.BytesIO(file.read_bytes())) == said
    assert said.objection() is None
    with zipfile.ZipFile(file) as archive:
        assert archive.read("openami/__init__.py") == b'__version__ = "1.2.3+4"\n'
    for data in (b"", b"PK", file.read_bytes()[:-1], said.encode()):
        file.write_bytes(data)
        with pytest.raises(DecodeError) as caught:
            read_about(io.BytesIO(file.read_bytes()))
        assert caught.value.code == "slots.package"


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_image_is_none_whatever_it_unpacks_to(tmp_path: Path, how: int) -> None:
    file = tmp_path / "image"
    with zipfile.ZipFile(file, "w", how) as archive:
        archive.writestr("package.json", about("1.0.0").encode() * 20)
    whole = file.read_bytes()
    for data in (whole, whole[:60] + bytes(20) + whole[80:]):
        file.write_bytes(data)
        with pytest.raises(DecodeError) as caught:
            read_about(io.BytesIO(file.read_bytes()))
        assert caught.value.code == "slots.package"


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4), st.binary())
def test_octets_are_an_image_or_one_error(changes: list[tuple[int, int]], behind: bytes) -> None:
    data = bytearray(build(about("1.0.0"), {"__init__.py": b'__version__ = "0"\n'}) + behind)
    for place, octet in changes:
        data[place % len(data)] = octet
    with suppress(DecodeError):
        assert read_about(io.BytesIO(data)).python


@pytest.mark.parametrize(
    "octets", [b"{}", b'{"schema":2}', about("1.0.0").encode()[:-1] + b',"x":1}']
)
def test_what_is_no_package_json_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        About.decode(octets)


REFUSED: dict[str, tuple[Callable[[Path], None] | None, dict[str, Any], str]] = {
    "another file": (lambda f: flip(f, 40), {}, "firmware.package.image"),
    "a lower counter": (None, {"counter": 2}, "firmware.fit.counter"),
    "the same version": (None, {"version": "2.0.0"}, "firmware.fit.same"),
    "another Python": (None, {"python": "2.7"}, "slots.package.python"),
    "another library": (None, {"libraries": {"click": "0.1"}}, "slots.package.library"),
    "a library that is not here": (None, {"libraries": {"ponies": "1"}}, "slots.package.library"),
    "another hardware": (None, {"fits": ((MODEL, "rev Z"),)}, "firmware.fit.hardware"),
}


@pytest.mark.fums("UC7-inactive")
@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_belong_here_is_refused(folder: Folder, tmp_path: Path, what: str) -> None:
    slots = install(folder, make_image(tmp_path, "2.0.0", 3))
    harm, changes, code = REFUSED[what]
    options: dict[str, Any] = {"version": "2.1.0", "counter": 3, **changes}
    file, manifest = make_image(tmp_path, **options)
    if harm is not None:
        harm(file)
    with pytest.raises(SecurityError) as caught:
        slots.stage(file, manifest)
    assert caught.value.code == code
    with pytest.raises(ConflictError) as conflict:
        slots.arm()
    assert conflict.value.code == "slots.empty"


def test_an_image_of_another_release_or_for_another_device_is_refused(
    folder: Folder, tmp_path: Path
) -> None:
    slots = two(folder)
    file, manifest = make_image(tmp_path, "2.0.0", 3)
    with pytest.raises(SecurityError, match="another release"):
        slots.stage(file, replace(manifest, counter=4))
    with pytest.raises(SecurityError, match="not for the model"):
        slots.stage(file, replace(manifest, fits=()))
    file.write_bytes(b"no image")
    image = replace(manifest.images[0], size=8, sha256=hashlib.sha256(b"no image").hexdigest())
    with pytest.raises(SecurityError) as caught:
        slots.stage(file, replace(manifest, images=(image,)))
    assert caught.value.code == "slots.package"


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(data)


# What runs


def test_from_the_factory_to_the_second_version_and_what_is_said_of_it(
    folder: Folder, tmp_path: Path
) -> None:
    slots = two(folder)
    assert slots.running.version == openami.__version__
    assert (slots.running.counter, slots.running.sha256, slots.outcome) == (0, None, None)
    assert slots.begin().image is None
    first, second = make_image(tmp_path, "1.0.0", 1), make_image(tmp_path, "2.0.0", 2)
    slots.stage(*first)
    assert not two(folder).waiting
    slots.stage(*first)  # once more
    slots.arm()
    slots.arm()
    assert two(folder).waiting
    launcher = two(folder)
    start = launcher.begin()
    assert (start.version, start.on_trial) == ("1.0.0", True)
    assert start.image is not None
    assert start.image.read_bytes() == first[0].read_bytes()
    agent = two(folder)
    assert agent.running.on_trial
    for refused in (agent.arm, lambda: agent.stage(*second)):
        with pytest.raises(ConflictError) as caught:
            refused()
        assert caught.value.code == "slots.trial"
    agent.drop()  # nothing: it is being tried
    agent.confirm()
    agent.confirm()
    sha256 = first[1].images[0].sha256
    assert agent.outcome == Outcome(confirmed=True, sha256=sha256)
    agent.told()
    agent.told()
    assert two(folder).outcome is None
    running = agent.running
    assert (running.version, running.counter, running.sha256) == ("1.0.0", 1, sha256)
    assert running.image == start.image
    agent.stage(*second)
    agent.arm()
    agent.drop()
    agent.drop()
    assert not two(folder).waiting
    install(folder, second)
    assert two(folder).begin().version == "2.0.0"


def test_a_trial_that_is_given_up(folder: Folder, tmp_path: Path) -> None:
    install(folder, make_image(tmp_path, "1.0.0", 1)).told()
    slots = two(folder)
    slots.stage(*make_image(tmp_path, "2.0.0", 2))
    assert not slots.revert("slots.crashed", "")  # it is only staged
    slots.arm()
    assert not slots.revert("slots.crashed", "")  # what crashed is the one before
    slots.begin()
    launcher = slots
    assert two(folder).revert("slots.health", "no session")
    assert not launcher.revert("slots.crashed", "")  # it looks first
    slots = two(folder)
    assert slots.outcome is not None
    assert (slots.outcome.confirmed, slots.outcome.code) == (False, "slots.health")
    assert slots.running.version == slots.begin().version == "1.0.0"
    slots.stage(*make_image(tmp_path, "2.0.0", 1))  # its counter was never confirmed
    slots.arm()
    assert slots.begin().on_trial
    assert two(folder).outcome is None  # of the trial that goes on
    two(folder).confirm()
    assert not slots.revert("slots.crashed", "")
    assert two(folder).running.version == "2.0.0"


def test_a_machine_that_goes_down_again_and_again_is_not_tried_for_ever(
    folder: Folder, tmp_path: Path
) -> None:
    slots = two(folder)
    slots.stage(*make_image(tmp_path, "1.0.0"))
    slots.arm()
    assert [two(folder).begin().on_trial for _ in range(MOST_TRIES + 1)] == [
        *[True] * MOST_TRIES,
        False,
    ]
    slots.look()
    assert slots.outcome is not None
    assert slots.outcome.code == "slots.interrupted"


@pytest.mark.parametrize(("counters", "next_"), [((1, 1), "1.0.0"), ((1, 2), openami.__version__)])
def test_a_slot_with_a_flipped_bit_is_not_started(
    folder: Folder, tmp_path: Path, counters: tuple[int, int], next_: str
) -> None:
    """The one before runs, unless its counter is too low by now; the factory's always does."""
    for number, counter in enumerate(counters, 1):
        slots = install(folder, make_image(tmp_path, f"{number}.0.0", counter))
    image = slots.running.image
    assert image is not None
    flip(image, 100)
    slots = two(folder)
    assert slots.begin().version == next_
    assert slots.running.counter == counters[1]
    for refused in [make_image(tmp_path, "3.0.0", 0)]:
        with pytest.raises(SecurityError):
            slots.stage(*refused)
    install(folder, make_image(tmp_path, "3.0.0", 2))
    assert two(folder).begin().version == "3.0.0"


def test_what_is_armed_and_damaged_is_not_tried(folder: Folder, tmp_path: Path) -> None:
    slots = two(folder)
    slots.stage(*make_image(tmp_path, "1.0.0"))
    slots.arm()
    flip(folder.place("a.zip"), 60)
    assert not slots.begin().on_trial
    assert slots.outcome is not None
    assert slots.outcome.code == "slots.damaged"


def test_what_is_armed_below_the_floor_is_not_tried(folder: Folder, tmp_path: Path) -> None:
    install(folder, make_image(tmp_path, "1.0.0", 5)).told()
    slots = two(folder)
    made = make_image(tmp_path, "2.0.0", 4)
    data = made[0].read_bytes()
    folder.put("b.zip", [data])  # by somebody who writes to the disk
    image = Image("2.0.0", 4, hashlib.sha256(data).hexdigest())
    slots._note(slots._journal.staged("b", image))
    slots.arm()
    assert slots.begin().version == "1.0.0"
    assert slots.outcome is not None
    assert slots.outcome.code == "slots.counter"


def test_a_process_that_is_not_the_slots_software_says_so(folder: Folder, tmp_path: Path) -> None:
    slots = two(folder)
    slots.check()
    install(folder, make_image(tmp_path, "1.0.0"))
    with pytest.raises(ConfigError) as caught:
        two(folder).check()
    assert caught.value.code == "slots.path"


# The journal


JOURNAL = Journal(
    9,
    {"a": Image("1.0.0", 1, "a" * 64, confirmed=True), "b": Image("2.0.0+3", 2, "b" * 64)},
    "a",
    Candidate("b", Step.TRIAL, 2),
    1,
    Outcome(confirmed=False, sha256="c" * 64, code="slots.hung", words="no beat for 3 s"),
)


@pytest.mark.parametrize(
    "journal", [Journal(), JOURNAL, replace(JOURNAL, outcome=Outcome(True, "d" * 64))]
)
def test_a_journal_both_ways_and_no_bit_of_it_may_flip(journal: Journal) -> None:
    data = journal.encode()
    assert Journal.decode(data) == journal
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            Journal.decode(data[:size])
    for offset in range(len(data)):
        harmed = data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]
        with pytest.raises(DecodeError):
            Journal.decode(harmed)


def test_a_journal_that_contradicts_itself_is_none() -> None:
    for bad in (replace(JOURNAL, running="x"), replace(JOURNAL, slots={})):
        with pytest.raises(DecodeError):
            Journal.decode(bad.encode())


@pytest.mark.parametrize("copy", ["journal.0", "journal.1"])
def test_one_damaged_copy_of_the_journal_loses_nothing(
    folder: Folder, tmp_path: Path, copy: str
) -> None:
    install(folder, make_image(tmp_path, "1.0.0", 4))
    flip(folder.place(copy), 90)
    slots = two(folder)
    assert slots.begin().version == "1.0.0"
    assert folder.read("journal.0", 9999) == folder.read("journal.1", 9999)
    for name in ("journal.0", "journal.1"):
        folder.place(name).write_bytes(b"?")
    assert two(folder).begin().version == openami.__version__


# A disk that does not work


class Failing(Folder):
    error: StoreError | None = None

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        if self.error is not None:
            raise self.error
        super().put(name, pieces)


@pytest.mark.parametrize("error", [StoreError("worn out"), StoreFullError("full")])
def test_a_disk_that_takes_nothing_prevents_only_trials(tmp_path: Path, error: StoreError) -> None:
    folder = Failing(tmp_path / "slots", reserve=RESERVE)
    install(folder, make_image(tmp_path, "1.0.0"))
    slots = two(folder)
    slots.stage(*make_image(tmp_path, "2.0.0"))
    slots.arm()
    folder.error = error
    assert two(folder).begin().version == "1.0.0"
    flip(folder.place("a.zip"), 60)
    assert two(folder).begin().version == openami.__version__
    folder.error = None
    assert two(folder).begin().version == "2.0.0"


def runs_from(folder: Folder, slot: str, monkeypatch: pytest.MonkeyPatch) -> TwoSlots:
    """Return the slots as an agent sees them that was started out of one of them."""
    place = folder.place(f"{slot}.zip") / "openami" / "__init__.py"
    monkeypatch.setattr(openami, "__file__", str(place))
    slots = two(folder)
    slots.check()
    return slots


def test_a_trial_that_cannot_be_noted_is_put_off_and_the_one_before_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Failing(tmp_path / "slots", reserve=RESERVE)
    install(folder, make_image(tmp_path, "1.0.0"))
    slots = two(folder)
    slots.stage(*make_image(tmp_path, "2.0.0"))
    slots.arm()
    assert slots.begin().on_trial
    folder.error = StoreError("read-only since the power went")
    assert not two(folder).begin().on_trial
    slots = runs_from(folder, "a", monkeypatch)
    assert (slots.running.version, slots.running.on_trial) == ("1.0.0", False)
    assert slots.waiting
    slots.confirm()
    folder.error = None
    assert [two(folder).begin().on_trial for _ in range(MOST_TRIES)] == [True, True, False]


def test_damage_that_cannot_be_noted_leaves_the_slot_that_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Failing(tmp_path / "slots", reserve=RESERVE)
    install(folder, make_image(tmp_path, "1.0.0")).told()
    install(folder, make_image(tmp_path, "2.0.0"))
    with pytest.raises(ConfigError):
        runs_from(folder, "a", monkeypatch)
    flip(folder.place("b.zip"), 60)
    folder.error = StoreError("read-only")
    assert two(folder).begin().version == "1.0.0"
    slots = runs_from(folder, "a", monkeypatch)
    assert slots.running.version == "1.0.0"
    folder.error = None
    slots.stage(*make_image(tmp_path, "3.0.0"))
    slots.arm()
    start = two(folder).begin()
    assert (start.version, start.image) == ("3.0.0", folder.place("b.zip"))


# Cuts


@dataclass
class Story:
    """What becomes of an image, from a start on; ``ends`` are the versions that it may end on."""

    made: Made
    good: bool = True
    regrets: bool = False
    ends: tuple[str, ...] = ("2.0.0",)


class Life:
    """A DCU from power on until nothing more is to be done."""

    def __init__(self, story: Story, disk: Disk) -> None:
        self.story = story
        self.folder = CutFolder(disk)
        self.floor = 0
        self.known: str | None = None
        self.kept: int | None = None  # cuts before the confirmation was durable

    def live(self) -> None:
        for _ in range(MOST_TRIES + 4):
            start = two(self.folder).begin()
            slots = two(self.folder)  # the agent
            self.check(slots)
            if start.on_trial and not self.story.good:
                assert two(self.folder).revert("slots.crashed", "ended with status 1")
                continue
            slots.confirm()
            if start.on_trial:
                self.kept = len(self.folder.cuts)
            if self.done(slots):
                return
        raise AssertionError("starts without end")

    def check(self, slots: TwoSlots) -> None:
        journal = slots._journal
        assert journal.floor >= self.floor
        self.floor = journal.floor
        if journal.current is not None:
            assert self.folder.digest(f"{journal.current}.zip") == slots.running.sha256

    def done(self, slots: TwoSlots) -> bool:
        outcome = slots.outcome
        if outcome is not None:
            slots.told()
            self.known = outcome.code
        if slots.running.version == "2.0.0" or self.known:
            return True
        slots.stage(*self.story.made)
        slots.arm()
        if self.story.regrets:
            slots.drop()
        return self.story.regrets


def lived(story: Story, disk: Disk) -> set[Disk]:
    life = Life(story, disk)
    life.live()
    again = two(CutFolder(life.folder.disk))
    assert again.begin().version in story.ends
    assert not again.waiting
    for cut in life.folder.cuts[life.kept :] if life.kept else ():
        assert two(CutFolder(cut)).begin().version == "2.0.0"
    return set(life.folder.cuts)


def explore(story: Story, disk: Disk) -> int:
    """Live from a disk, from what every cut of that leaves, and from every cut of that one too."""
    seen: set[Disk] = set()
    starts = {disk}
    for _ in range(3):
        seen |= starts
        starts = {cut for start in starts for cut in lived(story, start)} - seen
    return len(seen)


STORIES: dict[str, Callable[[Made], Story]] = {
    "good": Story,
    "bad": lambda made: Story(made, good=False, ends=("1.0.0",)),
    "regretted": lambda made: Story(made, regrets=True, ends=("1.0.0", "2.0.0")),
}


@pytest.mark.fums("DES-5", "UC7-two")
@pytest.mark.parametrize("name", STORIES)
def test_the_power_goes_at_every_step_twice_in_a_row(tmp_path: Path, name: str) -> None:
    folder = CutFolder()
    install(folder, make_image(tmp_path, "1.0.0", 1)).told()
    assert explore(STORIES[name](make_image(tmp_path, "2.0.0", 2)), folder.disk) > 100


def test_the_power_goes_during_the_first_installation(tmp_path: Path) -> None:
    assert explore(Story(make_image(tmp_path, "2.0.0", 2)), frozenset()) > 100
