"""The demo's vendor: two releases for meters, of which one is faulty, and one for DCUs.

The images are made as any vendor makes them: a meter's is the factory's application with something
behind it, signed with the meters' maker's key; a DCU's is the software that is installed here,
under another version.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import openami
from openami.dcu.slots import package
from openami.firmware import manifest_codec
from openami.firmware.manifest import (
    Attachment,
    Change,
    ChangeKind,
    Fit,
    Manifest,
    Problem,
    ReleaseKind,
    SelfTest,
)
from openami.meter.maker import factory_payload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from openami.firmware.payload import About
    from openami.firmware.version import Version
    from openami.headend.security.maker import DeviceType
    from openami.meter.maker import Maker

VENDOR: Final = "OpenAMI"
NOTICE: Final = "0.0.96.128.2.255"
"""The COSEM object (class 1) that meters have with the good release, and not before."""
DCU_PRODUCT: Final = "openami-dcu"

# What stands behind the factory's application.
_FAULTY: Final = """

def _faulty(self):
    yield
    raise ArithmeticError("the demo's fault: found by the self-test, before anybody relies on it")


ManagementApplication.self_test = _faulty
"""
_GOOD: Final = '''

_before = build_objects


def build_objects(hooks):
    """Return the objects of before, and what this version says of itself."""
    from dataclasses import replace

    from openami.dlms.cosem import DataObject

    model = _before(hooks)
    notice = DataObject("{notice}", b"{text}", access=hooks.access)
    return replace(model, every=(*model.every, notice))
'''


@dataclass(frozen=True, slots=True)
class Release:
    """What a vendor hands over: a manifest, and the files that it names."""

    manifest: Manifest
    files: Mapping[str, bytes]

    def tar(self) -> bytes:
        """Return it as it is uploaded."""
        members = {"manifest.json": manifest_codec.encode(self.manifest), **self.files}
        octets = io.BytesIO()
        with tarfile.open(fileobj=octets, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return octets.getvalue()


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who makes the demo's meters and DCUs.

    Args:
        maker: signs the meters' firmware.
        kind: of its DCUs.
        today: the day that its releases are made.
    """

    maker: Maker
    kind: DeviceType
    today: date

    def faulty_meters(self) -> Release:
        """Return a release for meters whose self-test fails."""
        change = Change(ChangeKind.FEATURE, "REQ-1", "Checks itself more thoroughly.")
        return self.meters(_about(1), 1, change, _FAULTY)

    def good_meters(self) -> Release:
        """Return a release for meters that have one object more with it."""
        about = _about(2)
        text = f"openami demo {about.version}"
        change = Change(ChangeKind.FEATURE, "REQ-2", f"Says what it is in 1/{NOTICE}: {text}.")
        return self.meters(about, 2, change, _GOOD.format(notice=NOTICE, text=text))

    def dcus(self) -> Release:
        """Return a release for DCUs."""
        version = _later(factory_payload().about.version, 1)
        model, hardware = self.kind.model, self.kind.hardware
        about = package.About(
            DCU_PRODUCT, version, 1, ((model, hardware),), package.python_here(),
            package.libraries_here(),
        )  # fmt: skip
        files = package.files_of(Path(openami.__file__).parent)
        draft = Manifest(
            ReleaseKind.DCU_FIRMWARE, VENDOR, DCU_PRODUCT, version, about.counter,
            changes=(Change(ChangeKind.FEATURE, "REQ-3", f"Says that it is {version}."),),
            self_tests=(SelfTest("trial", "a session is held, and collection is up"),),
        )  # fmt: skip
        return self._release(draft, package.build(about, files), [(model, hardware)])

    def meters(self, about: About, counter: int, change: Change, behind: str) -> Release:
        """Return a release for meters: the factory's application with something behind it."""
        factory = factory_payload()
        payload = replace(factory, about=about, application=factory.application + behind.encode())
        draft = Manifest(
            ReleaseKind.METER_IMAGE, VENDOR, about.name, about.version, counter, changes=(change,),
            self_tests=(SelfTest("objects", "every object that a head-end needs can be read"),),
        )  # fmt: skip
        fits = [(model, model) for model in about.hardware]
        return self._release(draft, self.maker.sign(payload, counter=counter), fits)

    def _release(self, draft: Manifest, image: bytes, fits: Sequence[tuple[str, str]]) -> Release:
        """Return a release with its papers."""
        stem = f"{draft.name}-{draft.version}"
        said = "".join(f"{each.reference}: {each.text}\n" for each in draft.changes)
        files = {
            f"{stem}.img": image,
            f"{stem}.txt": f"{stem}, for the demo of openami\n{said}".encode(),
            f"{stem}.cdx.json": _bill(),
        }
        told = {name: _attachment(name, data) for name, data in files.items()}
        image_file, paper, bill = told.values()
        manifest = replace(
            draft,
            made=self.today,
            previous=factory_payload().about.version,
            fits=tuple(Fit(model, hardware, image_file.name) for model, hardware in fits),
            prerequisites=(),
            problems=(Problem("PR-1", "It is made for the demo."),),
            images=(image_file,),
            specification=paper,
            sbom=bill,
        )
        return Release(manifest, files)


def _about(steps: int) -> About:
    """Return what the factory's image says of itself, so many versions later."""
    about = factory_payload().about
    return replace(about, version=_later(about.version, steps))


def _later(version: Version, steps: int) -> Version:
    return replace(version, minor=version.minor + steps)


def _attachment(name: str, data: bytes) -> Attachment:
    return Attachment(name, len(data), hashlib.sha256(data).hexdigest())


def _bill() -> bytes:
    """Return the bill of materials of what is made of openami and the libraries beside it."""
    parts = [("openami", openami.__version__), *package.libraries_here().items()]
    components = [{"type": "library", "name": name, "version": version} for name, version in parts]
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    return json.dumps(bill).encode()
