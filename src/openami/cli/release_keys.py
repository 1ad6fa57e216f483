"""``openami release keys``, ``repository``, ``draft`` and ``sign``: who vouches for releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.cli.aiming import aimed, aimed_only
from openami.cli.api import PREFIX, ask, checked, get_json, segment
from openami.cli.firmware import keeper, public_key
from openami.cli.options import examples
from openami.cli.output import emit_json, moment, note, table

if TYPE_CHECKING:
    from openami.cli.api import Target
    from openami.transport.http import HttpClient

_file = click.Path(path_type=Path, dir_okay=False, exists=True)
_out = click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write."
)


@click.group()
def keys() -> None:
    """Look after the keys that vendors sign meter images with."""


@keys.command("list")
@aimed
def list_keys(target: Target, as_json: bool) -> None:
    """List the keys by vendor and product."""
    found = ask(target, lambda client: get_json(client, "/release-keys"))
    if as_json:
        for item in found:
            emit_json(item)
        return
    rows = [[item["vendor"], item["product"] or "all", item["id"], item["who"]] for item in found]
    table(["vendor", "product", "key", "added by"], rows, nothing="no key: no image is believed")


@keys.command(
    short_help="Believe images that a key signed.",
    epilog=examples("openami release keys add 'Example Meters' vendor.pem --product meter-gw100"),
)
@click.argument("vendor")
@click.argument("file", type=_file)
@click.option("--product", default="", help="Only for images of this one.")
@aimed
def add(
    vendor: str,
    file: Path,
    product: str,
    target: Target,
    as_json: bool,
) -> None:
    """Believe images of VENDOR, spelt as in its manifests, that the key in FILE (PEM) signed."""
    wish = {"vendor": vendor, "product": product, "key": public_key(file).pem().decode()}
    item = ask(target, lambda client: _post(client, "/release-keys", wish))
    if as_json:
        emit_json(item)
    else:
        note(f"{vendor}: images that {item['id']} signed are believed")


@keys.command(short_help="Believe images of a key no longer.")
@click.argument("key")
@aimed_only
def remove(key: str, target: Target) -> None:
    """Believe new images of KEY no longer; releases that were verified stay so."""

    async def work(client: HttpClient) -> None:
        checked(await client.request("DELETE", f"{PREFIX}/release-keys/{segment(key)}"))

    ask(target, work)
    note(f"{key} is not believed any more")


@click.group(short_help="What devices verify packages by.")
def repository() -> None:
    """Look after what devices verify packages by (The Update Framework)."""


@repository.command(short_help="Show what is published.")
@aimed
def show(target: Target, as_json: bool) -> None:
    """Show the documents that are published, and until when they are good."""
    item = ask(target, lambda client: get_json(client, "/repository"))
    if as_json:
        emit_json(item)
        return
    rows = [[one["role"], one["version"], moment(one["ends"])] for one in item["documents"]]
    table(["document", "version", "good until"], rows, nothing="nothing is published yet")


@repository.command(epilog=examples("openami release repository root --out root.json"))
@_out
@aimed_only
def root(out: Path, target: Target) -> None:
    """Write the first root: what a factory puts into DCUs."""
    path = "/repository/documents/1.root.json"
    _save(out, ask(target, lambda client: _get(client, path)))


@repository.command(
    "draft-root",
    short_help="Write the next root, for keepers to sign.",
    epilog=examples(
        "openami release repository draft-root --root a.pem --root b.pem --root-threshold 2"
        " --targets c.pem --out root.json"
    ),
)
@click.option("--root", "roots", required=True, multiple=True, type=_file,
              help="Key of a keeper of the root, public or private, in PEM; repeatable.")  # fmt: skip
@click.option("--root-threshold", type=click.IntRange(1), default=1, show_default=True,
              help="How many of them have to sign.")  # fmt: skip
@click.option("--targets", "lists", required=True, multiple=True, type=_file,
              help="Key of a keeper of the list of files; repeatable.")  # fmt: skip
@click.option("--targets-threshold", type=click.IntRange(1), default=1, show_default=True,
              help="How many of them have to sign.")  # fmt: skip
@_out
@aimed_only
def draft_root(
    roots: tuple[Path, ...],
    root_threshold: int,
    lists: tuple[Path, ...],
    targets_threshold: int,
    out: Path,
    target: Target,
) -> None:
    """Write the next root, for its keepers to sign; private keys stay here."""
    wish = {
        "root": [public_key(file).pem().decode() for file in roots],
        "root_threshold": root_threshold,
        "targets": [public_key(file).pem().decode() for file in lists],
        "targets_threshold": targets_threshold,
    }

    async def work(client: HttpClient) -> bytes:
        path = f"{PREFIX}/repository/root-draft"
        return checked(await client.post(path, json_body=wish)).body

    _save(out, ask(target, work))


@repository.command(short_help="Publish what keepers signed.")
@click.option("--root", type=_file, help="A root that its keepers signed.")
@click.option("--targets", type=_file, help="The list of files that its keepers signed.")
@aimed
def publish(
    root: Path | None,
    targets: Path | None,
    target: Target,
    as_json: bool,
) -> None:
    """Publish what keepers signed: a root, a list of the same files, or both."""
    files = {"root": root, "targets": targets}
    wish = {name: file and file.read_text("utf-8") for name, file in files.items()}
    item = ask(target, lambda client: _post(client, "/repository/documents", wish))
    if as_json:
        emit_json(item)
    else:
        note("published: " + ", ".join(f"{d['role']} {d['version']}" for d in item["documents"]))


@click.command(
    short_help="Write the list of files, for keepers to sign.",
    epilog=examples("openami release draft 7 --out targets.json"),
)
@click.argument("number", type=click.IntRange(0))
@_out
@aimed_only
def draft(number: int, out: Path, target: Target) -> None:
    """Write the list of files with those of release NUMBER, for its keepers to sign.

    NUMBER 0 is no release: the list as it is, to be signed anew before it ends.
    """
    path = f"/releases/{number}/draft" if number else "/repository/draft"
    _save(out, ask(target, lambda client: _get(client, path)))


@click.command(
    short_help="Sign a draft, as one of its keepers.",
    epilog=examples("openami release sign targets.json --key keeper.pem"),
)
@click.argument("file", type=_file)
@click.option("--key", required=True, type=_file, help="The keeper's private key, in PEM.")
def sign(file: Path, key: Path) -> None:
    """Add a keeper's signature to FILE, a draft of a root or of a list of files.

    No head-end is needed. Each keeper signs the file that the one before signed.
    """
    from openami.firmware.repository import add_signature

    file.write_bytes(add_signature(file.read_bytes(), keeper(key)))
    note(f"{file}: signed")


async def _post(client: HttpClient, path: str, wish: object) -> Any:
    return checked(await client.post(PREFIX + path, json_body=wish)).json()


async def _get(client: HttpClient, path: str) -> bytes:
    return checked(await client.get(PREFIX + path)).body


def _save(out: Path, octets: bytes) -> None:
    out.write_bytes(octets)
    note(f"{out}: {len(octets)} octets")
