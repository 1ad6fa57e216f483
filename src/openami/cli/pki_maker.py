"""``openami pki maker`` and ``openami pki factory``: a manufacturer's own tools."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openami.cli.options import examples
from openami.cli.output import counted, emit_json, json_option, note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.headend.security.maker import MadeDevice

_folder = click.Path(path_type=Path, file_okay=False)


@click.command(
    short_help="Make a manufacturer's root.",
    epilog=examples("openami pki maker maker --name 'Example Works'"),
)
@click.argument("folder", metavar="DIR", type=_folder)
@click.option("--name", required=True, help="The manufacturer, as head-ends are to know it.")
def maker(folder: Path, name: str) -> None:
    """Make a manufacturer's root in DIR: for tests, demonstrations and small makers.

    DIR/anchor.pem goes to head-ends (`openami pki anchors add`), DIR/maker.pem to nobody.
    """
    from openami.headend.security.maker import make_maker

    anchor = make_maker(folder, name, now=time.time())
    note(f"{name}: the trust anchor for head-ends is {anchor}")


@click.command(
    short_help="Make the factory identity of devices.",
    epilog=examples(
        "openami pki factory maker --uid DCU-1 --trust ca.pem"
        " --security-url https://headend:8445 --packages-root root.json --out dcu-1",
        "openami pki factory maker --uid DCU-001 --count 50 --trust ca.pem"
        " --security-url https://headend:8445 --out factory > expected.csv",
    ),
)
@click.argument("folder", metavar="DIR", type=_folder)
@click.option("--uid", required=True, help="Serial number; with --count the first of them.")
@click.option(
    "--trust", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Whom the device is to trust: ca.pem of the head-end.",
)  # fmt: skip
@click.option("--security-url", required=True, help="Where the device registers.")
@click.option(
    "--packages-root", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="By whom it knows packages, as `openami release repository root` writes it; without it,"
    " it takes none.",
)  # fmt: skip
@click.option("--out", required=True, type=_folder, help="Folder of the device.")
@click.option(
    "--count", type=click.IntRange(1), help="Make so many, each in OUT/UID, counted on from --uid."
)
@click.option("--model", default="OA-DCU", show_default=True, help="As lists of devices name it.")
@click.option("--hardware", default="1", show_default=True, help="Version of the hardware.")
@click.option(
    "--hardware-type", help="Object identifier of the hardware, of the maker's enterprise."
)
@json_option
def factory(
    folder: Path,
    uid: str,
    trust: Path,
    security_url: str,
    packages_root: Path | None,
    out: Path,
    count: int | None,
    model: str,
    hardware: str,
    hardware_type: str | None,
    as_json: bool,
) -> None:
    """Make the factory identity of devices, with the root in DIR.

    A device's folder holds certificate.pem (802.1AR IDevID), key.pem, authority.pem, device.toml
    and 1.root.json. The list of expected devices is printed, as head-ends import it.
    """
    from openami.headend.security.maker import (
        EXAMPLE_HARDWARE,
        DeviceType,
        make_device,
        numbered,
    )

    kind = DeviceType(
        security_url,
        trust.read_bytes(),
        model,
        hardware,
        hardware_type or EXAMPLE_HARDWARE,
        b"" if packages_root is None else packages_root.read_bytes(),
    )
    uids = numbered(uid, count or 1)
    made = (
        make_device(folder, each, kind, out if count is None else out / each, now=time.time())
        for each in uids
    )
    _print_expected(made, as_json=as_json)
    note(f"{counted(len(uids), 'device')} in {out}")


def _print_expected(made: Iterable[MadeDevice], *, as_json: bool) -> None:
    """Print each device once it is there, so that what is interrupted leaves none unlisted."""
    columns = ("uid", "manufacturer", "model", "fingerprint")
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if not as_json:
        rows.writerow(columns)
    for device in made:
        facts = {name: getattr(device, name) for name in columns}
        if as_json:
            emit_json({**facts, "folder": str(device.folder)})
        else:
            rows.writerow(facts.values())
