"""``openami firmware package-dcu``: the image of a DCU's software, out of an installed openami."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import click

import openami
from openami.cli.options import examples
from openami.cli.output import note
from openami.core.errors import ConfigError


@click.command(
    "package-dcu",
    short_help="Build the image of a DCU's software.",
    epilog=examples(
        "openami firmware package-dcu --version 1.4.0 --counter 4 --fits 'OA-DCU=1' --out dcu-1.4.0.zip",
    ),
)
@click.option("--version", required=True, help="What it reports as its version, such as 1.4.0.")
@click.option(
    "--counter", required=True, type=click.IntRange(0, 0xFFFF_FFFF),
    help="Release counter: DCUs take none that is lower than one that they have confirmed.",
)  # fmt: skip
@click.option(
    "--fits", required=True, multiple=True, metavar="MODEL=HARDWARE",
    help="A type of DCU that it is for; repeatable.",
)  # fmt: skip
@click.option("--name", default="openami-dcu", show_default=True, help="The product.")
@click.option(
    "--source", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the package `openami`; the installed one if left out.",
)  # fmt: skip
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write."
)
def package_dcu(
    version: str, counter: int, fits: tuple[str, ...], name: str, source: Path | None, out: Path
) -> None:
    """Build the image of a DCU's software: an installed openami, but for what no DCU needs.

    It holds no libraries; it names those that are installed here, and a DCU takes it only where it
    finds the same ones, and the same Python. The same files give the same image, octet for octet.
    """
    from openami.dcu.slots import package
    from openami.firmware.documents import check_token
    from openami.firmware.manifest_codec import version_of

    tree = source or Path(openami.__file__).parent
    try:
        about = package.About(
            check_token(name), version_of(version), counter, tuple(map(_type, fits)),
            package.python_here(), package.libraries_here(),
        )  # fmt: skip
        made = package.build(about, package.files_of(tree))
    except ValueError as error:
        raise ConfigError(str(error), code="config.image") from error
    out.write_bytes(made)
    libraries = f"{len(about.libraries)} libraries"
    note(f"{out}: {name} {version}, {len(made)} octets, for Python {about.python} and {libraries}")


def package_facts(octets: bytes) -> dict[str, Any]:
    """Return what an image says of itself.

    Raises:
        DecodeError: it is none.
    """
    from openami.dcu.slots.package import read_about

    about = read_about(io.BytesIO(octets))
    return {
        "form": "DCU software",
        "name": about.name,
        "version": str(about.version),
        "counter": about.counter,
        "fits": [f"{model}={hardware}" for model, hardware in about.fits],
        "python": about.python,
        "libraries": [f"{name} {version}" for name, version in about.libraries.items()],
        "octets": len(octets),
        "sha256": hashlib.sha256(octets).hexdigest(),
    }


def _type(text: str) -> tuple[str, str]:
    from openami.dcu.slots.package import check_type

    model, _, hardware = text.partition("=")
    return check_type(model), check_type(hardware)
