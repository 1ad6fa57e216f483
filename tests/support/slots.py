"""Images of a DCU's software, small ones and such as run, and the manifests that go with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.dcu_releases import HARDWARE, MODEL, dcu_release

import openami
from openami.dcu.slots.package import About, build, files_of, python_here
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.firmware.manifest import Manifest

SMALL = {"__init__.py": b'__version__ = "0.0.0"\n'}


def about(version: str, counter: int = 1, **others: Any) -> About:
    fields = {"fits": ((MODEL, HARDWARE),), "python": python_here(), "libraries": {}}
    return About("openami-dcu", Version.parse(version), counter, **{**fields, **others})


def make_image(
    folder: Path,
    version: str,
    counter: int = 1,
    *,
    files: Mapping[str, bytes] = SMALL,
    **others: Any,
) -> tuple[Path, Manifest]:
    """Return the file of an image, and its manifest."""
    file = folder / f"openami-dcu-{version}-{counter}.zip"
    data = build(about(version, counter, **others), files)
    file.write_bytes(data)
    manifest, _ = dcu_release(data, version, counter=counter)
    return file, manifest


def runnable(agent: str) -> dict[str, bytes]:
    """Return the files of a software whose DCU, ``run_managed``, is another."""
    files = files_of(Path(openami.__file__).parent)
    return {**files, "dcu/managed.py": agent.encode()}
