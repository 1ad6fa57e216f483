"""``openami firmware package-component``: what a DCU takes beside its firmware, as an image."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.cli.options import examples
from openami.cli.output import counted, note
from openami.core.errors import ConfigError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.firmware.component import Component

_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command(
    "package-component",
    short_help="Build the image of a DCU's component.",
    epilog=examples(
        "openami firmware package-component --name fast --version 1.0.0 --set ./AMI/Collection/LoadPeriod=300 --out fast.zip",
        "openami firmware package-component --name monitor --version 1.0.0 --modules src --main monitor.run --out monitor.zip",
    ),
)
@click.option("--name", required=True, help="The same over all versions, and the release's.")
@click.option("--version", required=True, help="The release's, such as 1.0.0.")
@click.option(
    "--set", "settings", multiple=True, metavar="URI=VALUE",
    help="Settings: a node of AMI or SCHED and what it gets; repeatable.",
)  # fmt: skip
@click.option(
    "--anchors", multiple=True, type=_file,
    help="Authorities: certificates in PEM that a DCU's servers may be certified by; repeatable.",
)  # fmt: skip
@click.option(
    "--modules", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A library: folder of Python's modules, as they are imported.",
)  # fmt: skip
@click.option("--main", default="", help="With --modules, an application: the module that is run.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write."
)
def package_component(
    name: str,
    version: str,
    settings: tuple[str, ...],
    anchors: tuple[Path, ...],
    modules: Path | None,
    main: str,
    out: Path,
) -> None:
    """Build the image of settings, authorities, a library or an application.

    The same files give the same image, octet for octet; what a DCU would refuse is not written.
    """
    from openami.firmware.component import Component, ComponentKind
    from openami.firmware.manifest_codec import version_of

    kinds = {
        ComponentKind.SETTINGS: bool(settings),
        ComponentKind.CERTIFICATES: bool(anchors),
        ComponentKind.LIBRARY: modules is not None and not main,
        ComponentKind.APPLICATION: modules is not None and bool(main),
    }
    chosen = [kind for kind, wanted in kinds.items() if wanted]
    if len(chosen) != 1 or (main and modules is None):
        raise _slip("one of --set, --anchors and --modules is wanted; --main is for --modules")
    files = {} if modules is None else _files(modules)
    if main and not {f"{main.replace('.', '/')}{end}" for end in (".py", "/__main__.py")} & {
        *files
    }:
        raise _slip(f"{modules} has no module {main}")
    try:
        said = Component(
            chosen[0], name, version_of(version), main, dict(map(_setting, settings)),
            "".join(one.read_text("utf-8") for one in anchors),
        )  # fmt: skip
        made = said.build(files)
        Component.decode(made)
    except (ValueError, DecodeError) as error:
        raise _slip(str(error)) from error
    out.write_bytes(made)
    note(f"{out}: {said.kind} {name} {version}, {counted(len(files), 'file')}, {len(made)} octets")


def is_component(octets: bytes) -> bool:
    """Return whether a zip is the image of a component."""
    from openami.firmware import zips
    from openami.firmware.component import ABOUT, CODE

    try:
        with zips.opened(io.BytesIO(octets), "component", CODE) as archive:
            return ABOUT in archive.namelist()
    except DecodeError:
        return False  # who reads it tells what it is


def component_facts(octets: bytes) -> dict[str, Any]:
    """Return what the image of a component says of itself; DecodeError: it is none."""
    from openami.firmware.component import Component

    return {
        "form": "DCU component",
        **_said(Component.decode(octets)),
        "octets": len(octets),
        "sha256": hashlib.sha256(octets).hexdigest(),
    }


def _said(component: Component) -> Mapping[str, Any]:
    facts: dict[str, Any] = {
        "type": component.kind.value,
        "name": component.name,
        "version": str(component.version),
    }
    if component.main:
        facts["main"] = component.main
    if component.settings:
        facts["settings"] = [f"{uri}={value}" for uri, value in component.settings.items()]
    if component.anchors:
        facts["anchors"] = component.anchors.count("-----BEGIN CERTIFICATE-----")
    return facts


def _files(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, but for what Python makes of them by itself."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in found
        if "__pycache__" not in file.parts
    }


def _setting(text: str) -> tuple[str, str]:
    uri, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text[:80]!r} is not URI=VALUE")
    return uri, value


def _slip(message: str) -> ConfigError:
    return ConfigError(message, code="config.image")
